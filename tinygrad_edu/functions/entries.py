"""Methods that change a tensor's entries or shape one way or another, outside the graph's common paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions import shaping
from tinygrad_edu.functions.indexing import setitem
from tinygrad_edu.recording import check_writable, live_node, rebind
from tinygrad_edu.tensor import Tensor


def _called(x: Tensor, name: str, function: Callable[..., Any], *others: Tensor) -> Tensor:
    """Replace every entry by what a Python function makes of it; slow, and without a gradient."""
    check_writable(x, name)
    if live_node(x) is not None:
        raise RuntimeError(f"{name}_: only supports tensors that don't require grad; detach() first")
    arrays = [np.broadcast_to(other.array, x.array.shape) for other in others]
    for place in np.ndindex(x.array.shape):
        x.array[place] = function(x.array[place].item(), *(a[place].item() for a in arrays))
    rebind(x, None)
    return x


def apply_(x: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace every entry by callable(entry): slow, and without a gradient; for whole tensors use ops."""
    return _called(x, "apply", callable)


def map_(x: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace every entry by callable(entry, entry of tensor): slow, and without a gradient."""
    return _called(x, "map", callable, tensor)


def fill_diagonal_(x: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Set the main diagonal to a number, in place; a tall matrix may start again below (wrap)."""
    if x.array.ndim < 2:
        raise ShapeError(f"fill_diagonal_: dimensions must larger than 1, got {x.array.shape}")
    if x.array.ndim > 2 and len(set(x.array.shape)) > 1:
        raise ShapeError(f"fill_diagonal_: all dimensions of input must be of equal length, got {x.array.shape}")
    n, columns = min(x.array.shape), x.array.shape[1]
    places = np.arange(n)
    if wrap and x.array.ndim == 2 and x.array.shape[0] > columns:
        rows = np.arange(x.array.shape[0])
        rows = rows[rows % (columns + 1) != columns]
        setitem(x, (rows, rows % (columns + 1)), fill_value)
    else:
        setitem(x, (places,) * x.array.ndim, fill_value)
    return x


def _turned(name: str, view: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The in-place twin of a view: the tensor itself takes the new shape.  For tensors without history only."""

    def method(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if live_node(x) is not None or x.view_of is not None:
            raise NotImplementedError(
                f"{name}_: is supported for tensors that neither require grad nor are views; write x = x.{name}(...)"
            )
        x.array = view(x.detach(), *args, **kwargs).array
        return x

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"`{name}` in place, for a tensor without history."
    return method


squeeze_, unsqueeze_ = _turned("squeeze", ops.movement.squeeze), _turned("unsqueeze", ops.movement.unsqueeze)
transpose_, swapaxes_ = _turned("transpose", ops.movement.transpose), _turned("swapaxes", shaping.swapaxes)
t_ = _turned("t", shaping.t)


def storage_offset(x: Tensor) -> int:
    """How many entries of the memory come before the first one of x."""
    base = x.array
    while isinstance(base.base, np.ndarray):
        base = base.base
    return int(x.array.ctypes.data - base.ctypes.data) // x.array.itemsize
