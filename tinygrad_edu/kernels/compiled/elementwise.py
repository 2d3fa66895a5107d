"""Elementwise twins: one parallel loop each over contiguous arrays of one shape.

Other layouts and other broadcasts go back to the reference, which walks them without a copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from ..quiet import Array
from ..reference import elementwise as reference
from .jit import jit, readonly

# Constants of the arrays' own dtype: in Numba, 1 / x and 1 + x are float64 already where x is float32.


@jit()
def _square(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = x[i] * x[i]


@jit()
def _sqrt(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = math.sqrt(x[i])


@jit()
def _relu(x: Array, out: Array) -> None:
    zero = x.dtype.type(0)
    for i in prange(x.size):
        out[i] = np.maximum(x[i], zero)  # unlike max(), keeps NaN


@jit()
def _exp(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = math.exp(x[i])


@jit()
def _log(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = math.log(x[i])


@jit()
def _tanh(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = math.tanh(x[i])


@jit()
def _sigmoid(x: Array, out: Array) -> None:
    one = x.dtype.type(1)
    for i in prange(x.size):
        out[i] = one / (one + math.exp(-x[i]))  # 1 / inf = 0 where exp overflows


@jit()
def _erf(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = math.erf(x[i])


@jit()
def _add(x: Array, y: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = x[i] + y[i]


@jit()
def _sub(x: Array, y: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = x[i] - y[i]


@jit()
def _mul(x: Array, y: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = x[i] * y[i]


@jit()
def _div(x: Array, y: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = x[i] / y[i]


@jit()
def _maximum(x: Array, y: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = np.maximum(x[i], y[i])


@jit()
def _minimum(x: Array, y: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = np.minimum(x[i], y[i])


@jit()
def _where(condition: Array, x: Array, y: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = x[i] if condition[i] else y[i]


@jit()
def _relu_gate(x: Array, y: Array, out: Array) -> None:
    zero = x.dtype.type(0)
    for i in prange(x.size):
        out[i] = zero if y[i] <= zero else x[i]


def _whole(kernel: Callable[..., None], fallback: Callable[..., Array]) -> Callable[..., Array]:
    """The public twin: `kernel` on flat arrays, `fallback` for what it does not take."""

    def apply(*arrays: Array) -> Array:
        last = arrays[-1]
        if last.dtype.kind != "f":
            return fallback(*arrays)  # integers have no twin
        for array in arrays:
            if array.shape != last.shape or not array.flags.c_contiguous or not array.flags.aligned:
                return fallback(*arrays)
            if array.dtype != last.dtype and array.dtype != np.bool_:
                return fallback(*arrays)  # NumPy knows what dtype the two make
        out = np.empty(last.shape, last.dtype)
        kernel(*[readonly(array).reshape(-1) for array in arrays], out.reshape(-1))
        return out

    apply.__name__ = kernel.__name__.strip("_")
    return apply


square = _whole(_square, reference.square)
sqrt = _whole(_sqrt, reference.sqrt)
relu = _whole(_relu, reference.relu)
relu_gate = _whole(_relu_gate, reference.relu_gate)
exp = _whole(_exp, reference.exp)
log = _whole(_log, reference.log)
tanh = _whole(_tanh, reference.tanh)
sigmoid = _whole(_sigmoid, reference.sigmoid)
erf = _whole(_erf, reference.erf)
add = _whole(_add, reference.add)
sub = _whole(_sub, reference.sub)
mul = _whole(_mul, reference.mul)
div = _whole(_div, reference.div)
maximum = _whole(_maximum, reference.maximum)
minimum = _whole(_minimum, reference.minimum)
where: Any = _whole(_where, reference.where)
