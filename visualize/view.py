"""What one picture shows of a graph: its boxes, each a vertex, a closed module or a gap, and the edges between them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_edu.autograd.graph import Edge, Graph, Scope, Vertex

from .numbers import grouped


@dataclass(frozen=True)
class Box:
    """One node of the picture: a vertex, a closed module, or a gap that stands for many nodes; or repeats of these."""

    id: str
    scope: str
    members: tuple[Vertex, ...]  # a vertex box has one, or one of each repeat
    module: Scope | None = None
    gap: bool = False
    inputs: tuple[int, ...] | None = None  # shape that enters a collapsed module
    result: tuple[int, ...] | None = None  # shape that leaves it
    copies: int = 1  # boxes alike that it stands for
    times: int = 1  # repeats to say at the box itself; a module around it may say more

    @property
    def vertex(self) -> Vertex | None:
        """The recorded vertex, if the box is one."""
        return None if self.gap or self.module is not None else self.members[0]

    @property
    def role(self) -> str:
        """The role of the vertex; "module" or "gap" for the other boxes."""
        if self.gap:
            return "gap"
        if self.module is not None:
            return "module"
        return "output" if self.members[-1].role == "output" else self.members[0].role

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
        shown = sum(box.vertex is not None and box.copies == 1 for box in self.boxes)
        total = len(self.graph.vertices)
        if shown == total:
            return ""
        depth = "" if self.depth is None else f", depth={self.depth}"
        cut = ", the middle left out" if any(box.gap for box in self.boxes) else ""
        once = ", repeats drawn once" if any(box.copies > 1 for box in self.boxes) else ""
        return f"showing {grouped(len(self.boxes))} of {grouped(total)} nodes{depth}{once}{cut}"


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
