"""One number after the other."""

from __future__ import annotations

from ...quiet import Array
from ..inner import inner
from ..lanes import number
from .views import carray, pointer, share, word


@inner()
def relu_each(x: Array, out: Array) -> None:
    zero = x.dtype.type(0)
    for i in range(x.size):
        out[i] = zero if x[i] <= zero else x[i]  # NaN stays


@inner()
def relu_gate_each(x: Array, y: Array, out: Array) -> None:
    zero = x.dtype.type(0)
    for i in range(x.size):
        out[i] = zero if y[i] <= zero else x[i]


def relu(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: count, x, out."""
    begin, end = share(word(args, 0), thread, threads)
    zero, skip = number(itemsize), begin * itemsize
    x = carray(pointer(word(args, 1) + skip, zero), (end - begin,))
    relu_each(x, carray(pointer(word(args, 2) + skip, zero), (end - begin,)))


def relu_gate(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: count, x, y, out."""
    begin, end = share(word(args, 0), thread, threads)
    zero, skip = number(itemsize), begin * itemsize
    x = carray(pointer(word(args, 1) + skip, zero), (end - begin,))
    y = carray(pointer(word(args, 2) + skip, zero), (end - begin,))
    relu_gate_each(x, y, carray(pointer(word(args, 3) + skip, zero), (end - begin,)))
