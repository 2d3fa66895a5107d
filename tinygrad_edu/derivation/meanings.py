"""What a formula means once the shapes are known: x x^T of two vectors, and var_i of an array of the shape (n, 1).

A vector is no row and no column, so the text alone cannot say that a b^T is the matrix of all a_i b_j and a^T b a
number.  An axis that always has one entry (keepdim=True) has no index on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tinygrad_edu.derivation.expressions import Expression, FormulaError, Value, evaluate
from tinygrad_edu.derivation.formulas import ranges_of, shape_of
from tinygrad_edu.derivation.statements import Target
from tinygrad_edu.derivation.truth import World

__all__ = ["settled", "settled_target"]


def settled_target(target: Target, worlds: Sequence[World]) -> Target:
    """The left side with the entry 0 of every axis that has one entry in all runs, where no index stands for it."""
    world = worlds[0]
    if target.by not in (*world.order, *world.fixed):
        return target
    by = _filled(target.by_indices, [w.shape(target.by) for w in worlds])
    of = target.of_indices
    if of and target.expression is None and target.of in (*world.order, *world.fixed):
        of = _filled(of, [shape_of(target, w) for w in worlds])
    return replace(target, of_indices=of, by_indices=by)


def settled(tree: Expression, target: Target, worlds: Sequence[World]) -> Expression:
    """The tree of a formula given as text, with products of vectors and entries of (n, 1) written in full.

    Raises FormulaError for 1^T, a row of ones of no known length.
    """
    world = worlds[0]

    def value(part: Expression) -> Value | None:
        try:
            return evaluate(part, world.names, ranges_of(part, target, world, world.names, strict=False))
        except FormulaError:
            return None

    def visit(part: Expression) -> Expression:
        args = tuple(map(visit, part.args))
        now = part if args == part.args else replace(part, args=args)
        if now.op == "index" and args[0].op == "name" and args[0].data in world.names:
            data = _filled(now.data, [w.names.shape(args[0].data) for w in worlds])
            return now if data == now.data else replace(now, data=data)
        if now.op == "transpose" and args[0].op == "number" and args[0].data == 1:
            raise FormulaError(f"{part.source or '1^T'} is a row of ones: write its product as a sum, sum(x, axis=0)")
        if now.op in ("mul", "matmul") and "transpose" in (args[0].op, args[1].op) and not _starred(part):
            return _vectors(now, *map(value, args))
        return now

    return visit(tree)


def _vectors(product: Expression, left: Value | None, right: Value | None) -> Expression:
    """a b^T and a^T b of two vectors; any other product as it is."""
    if left is None or right is None or len(left.plain) != 1 or len(right.plain) != 1:
        return product
    x, y = product.args
    if y.op == "transpose":
        return product if x.op == "transpose" else replace(product, op="call", args=(x, y.args[0]), data="outer")
    return replace(product, op="matmul", args=(x.args[0], y))


def _starred(product: Expression) -> bool:
    """True for a * b^T, which is always entry by entry."""
    before = product.source.rpartition(product.args[1].source)[0]
    return product.op == "mul" and before.rstrip(" ([{")[-1:] in (*"*∘⊙∗",) if before else False


def _filled(indices: tuple[Any, ...], shapes: Sequence[tuple[int, ...]]) -> tuple[Any, ...]:
    """The indices with 0 for every axis of one entry, when there is one index for every other axis and none for these.

    An array whose axes all have one entry keeps its indices.
    """
    ones = [all(shape[axis] == 1 for shape in shapes) for axis in range(len(shapes[0]))]
    if not indices or len(indices) == len(ones) or len(indices) != ones.count(False):
        return indices
    left = iter(indices)
    return tuple(0 if one else next(left) for one in ones)
