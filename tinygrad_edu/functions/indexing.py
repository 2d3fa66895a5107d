"""x[index] and x[index] = value, by PyTorch's rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.errors import DTypeError, LabelError
from tinygrad_edu.ops.indexing import write
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import apply, inplace_write
from tinygrad_edu.tensor import Tensor

_read, _put = ops.indexing.index, ops.indexing.index_put


def normalised(key: Any) -> tuple[Any, ...]:
    """The index as a tuple of ints, slices, None, Ellipsis and arrays.

    Raises ValueError for a negative step, LabelError for an index that is neither integer nor boolean.
    """
    parts = key if isinstance(key, tuple) else (key,)
    return tuple([_part(p) for p in parts])


def _part(p: Any) -> Any:
    if p is None or p is Ellipsis or type(p) is int:
        return p
    if isinstance(p, slice):
        if p.step is not None and p.step <= 0:
            raise ValueError(f"index: step must be greater than zero, got {p.step}; use flip() to reverse a dimension")
        return p
    if isinstance(p, Tensor):
        p = p.array
        if p.ndim == 0 and p.dtype.kind in "iu":
            return int(p)
    if isinstance(p, (bool, np.bool_)):
        return np.asarray(p)
    if isinstance(p, np.integer):
        return int(p)
    if isinstance(p, range):
        p = list(p)
    if isinstance(p, (list, tuple)):
        p = np.asarray([q.array if isinstance(q, Tensor) else q for q in p])
        if p.size == 0:
            p = p.astype(np.int64)
    if isinstance(p, np.ndarray):
        if p.dtype == np.uint8:
            raise DTypeError("index: uint8 masks are ambiguous; convert with .bool() for a mask, .long() for places")
        if p.dtype.kind not in "iub":
            raise LabelError(
                f"index: tensors used as indices must be long, int or bool tensors, got {p.dtype}; convert with .long()"
            )
        return p
    raise LabelError(
        f"index: only integers, slices, `...`, None and long or bool tensors are valid indices (got {type(p).__name__})"
    )


def selected_first(index: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The index in two steps: the ints, then the rest.  PyTorch selects first; NumPy counts an int as an array of
    indices, which moves the indexed dims to the front: x[0, :, rows] would come out transposed.
    """
    ints: list[Any] = []
    for p in index:
        if isinstance(p, np.ndarray):
            ints += [slice(None)] * (p.ndim if p.dtype == bool else 1)
        elif p is not None:
            ints.append(slice(None) if isinstance(p, slice) else p)
    return tuple(ints), tuple(p for p in index if type(p) is not int)


def _mixes(index: tuple[Any, ...]) -> bool:
    """True if the index has ints beside arrays."""
    return any(type(p) is int for p in index) and any(isinstance(p, np.ndarray) for p in index)


def _own(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """The index for a recorded op: backward reads its arrays again, which the caller may have changed by then."""
    return tuple(p.copy() if isinstance(p, np.ndarray) else p for p in index)


def getitem(x: Tensor, key: Any) -> Tensor:
    """x[key]: a view for ints, slices, `...` and None; a copy for tensors of indices or a mask."""
    if type(key) is int:
        if x.array.ndim == 0:
            raise IndexError("index: invalid index of a 0-dim tensor. Use tensor.item() to get its number")
        return apply(_read, (x,), {"index": (key,)})
    index = normalised(key)
    if _mixes(index):
        first, index = selected_first(index)
        x = apply(_read, (x,), {"index": first})
    if mode.grad and (x.node is not None or x.view_of is not None):
        index = _own(index)
    return apply(_read, (x,), {"index": index})


def _number_array(value: Any, dtype: Any) -> Array:
    """What is assigned, as an array of the tensor's dtype."""
    try:
        if value is not None:
            return np.asarray(value, dtype)
    except OverflowError as error:
        raise DTypeError(f"index: value cannot be converted to {dtype} without overflow: {error}") from None
    except (TypeError, ValueError):
        pass
    raise TypeError(f"index: can't assign a {type(value).__name__} to a tensor; give a number, a tensor or an array")


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """x[key] = value, in place; the value broadcasts to the indexed part."""
    index = normalised(key)
    if not isinstance(value, Tensor):
        value = _number_array(value, x.array.dtype)
    if _mixes(index):
        first, index = selected_first(index)
        x = apply(_read, (x,), {"index": first})
    if mode.grad:
        index = _own(index)
    inplace_write(x, _put, value, {"index": index}, lambda array, v: write(array, index, v))
