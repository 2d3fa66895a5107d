"""Several slips at once: the terms of a formula beside the ways along which the engine's gradient comes.

The formula is multiplied out.  Each way from B to the loss (by the named value it goes to first) brings a summand of
dL/dB, which the engine knows; a term that equals one is right, and for one that does not the standard changes are
tried, one or two at a time.  When terms, so changed, account for all ways, the whole is evaluated again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_edu.derivation.changes import Change, constant, said, shown
from tinygrad_edu.derivation.expressions import Expression, FormulaError, Value, number, places
from tinygrad_edu.derivation.formulas import Formula
from tinygrad_edu.derivation.paths import ways
from tinygrad_edu.derivation.repairs import single_changes
from tinygrad_edu.derivation.situation import Situation
from tinygrad_edu.derivation.truth import World
from tinygrad_edu.derivation.verdicts import Repair

__all__ = ["TermSearch", "multiplied_out", "term_by_term"]

MOST_TERMS = 8
FACTORS = 6  # of which any may be summed
PAIRS = 4_000  # evaluations per term for two changes


@dataclass(frozen=True)
class TermSearch:
    """The repair of all terms together, what is said about each, and how many changes were tried."""

    repair: Repair | None
    remarks: tuple[str, ...]
    tried: int


def multiplied_out(tree: Expression, top: bool = True) -> list[Expression]:
    """The summands of a formula after a(b + c) = ab + ac, as far as sums stand in products, quotients and sums.

    What one writes as one quantity, such as x_i − mu, stays together.
    """
    op = tree.op
    if op in ("add", "sub") and not top and all(map(_simple, tree.args)):
        return [tree]
    if op == "add":
        return multiplied_out(tree.args[0], top) + multiplied_out(tree.args[1], top)
    if op == "sub":
        return multiplied_out(tree.args[0], top) + [negative(x) for x in multiplied_out(tree.args[1], top)]
    if op == "neg":
        return [negative(x) for x in multiplied_out(tree.args[0], top)]
    if op in ("mul", "matmul"):
        pairs = itertools.product(multiplied_out(tree.args[0], False), multiplied_out(tree.args[1], False))
        return [_product(op, x, y) for x, y in pairs]
    if op == "div":
        return [_quotient(x, tree.args[1]) for x in multiplied_out(tree.args[0], False)]
    if op in ("sum", "mean"):
        parts = multiplied_out(tree.args[0], False)
        return [Expression(op, (x,), tree.data) for x in parts] if len(parts) > 1 else [tree]
    return [tree]


def _simple(x: Expression) -> bool:
    """A summand with one name in it, or none: part of a quantity, not a term."""
    return sum(part.op == "name" for _, part in places(x)) <= 1 and not any(part.op == "sum" for _, part in places(x))


def negative(x: Expression) -> Expression:
    """−x, without two signs in a row."""
    return x.args[0] if x.op == "neg" else Expression("neg", (x,))


def _product(op: str, x: Expression, y: Expression) -> Expression:
    minus = (x.op == "neg") != (y.op == "neg")
    x, y = (z.args[0] if z.op == "neg" else z for z in (x, y))
    tree = y if _is_one(x) else x if _is_one(y) else Expression(op, (x, y))
    return negative(tree) if minus else tree


def _quotient(x: Expression, y: Expression) -> Expression:
    return negative(Expression("div", (x.args[0], y))) if x.op == "neg" else Expression("div", (x, y))


def _is_one(x: Expression) -> bool:
    return x.op == "number" and x.data == 1.0


def term_by_term(formula: Formula, tree: Expression, worlds: list[World]) -> TermSearch:
    """Compare the terms with the ways; the repair is None unless all ways are accounted for in every run."""
    nothing = TermSearch(None, (), 0)
    terms = multiplied_out(tree)
    try:
        brought = [ways(formula, world) for world in worlds]
    except FormulaError:
        return nothing
    names = list(brought[0])
    if not 1 < len(names) <= MOST_TERMS or not 1 < len(terms) <= MOST_TERMS:
        return nothing
    if any(set(found) != set(names) for found in brought):
        return nothing
    return _Match(formula, terms, worlds, brought).run()


class _Match:
    def __init__(
        self, formula: Formula, terms: list[Expression], worlds: list[World], brought: list[dict[str, Value]]
    ) -> None:
        self.formula, self.terms, self.worlds, self.brought = formula, terms, worlds, brought
        self.tried = 0
        self.products = worlds[0].setting.products
        self.base = [[self._situation(term, world, None) for world in worlds] for term in terms]

    def _situation(self, tree: Expression, world: World, truth: Value | None) -> Situation | None:
        try:
            s = Situation(self.formula, tree, world)
        except FormulaError:
            return None
        if truth is not None:
            s.truth = truth
        return s

    def run(self) -> TermSearch:
        """Match exactly first, then with changes."""
        zero = [self._is_zero(k) for k in range(len(self.terms))]
        matched: dict[int, tuple[str, list[Change]]] = {}
        free = [k for k in range(len(self.terms)) if not zero[k]]
        open_ways = list(self.brought[0])
        for key in list(open_ways):  # one term, or two together, that are what a way brings
            for group in [*((k,) for k in free), *itertools.combinations(free, 2)]:
                if self._equals(group, key):
                    for k in group:
                        matched[k] = (key, [])
                        free.remove(k)
                    open_ways.remove(key)
                    break
        for k in list(free):
            found = self._changed(k, open_ways)
            if found is not None:
                key, changes = found
                matched[k] = (key, changes)
                free.remove(k)
                open_ways.remove(key)
        remarks = tuple(self._remark(k, zero[k], matched.get(k)) for k in range(len(self.terms)))
        if not any(changes for _, changes in matched.values()) and not matched:
            return TermSearch(None, (), self.tried)
        remarks += tuple(f"no term is what comes through {key}" for key in open_ways)
        if free or open_ways:
            return TermSearch(None, remarks, self.tried)
        return TermSearch(self._whole(matched), remarks, self.tried)

    def _is_zero(self, k: int) -> bool:
        for situation, found in zip(self.base[k], self.brought, strict=True):
            value = situation.value(self.terms[k]) if situation is not None else None
            scale = max(float(np.abs(way.array).max(initial=0.0)) for way in found.values())
            if value is None or float(np.abs(value.array).max(initial=0.0)) > 1e-9 * scale:
                return False
        return True

    def _equals(self, group: Sequence[int], key: str) -> bool:
        self.tried += 1
        tree = self.terms[group[0]]
        for k in group[1:]:
            tree = Expression("add", (tree, self.terms[k]))
        for world, found in zip(self.worlds, self.brought, strict=True):
            s = self._situation(tree, world, found[key])
            if s is None or not s.right(tree):
                return False
        return True

    def _changed(self, k: int, open_ways: list[str]) -> tuple[str, list[Change]] | None:
        """The least change that makes a term one of the open ways, and which."""
        best: tuple[float, str, list[Change]] | None = None
        for key in open_ways:
            found = self._towards(self.terms[k], key)
            cost = sum(change.cost for change in found)
            if found and (best is None or cost < best[0]):
                best = (cost, key, found)
        return None if best is None else best[1:]

    def _towards(self, term: Expression, key: str) -> list[Change]:
        situations = [
            self._situation(term, world, found[key]) for world, found in zip(self.worlds, self.brought, strict=True)
        ]
        if any(s is None for s in situations):
            return []
        first = situations[0]
        assert first is not None

        def works(tree: Expression) -> bool:
            self.tried += 1
            return first.right(tree) and all(s is not None and s.right(tree) for s in situations[1:])

        singles = sorted((*single_changes(first), *partial_sums(first)), key=lambda change: change.cost)
        for change in singles:
            if works(change.tree):
                return [change]
        budget = PAIRS
        for change in partial_sums(first):
            second_situation = self._situation(change.tree, self.worlds[0], self.brought[0][key])
            if second_situation is None:
                continue
            for second in single_changes(second_situation, likely=True):
                budget -= 1
                if budget < 0:
                    return []
                if works(second.tree):
                    return [change, second]
        return []

    def _remark(self, k: int, zero: bool, matched: tuple[str, list[Change]] | None) -> str:
        head = f"term {k + 1}, {shown(self.terms[k], self.products)}"
        if zero:
            return f"{head}: is always 0"
        if matched is None:
            return f"{head}: is what comes along no single way, and no repair makes it so"
        key, changes = matched
        through = "what comes directly" if key == self.formula.target.of else f"what comes through {key}"
        if not changes:
            return f"{head}: right, it is {through}"
        return f"{head}: {_said(changes, self.products)}; then it is {through}"

    def _whole(self, matched: dict[int, tuple[str, list[Change]]]) -> Repair | None:
        kept = [(changes[-1].tree if changes else self.terms[k]) for k, (_, changes) in sorted(matched.items())]
        tree = kept[0]
        for term in kept[1:]:
            tree = Expression("sub", (tree, term.args[0])) if term.op == "neg" else Expression("add", (tree, term))
        for world in self.worlds:
            s = self._situation(tree, world, None)
            self.tried += 1
            if s is None or not s.right(tree):
                return None
        changes = [(k, change) for k, (_, found) in sorted(matched.items()) for change in found]
        slips = dict.fromkeys(change.slip for _, change in changes)
        changed = [(k, found) for k, (_, found) in sorted(matched.items()) if found]
        words = "; ".join(f"in term {k + 1} {_said(found, self.products)}" for k, found in changed)
        short = "; ".join(dict.fromkeys(change.short.text(self.products) for _, change in changes))
        return Repair(" + ".join(slips), words, shown(tree, self.products), short)


def _said(changes: Sequence[Change], products: str) -> str:
    """The changes of one term in words."""
    return " and ".join(change.words.text(products) for change in changes).replace("the sign of the whole", "the sign")


def partial_sums(s: Situation) -> Iterator[Change]:
    """Some of the factors of a term summed before the others are multiplied: df/dvar inside a chain of factors."""
    minus = s.tree.op == "neg"
    numerator, denominator = factors_of(s.tree.args[0] if minus else s.tree)
    values = [s.value(x) for x in numerator]
    if any(v is None for v in values) or not numerator:
        return
    labels = dict.fromkeys(x for v in values if v is not None for x in v.labels)
    plain = any(v is not None and v.plain for v in values)
    rest = tuple(Expression("div", (number(1.0), d)) for d in denominator)
    own = s.value(s.tree)
    for data in (*((label,) for label in labels), *((None,) if plain else ())):
        varying = [
            k for k, v in enumerate(values) if v is not None and (data[0] in v.labels if data is not None else v.plain)
        ]
        if not 1 <= len(varying) <= FACTORS or own is None:
            continue
        for count in range(len(varying), 0, -1):
            for chosen in itertools.combinations(varying, count):
                inside = [x for k, x in enumerate(numerator) if k in chosen]
                outside = [x for k, x in enumerate(numerator) if k not in chosen]
                summed = Expression("sum", (product_of(inside),), data)
                tree = product_of([*_numbers_first(outside, summed), *rest])
                over = f" over {data[0]}" if data else ""
                words = said("{} should be summed{}", product_of(inside), over)
                whole = negative(tree) if minus else tree
                yield Change("missing sum", 1.3, whole, words, said("Σ{} missing", over))


def _numbers_first(outside: list[Expression], summed: Expression) -> list[Expression]:
    fixed = [x for x in outside if constant(x) is not None]
    return [*fixed, summed, *(x for x in outside if constant(x) is None)]


def factors_of(tree: Expression) -> tuple[list[Expression], list[Expression]]:
    """Numerator and denominator of a product."""
    if tree.op == "mul":
        (a, b), (c, d) = (factors_of(arg) for arg in tree.args)
        return a + c, b + d
    if tree.op == "div":
        (a, b), (c, d) = (factors_of(arg) for arg in tree.args)
        return a + d, b + c
    if tree.op == "neg":
        a, b = factors_of(tree.args[0])
        return [number(-1.0), *a], b
    return ([] if _is_one(tree) else [tree]), []


def product_of(factors: Sequence[Expression]) -> Expression:
    """Factors multiplied entry by entry; 1/x as a division."""
    if not factors:
        return number(1.0)
    tree = factors[0]
    for factor in factors[1:]:
        if factor.op == "div" and _is_one(factor.args[0]):
            tree = Expression("div", (tree, factor.args[1]))
        else:
            tree = Expression("mul", (tree, factor))
    return tree
