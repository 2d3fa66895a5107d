"""Functions that read and write entries at places along a dim: index_add and its kin, take, put, masked_scatter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.errors import DTypeError, LabelError, ShapeError
from tinygrad_edu.functions.common import check_tensor, in_place, numpy_names, plain
from tinygrad_edu.functions.indexing import getitem
from tinygrad_edu.functions.ordering import nonzero
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.ops.shapes import one_dim
from tinygrad_edu.tensor import Tensor

_put = ops.indexing.index_put


def where(condition: Tensor, x: Any = None, y: Any = None, *, input: Any = None, other: Any = None) -> Any:
    """x where the condition holds, y elsewhere; where(condition) alone gives the places, as nonzero(as_tuple=True)."""
    x, y = input if x is None else x, other if y is None else y
    if x is None and y is None:
        return nonzero(condition, as_tuple=True)
    if x is None or y is None:
        raise TypeError("where: takes the condition alone, or with both x and y")
    return ops.basic.where(check_tensor("where", condition, "condition"), x, y)


def _rows(name: str, x: Tensor, dim: int, index: Tensor) -> tuple[Any, ...]:
    """The full index of places along a dim, checked."""
    axis = one_dim(name, dim, check_tensor(name, x).array.ndim)
    places = check_tensor(name, index, "index").array
    if places.dtype.kind not in "iu" or places.ndim > 1:
        wrong: type[Exception] = DTypeError if name == "index_add" else IndexError  # as in PyTorch
        raise wrong(f"{name}: index should be a vector of int32 or int64, got {index.dtype!r} {places.shape}")
    n = x.array.shape[axis] if x.array.ndim else 1
    if places.size and not (0 <= places.min() and places.max() < n):
        bad = int(places.min() if places.min() < 0 else places.max())
        wrong = ShapeError if name == "index_add" else LabelError
        raise wrong(f"{name}: index {bad} is out of range for dim {dim} with size {n}")
    if x.array.ndim == 0:
        return (...,)
    return (*(slice(None),) * axis, np.array(places.reshape(-1)))


def _source(name: str, x: Tensor, where: tuple[Any, ...], source: Tensor) -> Tensor:
    source = check_tensor(name, source, "source")
    part = x.array[where].shape
    if source.array.dtype != x.array.dtype:
        raise DTypeError(f"{name}: self ({x.dtype!r}) and source ({source.dtype!r}) must have the same dtype")
    if source.array.shape != part:
        raise ShapeError(f"{name}: source {source.array.shape} must have the shape {part} of the indexed part")
    return source


@numpy_names
def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """A copy of x with alpha · source added to the slices of `dim` at the index; repeated indices sum."""
    where = _rows("index_add", x, dim, index)
    source = _source("index_add", x, where, source)
    source = source if alpha == 1 else source * alpha
    return x + ops.indexing.index_scatter(source, shape=x.array.shape, index=where)


@numpy_names
def index_copy(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of x whose slices of `dim` at the index are those of source."""
    where = _rows("index_copy", x, dim, index)
    return _put(x, _source("index_copy", x, where, source), index=where)


@numpy_names
def index_fill(x: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy of x whose slices of `dim` at the index are filled with a number or 0-d tensor."""
    where = _rows("index_fill", x, dim, index)
    if isinstance(value, Tensor) and value.array.ndim:
        raise ShapeError(f"index_fill: only supports a 0-dimensional value tensor, got {value.array.shape}")
    return _put(x, value, index=where)


@numpy_names
def index_put(x: Tensor, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Tensor:
    """A copy of x with x[indices] = values, or with accumulate x[indices] += values, repeated indices summing."""
    where = tuple(np.array(i.array) if isinstance(i, Tensor) else slice(None) if i is None else i for i in indices)
    values = check_tensor("index_put", values, "values")
    if values.array.dtype != x.array.dtype:
        raise DTypeError(f"index_put: source {values.dtype!r} and destination {x.dtype!r} dtypes must match")
    if not accumulate:
        return _put(x, values, index=where)
    part = ops.indexing.checked_read(x.array, where).shape
    return x + ops.indexing.index_scatter(values.expand(part), shape=x.array.shape, index=where)


@numpy_names
def take(x: Tensor, index: Tensor) -> Tensor:
    """The entries of the flat x at the index, in the index's shape; negative places count from the end."""
    return getitem(x.reshape(-1), _flat_places("take", x, index))


def _flat_places(name: str, x: Tensor, index: Tensor) -> Tensor:
    if index.array.dtype.kind not in "iu":
        raise DTypeError(f"{name}: index must be a long tensor, got {index.dtype!r}; convert with .long()")
    n = x.array.size
    if index.array.size and not (-n <= index.array.min() and index.array.max() < n):
        raise LabelError(f"{name}: an index is out of range of the {n} entries of {x.array.shape}")
    return plain(np.array(index.array, np.int64))


@numpy_names
def put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of x with source written into (accumulate: added to) the flat x at the index."""
    places = _flat_places("put", x, index).reshape(-1)
    return index_put(x.reshape(-1), (places,), source.reshape(-1), accumulate).reshape(x.array.shape)


@numpy_names
def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy of x whose entries under the mask are the first entries of source, in order."""
    if mask.array.dtype != bool:
        raise DTypeError(f"masked_scatter: only supports boolean masks, but got dtype {mask.dtype!r}; use .bool()")
    if source.array.dtype != x.array.dtype:
        raise DTypeError(f"masked_scatter: expected self and source to have same dtypes: {x.dtype!r}, {source.dtype!r}")
    shape = np.broadcast_shapes(x.array.shape, mask.array.shape)
    chosen = np.array(np.broadcast_to(mask.array, shape))
    count = int(chosen.sum())
    if source.array.size < count:
        raise RuntimeError(
            f"masked_scatter: expected source to have at least {count} entries, one for each True, "
            f"but it is {source.array.shape}"
        )
    first = getitem(source.reshape(-1), slice(count))
    return _put(x if x.array.shape == shape else x.expand(shape), first, index=(chosen,))


@numpy_names
def select(x: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one place of `dim`, as a view without that dim."""
    axis = one_dim("select", dim, x.array.ndim)
    if x.array.ndim == 0:
        raise IndexError("select: cannot be applied to a 0-dim tensor")
    return getitem(x, (*(slice(None),) * axis, int(index)))


@numpy_names
def narrow(x: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """The `length` slices of `dim` from `start` on, as a view."""
    if x.array.ndim == 0:
        raise ShapeError("narrow: cannot be applied to a 0-dim tensor")
    axis, n = one_dim("narrow", dim, x.array.ndim), x.array.shape[one_dim("narrow", dim, x.array.ndim)]
    first = int(start)
    if not -n <= first <= n:
        raise IndexError(f"narrow: start {first} must lie in [{-n}, {n}], the size of dim {axis}")
    first = first + n if first < 0 else first
    if length < 0 or first + length > n:
        raise RuntimeError(f"narrow: start ({first}) + length ({length}) exceeds dimension size ({n})")
    return getitem(x, (*(slice(None),) * axis, slice(first, first + length)))


_MODES = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


@numpy_names
def scatter_reduce(
    x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy of x with src combined at the index along `dim` by "sum", "prod", "mean", "amax" or "amin".

    include_self=False leaves the entries of x that are written to out of the result.
    Raises NotImplementedError for a gradient through any but sum and mean; `scatter_add` is the common case.
    """
    if reduce not in (*_MODES, "mean"):
        raise RuntimeError(f"scatter_reduce: reduce must be sum, prod, mean, amax or amin, but got {reduce!r}")
    if reduce in ("sum", "mean"):
        start = x if include_self else ops.indexing.scatter(x, index, plain(np.zeros((), x.array.dtype)), dim=dim)
        total = ops.indexing.scatter_add(start, index, src, dim=dim)
        if reduce == "sum":
            return total
        counts = np.zeros(x.array.shape, x.array.dtype)
        ones = np.ones(index.array.shape, x.array.dtype)
        counts = ops.indexing.scatter_add.forward(counts, index.array, ones, dim) + float(include_self)
        return total / plain(np.maximum(counts, 1.0).astype(x.array.dtype))
    if x.requires_grad or src.requires_grad:
        raise NotImplementedError(
            f"scatter_reduce: reduce={reduce!r} has no gradient here; use 'sum' or 'mean', or detach() the inputs"
        )
    out = _cleared(x, dim, index, reduce) if not include_self else x.array.copy()
    grid = ops.indexing.along("scatter_reduce", x.array.shape, index.array, dim)
    _MODES[reduce].at(out, grid, src.array[tuple(slice(n) for n in index.array.shape)])
    return plain(out)


def _cleared(x: Tensor, dim: int, index: Tensor, reduce: str) -> Array:
    """x with the neutral element of a reduction wherever the index points."""
    array = x.array.copy()
    limits: Any = np.finfo(array.dtype) if array.dtype.kind == "f" else np.iinfo(array.dtype)
    infinite = array.dtype.kind == "f"
    neutral = {
        "prod": 1,
        "amax": -np.inf if infinite else limits.min,
        "amin": np.inf if infinite else limits.max,
    }[reduce]
    array[ops.indexing.along("scatter_reduce", array.shape, index.array, dim)] = neutral
    return array


index_add_, index_copy_, index_fill_, index_put_, put_, masked_scatter_, scatter_reduce_ = (
    in_place(f) for f in (index_add, index_copy, index_fill, index_put, put, masked_scatter, scatter_reduce)
)
