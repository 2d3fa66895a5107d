"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.optim.optimizer import Group, Line, Optimizer, Params, count_step, zeros_state
from tinygrad_edu.tensor import Tensor


class Adam(Optimizer):
    """Steps along the running mean of the gradient, divided by its running size (Kingma and Ba, 2015, Algorithm 1).

    g = grad + weight_decay · p
    m ← β₁ m + (1 − β₁) g              m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²             v̂ = v / (1 − β₂ᵗ)
    p ← p − lr · m̂ / (√v̂ + eps)
    amsgrad: the largest v so far takes the place of v (Reddi et al., 2018).  maximize: −grad is used.
    """

    _kernel = "adam_step"
    _decoupled = False  # AdamW takes the weight decay out of the gradient

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if not group["eps"] >= 0.0:
            raise ValueError(f"Invalid epsilon value: {group['eps']}; it must be >= 0")
        if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
            raise TypeError(f"betas must be two numbers, as in betas=(0.9, 0.999), got {group['betas']!r}")
        for i, beta in enumerate(group["betas"]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}; it must lie in [0, 1)")

    def _line(self, p: Tensor, state: dict[str, Any], group: Group) -> Line:
        step = count_step(state)
        for name in ("exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * group["amsgrad"]):
            if name not in state:
                state[name] = zeros_state(p)
        largest = state["max_exp_avg_sq"].array if group["amsgrad"] else None
        return (state["exp_avg"].array, state["exp_avg_sq"].array, largest), {"step": step}

    def _options(self, group: Group) -> dict[str, Any]:
        return {
            "lr": float(group["lr"]),
            "beta1": float(group["betas"][0]),
            "beta2": float(group["betas"][1]),
            "eps": float(group["eps"]),
            "weight_decay": float(group["weight_decay"]),
            "amsgrad": bool(group["amsgrad"]),
            "decoupled": self._decoupled,
            "maximize": bool(group["maximize"]),
        }


class AdamW(Adam):
    """Adam with the weight decay applied to the parameter, not through the gradient (Loshchilov and Hutter, 2019).

    p ← p − lr · weight_decay · p, then the step of Adam with g = grad
    """

    _decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
