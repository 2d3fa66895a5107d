"""The matrix product, and the affine map of a linear layer: BLAS through NumPy while small, then the Numba twin."""

from __future__ import annotations

from .backend import Gate, twins
from .quiet import Array
from .reference import products as reference

# Multiplications from which on the twin runs. Up to 64 x 64 x 64 OpenBLAS stays on one thread; above, its own threads
# would wake and clash with those of the other kernels. Measured on two cores of an AVX-512 EPYC, float32, NumPy | Numba
# in us: 64 x 64 x 64 6 | 13, 128 x 120 x 84 15 | 20, 256 x 256 x 256 154 | 99, 128 x 784 x 256 240 | 160.
MATMUL_MINIMUM = 64 * 64 * 64 + 1
MATVEC_MINIMUM = 9_217  # of a matrix and a vector: where OpenBLAS wakes its threads

_matmul = Gate(MATMUL_MINIMUM)
_matvec = Gate(MATVEC_MINIMUM)
_affine = Gate(MATMUL_MINIMUM)


def matmul(x: Array, y: Array) -> Array:
    """x (..., n, k), y (..., k, m) -> (..., n, m), the leading dims broadcast.

    Raises ValueError when the shapes do not fit.
    """
    if x.dtype.kind == "f":
        columns, rows = y.shape[-1], x.shape[-2]
        if x.size * columns >= _matmul.minimum or (
            (columns == 1 or rows == 1) and max(x.size, y.size) >= _matvec.minimum
        ):
            product: Array = twins("products").matmul(x, y)
            return product
    return reference.matmul(x, y)


def affine(x: Array, weight: Array, bias: Array, positive: bool = False) -> Array:
    """x (n, k), weight (m, k), bias (m,) -> x weightᵀ + bias (n, m), and max(0, .) of it if `positive` (NaN stays)."""
    module = reference if x.size * len(weight) < _affine.minimum else twins("products")
    out: Array = module.affine(x, weight, bias, positive)
    return out
