"""How examples are chosen: the samplers of domains.py ask a `Chooser`, Hypothesis or a seeded generator answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from tinygrad_edu.ops.registry import Array, Interval

T = TypeVar("T")


class Chooser(Protocol):
    """Makes the choices that an example consists of."""

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        ...

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        ...

    def generator(self) -> np.random.Generator:
        """A source of random numbers for the entries of arrays."""
        ...


class RandomChooser:
    """Chooses by a seeded generator; needs no Hypothesis."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return int(self._rng.integers(low, high + 1))

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def generator(self) -> np.random.Generator:
        """The generator itself."""
        return self._rng


def values(choose: Chooser, shape: Sequence[int], intervals: Interval | Sequence[Interval] = (-3.0, 3.0)) -> Array:
    """A read-only float64 array with entries from an interval or from several."""
    spans: Any = [intervals] if isinstance(intervals[0], (int, float)) else list(intervals)
    rng = choose.generator()
    which = rng.integers(0, len(spans), tuple(shape))
    low, high = (np.array([span[end] for span in spans])[which] for end in (0, 1))
    out = np.asarray(low + (high - low) * rng.random(tuple(shape)))
    out.flags.writeable = False
    return out


def distinct(choose: Chooser, shape: Sequence[int]) -> Array:
    """A read-only float64 array whose entries all differ by at least 0.05: no ties for max and sort."""
    n = int(np.prod(shape))
    out = ((choose.generator().permutation(n) - n / 2) * 0.05).reshape(tuple(shape))
    out.flags.writeable = False
    return out


def shape_of(
    choose: Chooser, min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4
) -> tuple[int, ...]:
    """A small shape; sides of size 0 and 1 come up often enough to matter."""
    return tuple(choose.integer(min_side, max_side) for _ in range(choose.integer(min_dims, max_dims)))


def broadcast_shapes_of(choose: Chooser, count: int) -> list[tuple[int, ...]]:
    """`count` shapes that broadcast together: dims left out in front, or of size 1."""
    full = shape_of(choose)
    shapes = []
    for _ in range(count):
        own = full[choose.integer(0, len(full)) :] if choose.integer(0, 2) == 0 else full
        shapes.append(tuple(1 if n != 0 and choose.integer(0, 3) == 0 else n for n in own))
    return shapes


def an_index(choose: Chooser, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """An index that fits a 2-D or 3-D shape with sides of at least 2."""
    rows = choose.generator().integers(-shape[0], shape[0], 3)
    mask = choose.generator().random(shape) < 0.5
    return choose.choice(
        [
            (1,),
            (slice(None), 0),
            (Ellipsis, slice(0, 2)),
            (slice(None, None, 2), None, slice(1, None)),
            (rows,),
            (slice(None), np.array([[0, 1], [1, 1]])),
            (rows, np.array([0, 1, 0])),
            (mask,),
            (mask[..., 0],),
            (None, rows, Ellipsis),
        ]
    )
