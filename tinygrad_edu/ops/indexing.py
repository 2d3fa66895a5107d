"""Ops that read and write entries chosen by indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.errors import DTypeError, LabelError, ShapeError
from tinygrad_edu.ops.registry import Array, op
from tinygrad_edu.ops.shapes import Ints, one_dim


def is_basic(index: tuple[Any, ...]) -> bool:
    """True when the index has only ints, slices, `...` and None, so that reading it gives a view."""
    return not any(isinstance(i, np.ndarray) for i in index)


def checked_read(x: Array, index: tuple[Any, ...]) -> Array:
    """x[index] with an error that names the shape."""
    try:
        return x[index]
    except IndexError as error:
        raise LabelError(f"index: {error}; the tensor is {x.shape}") from None


@op(
    symbol="[ ]",
    formula="{x}[…]",
    precedence=3,
    gradients={"x": "{grad} at the index, 0 elsewhere"},
    view=True,
    method=False,
)
def index(x: Array, index: Any) -> Array:
    """x[index] for ints, slices, `...`, None, boolean and integer arrays: a view when there is no array."""
    out = checked_read(x, index)
    # x[0, 1] of a matrix is a NumPy scalar, a copy; with `...` it is the 0-d view that PyTorch gives
    return out if isinstance(out, np.ndarray) else np.asarray(x)[(*index, ...)]


@op(symbol="[ ]ᵀ", formula="scatter({x})", gradients={"x": "{grad}[…]"}, method=False)
def index_scatter(x: Array, shape: Ints, index: Any) -> Array:
    """Zeros of `shape` with x added at the index, repeated indices summing: the transpose of `index`."""
    out = np.zeros(tuple(shape), x.dtype)
    if is_basic(index):
        out[index] = x
    else:
        np.add.at(out, index, x)
    return out


index.backward(x=lambda grad, x_shape, index: index_scatter(grad, shape=x_shape, index=index))
index_scatter.backward(x=lambda grad, index: _read(grad, index))


def _read(x: Any, where: Any) -> Any:
    return index(x, index=where)


@op(
    symbol="[ ]=",
    formula="{x} with […] = {value}",
    precedence=0,
    gradients={"x": "{grad}, 0 at the index", "value": "{grad}[…]"},
    types="first",
    method=False,
)
def index_put(x: Array, value: Array, index: Any) -> Array:
    """A copy of x with x[index] = value (the last of repeated indices stays)."""
    out = np.array(x)  # a 0-d gradient may be a NumPy scalar
    write(out, index, value)
    return out


def write(x: Array, index: Any, value: Any) -> None:
    """x[index] = value with an error that names the shapes."""
    try:
        x[index] = value
    except IndexError as error:
        raise LabelError(f"index: {error}; the tensor is {x.shape}") from None
    except (TypeError, ValueError):
        part = x[index].shape
        extra = np.ndim(value) - len(part)
        if extra > 0 and all(n == 1 for n in value.shape[:extra]):  # beside a mask NumPy refuses leading dims of 1
            return write(x, index, value.reshape(value.shape[extra:]))
        raise ShapeError(
            f"index: a value of shape {np.shape(value)} does not fit the indexed part {part} of {x.shape}"
        ) from None


def _value_gradient(grad: Any, value_shape: tuple[int, ...], where: Any) -> Any:
    """The gradient at the index; the walk sums it to the value's shape where it was broadcast.

    NumPy lets a value have leading dims of size 1 that the indexed part lacks: those come back by a reshape.
    """
    part = index(grad, index=where)
    if len(value_shape) > part.ndim:
        from tinygrad_edu.ops.movement import reshape

        part = reshape(part, shape=(1,) * (len(value_shape) - part.ndim) + tuple(part.shape))
    return part


index_put.backward(
    x=lambda grad, index: index_put(grad, 0.0, index=index),
    value=lambda grad, value_shape, index: _value_gradient(grad, value_shape, index),
)


def along(name: str, x_shape: tuple[int, ...], where: Array, dim: int) -> tuple[Any, ...]:
    """The full index arrays of a gather or scatter along `dim`, checked."""
    if where.dtype.kind not in "iu":
        raise DTypeError(f"{name}: index must be an integer tensor (int64), got {where.dtype}; convert with .long()")
    if where.ndim != len(x_shape):
        raise ShapeError(f"{name}: index has {where.ndim} dims and the input {len(x_shape)}; they must agree")
    axis = one_dim(name, dim, len(x_shape))
    for i, (n, m) in enumerate(zip(where.shape, x_shape, strict=True)):
        if i != axis and n > m:
            raise ShapeError(f"{name}: index {where.shape} is larger than the input {x_shape} in dim {i}")
    n = x_shape[axis] if x_shape else 1
    if where.size and (where.min() < 0 or where.max() >= n):
        bad = where.min() if where.min() < 0 else where.max()
        # RuntimeError, as in PyTorch, although indexing itself raises IndexError
        raise ShapeError(f"{name}: index {bad} is out of bounds for dim {axis} with size {n} (input {x_shape})")
    grid: list[Any] = list(np.ogrid[tuple(slice(k) for k in where.shape)])
    if where.ndim:
        grid[axis] = where
    return tuple(grid)


@op(
    symbol="gather",
    formula="{x}[{index}]",
    precedence=3,
    gradients={"x": "{grad} at {index}"},
    title="Pick",
    method=False,
)
def gather(x: Array, index: Array, dim: int) -> Array:
    """out[i][j] = x[index[i][j]][j] for dim 0, and alike for other dims.

    x and index have the same number of dims, index no larger than x outside `dim` -> out as index
    Raises ShapeError for an index outside the dim.
    """
    return x[along("gather", x.shape, index, dim)]


@op(
    symbol="scatter",
    formula="scatter_add({x}, {index}, {src})",
    gradients={"x": "{grad}", "src": "{grad}[{index}]"},
    method=False,
)
def scatter_add(x: Array, index: Array, src: Array, dim: int) -> Array:
    """A copy of x with src added at the index along `dim`; repeated indices sum."""
    out = np.array(x)  # a 0-d gradient may be a NumPy scalar
    np.add.at(out, along("scatter_add", x.shape, index, dim), _cut("scatter_add", src, index, x.dtype))
    return out


@op(
    symbol="scatter",
    formula="scatter({x}, {index}, {src})",
    gradients={"x": "{grad}, 0 at the index", "src": "{grad}[{index}]"},
    method=False,
)
def scatter(x: Array, index: Array, src: Array, dim: int) -> Array:
    """A copy of x with src written at the index along `dim` (which of repeated indices stays is not defined)."""
    out = np.array(x)  # a 0-d gradient may be a NumPy scalar
    out[along("scatter", x.shape, index, dim)] = _cut("scatter", src, index, x.dtype)
    return out


def _cut(name: str, src: Array, where: Array, dtype: Any) -> Array:
    """The part of src that the index names; src may be larger."""
    if isinstance(src, np.ndarray) and src.dtype != dtype:
        raise DTypeError(f"{name}: expected self.dtype to be equal to src.dtype, but x is {dtype} and src {src.dtype}")
    if np.ndim(src) == 0 and where.ndim:
        return src
    if np.ndim(src) != where.ndim or any(n > m for n, m in zip(where.shape, src.shape, strict=True)):
        raise ShapeError(f"{name}: src {np.shape(src)} must be at least as large as the index {where.shape}")
    return src[tuple(slice(n) for n in where.shape)]


def _src_gradient(grad: Any, where: Any, src_shape: tuple[int, ...], dim: int) -> Any:
    part = gather(grad, where, dim=dim)
    if tuple(src_shape) in (tuple(where.shape), ()):
        return part
    return index_scatter(part, shape=src_shape, index=tuple(slice(n) for n in where.shape))


gather.backward(
    x=lambda grad, index, x_shape, dim: scatter_add(_zeros(grad, x_shape), index, grad, dim=dim),
)
scatter_add.backward(
    x=lambda grad: grad,
    src=lambda grad, index, src_shape, dim: _src_gradient(grad, index, src_shape, dim),
)
scatter.backward(
    x=lambda grad, index, dim: scatter(grad, index, 0.0, dim=dim),
    src=lambda grad, index, src_shape, dim: _src_gradient(grad, index, src_shape, dim),
)


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` and of the dtype of `like`, as a plain array: no gradient flows into it."""
    return np.zeros(shape, like.dtype)


def follow(x: Any, steps: Any) -> Any:
    """The view of x that a chain of view ops, as (op, parameters), leads to."""
    for step, params in steps:
        x = step(x, **params)
    return x


@op(
    symbol="[ ]=",
    formula="{x} with its view = {value}",
    precedence=0,
    gradients={"x": "{grad}, 0 in the view", "value": "the view of {grad}"},
    types="first",
    title="ViewPut",
    method=False,
)
def view_put(x: Array, value: Array, steps: Any) -> Array:
    """A copy of x in which the view reached by `steps` is replaced by value.

    This is what an in-place op on a view does to its base.
    """
    out = np.array(x, order="C")
    follow(out, steps)[...] = value
    return out


view_put.backward(
    x=lambda grad, steps: view_put(grad, 0.0, steps=steps),
    value=lambda grad, steps: follow(grad, steps),
)
