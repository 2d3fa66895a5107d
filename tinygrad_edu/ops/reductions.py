"""Ops that combine many entries into one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import kernels
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.ops.basic import where
from tinygrad_edu.ops.movement import constant_pad, expand, flip, inverse_permutation, permute, reshape
from tinygrad_edu.ops.registry import Array, op
from tinygrad_edu.ops.shapes import Dim, count, dims_of, kept_shape, one_dim


def spread(grad: Any, shape: tuple[int, ...], dim: Dim) -> Any:
    """A reduced array repeated over the dims it was reduced over, so that it has `shape` again."""
    return expand(reshape(grad, shape=kept_shape(shape, dims_of("expand", dim, len(shape)))), shape=shape)


def _kept(x: Any, shape: tuple[int, ...], dim: Dim) -> Any:
    """A reduced array with its reduced dims put back at size 1."""
    return reshape(x, shape=kept_shape(shape, dims_of("reshape", dim, len(shape))))


@op(symbol="Σ", formula="Σ {x}", gradients={"x": "{grad}"}, precedence=1.5)
def sum(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    """Sum over `dim` (an int, several, or None for all); integers and booleans sum to int64."""
    axes = dims_of("sum", dim, x.ndim)
    if x.dtype.kind != "f":
        return np.asarray(np.sum(x, axis=axes, dtype=np.int64, keepdims=keepdim))
    return kernels.sum(x, axes, keepdim)


sum.backward(x=lambda grad, x_shape, dim: spread(grad, x_shape, dim))


@op(symbol="mean", formula="mean({x})", gradients={"x": "{grad} / N"}, types="floating")
def mean(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    """Arithmetic mean 1/N Σ x over `dim` (None: over all); the mean of nothing is NaN."""
    return kernels.mean(x, dims_of("mean", dim, x.ndim), keepdim)


mean.backward(
    x=lambda grad, x_shape, dim: spread(grad / count(x_shape, dims_of("mean", dim, len(x_shape))), x_shape, dim)
)


def _not_empty(name: str, x: Array, dim: Dim) -> tuple[int, ...]:
    if x.size == 0 and dim is None:
        raise ShapeError(f"{name}: the input {x.shape} is empty; there is nothing to choose from")
    axes = dims_of(name, dim, x.ndim)
    if x.size == 0 and count(x.shape, axes) == 0:
        raise IndexError(f"{name}: the input {x.shape} is empty along dim {dim}; there is nothing to choose from")
    return axes


def _extreme_gradient(grad: Any, out: Any, x: Any, dim: Dim) -> Any:
    """The gradient shared equally by the entries that attain the extreme, as PyTorch's amax does.

    An extreme of NaN is attained by the NaNs, which no == finds.
    """
    extreme = _kept(out, x.shape, dim)
    won = (x == extreme) | ((x != x) & (extreme != extreme))
    ties = won.sum(dims_of("amax", dim, x.ndim), keepdims=True)
    return where(won, spread(grad, x.shape, dim) / ties, 0.0)


@op(
    symbol="max",
    formula="max {x}",
    precedence=1.5,
    gradients={"x": "{grad} where {x} is largest"},
    types="ordered",
    title="Max",
)
def amax(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    """Largest entry over `dim`; ties share the gradient equally."""
    return kernels.amax(x, _not_empty("amax", x, dim), keepdim)


amax.backward(x=lambda grad, out, x, dim: _extreme_gradient(grad, out, x, dim))


@op(
    symbol="min",
    formula="min {x}",
    precedence=1.5,
    gradients={"x": "{grad} where {x} is smallest"},
    types="ordered",
    title="Min",
)
def amin(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    """Smallest entry over `dim`; ties share the gradient equally."""
    return kernels.amin(x, _not_empty("amin", x, dim), keepdim)


amin.backward(x=lambda grad, out, x, dim: _extreme_gradient(grad, out, x, dim))


@op(symbol="Π", formula="Π {x}", gradients={"x": "{grad} · product of the others"}, precedence=1.5)
def prod(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    """Product over `dim` (an int, several, or None for all)."""
    axes = dims_of("prod", dim, x.ndim)
    if x.dtype.kind != "f":
        return np.asarray(np.prod(x, axis=axes, dtype=np.int64, keepdims=keepdim))
    return kernels.prod(x, axes, keepdim)


def _prod_gradient(grad: Any, x: Any, dim: Dim) -> Any:
    """grad · Π of the other entries, without dividing: exact with zeros and differentiable again."""
    reduced = dims_of("prod", dim, x.ndim)
    order = (*(i for i in range(x.ndim) if i not in reduced), *reduced)  # the reduced dims last, joined into one
    moved = permute(x, dims=order)
    flat = reshape(moved, shape=(*moved.shape[: x.ndim - len(reduced)], count(x.shape, reduced)))
    axis = x.ndim - len(reduced)
    others = exclusive_prod(flat, axis) * flip(exclusive_prod(flip(flat, dims=(axis,)), axis), dims=(axis,))
    back = permute(reshape(others, shape=moved.shape), dims=inverse_permutation(order))
    return spread(grad, x.shape, dim) * back


def exclusive_prod(x: Any, axis: int) -> Any:
    """Product of the entries before each one: log2(n) doubling steps of shifted products.  Any shape."""
    n = x.shape[axis]
    out, step = shifted(x, axis, 1, 1.0), 1
    while step < n:
        out = out * shifted(out, axis, step, 1.0)
        step *= 2
    return out


def shifted(x: Any, axis: int, by: int, value: float) -> Any:
    """The entries moved `by` places along an axis; `value` comes in from the side, the others fall out."""
    if x.shape[axis] == 0:
        return x
    padding = [(0, 0)] * x.ndim
    padding[axis] = (by, -by)
    return constant_pad(x, padding=tuple(padding), value=value)


prod.backward(x=lambda grad, x, dim: _prod_gradient(grad, x, dim))


@op(symbol="cumsum", formula="cumsum({x})", gradients={"x": "Σ of {grad} from here on"})
def cumsum(x: Array, dim: int) -> Array:
    """Running sum along one dim."""
    if x.ndim == 0:
        one_dim("cumsum", dim, 0)
        return x.copy()
    axis = one_dim("cumsum", dim, x.ndim)
    return np.cumsum(x, axis, dtype=np.int64) if x.dtype.kind != "f" else kernels.cumsum(x, axis)


def _suffix_sum(grad: Any, dim: int) -> Any:
    return grad if grad.ndim == 0 else flip(cumsum(flip(grad, dims=(dim,)), dim=dim), dims=(dim,))


cumsum.backward(x=lambda grad, dim: _suffix_sum(grad, dim))


@op(symbol="cumprod", formula="cumprod({x})", gradients={"x": "Σ of {grad} · product of the others, from here on"})
def cumprod(x: Array, dim: int) -> Array:
    """Running product along one dim."""
    if x.ndim == 0:
        one_dim("cumprod", dim, 0)
        return x.copy()
    axis = one_dim("cumprod", dim, x.ndim)
    return np.cumprod(x, axis, dtype=x.dtype if x.dtype.kind == "f" else np.int64)


def _cumprod_gradient(grad: Any, x: Any, dim: int) -> Any:
    """Without dividing, so that it is exact with zeros and differentiable again.

    s_k = Σ_{i≥k} grad_i Π_{k<j≤i} x_j obeys s_k = grad_k + x_{k+1} s_{k+1}, solved by log2(n) doubling steps.
    """
    if x.ndim == 0:
        return grad
    axis = one_dim("cumprod", dim, x.ndim)
    s, factor, step = grad, shifted(x, axis, -1, 0.0), 1
    while step < x.shape[axis]:
        s = s + factor * shifted(s, axis, -step, 0.0)
        factor = factor * shifted(factor, axis, -step, 0.0)
        step *= 2
    return exclusive_prod(x, axis) * s


cumprod.backward(x=lambda grad, x, dim: _cumprod_gradient(grad, x, dim))
