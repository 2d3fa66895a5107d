"""Losses that are negative log-likelihoods of a distribution whose parameters a network predicts."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import composite
from tinygrad_edu.functions.common import check_tensor, plain
from tinygrad_edu.nn.functional.checks import check_reduction, floating
from tinygrad_edu.nn.functional.regression import finished
from tinygrad_edu.tensor import Tensor

_p = ops.pointwise


@composite("Poisson negative log-likelihood", is_loss=True)
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) − y x, where x is the log of the rate; x − y log(x + eps) with log_input=False.

    full: adds Stirling's approximation of log y!, y log y − y + ½ log 2πy, where y > 1.
    """
    name = "poisson_nll_loss"
    check_reduction(name, reduction)
    x, y = floating(name, input), check_tensor(name, target, "target")
    loss = _p.exp(x) - y * x if log_input else x - y * _p.log(x + eps)
    if full:
        counts = y.array.astype(x.array.dtype)
        large = np.where(counts > 1, counts, 1.0)
        stirling = large * np.log(large) - large + 0.5 * np.log(2 * math.pi * large)
        loss = loss + plain(np.where(counts > 1, stirling, 0.0).astype(x.array.dtype))
    return finished(loss, reduction)


@composite("Gaussian negative log-likelihood", is_loss=True)
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """½ (log σ² + (x − y)²/σ²) for a predicted mean x and variance σ² (at least eps).

    x, y (n, ...), var of the same shape, or with its last dim 1 or left out, or a number -> ()
    full: adds ½ log 2π.  Where the variance is held at eps, its gradient is that at eps.
    Raises ValueError for a negative variance or one of another shape.
    """
    name = "gaussian_nll_loss"
    x, y = floating(name, input), check_tensor(name, target, "target")
    check_reduction(name, reduction)
    variance = var if isinstance(var, Tensor) else plain(np.full(x.array.shape, var, x.array.dtype))
    if variance.array.shape != x.array.shape:
        if variance.array.shape == x.array.shape[:-1]:
            variance = variance.unsqueeze(-1)
        elif variance.array.shape != (*x.array.shape[:-1], 1):
            raise ValueError(f"{name}: var is of incorrect size: {tuple(variance.shape)} for input {tuple(x.shape)}")
    if (variance.array < 0).any():
        raise ValueError(f"{name}: var has negative entry/entries; predict a log-variance and exponentiate it")
    held = variance + plain(np.maximum(eps - variance.array, 0).astype(variance.array.dtype))
    loss = 0.5 * (_p.log(held) + _p.square(x - y) / held)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return finished(loss, reduction)
