"""Softmax and cross-entropy twins: parallel over blocks of whole rows, over which exp runs at once while in cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from .. import memory
from ..quiet import Array
from ..reference import logits as reference
from .inner import CONTRACT, by_width, inner
from .jit import SUMS, jit, readonly

Kernel = Callable[..., None]

F32 = np.float32  # in Numba, a plain 0.5 would make float64 of a float32 expression, and so would an int64
I32 = np.int32

BLOCK = 4_096  # elements that one task takes, at least: in the first cache together with its result
# Elements from which several threads pay. One takes 60 us for 100,000; two take 35 awake, and 115 when they slept.
PARALLEL = 100_000

_serial = jit(fastmath=CONTRACT, parallel=False)


# exp of what is at most 0, as in `vector_math` but in two thirds of the steps: adding `magic` leaves round(v / ln 2) in
# the last bits of t, and what would be subnormal is 0.


def _exp32(v: Any) -> Any:
    magic = F32(12582912.0)
    x = F32(-87.33654) if v < F32(-87.33654) else v
    t = x * F32(1.4426950408889634) + magic
    k = t - magic
    r = (x - k * F32(0.693359375)) - k * F32(-2.1219444005469057e-4)
    p = F32(0.0013950445236643491) * r + F32(0.0083688861200143214)
    p = p * r + F32(0.041666207273122575)
    p = p * r + F32(0.16666519033986070)
    p = p * r + F32(0.50000000942035422)
    p = (p * r + F32(1.0)) * r + F32(1.0)
    p = p * I32(I32(F32(t).view(np.int32) << I32(23)) + I32(0x3F800000)).view(np.float32)
    return F32(0.0) if v < F32(-87.33654) else p


def _exp64(v: Any) -> Any:
    magic = 6755399441055744.0
    x = -708.396 if v < -708.396 else v
    t = x * 1.4426950408889634 + magic
    k = t - magic
    r = (x - k * 0.6931471803691238) - k * 1.9082149292705877e-10
    p = 2.5117708540507210e-8 * r + 2.7630989070304046e-7
    p = p * r + 2.7557216889330006e-6
    p = p * r + 2.4801490913148492e-5
    p = p * r + 1.9841269916566242e-4
    p = p * r + 0.0013888888945881831
    p = p * r + 0.0083333333333076846
    p = p * r + 0.041666666666520801
    p = p * r + 0.16666666666666698
    p = p * r + 0.50000000000000119
    p = (p * r + 1.0) * r + 1.0
    p = p * np.int64((np.float64(t).view(np.int64) << 52) + 0x3FF0000000000000).view(np.float64)
    return 0.0 if v < -708.396 else p


_exp = by_width(_exp32, _exp64)


def _order32(v: Any) -> Any:
    """The integer that orders as float32 does: LLVM vectorises its maximum, but that of floats only without NaN."""
    bits = F32(v).view(np.int32)
    return I32(bits ^ I32(I32(bits >> I32(31)) & I32(0x7FFFFFFF)))


def _order64(v: Any) -> Any:
    bits = np.float64(v).view(np.int64)
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)


def _value32(v: Any) -> Any:
    """The float32 of that place in the order."""
    return I32(v ^ I32(I32(v >> I32(31)) & I32(0x7FFFFFFF))).view(np.float32)


def _value64(v: Any) -> Any:
    return np.int64(v ^ ((v >> 63) & 0x7FFFFFFFFFFFFFFF)).view(np.float64)


_order = by_width(_order32, _order64)
_value = by_width(_value32, _value64)


@inner()
def _largest(row: Array) -> Any:
    """Largest element; NaN may win or be passed over: it comes out in the sum of exponentials anyway."""
    best = _order(row[0])
    for j in range(1, row.size):
        best = max(best, _order(row[j]))
    return _value(best)


@inner(fastmath=CONTRACT | {"reassoc"})
def _total(row: Array) -> float:
    total = 0.0
    for j in range(row.size):
        total += row[j]
    return total


@inner()
def _exp_in_place(x: Array) -> None:
    flat = x.reshape(-1)
    for j in range(flat.size):
        flat[j] = _exp(flat[j])


@inner()
def _exponentials(x: Array, out: Array, top: Array, total: Array) -> None:
    """exp(x - top) into out, where top is the largest element of each row, and total its sum of exponentials."""
    for i in range(len(x)):
        row, shifted, largest = x[i], out[i], _largest(x[i])
        top[i] = largest
        for j in range(row.size):
            shifted[j] = row[j] - largest
    _exp_in_place(out)
    for i in range(len(x)):
        total[i] = _total(out[i])


@inner()
def _softmax(x: Array, out: Array) -> None:
    top, total = np.empty(len(x), x.dtype), np.empty(len(x))
    _exponentials(x, out, top, total)
    for i in range(len(x)):
        row, factor = out[i], x.dtype.type(1 / total[i])
        for j in range(row.size):
            row[j] *= factor


_softmax_serial = _serial(_softmax)


@jit()
def _softmax_parallel(x: Array, rows: int, out: Array) -> None:
    for task in prange((len(x) + rows - 1) // rows):
        a, b = task * rows, min((task + 1) * rows, len(x))
        _softmax(x[a:b], out[a:b])


@inner()
def _log_softmax(x: Array, out: Array) -> None:
    top, total = np.empty(len(x), x.dtype), np.empty(len(x))
    _exponentials(x, out, top, total)
    for i in range(len(x)):
        row, target, largest, rest = x[i], out[i], top[i], x.dtype.type(math.log(total[i]))
        for j in range(row.size):
            target[j] = (row[j] - largest) - rest


_log_softmax_serial = _serial(_log_softmax)


@jit()
def _log_softmax_parallel(x: Array, rows: int, out: Array) -> None:
    for task in prange((len(x) + rows - 1) // rows):
        a, b = task * rows, min((task + 1) * rows, len(x))
        _log_softmax(x[a:b], out[a:b])


@inner()
def _log_softmax_backward(grad: Array, log_p: Array, out: Array) -> None:
    p, flat = log_p.reshape(-1), out.reshape(-1)
    for j in range(p.size):
        flat[j] = _exp(p[j])
    for i in range(len(grad)):
        line, row, total = grad[i], out[i], grad.dtype.type(_total(grad[i]))
        for j in range(row.size):
            row[j] = line[j] - row[j] * total


_log_softmax_backward_serial = _serial(_log_softmax_backward)


@jit()
def _log_softmax_backward_parallel(grad: Array, log_p: Array, rows: int, out: Array) -> None:
    for task in prange((len(grad) + rows - 1) // rows):
        a, b = task * rows, min((task + 1) * rows, len(grad))
        _log_softmax_backward(grad[a:b], log_p[a:b], out[a:b])


@inner()
def _cross_entropy(
    x: Array,
    labels: Array,
    weights: Array,
    ignore: int,
    smoothing: float,
    losses: Array,
    row_weights: Array,
    lse: Array,
) -> None:
    scratch, top, total = np.empty(x.shape, x.dtype), np.empty(len(x), x.dtype), np.empty(len(x))
    _exponentials(x, scratch, top, total)
    for i in range(len(x)):
        row, y, rest, largest = x[i], labels[i], math.log(total[i]), np.float64(top[i])
        lse[i] = largest + rest
        if y == ignore:
            losses[i] = row_weights[i] = 0
            continue
        row_weights[i] = weights[y]
        loss = (1 - smoothing) * weights[y] * (rest - (row[y] - largest))
        if smoothing != 0:
            smooth = 0.0
            for j in range(row.size):
                smooth += weights[j] * (rest - (row[j] - largest))
            loss += smoothing / row.size * smooth
        losses[i] = loss


_cross_entropy_serial = _serial(_cross_entropy)


@jit()
def _cross_entropy_parallel(
    x: Array,
    labels: Array,
    weights: Array,
    ignore: int,
    smoothing: float,
    rows: int,
    losses: Array,
    row_weights: Array,
    lse: Array,
) -> None:
    for task in prange((len(x) + rows - 1) // rows):
        a, b = task * rows, min((task + 1) * rows, len(x))
        _cross_entropy(x[a:b], labels[a:b], weights, ignore, smoothing, losses[a:b], row_weights[a:b], lse[a:b])


@inner()
def _cross_entropy_backward(
    grad: Array, x: Array, labels: Array, weights: Array, ignore: int, smoothing: float, lse: Array, out: Array
) -> None:
    kind = x.dtype.type
    for i in range(len(x)):
        row, target, high = x[i], out[i], kind(lse[i])
        low = kind(lse[i] - high)
        for j in range(row.size):
            target[j] = (row[j] - high) - low
    _exp_in_place(out)
    everything = _total(weights)
    for i in range(len(x)):
        target, y = out[i], labels[i]
        if y == ignore:
            target[:] = 0
            continue
        at_label = grad[i] * (1 - smoothing) * weights[y]
        elsewhere = grad[i] * smoothing / target.size
        factor, share = kind(at_label + elsewhere * everything), kind(elsewhere)
        for j in range(target.size):
            target[j] = target[j] * factor - share * weights[j]
        target[y] -= kind(at_label)


_cross_entropy_backward_serial = _serial(_cross_entropy_backward)


@jit()
def _cross_entropy_backward_parallel(
    grad: Array,
    x: Array,
    labels: Array,
    weights: Array,
    ignore: int,
    smoothing: float,
    lse: Array,
    rows: int,
    out: Array,
) -> None:
    for task in prange((len(x) + rows - 1) // rows):
        a, b = task * rows, min((task + 1) * rows, len(x))
        _cross_entropy_backward(grad[a:b], x[a:b], labels[a:b], weights, ignore, smoothing, lse[a:b], out[a:b])


@inner(fastmath=SUMS)
def _product(x: Array, y: Array) -> float:
    total = 0.0
    for j in range(x.size):
        total += np.float64(x[j]) * y[j]
    return total


@inner()
def _softmax_backward(grad: Array, p: Array, out: Array) -> None:
    for i in range(len(grad)):
        line, source, row, total = grad[i], p[i], out[i], grad.dtype.type(_product(grad[i], p[i]))
        for j in range(row.size):
            row[j] = (line[j] - total) * source[j]


_softmax_backward_serial = _serial(_softmax_backward)


@jit()
def _softmax_backward_parallel(grad: Array, p: Array, rows: int, out: Array) -> None:
    for task in prange((len(grad) + rows - 1) // rows):
        a, b = task * rows, min((task + 1) * rows, len(grad))
        _softmax_backward(grad[a:b], p[a:b], out[a:b])


def _run(
    serial: Callable[..., None], blocks: Callable[..., None], x: Array, inputs: tuple[Any, ...], *out: Array
) -> None:
    if x.size < PARALLEL:
        serial(*inputs, *out)
    else:
        blocks(*inputs, max(1, BLOCK // x.shape[1]), *out)


def log_softmax(x: Array) -> Array:
    """x - log(sum(exp(x))) of each row."""
    out = memory.empty(x.shape, x.dtype)
    if x.size:
        _run(_log_softmax_serial, _log_softmax_parallel, x, (readonly(x),), out)
    return out


def log_softmax_backward(grad: Array, log_p: Array) -> Array:
    """grad - exp(log_p) * sum(grad) of each row."""
    out = memory.empty(grad.shape, grad.dtype)
    if grad.size:
        inputs = (readonly(grad), readonly(log_p))
        _run(_log_softmax_backward_serial, _log_softmax_backward_parallel, grad, inputs, out)
    return out


def softmax(x: Array) -> Array:
    """exp(x) / sum(exp(x)) of each row."""
    out = memory.empty(x.shape, x.dtype)
    if x.size:
        _run(_softmax_serial, _softmax_parallel, x, (readonly(x),), out)
    return out


def softmax_backward(grad: Array, p: Array) -> Array:
    """(grad - sum(grad * p)) * p of each row."""
    out = memory.empty(grad.shape, grad.dtype)
    if grad.size:
        _run(_softmax_backward_serial, _softmax_backward_parallel, grad, (readonly(grad), readonly(p)), out)
    return out


def _or_ones(x: Array, weights: Array | None) -> Array:
    return readonly(np.ones(x.shape[1], x.dtype) if weights is None else weights)


def cross_entropy(
    logits: Array, labels: Array, weights: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array, Array]:
    """Loss of each row, weight of each row, and the log of each row's sum of exponentials."""
    if logits.size == 0:
        return reference.cross_entropy(logits, labels, weights, ignore_index, label_smoothing)
    count = len(logits)
    out = (np.empty(count, logits.dtype), np.empty(count, logits.dtype), np.empty(count))
    inputs = (readonly(logits), readonly(labels), _or_ones(logits, weights), ignore_index, float(label_smoothing))
    _run(_cross_entropy_serial, _cross_entropy_parallel, logits, inputs, *out)
    return out


def cross_entropy_backward(
    row_gradients: Array,
    logits: Array,
    labels: Array,
    weights: Array | None,
    ignore_index: int,
    label_smoothing: float,
    lse: Array,
) -> Array:
    """dlogits, given the gradient of each row's loss."""
    out = memory.empty(logits.shape, logits.dtype)
    if logits.size:
        rows = (readonly(row_gradients), readonly(logits), readonly(labels))
        inputs = (*rows, _or_ones(logits, weights), ignore_index, float(label_smoothing), readonly(lse))
        _run(_cross_entropy_backward_serial, _cross_entropy_backward_parallel, logits, inputs, out)
    return out
