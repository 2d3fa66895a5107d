"""Sums that are missing, too much, over the wrong index, or that end too early or too late."""

from __future__ import annotations

from collections.abc import Iterator

from tinygrad_edu.derivation.changes import PRODUCTS, Change, Said, is_term, said
from tinygrad_edu.derivation.expressions import Expression, Value
from tinygrad_edu.derivation.situation import Place, Situation

__all__ = ["sums"]


def sums(s: Situation, found: list[Place]) -> Iterator[Change]:
    """Every change of a sum, at every place."""
    whole = s.value(s.tree)
    left_over = tuple(x for x in (whole.labels if whole is not None else ()) if x not in s.labels)
    if left_over:
        text = ", ".join(left_over)
        tree = Expression("sum", (s.tree,), left_over)
        yield Change(
            "missing sum", 1.0, tree, said("the sum over {} is missing", text), said("Σ over {} missing", text)
        )
    for place in found:
        part, parent = place.part, place.parent
        if part.op in ("sum", "mean"):
            yield from _kinds(s, place)
            yield from _limits(s, place)
            yield from _ends(s, place)
        if place.exponent or part.op == "number" or (parent is not None and parent.op == "index"):
            continue
        value = s.value(part)
        if value is not None:
            yield from _missing(s, place, value)


def _missing(s: Situation, place: Place, value: Value) -> Iterator[Change]:
    """A sum around a part, over each of its indices, or each axis of its array."""
    cost = 1.2 if is_term(place) else 1.25
    for label in value.labels:
        if label in place.bound:  # a sum over it is there already
            continue
        tree = s.changed(place, Expression("sum", (place.part,), (label,)))
        yield Change("missing sum", cost, tree, _words(place, label), said("Σ over {} missing", label), place.path)
    dims = len(value.plain)
    for axis in [None, *range(dims)] if dims > 1 else [None] * dims:
        for keep in (False, True) if axis is not None else (False,):
            tree = s.changed(place, Expression("sum", (place.part,), (axis, True) if keep else axis))
            if value.plain[axis or 0] == 1 and (axis is not None or dims == 1):
                if keep:
                    continue
                words = said("the axis {} of {} has one entry and should go", axis or 0, _name(place))
                yield Change("wrong shape", cost - 0.1, tree, words, said("axis {} too much", axis or 0), place.path)
                continue
            over = "" if axis is None else f"axis {axis}"
            short = said("Σ over {} missing", over) if over else said("Σ missing")
            yield Change("missing sum", cost + 0.01 * keep, tree, _words(place, over), short, place.path)


def _name(place: Place) -> object:
    return "the result" if place.parent is None else place.part


def _words(place: Place, over: str) -> Said:
    if place.parent is None:
        return said("the sum over {} is missing", over) if over else said("the sum is missing")
    if over:
        return said("the sum over {} of {} is missing", over, place.part)
    return said("the sum of {} is missing", place.part)


def _over(data: object) -> str:
    if isinstance(data, tuple) and data and isinstance(data[0], str):
        return " over " + ", ".join(map(str, data))
    axis = data[0] if isinstance(data, tuple) else data
    return "" if axis is None else f" over axis {axis}"


def _kinds(s: Situation, place: Place) -> Iterator[Change]:
    """No sum at all; a mean for a sum, and back."""
    part = place.part
    kind, body = part.op, part.args[0]
    words = said("the {}{} of {} is too much", kind, _over(part.data), body)
    yield Change("extra sum", 1.2, s.changed(place, body), words, said("{} too much", kind), place.path)
    other = "mean" if kind == "sum" else "sum"
    slip = "missing 1/m" if other == "mean" else "extra factor"
    words = said("the {} of {} should be a {}", kind, body, other)
    tree = s.changed(place, Expression(other, part.args, part.data))
    yield Change(slip, 1.15, tree, words, said("{} → {}", kind, other), place.path)


def _limits(s: Situation, place: Place) -> Iterator[Change]:
    """Over another index or axis, kept or not."""
    part = place.part
    kind, body = part.op, part.args[0]
    inner = s.value(body)
    if inner is None:
        return
    if isinstance(part.data, tuple) and all(isinstance(x, str) for x in part.data):
        for label in inner.labels:
            if label not in part.data:
                tree = s.changed(place, Expression(kind, part.args, (label,)))
                words = said("the sum should run over {}, not {}", label, ", ".join(part.data))
                yield Change("wrong index", 1.3, tree, words, said("Σ over {}", label), place.path)
        return
    now = part.data if isinstance(part.data, tuple) else (part.data, False)
    for axis in (None, *range(len(inner.plain))):
        for keep in (False, True):
            if (axis, keep) == now:
                continue
            slip = "wrong shape" if axis == now[0] else "wrong index"
            where = "all axes" if axis is None else f"axis {axis}"
            tree = s.changed(place, Expression(kind, part.args, (axis, True) if keep else axis))
            words = said("the {} of {} should run over {}{}", kind, body, where, ", which is kept" if keep else "")
            cost = 1.15 if keep == now[1] else 1.3
            yield Change(slip, cost, tree, words, said("{} over {}", kind, where), place.path)


def _ends(s: Situation, place: Place) -> Iterator[Change]:
    """A factor that belongs inside a sum, or outside."""
    part, parent = place.part, place.parent
    kind, body = part.op, part.args[0]
    if parent is not None and parent.op in PRODUCTS and (place.side == 0 or parent.op != "div"):
        args = list(parent.args)
        args[place.side] = body
        longer = Expression(kind, (Expression(parent.op, tuple(args)),), part.data)
        words = said("{} belongs inside the sum{}", parent.args[1 - place.side], _over(part.data))
        tree = s.changed(place.above(), longer)
        yield Change("missing sum", 1.3, tree, words, said("Σ ends too early"), place.path)
    if body.op in PRODUCTS:
        for k in (0,) if body.op == "div" else (0, 1):
            args = list(body.args)
            args[k] = Expression(kind, (args[k],), part.data)
            words = said("{} belongs outside the sum{}", body.args[1 - k], _over(part.data))
            tree = s.changed(place, Expression(body.op, tuple(args)))
            yield Change("extra sum", 1.3, tree, words, said("Σ ends too late"), place.path)
