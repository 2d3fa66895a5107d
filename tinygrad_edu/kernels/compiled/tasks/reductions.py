"""Sums, in float64."""

from __future__ import annotations

from ...quiet import Array
from ..inner import inner
from ..lanes import number
from ..sums import total_of
from .views import carray, pointer, share, word


def sum_rows(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: rows, length, blocks of a row, their size, x (rows, length), out (rows, blocks), the sum of each block."""
    rows, length, blocks, block = word(args, 0), word(args, 1), word(args, 2), word(args, 3)
    x, zero = word(args, 4), number(itemsize)
    out = carray(pointer(word(args, 5), 0.0), (rows * blocks,))
    begin, end = share(rows * blocks, thread, threads)
    for task in range(begin, end):
        first = task % blocks * block
        out[task] = total_of(x + (task // blocks * length + first) * itemsize, min(block, length - first), zero)


@inner()
def add_rows(x: Array, total: Array) -> None:
    """The sum of the rows of x."""
    for j in range(total.size):
        total[j] = 0.0
    for i in range(len(x)):
        line = x[i]
        for j in range(line.size):
            total[j] += line[j]


def sum_columns(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """args: rows, columns, rows of a block, x (rows, columns), out (blocks, columns), the sums of each block."""
    rows, columns, block = word(args, 0), word(args, 1), word(args, 2)
    x, zero = word(args, 3), number(itemsize)
    begin, end = share((rows + block - 1) // block, thread, threads)
    for part in range(begin, end):
        first = part * block
        here = min(block, rows - first)
        total = carray(pointer(word(args, 4) + part * columns * 8, 0.0), (columns,))
        add_rows(carray(pointer(x + first * columns * itemsize, zero), (here, columns)), total)
