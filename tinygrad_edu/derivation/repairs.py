"""The standard slips of hand-derived gradients, undone one at a time at every place of a formula.

Each generator yields changed trees; whether one is right is for search.py to find out by evaluating it.  Signs,
exponents, transposes and products are here, sums in sums.py, factors and names in factors.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from tinygrad_edu.derivation.changes import ADDING, Change, constant, fraction, said, written
from tinygrad_edu.derivation.expressions import Expression, number
from tinygrad_edu.derivation.factors import constants_added, drops, indices, masks, names, numbers, sizes
from tinygrad_edu.derivation.situation import Place, Situation, places_of
from tinygrad_edu.derivation.sums import sums

__all__ = ["single_changes"]

TABLE = tuple(
    Fraction(sign * p, q) for p, q in ((1, 2), (1, 1), (3, 2), (2, 1), (3, 1), (2, 3), (1, 3)) for sign in (1, -1)
)
FROM_ONE = tuple(Fraction(p, q) for p, q in ((2, 1), (1, 2), (-1, 2), (-1, 1), (3, 2), (-3, 2)))


def single_changes(s: Situation, likely: bool = False) -> Iterator[Change]:
    """Every single change of the standard kinds, at every place; only the kinds that are `likely` as one of two."""
    found = list(places_of(s.tree))
    for generator in (signs, exponents, sums, transposes, orders, sizes):
        yield from generator(s, found)
    if not likely:
        for generator in (shapes, slopes, numbers, drops, indices, names, masks, constants_added, bare_powers):
            yield from generator(s, found)


def signs(s: Situation, found: list[Place]) -> Iterator[Change]:
    """The sign of the whole, of a summand, of an argument of a function."""
    for place in found:
        part, parent = place.part, place.parent
        if place.exponent or part.op == "number":
            continue
        if parent is not None and parent.op in ADDING and place.side == 1:
            other, sign = ("sub", "−") if parent.op == "add" else ("add", "+")
            tree = s.changed(place.above(), Expression(other, parent.args))
            words = said("the sign before {} should be {}", part, sign)
            yield Change("sign", 1.0, tree, words, said("sign → {}", sign), place.path)
        elif parent is None or (parent.op in ADDING and place.side == 0) or parent.op == "call":
            opposite = part.args[0] if part.op == "neg" else Expression("neg", (part,))
            whole = parent is None
            words = said("the sign of the whole is wrong") if whole else said("the sign of {} is wrong", part)
            yield Change("sign", 1.0 if whole else 1.05, s.changed(place, opposite), words, said("sign"), place.path)


# -- exponents -------------------------------------------------------------------------------------------------------


def exponents(s: Situation, found: list[Place]) -> Iterator[Change]:
    """Another exponent for a power or a root: with the other sign, upside down, or another of the table."""
    powers = [(place, power) for place in found if (power := _power(place)) is not None]
    for place, (base, old) in powers:
        several = sum(other == old for _, (_, other) in powers) > 1
        likely = (-old, 1 / old, -1 / old) if old else ()
        for new in dict.fromkeys((*likely, *TABLE)):
            if new in (old, 0):
                continue
            part = base if new == 1 else Expression("pow", (base, fraction(new)))
            words = (
                said("the exponent {} of {} should be {}", written(old), base, written(new))
                if several
                else said("the exponent {} should be {}", written(old), written(new))
            )
            short = said("exponent {} → {}", written(old), written(new))
            yield Change("exponent", 1.1 if new in likely else 1.15, s.changed(place, part), words, short, place.path)
        yield from _inside(s, place, base)


def _inside(s: Situation, place: Place, base: Expression) -> Iterator[Change]:
    """(1 - h)^2 for 1 - h^2."""
    if base.op not in ADDING or place.part.op != "pow":
        return
    exponent = place.part.args[1]
    for k, arg in enumerate(base.args):
        if constant(arg) is not None:
            continue
        power = Expression("pow", (arg, exponent))
        args = (base.args[0], power) if k else (power, base.args[1])
        words, short = said("the exponent belongs to {} alone", arg), said("exponent on {} alone", arg)
        yield Change("exponent", 1.3, s.changed(place, Expression(base.op, args)), words, short, place.path)


def slopes(s: Situation, found: list[Place]) -> Iterator[Change]:
    """The slope of a sigmoid, y (1 - y), for that of tanh, 1 - y^2, and back."""
    for place in found:
        part = place.part
        if place.exponent:
            continue
        if part.op == "sub" and constant(part.args[0]) == 1 and part.args[1].op == "pow":
            y, exponent = part.args[1].args
            if constant(exponent) == 2:
                new = Expression("mul", (y, Expression("sub", (number(1), y))))
                words = said("{} is the slope of tanh; that of a sigmoid is {}", part, new)
                yield Change("wrong slope", 1.3, s.changed(place, new), words, said("slope of tanh"), place.path)
        if part.op == "mul" and part.args[1].op == "sub" and constant(part.args[1].args[0]) == 1:
            before, y = part.args[0], part.args[1].args[1]
            new = Expression("sub", (number(1), Expression("pow", (y, number(2)))))
            words = said("{} (1 - {}) is the slope of a sigmoid; that of tanh is {}", y, y, new)
            rest = None if before == y else _without(before, y)
            if before == y or rest is not None:
                tree = new if rest is None else Expression("mul", (rest, new))
                yield Change("wrong slope", 1.3, s.changed(place, tree), words, said("slope of a sigmoid"), place.path)


def _without(product: Expression, factor: Expression) -> Expression | None:
    """The product without its last factor, if it is this one."""
    return product.args[0] if product.op == "mul" and product.args[1] == factor else None


def _power(place: Place) -> tuple[Expression, Fraction] | None:
    part = place.part
    if place.exponent:
        return None
    if part.op == "call" and part.data == "sqrt":
        return part.args[0], Fraction(1, 2)
    if part.op == "pow" and (old := constant(part.args[1])) is not None:
        return part.args[0], old
    return None


def bare_powers(s: Situation, found: list[Place]) -> Iterator[Change]:
    """A factor that should be squared, under a root, or its reciprocal."""
    for place in found:
        part, parent = place.part, place.parent
        if place.exponent or constant(part) is not None or part.op not in ("name", "index", *ADDING, "call"):
            continue
        if parent is not None and (parent.op in ("pow", "index", "transpose") or parent.data == "sqrt"):
            continue
        if part.op == "call" and part.data == "sqrt":
            continue
        for new in FROM_ONE:
            tree = s.changed(place, Expression("pow", (part, fraction(new))))
            words = said("({}) should have the exponent {}" if part.op in ADDING else "{} should have the exponent {}",
                         part, written(new))  # fmt: skip
            cost = 1.38 if new == 2 else 1.6
            yield Change("exponent", cost, tree, words, said("exponent 1 → {}", written(new)), place.path)


# -- transposes, products, shapes ------------------------------------------------------------------------------------


def transposes(s: Situation, found: list[Place]) -> Iterator[Change]:
    """A transpose too much or missing, of a matrix, of a product, of the whole."""
    for place in found:
        part, parent = place.part, place.parent
        if part.op == "transpose":
            inner = part.args[0]
            words, short = said("{} should not be transposed", inner), said("{}, not transposed", inner)
            yield Change("wrong transpose", 1.2, s.changed(place, inner), words, short, place.path)
            continue
        value = s.value(part)
        if value is None or len(value.plain) < 2 or (parent is not None and parent.op in ("transpose", "index")):
            continue
        what: object = "the result" if parent is None else part
        tree = s.changed(place, Expression("transpose", (part,)))
        words, short = said("{} should be transposed", what), said("{} transposed", what)
        yield Change("wrong transpose", 1.2, tree, words, short, place.path)
        if part.op == "name" and value.plain[-1] == value.plain[-2]:  # 2 A x for (A + A^T) x
            both = Expression("div", (Expression("add", (part, Expression("transpose", (part,)))), number(2)))
            words = said("{} is not symmetric: it should be {}", part, both)
            yield Change("wrong transpose", 1.45, s.changed(place, both), words, said("{} not symmetric", part),
                         place.path)  # fmt: skip


def orders(s: Situation, found: list[Place]) -> Iterator[Change]:
    """Factors of a matrix product the other way round; a matrix product for an entrywise one, and back."""
    for place in found:
        part = place.part
        if part.op not in ("matmul", "mul") or place.exponent:
            continue
        x, y = part.args
        if part.op == "matmul":
            tree = s.changed(place, Expression("matmul", (y, x)))
            words = said("{} stands before {} in the product", y, x)
            yield Change("order of product", 1.2, tree, words, said("order of product"), place.path)
        values = s.value(x), s.value(y)
        if any(v is None or not v.plain for v in values):
            continue
        other, how = ("mul", "entry by entry") if part.op == "matmul" else ("matmul", "as matrices")
        for a, b in ((x, y), (y, x)) if other == "matmul" else ((x, y),):
            tree = s.changed(place, Expression(other, (a, b)))
            words = said("{} and {} are multiplied {}", a, b, how)
            yield Change("order of product", 1.3, tree, words, said("product {}", how), place.path)


def shapes(s: Situation, found: list[Place]) -> Iterator[Change]:
    """The whole as a column or a row, which it has to be to fit."""
    whole = s.value(s.tree)
    if whole is None or len(whole.plain) != 1 or len(s.truth.plain) != 2:
        return
    for kind in ("column", "row"):
        tree = Expression("call", (s.tree,), kind)
        yield Change("wrong shape", 1.1, tree, said("the result should be a {}", kind), said("as a {}", kind))
