"""Schedules that raise the rate, lower it again, and move momentum the other way (Smith, 2017 and 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from tinygrad_edu.optim.lr_scheduler.base import (
    EmptyPeriod,
    LRScheduler,
    Option,
    checked,
    momentum_option,
    per_group,
    restore_functions,
    saved_functions,
    set_momentum,
    set_rate,
)
from tinygrad_edu.optim.optimizer import Optimizer


def _start_momentum_cycle(
    schedule: LRScheduler, optimizer: Optimizer, base_momentum: Option, max_momentum: Option, last_epoch: int
) -> tuple[bool, list[float], list[float]]:
    """Whether it is beta1 that cycles, and both ends for each group; a new cycle starts at the high end."""
    option = momentum_option(schedule, optimizer)
    highs, lows = (
        per_group("max_momentum", optimizer, max_momentum),
        per_group("base_momentum", optimizer, base_momentum),
    )
    if last_epoch == -1:
        for group, high, low in zip(optimizer.param_groups, highs, lows, strict=True):
            set_momentum(group, option, high)
            group["max_momentum"], group["base_momentum"] = high, low
    return option == "betas", lows, highs


class CyclicLR(LRScheduler):
    """A line from base_lr up to max_lr in step_size_up steps and down again in step_size_down, again and again.

    mode: the height of a cycle stays ("triangular"), halves with each ("triangular2"), or is multiplied with
    gamma^step ("exp_range"); or it is multiplied with scale_fn(cycle), scale_fn(step) for scale_mode="iterations".
    cycle_momentum: momentum, or the first of the betas, runs from max_momentum down to base_momentum and up again.
    Source: Smith (2017), Cyclical learning rates for training neural networks.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Option,
        max_lr: Option,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Option = 0.8,
        max_momentum: Option = 0.9,
        last_epoch: int = -1,
    ) -> None:
        low_lrs = per_group("base_lr", checked(optimizer), base_lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        if not (up > 0 and down >= 0):
            raise EmptyPeriod(f"CyclicLR: step_size_up must be > 0 and step_size_down >= 0, got {up} and {down}")
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(
                f"CyclicLR: mode is invalid and scale_fn is None: mode={mode!r}; use 'triangular', 'triangular2' or "
                "'exp_range'"
            )
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"CyclicLR: scale_mode must be 'cycle' or 'iterations', got {scale_mode!r}")
        self.total_size, self.step_ratio = up + down, up / (up + down)
        self.mode, self.gamma = mode, gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, low_lrs, strict=True):
                set_rate(group, lr)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1, self.base_momentums, self.max_momentums = _start_momentum_cycle(
                self, optimizer, base_momentum, max_momentum, last_epoch
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = low_lrs

    def scale_fn(self, x: float) -> float:
        """The height of cycle number x (from 1), or at step x for scale_mode="iterations"."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "exp_range":
            return self.gamma**x
        return 0.5 ** (x - 1) if self.mode == "triangular2" else 1.0

    def get_lr(self) -> list[float]:
        """base_lr + (max_lr − base_lr) · height, and as a side effect momentum."""
        self._rates()  # for its warning
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle  # the part of the cycle that is over
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            ends = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in ends:
                set_momentum(group, "betas" if self.use_beta1 else "momentum", high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`; of scale_fn only the attributes of a callable object."""
        return {**super().state_dict(), "_scale_fn_custom": saved_functions([self._scale_fn_custom])[0]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As `LRScheduler.load_state_dict`; scale_fn stays."""
        state = self._checked_state(state_dict)
        restore_functions([self._scale_fn_custom], [state.pop("_scale_fn_custom")])
        self.__dict__.update(state)


class OneCycleLR(LRScheduler):
    """One cycle over the whole training: up to max_lr, then down far below the rate at the start.

    initial lr = max_lr / div_factor      min lr = initial lr / final_div_factor
    The first pct_start of the steps go up, the others down to min lr; with three_phase as many steps go down to the
    initial lr as went up, and the rest on to min lr. Momentum, or the first of the betas, goes the other way.
    The steps are total_steps, or epochs · steps_per_epoch; `step()` comes after each batch, and
    one too many raises ValueError.
    Source: Smith and Topin (2018), Super-convergence: Very fast training of neural networks using large learning rates.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Option,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: Option = 0.85,
        max_momentum: Option = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        checked(optimizer)
        self.total_steps = _count_steps(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        max_lrs = per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, high in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"], group["max_lr"] = high / div_factor, high
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1, _, _ = _start_momentum_cycle(self, optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[float]:
        """The rate within the phase that step `last_epoch` lies in, and as a side effect momentum."""
        self._rates()  # for its warning
        step, start = self.last_epoch, 0.0
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR: Tried to step {step} times. The specified number of total steps is {self.total_steps}; "
                "it is epochs * len(loader) when step() comes after every batch"
            )
        for phase in self._schedule_phases[:-1]:
            if step <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        length = phase["end_step"] - start
        share = (step - start) / length if length else 1.0  # a phase of one step is at its end
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                momentum = self._anneal(group[phase["start_momentum"]], group[phase["end_momentum"]], share)
                set_momentum(group, "betas" if self.use_beta1 else "momentum", momentum)
        return [
            self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], share)
            for group in self.optimizer.param_groups
        ]


def _count_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    given = {"total_steps": total_steps} if total_steps is not None else {}
    if not given:
        if epochs is None or steps_per_epoch is None:
            raise ValueError("OneCycleLR: You must define either total_steps OR (epochs AND steps_per_epoch)")
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"OneCycleLR: Expected positive integer {name}, but got {value}")
    return math.prod(given.values())


def _phases(total_steps: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """The last step of each phase, and the names of the group's options that it runs between, as PyTorch saves them."""

    def phase(end_step: float, lrs: str, momentums: str) -> dict[str, Any]:
        start_lr, end_lr = lrs.split()
        start_momentum, end_momentum = momentums.split()
        return {
            "end_step": end_step,
            "start_lr": start_lr,
            "end_lr": end_lr,
            "start_momentum": start_momentum,
            "end_momentum": end_momentum,
        }

    top = float(pct_start * total_steps) - 1
    up = phase(top, "initial_lr max_lr", "max_momentum base_momentum")
    if not three_phase:
        return [up, phase(total_steps - 1, "max_lr min_lr", "base_momentum max_momentum")]
    return [
        up,
        phase(float(2 * pct_start * total_steps) - 2, "max_lr initial_lr", "base_momentum max_momentum"),
        phase(total_steps - 1, "initial_lr min_lr", "max_momentum max_momentum"),
    ]
