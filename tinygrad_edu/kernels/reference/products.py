"""The matrix product, by BLAS."""

from __future__ import annotations

import numpy as np

from ..quiet import Array, quiet


def matmul(x: Array, y: Array) -> Array:
    """x (..., n, k), y (..., k, m) -> (..., n, m), the leading dims broadcast."""
    product: Array = quiet.run(np.matmul, _for_blas(x), _for_blas(y))
    return product


def _for_blas(x: Array) -> Array:
    # BLAS takes a matrix whose rows or columns are contiguous (so x and x.mT); NumPy runs any other one through
    # a plain triple loop, some 50 times slower than this copy.
    row, column = x.strides[-2:]
    if (column == x.itemsize and row >= x.itemsize) or (row == x.itemsize and column >= x.itemsize):
        return x
    return x.copy()


def affine(x: Array, weight: Array, bias: Array, positive: bool) -> Array:
    """x (n, k), weight (m, k), bias (m,) -> x weightᵀ + bias (n, m), and max(0, .) of it if `positive`."""
    out = matmul(x, weight.T)
    quiet.run(np.add, out, bias, out=out)
    return quiet.run(np.maximum, out, 0, out=out) if positive else out
