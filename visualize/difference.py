"""`visualize.diff`: two graphs in one picture and as text: what was added, what was removed, what changed its value."""

from __future__ import annotations

import os
from collections.abc import Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.autograd.graph import Edge, Graph, Scope, Vertex

from .choose import neighbourhood
from .collapse import FULL_DETAIL
from .graph import Drawing, drawing_of, record_of
from .labels import Style, clean
from .marks import Key, Marks
from .match import matched
from .numbers import counted, gradient_text, grouped, number, shape_text, value_text
from .records import with_lanes, without_plain_boxes
from .theme import theme_named

Array = NDArray[np.generic]
TOLERANCE = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}  # torch.testing.assert_close
LISTED = 40  # lines of text for each kind of difference
NEAR = 1  # steps drawn around each difference of two graphs too large to be drawn whole


@dataclass(frozen=True)
class Change:
    """One vertex of both graphs whose shape, value or gradient is another one."""

    before: Vertex
    after: Vertex
    what: str  # "was 0.5", "∇ was 0.1", "was (4, 3)"


class Difference:
    """What `visualize.diff` found; print it, render it, or look at it in a notebook.

    added, removed: vertices of the second and of the first graph; changed: vertices of both; same: how many agree.
    """

    def __init__(
        self,
        added: tuple[Vertex, ...],
        removed: tuple[Vertex, ...],
        changed: tuple[Change, ...],
        same: int,
        rewired: int,
        drawing: Drawing,
    ) -> None:
        self.added, self.removed, self.changed, self.same = added, removed, changed, same
        self.rewired, self.drawing = rewired, drawing

    @property
    def identical(self) -> bool:
        """Whether nothing differs: no vertex, no edge, no number."""
        return not (self.added or self.removed or self.changed or self.rewired)

    @property
    def source(self) -> str:
        """The DOT text."""
        return self.drawing.source

    def render(self, path: str | os.PathLike[str], *, renderer: str | None = None, timeout: float = 120.0) -> Path:
        """Write the picture to `path`, as `Drawing.render` does."""
        return self.drawing.render(path, renderer=renderer, timeout=timeout)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """SVG for Jupyter, and the differences as text."""
        bundle = self.drawing._repr_mimebundle_(include, exclude)
        return bundle | {"text/plain": str(self)} if "text/plain" in bundle else bundle

    def __repr__(self) -> str:
        return f"<Difference: {self.summary}>"

    @property
    def summary(self) -> str:
        """ "2 added, 1 removed, 3 changed, 14 the same"."""
        return _summary(self.added, self.removed, self.changed, self.same, self.rewired)

    def __str__(self) -> str:
        lines = [self.summary]
        lines += _listed("+", [_told(v) for v in self.added])
        lines += _listed("-", [_told(v) for v in self.removed])
        lines += _listed("~", [f"{_told(c.after)}  {c.what}" for c in self.changed])
        return "\n".join(lines)


def _summary(added: Sized, removed: Sized, changed: Sized, same: int, rewired: int) -> str:
    if not (added or removed or changed or rewired):
        return f"no difference, {same} the same"
    words = f"{len(added)} added, {len(removed)} removed, {len(changed)} changed, {same} the same"
    return words + (f", {counted(rewired, 'edge')} rewired" if rewired else "")


def _told(v: Vertex) -> str:
    what = f"{v.title}  {v.formula}" if v.op else f"{v.role} {v.name}"
    return f"{v.id}  {clean(what)}  {shape_text(v.shape)}"


def _listed(sign: str, lines: list[str]) -> list[str]:
    shown = [f"  {sign} {line}" for line in lines[:LISTED]]
    return shown + ([f"  {sign} and {grouped(len(lines) - LISTED)} more"] if len(lines) > LISTED else [])


def diff(
    a: Any,
    b: Any,
    *,
    params: Any = None,
    rtol: float | None = None,
    atol: float | None = None,
    title: str | None = None,
    direction: str | None = None,
    theme: str = "light",
    values: bool = True,
    grads: bool = True,
) -> Difference:
    """What changed from the graph of `a` to that of `b`: tensors, or Graph records from `autograd.graph_of`.

    Vertices are matched by structure, not by name: the same op on the same operands, as far as that goes. In the
    picture of both, what was added is green and solid, what was removed red and dashed, what changed its shape, value
    or gradient amber, each with its word; of large graphs only what lies around a difference is drawn.

    params      names for leaf tensors of both graphs, as in `visualize.graph`
    rtol, atol  numbers count as equal if |a − b| <= atol + rtol |a|; None: by dtype, as torch.testing.assert_close
    title, direction ("TB" unless given), theme, values, grads   as in `visualize.graph`
    Errors: TypeError for anything but a tensor or a Graph, ValueError for an unknown theme or direction, or if only one
    of rtol and atol is given; GraphError for a tensor without a graph.
    """
    colours = theme_named(theme)
    if direction not in (None, "TB", "LR"):
        raise ValueError(f"visualize.diff: direction is {direction!r}; choose 'TB', 'LR' or None")
    if (rtol is None) != (atol is None):
        raise ValueError("visualize.diff: give both rtol and atol, or neither")
    old, new = (_ready(x, name, params) for x, name in ((a, "a"), (b, "b")))
    pairs = matched(old, new)
    before = {v.id: v for v in old.vertices}
    changes = []
    for v in new.vertices:
        if v.id in pairs:
            what = _change(before[pairs[v.id]], v, rtol, atol)
            changes += [Change(before[pairs[v.id]], v, what)] if what else []
    kept = set(pairs.values())
    added = tuple(v for v in new.vertices if v.id not in pairs)
    removed = tuple(v for v in old.vertices if v.id not in kept)
    union, edges, name_of = _union(old, new, pairs)
    marks = dict.fromkeys((v.id for v in added), "added") | dict.fromkeys((name_of[v.id] for v in removed), "removed")
    marks |= dict.fromkeys((c.after.id for c in changes), "changed")
    notes = {c.after.id: c.what for c in changes}
    fresh = {v.id for v in added} | {name_of[v.id] for v in removed}
    kinds = [kind for (source, target, _), kind in edges.items() if source not in fresh and target not in fresh]
    rewired = max(kinds.count("added"), kinds.count("removed"))
    style = Style(colours, False, values, grads, Marks(marks, edges, notes, ("added", "removed", "changed")))
    found = (added, removed, tuple(changes), len(pairs) - len(changes), rewired)
    note = _summary(*found)
    shown = union
    if len(union.vertices) > FULL_DETAIL:
        ends = {end for source, target, _ in edges for end in (source, target)}
        shown = neighbourhood(union, (set(marks) | ends) or set(new.outputs), NEAR)
        note += f"  ({grouped(len(shown.vertices))} of {grouped(len(union.vertices))} nodes)"
    drawing = drawing_of(
        shown, style, title=title or "What changed", direction=direction or "TB", rolled=False, note=note
    )
    return Difference(*found, drawing=drawing)


def _ready(x: Any, name: str, params: Any) -> Graph:
    if not isinstance(x, Graph) and not hasattr(x, "requires_grad"):
        raise TypeError(f"visualize.diff: {name} is a {type(x).__name__}; give a tensor, or a Graph from graph_of()")
    return with_lanes(without_plain_boxes(record_of((x,), None if isinstance(x, Graph) else params)), False)


def _change(old: Vertex, new: Vertex, rtol: float | None, atol: float | None) -> str:
    if old.shape != new.shape:
        return f"was {shape_text(old.shape)}"
    parts = []
    if old.value is not None and new.value is not None and not _close(old.value, new.value, rtol, atol):
        parts.append(_was(value_text(old.value), value_text(new.value), old.value, new.value))
    if old.grad is not None and new.grad is not None and not _close(old.grad, new.grad, rtol, atol):
        before, after = (gradient_text(x).replace("∇ ", "", 1) for x in (old.grad, new.grad))
        parts.append(f"∇ {_was(before, after, old.grad, new.grad)}")
    return "   ".join(parts)


def _was(before: str, after: str, old: Array, new: Array) -> str:
    """ "was 0.5"; where rounding hides the difference, how large it is."""
    if before != after:
        return f"was {before}"
    most = float(np.nanmax(np.abs(np.asarray(new, np.float64) - np.asarray(old, np.float64))))
    return f"differs by up to {number(most, 4)}"


def _close(old: Array, new: Array, rtol: float | None, atol: float | None) -> bool:
    if old.dtype.kind != "f" or new.dtype.kind != "f":
        return bool(np.array_equal(old, new))
    loosest = max(TOLERANCE.get(str(x.dtype), TOLERANCE["float32"]) for x in (old, new))
    relative, absolute = loosest if rtol is None or atol is None else (rtol, atol)
    return bool(np.allclose(new, old, rtol=relative, atol=absolute, equal_nan=True))


def _union(old: Graph, new: Graph, pairs: dict[str, str]) -> tuple[Graph, dict[Key, str], dict[str, str]]:
    """Both graphs in one, the marks of its edges, and what each vertex of the old one is called there."""
    taken = {v.id for v in new.vertices} | {s.id for s in new.scopes}
    name_of = {theirs: mine for mine, theirs in pairs.items()}
    for v in old.vertices:
        if v.id not in name_of:
            name_of[v.id] = _unused(f"removed_{v.id}", taken)
    scope_of, scopes = _scopes(old, new, name_of, taken)
    following: dict[str, list[Vertex]] = {}  # vertex of the new graph -> removed ones to stand before it
    waiting: list[Vertex] = []
    partner = {theirs: mine for mine, theirs in pairs.items()}
    for v in old.vertices:
        if v.id in partner:
            following.setdefault(partner[v.id], []).extend(waiting)
            waiting = []
        else:
            role = "op" if v.role == "output" else v.role
            waiting.append(replace(v, id=name_of[v.id], scope=scope_of.get(v.scope, ""), role=role))
    vertices = [u for v in new.vertices for u in (*following.get(v.id, ()), v)] + waiting
    mine = {(e.source, e.target, e.input) for e in new.edges}
    theirs = [replace(e, source=name_of[e.source], target=name_of[e.target]) for e in old.edges]
    known = {(e.source, e.target, e.input) for e in theirs}
    lost: list[Edge] = [e for e in theirs if (e.source, e.target, e.input) not in mine]
    marks: dict[Key, str] = dict.fromkeys(mine - known, "added")
    marks |= {(e.source, e.target, e.input): "removed" for e in lost}
    union = replace(new, vertices=tuple(vertices), edges=(*new.edges, *lost), scopes=(*new.scopes, *scopes))
    return union, marks, name_of


def _scopes(old: Graph, new: Graph, name_of: dict[str, str], taken: set[str]) -> tuple[dict[str, str], list[Scope]]:
    """Where removed vertices are drawn: in the box of the new graph that holds their neighbours, else in their own."""
    place = {v.id: v.scope for v in new.vertices}
    scope_of: dict[str, str] = {"": ""}
    for v in old.vertices:
        if v.scope and v.scope not in scope_of and name_of[v.id] in place and place[name_of[v.id]]:
            scope_of[v.scope] = place[name_of[v.id]]
    kinds = {s.id: s.kind for s in new.scopes}
    used = {v.scope for v in old.vertices if name_of[v.id] not in place}
    parents = {s.id: s.parent for s in old.scopes}
    for inner in sorted(used):
        while inner:
            used.add(inner)
            inner = parents[inner]
    extra = []
    for scope in old.scopes:
        if scope.id in scope_of or scope.id not in used:
            continue
        if kinds.get(scope.id) == scope.kind:
            scope_of[scope.id] = scope.id
            continue
        scope_of[scope.id] = _unused(f"removed_{scope.id}", taken)
        extra.append(replace(scope, id=scope_of[scope.id], parent=scope_of.get(scope.parent, "")))
    return scope_of, extra


def _unused(wish: str, taken: set[str]) -> str:
    name, k = wish, 2
    while name in taken:
        name, k = f"{wish}_{k}", k + 1
    taken.add(name)
    return name
