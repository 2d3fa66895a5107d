"""Batch normalisation twins: one kernel a direction, parallel over channels, each of which stays in cache meanwhile.

Sums are in float64 and of differences from a value of the channel: a mean far larger than the deviations does no harm.
Each channel is one task's work from first to last, in one order: the number of threads changes no bit.
A matrix, whose channels are columns, goes to one thread: cut into columns for two, it took twice as long.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ..quiet import Array, silent
from ..reference import batch_norm as reference
from .inner import CONTRACT, inner
from .jit import SUMS, jit, readonly

# Elements from which several threads pay. One takes 43 us for 200,000; two take 27 awake, and 109 when they slept.
PARALLEL = 200_000


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
def _products(grad: Array, x: Array, mean: float) -> tuple[float, float, float]:
    """Sums of grad, of the deviations of x from mean, and of their products."""
    grads = deviations = products = 0.0
    for j in range(x.size):
        d = x[j] - mean
        grads += grad[j]
        deviations += d
        products += grad[j] * d
    return grads, deviations, products


@inner()
def _channels(
    x: Array,
    weight: Array,
    bias: Array,
    eps: float,
    first: int,
    last: int,
    mean: Array,
    inv_std: Array,
    var: Array,
    y: Array,
) -> None:
    kind, count = x.dtype.type, x.shape[0] * x.shape[2]
    for c in range(first, last):
        shift = np.float64(x[0, c, 0])
        shift = shift if np.isfinite(shift) else np.float64(0)
        total = squares = 0.0
        for i in range(len(x)):
            d, d2 = _deviations(x[i, c], shift)
            total += d
            squares += d2
        total /= count
        average, variance = shift + total, squares / count - total * total
        variance = 0.0 if variance < 0 else variance
        rstd = 1 / math.sqrt(variance + eps)
        mean[c], var[c], inv_std[c] = average, variance, rstd
        # x - average in the arrays' own dtype: average = high + low, and what low makes is a constant
        high, scale = kind(average), kind(weight[c] * rstd)
        offset = kind(bias[c] - (average - high) * weight[c] * rstd)
        for i in range(len(x)):
            line, out = x[i, c], y[i, c]
            for j in range(line.size):
                out[j] = (line[j] - high) * scale + offset


_channels_serial = jit(parallel=False, fastmath=CONTRACT)(_channels)


@jit()
def _channels_parallel(
    x: Array, weight: Array, bias: Array, eps: float, mean: Array, inv_std: Array, var: Array, y: Array
) -> None:
    for c in prange(x.shape[1]):
        _channels(x, weight, bias, eps, c, c + 1, mean, inv_std, var, y)


@inner()
def _channels_backward(
    grad: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inv_std: Array,
    first: int,
    last: int,
    dweight: Array,
    dbias: Array,
    dx: Array,
) -> None:
    kind, count = x.dtype.type, x.shape[0] * x.shape[2]
    for c in range(first, last):
        grads = deviations = products = 0.0
        for i in range(len(x)):
            g, d, p = _products(grad[i, c], x[i, c], np.float64(mean[c]))
            grads += g
            deviations += d
            products += p
        error = deviations / count  # what rounding took from the mean that was saved
        products -= error * grads
        rstd = np.float64(inv_std[c])
        dbias[c], dweight[c] = grads, products * rstd
        scale = weight[c] * rstd
        slope = -scale * rstd * rstd * products / count
        high, a, b = mean[c], kind(scale), kind(slope)
        offset = kind(-scale * grads / count - slope * error)
        for i in range(len(x)):
            g_line, line, out = grad[i, c], x[i, c], dx[i, c]
            for j in range(line.size):
                out[j] = g_line[j] * a + ((line[j] - high) * b + offset)


_channels_backward_serial = jit(parallel=False, fastmath=CONTRACT)(_channels_backward)


@jit()
def _channels_backward_parallel(
    grad: Array, x: Array, weight: Array, mean: Array, inv_std: Array, dweight: Array, dbias: Array, dx: Array
) -> None:
    for c in prange(x.shape[1]):
        _channels_backward(grad, x, weight, mean, inv_std, c, c + 1, dweight, dbias, dx)


@jit(parallel=False, fastmath=CONTRACT)
def _columns(
    x: Array,
    weight: Array,
    bias: Array,
    eps: float,
    shift: Array,
    total: Array,
    squares: Array,
    high: Array,
    scale: Array,
    offset: Array,
    mean: Array,
    inv_std: Array,
    var: Array,
    y: Array,
) -> None:
    """x (n, c): along the rows. The scratch comes as arrays apart, since of rows of one LLVM fears an overlap."""
    for j in range(shift.size):
        value = np.float64(x[0, j])
        shift[j] = value if np.isfinite(value) else 0.0
        total[j] = squares[j] = 0
    for i in range(len(x)):
        line = x[i]
        for j in range(line.size):
            d = line[j] - shift[j]
            total[j] += d
            squares[j] += d * d
    for j in range(shift.size):
        d = total[j] / len(x)
        average, variance = shift[j] + d, squares[j] / len(x) - d * d
        variance = 0.0 if variance < 0 else variance
        rstd = 1 / math.sqrt(variance + eps)
        mean[j], var[j], inv_std[j] = average, variance, rstd
        high[j], scale[j] = average, weight[j] * rstd
        offset[j] = bias[j] - (average - high[j]) * weight[j] * rstd
    for i in range(len(x)):
        line, out = x[i], y[i]
        for j in range(line.size):
            out[j] = (line[j] - high[j]) * scale[j] + offset[j]


@jit(parallel=False, fastmath=CONTRACT)
def _columns_backward(
    grad: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inv_std: Array,
    grads: Array,
    deviations: Array,
    products: Array,
    a: Array,
    b: Array,
    offset: Array,
    dweight: Array,
    dbias: Array,
    dx: Array,
) -> None:
    for j in range(grads.size):
        grads[j] = deviations[j] = products[j] = 0
    for i in range(len(x)):
        g_line, line = grad[i], x[i]
        for j in range(line.size):
            d = np.float64(line[j]) - mean[j]
            grads[j] += g_line[j]
            deviations[j] += d
            products[j] += g_line[j] * d
    for j in range(grads.size):
        error, rstd = deviations[j] / len(x), np.float64(inv_std[j])
        product = products[j] - error * grads[j]
        dbias[j], dweight[j] = grads[j], product * rstd
        scale = weight[j] * rstd
        slope = -scale * rstd * rstd * product / len(x)
        a[j], b[j], offset[j] = scale, slope, -scale * grads[j] / len(x) - slope * error
    for i in range(len(x)):
        g_line, line, out = grad[i], x[i], dx[i]
        for j in range(line.size):
            out[j] = g_line[j] * a[j] + ((line[j] - mean[j]) * b[j] + offset[j])


@jit()
def _eval(x: Array, mean: Array, scale: Array, bias: Array, y: Array) -> None:
    for line in prange(x.shape[0] * x.shape[1]):
        i, c = line // x.shape[1], line % x.shape[1]
        source, out, high, a, b = x[i, c], y[i, c], mean[c], scale[c], bias[c]
        for j in range(source.size):
            out[j] = (source[j] - high) * a + b


@jit()
def _eval_columns(x: Array, mean: Array, scale: Array, bias: Array, y: Array) -> None:
    for i in prange(len(x)):
        source, out = x[i], y[i]
        for j in range(source.size):
            out[j] = (source[j] - mean[j]) * scale[j] + bias[j]


def _lines(x: Array) -> Array:
    """x (n, c, ...) as (n, c, rest), or (n, c) where nothing is left."""
    flat = readonly(x)
    rest = math.prod(x.shape[2:])
    return flat.reshape(x.shape[:2]) if rest == 1 else flat.reshape(*x.shape[:2], rest)


def _scratch(x: Array) -> tuple[Array, ...]:
    """What the kernels for matrices keep of each column: three sums in float64, three terms in x's dtype."""
    return (*np.empty((3, x.shape[1])), *np.empty((3, x.shape[1]), x.dtype))


def _or_all(value: float, x: Array, given: Array | None) -> Array:
    """The parameter of each channel, or the value that changes nothing."""
    return readonly(np.full(x.shape[1], value, x.dtype) if given is None else given)


def batch_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array, Array]:
    """(x - mean) / sqrt(var + eps) * weight + bias of each channel, the mean, 1 / sqrt(var + eps), and var."""
    if x.size == 0:
        return reference.batch_norm(x, weight, bias, eps)
    y = np.empty(x.shape, x.dtype)
    mean, inv_std, var = (np.empty(x.shape[1], x.dtype) for _ in range(3))
    source = _lines(x)
    parameters = (_or_all(1, x, weight), _or_all(0, x, bias), float(eps))
    out = (mean, inv_std, var, y.reshape(source.shape))
    if source.ndim == 2:
        _columns(source, *parameters, *_scratch(x), *out)
    elif x.size < PARALLEL:
        _channels_serial(source, *parameters, 0, x.shape[1], *out)
    else:
        _channels_parallel(source, *parameters, *out)
    return y, mean, inv_std, var


def batch_norm_backward(
    grad: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """Gradients of x, of weight and of bias."""
    if x.size == 0:
        return reference.batch_norm_backward(grad, x, weight, mean, inv_std)
    dx = np.empty(x.shape, x.dtype)
    dweight, dbias = np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    source = _lines(x)
    inputs = (_lines(grad), source, _or_all(1, x, weight), readonly(mean), readonly(inv_std))
    out = (dweight, dbias, dx.reshape(source.shape))
    if source.ndim == 2:
        _columns_backward(*inputs, *_scratch(x), *out)
    elif x.size < PARALLEL:
        _channels_backward_serial(*inputs, 0, x.shape[1], *out)
    else:
        _channels_backward_parallel(*inputs, *out)
    return dx, dweight, dbias


@silent
def batch_norm_eval(x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float) -> Array:
    """(x - mean) / sqrt(var + eps) * weight + bias of each channel, with statistics that are given."""
    scale = 1 / np.sqrt(np.asarray(var, np.float64) + eps)
    if weight is not None:
        scale *= weight
    y = np.empty(x.shape, x.dtype)
    source = _lines(x)
    kernel = _eval_columns if source.ndim == 2 else _eval
    kernel(source, readonly(mean), readonly(scale.astype(x.dtype)), _or_all(0, x, bias), y.reshape(source.shape))
    return y
