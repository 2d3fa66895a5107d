"""Adamax."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.ops.registry import Array
from tinygrad_edu.optim.by_formula import ByFormula, check_betas, check_not_negative
from tinygrad_edu.optim.optimizer import Group, Params
from tinygrad_edu.tensor import Tensor


class Adamax(ByFormula):
    """Adam with the largest recent gradient in place of its root mean square (Kingma and Ba, 2015, Algorithm 2).

    g = grad + weight_decay · p
    m ← β₁ m + (1 − β₁) g                 (exp_avg)
    u ← max(β₂ u, |g| + eps)              (exp_inf)
    p ← p − lr / (1 − β₁ᵗ) · m / u
    maximize: the negative of the gradient is used.
    """

    _averages = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, foreach=foreach, capturable=capturable, differentiable=differentiable)

    def _check(self, group: Group) -> None:
        super()._check(group)
        check_not_negative(group, eps="epsilon")
        check_betas(group)

    def _change(self, p: Array, g: Array, state: dict[str, Any], group: Group, t: int) -> None:
        beta1, beta2 = group["betas"]
        m, u = state["exp_avg"].array, state["exp_inf"].array
        m += (1 - beta1) * (g - m)
        u[...] = np.maximum(beta2 * u, np.abs(g) + group["eps"])
        p -= float(group["lr"]) / (1 - beta1**t) * m / u
