"""The search for the slip: every standard change, then pairs of them, each evaluated in every run; none is guessed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tinygrad_edu.derivation.changes import Change, said, shown
from tinygrad_edu.derivation.diagonals import only_diagonal
from tinygrad_edu.derivation.expressions import Expression, FormulaError, Value
from tinygrad_edu.derivation.formulas import Formula
from tinygrad_edu.derivation.paths import forgotten_path
from tinygrad_edu.derivation.products import product_changes
from tinygrad_edu.derivation.repairs import single_changes
from tinygrad_edu.derivation.situation import Situation, opaque_tree
from tinygrad_edu.derivation.steps import missing_step
from tinygrad_edu.derivation.terms import TermSearch, term_by_term
from tinygrad_edu.derivation.truth import World
from tinygrad_edu.derivation.verdicts import Repair

__all__ = ["Search", "found_repairs"]

PAIRS = 20_000  # evaluations for two slips at once
CHEAP = 1.35  # changes likely enough to be one of two


@dataclass(frozen=True)
class Search:
    """What was found: repairs, the simplest first, the number of changes tried, and remarks on single terms."""

    repairs: tuple[Repair, ...]
    tried: int
    terms: tuple[str, ...] = ()
    instead: str = ""  # what the formula is the derivative of


class _Trial:
    """A changed tree is first tried in one run, and in the others only if it is right there."""

    def __init__(self, formula: Formula, worlds: list[World]) -> None:
        self.formula, self.worlds = formula, worlds
        self.tree = formula.tree if formula.tree is not None else opaque_tree(formula, worlds[0])
        self.situations: list[Situation | None] = []
        for world in worlds:
            try:
                self.situations.append(Situation(formula, self.tree, world))
            except FormulaError:
                self.situations.append(None)
        self.tried = 0
        self.seen: set[bytes] = set()

    @property
    def first(self) -> Situation:
        found = self.situations[0]
        assert found is not None
        return found

    def works(self, tree: Expression) -> bool:
        """Whether a changed tree is right in every run; a value seen before is not tried again."""
        value = self.first.evaluated(tree)
        self.tried += 1
        if value is None:
            return False
        found = self.first.compared(value)
        if found is None or not found.right:
            return False
        return all(s is not None and s.right(tree) for s in self.situations[1:])


def found_repairs(formula: Formula, worlds: list[World]) -> Search:
    """The changes that make a wrong formula right, the simplest first."""
    try:
        trial = _Trial(formula, worlds)
    except FormulaError:
        return Search((), 0)
    if trial.situations[0] is None:
        return Search((), 0)
    products = worlds[0].setting.products
    working: list[Change] = []
    changes: list[Change] = []
    for change in single_changes(trial.first):
        changes.append(change)
        if trial.works(change.tree):
            working.append(change)
    for change in product_changes(trial.first):
        if trial.works(change.tree):
            working.append(change)
    path = forgotten_path(formula, worlds)
    trial.tried += path.tried
    if path.repair is not None:
        return Search((path.repair, *_written(working, products, most=1)), trial.tried)
    if working:
        return Search(_written(working, products), trial.tried)
    step = missing_step(formula, worlds)
    trial.tried += step.tried
    if step.repair is not None:
        return Search((step.repair,), trial.tried, (), step.instead)
    partly = only_diagonal(formula, worlds)
    if partly:
        return Search((), trial.tried, (), partly)
    terms = term_by_term(formula, trial.tree, worlds) if formula.tree is not None else TermSearch(None, (), 0)
    trial.tried += terms.tried
    if terms.repair is not None:
        return Search((terms.repair,), trial.tried, terms.remarks)
    pairs = _written(list(_pairs(trial, changes)), products)
    return Search(pairs, trial.tried, terms.remarks, step.instead)


def _written(working: list[Change], products: str, most: int = 2) -> tuple[Repair, ...]:
    """The simplest change in words, and another that is as simple."""
    ranked = sorted(working, key=lambda change: (round(change.cost, 2), len(change.path)))
    chosen: list[Repair] = []
    for change in ranked:
        if chosen and (change.cost > ranked[0].cost + 0.05 or len(chosen) >= most):
            break
        repair = Repair(
            change.slip, change.words.text(products), shown(change.tree, products), change.short.text(products)
        )
        if all(repair.words != other.words and repair.formula != other.formula for other in chosen):
            chosen.append(repair)
    return tuple(chosen)


def _pairs(trial: _Trial, changes: list[Change]) -> Iterator[Change]:
    """Two changes at different places or of different kinds, the likely ones first."""
    cheap = _distinct(trial, (change for change in sorted(changes, key=lambda c: c.cost) if change.cost <= CHEAP))
    left = PAIRS
    for first in cheap:
        try:
            s = Situation(trial.formula, first.tree, trial.worlds[0])
        except FormulaError:
            continue
        for second in single_changes(s, likely=True):
            if second.cost > CHEAP or second.cost < first.cost:
                continue
            left -= 1
            if left < 0:
                return
            if trial.works(second.tree):
                yield _joined(first, second)
                return


def _joined(first: Change, second: Change) -> Change:
    slips = dict.fromkeys((first.slip, second.slip))
    return Change(
        " + ".join(slips),
        first.cost + second.cost,
        second.tree,
        said("{}, and {}", first.words, second.words),
        said("{}; {}", first.short, second.short),
        first.path,
    )


def _distinct(trial: _Trial, changes: Iterable[Change]) -> Iterator[Change]:
    """One change for each value that they give; those that cannot be evaluated all."""
    seen: set[tuple[object, ...]] = set()
    for change in changes:
        value = trial.first.evaluated(change.tree)
        if value is not None:
            key = _fingerprint(value)
            if key in seen:
                continue
            seen.add(key)
        yield change


def _fingerprint(value: Value) -> tuple[object, ...]:
    with np.errstate(all="ignore"):
        flat = value.array.astype(np.float32)
    return (value.labels, value.array.shape, flat.round(4).tobytes())
