"""The smallest input at which a formula is wrong: few entries, small numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.derivation.expressions import names_in
from tinygrad_edu.derivation.formulas import Comparison, Formula, compare, is_gradient, parameters
from tinygrad_edu.derivation.setting import Setting
from tinygrad_edu.derivation.truth import World
from tinygrad_edu.derivation.verdicts import Counterexample

__all__ = ["smallest"]

Numbers = NDArray[np.float64]
DRAWS = 24  # of small numbers, per size
FINE = 1.0  # the score of numbers that are easily followed
CLEAR = 0.02  # the relative difference that a reader sees at once
MORE = 12  # sizes that are looked at after the first at which the formula is wrong, for clearer numbers


def smallest(formula: Formula, setting: Setting, seed: int) -> Counterexample | None:
    """The counter-example with the fewest entries; None if none was found.

    Sizes grow from 1; at each, small integers and halves are tried, and the clearest difference is taken.  A size at
    which one side is NaN, huge or all but zero gives way to a larger one with better numbers.
    """
    fallback: tuple[float, World, Comparison] | None = None
    left = MORE
    for sizes in _sizes(setting):
        best = _best(formula, setting, sizes, seed)
        if best is not None and best[0] >= FINE:
            return _written(formula, best[1], best[2])
        if best is not None and (fallback is None or best[0] > fallback[0] + 0.5):
            fallback = best
        left -= fallback is not None
        if left < 0:
            break
    return None if fallback is None else _written(formula, fallback[1], fallback[2])


def _best(
    formula: Formula, setting: Setting, sizes: dict[str, int], seed: int
) -> tuple[float, World, Comparison] | None:
    """The clearest draw at these sizes, with its score: 1 and more when a reader can follow it."""
    best: tuple[float, World, Comparison] | None = None
    for draw in range(DRAWS):
        rng = np.random.default_rng([seed, draw, *sizes.values()])
        small = draw < DRAWS - 4  # some of the usual draws, where small numbers all hide the slip
        try:
            world = World(setting, sizes, setting.drawn(rng, sizes, small=small), rng)
            if setting.upstream is not None and small:
                world.with_upstream(setting.draw_of_upstream(rng, world.shape(world.output), small=True))
            found = compare(formula, world)
        except (ArithmeticError, RuntimeError, ValueError, TypeError, IndexError):
            continue  # sizes or a draw that the forward pass does not take
        if found.right or not np.isfinite(found.true).all():
            continue
        score = _score(world, found)
        if best is None or score > best[0]:
            best = (score, world, found)
    return best


def _score(world: World, found: Comparison) -> float:
    if found.mine is None:
        return 1.0 if max(world.sizes.values(), default=2) > 1 else -0.5
    if not np.isfinite(found.mine).all():
        return -3.0
    place = _place(found)
    pair = [abs(float(x[place])) for x in (np.asarray(found.mine), found.true)]
    readable = all(0.005 < x < 100 for x in pair) and found.error > CLEAR
    half = sum(0.005 < x < 100 for x in pair) == 1 and min(pair) == 0.0 and found.error > CLEAR
    return (2.0 if readable else 1.5 if half else -1.0) - _complexity(world)


def _place(found: Comparison) -> tuple[int, ...]:
    """An entry where the difference is about the largest."""
    mine = np.asarray(found.mine)
    difference = np.where(np.isfinite(mine), np.abs(mine - found.true), np.inf)
    return tuple(int(k) for k in np.unravel_index(int(np.argmax(difference > 0.5 * difference.max())), mine.shape))


def _sizes(setting: Setting) -> Iterator[dict[str, int]]:
    letters = list(setting.sizes)
    ones = (1,) * len(letters)
    few: list[tuple[int, ...]] = [ones]
    if len(letters) <= 4:
        few = list(itertools.product((1, 2, 3), repeat=len(letters)))
    else:  # one letter at a time, two at a time, all
        for count in (1, 2):
            for chosen in itertools.combinations(range(len(letters)), count):
                few.append(tuple(2 if k in chosen else 1 for k in range(len(letters))))
        few += [tuple(2 for _ in letters), tuple(3 for _ in letters)]
    for numbers in sorted(few, key=lambda n: (int(np.prod(n)), n)):
        yield dict(zip(letters, numbers, strict=True))


def _complexity(world: World) -> float:
    """Small for small integers: the share of entries that are not 0 or 1, and their size."""
    entries = np.concatenate([x.reshape(-1) for x in world.inputs.values()] or [np.zeros(1)])
    fractional = np.mean(entries != np.round(entries))
    return float(min(1.0, 0.5 * fractional + 0.1 * np.mean(np.abs(entries)) + 0.1 * np.mean(entries < 0)))


def _written(formula: Formula, world: World, found: Comparison) -> Counterexample:
    from tinygrad_edu.explanations.text import array_text, number

    used = _used(formula, world)
    shown = [key for key in world.inputs if key in used or _matters(world, key, formula)]
    shown = shown or list(world.inputs)
    values: dict[str, Numbers] = {key: world.inputs[key] for key in shown}
    upstream = world.setting.upstream
    if upstream is not None and (upstream in used or is_gradient(formula.target, world)):
        values[upstream] = world.values[upstream]
    letters = [f"{letter} = {n}" for letter, n in world.sizes.items() if letter in used]
    inputs = ", ".join([*letters, *(f"{key} = {array_text(value)}" for key, value in values.items())])
    mine, true = found.mine, found.true
    if mine is None:
        shapes = [f"{key} {array_text_of_shape(world.names.shape(key))}" for key in sorted(used) if key in world.names]
        inputs = ", ".join([*(f"{letter} = {n}" for letter, n in world.sizes.items()), *shapes])
        shape = "" if found.shape is None else f"yours has the shape {found.shape}, the true one {true.shape}"
        return Counterexample(values, None, true, "", f"{inputs}: {shape or found.problem}")
    mine, true = np.asarray(mine) + 0.0, true + 0.0  # no −0
    if true.ndim == 0:
        return Counterexample(
            values, float(mine), float(true), "", f"{inputs}: yours {number(mine)}, true {number(true)}"
        )
    place = _place(found)
    left = _entry(formula, found, place)
    text = f"{inputs}: {left} is {number(mine[place])} in yours, truly {number(true[place])}"
    return Counterexample(values, float(mine[place]), float(true[place]), left, text)


def array_text_of_shape(shape: tuple[int, ...]) -> str:
    """(2, 3), or "a number"."""
    return str(shape) if shape else "a number"


def _entry(formula: Formula, found: Comparison, place: tuple[int, ...]) -> str:
    labels = found.labels
    named = ", ".join(f"{label} = {k}" for label, k in zip(labels, place, strict=False))
    rest = place[len(labels) :]
    entry = f"entry [{', '.join(map(str, rest))}]" if rest else ""
    return f"{formula.target.text} at {', '.join(filter(None, (named, entry)))}"


def _used(formula: Formula, world: World) -> set[str]:
    if formula.tree is not None:
        return names_in(formula.tree)
    assert formula.function is not None
    return {which for _, which in parameters(formula.function, formula.target, world).values()}


def _matters(world: World, key: str, formula: Formula) -> bool:
    """Whether a named value in the formula depends on this input (then the reader needs it to follow)."""
    values = [name for name in _used(formula, world) if name in world.tensors and name not in world.inputs]
    derivatives = any(world.names.derivative(name) is not None for name in _used(formula, world))
    gradient = is_gradient(formula.target, world) and derivatives
    return gradient or any(world.jacobian(name, key).any() for name in values) or key == formula.target.by
