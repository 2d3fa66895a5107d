"""The matrix product: BLAS through NumPy, with a Numba twin."""

from __future__ import annotations

from .backend import NEVER, Gate, twins
from .quiet import Array
from .reference import products as reference

# BLAS wins: float32, NumPy | Numba in us: 64 x 64 6 | 18, 256 x 256 154 | 505, 128 x 784 x 256 234 | 1368, a batch of
# 512 products 16 x 8 x 16 61 | 92. The twin runs when a test forces it.
_matmul = Gate(NEVER)


def matmul(x: Array, y: Array) -> Array:
    """x (..., n, k), y (..., k, m) -> (..., n, m), the leading dims broadcast.

    Raises ValueError when the shapes do not fit.
    """
    if x.size < _matmul.minimum:
        return reference.matmul(x, y)
    product: Array = twins("products").matmul(x, y)
    return product
