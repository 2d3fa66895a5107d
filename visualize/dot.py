"""A view of a graph as DOT text, through the `graphviz` package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinygrad_edu.autograd.graph import Edge, Scope

from .collapse import Box, View
from .labels import Style, box_label, clean, edge_label, font, is_loss, scope_detail, scope_label, tooltip
from .layout import ROOM, Layout, layout_of
from .numbers import bad_word, counted, value_text
from .theme import FONT

if TYPE_CHECKING:
    import graphviz

FORWARD_WIDTH = "1.3"


@dataclass(frozen=True)
class Options:
    """What the caller asked for, defaults decided."""

    title: str
    subtitle: str
    direction: str
    style: Style
    labels: bool


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
    return drawing


def heading(view: View, options: Options) -> str:
    """Title, one-line summary and legend as one HTML table, so that they never disturb the layout."""
    theme = options.style.theme
    rows = [font(options.title, 18, theme.text, bold=True, limit=90)]
    rows.append(font("  |  ".join(filter(None, (options.subtitle, _advice(view, options.style)))), 11, theme.muted))
    rows.append(font(view.hidden, 11, theme.gradient, bold=True))
    rows += _legend(view, options)
    cells = "".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in rows if row)
    return (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">'
        f'{cells}<TR><TD HEIGHT="8"></TD></TR></TABLE>>'
    )


def _advice(view: View, style: Style) -> str:
    """How to see the numbers that this picture lacks."""
    vertices = [box.members[0] for box in view.boxes if box.vertex is not None]
    missing = [
        word
        for word, lacking in (
            ("values", style.values and any(v.value is None for v in vertices)),
            ("gradients", style.grads and any(v.grad_state == "not kept" for v in vertices)),
        )
        if lacking
    ]
    return f"{' and '.join(missing)} not kept: record under autograd.keep_values()" if missing else ""


def _legend(view: View, options: Options) -> list[str]:
    """The signs that occur in this picture, as one or two lines."""
    theme, style = options.style.theme, options.style
    roles = {box.role for box in view.boxes}
    vertices = [box.members[0] for box in view.boxes if box.vertex is not None]
    outputs = [v for box in view.boxes for v in box.members if v.role == "output"]
    loss = all(map(is_loss, outputs))

    def entry(sign: str, sign_color: str, words: str, color: str = "") -> str:
        return f"{font(sign, 10, sign_color)} {font(words, 10, color or theme.text)}"

    first, second = [], []
    if "input" in roles:
        first.append(entry("■", theme.input.line, "input"))
    if "parameter" in roles:
        first.append(entry("■", theme.parameter.line, "parameter"))
    if "constant" in roles:
        first.append(entry("□", theme.constant.line, "constant"))
    if "op" in roles:
        first.append(entry("▢", theme.op.line, "operation"))
    if "module" in roles:
        first.append(entry("▣", theme.op.line, "module, closed"))
    if outputs:
        first.append(entry("■", theme.output.line, "loss" if loss else "output"))
    first.append(entry("━▶", theme.value, "value", theme.value))
    if any(edge.gradient for edge in view.edges):
        words = "gradient ∇, label = what flows along this edge" if options.labels else "gradient ∇"
        second.append(entry("◁┄┄", theme.gradient, words, theme.gradient))
    if any(v.detached for v in vertices):
        second.append(entry("┈▷", theme.muted, "detached, no gradient"))
    if any(v.saved for v in vertices):
        second.append(entry("◆", theme.saved, "kept for backward"))
    if style.grads and any(v.paths > 1 for v in vertices):
        several = "two" if max(v.paths for v in vertices) == 2 else "several"
        second.append(entry("∇⊕" if style.figure else "⊕", theme.gradient, f"{several} paths, gradients added"))
    bad = {bad_word(v.value, v.grad) for box in view.boxes for v in box.members} - {""}
    if bad:
        second.append(
            f'<FONT POINT-SIZE="10" COLOR="{theme.text}"><B>{" and ".join(sorted(bad))}</B> black on yellow</FONT>'
        )
    gap = "   "
    wide = options.direction == "LR" or len(first) + len(second) <= 6
    return [gap.join(first + second)] if wide else [gap.join(first), gap.join(second)]


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
            _add_box(target, item, label, layout, by_id)
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


def _add_box(target: graphviz.Digraph, box: Box, label: str, layout: Layout, scopes: dict[str, Scope]) -> None:
    import graphviz

    kinds = [box.role]
    if box.vertex is not None:
        v = box.vertex
        marks = (("saved", v.saved), ("sum", v.paths > 1), ("detached", v.detached), ("bad", bad_word(v.value, v.grad)))
        kinds += [name for name, given in marks if given]
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
    drawing.edge(tail, head, **forward)
    if not edge.gradient or edge.detached:
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


def _identifier(*parts: str) -> str:
    """An XML id for the SVG: what is no letter, digit or underscore becomes an underscore."""
    return re.sub(r"\W", "_", "_".join(filter(None, parts)), flags=re.ASCII)


def default_subtitle(view: View) -> str:
    """ "16 operations  |  51 parameters  |  loss 1.0961"."""
    graph = view.graph
    operations = sum(v.op != "" for v in graph.vertices)
    parts = [counted(operations, "operation")]
    if graph.parameters:
        parts.append(counted(graph.parameters, "parameter"))
    outputs = set(graph.outputs)
    for v in graph.vertices:
        if v.id in outputs and v.shape == () and v.value is not None and len(outputs) == 1:
            parts.append(f"{'loss' if is_loss(v) else clean(v.name)} {value_text(v.value)}")
    return "  |  ".join(parts)
