"""Optimiser twins: one pass over the parameter and its state, in place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import prange

from ..quiet import Array
from .jit import jit, readonly

# Absent state is an empty array: one compiled version each, not one for every combination of options.


@jit()
def _sgd(
    grad: Array,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    sign: float,
    nesterov: bool,
    first_step: bool,
    buffer: Array,
    param: Array,
) -> None:
    for i in prange(param.size):
        g = sign * grad[i]
        if weight_decay != 0:
            g += weight_decay * param[i]
        if buffer.size > 0:
            v = g if first_step else momentum * buffer[i] + (1 - dampening) * g
            buffer[i] = v
            g = g + momentum * v if nesterov else v
        param[i] -= lr * g


@jit()
def _rmsprop(
    grad: Array,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    square_avg: Array,
    grad_avg: Array,
    buffer: Array,
    param: Array,
) -> None:
    for i in prange(param.size):
        g = 1.0 * grad[i]  # float64 from here on
        if weight_decay != 0:
            g += weight_decay * param[i]
        variance = alpha * square_avg[i] + (1 - alpha) * g * g
        square_avg[i] = variance
        if grad_avg.size > 0:
            mean = grad_avg[i] + (1 - alpha) * (g - grad_avg[i])
            grad_avg[i] = mean
            variance -= mean * mean
        update = g / (math.sqrt(variance) + eps)
        if buffer.size > 0:
            update += momentum * buffer[i]
            buffer[i] = update
        param[i] -= lr * update


@jit()
def _adam(
    grad: Array,
    size: float,
    scale: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    shrink: float,
    sign: float,
    exp_avg: Array,
    exp_avg_sq: Array,
    max_exp_avg_sq: Array,
    param: Array,
) -> None:
    """size = lr / (1 - beta1^step), scale = sqrt(1 - beta2^step), shrink = 1 - lr weight_decay of AdamW."""
    for i in prange(param.size):
        p = shrink * param[i]
        g = sign * grad[i]
        if weight_decay != 0:
            g += weight_decay * p
        m = exp_avg[i] + (1 - beta1) * (g - exp_avg[i])
        v = beta2 * exp_avg_sq[i] + (1 - beta2) * g * g
        exp_avg[i] = m
        exp_avg_sq[i] = v
        if max_exp_avg_sq.size > 0:
            if max_exp_avg_sq[i] > v or max_exp_avg_sq[i] != max_exp_avg_sq[i]:
                v = 1.0 * max_exp_avg_sq[i]
            max_exp_avg_sq[i] = v
        param[i] = p - size * m / (math.sqrt(v) / scale + eps)


class _InPlace:
    """Flat contiguous stand-ins of arrays that a kernel writes to; those that had to be copies are copied back."""

    def __init__(self, arrays: Sequence[Array | None], dtype: np.dtype[np.generic]) -> None:
        self._pairs: list[tuple[Array, Array]] = []
        self.flat: list[Array] = []
        for array in arrays:
            if array is None:
                self.flat.append(np.empty(0, dtype))
                continue
            if not array.flags.writeable:
                raise ValueError("an optimiser step writes to its parameter and state: one of them is read-only")
            work = array
            if not (array.flags.c_contiguous and array.flags.aligned):
                work = array.copy(order="C")
                self._pairs.append((array, work))
            self.flat.append(work.reshape(-1))

    def __enter__(self) -> list[Array]:
        return self.flat

    def __exit__(self, *error: object) -> None:
        for array, work in self._pairs:
            array[...] = work


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
    """See the reference."""
    sign = -1.0 if maximize else 1.0
    with _InPlace([momentum_buffer, param], param.dtype) as state:
        _sgd(_flat(grad), lr, momentum, dampening, weight_decay, sign, bool(nesterov), bool(first_step), *state)


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
    """See the reference."""
    with _InPlace([square_avg, grad_avg if centered else None, momentum_buffer, param], param.dtype) as state:
        _rmsprop(_flat(grad), lr, alpha, eps, weight_decay, momentum, *state)


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
    """See the reference."""
    size, scale = lr / (1 - beta1**step), math.sqrt(1 - beta2**step)
    shrink = 1 - lr * weight_decay if decoupled else 1.0
    decay = 0.0 if decoupled else weight_decay
    sign = -1.0 if maximize else 1.0
    with _InPlace([exp_avg, exp_avg_sq, max_exp_avg_sq if amsgrad else None, param], param.dtype) as state:
        _adam(_flat(grad), size, scale, beta1, beta2, eps, decay, shrink, sign, *state)


def _flat(grad: Array) -> Array:
    return readonly(grad).reshape(-1)
