"""Which boxes a picture shows: every node of a small graph, modules or the two ends of a large one."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinygrad_edu.autograd.graph import Edge, Graph, Scope, Vertex

from .numbers import grouped

FULL_DETAIL = 300  # nodes; beyond this a picture no longer helps
BUDGET = 150  # nodes aimed at when collapsing automatically
LIMIT = 1500  # dot needs seconds for this many and minutes for ten times as many
RANKS = 170  # nodes and headings of modules one below the other: 18,000 pixels, half of what a PNG can hold
ENDS = 30  # nodes kept at each end when a graph stays above LIMIT, or longer than RANKS


@dataclass(frozen=True)
class Box:
    """One node of the picture: a recorded vertex, a collapsed module, or a gap that stands for many nodes."""

    id: str
    scope: str
    members: tuple[Vertex, ...]  # a vertex box has exactly one
    module: Scope | None = None
    gap: bool = False
    inputs: tuple[int, ...] | None = None  # shape that enters a collapsed module
    result: tuple[int, ...] | None = None  # shape that leaves it

    @property
    def vertex(self) -> Vertex | None:
        """The recorded vertex, if the box is one."""
        return None if self.gap or self.module is not None else self.members[0]

    @property
    def role(self) -> str:
        """The role of the vertex; "module" or "gap" for the other boxes."""
        if self.gap:
            return "gap"
        return "module" if self.module is not None else self.members[0].role

    @property
    def operations(self) -> int:
        """How many operations the box stands for."""
        return sum(v.op != "" for v in self.members)

    @property
    def leaf(self) -> bool:
        """Whether the box is a vertex without operation."""
        return self.vertex is not None and self.members[0].op == ""


@dataclass(frozen=True)
class View:
    """What one picture shows of a graph."""

    graph: Graph
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]  # between boxes
    scopes: tuple[Scope, ...]  # those drawn as clusters
    outputs: tuple[str, ...]
    depth: int | None

    @property
    def hidden(self) -> str:
        """ "showing 38 of 1 204 nodes, depth=1"; "" if nothing is hidden."""
        shown = sum(box.vertex is not None for box in self.boxes)
        total = len(self.graph.vertices)
        if shown == total:
            return ""
        depth = "" if self.depth is None else f", depth={self.depth}"
        cut = ", the middle left out" if any(box.gap for box in self.boxes) else ""
        return f"showing {grouped(len(self.boxes))} of {grouped(total)} nodes{depth}{cut}"


def view_of(graph: Graph, depth: int | None = None) -> View:
    """The boxes to draw: all up to 300 nodes and 170 ranks, else modules collapsed, else the two ends.

    depth=0 draws one box per top-level module, depth=1 opens these, and so on; a picture of a given depth is cut only
    where dot could not lay it out. Errors: ValueError if depth < 0.
    """
    if depth is not None and depth < 0:
        raise ValueError(f"visualize.graph: depth is {depth}; it must be 0 (one box per top-level module) or more")
    levels = _levels(graph.scopes)
    given = depth is not None
    view = _collapse(graph, depth, levels)
    if not given and graph.scopes and (len(graph.vertices) > FULL_DETAIL or _long(view)):
        view = _collapse(graph, _automatic_depth(graph, levels), levels)
    return _ends(view) if len(view.boxes) > LIMIT or (not given and _long(view)) else view


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


def in_order(boxes: Sequence[Box], edges: Iterable[Edge]) -> list[Box]:
    """The boxes in topological order, each leaf directly before its first use."""
    index = {box.id: i for i, box in enumerate(boxes)}
    incoming: list[list[int]] = [[] for _ in boxes]
    outgoing: list[list[int]] = [[] for _ in boxes]
    for edge in edges:
        source, target = index[edge.source], index[edge.target]
        incoming[target].append(source)
        outgoing[source].append(target)
    missing = [sum(not boxes[s].leaf for s in sources) for sources in incoming]
    ready = [i for i in range(len(boxes)) if not boxes[i].leaf and missing[i] == 0]  # a heap: earliest first
    placed = [False] * len(boxes)
    order: list[Box] = []

    def place(i: int) -> None:
        if not placed[i]:
            placed[i] = True
            order.append(boxes[i])

    next_unplaced = 0
    while True:
        while ready:
            i = heapq.heappop(ready)
            if placed[i]:
                continue
            for source in incoming[i]:
                if boxes[source].leaf:
                    place(source)
            place(i)
            for target in outgoing[i]:
                missing[target] -= 1
                if missing[target] == 0:
                    heapq.heappush(ready, target)
        # Collapsing can close a circle between modules that feed each other: break it at the earliest box.
        while next_unplaced < len(boxes) and (placed[next_unplaced] or boxes[next_unplaced].leaf):
            next_unplaced += 1
        if next_unplaced == len(boxes):
            break
        ready = [next_unplaced]
    for i in range(len(boxes)):
        place(i)
    return order


def gradient_norm(members: Iterable[Vertex]) -> float | None:
    """Euclidean norm of the gradients of all parameters among `members`; None if none was computed."""
    squares = [
        float(np.square(v.grad.astype(np.float64)).sum())
        for v in members
        if v.role == "parameter" and v.grad is not None
    ]
    return math.sqrt(sum(squares)) if squares else None


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


def _automatic_depth(graph: Graph, levels: dict[str, int]) -> int:
    """The greatest depth that stays within the node budget and is not too long, 0 if none does."""
    for depth in range(max(levels.values()), 0, -1):
        container = _containers(graph.scopes, depth, levels)
        few = len({container.get(v.scope, "") or v.id for v in graph.vertices}) <= BUDGET
        if few and not _long(_collapse(graph, depth, levels)):
            return depth
    return 0


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
