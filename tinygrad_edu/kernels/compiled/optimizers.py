"""Optimiser twins: one pass over any number of parameters and their state, in place, each thread an equal share.

The arithmetic is that of the reference, operation by operation in the parameter's own dtype, so that every bit is the
same whichever of the two runs, on however many threads. Loops go over short chunks, which stay in the L1 cache from
one loop to the next: with more than four arrays in one loop, LLVM gives up proving that they do not overlap, and with
that the use of vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types

from ..flat import BEGIN, COLUMNS, END, FIRST, GRAD, PARAM, SECOND, STATES, Line, Mark, Table
from ..quiet import Array
from ..reference import optimizers as reference
from .lanes import Emit, intrinsic, number, word
from .native import get_threads, launch

CHUNK = 1024  # elements
# Elements from which on threads pay, one | two in us: 200,000 of SGD with momentum 55 | 50, 400,000 87 | 63, of Adam
# 145 | 118, 1e6 182 | 138, 331 | 210; where the threads sleep, waking them costs up to 300.
PARALLEL = 500_000

Plan = tuple[tuple[float, ...], list[tuple[float, float]]]

compiler: Any = numba
kinds: Any = types
carray: Any = compiler.carray
helper: Any = compiler.njit(error_model="numpy")


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(context: Any, address: Any, like: Any) -> Emit:
    """An address as a pointer to numbers of the type of `like`."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(like).as_pointer())

    return kinds.CPointer(like)(kinds.int64, like), emit


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
    return carray(_pointer(address + start * itemsize, like), (count if address else 0,))


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


def _sgd(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """This thread's share of a step. args: numbers of lines and of elements, addresses of the table and the options."""
    begin, end = word(args, 1) * thread // threads, word(args, 1) * (thread + 1) // threads
    for line in range(word(args, 2), word(args, 2) + word(args, 0) * COLUMNS * 8, COLUMNS * 8):
        first, last = max(begin, word(line, BEGIN)), min(end, word(line, END))
        for at in range(first, last, CHUNK):
            count = min(CHUNK, last - at)
            _sgd_chunk(line, at - word(line, BEGIN), count, word(args, 3), itemsize, number(itemsize))


def _rmsprop(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """As `_sgd`."""
    begin, end = word(args, 1) * thread // threads, word(args, 1) * (thread + 1) // threads
    for line in range(word(args, 2), word(args, 2) + word(args, 0) * COLUMNS * 8, COLUMNS * 8):
        first, last = max(begin, word(line, BEGIN)), min(end, word(line, END))
        for at in range(first, last, CHUNK):
            count = min(CHUNK, last - at)
            _rmsprop_chunk(line, at - word(line, BEGIN), count, word(args, 3), itemsize, number(itemsize))


def _adam(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """As `_sgd`."""
    begin, end = word(args, 1) * thread // threads, word(args, 1) * (thread + 1) // threads
    for line in range(word(args, 2), word(args, 2) + word(args, 0) * COLUMNS * 8, COLUMNS * 8):
        first, last = max(begin, word(line, BEGIN)), min(end, word(line, END))
        for at in range(first, last, CHUNK):
            count = min(CHUNK, last - at)
            _adam_chunk(line, at - word(line, BEGIN), count, word(args, 3), itemsize, number(itemsize))


def _adagrad(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """As `_sgd`."""
    begin, end = word(args, 1) * thread // threads, word(args, 1) * (thread + 1) // threads
    for line in range(word(args, 2), word(args, 2) + word(args, 0) * COLUMNS * 8, COLUMNS * 8):
        first, last = max(begin, word(line, BEGIN)), min(end, word(line, END))
        for at in range(first, last, CHUNK):
            count = min(CHUNK, last - at)
            _adagrad_chunk(line, at - word(line, BEGIN), count, word(args, 3), itemsize, number(itemsize))


# What each kernel is given: the options that all parameters share, and two numbers for each parameter.


def _sgd_plan(
    marks: Sequence[Mark],
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> Plan:
    shared = (lr, momentum, 1 - dampening, weight_decay, -1.0 if maximize else 1.0, float(nesterov))
    return shared, [(float(mark["first_step"]), 0.0) for mark in marks]


def _rmsprop_plan(
    marks: Sequence[Mark],
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> Plan:
    return (lr, alpha, 1 - alpha, eps, weight_decay, momentum, -1.0 if maximize else 1.0), [NOTHING] * len(marks)


def _adam_plan(
    marks: Sequence[Mark],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    decoupled: bool,
    maximize: bool,
) -> Plan:
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    corrections = {
        step: (lr / (1 - beta1**step), math.sqrt(1 - beta2**step)) for step in {mark["step"] for mark in marks}
    }
    shared = (1 - beta1, beta2, 1 - beta2, eps, decay, shrink, -1.0 if maximize else 1.0)
    return shared, [corrections[mark["step"]] for mark in marks]


def _adagrad_plan(
    marks: Sequence[Mark], *, lr: float, lr_decay: float, eps: float, weight_decay: float, maximize: bool
) -> Plan:
    shared = (eps, weight_decay, -1.0 if maximize else 1.0)
    return shared, [(lr / (1 + (mark["step"] - 1) * lr_decay), 0.0) for mark in marks]


NOTHING = (0.0, 0.0)
KERNELS: dict[str, tuple[Callable[..., None], Callable[..., Plan]]] = {
    "sgd_step": (_sgd, _sgd_plan),
    "rmsprop_step": (_rmsprop, _rmsprop_plan),
    "adam_step": (_adam, _adam_plan),
    "adagrad_step": (_adagrad, _adagrad_plan),
}


def step_each(
    name: str, table: Table, lines: Sequence[Line], grads: Sequence[Array], marks: Sequence[Mark], options: Mark
) -> None:
    """One launch for all parameters that lie in memory as it needs them; NumPy for the others."""
    kernel, plan = KERNELS[name]
    places = table.places(lines)
    if len(places) < len(lines):
        rest = sorted(set(range(len(lines))).difference(places))
        reference.step_each(name, table, *_chosen(rest, lines, grads, marks), options)
        lines, grads, marks = _chosen(places, lines, grads, marks)
    if not table.total:
        return
    shared, numbers = plan(marks, **options)
    grads = [table.readable(grad) for grad in grads]
    table.fill(grads, numbers)
    reals = np.array(shared, np.float64)
    args = np.array((len(lines), table.total, table.address, reals.ctypes.data), np.int64)
    threads = get_threads() if table.total >= PARALLEL else 1
    launch(kernel, (table.dtype.itemsize, 0, 0), args, threads)


def _chosen(
    places: Sequence[int], lines: Sequence[Line], grads: Sequence[Array], marks: Sequence[Mark]
) -> tuple[list[Line], list[Array], list[Mark]]:
    return [lines[k] for k in places], [grads[k] for k in places], [marks[k] for k in places]


__all__ = ["step_each"]
