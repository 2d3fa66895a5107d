"""Functions that lay tensors out beside each other, in grids, in windows and in triangles."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu import dtypes, ops
from tinygrad_edu.device import check_device
from tinygrad_edu.errors import DTypeError, ShapeError
from tinygrad_edu.functions.common import check_tensor, numpy_names, plain, sizes
from tinygrad_edu.functions.indexing import getitem
from tinygrad_edu.functions.shaping import matrix_transpose, movedim, split
from tinygrad_edu.ops.movement import cat, expand, flip, transpose
from tinygrad_edu.ops.shapes import broadcast_shape, one_dim
from tinygrad_edu.tensor import Size, Tensor


def _each(function: Callable[[Tensor], Tensor], tensors: tuple[Any, ...]) -> Any:
    """f(x) or the tuple of f of all: for one tensor, several, or a list of them."""
    if len(tensors) == 1:
        if isinstance(tensors[0], (tuple, list)):
            return tuple(function(x) for x in tensors[0])
        return function(tensors[0])
    return tuple(function(x) for x in tensors)


def atleast_1d(*tensors: Any) -> Any:
    """A 0-D tensor as (1,); others as they are.  Several tensors give a tuple."""
    return _each(lambda x: x.reshape(1) if x.array.ndim == 0 else x, tensors)


def atleast_2d(*tensors: Any) -> Any:
    """() as (1, 1), (n,) as (1, n); others as they are."""
    return _each(lambda x: x.reshape(1, -1) if x.array.ndim < 2 else x, tensors)


def atleast_3d(*tensors: Any) -> Any:
    """() as (1, 1, 1), (n,) as (1, n, 1), (n, m) as (n, m, 1); others as they are."""

    def deepened(x: Tensor) -> Tensor:
        return x.unsqueeze(2) if x.array.ndim == 2 else x.reshape(1, -1, 1) if x.array.ndim < 2 else x

    return _each(deepened, tensors)


def _list(name: str, tensors: Any) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, (tuple, list)):
        raise TypeError(f"{name}: argument 'tensors' must be tuple of Tensors, not {type(tensors).__name__}")
    if not tensors:
        raise RuntimeError(f"{name}: expects a non-empty TensorList")
    return [check_tensor(name, x) for x in tensors]


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: along the columns, vectors end to end."""
    parts = [atleast_1d(x) for x in _list("hstack", tensors)]
    return cat(parts, dim=0 if parts[0].array.ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors below each other: along the rows, vectors as rows."""
    return cat([atleast_2d(x) for x in _list("vstack", tensors)], dim=0)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors behind each other: along the third dim."""
    return cat([atleast_3d(x) for x in _list("dstack", tensors)], dim=2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side, vectors as columns."""
    parts = _list("column_stack", tensors)
    return hstack([x.reshape(-1, 1) if x.array.ndim < 2 else x for x in parts])


@numpy_names
def tensor_split(x: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of n nearly equal parts along `dim`, or of the parts between the given places."""
    if x.array.ndim == 0:
        raise ShapeError("tensor_split: expected at least a 1-dimensional tensor, got a 0-D one")
    axis = one_dim("tensor_split", dim, x.array.ndim)
    n, given = x.array.shape[axis], indices_or_sections
    given = given.tolist() if isinstance(given, Tensor) else given
    if isinstance(given, int):
        if given <= 0:
            raise RuntimeError(f"tensor_split: number of sections must be larger than 0, got {given}")
        return split(x, [n // given + (k < n % given) for k in range(given)], axis)
    ends = [0, *(slice(None, int(k)).indices(n)[1] for k in given), n]
    before = (slice(None),) * axis
    return tuple(getitem(x, (*before, slice(a, max(a, b)))) for a, b in itertools.pairwise(ends))


def _split_along(name: str, x: Tensor, given: Any, axis: int) -> tuple[Tensor, ...]:
    if x.array.ndim <= axis and not (name == "hsplit" and x.array.ndim == 1):
        raise ShapeError(f"{name}: requires a tensor with at least {axis + 1} dimensions, got {x.array.shape}")
    axis = 0 if x.array.ndim == 1 else axis
    if isinstance(given, int) and (given <= 0 or x.array.shape[axis] % given):
        raise RuntimeError(f"{name}: {x.array.shape[axis]}, the size of dim {axis}, is not divisible by {given}")
    return tensor_split(x, given, axis)


def hsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` of the columns into equal parts (of a vector: of its entries)."""
    return _split_along("hsplit", x, indices_or_sections, 1)


def vsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` of the rows into equal parts."""
    if x.array.ndim < 2:
        raise ShapeError(f"vsplit: requires a tensor with at least 2 dimensions, got {x.array.shape}")
    return _split_along("vsplit", x, indices_or_sections, 0)


def dsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` of the third dim into equal parts."""
    return _split_along("dsplit", x, indices_or_sections, 2)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that all given shapes broadcast to."""
    return Size(broadcast_shape("broadcast_shapes", *((s,) if isinstance(s, int) else tuple(s) for s in shapes)))


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to the shape that all broadcast to, as views."""
    parts = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    shape = broadcast_shape("broadcast_tensors", *(x.array.shape for x in parts))
    return tuple(expand(x, shape=shape) for x in parts)


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinate grids of 1-D tensors: grid k varies along dim k ("ij"); "xy" swaps the first two dims."""
    parts = list(tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors)
    if not parts:
        raise RuntimeError("meshgrid: expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing!r}')
    for x in parts:
        if x.array.ndim > 1:
            raise ShapeError(f"meshgrid: expected scalar or 1-D tensors, but got {x.array.shape}")
        if x.array.dtype != parts[0].array.dtype:
            raise DTypeError(f"meshgrid: expects all tensors to have the same dtype, got {x.dtype!r}")
    swap = indexing == "xy" and len(parts) > 1
    parts = [parts[1], parts[0], *parts[2:]] if swap else parts
    shape = tuple(x.array.size for x in parts)
    grids = []
    for k, x in enumerate(parts):
        line = x.reshape(tuple(-1 if i == k else 1 for i in range(len(parts))))
        grids.append(expand(line, shape=shape))
    return (grids[1], grids[0], *grids[2:]) if swap else tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of entries of 1-D tensors, one row each."""
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return ops.movement.cat([g.reshape(-1, 1) for g in grids], dim=1)


def combinations(x: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r entries of a 1-D tensor in its order, one row each."""
    if x.array.ndim != 1:
        raise ShapeError(f"combinations: expects a 1D vector as input, but got {x.array.shape}")
    choose: Any = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(x.array.size), r)), np.int64).reshape(-1, r)
    return getitem(x, plain(places))


@numpy_names
def repeat_interleave(
    x: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each entry (each slice along `dim`) repeated in place: [a, b] -> [a, a, b, b]; repeats is a number or a tensor.

    repeat_interleave(repeats) alone gives the places 0, 1, ..., each as often as `repeats` says.
    """
    if repeats is None:
        counts = x.array
        places = np.repeat(np.arange(counts.size), counts)
        return plain(places.astype(np.int64))
    if dim is None:
        x, dim = x.reshape(-1), 0
    axis = one_dim("repeat_interleave", dim, x.array.ndim)
    n = x.array.shape[axis] if x.array.ndim else 1
    counts = np.asarray(repeats.array if isinstance(repeats, Tensor) else repeats)
    if counts.dtype.kind not in "iu" or counts.ndim > 1 or counts.size not in (1, n) or (counts < 0).any():
        raise RuntimeError(
            f"repeat_interleave: repeats must be a number >= 0 or have the same size as input along dim {dim} ({n}), "
            f"got {counts.tolist()}"
        )
    places = np.repeat(np.arange(n), counts.reshape(-1) if counts.size != 1 else int(counts.reshape(())))
    if output_size is not None and output_size != len(places):
        raise RuntimeError(f"repeat_interleave: allocated size does not match required size: {output_size}")
    if x.array.ndim == 0:
        return expand(x.reshape(1), shape=(len(places),))
    return getitem(x, (*(slice(None),) * axis, plain(places.astype(np.int64))))


def _triangle(name: str, indices: Any, row: int, col: int, offset: int, dtype: Any, device: Any) -> Tensor:
    check_device(device)
    if row < 0 or col < 0:
        raise RuntimeError(f"{name}: row and col must be non-negative, got {row} and {col}")
    kind = dtypes.int64 if dtype is None else dtypes.of(dtype)
    if kind not in (dtypes.int32, dtypes.int64):
        raise DTypeError(f"{name}: not implemented for {kind!r}; use int64 or int32")
    return plain(np.stack(indices(row, offset, col)).astype(kind.dtype))


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The places (2, n) on and below a diagonal of a row x col matrix, row by row."""
    return _triangle("tril_indices", np.tril_indices, row, col, offset, dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The places (2, n) on and above a diagonal of a row x col matrix, row by row."""
    return _triangle("triu_indices", np.triu_indices, row, col, offset, dtype, device)


@numpy_names
def rot90(x: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """A copy turned by k quarters from the first towards the second of two dims."""
    if len(dims) != 2 or x.array.ndim < 2:
        raise RuntimeError(f"rot90: needs two dims of a tensor with two or more, got {tuple(dims)}")
    a, b = (one_dim("rot90", d, x.array.ndim) for d in dims)
    if a == b:
        raise RuntimeError(f"rot90: expected rotation dims to be different, but got {tuple(dims)}")
    turns = k % 4
    if turns == 2:
        return flip(x, dims=(a, b))
    if turns == 0:
        return x.clone()
    return transpose(flip(x, dims=(b,)), a, b) if turns == 1 else flip(transpose(x, a, b), dims=(b,))


def fliplr(x: Tensor) -> Tensor:
    """A copy with the columns in reverse order."""
    if x.array.ndim < 2:
        raise ShapeError(f"fliplr: input must be >= 2-d, got {x.array.shape}")
    return flip(x, dims=(1,))


def flipud(x: Tensor) -> Tensor:
    """A copy with the rows in reverse order."""
    if x.array.ndim < 1:
        raise ShapeError("flipud: input must be >= 1-d, got a 0-D tensor")
    return flip(x, dims=(0,))


@numpy_names
def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices (over dim1 and dim2) whose diagonals are the last dim of x: (..., n) -> (..., n, n)."""
    ndim = x.array.ndim + 1
    first, second = one_dim("diag_embed", dim1, ndim), one_dim("diag_embed", dim2, ndim)
    if first == second:
        raise RuntimeError(f"diag_embed: diagonal dimensions cannot be identical {dim1}, {dim2}")
    side = x.array.shape[-1] + abs(offset)
    shape = list(x.array.shape[:-1])
    for place in sorted((first, second)):
        shape.insert(place, side)
    return ops.movement.diagonal_scatter(x, shape=tuple(shape), offset=offset, dim1=first, dim2=second)


@numpy_names
def diagflat(x: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all entries of x on a diagonal."""
    return diag_embed(x.reshape(-1), offset)


@numpy_names
def diagonal_scatter(x: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of x with src on a diagonal."""
    step = (ops.movement.diagonal, {"offset": offset, "dim1": dim1, "dim2": dim2})
    part = ops.indexing.follow(x.array, (step,)).shape
    if src.array.shape != part:
        raise ShapeError(f"diagonal_scatter: src {src.array.shape} must have the shape {part} of the diagonal")
    return ops.indexing.view_put(x, src, steps=(step,))


def block_diag(*tensors: Tensor) -> Tensor:
    """The matrices along the diagonal of one big matrix of zeros; vectors count as rows."""
    blocks = [atleast_2d(x) for x in tensors]
    width = sum(x.array.shape[1] for x in blocks)
    rows, start = [], 0
    for x in blocks:
        if x.array.ndim > 2:
            raise ShapeError(f"block_diag: input tensors must have 2 or fewer dimensions, got {x.array.shape}")
        side = (start, width - start - x.array.shape[1])
        rows.append(ops.movement.constant_pad(x, padding=((0, 0), side), value=0.0))
        start += x.array.shape[1]
    return cat(rows, dim=0) if rows else plain(np.zeros((1, 0), dtypes.get_default_dtype().dtype))


@numpy_names
def moveaxis(x: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with some dims moved to new places (another name of movedim)."""
    return movedim(x, source, destination)


def adjoint(x: Tensor) -> Tensor:
    """The last two dims exchanged; for real numbers that is x.mT."""
    return matrix_transpose(x)


def hermitian(x: Tensor) -> Tensor:
    """The transpose of a matrix (x.H), for real numbers."""
    if x.array.ndim not in (0, 2):
        raise RuntimeError(f"H: only supported on matrices (2-D tensors). Got {x.array.ndim}-D tensor.")
    return x if x.array.ndim == 0 else transpose(x, 0, 1)


def sum_to_size(x: Tensor, *size: Any) -> Tensor:
    """The sum over the dims that were broadcast from `size`: the reverse of expand."""
    shape = sizes(size)
    try:
        fits = np.broadcast_shapes(shape, x.array.shape) == x.array.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"sum_to_size: size {shape} is not expandable to size {x.array.shape}")
    return ops.movement.sum_to(x, shape=shape)


@numpy_names
def unfold(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of `size` entries along a dimension, `step` apart, as a view; the window's entries come last."""
    return ops.windows.sliding_windows(x, dimension, size, step)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The Vandermonde matrix: the powers of x from N − 1 down to 0 (or up), one column each."""
    if x.array.ndim != 1:
        raise ShapeError(f"vander: x must be a one-dimensional tensor, got {x.array.shape}")
    n = x.array.size if N is None else N
    powers = range(n) if increasing else reversed(range(n))
    columns = [(x**k).unsqueeze(1) for k in powers]
    return cat(columns, dim=1) if columns else plain(np.zeros((x.array.size, 0), x.array.dtype))
