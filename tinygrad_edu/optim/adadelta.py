"""Adadelta."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.ops.registry import Array
from tinygrad_edu.optim.by_formula import ByFormula, check_not_negative
from tinygrad_edu.optim.optimizer import Group, Params
from tinygrad_edu.tensor import Tensor


class Adadelta(ByFormula):
    """Steps as large as the recent steps, relative to the recent gradients (Zeiler, 2012, Algorithm 1).

    g = grad + weight_decay · p        v ← rho · v + (1 − rho) · g²                 (square_avg)
    Δ = √(u + eps) / √(v + eps) · g    u ← rho · u + (1 − rho) · Δ²                 (acc_delta)
    p ← p − lr · Δ
    maximize: the negative of the gradient is used.
    """

    _averages = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, foreach=foreach, capturable=capturable, differentiable=differentiable)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if not 0.0 <= group["rho"] <= 1.0:
            raise ValueError(f"Invalid rho value: {group['rho']}; it must lie in [0, 1]")
        check_not_negative(group, eps="epsilon")

    def _change(self, p: Array, g: Array, state: dict[str, Any], group: Group, t: int) -> None:
        rho, eps = group["rho"], group["eps"]
        v, u = state["square_avg"].array, state["acc_delta"].array
        v *= rho
        v += (1 - rho) * g * g
        delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u *= rho
        u += (1 - rho) * delta * delta
        p -= float(group["lr"]) * delta
