"""Inverse, determinant, linear systems and factorisations of (stacks of) square matrices, over LAPACK by NumPy.

Source of the rules: Giles (2008), Collected matrix derivative results for algorithmic differentiation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.errors import LinAlgError, ShapeError
from tinygrad_edu.ops.matrix import matmul
from tinygrad_edu.ops.movement import mT, reshape, tril
from tinygrad_edu.ops.registry import Array, op


def check_square(name: str, x: Array) -> None:
    """Raise ShapeError unless x is a square matrix or a stack of them."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name}: x must be batches of square matrices (..., n, n), but it is {x.shape}")


def column(x: Any) -> Any:
    """(..., n) -> (..., n, 1): a vector that multiplies rows."""
    return reshape(x, shape=(*x.shape, 1))


def row(x: Any) -> Any:
    """(..., n) -> (..., 1, n): a vector that multiplies columns."""
    return reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1]))


def _singular(name: str, x: Array) -> LinAlgError:
    return LinAlgError(
        f"{name}: the matrix {x.shape} is singular, so it has no inverse; check for equal or dependent rows, or use "
        f"linalg.pinv or linalg.lstsq"
    )


@op(
    symbol="⁻¹",
    formula="{x}⁻¹",
    precedence=3,
    gradients={"x": "−{out}ᵀ {grad} {out}ᵀ"},
    types="floating",
    title="Inv",
    method=False,
)
def inv(x: Array) -> Array:
    """The inverse of a square matrix: (..., n, n) -> (..., n, n).  Raises LinAlgError for a singular one."""
    check_square("inv", x)
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        raise _singular("inv", x) from None


inv.backward(x=lambda grad, out: -matmul(matmul(mT(out), grad), mT(out)))


@op(
    symbol="⁻¹",
    formula="{x}⁻¹ {y}",
    precedence=2.5,
    gradients={"x": "−{x}⁻ᵀ {grad} {out}ᵀ", "y": "{x}⁻ᵀ {grad}"},
    types="same",
    title="Solve",
    method=False,
)
def solve(x: Array, y: Array) -> Array:
    """The z with x z = y: x (..., n, n), y (..., n, m) -> (..., n, m).  Raises LinAlgError for a singular x."""
    check_square("solve", x)
    if y.ndim < 2 or x.shape[-1] != y.shape[-2]:
        raise ShapeError(f"solve: x is {x.shape} and y is {y.shape}; y must have {x.shape[-1]} rows: (..., n, m)")
    try:
        return np.linalg.solve(x, y)
    except np.linalg.LinAlgError:
        raise _singular("solve", x) from None


solve.backward(
    x=lambda grad, out, x: -matmul(solve(mT(x), grad), mT(out)),
    y=lambda grad, x: solve(mT(x), grad),
)


@op(
    symbol="det",
    formula="det({x})",
    gradients={"x": "{grad} · {out} · {x}⁻ᵀ"},
    types="floating",
    method=False,
)
def det(x: Array) -> Array:
    """The determinant: (..., n, n) -> (...).  Its gradient needs the inverse: LinAlgError for a singular matrix."""
    check_square("det", x)
    return np.asarray(np.linalg.det(x), x.dtype)


det.backward(x=lambda grad, out, x: column(column(grad * out)) * mT(inv(x)))


@op(
    symbol="log|det|",
    formula="log|det({x})|",
    gradients={"x": "{grad} · {x}⁻ᵀ"},
    types="floating",
    method=False,
)
def logabsdet(x: Array) -> Array:
    """The logarithm of |det(x)|, without overflow: (..., n, n) -> (...)."""
    check_square("slogdet", x)
    return np.asarray(np.linalg.slogdet(x)[1], x.dtype)


logabsdet.backward(x=lambda grad, x: column(column(grad)) * mT(inv(x)))


def _symmetric(x: Any) -> Any:
    return (x + mT(x)) * 0.5


@op(
    symbol="chol",
    formula="cholesky({x})",
    gradients={"x": "sym({out}⁻ᵀ Φ({out}ᵀ {grad}) {out}⁻¹)"},
    types="floating",
    method=False,
)
def cholesky(x: Array) -> Array:
    """The lower triangular L with L Lᵀ = x, for a symmetric positive definite x: (..., n, n) -> (..., n, n).

    Φ keeps the lower triangle and halves the diagonal.  Raises LinAlgError unless x is positive definite.
    Source: Murray (2016), Differentiation of the Cholesky decomposition.
    """
    check_square("cholesky", x)
    try:
        return np.linalg.cholesky(_symmetric(x))
    except np.linalg.LinAlgError:
        raise LinAlgError(
            f"cholesky: the input {x.shape} is not positive definite; x @ x.mT + eps * eye(n) always is"
        ) from None


def _cholesky_gradient(grad: Any, out: Any) -> Any:
    product = matmul(mT(out), grad)
    phi = (tril(product) + tril(product, diagonal=-1)) * 0.5
    return _symmetric(solve(mT(out), mT(solve(mT(out), mT(phi)))))


cholesky.backward(x=lambda grad, out: _cholesky_gradient(grad, out))


def _eigh(x: Array) -> tuple[Array, Array]:
    check_square("eigh", x)
    values, vectors = np.linalg.eigh(_symmetric(x))
    return values, vectors


@op(
    symbol="λ",
    formula="eigenvalues({x})",
    gradients={"x": "V diag({grad}) Vᵀ"},
    types="floating",
    method=False,
)
def eigh_values(x: Array) -> Array:
    """The eigenvalues of a symmetric matrix, ascending: (..., n, n) -> (..., n)."""
    return _eigh(x)[0]


@op(
    symbol="V",
    formula="eigenvectors({x})",
    gradients={"x": "sym(V (Vᵀ {grad} / (λⱼ − λᵢ)) Vᵀ)"},
    types="floating",
    method=False,
)
def eigh_vectors(x: Array) -> Array:
    """The eigenvectors of a symmetric matrix as columns, in the order of the eigenvalues: (..., n, n) -> (..., n, n).

    The gradient is infinite where two eigenvalues are equal.
    """
    return _eigh(x)[1]


def _vectors_gradient(grad: Any, out: Any, x: Any) -> Any:
    values = eigh_values(x)
    n = x.shape[-1]
    gaps = row(values) - column(values) + np.eye(n, dtype=x.dtype)  # 1 on the diagonal, which the next line takes out
    inner = matmul(mT(out), grad) * (1.0 - np.eye(n, dtype=x.dtype)) / gaps
    return _symmetric(matmul(matmul(out, inner), mT(out)))


def _values_gradient(grad: Any, x: Any) -> Any:
    vectors = eigh_vectors(x)
    return matmul(vectors * row(grad), mT(vectors))


eigh_values.backward(x=lambda grad, x: _values_gradient(grad, x))
eigh_vectors.backward(x=lambda grad, out, x: _vectors_gradient(grad, out, x))


@op(
    symbol="⁺",
    formula="{x}⁺",
    precedence=3,
    gradients={"x": "−{out}ᵀ{grad}{out}ᵀ + (1 − {x}{out}){grad}ᵀ{out}{out}ᵀ + {out}ᵀ{out}{grad}ᵀ(1 − {out}{x})"},
    types="floating",
    method=False,
)
def pinv(x: Array, rcond: float = 1e-15) -> Array:
    """The Moore-Penrose inverse: (..., n, m) -> (..., m, n); singular values below rcond times the largest are 0.

    Source: Golub and Pereyra (1973), The differentiation of pseudo-inverses; right where the rank does not change.
    """
    if x.ndim < 2:
        raise ShapeError(f"pinv: x must be batches of matrices (..., n, m), but it is {x.shape}")
    return np.linalg.pinv(x, rcond=max(rcond, max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)))


def _pinv_gradient(grad: Any, out: Any, x: Any) -> Any:
    transposed, turned = mT(out), mT(grad)
    rows, columns = (np.eye(n, dtype=x.dtype) for n in x.shape[-2:])
    left = matmul(rows - matmul(x, out), matmul(turned, matmul(out, transposed)))
    right = matmul(matmul(matmul(transposed, out), turned), columns - matmul(out, x))
    return left + right - matmul(matmul(transposed, grad), transposed)


pinv.backward(x=lambda grad, out, x: _pinv_gradient(grad, out, x))
