"""ByFormula: optimisers whose step is a formula in NumPy, one parameter after the other; they are here to compare."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.optim.optimizer import Group, Optimizer, Params, count_step, zeros_state
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor


class ByFormula(Optimizer):
    """What these optimisers share: their flags, their state, and g, the gradient that their formulas begin with.

    g = grad, or −grad with maximize
    weight_decay: g ← g + weight_decay · p, or p ← p (1 − lr · weight_decay) with decoupled_weight_decay
    """

    _averages: tuple[str, ...] = ()  # the names of the state that starts as zeros like the parameter

    def __init__(self, params: Params, defaults: dict[str, Any], **flags: bool | None) -> None:
        for name, value in flags.items():
            if value:
                raise NotImplementedError(
                    f"{type(self).__name__}: {name}={value!r} is not supported: {_INSTEAD[name]}; leave it out"
                )
        super().__init__(params, defaults)

    def _update(self, p: Tensor, grad: Array, state: dict[str, Any], group: Group) -> None:
        for name in self._averages:
            if name not in state:
                state[name] = zeros_state(p)
        t = count_step(state)
        with np.errstate(all="ignore"):  # an overflow gives inf, as in PyTorch
            g = -grad if group["maximize"] else grad
            if group.get("weight_decay"):
                if group.get("decoupled_weight_decay"):
                    p.array *= 1 - float(group["lr"]) * group["weight_decay"]
                else:
                    g = g + group["weight_decay"] * p.array
            self._change(p.array, g, state, group, t)

    def _change(self, p: Array, g: Array, state: dict[str, Any], group: Group, t: int) -> None:
        """Change the parameter p in place along g; t counts the steps from 1."""
        raise NotImplementedError(f"{type(self).__name__} defines no _change")


_INSTEAD = {
    "foreach": "there is one loop over the parameters, and it gives the same numbers",
    "capturable": "there are no CUDA graphs",
    "differentiable": "a step is not recorded; write the update with tensors to differentiate through it",
}


def number_state(value: float) -> Tensor:
    """A number kept between steps, as PyTorch keeps it: a tensor of the default dtype."""
    return wrap(np.asarray(value, dtypes.get_default_dtype().dtype))


def check_not_negative(group: Group, **words: str) -> None:
    """Raise ValueError for an option below 0 or NaN; `words` names each as PyTorch's message does."""
    for name, word in words.items():
        if not group[name] >= 0.0:
            raise ValueError(f"Invalid {word} value: {group[name]}; it must be >= 0")


def check_betas(group: Group) -> None:
    """Raise TypeError unless betas are two numbers, ValueError unless they lie in [0, 1)."""
    if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
        raise TypeError(f"betas must be two numbers, as in betas=(0.9, 0.999), got {group['betas']!r}")
    for i, beta in enumerate(group["betas"]):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}; it must lie in [0, 1)")
