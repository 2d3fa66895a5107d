"""NAdam."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.ops.registry import Array
from tinygrad_edu.optim.by_formula import ByFormula, check_betas, check_not_negative, number_state
from tinygrad_edu.optim.optimizer import Group, Params
from tinygrad_edu.tensor import Tensor


class NAdam(ByFormula):
    """Adam with Nesterov's momentum (Dozat, 2016): the momentum of the next step is used in this one.

    g = grad + weight_decay · p
    μₜ = β₁ (1 − ½ · 0.96^(t · momentum_decay))          Mₜ = μ₁ ⋯ μₜ                    (mu_product)
    m ← β₁ m + (1 − β₁) g                                (exp_avg)
    v ← β₂ v + (1 − β₂) g²                               (exp_avg_sq)
    m̂ = μₜ₊₁ m / (1 − Mₜ₊₁) + (1 − μₜ) g / (1 − Mₜ)      v̂ = v / (1 − β₂ᵗ)
    p ← p − lr · m̂ / (√v̂ + eps)
    decoupled_weight_decay: p ← p − lr · weight_decay · p instead of the decay in g.  maximize: −grad is used.
    """

    _averages = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, foreach=foreach, capturable=capturable, differentiable=differentiable)

    def _check(self, group: Group) -> None:
        super()._check(group)
        check_not_negative(group, eps="epsilon", momentum_decay="momentum_decay")
        check_betas(group)

    def _change(self, p: Array, g: Array, state: dict[str, Any], group: Group, t: int) -> None:
        (beta1, beta2), decay = group["betas"], group["momentum_decay"]
        m, v = state["exp_avg"].array, state["exp_avg_sq"].array
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * decay))
        product = state.setdefault("mu_product", number_state(1.0)).array
        product *= mu
        m += (1 - beta1) * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        mu_product = float(product)
        m_hat = mu_next / (1 - mu_product * mu_next) * m + (1 - mu) / (1 - mu_product) * g
        p -= float(group["lr"]) * m_hat / (np.sqrt(v / (1 - beta2**t)) + group["eps"])
