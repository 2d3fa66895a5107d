"""Which boxes a picture shows: every node of a small graph, modules or the two ends of a large one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tinygrad_edu.autograd.graph import Edge, Graph, Scope, Vertex

from .roll import rolled
from .view import Box, View, gradient_norm, in_order

__all__ = ["Box", "View", "gradient_norm", "in_order", "view_of"]

FULL_DETAIL = 300  # nodes; beyond this a picture no longer helps
BUDGET = 150  # nodes aimed at when collapsing automatically
LIMIT = 1500  # dot needs seconds for this many and minutes for ten times as many
RANKS = 170  # nodes and headings of modules one below the other: 18,000 pixels, half of what a PNG can hold
ENDS = 30  # nodes kept at each end when a graph stays above LIMIT, or longer than RANKS


def view_of(graph: Graph, depth: int | None = None, repeats: bool | None = None) -> View:
    """The boxes to draw: all up to 300 nodes and 170 ranks, else repeats once, else modules closed, else the two ends.

    depth=0 draws one box per top-level module, depth=1 opens these, and so on; a picture of a given depth is cut only
    where dot could not lay it out.  repeats: draw runs of equal modules and ops once (None: where there are too many
    nodes otherwise).  Errors: ValueError if depth < 0.
    """
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise ValueError(f"visualize.graph: depth is {depth}; it must be 0 (one box per top-level module) or more")
    if repeats not in (None, True, False):
        raise ValueError(f"visualize.graph: rolled is {repeats!r}; choose True, False or None (where it is needed)")
    levels = _levels(graph.scopes)
    view = _collapse(graph, depth, levels)
    if repeats:
        view = rolled(view)
    if depth is None and _too_much(view):
        found = _smaller(graph, levels, repeats)
        # Where nothing brings it within the budget, the two ends of the least bad one are drawn.
        if found is None:
            found = _collapse(graph, 0 if graph.scopes else None, levels)
            found = found if repeats is False else rolled(found)
        view = found
    elif depth is not None and repeats is None and len(view.boxes) > LIMIT:
        view = rolled(view)
    return _ends(view) if len(view.boxes) > LIMIT or (depth is None and _long(view)) else view


def _too_much(view: View) -> bool:
    return len(view.boxes) > FULL_DETAIL or _long(view)


def _smaller(graph: Graph, levels: dict[str, int], repeats: bool | None) -> View | None:
    """The view with the most detail that stays within the budget and is not too long; None if there is none."""
    depths = [None, *range(max(levels.values(), default=0), -1 if graph.scopes else 0, -1)]
    for depth in depths:
        view = _collapse(graph, depth, levels)
        if repeats is not False:
            view = rolled(view)
        if len(view.boxes) <= BUDGET and not _long(view):
            return view
    return None


def _long(view: View) -> bool:
    """Whether more than RANKS boxes follow one another; a module that opens takes as much room as a box."""
    if len(view.boxes) + len(view.scopes) <= RANKS:
        return False
    around: dict[str, frozenset[str]] = {"": frozenset()}
    for scope in view.scopes:
        around[scope.id] = around[scope.parent] | {scope.id}
    sources: dict[str, list[str]] = {}
    for edge in view.edges:
        sources.setdefault(edge.target, []).append(edge.source)
    rank: dict[str, int] = {}
    inside = {box.id: around[box.scope] for box in view.boxes}
    for box in in_order(view.boxes, view.edges):
        here = inside[box.id]
        before = [rank[s] + len(here - inside[s]) for s in sources.get(box.id, ()) if s in rank]
        rank[box.id] = 1 + max(before, default=len(here))
    return max(rank.values()) > RANKS


def _levels(scopes: Sequence[Scope]) -> dict[str, int]:
    levels: dict[str, int] = {}
    for scope in scopes:
        levels[scope.id] = levels.get(scope.parent, -1) + 1
    return levels


def _containers(scopes: Sequence[Scope], depth: int | None, levels: dict[str, int]) -> dict[str, str]:
    """Scope id -> the collapsed scope it lies in, "" if it stays open."""
    container: dict[str, str] = {"": ""}
    for scope in scopes:
        inside = container.get(scope.parent, "")
        container[scope.id] = inside or (scope.id if depth is not None and levels[scope.id] >= depth else "")
    return container


def _collapse(graph: Graph, depth: int | None, levels: dict[str, int]) -> View:
    container = _containers(graph.scopes, depth, levels)
    by_id = {scope.id: scope for scope in graph.scopes}
    members: dict[str, list[Vertex]] = {}
    place: dict[str, str] = {}
    for v in graph.vertices:
        module = container.get(v.scope, "")
        # With a space, as in no vertex id; a colon would mean a port in DOT.
        key = f"module {module}".replace(":", "·") if module else v.id
        place[v.id] = key
        members.setdefault(key, []).append(v)
    entering: dict[str, tuple[int, ...]] = {}
    leaving: dict[str, tuple[int, ...]] = {}
    for edge in graph.edges:
        source, target = place[edge.source], place[edge.target]
        if source != target:
            entering.setdefault(target, edge.shape)
            leaving[source] = edge.shape
    shapes = {v.id: v.shape for v in graph.vertices}
    for output in graph.outputs:
        leaving[place[output]] = shapes[output]
    boxes = []
    for key, inside in members.items():
        module = container.get(inside[0].scope, "")
        if not module:
            boxes.append(Box(key, inside[0].scope, tuple(inside)))
            continue
        scope = by_id[module]
        boxes.append(Box(key, scope.parent, tuple(inside), scope, inputs=entering.get(key), result=leaving.get(key)))
    edges = graph.edges if depth is None else _merged(graph.edges, place)
    scopes = tuple(s for s in graph.scopes if not container.get(s.id, ""))
    return View(graph, tuple(boxes), tuple(edges), scopes, tuple(dict.fromkeys(place[o] for o in graph.outputs)), depth)


def _merged(edges: Iterable[Edge], place: dict[str, str]) -> list[Edge]:
    """The edges between different boxes; several that meet the same collapsed box become one."""
    merged: dict[tuple[str, str, str], Edge] = {}
    for edge in edges:
        source, target = place[edge.source], place[edge.target]
        if source == target:
            continue
        whole = source == edge.source and target == edge.target
        key = (source, target, edge.input if whole else "")
        known = merged.get(key)
        if known is None:
            merged[key] = replace(edge, source=source, target=target, input=key[2], label=edge.label if whole else "")
        else:
            merged[key] = replace(
                known,
                gradient=known.gradient or edge.gradient,
                detached=known.detached and edge.detached,
            )
    return list(merged.values())


def _ends(view: View) -> View:
    """The first and the last boxes in topological order, the others as one box; so no circle can arise."""
    order = in_order(view.boxes, view.edges)
    middle = order[ENDS:-ENDS]
    gap_id = "hidden middle"
    place = {box.id: box.id for box in order}
    place.update((box.id, gap_id) for box in middle)
    gap = Box(gap_id, "", tuple(v for box in middle for v in box.members), gap=True)
    boxes = (*order[:ENDS], gap, *order[-ENDS:])
    by_id = {scope.id: scope for scope in view.scopes}
    kept: set[str] = set()
    for box in boxes:
        scope = box.scope
        while scope and scope not in kept:
            kept.add(scope)
            scope = by_id[scope].parent
    return replace(
        view,
        boxes=boxes,
        edges=tuple(_merged(view.edges, place)),
        scopes=tuple(s for s in view.scopes if s.id in kept),
        outputs=tuple(dict.fromkeys(place[o] for o in view.outputs)),
    )
