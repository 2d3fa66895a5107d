"""Rprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.ops.registry import Array
from tinygrad_edu.optim.by_formula import ByFormula
from tinygrad_edu.optim.optimizer import Group, Params, zeros_state
from tinygrad_edu.tensor import Tensor


class Rprop(ByFormula):
    """Steps by the sign of the gradient alone, for full batches (Riedmiller and Braun, 1993).

    Each entry has a step size s of its own, lr at first:
    s ← s · η₊ where g keeps its sign, s · η₋ where it turns (g ← 0 there), within step_sizes = (least, largest)
    p ← p − s · sign(g)
    etas = (η₋, η₊); state: step_size is s, prev is the g of the step before.  maximize: −grad is used.
    """

    _averages = ("prev",)

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        super().__init__(params, defaults, foreach=foreach, capturable=capturable, differentiable=differentiable)

    def _check(self, group: Group) -> None:
        super()._check(group)
        for name in ("etas", "step_sizes"):
            if not isinstance(group[name], (tuple, list)) or len(group[name]) != 2:
                raise TypeError(f"{name} must be two numbers, as in etas=(0.5, 1.2), got {group[name]!r}")
        less, more = group["etas"]
        if not 0.0 < less < 1.0 < more:
            raise ValueError(f"Invalid eta values: {less}, {more}; they must be 0 < η₋ < 1 < η₊")

    def _update(self, p: Tensor, grad: Array, state: dict[str, Any], group: Group) -> None:
        if "step_size" not in state:
            state["step_size"] = zeros_state(p, float(group["lr"]))
        super()._update(p, grad, state, group)

    def _change(self, p: Array, g: Array, state: dict[str, Any], group: Group, t: int) -> None:
        (less, more), (least, largest) = group["etas"], group["step_sizes"]
        s, prev = state["step_size"].array, state["prev"].array
        agreement = np.sign(g * prev)
        s *= np.where(agreement > 0, more, np.where(agreement < 0, less, 1.0))
        np.clip(s, least, largest, out=s)
        prev[...] = np.where(agreement < 0, 0.0, g)
        p -= s * np.sign(prev)
