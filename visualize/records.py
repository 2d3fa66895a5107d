"""Records made ready for a picture: a lane for what backward recorded, no box that says what its op says already."""

from __future__ import annotations

from dataclasses import replace

from tinygrad_edu.autograd.graph import Graph, Scope, Vertex

ORDINALS = ("", "first", "second", "third")


def with_lanes(record: Graph, wanted: bool) -> Graph:
    """Everything that a backward recorded in a box of its own, one for each order; unless `wanted`, as any other op."""
    if not any(v.order for v in record.vertices):
        return record
    if not wanted:
        return replace(record, vertices=tuple(replace(v, order=0, origin="") for v in record.vertices))
    order = {v.id: v.order for v in record.vertices}
    used_by: dict[str, list[int]] = {}
    for edge in record.edges:
        used_by.setdefault(edge.source, []).append(order[edge.target])

    def lane(v: Vertex) -> int:
        if v.op or v.grad_state != "none":
            return v.order
        return max(v.order, min(used_by.get(v.id, [0])))  # a constant stands with its users

    vertices = [replace(v, order=lane(v), scope=f"lane {lane(v)}" if lane(v) else v.scope) for v in record.vertices]
    lanes = [
        Scope(f"lane {k}", "backward", f"lane{k}", _words(k), "", False, 0)
        for k in sorted({v.order for v in vertices} - {0})
    ]
    return replace(record, vertices=tuple(vertices), scopes=(*record.scopes, *lanes))


def _words(order: int) -> str:
    name = ORDINALS[order] if order < len(ORDINALS) else f"{order}th"
    return f"the {name} derivative, by create_graph"


def without_plain_boxes(record: Graph) -> Graph:
    """Without the boxes around one op that only repeat it: the ReLU number 3 of a Sequential around a ReLU."""
    inside: dict[str, list[Vertex]] = {}
    for v in record.vertices:
        inside.setdefault(v.scope, []).append(v)
    parents = {scope.parent for scope in record.scopes}
    plain = {
        scope.id: scope.parent
        for scope in record.scopes
        if scope.id not in parents
        and not scope.parameters
        and scope.name.isdigit()
        and len(inside.get(scope.id, ())) == 1
        and inside[scope.id][0].title == scope.detail
    }
    if not plain:
        return record
    return replace(
        record,
        vertices=tuple(replace(v, scope=plain[v.scope]) if v.scope in plain else v for v in record.vertices),
        scopes=tuple(s for s in record.scopes if s.id not in plain),
    )


def without_outer_box(record: Graph) -> tuple[Graph, str | None]:
    """A figure of one module needs no box around everything: the record without it, and what the box said."""
    parent_of = {scope.id: scope.parent for scope in record.scopes}
    tops = set()
    for vertex in record.vertices:
        top = vertex.scope
        while parent_of.get(top):
            top = parent_of[top]
        if vertex.op:
            tops.add(top)
    if len(tops) != 1 or "" in tops:
        return record, None
    outer = next(scope for scope in record.scopes if scope.id in tops)
    if outer.is_loss:
        return record, None
    return replace(
        record,
        vertices=tuple(replace(v, scope="") if v.scope == outer.id else v for v in record.vertices),
        scopes=tuple(replace(s, parent="") if s.parent == outer.id else s for s in record.scopes if s.id != outer.id),
    ), outer.detail
