"""Ops that move entries and compute nothing: most of them are views that share memory with their input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.ops.registry import Array, op
from tinygrad_edu.ops.shapes import Dim, Ints, fill_in, one_dim, permutation, swapped


@op(symbol="reshape", formula="{x}", gradients={"x": "{grad} reshaped"}, view=True)
def reshape(x: Array, shape: Ints) -> Array:
    """The same entries in row-major order under another shape; one size may be −1. A view where possible."""
    return x.reshape(fill_in("reshape", shape, x.size))


reshape.backward(x=lambda grad, x_shape: reshape(grad, shape=x_shape))


@op(symbol="permute", formula="{x} permuted", gradients={"x": "{grad} permuted back"}, view=True)
def permute(x: Array, dims: Ints) -> Array:
    """A view with the dimensions in the order `dims`."""
    return x.transpose(permutation("permute", dims, x.ndim))


permute.backward(x=lambda grad, dims: permute(grad, dims=inverse_permutation(dims)))


def inverse_permutation(dims: Ints) -> tuple[int, ...]:
    """The permutation that undoes `dims`."""
    order = [d % len(dims) for d in dims]
    return tuple(order.index(i) for i in range(len(order)))


@op(symbol="ᵀ", formula="{x}ᵀ", precedence=3, gradients={"x": "{grad}ᵀ"}, view=True)
def transpose(x: Array, dim0: int, dim1: int) -> Array:
    """A view with two dimensions exchanged."""
    return x.transpose(swapped("transpose", dim0, dim1, x.ndim))


transpose.backward(x=lambda grad, dim0, dim1: transpose(grad, dim0=dim0, dim1=dim1))


def mT(x: Any) -> Any:
    """The last two dimensions exchanged."""
    return transpose(x, dim0=-2, dim1=-1)


@op(symbol="expand", formula="{x}", gradients={"x": "Σ {grad}"}, view=True)
def expand(x: Array, shape: Ints) -> Array:
    """A read-only view in which dims of size 1 repeat; −1 keeps a size."""
    missing = len(shape) - x.ndim
    if missing < 0:
        raise ShapeError(f"expand: shape {tuple(shape)} has fewer dims than the input {x.shape}")
    full = []
    for i, n in enumerate(shape):
        if n != -1:
            full.append(n)
        elif i < missing:
            raise ShapeError(f"expand: -1 at dim {i} of {tuple(shape)} stands for a dim that {x.shape} does not have")
        else:
            full.append(x.shape[i - missing])
    try:
        return np.broadcast_to(x, full)
    except ValueError:
        raise ShapeError(
            f"expand: {x.shape} cannot expand to {tuple(shape)}: only dims of size 1 (or new ones in front) grow"
        ) from None


@op(symbol="Σ", formula="Σ {x}", gradients={"x": "{grad} expanded"}, method=False)
def sum_to(x: Array, shape: Ints) -> Array:
    """The sum over broadcast dims that leaves `shape`: the transpose of `expand`."""
    shape = tuple(shape)
    leading = x.ndim - len(shape)
    axes = tuple(range(leading)) + tuple(
        i + leading for i, n in enumerate(shape) if n == 1 and x.shape[i + leading] != 1
    )
    return np.asarray(np.add.reduce(x, axis=axes, keepdims=True)).reshape(shape)


sum_to.backward(x=lambda grad, x_shape: expand(grad, shape=x_shape))
expand.backward(x=lambda grad, x_shape: sum_to(grad, shape=x_shape))


@op(symbol="squeeze", formula="{x}", gradients={"x": "{grad}"}, view=True)
def squeeze(x: Array, dim: Dim = None) -> Array:
    """A view without the dims of size 1 (all of them, or those among `dim`)."""
    if dim is None:
        return x.squeeze()
    dims = dim if isinstance(dim, Sequence) else (dim,)
    wanted = {one_dim("squeeze", d, x.ndim) for d in dims} if x.ndim else set()
    return x.squeeze(tuple(d for d in wanted if x.shape[d] == 1))


squeeze.backward(x=lambda grad, x_shape: reshape(grad, shape=x_shape))


@op(symbol="unsqueeze", formula="{x}", gradients={"x": "{grad}"}, view=True)
def unsqueeze(x: Array, dim: int) -> Array:
    """A view with a new dim of size 1 at place `dim`."""
    return np.expand_dims(x, one_dim("unsqueeze", dim, x.ndim + 1))


unsqueeze.backward(x=lambda grad, x_shape: reshape(grad, shape=x_shape))


@op(symbol="diagonal", formula="diagonal({x})", gradients={"x": "diag({grad})"}, view=True)
def diagonal(x: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """A view of the diagonal of two dims, put last."""
    first, second = one_dim("diagonal", dim1, x.ndim), one_dim("diagonal", dim2, x.ndim)
    if first == second:
        raise ShapeError(f"diagonal: dim1 {dim1} and dim2 {dim2} must be different dims of {x.shape}")
    # NumPy marks its diagonal read-only although it is a view of x; a strided view of our own is writable.
    return _diagonal_view(x, offset, first, second)


def _diagonal_view(x: Array, offset: int, dim1: int, dim2: int) -> Array:
    view = x.diagonal(offset, dim1, dim2)
    if x.flags.writeable:
        view.flags.writeable = True
    return view


@op(symbol="diag", formula="diag({x})", gradients={"x": "diagonal({grad})"}, method=False)
def diagonal_scatter(x: Array, shape: Ints, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """Zeros of `shape` with x on the diagonal of two dims: the transpose of `diagonal`."""
    out = np.zeros(tuple(shape), x.dtype)
    _diagonal_view(out, offset, dim1 % out.ndim, dim2 % out.ndim)[...] = x
    return out


diagonal_scatter.backward(x=lambda grad, offset, dim1, dim2: diagonal(grad, offset=offset, dim1=dim1, dim2=dim2))
diagonal.backward(
    x=lambda grad, x_shape, offset, dim1, dim2: diagonal_scatter(
        grad, shape=x_shape, offset=offset, dim1=dim1, dim2=dim2
    )
)


@op(symbol="flip", formula="flip({x})", gradients={"x": "flip({grad})"})
def flip(x: Array, dims: Ints) -> Array:
    """A copy in reverse order along `dims`."""
    places = tuple(one_dim("flip", d, x.ndim) for d in dims)
    if len(set(places)) != len(places):
        raise ShapeError(f"flip: dims {tuple(dims)} name a dimension twice")
    return np.flip(x, places if x.ndim else ()).copy()


flip.backward(x=lambda grad, dims: flip(grad, dims=dims))


@op(symbol="roll", formula="roll({x})", gradients={"x": "{grad} rolled back"})
def roll(x: Array, shifts: int | Ints, dims: int | Ints | None = None) -> Array:
    """A copy whose entries moved `shifts` places along `dims`, around the end (over the flat array without dims)."""
    steps = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    axes = None if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    if (axes is None and len(steps) != 1) or (axes is not None and len(axes) != len(steps)):
        raise ShapeError(f"roll: shifts {steps} and dims {axes} must have the same length")
    if axes is not None:
        axes = tuple(one_dim("roll", d, x.ndim) for d in axes)
    return np.roll(x, steps if axes is not None else steps[0], axes)


roll.backward(
    x=lambda grad, shifts, dims: roll(
        grad, shifts=-shifts if isinstance(shifts, int) else tuple(-s for s in shifts), dims=dims
    )
)


@op(symbol="cat", formula="cat(…)", gradients={"tensors": "its slice of {grad}"}, types="numeric", title="Cat")
def cat(*tensors: Array, dim: int = 0) -> Array:
    """The inputs one after the other along `dim`; their other sizes must agree."""
    if not tensors:
        raise RuntimeError("cat: expected a non-empty list of tensors")
    shapes = [x.shape for x in tensors if x.shape != (0,)]  # torch lets an empty 1-D tensor through
    if not shapes:
        return tensors[0].copy()
    axis = one_dim("cat", dim, len(shapes[0]))
    for shape in shapes:
        if not shape:
            raise ShapeError("cat: a zero-dimensional tensor cannot be concatenated; use stack")
        if len(shape) != len(shapes[0]) or any(
            a != b for i, (a, b) in enumerate(zip(shape, shapes[0], strict=True)) if i != axis
        ):
            raise ShapeError(
                f"cat: sizes must match except in dim {axis}, but got {shapes[0]} and {shape}; "
                f"check dim= or reshape one of them"
            )
    return np.concatenate([x for x in tensors if x.shape != (0,)], axis)


def _part(grad: Any, i: int, shapes: Sequence[Ints], dim: int) -> Any:
    if tuple(shapes[i]) == (0,) and grad.ndim != 1:
        return None
    axis = dim % grad.ndim
    sizes = [0 if tuple(s) == (0,) and grad.ndim != 1 else s[axis] for s in shapes]
    start = sum(sizes[:i])
    return grad[(slice(None),) * axis + (slice(start, start + sizes[i]),)]


cat.backward(tensors=lambda grad, i, tensors_shapes, dim: _part(grad, i, tensors_shapes, dim))


@op(symbol="pad", formula="pad({x})", gradients={"x": "{grad} without its border"}, method=False)
def constant_pad(x: Array, padding: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
    """x with `before` and `after` entries of `value` around each dim; negative counts crop."""
    if x.ndim == 0:
        return np.array(x)
    for (before, after), n in zip(padding, x.shape, strict=True):
        if n + before + after < 0:
            raise ShapeError(f"pad: padding {tuple(padding)} leaves a negative size of the input {x.shape}")
    cropped = x[crop(padding)]
    return np.pad(cropped, [(max(b, 0), max(a, 0)) for b, a in padding], constant_values=value)


def crop(padding: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    """The slices that cut away the negative part of a padding."""
    return tuple(slice(max(-b, 0), a if a < 0 else None) for b, a in padding)


constant_pad.backward(
    x=lambda grad, padding: constant_pad(grad, padding=tuple((-b, -a) for b, a in padding), value=0.0)
)


@op(symbol="tril", formula="tril({x})", gradients={"x": "tril({grad})"})
def tril(x: Array, diagonal: int = 0) -> Array:
    """The entries on and below a diagonal of the last two dims, zeros elsewhere."""
    return np.tril(_matrix("tril", x), diagonal)


tril.backward(x=lambda grad, diagonal: tril(grad, diagonal=diagonal))


@op(symbol="triu", formula="triu({x})", gradients={"x": "triu({grad})"})
def triu(x: Array, diagonal: int = 0) -> Array:
    """The entries on and above a diagonal of the last two dims, zeros elsewhere."""
    return np.triu(_matrix("triu", x), diagonal)


triu.backward(x=lambda grad, diagonal: triu(grad, diagonal=diagonal))


def _matrix(name: str, x: Array) -> Array:
    if x.ndim < 2:
        raise ShapeError(f"{name}: needs at least 2 dims, got {x.shape}")
    return x
