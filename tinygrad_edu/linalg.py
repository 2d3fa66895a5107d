"""Linear algebra in PyTorch's names: norms, inverses, systems, determinants and factorisations (of stacks of matrices).

Gradients: all but qr, svd, svdvals, eig and the matrix norms made of singular values (2, −2 and "nuc").
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from tinygrad_edu import missing, ops
from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.errors import DTypeError, LinAlgError, ShapeError
from tinygrad_edu.functions import products, reductions, return_types
from tinygrad_edu.functions.common import check_tensor, numpy_names, plain
from tinygrad_edu.functions.linear import matmul
from tinygrad_edu.functions.shaping import matrix_transpose
from tinygrad_edu.ops.basic import where
from tinygrad_edu.ops.pointwise import abs
from tinygrad_edu.ops.shapes import one_dim
from tinygrad_edu.tensor import Tensor

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "vecdot",
    "vector_norm",
]


def _matrices(name: str, A: Tensor) -> Tensor:
    A = check_tensor(name, A, "A")
    if A.array.ndim < 2:
        raise ShapeError(f"{name}: the input tensor A must have at least 2 dimensions, got {A.array.shape}")
    if not A.is_floating_point():
        raise DTypeError(f"{name}: expected a floating point tensor as input, got {A.dtype!r}; convert with .float()")
    return A


def _without_gradient(name: str, A: Tensor, instead: str) -> Tensor:
    A = _matrices(name, A)
    if mode.grad and A.requires_grad:
        raise NotImplementedError(f"{name}: has no gradient here; use {instead}, or A.detach()")
    return A


@numpy_names
def vector_norm(x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The norm (Σ |x|^ord)^(1/ord) over `dim`, of x as one vector; ord may be 0, inf and −inf too."""
    if isinstance(ord, str):
        raise TypeError(f"vector_norm: ord must be a number, got {ord!r}; matrix norms are in matrix_norm")
    return reductions.norm(x, p=ord, dim=dim, keepdim=keepdim, dtype=dtype)


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of matrices over two dims: "fro", "nuc", 1 and −1 (columns), inf and −inf (rows), 2 and −2 (spectral)."""
    A = _matrices("matrix_norm", A if dtype is None else A.to(dtype))
    rows, columns = (one_dim("matrix_norm", d, A.array.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"matrix_norm: dims must be different, got {tuple(dim)}")
    if ord == "fro":
        return reductions.norm(A, p=2, dim=(rows, columns), keepdim=keepdim)
    if ord in ("nuc", 2, -2):
        A = _without_gradient("matrix_norm", A, "ord='fro', 1 or inf")
        return plain(np.asarray(np.linalg.norm(A.array, ord, (rows, columns), keepdim), A.array.dtype))
    if ord not in (1, -1, float("inf"), float("-inf")):
        raise RuntimeError(f"matrix_norm: order {ord!r} is not supported; use fro, nuc, 1, -1, 2, -2, inf or -inf")
    summed, chosen = (rows, columns) if builtins.abs(ord) == 1 else (columns, rows)
    totals = abs(A).sum(summed, keepdim=True)
    extreme = ops.reductions.amax if ord > 0 else ops.reductions.amin
    out = extreme(totals, dim=chosen, keepdim=True)
    return out if keepdim else out.squeeze((rows, columns))


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A vector norm (ord a number or None) or, over two dims with an ord, a matrix norm."""
    two_dims = A.array.ndim == 2 if dim is None else isinstance(dim, (tuple, list)) and len(dim) == 2
    if ord is not None and two_dims:
        return matrix_norm(A, ord, dim or (-2, -1), keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"norm: ord={ord!r} is for matrices, but A is {A.array.shape} and dim is {dim}")
    if ord is not None and dim is None and A.array.ndim > 2:
        raise RuntimeError(f"norm: if dim is not specified but ord is, A must be 1-D or 2-D, got {A.array.shape}")
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def inv(A: Tensor) -> Tensor:
    """The inverse: (..., n, n) -> (..., n, n).  Raises LinAlgError for a singular matrix; `solve` is more accurate."""
    return ops.linalg.inv(_matrices("inv", A))


def det(A: Tensor) -> Tensor:
    """The determinant: (..., n, n) -> (...).  The gradient of a singular matrix raises LinAlgError."""
    return ops.linalg.det(_matrices("det", A))


def slogdet(A: Tensor) -> return_types.Result:
    """The sign of the determinant and the logarithm of its absolute value: (..., n, n) -> (...), (...)."""
    A = _matrices("slogdet", A)
    logarithm = ops.linalg.logabsdet(A)
    sign = np.asarray(np.linalg.slogdet(A.array)[0], A.array.dtype)
    return return_types.linalg_slogdet((plain(sign), logarithm))


def logdet(A: Tensor) -> Tensor:
    """The logarithm of the determinant: NaN where it is negative, −inf for a singular matrix."""
    sign, logarithm = slogdet(A)
    return where(plain(sign.array < 0), float("nan"), logarithm)


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X with A X = B (left=False: X A = B): A (..., n, n), B (..., n, m) or a vector (n,)."""
    A, B = _matrices("solve", A), check_tensor("solve", B, "B")
    if B.array.ndim == 1 or (B.array.ndim == A.array.ndim - 1 and B.array.shape == A.array.shape[:-1]):
        return ops.linalg.solve(A, B.unsqueeze(-1)).squeeze(-1)
    if left:
        return ops.linalg.solve(A, B)
    return matrix_transpose(ops.linalg.solve(matrix_transpose(A), matrix_transpose(B)))


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with L Lᵀ = A (upper: Lᵀ), for symmetric positive definite matrices.

    Reads (A + Aᵀ) / 2.  Raises LinAlgError unless A is positive definite.
    """
    lower = ops.linalg.cholesky(_matrices("cholesky", A))
    return matrix_transpose(lower) if upper else lower


def _check_triangle(name: str, UPLO: str) -> None:
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"{name}: expected UPLO argument to be 'L' or 'U', but got {UPLO!r}")


def eigh(A: Tensor, UPLO: str = "L") -> return_types.Result:
    """Eigenvalues (..., n), ascending, and eigenvectors (..., n, n), as columns, of a symmetric matrix.

    Reads (A + Aᵀ) / 2, so UPLO makes no difference for a symmetric A.
    """
    _check_triangle("eigh", UPLO)
    A = _matrices("eigh", A)
    return return_types.linalg_eigh((ops.linalg.eigh_values(A), ops.linalg.eigh_vectors(A)))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of a symmetric matrix, ascending: (..., n, n) -> (..., n)."""
    _check_triangle("eigvalsh", UPLO)
    return ops.linalg.eigh_values(_matrices("eigvalsh", A))


def qr(A: Tensor, mode: str = "reduced") -> return_types.Result:
    """Q with orthonormal columns and an upper triangular R with Q R = A; mode "reduced", "complete" or "r"."""
    A = _without_gradient("qr", A, "linalg.cholesky(A.mT @ A)")
    if mode == "r":
        return return_types.linalg_qr((plain(np.zeros(0, A.array.dtype)), plain(np.linalg.qr(A.array, "r"))))
    if mode not in ("reduced", "complete"):
        raise RuntimeError(f"qr: received unrecognized mode {mode!r} but expected one of 'reduced', 'r' or 'complete'")
    q, r = np.linalg.qr(A.array, "reduced" if mode == "reduced" else "complete")
    return return_types.linalg_qr((plain(q), plain(r)))


def svd(A: Tensor, full_matrices: bool = True) -> return_types.Result:
    """U, S (descending) and Vh with U diag(S) Vh = A."""
    A = _without_gradient("svd", A, "linalg.eigh(A.mT @ A)")
    return return_types.linalg_svd(plain(part) for part in np.linalg.svd(A.array, full_matrices))


@numpy_names
def svd_with_v(x: Tensor, some: bool = True, compute_uv: bool = True) -> return_types.Result:
    """torch.svd, the older form of `svd`: U, S and V itself, x = U diag(S) V.mT; some=False gives square U and V."""
    found = svd(x, full_matrices=not some)
    if not compute_uv:
        raise NotImplementedError("svd: compute_uv=False is not supported; use linalg.svdvals")
    return return_types.svd((found.U, found.S, matrix_transpose(found.Vh)))


@numpy_names
def qr_some(x: Tensor, some: bool = True) -> return_types.Result:
    """torch.qr, the older form of `qr`: some=False gives a square Q."""
    return return_types.qr(qr(x, "reduced" if some else "complete"))


def svdvals(A: Tensor) -> Tensor:
    """The singular values, descending: (..., n, m) -> (..., min(n, m))."""
    A = _without_gradient("svdvals", A, "linalg.eigvalsh(A.mT @ A).sqrt()")
    return plain(np.linalg.svd(A.array, compute_uv=False))


def pinv(A: Tensor, *, rtol: float | None = None) -> Tensor:
    """The Moore-Penrose inverse: (..., n, m) -> (..., m, n)."""
    return ops.linalg.pinv(_matrices("pinv", A), rcond=0.0 if rtol is None else rtol)


def lstsq(A: Tensor, B: Tensor) -> return_types.Result:
    """The X that makes |A X − B| smallest: A (..., n, m), B (..., n, k) -> solution (..., m, k), residuals, rank."""
    A, B = _matrices("lstsq", A), _matrices("lstsq", B)
    if A.array.shape[-2] != B.array.shape[-2]:
        raise ShapeError(f"lstsq: A is {A.array.shape} and B is {B.array.shape}; they must have the same rows")
    solution = matmul(pinv(A), B)
    rank = np.asarray(np.linalg.matrix_rank(A.array), np.int64)
    n, m = A.array.shape[-2:]
    residuals = plain(np.zeros(0, A.array.dtype))
    if n > m and (rank == m).all():
        residuals = ((matmul(A, solution) - B) ** 2).sum(-2)
    return return_types.linalg_lstsq((solution, residuals, plain(rank), plain(np.zeros(0, A.array.dtype))))


def matrix_rank(A: Tensor, *, tol: float | None = None) -> Tensor:
    """How many singular values are not (almost) 0: (..., n, m) -> (...), int64."""
    return plain(np.asarray(np.linalg.matrix_rank(_matrices("matrix_rank", A).array, tol), np.int64))


def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number |A| |A⁻¹| in a matrix norm; None is the spectral one."""
    A = _matrices("cond", A)
    if p in (None, 2, -2):
        A = _without_gradient("cond", A, "p='fro'")
        return plain(np.asarray(np.linalg.cond(A.array, p), A.array.dtype))
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of two or more matrices, from left to right; the first and the last may be vectors."""
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot: expected at least 2 tensors but got {len(tensors)}")
    return reduce(matmul, tensors)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The inner products along `dim`, broadcast over the others."""
    return ops.reductions.sum(x * y, dim=dim)


def cross(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of 3-vectors along `dim`."""
    return products.cross(x, y, dim=dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonals of matrices."""
    return ops.movement.diagonal(A, offset=offset, dim1=dim1, dim2=dim2)


matrix_power = products.matrix_power

__getattr__ = missing.refusal(__name__, __all__)
