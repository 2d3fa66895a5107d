"""The steps of the optimisers: see `optimizers`."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types

from ...flat import BEGIN, COLUMNS, END, FIRST, GRAD, PARAM, SECOND, STATES
from ..lanes import Emit, intrinsic, number, word
from .views import carray, helper, pointer

CHUNK = 1024  # elements


@intrinsic  # type: ignore[untyped-decorator]
def _real(context: Any, address: Any, place: Any, like: Any) -> Emit:
    """The float64 in word `place` at an address, rounded to the type of `like`."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = builder.add(args[0], builder.mul(args[1], ir.Constant(ir.IntType(64), 8)))
        value = builder.load(builder.inttoptr(at, ir.DoubleType().as_pointer()))
        return context.cast(builder, value, types.float64, like)

    return like(types.int64, types.int64, like), emit


@helper  # type: ignore[untyped-decorator]
def _floats(line: int, column: int, start: int, count: int, itemsize: int, like: float) -> Any:
    """`count` numbers from number `start` on of the array whose address is in a column of a line; none if it is 0."""
    address = word(line, column)
    return carray(pointer(address + start * itemsize, like), (count if address else 0,))


# Each kernel below works on a chunk: numbers `at` of `count` in a line of the table. `o`: the address of the options.


@helper  # type: ignore[untyped-decorator]
def _sgd_chunk(line: int, at: int, count: int, o: int, itemsize: int, like: float) -> None:
    lr, momentum, kept, decay, sign = (
        _real(o, 0, like),
        _real(o, 1, like),
        _real(o, 2, like),
        _real(o, 3, like),
        _real(o, 4, like),
    )
    nesterov, first = _real(o, 5, like) != 0, _real(line, FIRST, like) != 0
    param, grad = _floats(line, PARAM, at, count, itemsize, like), _floats(line, GRAD, at, count, itemsize, like)
    buffer = _floats(line, STATES, at, count, itemsize, like)
    if buffer.size == 0:
        for i in range(count):
            g = sign * grad[i]
            if decay != 0:
                g += decay * param[i]
            param[i] -= lr * g
        return
    for i in range(count):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        v = g if first else momentum * buffer[i] + kept * g
        buffer[i] = v
        param[i] -= lr * (g + momentum * v if nesterov else v)


@helper  # type: ignore[untyped-decorator]
def _rmsprop_chunk(line: int, at: int, count: int, o: int, itemsize: int, like: float) -> None:
    lr, alpha, rest, eps = _real(o, 0, like), _real(o, 1, like), _real(o, 2, like), _real(o, 3, like)
    decay, momentum, sign = _real(o, 4, like), _real(o, 5, like), _real(o, 6, like)
    param, grad = _floats(line, PARAM, at, count, itemsize, like), _floats(line, GRAD, at, count, itemsize, like)
    square_avg = _floats(line, STATES, at, count, itemsize, like)
    grad_avg = _floats(line, STATES + 1, at, count, itemsize, like)
    buffer = _floats(line, STATES + 2, at, count, itemsize, like)
    for i in range(count):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        square_avg[i] = alpha * square_avg[i] + rest * g * g
    for i in range(grad_avg.size):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        grad_avg[i] += rest * (g - grad_avg[i])
    centered = grad_avg.size > 0
    mean = grad_avg if centered else square_avg
    if buffer.size == 0:
        for i in range(count):
            g = sign * grad[i]
            if decay != 0:
                g += decay * param[i]
            variance = square_avg[i] - mean[i] * mean[i] if centered else square_avg[i]
            param[i] -= lr * (g / (math.sqrt(variance) + eps))
        return
    for i in range(count):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        variance = square_avg[i] - mean[i] * mean[i] if centered else square_avg[i]
        buffer[i] = momentum * buffer[i] + g / (math.sqrt(variance) + eps)
    for i in range(count):
        param[i] -= lr * buffer[i]


@helper  # type: ignore[untyped-decorator]
def _adam_chunk(line: int, at: int, count: int, o: int, itemsize: int, like: float) -> None:
    rest1, beta2, rest2, eps = _real(o, 0, like), _real(o, 1, like), _real(o, 2, like), _real(o, 3, like)
    decay, shrink, sign = _real(o, 4, like), _real(o, 5, like), _real(o, 6, like)
    size, scale = _real(line, FIRST, like), _real(line, SECOND, like)
    param, grad = _floats(line, PARAM, at, count, itemsize, like), _floats(line, GRAD, at, count, itemsize, like)
    exp_avg = _floats(line, STATES, at, count, itemsize, like)
    exp_avg_sq = _floats(line, STATES + 1, at, count, itemsize, like)
    largest = _floats(line, STATES + 2, at, count, itemsize, like)
    for i in range(count):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        exp_avg[i] += rest1 * (g - exp_avg[i])
        exp_avg_sq[i] = beta2 * exp_avg_sq[i] + rest2 * g * g
    for i in range(largest.size):
        v = exp_avg_sq[i]
        if v > largest[i] or v != v:  # a NaN that is there already stays
            largest[i] = v
    second = largest if largest.size else exp_avg_sq
    for i in range(count):
        param[i] = shrink * param[i] - size * exp_avg[i] / (math.sqrt(second[i]) / scale + eps)


@helper  # type: ignore[untyped-decorator]
def _adagrad_chunk(line: int, at: int, count: int, o: int, itemsize: int, like: float) -> None:
    eps, decay, sign, lr = _real(o, 0, like), _real(o, 1, like), _real(o, 2, like), _real(line, FIRST, like)
    param, grad = _floats(line, PARAM, at, count, itemsize, like), _floats(line, GRAD, at, count, itemsize, like)
    total = _floats(line, STATES, at, count, itemsize, like)
    for i in range(count):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        total[i] += g * g
        param[i] -= lr * g / (math.sqrt(total[i]) + eps)


def sgd(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """This thread's share of a step. args: numbers of lines and of elements, addresses of the table and the options."""
    begin, end = word(args, 1) * thread // threads, word(args, 1) * (thread + 1) // threads
    for line in range(word(args, 2), word(args, 2) + word(args, 0) * COLUMNS * 8, COLUMNS * 8):
        first, last = max(begin, word(line, BEGIN)), min(end, word(line, END))
        for at in range(first, last, CHUNK):
            count = min(CHUNK, last - at)
            _sgd_chunk(line, at - word(line, BEGIN), count, word(args, 3), itemsize, number(itemsize))


def rmsprop(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """As `sgd`."""
    begin, end = word(args, 1) * thread // threads, word(args, 1) * (thread + 1) // threads
    for line in range(word(args, 2), word(args, 2) + word(args, 0) * COLUMNS * 8, COLUMNS * 8):
        first, last = max(begin, word(line, BEGIN)), min(end, word(line, END))
        for at in range(first, last, CHUNK):
            count = min(CHUNK, last - at)
            _rmsprop_chunk(line, at - word(line, BEGIN), count, word(args, 3), itemsize, number(itemsize))


def adam(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """As `sgd`."""
    begin, end = word(args, 1) * thread // threads, word(args, 1) * (thread + 1) // threads
    for line in range(word(args, 2), word(args, 2) + word(args, 0) * COLUMNS * 8, COLUMNS * 8):
        first, last = max(begin, word(line, BEGIN)), min(end, word(line, END))
        for at in range(first, last, CHUNK):
            count = min(CHUNK, last - at)
            _adam_chunk(line, at - word(line, BEGIN), count, word(args, 3), itemsize, number(itemsize))


def adagrad(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """As `sgd`."""
    begin, end = word(args, 1) * thread // threads, word(args, 1) * (thread + 1) // threads
    for line in range(word(args, 2), word(args, 2) + word(args, 0) * COLUMNS * 8, COLUMNS * 8):
        first, last = max(begin, word(line, BEGIN)), min(end, word(line, END))
        for at in range(first, last, CHUNK):
            count = min(CHUNK, last - at)
            _adagrad_chunk(line, at - word(line, BEGIN), count, word(args, 3), itemsize, number(itemsize))
