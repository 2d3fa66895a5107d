"""The forward pass with everything it needs: shapes of the inputs, sizes, constants, loss and upstream gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.derivation.draws import Draw, any_number, as_draw
from tinygrad_edu.derivation.expressions import FormulaError
from tinygrad_edu.derivation.statements import LOSSES

__all__ = ["Setting", "Shape", "setting_of"]

Numbers = NDArray[np.float64]
Shape = tuple[str | int, ...]


@dataclass(frozen=True)
class Setting:
    """What a derivation is about; made and checked by `setting_of`."""

    name: str
    forward: Callable[..., Any]
    shapes: Mapping[str, Shape]
    draws: Mapping[str, Draw]
    sizes: Mapping[str, int]
    constants: Mapping[str, Any]
    loss: str | None
    upstream: str | None
    products: str
    names: tuple[str, ...] = ()  # of the intermediates, the output last
    scalar: bool = True  # whether the output is one number, and so may be the loss

    @property
    def losses(self) -> tuple[str, ...]:
        """What the loss may be called: the given name, and the output's own where it is the loss."""
        own = self.names[-1:] if self.upstream is None and self.scalar else ()
        if self.loss is not None:
            return tuple(dict.fromkeys((self.loss, *own)))
        taken = {*self.shapes, *self.names, *self.constants, *self.sizes}
        return tuple(dict.fromkeys((*own, *(loss for loss in LOSSES if loss not in taken))))

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters in the shapes, in order."""
        return tuple(dict.fromkeys(n for shape in self.shapes.values() for n in shape if isinstance(n, str)))

    @property
    def known(self) -> set[str]:
        """Every plain name: inputs, intermediates, constants, letters, the upstream gradient, the loss."""
        return {*self.shapes, *self.names, *self.constants, *self.sizes, *self.losses} | (
            {self.upstream} if self.upstream else set()
        )

    def shape(self, name: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape of an input at these sizes."""
        return tuple(sizes[n] if isinstance(n, str) else n for n in self.shapes[name])

    def run(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """The named intermediates of one forward pass.

        Raises FormulaError for anything but a dict with names that are not inputs.
        """
        try:
            inspect.signature(self.forward).bind(**tensors, **self.constants)
        except TypeError as raised:
            given = ", ".join((*tensors, *self.constants))
            raise TypeError(
                f"derivation {self.name!r}: forward is called with the inputs and constants ({given}): {raised}"
            ) from None
        found = self.forward(**tensors, **self.constants)
        if not isinstance(found, Mapping) or not found:
            raise FormulaError(
                f"derivation {self.name!r}: forward must return a dict of named intermediates with the output last, "
                f"as {{'mu': mu, 'y': y}}; it returned {type(found).__name__}"
            )
        taken = [key for key in found if key in self.shapes and found[key] is not tensors[key]]
        if taken:
            raise FormulaError(f"derivation {self.name!r}: {taken[0]} is an input and an intermediate; rename one")
        return {key: value for key, value in found.items() if key not in self.shapes}

    def draw_of_upstream(self, rng: np.random.Generator, shape: tuple[int, ...], small: bool = False) -> Numbers:
        """A gradient that arrives at the output."""
        return (any_number.small if small else any_number.random)(rng, shape)

    def drawn(self, rng: np.random.Generator, sizes: Mapping[str, int], small: bool = False) -> dict[str, Numbers]:
        """The inputs, at random or in small numbers."""
        return {
            key: (draw.small if small else draw.random)(rng, self.shape(key, sizes)) for key, draw in self.draws.items()
        }


def setting_of(
    name: str,
    forward: Callable[..., Any],
    inputs: Mapping[str, Any],
    sizes: Mapping[str, int] | None,
    constants: Mapping[str, Any] | None,
    loss: str | None,
    upstream: str | None,
    products: str,
) -> Setting:
    """Check the options of a derivation and keep them.

    Raises TypeError or ValueError that says which option is wrong and what it must be.
    """
    if not callable(forward):
        raise TypeError(f"derivation {name!r}: forward must be a function, got {type(forward).__name__}")
    if products not in ("entries", "matrices"):
        raise ValueError(f"derivation {name!r}: products must be 'entries' or 'matrices', got {products!r}")
    if not inputs:
        raise ValueError(f"derivation {name!r}: give the shapes of the inputs, as inputs={{'x': ('m',)}}")
    sizes, constants = dict(sizes or {}), dict(constants or {})
    shapes: dict[str, Shape] = {}
    draws: dict[str, Draw] = {}
    given: Any
    for key, given in inputs.items():
        pair = list(given) if _has_draw(given) else [given, any_number]
        shapes[key] = _shape(name, key, pair[0])
        draws[key] = as_draw(pair[1])
    missing = [n for shape in shapes.values() for n in shape if isinstance(n, str) and n not in sizes]
    if missing:
        raise ValueError(
            f"derivation {name!r}: the size {missing[0]!r} is in a shape and has no value; "
            f"give sizes={{{missing[0]!r}: 4}}"
        )
    for letter, n in sizes.items():
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ValueError(f"derivation {name!r}: the size {letter!r} must be a positive integer, got {n!r}")
    groups: dict[str, Mapping[str, Any]] = {"an input": shapes, "a size": sizes, "a constant": constants}
    seen: dict[str, str] = {}
    for kind, group in groups.items():
        for key in group:
            if key in seen:
                raise ValueError(f"derivation {name!r}: {key!r} is {seen[key]} and {kind}; rename one")
            seen[key] = kind
    if upstream is not None and upstream in seen:
        raise ValueError(f"derivation {name!r}: upstream {upstream!r} is also {seen[upstream]}; rename one")
    return Setting(name, forward, shapes, draws, sizes, constants, loss, upstream, products)


def _has_draw(given: Any) -> bool:
    return (
        isinstance(given, Sequence)
        and not isinstance(given, str)
        and len(given) == 2
        and isinstance(given[0], (tuple, list))
    )


def _shape(name: str, key: str, shape: Any) -> Shape:
    if isinstance(shape, (str, int)) or not isinstance(shape, Sequence):
        raise TypeError(f"derivation {name!r}: the shape of {key} must be a tuple such as ('m', 10), got {shape!r}")
    for n in shape:
        if not isinstance(n, (str, int)) or (isinstance(n, int) and n < 1):
            raise TypeError(
                f"derivation {name!r}: a shape holds letters and positive integers; {key} has {n!r} in {shape!r}"
            )
    return tuple(shape)
