"""Adagrad."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.optim.optimizer import Group, Line, Optimizer, Params, count_step, zeros_state
from tinygrad_edu.tensor import Tensor


class Adagrad(Optimizer):
    """Steps divided by the size of all gradients so far (Duchi, Hazan and Singer, 2011).

    g = grad + weight_decay · p        s ← s + g²
    p ← p − lr / (1 + (t − 1) lr_decay) · g / (√s + eps)
    maximize: the negative of the gradient is used.
    """

    _kernel = "adagrad_step"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        for name, words in (
            ("lr_decay", "lr_decay"),
            ("initial_accumulator_value", "initial_accumulator_value"),
            ("eps", "epsilon"),
        ):
            if not group[name] >= 0.0:
                raise ValueError(f"Invalid {words} value: {group[name]}; it must be >= 0")

    def _line(self, p: Tensor, state: dict[str, Any], group: Group) -> Line:
        step = count_step(state)
        if "sum" not in state:
            state["sum"] = zeros_state(p, group["initial_accumulator_value"])
        return (state["sum"].array,), {"step": step}

    def _options(self, group: Group) -> dict[str, Any]:
        return {
            "lr": float(group["lr"]),
            "lr_decay": float(group["lr_decay"]),
            "eps": float(group["eps"]),
            "weight_decay": float(group["weight_decay"]),
            "maximize": bool(group["maximize"]),
        }
