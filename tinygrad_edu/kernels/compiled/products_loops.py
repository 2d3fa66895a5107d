"""A matrix times a vector, in parallel loops; `products` calls them."""

from __future__ import annotations

from numba import prange

from ..quiet import Array
from .jit import SUMS, jit


@jit(fastmath=SUMS)
def rows_times(x: Array, y: Array, piece: int, out: Array) -> None:
    """x (n, k) times y (k,), a sum along each row."""
    for task in prange((len(x) + piece - 1) // piece):
        for i in range(task * piece, min((task + 1) * piece, len(x))):
            line, total = x[i], out.dtype.type(0)
            for j in range(line.size):
                total += line[j] * y[j]
            out[i] = total


@jit()
def columns_times(x: Array, y: Array, piece: int, out: Array) -> None:
    """Transposed x (k, n), y (k,): a sum of rows, a piece of their columns in each task."""
    for task in prange((out.size + piece - 1) // piece):
        first, last = task * piece, min((task + 1) * piece, out.size)
        target = out[first:last]
        target[:] = 0
        for k in range(len(x)):
            line, factor = x[k, first:last], y[k]
            for j in range(target.size):
                target[j] += factor * line[j]
