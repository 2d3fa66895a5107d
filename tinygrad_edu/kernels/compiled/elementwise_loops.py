"""Elementwise twins: one parallel loop each over contiguous arrays of one shape.

The four operations also take a second array that repeats along leading or trailing dims (a row, a column, channels).
Other layouts and other broadcasts go back to the reference, which walks them without a copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from .. import memory
from ..quiet import Array
from ..reference import elementwise as reference
from . import vector_math
from .elementwise import _whole
from .jit import jit, readonly

# Constants of the arrays' own dtype: in Numba, 1 / x and 1 + x are float64 already where x is float32.

PIECE = 8_192  # elements of a line that one task takes
ADD, SUB, SUB_FROM, MUL, DIV, DIV_INTO = range(6)  # SUB_FROM and DIV_INTO: the repeated array comes first


@jit()
def _square(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = x[i] * x[i]


@jit()
def _sqrt(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = math.sqrt(x[i])


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
def _spread_lines(operation: int, x: Array, y: Array, group: int, piece: int, out: Array) -> None:
    """x (before, own, length); y (own,), one number for each line. A task takes a piece of each line of a group."""
    groups, pieces = (y.size + group - 1) // group, (x.shape[2] + piece - 1) // piece
    for task in prange(len(x) * groups * pieces):
        i, first, start = task // pieces // groups, task // pieces % groups * group, task % pieces * piece
        for c in range(first, min(first + group, y.size)):
            line, target, v = x[i, c, start : start + piece], out[i, c, start : start + piece], y[c]
            if operation == ADD:
                for j in range(line.size):
                    target[j] = line[j] + v
            elif operation == SUB:
                for j in range(line.size):
                    target[j] = line[j] - v
            elif operation == SUB_FROM:
                for j in range(line.size):
                    target[j] = v - line[j]
            elif operation == MUL:
                for j in range(line.size):
                    target[j] = line[j] * v
            elif operation == DIV:
                for j in range(line.size):
                    target[j] = line[j] / v
            else:
                for j in range(line.size):
                    target[j] = v / line[j]


@jit()
def _spread_rows(operation: int, x: Array, y: Array, out: Array) -> None:
    """x (rows, length); y (length,), the same for each row."""
    for i in prange(len(x)):
        line, target = x[i], out[i]
        if operation == ADD:
            for j in range(line.size):
                target[j] = line[j] + y[j]
        elif operation == SUB:
            for j in range(line.size):
                target[j] = line[j] - y[j]
        elif operation == SUB_FROM:
            for j in range(line.size):
                target[j] = y[j] - line[j]
        elif operation == MUL:
            for j in range(line.size):
                target[j] = line[j] * y[j]
        elif operation == DIV:
            for j in range(line.size):
                target[j] = line[j] / y[j]
        else:
            for j in range(line.size):
                target[j] = y[j] / line[j]


def _repeats(shape: tuple[int, ...], small: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Sizes (before, own, after) if an array of shape `small` repeats before and after its own dims to fill `shape`."""
    padded = (1,) * (len(shape) - len(small)) + small
    own = [dim for dim in range(len(shape)) if padded[dim] != 1]
    first, last = own[0], own[-1] + 1  # there is one: small holds more than one element
    if len(small) > len(shape) or padded[first:last] != shape[first:last]:
        return None
    return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])


def _spread(operation: int, x: Array, y: Array) -> Array | None:
    """The operation on x and a smaller y that repeats; None where the kernels do not take them."""
    for array in (x, y):
        if array.dtype != x.dtype or not array.flags.c_contiguous or not array.flags.aligned:
            return None
    # with a scalar, NumPy is as fast
    sizes = _repeats(x.shape, y.shape) if x.dtype.kind == "f" and x.size and y.size > 1 else None
    if sizes is None:
        return None
    before, own, after = sizes
    out = memory.empty(x.shape, x.dtype)
    if after == 1:
        _spread_rows(operation, readonly(x).reshape(before, own), readonly(y).reshape(-1), out.reshape(before, own))
    else:
        group = max(1, PIECE // after)
        _spread_lines(operation, readonly(x).reshape(sizes), readonly(y).reshape(-1), group, PIECE, out.reshape(sizes))
    return out


def _broadcast(
    kernel: Callable[..., None], fallback: Callable[..., Array], second: int, first: int
) -> Callable[..., Array]:
    """The public twin of an operation on two arrays, of which the second or the first may be smaller and repeat."""
    same = _whole(kernel, fallback)

    def apply(x: Array, y: Array) -> Array:
        if x.shape == y.shape:
            return same(x, y)
        out = _spread(second, x, y) if x.size >= y.size else _spread(first, y, x)
        return fallback(x, y) if out is None else out

    apply.__name__ = kernel.__name__.strip("_")
    return apply


square = _whole(_square, reference.square)
sqrt = _whole(_sqrt, reference.sqrt)
exp = _whole(vector_math.exp_each, reference.exp)
log = _whole(vector_math.log_each, reference.log)
tanh = _whole(vector_math.tanh_each, reference.tanh)
sigmoid = _whole(vector_math.sigmoid_each, reference.sigmoid)
erf = _whole(vector_math.erf_each, reference.erf)
add = _broadcast(_add, reference.add, ADD, ADD)
sub = _broadcast(_sub, reference.sub, SUB, SUB_FROM)
mul = _broadcast(_mul, reference.mul, MUL, MUL)
div = _broadcast(_div, reference.div, DIV, DIV_INTO)
maximum = _whole(_maximum, reference.maximum)
minimum = _whole(_minimum, reference.minimum)
where: Any = _whole(_where, reference.where)
