"""Layer normalisation twins: one kernel a direction, parallel over blocks of rows.

Sums are in float64 and of differences from a value of the row. Blocks have a fixed size and their shares of the
parameters' gradients are added in order: the number of threads changes no bit.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from .. import memory
from ..quiet import Array, quiet
from ..reference import layer_norm as reference
from .inner import CONTRACT, inner
from .jit import SUMS, jit, readonly

# Elements from which several threads pay. One takes 48 us for 200,000; two take 30 awake, and 110 when they slept.
PARALLEL = 200_000
BLOCK = 16_384  # elements that one task takes, at least
TASKS = 64  # at most, for each keeps a gradient of the parameters


@inner(fastmath=SUMS)
def _deviations(x: Array, shift: float) -> tuple[float, float]:
    """Sum of the differences from shift, and of their squares."""
    total = squares = 0.0
    for j in range(x.size):
        d = x[j] - shift
        total += d
        squares += d * d
    return total, squares


@inner(fastmath=SUMS)
def _products(grad: Array, x: Array, weight: Array, mean: float) -> tuple[float, float, float]:
    """Sums of grad * weight, of the deviations of x from mean, and of their products."""
    grads = deviations = products = 0.0
    for j in range(x.size):
        d = x[j] - mean
        g = np.float64(grad[j]) * weight[j]
        grads += g
        deviations += d
        products += g * d
    return grads, deviations, products


@inner()
def _rows(x: Array, weight: Array, bias: Array, eps: float, mean: Array, inv_std: Array, y: Array) -> None:
    kind, count = x.dtype.type, x.shape[1]
    for i in range(len(x)):
        row, out = x[i], y[i]
        shift = np.float64(row[0])
        shift = shift if np.isfinite(shift) else np.float64(0)
        total, squares = _deviations(row, shift)
        total /= count
        average, variance = shift + total, squares / count - total * total
        variance = 0.0 if variance < 0 else variance
        rstd = 1 / math.sqrt(variance + eps)
        mean[i], inv_std[i] = average, rstd
        # x - average in the arrays' own dtype: average = high + low, and what low makes is a constant
        high, scale = kind(average), kind(rstd)
        offset = kind((high - average) * rstd)
        for j in range(count):
            out[j] = ((row[j] - high) * scale + offset) * weight[j] + bias[j]


_rows_serial = jit(parallel=False, fastmath=CONTRACT)(_rows)


@jit()
def _rows_parallel(
    x: Array, weight: Array, bias: Array, eps: float, rows: int, mean: Array, inv_std: Array, y: Array
) -> None:
    for task in prange((len(x) + rows - 1) // rows):
        a, b = task * rows, min((task + 1) * rows, len(x))
        _rows(x[a:b], weight, bias, eps, mean[a:b], inv_std[a:b], y[a:b])


@inner()
def _rows_backward(
    grad: Array, x: Array, weight: Array, mean: Array, inv_std: Array, dweight: Array, dbias: Array, dx: Array
) -> None:
    kind, count = x.dtype.type, x.shape[1]
    dweight[:] = 0
    dbias[:] = 0
    for i in range(len(x)):
        g_row, row, out, high = grad[i], x[i], dx[i], mean[i]
        grads, deviations, products = _products(g_row, row, weight, np.float64(high))
        error = deviations / count  # what rounding took from the mean that was saved
        products -= error * grads
        rstd = np.float64(inv_std[i])
        slope = -rstd * rstd * rstd * products / count
        offset = kind(-rstd * grads / count - slope * error)
        a, b, scale, shift = kind(rstd), kind(slope), kind(rstd), kind(-error * rstd)
        for j in range(count):
            d = row[j] - high
            out[j] = g_row[j] * weight[j] * a + (d * b + offset)
            dweight[j] += g_row[j] * (d * scale + shift)
            dbias[j] += g_row[j]


@jit(parallel=False)
def _rows_backward_serial(
    grad: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inv_std: Array,
    rows: int,
    dweight: Array,
    dbias: Array,
    dx: Array,
) -> None:
    _rows_backward(grad, x, weight, mean, inv_std, dweight[0], dbias[0], dx)


@jit()
def _rows_backward_parallel(
    grad: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inv_std: Array,
    rows: int,
    dweight: Array,
    dbias: Array,
    dx: Array,
) -> None:
    for task in prange(len(dweight)):
        a, b = task * rows, min((task + 1) * rows, len(x))
        _rows_backward(grad[a:b], x[a:b], weight, mean[a:b], inv_std[a:b], dweight[task], dbias[task], dx[a:b])


def _block(x: Array) -> int:
    """Rows that one task takes."""
    return max(1, -(-BLOCK // x.shape[1]), -(-x.shape[0] // TASKS))


def _or_all(value: float, x: Array, given: Array | None) -> Array:
    """The parameter of each column, or the value that changes nothing."""
    return readonly(np.full(x.shape[1], value, x.dtype) if given is None else given)


def layer_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """(x - mean) / sqrt(var + eps) * weight + bias of each row, the mean (m,), and 1 / sqrt(var + eps) (m,)."""
    if x.size == 0:
        return reference.layer_norm(x, weight, bias, eps)
    inputs = (readonly(x), _or_all(1, x, weight), _or_all(0, x, bias), float(eps))
    out = (np.empty(len(x), x.dtype), np.empty(len(x), x.dtype), memory.empty(x.shape, x.dtype))
    if x.size < PARALLEL:
        _rows_serial(*inputs, *out)
    else:
        _rows_parallel(*inputs, _block(x), *out)
    mean, inv_std, y = out
    return y, mean, inv_std


def layer_norm_backward(
    grad: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """Gradients of x, of weight and of bias."""
    if x.size == 0:
        return reference.layer_norm_backward(grad, x, weight, mean, inv_std)
    serial = x.size < PARALLEL
    rows = len(x) if serial else _block(x)
    dx = memory.empty(x.shape, x.dtype)
    dweight, dbias = (np.empty((-(-len(x) // rows), x.shape[1])) for _ in range(2))
    kernel = _rows_backward_serial if serial else _rows_backward_parallel
    inputs = (readonly(grad), readonly(x), _or_all(1, x, weight), readonly(mean), readonly(inv_std))
    kernel(*inputs, rows, dweight, dbias, dx)
    sums = (np.asarray(quiet.run(np.add.reduce, part, axis=0), np.float64) for part in (dweight, dbias))
    dweight, dbias = (quiet.run(np.ndarray.astype, total, x.dtype) for total in sums)
    return dx, dweight, dbias
