"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from tinygrad_edu import kernels
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.optim.optimizer import Group, Optimizer, Params, zeros_state
from tinygrad_edu.tensor import Tensor


class SGD(Optimizer):
    """Gradient descent with momentum (Sutskever et al., 2013).

    g = grad + weight_decay · p
    v ← momentum · v + (1 − dampening) · g, and v = g at the first step        (v = g without momentum)
    p ← p − lr · v, with nesterov p ← p − lr · (g + momentum · v)
    maximize: the negative of the gradient is used.
    """

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

    def _update(self, p: Tensor, grad: Array, state: dict[str, Any], group: Group) -> None:
        first_step = state.get("momentum_buffer") is None
        if group["momentum"] and first_step:
            state["momentum_buffer"] = zeros_state(p)
        kernels.sgd_step(
            p.array,
            grad,
            state["momentum_buffer"].array if group["momentum"] else None,
            lr=float(group["lr"]),
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=float(group["weight_decay"]),
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            first_step=first_step,
        )
