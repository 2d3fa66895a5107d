"""Softmax and cross-entropy, by blocks of whole rows, over which exp runs at once while they are in cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...quiet import Array
from ..inner import by_width, inner
from ..lanes import number
from ..sums import total_of, total_of_products
from ..vector_math import log
from .views import carray, pointer, real, share, word

F32 = np.float32  # in Numba, a plain 0.5 would make float64 of a float32 expression, and so would an int64
I32 = np.int32


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


@inner()
def _flat(x: Array) -> Array:
    flat: Array = carray(pointer(x.ctypes.data, x.dtype.type(0)), (x.size,))
    return flat


@inner()
def _exp_in_place(x: Array) -> None:
    flat = _flat(x)
    for j in range(flat.size):
        flat[j] = _exp(flat[j])


@inner()
def _exponentials(x: Array, out: Array, stats: Array) -> None:
    """exp(x - top) into out, where top is the largest element of a row; stats (2, rows): top, sum of exponentials."""
    for i in range(len(x)):
        row, shifted, largest = x[i], out[i], _largest(x[i])
        stats[0, i] = largest
        for j in range(row.size):
            shifted[j] = row[j] - largest
    _exp_in_place(out)
    for i in range(len(x)):
        stats[1, i] = total_of(out[i].ctypes.data, out.shape[1], x.dtype.type(0))


@inner()
def softmax_rows(x: Array, out: Array, stats: Array) -> None:
    _exponentials(x, out, stats)
    for i in range(len(x)):
        row, factor = out[i], x.dtype.type(1 / stats[1, i])
        for j in range(row.size):
            row[j] *= factor


@inner()
def log_softmax_rows(x: Array, out: Array, stats: Array) -> None:
    _exponentials(x, out, stats)
    kind = x.dtype.type
    for i in range(len(x)):
        row, target, largest, rest = x[i], out[i], kind(stats[0, i]), kind(log(stats[1, i]))
        for j in range(row.size):
            target[j] = (row[j] - largest) - rest


@inner()
def log_softmax_backward_rows(grad: Array, log_p: Array, out: Array) -> None:
    zero = grad.dtype.type(0)
    p, flat = _flat(log_p), _flat(out)
    for j in range(p.size):
        flat[j] = _exp(p[j])
    for i in range(len(grad)):
        line, row = grad[i], out[i]
        total = grad.dtype.type(total_of(line.ctypes.data, line.size, zero))
        for j in range(row.size):
            row[j] = line[j] - row[j] * total


@inner()
def cross_entropy_rows(
    x: Array,
    labels: Array,
    weights: Array,
    ignore: int,
    smoothing: float,
    losses: Array,
    row_weights: Array,
    lse: Array,
    scratch: Array,
    stats: Array,
) -> None:
    _exponentials(x, scratch, stats)
    for i in range(len(x)):
        row, y, rest, largest = x[i], labels[i], log(stats[1, i]), stats[0, i]
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


@inner()
def cross_entropy_backward_rows(
    grad: Array, x: Array, labels: Array, weights: Array, ignore: int, smoothing: float, lse: Array, out: Array
) -> None:
    kind = x.dtype.type
    for i in range(len(x)):
        row, target, high = x[i], out[i], kind(lse[i])
        low = kind(lse[i] - high)
        for j in range(row.size):
            target[j] = (row[j] - high) - low
    _exp_in_place(out)
    everything = total_of(weights.ctypes.data, weights.size, kind(0))
    for i in range(len(x)):
        target, y = out[i], labels[i]
        if y == ignore:
            for j in range(target.size):
                target[j] = 0
            continue
        at_label = grad[i] * (1 - smoothing) * weights[y]
        elsewhere = grad[i] * smoothing / target.size
        factor, share = kind(at_label + elsewhere * everything), kind(elsewhere)
        for j in range(target.size):
            target[j] = target[j] * factor - share * weights[j]
        target[y] -= kind(at_label)


@inner()
def softmax_backward_rows(grad: Array, p: Array, out: Array) -> None:
    zero = grad.dtype.type(0)
    for i in range(len(grad)):
        line, source, row = grad[i], p[i], out[i]
        total = grad.dtype.type(total_of_products(line.ctypes.data, source.ctypes.data, row.size, zero))
        for j in range(row.size):
            row[j] = (line[j] - total) * source[j]


# The words of each kernel begin with: rows, columns, rows of a block, scratch, and its bytes for each thread.


@inner()
def _matrix(address: int, row: int, rows: int, columns: int, zero: float, itemsize: int) -> Any:
    """`rows` rows from `row` on of the matrix at an address."""
    return carray(pointer(address + row * columns * itemsize, zero), (rows, columns))


@inner()
def _vector(address: int, first: int, count: int, zero: float, itemsize: int) -> Any:
    return carray(pointer(address + first * itemsize, zero), (count,))


@inner()
def _blocks(args: int, thread: int, threads: int) -> Any:
    """This thread's first and last block."""
    return share((word(args, 0) + word(args, 2) - 1) // max(word(args, 2), 1), thread, threads)


@inner()
def _stats(args: int, thread: int, rows: int) -> Any:
    return carray(pointer(word(args, 3) + thread * word(args, 4), 0.0), (2, rows))


def softmax(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: ..., x, out."""
    columns, block, zero = word(args, 1), word(args, 2), number(itemsize)
    begin, end = _blocks(args, thread, threads)
    for row in range(begin * block, min(end * block, word(args, 0)), max(block, 1)):
        rows = min(block, word(args, 0) - row)
        x = _matrix(word(args, 5), row, rows, columns, zero, itemsize)
        out = _matrix(word(args, 6), row, rows, columns, zero, itemsize)
        softmax_rows(x, out, _stats(args, thread, rows))


def log_softmax(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: ..., x, out."""
    columns, block, zero = word(args, 1), word(args, 2), number(itemsize)
    begin, end = _blocks(args, thread, threads)
    for row in range(begin * block, min(end * block, word(args, 0)), max(block, 1)):
        rows = min(block, word(args, 0) - row)
        x = _matrix(word(args, 5), row, rows, columns, zero, itemsize)
        out = _matrix(word(args, 6), row, rows, columns, zero, itemsize)
        log_softmax_rows(x, out, _stats(args, thread, rows))


def softmax_backward(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: ..., grad, p, out."""
    columns, block, zero = word(args, 1), word(args, 2), number(itemsize)
    begin, end = _blocks(args, thread, threads)
    for row in range(begin * block, min(end * block, word(args, 0)), max(block, 1)):
        rows = min(block, word(args, 0) - row)
        grad = _matrix(word(args, 5), row, rows, columns, zero, itemsize)
        p = _matrix(word(args, 6), row, rows, columns, zero, itemsize)
        out = _matrix(word(args, 7), row, rows, columns, zero, itemsize)
        softmax_backward_rows(grad, p, out)


def log_softmax_backward(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: ..., grad, log_p, out."""
    columns, block, zero = word(args, 1), word(args, 2), number(itemsize)
    begin, end = _blocks(args, thread, threads)
    for row in range(begin * block, min(end * block, word(args, 0)), max(block, 1)):
        rows = min(block, word(args, 0) - row)
        grad = _matrix(word(args, 5), row, rows, columns, zero, itemsize)
        log_p = _matrix(word(args, 6), row, rows, columns, zero, itemsize)
        out = _matrix(word(args, 7), row, rows, columns, zero, itemsize)
        log_softmax_backward_rows(grad, log_p, out)


def cross_entropy(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: ..., x, labels, weights, ignored label, smoothing (float64), losses, row weights, logsumexp."""
    columns, block, zero = word(args, 1), word(args, 2), number(itemsize)
    begin, end = _blocks(args, thread, threads)
    for row in range(begin * block, min(end * block, word(args, 0)), max(block, 1)):
        rows = min(block, word(args, 0) - row)
        x = _matrix(word(args, 5), row, rows, columns, zero, itemsize)
        labels, weights = _vector(word(args, 6), row, rows, 0, 8), _vector(word(args, 7), 0, columns, zero, itemsize)
        losses = _vector(word(args, 10), row, rows, zero, itemsize)
        row_weights = _vector(word(args, 11), row, rows, zero, itemsize)
        lse = _vector(word(args, 12), row, rows, 0.0, 8)
        scratch = _matrix(word(args, 3) + thread * word(args, 4) + 16 * block, 0, rows, columns, zero, itemsize)
        cross_entropy_rows(
            x, labels, weights, word(args, 8), real(args, 9), losses, row_weights, lse, scratch,
            _stats(args, thread, rows),
        )  # fmt: skip


def cross_entropy_backward(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: ..., gradients of the rows, x, labels, weights, ignored label, smoothing (float64), logsumexp, out."""
    columns, block, zero = word(args, 1), word(args, 2), number(itemsize)
    begin, end = _blocks(args, thread, threads)
    for row in range(begin * block, min(end * block, word(args, 0)), max(block, 1)):
        rows = min(block, word(args, 0) - row)
        grad, x = (
            _vector(word(args, 5), row, rows, zero, itemsize),
            _matrix(word(args, 6), row, rows, columns, zero, itemsize),
        )
        labels, weights = _vector(word(args, 7), row, rows, 0, 8), _vector(word(args, 8), 0, columns, zero, itemsize)
        lse = _vector(word(args, 11), row, rows, 0.0, 8)
        out = _matrix(word(args, 12), row, rows, columns, zero, itemsize)
        cross_entropy_backward_rows(grad, x, labels, weights, word(args, 9), real(args, 10), lse, out)
