"""Products of tensors that are made of matmul: added ones, tensordot, kron, cross, distances, covariance."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.errors import DTypeError, ShapeError
from tinygrad_edu.functions.common import check_tensor, in_place, numpy_names, plain
from tinygrad_edu.functions.linear import bmm, dot, matmul, mm, mv, outer
from tinygrad_edu.functions.reductions import norm
from tinygrad_edu.functions.shaping import matrix_transpose
from tinygrad_edu.ops.basic import where
from tinygrad_edu.ops.movement import permute, roll
from tinygrad_edu.ops.pointwise import sqrt
from tinygrad_edu.ops.shapes import broadcast_shape, one_dim
from tinygrad_edu.tensor import Tensor


def _added(name: str, x: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    """beta · x + alpha · product, where x broadcasts to the product; beta 0 ignores x, even if it is NaN."""
    if broadcast_shape(name, x.array.shape, product.array.shape) != product.array.shape:
        raise ShapeError(f"{name}: input {x.array.shape} does not expand to the product's shape {product.array.shape}")
    if not product.is_floating_point() and any(isinstance(v, float) for v in (beta, alpha)):
        raise DTypeError(f"{name}: for integer tensors, alpha and beta must not be floating point numbers")
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else (x if beta == 1 else x * beta) + product


@numpy_names
def addmm(x: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · x + alpha · mat1 @ mat2: (n, k), (k, m), and an x that broadcasts to (n, m)."""
    return _added("addmm", x, mm(mat1, mat2), beta, alpha)


@numpy_names
def addmv(x: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · x + alpha · mat @ vec: (n, k), (k,), and an x that broadcasts to (n,)."""
    return _added("addmv", x, mv(mat, vec), beta, alpha)


@numpy_names
def addr(x: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · x + alpha · outer(vec1, vec2): (n,), (m,), and an x that broadcasts to (n, m)."""
    return _added("addr", x, outer(vec1, vec2), beta, alpha)


@numpy_names
def baddbmm(x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · x + alpha · batch1 @ batch2, matrix by matrix: (b, n, k), (b, k, m)."""
    return _added("baddbmm", x, bmm(batch1, batch2), beta, alpha)


@numpy_names
def addbmm(x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · x + alpha · Σ batch1ᵢ @ batch2ᵢ: (b, n, k), (b, k, m), and an x that broadcasts to (n, m)."""
    return _added("addbmm", x, bmm(batch1, batch2).sum(0), beta, alpha)


addmm_, addmv_, addr_, baddbmm_, addbmm_ = (in_place(f) for f in (addmm, addmv, addr, baddbmm, addbmm))


@numpy_names
def inner(x: Tensor, y: Tensor) -> Tensor:
    """Σ x y over the last dims: (..., n), (***, n) -> (..., ***); a 0-D tensor scales."""
    if x.array.ndim == 0 or y.array.ndim == 0:
        return x * y
    if x.array.shape[-1] != y.array.shape[-1]:
        raise ShapeError(f"inner: the last dims of {x.array.shape} and {y.array.shape} must match")
    return tensordot(x, y, ([-1], [-1]))


@numpy_names
def vdot(x: Tensor, y: Tensor) -> Tensor:
    """The inner product of two vectors (`dot`, for real numbers)."""
    return dot(x, y)


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Σ a b over pairs of dims: the last `dims` of a and the first of b, or two lists of dims."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0 or dims > min(a.array.ndim, b.array.ndim):
            raise RuntimeError(f"tensordot: expects dims >= 0 and <= the dims of both tensors, but got dims={dims}")
        left, right = list(range(a.array.ndim - dims, a.array.ndim)), list(range(dims))
    else:
        left = [one_dim("tensordot", d, a.array.ndim) for d in np.atleast_1d(dims[0]).tolist()]
        right = [one_dim("tensordot", d, b.array.ndim) for d in np.atleast_1d(dims[1]).tolist()]
    if [a.array.shape[d] for d in left] != [b.array.shape[d] for d in right]:
        raise ShapeError(
            f"tensordot: contracted dimensions need to match: {left} of {a.array.shape}, {right} of {b.array.shape}"
        )
    rest_a = [d for d in range(a.array.ndim) if d not in left]
    rest_b = [d for d in range(b.array.ndim) if d not in right]
    shape = [a.array.shape[d] for d in rest_a] + [b.array.shape[d] for d in rest_b]
    summed = int(np.prod([a.array.shape[d] for d in left], dtype=np.int64))
    rows = permute(a, dims=(*rest_a, *left)).reshape(int(np.prod(shape[: len(rest_a)], dtype=np.int64)), summed)
    columns = permute(b, dims=(*right, *rest_b)).reshape(summed, int(np.prod(shape[len(rest_a) :], dtype=np.int64)))
    return matmul(rows, columns).reshape(tuple(shape))


@numpy_names
def kron(x: Tensor, y: Tensor) -> Tensor:
    """The Kronecker product: every entry of x times all of y, as blocks."""
    ndim = max(x.array.ndim, y.array.ndim)
    a, b = ((1,) * (ndim - v.array.ndim) + v.array.shape for v in (x, y))
    rows, columns = (tuple(n for side in a for n in (side, 1)), tuple(n for side in b for n in (1, side)))
    product = x.reshape(rows) * y.reshape(columns)
    return product.reshape(tuple(n * m for n, m in zip(a, b, strict=True)))


@numpy_names
def cross(x: Tensor, y: Tensor, dim: int | None = None) -> Tensor:
    """The cross product of 3-vectors along `dim` (default: the first dim of size 3)."""
    if x.array.ndim != y.array.ndim:
        raise ShapeError(f"cross: inputs must have the same number of dimensions: {x.array.shape}, {y.array.shape}")
    shape = broadcast_shape("cross", x.array.shape, y.array.shape)
    if dim is None:
        if 3 not in shape:
            raise ShapeError(f"cross: no dimension of size 3 in input {x.array.shape}")
        dim = shape.index(3)
    axis = one_dim("cross", dim, len(shape))
    if x.array.shape[axis] != 3 or y.array.shape[axis] != 3:
        raise ShapeError(f"cross: inputs dim {dim} must have length 3, got {x.array.shape} and {y.array.shape}")

    def turned(v: Tensor, by: int) -> Tensor:
        return roll(v, shifts=by, dims=axis)

    return turned(x, -1) * turned(y, -2) - turned(x, -2) * turned(y, -1)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of all matrices, from left to right."""
    return reduce(mm, matrices)


@numpy_names
def matrix_power(x: Tensor, n: int) -> Tensor:
    """The n-th power of square matrices, by repeated squaring; a negative n inverts first."""
    ops.linalg.check_square("matrix_power", check_tensor("matrix_power", x).array)
    if n < 0:
        x, n = ops.linalg.inv(x), -n
    out: Tensor | None = None
    while n:
        if n % 2:
            out = x if out is None else matmul(out, x)
        n //= 2
        x = matmul(x, x) if n else x
    if out is None:
        return plain(np.array(np.broadcast_to(np.eye(x.array.shape[-1], dtype=x.array.dtype), x.array.shape)))
    return out


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The p-norm distance of every row of x1 to every row of x2: (..., n, d), (..., m, d) -> (..., n, m).

    compute_mode is checked; the distances are always computed exactly, from the differences.
    """
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise ValueError(f"cdist: {compute_mode!r} is no compute_mode; use one of {', '.join(modes)}")
    if x1.array.ndim < 2 or x2.array.ndim < 2 or x1.array.shape[-1] != x2.array.shape[-1]:
        raise ShapeError(f"cdist: X1 {x1.array.shape} and X2 {x2.array.shape} must be (..., n, d) and (..., m, d)")
    if p < 0:
        raise RuntimeError(f"cdist: only supports non-negative p values, got {p}")
    return norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p=p, dim=-1)


@numpy_names
def dist(x: Tensor, y: Tensor, p: float = 2) -> Tensor:
    """The p-norm of x − y."""
    return norm(x - y, p=p)


@numpy_names
def cov(x: Tensor, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """The covariance matrix of variables (rows) over observations (columns), divided by N − correction."""
    if fweights is not None or aweights is not None:
        raise NotImplementedError("cov: fweights and aweights are not supported; repeat or scale the columns instead")
    if check_tensor("cov", x).array.ndim > 2:
        raise ShapeError(f"cov: expected input to have two or fewer dimensions but got {x.array.shape}")
    rows = x.reshape(1, -1) if x.array.ndim < 2 else x
    centred = rows - rows.mean(1, keepdim=True)
    left = rows.array.shape[1] - correction
    scale = 1.0 / left if left > 0 else float("nan")
    product = matmul(centred, matrix_transpose(centred)) * scale
    return product if x.array.ndim == 2 else product.reshape(())


@numpy_names
def corrcoef(x: Tensor) -> Tensor:
    """Pearson's correlation coefficients of variables (rows) over observations (columns)."""
    covariance = cov(x)
    if covariance.array.ndim == 0:
        return covariance / covariance
    deviation = sqrt(covariance.diagonal())
    return covariance / deviation.unsqueeze(0) / deviation.unsqueeze(1)


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral of samples y along `dim` by the trapezoidal rule, at places x or dx apart."""
    return _areas("trapezoid", y, x, dx, dim).sum(dim)


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The running integral of `trapezoid`, one entry shorter than y."""
    return _areas("cumulative_trapezoid", y, x, dx, dim).cumsum(dim)


def _areas(name: str, y: Tensor, x: Tensor | None, dx: float, dim: int) -> Tensor:
    axis = one_dim(name, dim, y.array.ndim)
    n = y.array.shape[axis]
    pairs = y.narrow(axis, 1, max(n - 1, 0)) + y.narrow(axis, 0, max(n - 1, 0))
    if x is None:
        return pairs * (0.5 * dx)
    if x.array.ndim == 1 and y.array.ndim > 1:
        x = x.reshape(tuple(-1 if i == axis else 1 for i in range(y.array.ndim)))
    if x.array.shape[axis] != n:
        raise ShapeError(f"{name}: there must be one `x` value for each sample point: {x.array.shape}, {y.array.shape}")
    return pairs * x.diff(dim=axis) * 0.5


@numpy_names
def renorm(x: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """x whose slices along `dim` are scaled down to the p-norm `maxnorm` where it is larger."""
    axis = one_dim("renorm", dim, x.array.ndim)
    others = tuple(i for i in range(x.array.ndim) if i != axis)
    size = norm(x, p=p, dim=others, keepdim=True)
    large = size > maxnorm
    return x * where(large, maxnorm / (where(large, size, 1.0) + 1e-7), 1.0)


@numpy_names
def nansum(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim` with NaN counted as 0."""
    x = x if dtype is None else x.to(dtype)
    if x.is_floating_point():
        x = where(plain(np.isnan(x.array)), 0.0, x)
    return x.sum(dim, keepdim)


@numpy_names
def nanmean(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim` of the entries that are not NaN."""
    numbers = plain(~np.isnan(x.array)).sum(dim, keepdim)
    return nansum(x, dim, keepdim, dtype=dtype) / numbers


@numpy_names
def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    """log of the running sum of exp(x) along `dim`: log2(n) doubling steps of logaddexp, so that nothing overflows."""
    axis = one_dim("logcumsumexp", dim, x.array.ndim)
    out, step = x, 1
    while x.array.ndim and step < x.array.shape[axis]:
        out = ops.special.logaddexp(out, ops.reductions.shifted(out, axis, step, float("-inf")))
        step *= 2
    return out.clone() if out is x else out
