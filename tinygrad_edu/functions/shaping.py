"""Functions that rearrange, choose and combine entries, made of the movement and indexing ops."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_edu import dtypes, ops
from tinygrad_edu.device import check_device
from tinygrad_edu.errors import DTypeError, LabelError, ShapeError
from tinygrad_edu.functions.common import check_tensor, numpy_names, plain, sizes
from tinygrad_edu.functions.indexing import getitem, setitem
from tinygrad_edu.ops.shapes import broadcast_shape, fill_in, one_dim
from tinygrad_edu.recording import inplace
from tinygrad_edu.tensor import Tensor

_reshape, _permute, _expand = ops.movement.reshape, ops.movement.permute, ops.movement.expand


def view(x: Tensor, *shape: Any) -> Tensor:
    """x under another shape, sharing memory; view(dtype) is not supported."""
    if len(shape) == 1 and isinstance(shape[0], dtypes.dtype):
        raise DTypeError("view: reinterpreting memory as another dtype is not supported; use .to(dtype) to convert")
    new = fill_in("view", sizes(shape), x.array.size)
    out = _reshape(x, new)
    if x.array.size and not np.shares_memory(out.array, x.array):
        raise RuntimeError(
            "view: view size is not compatible with input tensor's size and stride (at least one dimension spans "
            "across two contiguous subspaces). Use .reshape(...) instead."
        )
    return out


@numpy_names
def view_as(x: Tensor, other: Tensor) -> Tensor:
    """x under the shape of another tensor, sharing memory."""
    return view(x, *other.array.shape)


@numpy_names
def reshape_as(x: Tensor, other: Tensor) -> Tensor:
    """x under the shape of another tensor."""
    return _reshape(x, other.array.shape)


@numpy_names
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dims from start_dim to end_dim joined into one."""
    if x.array.ndim == 0:
        return _reshape(x, (1,))
    first, last = one_dim("flatten", start_dim, x.array.ndim), one_dim("flatten", end_dim, x.array.ndim)
    if first > last:
        raise RuntimeError(f"flatten: start_dim {start_dim} must not come after end_dim {end_dim}")
    shape = x.array.shape
    joined = int(np.prod(shape[first : last + 1], dtype=np.int64))
    return _reshape(x, (*shape[:first], joined, *shape[last + 1 :]))


@numpy_names
def ravel(x: Tensor) -> Tensor:
    """All entries in one dim."""
    return flatten(x)


@numpy_names
def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dim split into several; one size may be −1."""
    axis = one_dim("unflatten", dim, x.array.ndim)
    shape = x.array.shape
    return _reshape(x, (*shape[:axis], *fill_in("unflatten", sizes, shape[axis]), *shape[axis + 1 :]))


@numpy_names
def swapaxes(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """A view with two dims exchanged (another name of transpose)."""
    return ops.movement.transpose(x, axis0, axis1)


@numpy_names
def movedim(x: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with some dims moved to new places, the others keeping their order."""
    n = x.array.ndim
    start = [one_dim("movedim", d, n) for d in ([source] if isinstance(source, int) else source)]
    end = [one_dim("movedim", d, n) for d in ([destination] if isinstance(destination, int) else destination)]
    if len(start) != len(end) or len(set(start)) != len(start) or len(set(end)) != len(end):
        raise RuntimeError(f"movedim: source {source} and destination {destination} must pair up distinct dims")
    rest = [d for d in range(n) if d not in start]
    order = [-1] * n
    for s, e in zip(start, end, strict=True):
        order[e] = s
    return _permute(x, tuple(d if d >= 0 else rest.pop(0) for d in order))


@numpy_names
def t(x: Tensor) -> Tensor:
    """The transpose of a matrix; a vector stays as it is."""
    if x.array.ndim > 2:
        raise RuntimeError(f"t: expects a tensor with <= 2 dimensions, but it is {x.array.ndim}-D; use mT or permute")
    return x if x.array.ndim < 2 else ops.movement.transpose(x, 0, 1)


def matrix_transpose(x: Tensor) -> Tensor:
    """The last two dims exchanged (x.mT)."""
    if x.array.ndim < 2:
        raise RuntimeError(f"mT: only supported on matrices or batches of matrices, got a {x.array.ndim}-D tensor")
    return ops.movement.transpose(x, -2, -1)


def reversed_dims(x: Tensor) -> Tensor:
    """All dims in reverse order (x.T)."""
    return _permute(x, tuple(range(x.array.ndim))[::-1])


@numpy_names
def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """x broadcast to the shape of another tensor."""
    return _expand(x, other.array.shape)


@numpy_names
def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """x broadcast to a shape, as a read-only view."""
    return _expand(x, tuple(shape))


def repeat(x: Tensor, *repeats: Any) -> Tensor:
    """x laid out repeats[d] times along each dim (NumPy calls this tile)."""
    times = sizes(repeats)
    if len(times) < x.array.ndim:
        raise RuntimeError(
            f"repeat: Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"{times} for {x.array.shape}"
        )
    shape = (1,) * (len(times) - x.array.ndim) + x.array.shape
    # (n, m) -> (1, n, 1, m) -> (r, n, s, m) -> (r n, s m)
    spaced = tuple(n for size in shape for n in (1, size))
    grown = tuple(n for r, size in zip(times, shape, strict=True) for n in (r, size))
    return _reshape(_expand(_reshape(x, spaced), grown), tuple(r * n for r, n in zip(times, shape, strict=True)))


@numpy_names
def tile(x: Tensor, *repeats: Any, dims: Sequence[int] | None = None) -> Tensor:
    """As `repeat`, with missing leading counts taken as 1."""
    times = sizes(repeats) if dims is None else sizes(tuple(dims))
    return repeat(x, *((1,) * (x.array.ndim - len(times)) + times))


@numpy_names
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Equal shapes joined along a new dim."""
    parts = [check_tensor("stack", x) for x in tensors]
    if not parts:
        raise RuntimeError("stack: expects a non-empty TensorList")
    for x in parts:
        if x.array.shape != parts[0].array.shape:
            raise ShapeError(
                f"stack: expects each tensor to be equal size, but got {parts[0].array.shape} and {x.array.shape}"
            )
    place = one_dim("stack", dim, parts[0].array.ndim + 1)
    return ops.movement.cat([x.unsqueeze(place) for x in parts], dim=place)


def _axis_of(name: str, x: Tensor, dim: int) -> int:
    """`dim` from the front, of a tensor that can be taken apart."""
    if x.array.ndim == 0:
        raise ShapeError(f"{name}: expects at least a 1-dimensional tensor, got a 0-D one")
    return one_dim(name, dim, x.array.ndim)


@numpy_names
def split(x: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts along `dim`: of one size (the last may be smaller), or of the given sizes."""
    axis = _axis_of("split", x, dim)
    n = x.array.shape[axis]
    if isinstance(split_size, int):
        if split_size <= 0:
            raise RuntimeError(f"split: split_size must be positive, got {split_size}")
        parts = [min(split_size, n - i) for i in range(0, n, split_size)] or [0]
    else:
        parts = [int(k) for k in split_size]
        if sum(parts) != n:
            raise RuntimeError(f"split: sizes {parts} must add up to {n}, the size of dim {dim} of {x.array.shape}")
    ends = np.cumsum([0, *parts])
    before = (slice(None),) * axis
    return tuple(getitem(x, (*before, slice(int(a), int(b)))) for a, b in pairwise(ends))


@numpy_names
def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal size along `dim` (the last may be smaller)."""
    if chunks < 1:
        raise RuntimeError(f"chunk: expects chunks to be greater than 0, got {chunks}")
    n = x.array.shape[_axis_of("chunk", x, dim)]
    return split(x, -(-n // chunks) if n else [0] * chunks, dim)


@numpy_names
def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without it."""
    axis = _axis_of("unbind", x, dim)
    return tuple(getitem(x, (slice(None),) * axis + (i,)) for i in range(x.array.shape[axis]))


@numpy_names
def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The entries of `dim` at the places in a 1-D index, as a copy."""
    axis = one_dim("index_select", dim, x.array.ndim)
    if index.array.ndim > 1:
        raise IndexError(f"index_select: index is supposed to be a vector, got {index.array.shape}")
    if index.array.dtype.kind not in "iu":
        raise DTypeError(
            f"index_select: index must be an int or long tensor, got {index.dtype!r}; use x[mask] for a mask"
        )
    if index.array.size and index.array.min() < 0:
        raise LabelError(f"index_select: index {index.array.min()} is out of range; places count from 0")
    return getitem(x, (slice(None),) * axis + (index.reshape(-1),))


@numpy_names
def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """out[i][j] = x[index[i][j]][j] for dim 0, and alike for other dims."""
    return ops.indexing.gather(x, index, dim=dim)


def _source(x: Tensor, src: Any) -> Any:
    return src if isinstance(src, Tensor) else plain(np.asarray(src, x.array.dtype))


@numpy_names
def scatter(x: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None) -> Tensor:
    """A copy of x with src (a tensor or a number) written at the index along dim."""
    return ops.indexing.scatter(x, index, _source(x, value if src is None else src), dim=dim)


@numpy_names
def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of x with src added at the index along dim."""
    return ops.indexing.scatter_add(x, index, src, dim=dim)


def scatter_(x: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None) -> Tensor:
    """Write src at the index along dim, in place."""
    return inplace(x, ops.indexing.scatter, (index, _source(x, value if src is None else src)), {"dim": dim})


def scatter_add_(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """Add src at the index along dim, in place."""
    return inplace(x, ops.indexing.scatter_add, (index, src), {"dim": dim})


@numpy_names
def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The entries at `indices` along dim, both broadcast over the other dims; dim None takes from the flat tensor."""
    if dim is None:
        return ops.indexing.gather(x.reshape(-1), indices.reshape(-1), dim=0)
    axis = one_dim("take_along_dim", dim, x.array.ndim)
    if indices.array.ndim != x.array.ndim:
        raise ShapeError(f"take_along_dim: indices {tuple(indices.shape)} and input {tuple(x.shape)} differ in dims")
    own, wanted = list(x.array.shape), list(indices.array.shape)
    own[axis] = wanted[axis] = 1
    rest = broadcast_shape("take_along_dim", own, wanted)
    grown = (*rest[:axis], x.array.shape[axis], *rest[axis + 1 :])
    places = (*rest[:axis], indices.array.shape[axis], *rest[axis + 1 :])
    return ops.indexing.gather(_expand(x, grown), _expand(indices, places), dim=axis)


def _mask(name: str, mask: Any) -> Tensor:
    mask = check_tensor(name, mask)
    if mask.array.dtype != bool:
        raise DTypeError(f"{name}: only supports boolean masks, but got dtype {mask.dtype!r}; compare or use .bool()")
    return mask


@numpy_names
def masked_fill(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy of x with `value`, a number or 0-d tensor, where the mask, broadcast to x, is True."""
    if isinstance(value, Tensor) and value.array.ndim:
        raise ShapeError(
            f"masked_fill: only supports a 0-dimensional value tensor, got {value.array.shape}; "
            f"use where(mask, value, x)"
        )
    return ops.basic.where(_mask("masked_fill", mask), _source(x, value), x)


def masked_fill_(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Set entries where the mask is True, in place."""
    filled = masked_fill(x, mask, value)
    return inplace_copy(x, filled)


def inplace_copy(x: Tensor, source: Any) -> Tensor:
    """Set every entry of x from source, broadcast: x.copy_(source)."""
    setitem(x, ..., source)
    return x


@numpy_names
def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The entries where the mask, broadcast against x, is True, as a 1-D copy."""
    chosen = _mask("masked_select", mask)
    shape = broadcast_shape("masked_select", x.array.shape, chosen.array.shape)
    return getitem(_expand(x, shape), _expand(chosen, shape))


def one_hot(x: Tensor, num_classes: int = -1) -> Tensor:
    """Integer labels (...) -> (..., num_classes) of zeros with a one at each label, int64."""
    labels = check_tensor("one_hot", x).array
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: needs integer labels, got {x.dtype!r}; convert with .long()")
    if num_classes == -1:
        if labels.size == 0:
            raise RuntimeError("one_hot: cannot infer num_classes from an empty tensor; pass num_classes")
        num_classes = int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        bad = int(labels.min() if labels.min() < 0 else labels.max())
        raise LabelError(f"one_hot: class value {bad} must lie in [0, {num_classes - 1}]")
    return plain((labels[..., None] == np.arange(num_classes)).astype(np.int64))


def contiguous(x: Tensor) -> Tensor:
    """x itself if its memory is in row-major order, else a copy that is."""
    return x if x.array.flags.c_contiguous else ops.basic.clone(x)


def to(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """x as another dtype; `to("cpu")` and `to(device)` return x.  to(dtype), to(device, dtype), to(other)."""
    target = kwargs.pop("dtype", None)
    check_device(kwargs.pop("device", None))
    copy = kwargs.pop("copy", False) or (len(args) > 2 and args[-1] is True)
    kwargs.pop("non_blocking", None)
    if kwargs:
        raise TypeError(f"to: unexpected arguments {sorted(kwargs)}")
    for a in args:
        if isinstance(a, Tensor):
            target = a.dtype
        elif isinstance(a, dtypes.dtype) or a in (float, int, bool):
            target = a
        elif not isinstance(a, bool) and a is not None:
            check_device(a)
    if target is None or dtypes.of(target).dtype == x.array.dtype:
        return ops.basic.clone(x) if copy else x
    new = dtypes.of(target)
    if not new.is_floating_point:
        with np.errstate(all="ignore"):
            return plain(x.array.astype(new.dtype))
    return ops.basic.cast(x, dtype=new.dtype, source=x.array.dtype)
