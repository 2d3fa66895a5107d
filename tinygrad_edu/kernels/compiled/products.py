"""The matrix product by plain loops."""

from __future__ import annotations

import numpy as np
from numba import prange

from ..quiet import Array
from .jit import SUMS, jit, readonly

ROWS = 8  # of x that one task takes: each row of y, once in cache, serves them all


@jit(fastmath=SUMS)
def _matmul(x: Array, y: Array, rows: int, out: Array) -> None:
    """x (b, n, k), y (b, k, m) -> out (b, n, m), by rows of y, along which LLVM vectorises."""
    parts = (x.shape[1] + rows - 1) // rows
    for task in prange(x.shape[0] * parts):
        b, part = task // parts, task % parts
        first, last = part * rows, min((part + 1) * rows, x.shape[1])
        out[b, first:last] = 0
        for k in range(x.shape[2]):
            source = y[b, k]
            for i in range(first, last):
                target, factor = out[b, i], x[b, i, k]
                for j in range(target.size):
                    target[j] += factor * source[j]


def matmul(x: Array, y: Array) -> Array:
    """x (..., n, k), y (..., k, m) -> (..., n, m), the leading dims broadcast."""
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(f"matmul: x is {x.shape} and y is {y.shape}; x's last dim must equal y's second-last")
    lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    out = np.empty((*lead, x.shape[-2], y.shape[-1]), x.dtype)
    if out.size:
        batch = out.size // (out.shape[-2] * out.shape[-1])
        x3 = np.broadcast_to(x, (*lead, *x.shape[-2:]))
        y3 = np.broadcast_to(y, (*lead, *y.shape[-2:]))
        _matmul(
            readonly(x3).reshape(batch, *x.shape[-2:]),
            readonly(y3).reshape(batch, *y.shape[-2:]),
            ROWS,
            out.reshape(batch, *out.shape[-2:]),
        )
    return out
