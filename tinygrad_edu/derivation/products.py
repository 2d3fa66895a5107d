"""Chains of products put right: every way to bracket them, each product as of matrices or entry by entry.

W3^T sum_s (p_s - y_s) (1 - a2_s^2) a1_s^T cannot be computed as it stands.  The factors that do not depend on s are
taken into the sum, and of all the ways to bracket W3^T (p - y) (1 - a2^2) a1^T those that fit the shapes are evaluated:
interval by interval, as for the cheapest order of a chain of matrix products, keeping every different value.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinygrad_edu.derivation.changes import Change, said
from tinygrad_edu.derivation.expressions import Expression, Value, number
from tinygrad_edu.derivation.situation import Place, Situation, places_of

__all__ = ["Chain", "chain_of", "product_changes"]

LONGEST = 9  # factors in a chain
KEPT = 64  # different values that are kept of each interval
MOVED = 5  # factors that may change places as well


@dataclass(frozen=True)
class Chain:
    """A product taken apart: numbers (and what is like a number), the other factors in order, the sum around them."""

    scalars: tuple[Expression, ...]
    factors: tuple[Expression, ...]
    summed: tuple[str, ...]

    def around(self, product: Expression) -> Expression:
        """The product with the scalars in front and the sum around it."""
        tree = Expression("sum", (product,), self.summed) if self.summed else product
        for scalar in reversed(self.scalars):
            minus = scalar.op == "number" and scalar.data == -1.0
            tree = Expression("neg", (tree,)) if minus else Expression("mul", (scalar, tree))
        return tree


def chain_of(s: Situation, tree: Expression) -> Chain | None:
    """A product as a chain; None when it holds two sums, or something that has no value."""
    factors: list[Expression] = []
    scalars: list[Expression] = []
    summed: list[str] = []

    def visit(part: Expression) -> bool:
        if part.op in ("matmul", "mul"):
            return visit(part.args[0]) and visit(part.args[1])
        if part.op == "neg":
            scalars.append(number(-1.0))
            return visit(part.args[0])
        if part.op == "div":
            scalars.append(Expression("div", (number(1.0), part.args[1])))
            return visit(part.args[0])
        if part.op == "sum" and isinstance(part.data, tuple) and all(isinstance(x, str) for x in part.data):
            if summed or part.args[0].op not in ("mul", "matmul", "div", "neg", "sum"):
                return _single(part)
            summed.extend(part.data)
            return visit(part.args[0])
        return _single(part)

    def _single(part: Expression) -> bool:
        value = s.value(part)
        if value is None:
            return False
        if value.plain == ():
            scalars.append(part)
        else:
            factors.append(part)
        return True

    if not visit(tree) or not 2 <= len(factors) <= LONGEST:
        return None
    return Chain(tuple(scalars), tuple(factors), tuple(summed))


def product_changes(s: Situation) -> Iterator[Change]:
    """Every product of the formula, bracketed and multiplied in all ways that fit the shapes."""
    for place in places_of(s.tree):
        if place.part.op not in ("matmul", "mul", "sum", "div", "neg"):
            continue
        if place.parent is not None and place.parent.op in ("matmul", "mul", "div", "neg", "sum"):
            continue
        chain = chain_of(s, place.part)
        if chain is None:
            continue
        yield from _bracketed(s, place, chain, chain.factors, 1.25)
        if len(chain.factors) <= MOVED:
            for order in itertools.permutations(chain.factors):
                if order != chain.factors:
                    yield from _bracketed(s, place, chain, order, 1.4)


def _bracketed(
    s: Situation, place: Place, chain: Chain, factors: tuple[Expression, ...], cost: float
) -> Iterator[Change]:
    for product in _brackets(s, factors):
        part = chain.around(product)
        if part == place.part:
            continue
        words = said("the product should be {}, with * entry by entry", part)
        yield Change("order of product", cost, s.changed(place, part), words, said("order of product"), place.path)


def _brackets(s: Situation, factors: tuple[Expression, ...]) -> list[Expression]:
    """The trees over all intervals, shortest first; two with the same value count once."""
    found: dict[tuple[int, int], list[tuple[Expression, Value]]] = {}
    for k, factor in enumerate(factors):
        value = s.value(factor)
        if value is None:
            return []
        found[k, k + 1] = [(factor, value)]
    for length in range(2, len(factors) + 1):
        for start in range(len(factors) - length + 1):
            end = start + length
            kept: dict[object, tuple[Expression, Value]] = {}
            for middle in range(start + 1, end):
                for left in found[start, middle]:
                    for right in found[middle, end]:
                        for tree in _products(left, right):
                            value = s.evaluated(tree)
                            if value is None or not np.isfinite(value.array).all():
                                continue
                            kept.setdefault(_key(value), (tree, value))
                            # s.evaluated forgets, so that what is kept is remembered here
                            s.memo[id(tree)] = (tree, value)
                        if len(kept) >= KEPT:
                            break
            found[start, end] = list(kept.values())
    return [tree for tree, _ in found[0, len(factors)]]


def _products(left: tuple[Expression, Value], right: tuple[Expression, Value]) -> Iterator[Expression]:
    (x, a), (y, b) = left, right
    if len(a.plain) == len(b.plain) == 1:
        yield Expression("call", (x, y), "outer")
    if a.plain[-1] == b.plain[-2 if len(b.plain) > 1 else 0] if a.plain and b.plain else False:
        yield Expression("matmul", (x, y))
    if a.plain == b.plain or not a.plain or not b.plain:
        yield Expression("mul", (x, y))


def _key(value: Value) -> object:
    scale = float(np.abs(value.array).max(initial=0.0)) or 1.0
    return (value.labels, value.array.shape, (value.array / scale).round(6).tobytes(), round(scale, 9))
