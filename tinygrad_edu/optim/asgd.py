"""ASGD."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.ops.registry import Array
from tinygrad_edu.optim.by_formula import ByFormula, number_state
from tinygrad_edu.optim.optimizer import Group, Params
from tinygrad_edu.tensor import Tensor


class ASGD(ByFormula):
    """Gradient descent that keeps the average of its path as well (Polyak and Juditsky, 1992).

    g = grad + weight_decay · p
    p ← (1 − lambd · η) p − η g           η = lr at first, then lr / (1 + lambd · lr · t)^alpha      (eta)
    a ← a + μ (p − a)                     μ = 1 at first, then 1 / max(1, t − t0)                    (ax, mu)
    The average a is in state[p]["ax"].  maximize: −grad is used.
    """

    _averages = ("ax",)

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, foreach=foreach, capturable=capturable, differentiable=differentiable)

    def _change(self, p: Array, g: Array, state: dict[str, Any], group: Group, t: int) -> None:
        lr, lambd = float(group["lr"]), group["lambd"]
        eta, mu = state.setdefault("eta", number_state(lr)).array, state.setdefault("mu", number_state(1.0)).array
        average = state["ax"].array
        p *= 1 - lambd * float(eta)
        p -= float(eta) * g
        average[...] = p if mu == 1 else average + float(mu) * (p - average)
        eta[...] = number_state(lr / (1 + lambd * lr * t) ** group["alpha"]).array
        mu[...] = number_state(1 / max(1, t - group["t0"])).array
