"""Arithmetic on shapes and dims, shared by the ops: plain tuples in, plain tuples out."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.errors import ShapeError

Ints = Sequence[int]
Dim = int | Sequence[int] | None
Shape = tuple[int, ...]


def one_dim(name: str, dim: Any, ndim: int) -> int:
    """`dim` counted from the front.  Raises IndexError outside [-ndim, ndim), TypeError if it is no integer."""
    try:
        value = operator.index(dim)
    except TypeError:
        raise TypeError(f"{name}: dim must be an integer, got {dim!r}") from None
    bound = max(ndim, 1)
    if not -bound <= value < bound:
        raise IndexError(
            f"{name}: Dimension out of range: dim {value} of a {ndim}-D tensor; it must lie in [{-bound}, {bound - 1}]"
        )
    return value + bound if value < 0 else value


def dims_of(name: str, dim: Dim, ndim: int) -> Shape:
    """The dims to reduce, counted from the front; None and () mean all of them."""
    if dim is None or (isinstance(dim, Sequence) and len(dim) == 0):
        return tuple(range(ndim))
    if not isinstance(dim, Sequence) or isinstance(dim, str):
        place = one_dim(name, dim, ndim)
        return (place,) if ndim else ()
    dims = tuple(one_dim(name, d, ndim) for d in dim)
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"{name}: dim {tuple(dim)} names a dimension twice")
    return dims if ndim else ()


def kept_shape(shape: Ints, dims: Ints) -> Shape:
    """The shape with the reduced dims kept at size 1."""
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


def count(shape: Ints, dims: Ints) -> int:
    """How many entries a reduction over `dims` combines."""
    total = 1
    for d in dims:
        total *= shape[d]
    return total


def fill_in(name: str, shape: Ints, size: int) -> Shape:
    """`shape` with its one -1 replaced, so that it holds `size` entries."""
    shape = tuple(operator.index(n) for n in shape)
    known, unknown = 1, 0
    for n in shape:
        if n == -1:
            unknown += 1
        elif n < 0:
            raise ShapeError(f"{name}: shape {shape} has a negative size; only one -1 may stand for the rest")
        else:
            known *= n
    if unknown > 1:
        raise ShapeError(f"{name}: shape {shape} has more than one -1; only one dimension can be inferred")
    if unknown:
        if known == 0 or size % known:
            raise ShapeError(f"{name}: shape {shape} is invalid for {size} entries: {known} does not divide {size}")
        return tuple(size // known if n == -1 else n for n in shape)
    if known != size:
        raise ShapeError(f"{name}: shape {shape} holds {known} entries, but the input has {size}")
    return shape


def broadcast_error(name: str, shapes: Sequence[Ints]) -> ShapeError:
    """The error for shapes that do not broadcast, naming the first dim that clashes."""
    listed = " and ".join(str(tuple(s)) for s in shapes)
    longest = max(len(s) for s in shapes)
    for back in range(1, longest + 1):
        sizes = sorted({s[-back] for s in shapes if len(s) >= back and s[-back] != 1})
        if len(sizes) > 1:
            return ShapeError(
                f"{name}: shapes {listed} do not broadcast: dim {-back} has sizes {' and '.join(map(str, sizes))}; "
                f"sizes must be equal or 1. Check for a missing unsqueeze, transpose or reshape"
            )
    return ShapeError(f"{name}: shapes {listed} do not fit together")


def broadcast_shape(name: str, *shapes: Ints) -> Shape:
    """The shape that all broadcast to.  Raises ShapeError naming the dim that clashes."""
    try:
        return np.broadcast_shapes(*(tuple(s) for s in shapes))
    except ValueError:
        raise broadcast_error(name, shapes) from None


def permutation(name: str, dims: Ints, ndim: int) -> Shape:
    """`dims` as a permutation of all dims, counted from the front."""
    order = tuple(one_dim(name, d, ndim) for d in dims)
    if sorted(order) != list(range(ndim)):
        raise ShapeError(f"{name}: dims {tuple(dims)} must name each of the {ndim} dimensions exactly once")
    return order


def swapped(name: str, dim0: int, dim1: int, ndim: int) -> Shape:
    """The permutation that exchanges two dims."""
    if ndim == 0:
        return ()
    order = list(range(ndim))
    first, second = one_dim(name, dim0, ndim), one_dim(name, dim1, ndim)
    order[first], order[second] = second, first
    return tuple(order)
