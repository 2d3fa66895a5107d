"""RMSprop."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.optim.optimizer import Group, Line, Optimizer, Params, count_step, zeros_state
from tinygrad_edu.tensor import Tensor


class RMSprop(Optimizer):
    """Steps divided by the running size of the gradient (Hinton, 2012, lecture 6e).

    g = grad + weight_decay · p        v ← alpha · v + (1 − alpha) · g²
    centered: m ← alpha · m + (1 − alpha) · g, and v − m² takes the place of v (Graves, 2013)
    u = g / (√v + eps)                 b ← momentum · b + u        (b = u without momentum)
    p ← p − lr · b
    maximize: the negative of the gradient is used.
    """

    _kernel = "rmsprop_step"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        for name, words in (("eps", "epsilon"), ("momentum", "momentum"), ("alpha", "alpha")):
            if not group[name] >= 0.0:
                raise ValueError(f"Invalid {words} value: {group[name]}; it must be >= 0")

    def _line(self, p: Tensor, state: dict[str, Any], group: Group) -> Line:
        count_step(state)
        momentum, centered = group["momentum"] > 0, group["centered"]
        for name in ("square_avg", *["momentum_buffer"] * momentum, *["grad_avg"] * centered):
            if name not in state:
                state[name] = zeros_state(p)
        grad_avg = state["grad_avg"].array if centered else None
        return (state["square_avg"].array, grad_avg, state["momentum_buffer"].array if momentum else None), {}

    def _options(self, group: Group) -> dict[str, Any]:
        return {
            "lr": float(group["lr"]),
            "alpha": float(group["alpha"]),
            "eps": float(group["eps"]),
            "weight_decay": float(group["weight_decay"]),
            "momentum": float(group["momentum"]),
            "centered": bool(group["centered"]),
            "maximize": bool(group["maximize"]),
        }
