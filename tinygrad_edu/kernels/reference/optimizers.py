"""One step of each optimiser, in place over the parameter and its state; the gradient is only read.

Formulas as in PyTorch's torch.optim, term by term.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..flat import Line, Mark, Table
from ..quiet import Array, silent


@silent
def sgd_step(
    param: Array,
    grad: Array,
    momentum_buffer: Array | None,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first_step: bool,
) -> None:
    """param -= lr v, with v = momentum v + (1 - dampening) grad, or grad itself at the first step.

    Source: Sutskever et al. (2013), On the importance of initialization and momentum in deep learning.
    """
    grad = _direction(param, grad, weight_decay, maximize)
    if momentum_buffer is not None:
        if first_step:
            momentum_buffer[...] = grad
        else:
            momentum_buffer *= momentum
            momentum_buffer += (1 - dampening) * grad
        grad = grad + momentum * momentum_buffer if nesterov else momentum_buffer
    param -= lr * grad


@silent
def rmsprop_step(
    param: Array,
    grad: Array,
    square_avg: Array,
    grad_avg: Array | None,
    momentum_buffer: Array | None,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool = False,
) -> None:
    """param -= lr grad / (sqrt(v) + eps), with v the running mean of grad^2, less its squared mean if `centered`.

    Source: Hinton (2012), Neural networks for machine learning, lecture 6e; centred: Graves (2013), equation 38.
    """
    grad = _direction(param, grad, weight_decay, maximize)
    square_avg *= alpha
    square_avg += (1 - alpha) * grad * grad
    variance = square_avg
    if centered and grad_avg is not None:
        grad_avg += (1 - alpha) * (grad - grad_avg)
        variance = square_avg - grad_avg * grad_avg
    update = grad / (np.sqrt(variance) + eps)
    if momentum_buffer is not None:
        momentum_buffer *= momentum
        momentum_buffer += update
        update = momentum_buffer
    param -= lr * update


@silent
def adam_step(
    param: Array,
    grad: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    max_exp_avg_sq: Array | None,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    decoupled: bool,
    maximize: bool,
) -> None:
    """param -= lr m_hat / (sqrt(v_hat) + eps), with m, v the running means of grad and grad^2; step counts from 1.

    Source: Kingma and Ba (2015), Algorithm 1; `amsgrad`: Reddi et al. (2018); `decoupled`: Loshchilov and Hutter
    (2019), AdamW.
    """
    if decoupled:
        param *= 1 - lr * weight_decay
        weight_decay = 0.0
    grad = _direction(param, grad, weight_decay, maximize)
    exp_avg += (1 - beta1) * (grad - exp_avg)
    exp_avg_sq *= beta2
    exp_avg_sq += (1 - beta2) * grad * grad
    second = exp_avg_sq
    if amsgrad and max_exp_avg_sq is not None:
        np.maximum(max_exp_avg_sq, exp_avg_sq, out=max_exp_avg_sq)
        second = max_exp_avg_sq
    correction1, correction2 = 1 - beta1**step, 1 - beta2**step
    param -= (lr / correction1) * exp_avg / (np.sqrt(second) / math.sqrt(correction2) + eps)


@silent
def adagrad_step(
    param: Array,
    grad: Array,
    total: Array,
    *,
    step: int,
    lr: float,
    lr_decay: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """param -= lr / (1 + (step - 1) lr_decay) grad / (sqrt(total) + eps), with total the sum of all grad^2.

    Source: Duchi, Hazan and Singer (2011), Adaptive subgradient methods for online learning.
    """
    grad = _direction(param, grad, weight_decay, maximize)
    total += grad * grad
    param -= lr / (1 + (step - 1) * lr_decay) * grad / (np.sqrt(total) + eps)


@silent
def step_each(
    name: str, table: Table, lines: Sequence[Line], grads: Sequence[Array], marks: Sequence[Mark], options: Mark
) -> None:
    """The step of that name on one (param, *state) after the other."""
    step = globals()[name].__wrapped__  # silent as a whole, not once for each parameter
    for line, grad, mark in zip(lines, grads, marks, strict=True):
        step(line[0], grad, *line[1:], **mark, **options)


def _direction(param: Array, grad: Array, weight_decay: float, maximize: bool) -> Array:
    grad = -grad if maximize else grad
    return grad + weight_decay * param if weight_decay else grad
