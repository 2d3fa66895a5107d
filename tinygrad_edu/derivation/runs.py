"""The runs of a forward pass in which a formula is judged: at the given sizes, at larger ones that differ, at 2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tinygrad_edu.derivation.expressions import Expression, FormulaError, names_in, places
from tinygrad_edu.derivation.setting import Setting
from tinygrad_edu.derivation.truth import World

__all__ = ["places_in", "sized", "with_larger_constants", "world_of", "worlds_of"]

TINY = 1e-3


def world_of(setting: Setting, sizes: Mapping[str, int], seed: int) -> World:
    """A run at these sizes.  Raises FormulaError when a value of it is no number."""
    rng = np.random.default_rng([seed, *sizes.values()])
    world = World(setting, sizes, setting.drawn(rng, sizes), rng)
    for key, value in world.values.items():
        if not np.isfinite(value).all():
            raise FormulaError(
                f"derivation {setting.name!r}: {key} is NaN or infinite at random inputs; give the inputs a domain, as "
                f"inputs={{'x': (('m',), positive)}}"
            )
    return world


def distinct_sizes(setting: Setting) -> dict[str, int]:
    """A size for every letter, no two alike and none that a shape has as a number."""
    used = {n for shape in setting.shapes.values() for n in shape if isinstance(n, int)}
    distinct: dict[str, int] = {}
    for letter in setting.sizes:
        distinct[letter] = next(n for n in range(3, 99) if n not in used and n not in distinct.values())
    return distinct


def sized(world: World) -> tuple[World, ...]:
    """This run and, where the forward pass takes them, one at other sizes, in which only what is always 1 is 1."""
    try:
        return (world, world_of(world.setting, distinct_sizes(world.setting), 0)) if world.sizes else (world,)
    except Exception:  # whatever the forward pass raises at sizes that it does not take
        return (world,)


def worlds_of(setting: Setting, seed: int) -> list[World]:
    """Runs at the given sizes (twice), at larger ones that all differ, and at 2: a formula must be right in all."""
    given, distinct = dict(setting.sizes), distinct_sizes(setting)
    tries = [(given, 3 * seed), (given, 3 * seed + 1), (distinct, 3 * seed), (dict.fromkeys(given, 2), 3 * seed)]
    worlds = []
    for k, (sizes, number) in enumerate(tries):
        if k > 1 and not given:
            break
        try:
            worlds.append(world_of(setting, sizes, number))
        except Exception:
            if k < 2:  # the given sizes must do; others may not fit the forward pass
                raise
    return worlds


def with_larger_constants(tree: Expression | None, world: World, seed: int) -> World | None:
    """A run in which tiny constants that the formula does not have are 0.1: without its eps = 1e-8 it is wrong there.

    None when there is no such constant, or when a number in the formula stands for it.
    """
    if tree is None:
        return None
    numbers = [part.data for _, part in places(tree) if part.op == "number"]
    used = names_in(tree)
    moved = {
        key: 0.1
        for key, value in world.setting.constants.items()
        if isinstance(value, float) and 0 < value < TINY and key not in used and value not in numbers
    }
    if not moved:
        return None
    try:
        return world_of(replace(world.setting, constants={**world.setting.constants, **moved}), world.sizes, 3 * seed)
    except FormulaError:
        return None


def places_in(world: World) -> dict[str, float]:
    """Where a value stands in the forward pass; an input just before the first value that depends on it."""
    inner = [key for key in world.order if key not in world.inputs]
    found: dict[str, float] = {key: float(k) for k, key in enumerate(inner)}
    for key in world.inputs:
        users = [k for k, of in enumerate(inner) if world.jacobian(of, key).any()]
        found[key] = users[0] - 0.5 if users else -1.0
    return found
