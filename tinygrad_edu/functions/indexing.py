"""x[index] and x[index] = value, by PyTorch's rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.errors import DTypeError
from tinygrad_edu.ops.indexing import write
from tinygrad_edu.recording import apply, inplace_write
from tinygrad_edu.tensor import Tensor

_read, _put = ops.indexing.index, ops.indexing.index_put


def normalised(key: Any) -> tuple[Any, ...]:
    """The index as a tuple of ints, slices, None, Ellipsis and arrays.

    Raises ValueError for a negative step, DTypeError for an index that is neither integer nor boolean.
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
            raise DTypeError(
                f"index: tensors used as indices must be long, int or bool tensors, got {p.dtype}; convert with .long()"
            )
        return p
    raise TypeError(
        f"index: only integers, slices, `...`, None and long or bool tensors are valid indices (got {type(p).__name__})"
    )


def getitem(x: Tensor, key: Any) -> Tensor:
    """x[key]: a view for ints, slices, `...` and None; a copy for tensors of indices or a mask."""
    if type(key) is int:
        if x.array.ndim == 0:
            raise IndexError("index: invalid index of a 0-dim tensor. Use tensor.item() to get its number")
        return apply(_read, (x,), {"index": (key,)})
    return apply(_read, (x,), {"index": normalised(key)})


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """x[key] = value, in place; the value broadcasts to the indexed part."""
    index = normalised(key)
    if not isinstance(value, Tensor):
        value = np.asarray(value, x.array.dtype)
    inplace_write(x, _put, value, {"index": index}, lambda array, v: write(array, index, v))
