"""A view of a graph as DOT text, through the `graphviz` package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tinygrad_edu.autograd.graph import Edge, Scope

from .labels import box_label, clean, edge_label, scope_detail, scope_label, worst
from .layout import ROOM, Layout, layout_of
from .legend import Options, heading
from .marks import DASHED, role_of
from .theme import FONT
from .tooltip import tooltip
from .view import Box, View

if TYPE_CHECKING:
    import graphviz

FORWARD_WIDTH = "1.3"


def digraph_of(view: View, options: Options) -> graphviz.Digraph:
    """The whole picture; the same view and options give the same text."""
    import graphviz

    theme, figure = options.style.theme, options.style.figure
    layout = layout_of(view, figure)
    drawing = graphviz.Digraph("graph", comment=None)
    drawing.attr(
        "graph",
        rankdir=options.direction,
        bgcolor=theme.background,
        fontname=FONT,
        fontsize="12",
        fontcolor=theme.text,
        nodesep="0.38" if figure else "0.5",
        ranksep="0.3" if figure else "0.34",
        splines="spline",
        newrank="true",
        pad="0.25",
        dpi="144" if figure else "110",
        labelloc="t",
        labeljust="l",
        label=heading(view, options),
        tooltip=graphviz.escape(clean(options.title)),
        charset="UTF-8",
    )
    drawing.attr("node", shape="plain", fontname=FONT)
    drawing.attr("edge", fontname=FONT, arrowsize="0.7")
    _add_boxes(drawing, view, options, layout)
    for rank in layout.ranks:
        with drawing.subgraph() as same:
            same.attr(rank="same")
            for box in rank:
                same.node(box)
            if rank[0].startswith(ROOM):
                same.edge(rank[0], rank[1], style="invis")
    taken: dict[str, int] = {}
    for edge in view.edges:
        name = _identifier(edge.source, edge.target, edge.input)
        taken[name] = taken.get(name, 0) + 1  # cat([x, x]) takes x twice under one name
        _add_edge(drawing, edge, name if taken[name] == 1 else f"{name}_{taken[name]}", options, layout)
    for op, tied in layout.ties:
        _add_tie(drawing, op, tied, options, level=(op, tied) in layout.level)
    return drawing


def _add_boxes(drawing: graphviz.Digraph, view: View, options: Options, layout: Layout) -> None:
    """Boxes inside the clusters of their scopes; a cluster is opened where its first box occurs."""
    import graphviz

    by_id = {scope.id: scope for scope in view.scopes}
    operands = _operands(view) if options.style.figure else {}
    inside: dict[str, list[Box | Scope]] = {"": []}
    for box in view.boxes:
        missing = []
        name = layout.scope[box.id]
        while name and name not in inside and name not in missing:
            missing.append(name)
            name = by_id[name].parent
        for name in reversed(missing):
            inside[name] = []
            inside[by_id[name].parent].append(by_id[name])
        inside[layout.scope[box.id]].append(box)

    # Depth first without recursion: a cluster is finished, then added to its parent, so parents wait on a stack.
    stack: list[tuple[graphviz.Digraph, list[Box | Scope]]] = [(drawing, list(reversed(inside[""])))]
    while stack:
        target, todo = stack[-1]
        if not todo:
            stack.pop()
            if stack:
                stack[-1][0].subgraph(target)
            continue
        item = todo.pop()
        if isinstance(item, Box):
            label = box_label(item, options.style, operands.get(item.id, ""))
            _add_box(target, item, label, layout, by_id, options.style.marks.vertices)
        else:
            cluster = graphviz.Digraph(f"cluster_{item.id}")
            cluster.attr(**_cluster_attributes(item, options))
            stack.append((cluster, list(reversed(inside[item.id]))))


def _cluster_attributes(scope: Scope, options: Options) -> dict[str, str]:
    import graphviz

    theme = options.style.theme
    attributes = {
        "id": _identifier("scope", scope.id),
        "class": "scope loss" if scope.is_loss else "scope",
        "tooltip": graphviz.escape(f"{clean(scope.name)} {clean(scope_detail(scope))}".strip()),
        "style": "rounded,filled",
        "fillcolor": theme.loss_fill if scope.is_loss else theme.scope_fill,
        "color": theme.loss_line if scope.is_loss else theme.scope_line,
        "fontcolor": theme.text,
        "fontsize": "11",
        "labeljust": "l",
        "labelloc": "t",
        "margin": "10" if options.style.figure else "12",
    }
    label = scope_label(scope, theme)
    return attributes | {"label": label} if label else attributes


def _operands(view: View) -> dict[str, str]:
    """Op id -> the short name of its second operand, if that is a parameter or a constant: the γ in "× γ"."""
    leaves = {box.id: box.members[0] for box in view.boxes if box.leaf}
    symbols = {box.id: box.members[0].symbol for box in view.boxes}
    incoming: dict[str, list[Edge]] = {}
    for edge in view.edges:
        incoming.setdefault(edge.target, []).append(edge)
    operands: dict[str, str] = {}
    for target, edges in incoming.items():
        names = [leaves[e.source].title if e.source in leaves else "" for e in edges]
        roles = [leaves[e.source].role if e.source in leaves else "op" for e in edges]
        symbol = symbols[target]
        if len(edges) != 2 or symbol not in ("+", "×", "·", "−", "/", "÷", "@"):
            continue
        places = (1, 0) if symbol in ("+", "×", "·") else (1,)  # the others do not commute
        for place in places:
            if roles[place] in ("parameter", "constant") and 0 < len(names[place]) <= 5 and roles[1 - place] == "op":
                operands[target] = names[place]
    return operands


def _add_box(
    target: graphviz.Digraph,
    box: Box,
    label: str,
    layout: Layout,
    scopes: dict[str, Scope],
    marked: Mapping[str, str],
) -> None:
    import graphviz

    kinds = [box.role]
    if box.vertex is not None:
        v = box.vertex
        marks = (("saved", v.saved), ("sum", v.paths > 1), ("detached", v.detached), ("bad", worst(box)))
        kinds += [name for name, given in marks if given]
        kinds += [f"order{v.order}"] if v.order else []
        kinds += [mark] if (mark := marked.get(v.id)) else []
    elif box.module is not None and box.module.is_loss:
        kinds.append("loss")
    attributes = {
        "label": label,
        "id": _identifier("node", box.id),
        "class": " ".join(kinds),
        "tooltip": "\\n".join(graphviz.escape(line) for line in tooltip(box, scopes).split("\n")),
    }
    if box.id in layout.position:
        attributes["group"] = "main"
    target.node(box.id, **attributes)
    if box.id in layout.room:
        width = f"{layout.room[box.id] / 72:.2f}"
        target.node(ROOM + box.id, label="", shape="box", style="invis", width=width, height="0.1")


def _add_edge(drawing: graphviz.Digraph, edge: Edge, name: str, options: Options, layout: Layout) -> None:
    """One solid edge for the value, one dashed edge back for the gradient; both written in the same direction."""
    import graphviz

    theme, figure = options.style.theme, options.style.figure
    main = layout.on_main_line(edge)
    flip = layout.reversed(edge)
    tail, head = (edge.target, edge.source) if flip else (edge.source, edge.target)
    shape = str(tuple(edge.shape)) if edge.shape else "scalar"
    forward = {
        "id": f"forward_{name}",
        "class": "forward detached" if edge.detached else "forward",
        "tooltip": graphviz.escape(f"{edge.source} to {edge.target} {edge.input}: {shape}"),
        "color": theme.forward,
        "penwidth": FORWARD_WIDTH,
    }
    if edge.detached:
        forward["style"] = "dotted"
    if flip:
        forward |= {"dir": "back", "arrowtail": "normal"}
    if main:
        forward["weight"] = "100" if figure else "8"
    mark = options.style.marks.edges.get((edge.source, edge.target, edge.input), "")
    if mark:
        forward |= {"color": role_of(mark, theme.name).line, "penwidth": "3", "class": f"{forward['class']} {mark}"}
    if mark in DASHED:
        forward["style"] = "dashed"
    second = layout.order[edge.target]
    if second and not layout.order[edge.source]:  # a value of the forward that a rule of the backward needs
        forward |= {"constraint": "false", "penwidth": "0.8", "color": theme.op.line, "class": "forward used"}
    drawing.edge(tail, head, **forward)
    if not edge.gradient or edge.detached or second or mark in DASHED:
        return
    label = edge_label(edge.label, theme) if options.labels else ""
    words = clean(edge.label) or "gradient"
    backward = {
        "id": f"backward_{name}",
        "class": "backward",
        "tooltip": graphviz.escape(f"{edge.target} to {edge.source}: {words}"),
        "color": theme.backward,
        "penwidth": FORWARD_WIDTH,
        "style": "dashed",
    }
    backward |= {"dir": "forward", "arrowhead": "vee"} if flip else {"dir": "back", "arrowtail": "vee"}
    if label:
        backward |= {"label": label, "labeltooltip": graphviz.escape(words)}
    if figure or options.labels:
        backward["weight"] = "0"  # a labelled edge with weight pulls the main line crooked
    elif main:
        backward["weight"] = "8"
    drawing.edge(tail, head, **backward)


def _add_tie(drawing: graphviz.Digraph, op: str, tied: str, options: Options, level: bool) -> None:
    """A thin line from an op to what its backward recorded; of two that stand level the op stands left."""
    import graphviz

    drawing.edge(
        op,
        tied,
        id=f"tie_{_identifier(op, tied)}",
        **{"class": "tie"},
        style="dotted",
        dir="none",
        penwidth="0.9",
        color=options.style.theme.gradient,
        constraint="true" if level else "false",
        weight="0",
        tooltip=graphviz.escape(f"{tied} was recorded by the backward of {op}"),
    )


def _identifier(*parts: str) -> str:
    """An XML id for the SVG: what is no letter, digit or underscore becomes an underscore."""
    return re.sub(r"\W", "_", "_".join(filter(None, parts)), flags=re.ASCII)
