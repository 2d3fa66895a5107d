"""Where things go: which boxes share a rank, which form the straight line, which clusters need room for a heading."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad_edu.autograd.graph import Edge

from .chain import main_chain
from .labels import HEADING_LIMIT, clean, is_target, scope_detail
from .view import View

LEFT, RIGHT = "left", "right"
# Names of the invisible boxes that keep a heading clear of the edge that enters its cluster. With spaces, as in no
# vertex id.
ROOM = "room of "
TEXT_WIDTH = 6.2  # points per character of an 11 pt heading: a little more than the mean
HALF_BOX, LEAF_WIDTH = 70.0, 190.0  # points: half an op; a parameter beside it with the gap between them


@dataclass(frozen=True)
class Layout:
    """Decisions about one picture."""

    position: dict[str, int]  # box id -> place on the main line
    beside: dict[str, tuple[str, str]]  # box id -> the box it stands beside, and on which side
    scope: dict[str, str]  # box id -> the cluster it is drawn in
    ranks: tuple[tuple[str, ...], ...]  # boxes of one rank, left to right
    room: dict[str, float]  # box id -> points to keep free left of it
    order: dict[str, int]  # box id -> 0 forward, 1 what its backward recorded, ...
    ties: tuple[tuple[str, str], ...]  # an op and each box that its backward recorded
    level: frozenset[tuple[str, str]]  # the ties whose ends share a rank

    def on_main_line(self, edge: Edge) -> bool:
        """Whether an edge joins two neighbours of the main line; a shortcut between two of its boxes does not."""
        source, target = self.position.get(edge.source), self.position.get(edge.target)
        return source is not None and target == source + 1

    def reversed(self, edge: Edge) -> bool:
        """Whether the edge is written backwards, because its source stands to the right of its target."""
        if self.beside.get(edge.source) == (edge.target, RIGHT):
            return True
        # A first derivative flows against the forward: written backwards, its lane runs beside it from the loss up.
        return self.order[edge.source] == self.order[edge.target] == 1


def layout_of(view: View, figure: bool) -> Layout:
    """Main line and ranks; in a left-to-right figure leaves keep their natural rank (below the line, one earlier)."""
    position = {box: i for i, box in enumerate(main_chain(view))}
    beside = {} if figure else _beside(view, position)
    left: dict[str, list[str]] = {}
    right: dict[str, list[str]] = {}
    for leaf, (host, side) in beside.items():
        (left if side == LEFT else right).setdefault(host, []).append(leaf)
    scope = {box.id: box.scope for box in view.boxes}
    for leaf, (host, _) in beside.items():  # a leaf of no module is drawn with the op beside it
        scope[leaf] = scope[leaf] or scope[host]
    room = {} if figure else _room(view, position, scope, left)
    ranks: list[tuple[str, ...]] = []
    order = {box.id: box.members[0].order for box in view.boxes}
    ties = _ties(view)
    whole = {box.id: box.vertex is not None for box in view.boxes}
    level: dict[str, str] = {}  # an op -> the first box of its backward, which stands level with it
    for op, tied in ties:
        if order[tied] == 1 and whole[tied]:
            level.setdefault(op, tied)
    for box in view.boxes:
        rank: tuple[str, ...] = (*left.get(box.id, ()), box.id, *right.get(box.id, ()))
        if box.id in level:
            rank = (*rank, level[box.id])
        if box.id in room:
            rank = (ROOM + box.id, *rank)
        if len(rank) > 1:
            ranks.append(rank)
    return Layout(position, beside, scope, tuple(ranks), room, order, ties, frozenset(level.items()))


def _ties(view: View) -> tuple[tuple[str, str], ...]:
    """Pairs of different boxes: the one with the op, and one with something that the op's backward recorded."""
    box_of = {v.id: box.id for box in view.boxes for v in box.members}
    pairs = [
        (box_of[v.origin], box.id)
        for box in view.boxes
        for v in box.members
        if v.origin in box_of and box_of[v.origin] != box.id
    ]
    return tuple(dict.fromkeys(pairs))


def _beside(view: View, position: dict[str, int]) -> dict[str, tuple[str, str]]:
    """Parameters, constants and labels stand left of the op that uses them first (every second one right).

    A detached operand of the main line stands right of it.
    """
    consumers: dict[str, list[str]] = {}
    for edge in view.edges:
        users = consumers.setdefault(edge.source, [])
        if edge.target not in users:
            users.append(edge.target)
    scope_of = {box.id: box.scope for box in view.boxes}
    gaps = {box.id for box in view.boxes if box.gap}
    beside: dict[str, tuple[str, str]] = {}
    balance: dict[str, int] = {}  # how many more stand left of a host than right
    for box in view.boxes:
        users, vertex = consumers.get(box.id, []), box.vertex
        if not users or vertex is None or box.id in position or users[0] in gaps or users[0] in beside or vertex.order:
            continue
        host = users[0]
        if host not in position and not scope_of[host]:
            continue  # a free branch reads best as a tree; only inside a module would it disturb the next layer
        data = vertex.role == "input" and not is_target(vertex)  # flows in from above, as x does
        if box.leaf and not data and (vertex.role == "parameter" or len(users) == 1):
            # On both sides only beside the main line: elsewhere the way to the line must stay free.
            side = RIGHT if balance.get(host, 0) > 0 and host in position else LEFT
        elif vertex.detached and len(users) == 1 and host in position:
            side = RIGHT
        else:
            continue
        balance[host] = balance.get(host, 0) + (1 if side == LEFT else -1)
        beside[box.id] = (host, side)
    return beside


def _room(
    view: View, position: dict[str, int], scope_of: dict[str, str], left: dict[str, list[str]]
) -> dict[str, float]:
    """Points to keep free left of the first box of a cluster, or the edge from above would cross the heading."""
    scopes = {scope.id: scope for scope in view.scopes}
    entered: set[str] = set()
    room: dict[str, float] = {}
    for box in view.boxes:
        if box.id not in position:
            continue
        widest, scope = 0.0, box.scope
        while scope and scope not in entered:
            entered.add(scope)
            text = f"{clean(scopes[scope].name)}  {clean(scope_detail(scopes[scope]))}"
            widest = max(widest, TEXT_WIDTH * min(len(text), HEADING_LIMIT))
            scope = scopes[scope].parent
        neighbours = sum(scope_of[leaf] == box.scope for leaf in left.get(box.id, ()))
        missing = widest - HALF_BOX - LEAF_WIDTH * neighbours
        if missing > 0:
            room[box.id] = missing
    return room
