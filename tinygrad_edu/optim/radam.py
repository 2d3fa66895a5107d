"""RAdam."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.ops.registry import Array
from tinygrad_edu.optim.by_formula import ByFormula, check_betas, check_not_negative
from tinygrad_edu.optim.optimizer import Group, Params
from tinygrad_edu.tensor import Tensor


class RAdam(ByFormula):
    """Adam that divides by the size of the gradient only once that is well known (Liu et al., 2020, Algorithm 2).

    g = grad + weight_decay · p
    m ← β₁ m + (1 − β₁) g              m̂ = m / (1 − β₁ᵗ)                  (exp_avg)
    v ← β₂ v + (1 − β₂) g²             l = √(1 − β₂ᵗ) / (√v + eps)        (exp_avg_sq)
    ρ_∞ = 2 / (1 − β₂) − 1             ρ = ρ_∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)      (how many gradients v averages)
    r = √((ρ − 4) (ρ − 2) ρ_∞ / ((ρ_∞ − 4) (ρ_∞ − 2) ρ))
    p ← p − lr · m̂ · r · l             if ρ > 5, else p ← p − lr · m̂
    decoupled_weight_decay: p ← p − lr · weight_decay · p instead of the decay in g.  maximize: −grad is used.
    """

    _averages = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, foreach=foreach, capturable=capturable, differentiable=differentiable)

    def _check(self, group: Group) -> None:
        super()._check(group)
        check_not_negative(group, eps="epsilon")
        check_betas(group)

    def _change(self, p: Array, g: Array, state: dict[str, Any], group: Group, t: int) -> None:
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"].array, state["exp_avg_sq"].array
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        step = float(group["lr"]) / (1 - beta1**t) * m
        most = 2 / (1 - beta2) - 1
        rho = most - 2 * t * beta2**t / (1 - beta2**t)
        if rho > 5:
            r = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
            step = step * (r * math.sqrt(1 - beta2**t)) / (np.sqrt(v) + group["eps"])
        p -= step
