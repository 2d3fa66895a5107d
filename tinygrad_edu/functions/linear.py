"""Matrix functions: products for every number of dims, einsum, diagonals."""

from __future__ import annotations

from typing import Any

from tinygrad_edu import ops
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import check_tensor, numpy_names
from tinygrad_edu.tensor import Tensor

_product = ops.matrix.matmul


@numpy_names
def matmul(x: Tensor, y: Tensor) -> Tensor:
    """The matrix product, for vectors and stacks of matrices too, as NumPy's and PyTorch's `@`.

    (n,) @ (n,) -> ()    (n, k) @ (k,) -> (n,)    (k,) @ (k, m) -> (m,)    (..., n, k) @ (..., k, m) -> (..., n, m)
    """
    x, y = check_tensor("matmul", x), check_tensor("matmul", y)
    if x.array.ndim >= 2 and y.array.ndim >= 2:
        return _product(x, y)
    if x.array.ndim == 0 or y.array.ndim == 0:
        raise ShapeError(
            f"matmul: both arguments need to be at least 1-D, got {x.array.shape} and {y.array.shape}; "
            f"use * for scalars"
        )
    if x.array.shape[-1] != y.array.shape[-2 if y.array.ndim > 1 else 0]:
        raise ShapeError(
            f"matmul: x is {x.array.shape} and y is {y.array.shape}; x's last dim ({x.array.shape[-1]}) must equal "
            f"y's {'second-last' if y.array.ndim > 1 else 'only'} dim ({y.array.shape[-2 if y.array.ndim > 1 else 0]})"
        )
    left = x.unsqueeze(0) if x.array.ndim == 1 else x
    right = y.unsqueeze(1) if y.array.ndim == 1 else y
    out = _product(left, right)
    shape = out.array.shape
    if y.array.ndim == 1:
        shape = shape[:-1]
    if x.array.ndim == 1:
        shape = shape[:-2] + shape[-1:] if y.array.ndim > 1 else shape[:-1]
    return out.reshape(shape)


def _sized(name: str, x: Tensor, y: Tensor, dims: tuple[int, int]) -> None:
    if (x.ndim, y.ndim) != dims:
        raise ShapeError(f"{name}: expected a {dims[0]}-D and a {dims[1]}-D tensor, got {x.shape!r} and {y.shape!r}")


@numpy_names
def mm(x: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices: (n, k), (k, m) -> (n, m)."""
    _sized("mm", x, mat2, (2, 2))
    return matmul(x, mat2)


@numpy_names
def bmm(x: Tensor, mat2: Tensor) -> Tensor:
    """The products of two equally long stacks of matrices: (b, n, k), (b, k, m) -> (b, n, m)."""
    _sized("bmm", x, mat2, (3, 3))
    if x.array.shape[0] != mat2.array.shape[0]:
        raise ShapeError(f"bmm: batch sizes differ: {tuple(x.shape)} and {tuple(mat2.shape)}; use matmul to broadcast")
    return matmul(x, mat2)


@numpy_names
def dot(x: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors: (n,), (n,) -> ()."""
    _sized("dot", x, tensor, (1, 1))
    if x.array.shape != tensor.array.shape:
        raise ShapeError(
            f"dot: inconsistent tensor size, expected equal lengths, got {tuple(x.shape)} and {tuple(tensor.shape)}"
        )
    return matmul(x, tensor)


@numpy_names
def mv(x: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector: (n, k), (k,) -> (n,)."""
    _sized("mv", x, vec, (2, 1))
    return matmul(x, vec)


@numpy_names
def outer(x: Tensor, vec2: Tensor) -> Tensor:
    """All products of the entries of two vectors: (n,), (m,) -> (n, m)."""
    _sized("outer", x, vec2, (1, 1))
    return x.unsqueeze(1) * vec2.unsqueeze(0)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products by Einstein's convention: einsum("bik,bkj->bij", x, y)."""
    tensors = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else list(operands)
    tensors = [check_tensor("einsum", x) for x in tensors]
    terms, result = ops.matrix.parse_einsum(equation, [x.array.shape for x in tensors])
    for i, term in enumerate(terms):
        # A subscript that repeats within an operand stands for its diagonal.
        while len(set(term)) < len(term):
            letter = next(c for c in term if term.count(c) > 1)
            first = term.index(letter)
            second = term.index(letter, first + 1)
            tensors[i] = tensors[i].diagonal(0, first, second)
            term = "".join(c for place, c in enumerate(term) if place not in (first, second)) + letter
        terms[i] = term
    return ops.matrix.contract(tensors, equation=f"{','.join(terms)}->{result}")


@numpy_names
def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a given diagonal."""
    if x.ndim == 2:
        return x.diagonal(diagonal).clone()
    if x.ndim != 1:
        raise ShapeError(f"diag: expected a 1-D or 2-D tensor, got {tuple(x.shape)}")
    n = x.array.shape[0] + abs(diagonal)
    return ops.movement.diagonal_scatter(x, shape=(n, n), offset=diagonal)


@numpy_names
def trace(x: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if x.ndim != 2:
        raise ShapeError(f"trace: expected a matrix, got {tuple(x.shape)}")
    return x.diagonal().sum()
