"""Sliding windows along one dim."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.ops.registry import Array, op
from tinygrad_edu.ops.shapes import Ints, one_dim


@op(
    symbol="unfold",
    formula="unfold({x})",
    gradients={"x": "Σ of {grad} over the windows"},
    view=True,
    title="Unfold",
    method=False,
)
def sliding_windows(x: Array, dimension: int, size: int, step: int) -> Array:
    """A view of all windows of `size` entries along `dimension`, `step` apart; the entries of a window come last.

    The view is read-only where windows overlap: several of its entries share one place in memory.
    """
    if x.ndim == 0:
        raise ShapeError("unfold: a 0-D tensor has no dim to slide along; reshape it to (1,) first")
    axis = one_dim("unfold", dimension, x.ndim)
    if not 0 < size <= x.shape[axis]:
        raise ShapeError(f"unfold: size must lie in [1, {x.shape[axis]}], the size of dim {axis}, but is {size}")
    if step <= 0:
        raise ShapeError(f"unfold: step is {step} but must be > 0")
    windows = sliding_window_view(x, size, axis)[(slice(None),) * axis + (slice(None, None, step),)]
    return _view_of(x, windows, writeable=step >= size)


def _view_of(x: Array, windows: Array, writeable: bool) -> Array:
    """The same windows as a view whose `base` leads to the owner of x: NumPy's own hides it behind another object.

    Without the owner, a later change in place of x would go unnoticed.
    """
    owner = x
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    memory = owner.ravel("K")
    if x.size == 0 or not np.shares_memory(memory, owner):
        return windows.copy()
    offset = x.ctypes.data - memory.ctypes.data
    view: Array = np.ndarray(windows.shape, x.dtype, memory, offset, windows.strides)
    view.flags.writeable = writeable and x.flags.writeable
    return view


@op(symbol="fold", formula="fold({x})", gradients={"x": "unfold({grad})"}, method=False)
def fold_windows(x: Array, shape: Ints, dimension: int, step: int) -> Array:
    """Zeros of `shape` with every window added at its place: the transpose of `sliding_windows`."""
    out = np.zeros(tuple(shape), x.dtype)
    axis = one_dim("unfold", dimension, out.ndim)
    span = step * (x.shape[axis] - 1) + 1
    for k in range(x.shape[-1]):
        out[(slice(None),) * axis + (slice(k, k + span, step),)] += x[..., k]
    return out


fold_windows.backward(
    x=lambda grad, x_shape, dimension, step: sliding_windows(grad, dimension=dimension, size=x_shape[-1], step=step)
)
sliding_windows.backward(
    x=lambda grad, x_shape, dimension, step: fold_windows(grad, shape=x_shape, dimension=dimension, step=step)
)
