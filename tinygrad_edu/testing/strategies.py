"""Hypothesis strategies for tensors, shapes, and the inputs of every registered op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

from tinygrad_edu.ops.registry import Array, Interval, Op
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.choosers import broadcast_shapes_of, shape_of, values
from tinygrad_edu.testing.domains import draw_inputs

T = TypeVar("T")


class _Drawn:
    """A chooser whose choices Hypothesis makes, and shrinks."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return int(self._draw(st.integers(low, high)))

    def choice(self, options: Sequence[T]) -> T:
        chosen: T = self._draw(st.sampled_from(list(options)))
        return chosen

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self._draw(st.integers(0, 2**32 - 1)))


@st.composite
def shapes(draw: Any, min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4) -> tuple[int, ...]:
    """Small shapes, with sides of size 0 and 1 among them."""
    return shape_of(_Drawn(draw), min_dims, max_dims, min_side, max_side)


@st.composite
def broadcastable_shapes(draw: Any, count: int = 2) -> list[tuple[int, ...]]:
    """Lists of `count` shapes that broadcast together."""
    return broadcast_shapes_of(_Drawn(draw), count)


@st.composite
def arrays(
    draw: Any,
    shape: Sequence[int] | None = None,
    domain: Interval | Sequence[Interval] = (-3.0, 3.0),
    min_dims: int = 0,
    min_side: int = 0,
) -> Array:
    """Read-only float64 arrays with entries from the domain."""
    choose = _Drawn(draw)
    return values(choose, shape_of(choose, min_dims=min_dims, min_side=min_side) if shape is None else shape, domain)


@st.composite
def tensors(draw: Any, /, requires_grad: bool = False, **options: Any) -> Tensor:
    """Float64 tensors; the options are those of `arrays`."""
    return wrap(draw(arrays(**options)).copy()).requires_grad_(requires_grad)


@st.composite
def inputs_of(draw: Any, op: Op) -> tuple[list[Array], dict[str, Any]]:
    """Arguments of a registered op: its input arrays, read-only, and its parameters."""
    return draw_inputs(op, _Drawn(draw))
