"""Optimiser steps, chosen by size: one pass over the parameter and its state, in place."""

from __future__ import annotations

from .backend import Gate, twins
from .quiet import Array
from .reference import optimizers as reference
from .windows import check_same_shape

# Measured on two cores of an AVX-512 EPYC, float32, NumPy | Numba in us (65 us more if threads sleep): 10,000 elements
# sgd 12 | 8, rmsprop 17 | 9, adam 23 | 11; 200,000: 126 | 36, 210 | 149, 275 | 186; 1e6: 882 | 342, 1458 | 526,
# 2562 | 733.
STEP_MINIMUM = 100_000

_sgd = Gate(STEP_MINIMUM)
_rmsprop = Gate(STEP_MINIMUM)
_adam = Gate(STEP_MINIMUM)


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
    """One step of stochastic gradient descent on `param`, in place; see the reference for the formula.

    momentum_buffer: None when momentum is 0; overwritten at the first step, whatever it holds.
    """
    _check("sgd_step", param, grad=grad, momentum_buffer=momentum_buffer)
    module = reference if param.size < _sgd.minimum else twins("optimizers")
    module.sgd_step(
        param,
        grad,
        momentum_buffer,
        lr=float(lr),
        momentum=float(momentum),
        dampening=float(dampening),
        weight_decay=float(weight_decay),
        nesterov=nesterov,
        maximize=maximize,
        first_step=first_step,
    )


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
) -> None:
    """One step of RMSprop on `param`, in place; see the reference for the formula.

    grad_avg: needed when `centered`. momentum_buffer: None when momentum is 0.
    """
    if centered and grad_avg is None:
        raise ValueError("rmsprop_step: centered=True needs grad_avg")
    _check("rmsprop_step", param, grad=grad, square_avg=square_avg, grad_avg=grad_avg, momentum_buffer=momentum_buffer)
    module = reference if param.size < _rmsprop.minimum else twins("optimizers")
    module.rmsprop_step(
        param,
        grad,
        square_avg,
        grad_avg,
        momentum_buffer,
        lr=float(lr),
        alpha=float(alpha),
        eps=float(eps),
        weight_decay=float(weight_decay),
        momentum=float(momentum),
        centered=centered,
    )


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
    """One step of Adam (AdamW if `decoupled`) on `param`, in place; see the reference for the formula.

    max_exp_avg_sq: needed when `amsgrad`. step: counts from 1.
    """
    if amsgrad and max_exp_avg_sq is None:
        raise ValueError("adam_step: amsgrad=True needs max_exp_avg_sq")
    _check("adam_step", param, grad=grad, exp_avg=exp_avg, exp_avg_sq=exp_avg_sq, max_exp_avg_sq=max_exp_avg_sq)
    module = reference if param.size < _adam.minimum else twins("optimizers")
    module.adam_step(
        param,
        grad,
        exp_avg,
        exp_avg_sq,
        max_exp_avg_sq,
        step=int(step),
        lr=float(lr),
        beta1=float(beta1),
        beta2=float(beta2),
        eps=float(eps),
        weight_decay=float(weight_decay),
        amsgrad=amsgrad,
        decoupled=decoupled,
        maximize=maximize,
    )


def _check(operation: str, param: Array, **arrays: Array | None) -> None:
    for name, array in arrays.items():
        if array is not None:
            check_same_shape(operation, name, array.shape, param.shape)
