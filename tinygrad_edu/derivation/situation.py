"""A wrong formula in one run, with the values of all its parts, against which changed formulas are tried quickly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinygrad_edu.derivation.expressions import Expression, FormulaError, Memo, Path, Value, evaluate, name, replaced
from tinygrad_edu.derivation.formulas import RESULT, Comparison, Formula, against, labels_of, ranges_of, true_value
from tinygrad_edu.derivation.truth import Names, World

__all__ = ["Place", "Situation", "places_of"]


@dataclass(frozen=True)
class Place:
    """A part of a tree: the way to it, what it stands in, and the labels that sums around it bind."""

    path: Path
    part: Expression
    parent: Expression | None
    bound: tuple[str, ...]
    exponent: bool  # inside an exponent, an index or a condition, where only numbers are changed

    def above(self) -> Place:
        """The place of what this part stands in."""
        assert self.parent is not None
        return Place(self.path[:-1], self.parent, None, (), False)

    @property
    def side(self) -> int:
        """Which argument of its parent it is."""
        return self.path[-1] if self.path else 0


def places_of(tree: Expression) -> Iterator[Place]:
    """Every part of a tree, the whole first."""
    waiting = [Place((), tree, None, (), False)]
    while waiting:
        place = waiting.pop()
        yield place
        part, bound = place.part, place.bound
        if part.op in ("sum", "mean") and isinstance(part.data, tuple):
            bound = (*bound, *(label for label in part.data if isinstance(label, str)))
        for k in reversed(range(len(part.args))):
            inside = place.exponent or (part.op == "pow" and k == 1) or part.op == "compare"
            waiting.append(Place((*place.path, k), part.args[k], part, bound, inside))


class _Layer(dict[int, tuple[Expression, Value]]):
    """What parts are worth, above a base that is only read."""

    def __init__(self, base: Memo) -> None:
        super().__init__()
        self.base = base

    def get(self, key: int, default: object = None) -> object:  # type: ignore[override]
        found = super().get(key)
        return self.base.get(key, default) if found is None else found


class Situation:
    """One run of the forward pass, the engine's value, and the tree of the formula with the values of its parts."""

    def __init__(self, formula: Formula, tree: Expression, world: World) -> None:
        """Raises FormulaError for a formula that has no tree and no value either."""
        self.formula, self.tree, self.world, self.target = formula, tree, world, formula.target
        self.names = world.names
        if formula.tree is None:
            found = formula.value(world)
            self.names = Names(world, {RESULT: found.array})
        self.truth = true_value(self.target, world)
        try:
            self.ranges, self.torn = ranges_of(tree, self.target, world, self.names), False
        except FormulaError:  # an index stands for two sizes: W_ji for W_ij
            self.ranges, self.torn = ranges_of(tree, self.target, world, self.names, strict=False), True
        self.memo: Memo = {}
        for place in places_of(tree):
            self.value(place.part)

    def value(self, tree: Expression) -> Value | None:
        """What a part of the formula is worth; None if it cannot be evaluated."""
        try:
            return evaluate(tree, self.names, self.ranges, self.memo)
        except FormulaError:
            return None

    def evaluated(self, tree: Expression) -> Value | None:
        """What a changed tree is worth, without remembering it."""
        try:
            if self.torn:
                return evaluate(tree, self.names, ranges_of(tree, self.target, self.world, self.names))
            return evaluate(tree, self.names, self.ranges, _Layer(self.memo))
        except FormulaError:
            return None

    def compared(self, value: Value | None) -> Comparison | None:
        """A value beside the engine's."""
        if value is None:
            return None
        return against(value, self.truth, self.target, self.world)

    def right(self, tree: Expression) -> bool:
        """Whether a changed tree gives the engine's value in this run."""
        found = self.compared(self.evaluated(tree))
        return found is not None and found.right

    def changed(self, place: Place, part: Expression) -> Expression:
        """The tree with another part in this place."""
        return replaced(self.tree, place.path, part)

    @property
    def labels(self) -> tuple[str, ...]:
        """The letters of the left side."""
        return labels_of(self.target)


def opaque_tree(formula: Formula, world: World) -> Expression:
    """The tree of a formula without one: its result, a name, with the indices of the left side that it has."""
    found = formula.value(world)
    result = name(RESULT)
    return Expression("index", (result,), found.labels) if found.labels else result
