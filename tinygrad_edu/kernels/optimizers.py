"""Optimiser steps, chosen by size, in place: one parameter, or all parameters of a group in one launch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .backend import Gate, twins
from .flat import Line, Mark, Table
from .quiet import Array
from .reference import optimizers as reference
from .windows import check_same_shape

# Elements of all parameters together. Measured with 8 parameters, float32, a whole optimizer.step(), NumPy | Numba in
# us: 500 elements sgd 36 | 29, adam 75 | 42, rmsprop 57 | 40; 10,000: 42 | 31, 95 | 46, 72 | 44; 60,000: 55 | 36,
# 148 | 59, 111 | 52. A small model wins less than it takes to import Numba.
STEP_MINIMUM = 10_000

_gate = Gate(STEP_MINIMUM)


def step_each(
    name: str, table: Table, lines: Sequence[Line], grads: Sequence[Array], marks: Sequence[Mark], **options: Any
) -> None:
    """The step `name` ("adam_step") for each line (param, *state) with its gradient: in one launch, from some size on.

    table: keeps what does not change from one call to the next, where the caller keeps it. marks: the arguments that
    differ from line to line; options: those that do not. State that the options do without must be None.
    """
    total = 0
    for (param, *state), grad in zip(lines, grads, strict=True):
        shape, total = param.shape, total + param.size
        check_same_shape(name, "grad", grad.shape, shape)
        for array in state:
            if array is not None and array.shape != shape:
                check_same_shape(name, "state", array.shape, shape)
    module = reference if total < _gate.minimum else twins("optimizers")
    module.step_each(name, table, lines, grads, marks, options)


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
    step_each(
        "sgd_step",
        Table(),
        [(param, momentum_buffer)],
        [grad],
        [{"first_step": first_step}],
        lr=float(lr),
        momentum=float(momentum),
        dampening=float(dampening),
        weight_decay=float(weight_decay),
        nesterov=nesterov,
        maximize=maximize,
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
    maximize: bool = False,
) -> None:
    """One step of RMSprop on `param`, in place; see the reference for the formula.

    grad_avg: needed when `centered`. momentum_buffer: None when momentum is 0.
    """
    if centered and grad_avg is None:
        raise ValueError("rmsprop_step: centered=True needs grad_avg")
    _check("rmsprop_step", param, grad=grad, square_avg=square_avg, grad_avg=grad_avg, momentum_buffer=momentum_buffer)
    step_each(
        "rmsprop_step",
        Table(),
        [(param, square_avg, grad_avg if centered else None, momentum_buffer)],
        [grad],
        [{}],
        lr=float(lr),
        alpha=float(alpha),
        eps=float(eps),
        weight_decay=float(weight_decay),
        momentum=float(momentum),
        centered=centered,
        maximize=maximize,
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
    step_each(
        "adam_step",
        Table(),
        [(param, exp_avg, exp_avg_sq, max_exp_avg_sq if amsgrad else None)],
        [grad],
        [{"step": int(step)}],
        lr=float(lr),
        beta1=float(beta1),
        beta2=float(beta2),
        eps=float(eps),
        weight_decay=float(weight_decay),
        amsgrad=amsgrad,
        decoupled=decoupled,
        maximize=maximize,
    )


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
    """One step of Adagrad on `param`, in place; see the reference for the formula. step: counts from 1."""
    _check("adagrad_step", param, grad=grad, total=total)
    step_each(
        "adagrad_step",
        Table(),
        [(param, total)],
        [grad],
        [{"step": int(step)}],
        lr=float(lr),
        lr_decay=float(lr_decay),
        eps=float(eps),
        weight_decay=float(weight_decay),
        maximize=maximize,
    )


def _check(operation: str, param: Array, **arrays: Array | None) -> None:
    for name, array in arrays.items():
        if array is not None:
            check_same_shape(operation, name, array.shape, param.shape)
