"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.optim.optimizer import Group, Line, Optimizer, Params, zeros_state
from tinygrad_edu.tensor import Tensor


class SGD(Optimizer):
    """Gradient descent with momentum (Sutskever et al., 2013).

    g = grad + weight_decay · p
    v ← momentum · v + (1 − dampening) · g, and v = g at the first step        (v = g without momentum)
    p ← p − lr · v, with nesterov p ← p − lr · (g + momentum · v)
    maximize: the negative of the gradient is used.
    """

    _kernel = "sgd_step"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if group["momentum"] < 0.0:
            raise ValueError(f"Invalid momentum value: {group['momentum']}; it must be >= 0")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def _line(self, p: Tensor, state: dict[str, Any], group: Group) -> Line:
        first_step = state.get("momentum_buffer") is None
        if not group["momentum"]:
            return (None,), {"first_step": first_step}
        if first_step:
            state["momentum_buffer"] = zeros_state(p)
        return (state["momentum_buffer"].array,), {"first_step": first_step}

    def _options(self, group: Group) -> dict[str, Any]:
        return {
            "lr": float(group["lr"]),
            "momentum": float(group["momentum"]),
            "dampening": float(group["dampening"]),
            "weight_decay": float(group["weight_decay"]),
            "nesterov": bool(group["nesterov"]),
            "maximize": bool(group["maximize"]),
        }
