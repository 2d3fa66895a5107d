"""What the inputs of a derivation are drawn from: any numbers, positive ones, probabilities, one-hot rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draw", "any_number", "one_hot", "positive", "probabilities"]

Numbers = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Draw:
    """A domain: `random` draws for the judgement, `small` draws numbers that are easy to follow by hand."""

    name: str
    random: Callable[[Rng, tuple[int, ...]], Numbers]
    small: Callable[[Rng, tuple[int, ...]], Numbers]

    def __repr__(self) -> str:
        return self.name


def _classes(shape: tuple[int, ...]) -> int:
    """The axis along which a row of probabilities lies: the last one, or the one before the 1 of a column."""
    return len(shape) - 2 if len(shape) > 1 and shape[-1] == 1 else len(shape) - 1


def _normal(rng: Rng, shape: tuple[int, ...]) -> Numbers:
    """Standard normal, kept 0.05 away from 0, where relu and |x| have their kink."""
    x = rng.standard_normal(shape)
    return np.asarray(np.where(np.abs(x) < 0.05, np.sign(x + 1e-9) * (0.05 + np.abs(x)), x))


def _small_integers(rng: Rng, shape: tuple[int, ...]) -> Numbers:
    return np.asarray(rng.choice([1.0, 2.0, -1.0, 0.0, 3.0], size=shape, p=[0.35, 0.25, 0.15, 0.15, 0.1]))


def _positive(rng: Rng, shape: tuple[int, ...]) -> Numbers:
    return np.asarray(0.3 + rng.gamma(2.0, 0.6, size=shape))


def _small_positive(rng: Rng, shape: tuple[int, ...]) -> Numbers:
    return np.asarray(rng.choice([1.0, 2.0, 0.5, 4.0], size=shape))


def _probabilities(rng: Rng, shape: tuple[int, ...]) -> Numbers:
    x = 0.1 + rng.gamma(1.0, 1.0, size=shape)
    return np.asarray(x / x.sum(axis=_classes(shape), keepdims=True)) if shape else np.asarray(rng.uniform(0.1, 0.9))


def _small_probabilities(rng: Rng, shape: tuple[int, ...]) -> Numbers:
    x = rng.choice([1.0, 2.0, 1.0], size=shape)
    return np.asarray(x / x.sum(axis=_classes(shape), keepdims=True)) if shape else np.asarray(0.5)


def _one_hot(rng: Rng, shape: tuple[int, ...]) -> Numbers:
    if not shape:
        return np.asarray(1.0)
    axis = _classes(shape)
    rest = shape[:axis] + shape[axis + 1 :]
    rows = np.eye(shape[axis])[rng.integers(shape[axis], size=rest)]
    return np.asarray(np.moveaxis(rows, -1, axis))


any_number = Draw("any number", _normal, _small_integers)
positive = Draw("positive", _positive, _small_positive)
probabilities = Draw("probabilities", _probabilities, _small_probabilities)
one_hot = Draw("one_hot", _one_hot, _one_hot)


def as_draw(given: object) -> Draw:
    """A Draw, or a function (rng, shape) -> array made into one.

    Raises TypeError for anything else.
    """
    if isinstance(given, Draw):
        return given
    if callable(given):
        return Draw(getattr(given, "__name__", "drawn"), given, given)
    raise TypeError(
        f"derivation: a draw must be one_hot, positive, probabilities or a function of (rng, shape), got {given!r}"
    )
