"""Batch normalisation twins: one kernel a direction, parallel over channels, each of which stays in cache meanwhile.

Sums are in float64 and of differences from a value of the channel: a mean far larger than the deviations does no harm.
Each channel is one task's work from first to last, in one order: the number of threads changes no bit.
A matrix, whose channels are columns, goes to one thread: cut into columns for two, it took twice as long.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from .. import memory
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
    positive: bool,
    mean: Array,
    inv_std: Array,
    var: Array,
    shift: Array,
    y: Array,
) -> None:
    kind, count = x.dtype.type, x.shape[0] * x.shape[2]
    for c in range(first, last):
        start = np.float64(x[0, c, 0])
        start = start if np.isfinite(start) else np.float64(0)
        total = squares = 0.0
        for i in range(len(x)):
            d, d2 = _deviations(x[i, c], start)
            total += d
            squares += d2
        total /= count
        average, variance = start + total, squares / count - total * total
        variance = 0.0 if variance < 0 else variance
        rstd = 1 / math.sqrt(variance + eps)
        mean[c], var[c], inv_std[c] = average, variance, rstd
        # x - average in the arrays' own dtype: average = high + low, and what low makes is a constant
        high, scale = kind(average), kind(weight[c] * np.float64(inv_std[c]))
        offset = kind(bias[c] - (average - high) * weight[c] * rstd)
        shift[c] = offset
        for i in range(len(x)):
            line, out = x[i, c], y[i, c]
            if positive:
                for j in range(line.size):
                    out[j] = np.maximum((line[j] - high) * scale + offset, kind(0))
            else:
                for j in range(line.size):
                    out[j] = (line[j] - high) * scale + offset


_channels_serial = jit(parallel=False, fastmath=CONTRACT)(_channels)


@jit()
def _channels_parallel(
    x: Array,
    weight: Array,
    bias: Array,
    eps: float,
    positive: bool,
    mean: Array,
    inv_std: Array,
    var: Array,
    shift: Array,
    y: Array,
) -> None:
    for c in prange(x.shape[1]):
        _channels(x, weight, bias, eps, c, c + 1, positive, mean, inv_std, var, shift, y)


@inner(fastmath=SUMS)
def _open_products(
    grad: Array, x: Array, mean: float, high: float, scale: float, offset: float
) -> tuple[float, float, float]:
    """`_products` of a gradient that passes only where the result was above 0."""
    grads = deviations = products = 0.0
    for j in range(x.size):
        d = x[j] - mean
        g = 0.0 if (x[j] - high) * scale + offset <= 0 else np.float64(grad[j])
        grads += g
        deviations += d
        products += g * d
    return grads, deviations, products


@inner()
def _channels_backward(
    grad: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inv_std: Array,
    positive: bool,
    shift: Array,
    first: int,
    last: int,
    dweight: Array,
    dbias: Array,
    dx: Array,
) -> None:
    kind, count = x.dtype.type, x.shape[0] * x.shape[2]
    for c in range(first, last):
        grads = deviations = products = 0.0
        high, rstd = mean[c], np.float64(inv_std[c])
        scale, offset = kind(weight[c] * rstd), shift[c]
        for i in range(len(x)):
            if positive:
                g, d, p = _open_products(grad[i, c], x[i, c], np.float64(high), high, scale, offset)
            else:
                g, d, p = _products(grad[i, c], x[i, c], np.float64(high))
            grads += g
            deviations += d
            products += p
        error = deviations / count  # what rounding took from the mean that was saved
        products -= error * grads
        dbias[c], dweight[c] = grads, products * rstd
        exact = weight[c] * rstd
        slope = -exact * rstd * rstd * products / count
        b, constant = kind(slope), kind(-exact * grads / count - slope * error)
        for i in range(len(x)):
            g_line, line, out = grad[i, c], x[i, c], dx[i, c]
            if positive:
                for j in range(line.size):
                    d = line[j] - high
                    g = kind(0) if d * scale + offset <= 0 else g_line[j]
                    out[j] = g * scale + (d * b + constant)
            else:
                for j in range(line.size):
                    out[j] = g_line[j] * scale + ((line[j] - high) * b + constant)


_channels_backward_serial = jit(parallel=False, fastmath=CONTRACT)(_channels_backward)


@jit()
def _channels_backward_parallel(
    grad: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inv_std: Array,
    positive: bool,
    shift: Array,
    dweight: Array,
    dbias: Array,
    dx: Array,
) -> None:
    for c in prange(x.shape[1]):
        _channels_backward(grad, x, weight, mean, inv_std, positive, shift, c, c + 1, dweight, dbias, dx)


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
        high[j], scale[j] = average, weight[j] * np.float64(inv_std[j])
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
    """What the backward of matrices keeps of each column: three sums in float64, three terms in x's dtype."""
    return (*np.empty((3, x.shape[1])), *np.empty((3, x.shape[1]), x.dtype))


def _or_all(value: float, x: Array, given: Array | None) -> Array:
    """The parameter of each channel, or the value that changes nothing."""
    return readonly(np.full(x.shape[1], value, x.dtype) if given is None else given)


def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float, positive: bool
) -> tuple[Array, Array, Array, Array, Array]:
    """As the reference, which also serves the rare matrix that is to be positive."""
    source = _lines(x)
    if x.size == 0 or (positive and source.ndim == 2):
        return reference.batch_norm(x, weight, bias, eps, positive)
    y = memory.empty(x.shape, x.dtype)
    mean, inv_std, var, shift = (np.empty(x.shape[1], x.dtype) for _ in range(4))
    parameters = (_or_all(1, x, weight), _or_all(0, x, bias), float(eps))
    if source.ndim == 2:
        high, scale = (np.empty(x.shape[1], x.dtype) for _ in range(2))
        sums = np.empty((3, x.shape[1]))
        _columns(source, *parameters, *sums, high, scale, shift, mean, inv_std, var, y.reshape(source.shape))
        return y, mean, inv_std, var, shift
    out = (positive, mean, inv_std, var, shift, y.reshape(source.shape))
    if x.size < PARALLEL:
        _channels_serial(source, *parameters, 0, x.shape[1], *out)
    else:
        _channels_parallel(source, *parameters, *out)
    return y, mean, inv_std, var, shift


def batch_norm_backward(
    grad: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array, shift: Array | None
) -> tuple[Array, Array, Array]:
    """Gradients of x, of weight and of bias."""
    source = _lines(x)
    if x.size == 0 or (shift is not None and source.ndim == 2):
        return reference.batch_norm_backward(grad, x, weight, mean, inv_std, shift)
    dx = memory.empty(x.shape, x.dtype)
    dweight, dbias = np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    inputs = (_lines(grad), source, _or_all(1, x, weight), readonly(mean), readonly(inv_std))
    out = (dweight, dbias, dx.reshape(source.shape))
    if source.ndim == 2:
        _columns_backward(*inputs, *_scratch(x), *out)
        return dx, dweight, dbias
    gate = (shift is not None, readonly(mean if shift is None else shift))
    if x.size < PARALLEL:
        _channels_backward_serial(*inputs, *gate, 0, x.shape[1], *out)
    else:
        _channels_backward_parallel(*inputs, *gate, *out)
    return dx, dweight, dbias


@silent
def batch_norm_eval(x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float) -> Array:
    """(x - mean) / sqrt(var + eps) * weight + bias of each channel, with statistics that are given."""
    scale = 1 / np.sqrt(np.asarray(var, np.float64) + eps)
    if weight is not None:
        scale *= weight
    y = memory.empty(x.shape, x.dtype)
    source = _lines(x)
    kernel = _eval_columns if source.ndim == 2 else _eval
    kernel(source, readonly(mean), readonly(scale.astype(x.dtype)), _or_all(0, x, bias), y.reshape(source.shape))
    return y
