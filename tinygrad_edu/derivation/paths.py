"""The forgotten path: a formula that is the sum of some of the ways along which a gradient comes, but not of all."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from tinygrad_edu.derivation.expressions import FormulaError, Value
from tinygrad_edu.derivation.formulas import Formula, against, indexed_like, is_gradient, target_ranges, true_value
from tinygrad_edu.derivation.truth import World
from tinygrad_edu.derivation.verdicts import Repair

__all__ = ["PathSearch", "forgotten_path"]


@dataclass(frozen=True)
class PathSearch:
    """What was found, and how many sums of ways were compared."""

    repair: Repair | None
    tried: int


def ways(formula: Formula, world: World) -> dict[str, Value]:
    """What each way brings to the left side, by the named value it goes through first; indexed as the left side is."""
    target = formula.target
    of = None if is_gradient(target, world) else target.of
    if target.expression is not None:
        return {}
    return {key: indexed_like(target, world, array) for key, array in world.contributions(target.by, of).items()}


def forgotten_path(formula: Formula, worlds: list[World]) -> PathSearch:
    """Compare the formula with every sum of some, but not all, of the ways."""
    try:
        first = ways(formula, worlds[0])
        others = [ways(formula, world) for world in worlds[1:]]
    except FormulaError:
        return PathSearch(None, 0)
    names, tried = list(first), 0
    if not 2 <= len(names) <= 6:
        return PathSearch(None, 0)
    for size in range(len(names) - 1, 0, -1):
        for kept in itertools.combinations(names, size):
            tried += 1
            if all(
                _is_sum(formula, world, [found[key] for key in kept if key in found])
                for world, found in zip(worlds, (first, *others), strict=True)
            ):
                missing = [key for key in names if key not in kept]
                return PathSearch(_words(formula, missing, list(kept), worlds[0]), tried)
    return PathSearch(None, tried)


def _is_sum(formula: Formula, world: World, parts: list[Value]) -> bool:
    if not parts:
        return False
    total = Value(sum(part.array for part in parts), parts[0].labels)  # type: ignore[arg-type]
    truth = true_value(formula.target, world)
    try:
        mine = formula.value(world)
        mine_over = mine.over(total.labels, target_ranges(formula.target, world))
    except FormulaError:
        return False
    if mine_over.shape != total.array.shape and mine.plain != ():
        return False
    if against(Value(total.array, total.labels), truth, formula.target, world).right:
        return False  # what is left out is zero here: nothing was forgotten
    return against(mine, total, formula.target, world).right


def _end(formula: Formula, world: World) -> str:
    """The value at which all ways end."""
    own = world.setting.upstream is None and is_gradient(formula.target, world)
    return world.output if own else formula.target.of


def _words(formula: Formula, missing: list[str], kept: list[str], world: World) -> Repair:
    by = formula.target.by
    end = _end(formula, world)
    through = " and ".join(missing)
    ways = "the way" if len(missing) == 1 else "the ways"
    only = " and ".join("directly" if key == end else f"through {key}" for key in kept)
    way = f"{ways} from {by} through {through}" if missing != [end] else f"the direct way from {by} to {end}"
    words = f"{way} {'is' if len(missing) == 1 else 'are'} missing; it is what comes {only}"
    pieces = []
    for key in missing:
        loss = formula.target.of
        if key == end:
            pieces.append(f"the direct d{loss}/d{by}")
            continue
        pieces.append(f"d{loss}/d{key} · d{key}/d{by}")
    short = f"path through {through} missing" if missing != [end] else "direct path missing"
    return Repair("forgotten path", words, f"... + {' + '.join(pieces)}", short)
