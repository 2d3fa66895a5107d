"""Factors: 1/m, 2, a named value missing, too much, upside down, or one that should be another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from tinygrad_edu.derivation.changes import ADDING, PRODUCTS, Change, Said, constant, fraction, is_term, said, written
from tinygrad_edu.derivation.expressions import Expression, Value, name, number, places
from tinygrad_edu.derivation.situation import Place, Situation

__all__ = ["constants_added", "drops", "indices", "masks", "names", "numbers", "sizes"]


def _missing(what: object, place: Place) -> Said:
    if place.parent is None:
        return said("the factor {} is missing", what)
    return said("the factor {} is missing in {}", what, place.part)


def sizes(s: Situation, found: list[Place]) -> Iterator[Change]:
    """1/m, m, 2, 1/2 missing: of the whole, a summand, what is summed."""
    for place in found:
        if not is_term(place):
            continue
        part = place.part
        for letter in s.world.sizes:
            for op, text in (("div", f"1/{letter}"), ("mul", letter)):
                tree = s.changed(place, Expression(op, (part, name(letter))))
                slip, cost = ("missing 1/m", 1.3) if op == "div" else ("missing factor", 1.35)
                yield Change(slip, cost, tree, _missing(text, place), said("{} missing", text), place.path)
            less = Expression("div", (name(letter), Expression("sub", (name(letter), number(1)))))
            words, text = _missing(less, place), f"{letter}/({letter} − 1)"
            tree = s.changed(place, Expression("mul", (less, part)))
            yield Change("missing factor", 1.4, tree, words, said("{} missing", text), place.path)
        for op, text in (("mul", "2"), ("div", "1/2")):
            tree = s.changed(place, Expression(op, (part, number(2))))
            yield Change(
                "missing factor", 1.35, tree, _missing(text, place), said("factor {} missing", text), place.path
            )


def numbers(s: Situation, found: list[Place]) -> Iterator[Change]:
    """Another number: its opposite, its reciprocal, 1, 2, 1/2; another size: n for m, or m − 1."""
    letters = list(s.world.sizes)
    for place in found:
        part, parent = place.part, place.parent
        if part.op == "name" and part.data in letters:
            less = Expression("sub", (part, number(1)))
            for other in (*(name(letter) for letter in letters if letter != part.data), less):
                words, short = said("{} should be {}", part, other), said("{} → {}", part, other)
                yield Change("wrong factor", 1.4, s.changed(place, other), words, short, place.path)
        old = constant(part)
        if old is None or place.exponent or (parent is not None and constant(parent) is not None):
            continue
        reciprocal = (1 / old, -1 / old) if old else ()
        for new in dict.fromkeys((-old, *reciprocal, Fraction(1), Fraction(2), Fraction(1, 2))):
            if new == old:
                continue
            words = said("the number {} should be {}", written(old), written(new))
            short = said("{} → {}", written(old), written(new))
            slip = "sign" if new == -old else "wrong factor"
            yield Change(slip, 1.4, s.changed(place, fraction(new)), words, short, place.path)


def drops(s: Situation, found: list[Place]) -> Iterator[Change]:
    """A factor or a summand too much, or one by which the formula divides where it must multiply."""
    for place in found:
        part = place.part
        if place.exponent or part.op not in (*PRODUCTS, *ADDING):
            continue
        x, y = part.args
        options: list[tuple[str, float, Expression, Expression, str]] = []
        if part.op in ("mul", "matmul"):
            for kept, gone in ((x, y), (y, x)):  # a 2 too much is likelier than a named value
                cost = 1.5 if constant(gone) is None else 1.25
                options.append(("extra factor", cost, kept, gone, "is too much"))
        if part.op == "mul":
            options.append(("wrong factor", 1.5, Expression("div", (x, y)), y, "should be in the denominator"))
            options.append(("wrong factor", 1.5, Expression("div", (y, x)), x, "should be in the denominator"))
        elif part.op == "div":
            options.append(("extra factor", 1.5, x, y, "should not be in the denominator"))
            if constant(x) != 1:
                options.append(("extra factor", 1.55, Expression("div", (number(1), y)), x, "is too much"))
            options.append(("wrong factor", 1.5, Expression("mul", (x, y)), y, "should be in the numerator"))
        elif part.op in ADDING:
            minus = Expression("neg", (y,)) if part.op == "sub" else y
            options.append(("extra term", 1.6 if constant(y) is None else 1.4, x, y, "is too much"))
            options.append(("extra term", 1.6 if constant(x) is None else 1.4, minus, x, "is too much"))
        for slip, cost, new, what, how in options:
            kind = "term" if slip == "extra term" else "factor"
            words, short = said("the {} {} {}", kind, what, how), said("{} {}", what, how)
            yield Change(slip, cost, s.changed(place, new), words, short, place.path)


def constants_added(s: Situation, found: list[Place]) -> Iterator[Change]:
    """A constant that was left out: sqrt(var) for sqrt(var + eps), or for sqrt(var) + eps."""
    for constant_name in s.world.setting.constants:
        if constant_name not in s.names:
            continue
        for place in found:
            part, parent = place.part, place.parent
            if (
                place.exponent
                or part.op not in ("name", "index", "call", "pow")
                or (parent is not None and parent.op == "index")
            ):
                continue
            if part == name(constant_name):
                continue
            new = Expression("add", (part, name(constant_name)))
            words, short = said("{} should be {}", part, new), said("{} → {}", part, new)
            yield Change("missing term", 1.45, s.changed(place, new), words, short, place.path)


def indices(s: Situation, found: list[Place]) -> Iterator[Change]:
    """Another index, or two in the other order."""
    for place in found:
        part = place.part
        if part.op not in ("index", "delta"):
            continue
        scope = tuple(dict.fromkeys((*s.labels, *place.bound)))
        data = part.data
        options: list[tuple[str, tuple[object, ...]]] = []
        for k, old in enumerate(data):
            for new in scope:
                if isinstance(old, str) and new != old and (s.torn or s.ranges.get(new) == s.ranges.get(old)):
                    options.append(("wrong index", (*data[:k], new, *data[k + 1 :])))
        if len(data) == 2 and part.op == "index":
            options.append(("wrong transpose", (data[1], data[0])))
        for slip, new_data in options:
            new_part = Expression(part.op, part.args, new_data)
            words, short = said("{} should be {}", part, new_part), said("{} → {}", part, new_part)
            yield Change(slip, 1.4, s.changed(place, new_part), words, short, place.path)
    for i, j in itertools.combinations(s.labels, 2):
        words, short = said("{} and {} should change places", i, j), said("{} ↔ {}", i, j)
        yield Change("wrong transpose", 1.45, _swapped(s.tree, i, j), words, short)


def _swapped(tree: Expression, i: str, j: str) -> Expression:
    """The tree with two labels exchanged, also under its sums."""
    args = tuple(_swapped(arg, i, j) for arg in tree.args)
    data = tree.data
    if tree.op in ("index", "delta", "sum", "mean") and isinstance(data, tuple):
        data = tuple({i: j, j: i}.get(x, x) if isinstance(x, str) else x for x in data)
    return Expression(tree.op, args, data)


# -- named values ----------------------------------------------------------------------------------------------------


def names(s: Situation, found: list[Place]) -> Iterator[Change]:
    """A named value for another of the same shape; a named value as a factor that is missing."""
    indexed = bool(s.labels) or any(place.part.op == "index" for place in found)
    kinds: dict[tuple[str, ...], list[tuple[Expression, Value]]] = {}
    for place in found:
        part, parent = place.part, place.parent
        if place.exponent and parent is not None and parent.op != "compare":
            continue
        whole = s.value(part)
        if whole is None:
            continue
        scope = tuple(dict.fromkeys((*s.labels, *place.bound, *whole.labels)))
        if scope not in kinds:
            kinds[scope] = list(_instances(s, scope, indexed))
        is_name = part.op == "name" or (part.op == "index" and part.args[0].op == "name")
        if is_name and not (parent is not None and parent.op == "index"):
            for other, value in kinds[scope]:
                if other != part and _same_kind(value, whole):
                    words, short = said("{} should be {}", part, _called(other)), said("{} → {}", part, _called(other))
                    cost = 1.42 + _derivative(s, other)
                    yield Change("wrong factor", cost, s.changed(place, other), words, short, place.path)
        if is_term(place) or (parent is not None and parent.op == "matmul"):
            for other, value in kinds[scope]:
                if len(value.plain) > len(whole.plain):
                    continue
                for op, cost in (("mul", 1.4), ("div", 1.5)):
                    what = _called(other) if op == "mul" else Expression("div", (number(1), other))
                    tree = s.changed(place, Expression(op, (part, other)))
                    short = said("factor {} missing", what)
                    cost += _derivative(s, other)
                    yield Change("missing factor", cost, tree, _missing(what, place), short, place.path)


def _derivative(s: Situation, tree: Expression) -> float:
    """How much less likely than a named value its like is, a Jacobian: 0.06, else 0."""
    inner = next((part.data for _, part in places(tree) if part.op == "name"), "")
    found = s.names.derivative(inner)
    return 0.06 if found is not None and found[0] is not None else 0.0


def masks(s: Situation, found: list[Place]) -> Iterator[Change]:
    """The mask of a ReLU or a hinge that was left out, 1[m > 0], or its argument in place of it."""
    indexed = bool(s.labels) or any(place.part.op == "index" for place in found)
    for place in found:
        part = place.part
        whole = s.value(part)
        if place.exponent or whole is None or (place.parent is not None and place.parent.op == "index"):
            continue
        is_name = part.op == "name" or (part.op == "index" and part.args[0].op == "name")
        if not is_name and not is_term(place):
            continue
        scope = tuple(dict.fromkeys((*s.labels, *place.bound, *whole.labels)))
        for other, value in _instances(s, scope, indexed):
            positive = value.array > 0
            if len(value.plain) > len(whole.plain) or not positive.any():
                continue
            mask = Expression("compare", (other, number(0)), ">")
            if part == other:
                words = said("{} should be {}", part, mask)
                yield Change("wrong factor", 1.5, s.changed(place, mask), words, said("→ {}", mask), place.path)
            if is_term(place):
                tree = s.changed(place, Expression("mul", (part, mask)))
                yield Change("missing factor", 1.48, tree, _missing(mask, place), said("{} missing", mask), place.path)


def _instances(s: Situation, scope: tuple[str, ...], indexed: bool) -> Iterator[tuple[Expression, Value]]:
    """Every named value that a factor may be, with the indices that stand in scope, and what it is worth."""
    world = s.world
    candidates = [key for key in world.values if key not in world.sizes and key.isprintable() and "[" not in key]
    first = s.target.by if s.target.by in world.order else world.order[0]
    if world.upstream is not None:  # gradients that the backward pass knows before this one
        later = world.order[world.order.index(first) + 1 :]
        candidates += [f"d{world.setting.losses[0]}/d{key}" for key in later if key != world.output]
    yield from _entrywise(s, scope, indexed)
    for key in candidates:
        if key == s.target.name:
            continue
        shape = s.names.shape(key)
        base = name(key)
        if not shape or not indexed:
            yield from _instance(s, base)
            continue
        for count in range(len(shape), 0, -1):
            fitting = [[x for x in scope if s.ranges.get(x) == size] for size in shape[:count]]
            for labels in itertools.islice(itertools.product(*fitting), 8):
                if len(set(labels)) == len(labels):
                    yield from _instance(s, Expression("index", (base,), labels))


def _entrywise(s: Situation, scope: tuple[str, ...], indexed: bool) -> Iterator[tuple[Expression, Value]]:
    """The derivatives of elementwise steps, such as the mask of a ReLU: da1/dz1, entry by entry."""
    for key in s.world.entrywise():
        of, by = s.names.derivative(key) or (None, "")
        if (of, by) == (s.target.of, s.target.by):
            continue
        shape = s.world.shape(by)
        if not shape:
            yield from _instance(s, name(key))
        elif not indexed:
            yield from _instance(s, Expression("call", (name(key),), "diagonal"))
        else:
            fitting = [[x for x in scope if s.ranges.get(x) == size] for size in shape]
            for labels in itertools.islice(itertools.product(*fitting), 4):
                if len(set(labels)) == len(labels):
                    yield from _instance(s, Expression("index", (name(key),), labels * 2))


def _instance(s: Situation, tree: Expression) -> Iterator[tuple[Expression, Value]]:
    value = s.value(tree)
    if value is not None and np.abs(value.array).max(initial=0.0) > 1e-12:  # a factor 0 makes any term right
        yield tree, value


def _called(tree: Expression) -> object:
    """How a sentence names a factor."""
    return said("{} (entry by entry)", tree.args[0]) if tree.data == "diagonal" else tree


def _same_kind(x: Value, y: Value) -> bool:
    return x.plain == y.plain and (set(x.labels) == set(y.labels) or not x.labels or not y.labels)
