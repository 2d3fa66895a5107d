"""What all schedules share: the count of steps, writing the rates, warnings for a wrong order of calls, saving."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import FunctionType
from typing import Any

from tinygrad_edu.optim.optimizer import Group, Optimizer
from tinygrad_edu.tensor import Tensor

Option = float | Sequence[float]  # one number for all groups, or one for each


class EmptyPeriod(ValueError, ZeroDivisionError):
    """A period of no steps; PyTorch raises ZeroDivisionError, some of its schedules only at the first step."""


class LRScheduler:
    """Sets each group's `lr` when made and at each `step()`; a subclass says how in `get_lr`.

    last_epoch: steps already taken, −1 to start anew. The rates at the start are kept in the groups as `initial_lr`, so
    that a second schedule of the same optimiser starts from them, too.
    Raises TypeError for what is no optimiser, KeyError when resuming without `initial_lr`.
    """

    _is_initial = False  # True while the constructor takes the step to epoch 0
    _get_lr_called_within_step = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming an optimizer: load the "
                    "optimizer's saved state first, or leave last_epoch=-1 to start anew"
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[float]:
        """The rate of each group at step `last_epoch`, computed from the rates in use; called by `step`."""
        raise NotImplementedError(f"{type(self).__name__} defines no get_lr")

    def step(self, epoch: int | None = None) -> None:
        """Count one step and set the rates; call it after the optimiser's step.

        epoch: jump to that step instead. PyTorch deprecates it, so it warns.
        """
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: call them in the opposite order, or "
                "the first value of the schedule is skipped",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch(self)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        """Go to the next step, or to step `epoch` by the closed form of the schedule where it has one."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._get_lr_called_within_step = True
        try:
            closed_form = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
            lrs = self.get_lr() if closed_form is None else closed_form()
        finally:
            self._get_lr_called_within_step = False
        self._write(lrs)

    def _write(self, lrs: Sequence[float]) -> None:
        groups = self.optimizer.param_groups
        if len(lrs) != len(groups):
            raise ValueError(
                f"{type(self).__name__}: the schedule has {len(lrs)} rates, but the optimizer has {len(groups)} "
                "parameter groups; add all groups before the schedule is made"
            )
        for group, lr in zip(groups, lrs, strict=True):
            set_rate(group, lr)
        self._last_lr = rates(self.optimizer)

    def get_last_lr(self) -> list[float]:
        """The rates in use, as numbers, also where `lr` is a tensor."""
        return self._last_lr

    def _rates(self) -> list[float]:
        """The rates in use, for `get_lr`, which warns when it is called from outside."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )
        return rates(self.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, under PyTorch's names. Functions are not saved; callable objects' state is."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state of a schedule of the same kind.

        Raises TypeError for what is no dict, KeyError when it is no state of a schedule.
        """
        self.__dict__.update(self._checked_state(state_dict))

    def _checked_state(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(state_dict, dict):
            raise TypeError(f"{type(self).__name__}: expected state_dict to be a dict, got {type(state_dict).__name__}")
        needed = [key for key in ("last_epoch", "_schedulers") if key in self.__dict__]
        missing = [key for key in needed if key not in state_dict]
        if missing:
            raise KeyError(
                f"{type(self).__name__}: {missing[0]!r} is missing in the state dict, whose keys are "
                f"{list(state_dict)}; pass what scheduler.state_dict() returned"
            )
        return dict(state_dict)


def checked(optimizer: Any) -> Optimizer:
    """The optimiser. Raises TypeError for anything else."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{type(optimizer).__name__} is not an Optimizer; pass the optimizer first, as in "
            "StepLR(optimizer, step_size=10)"
        )
    return optimizer


def rates(optimizer: Optimizer) -> list[float]:
    """The learning rates of the groups."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def set_rate(group: Group, lr: float) -> None:
    """Set a group's rate; one that is a tensor is written into."""
    if isinstance(group["lr"], Tensor):
        group["lr"].array[...] = lr
    else:
        group["lr"] = lr


def per_group(name: str, optimizer: Optimizer, value: Option) -> list[float]:
    """An option as one number per group. Raises ValueError when a list has another length."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [float(value)] * count  # type: ignore[arg-type]  # the only sequences are lists and tuples
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
            f"param_groups has {count}."
        )
    return [float(number) for number in value]


def momentum_option(schedule: LRScheduler, optimizer: Optimizer) -> str:
    """Which option of the groups a cycle of momentum turns: "momentum", or "betas", of which it sets the first."""
    for option in ("betas", "momentum"):
        if option in optimizer.defaults:
            return option
    raise ValueError(
        f"{type(schedule).__name__}: optimizer must support momentum or beta1 with `cycle_momentum` option enabled; "
        f"{type(optimizer).__name__} has neither, pass cycle_momentum=False"
    )


def set_momentum(group: Group, option: str, value: float) -> None:
    """Set momentum, or the first of the betas."""
    group[option] = (value, *group["betas"][1:]) if option == "betas" else value


def saved_functions(functions: Sequence[Any]) -> list[dict[str, Any] | None]:
    """What a state dict keeps of functions: the attributes of callable objects, None for plain functions."""
    return [None if isinstance(f, FunctionType) or not hasattr(f, "__dict__") else dict(vars(f)) for f in functions]


def restore_functions(functions: Sequence[Any], saved: Sequence[dict[str, Any] | None]) -> None:
    """Give callable objects their saved attributes back."""
    for function, attributes in zip(functions, saved, strict=True):
        if attributes is not None:
            vars(function).update(attributes)


def warn_of_epoch(schedule: LRScheduler) -> None:
    """The warning for the deprecated argument of `step`."""
    warnings.warn(
        f"{type(schedule).__name__}.step: the epoch parameter is deprecated; call step() once per epoch",
        UserWarning,
        stacklevel=3,
    )
