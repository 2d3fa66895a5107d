"""A picture as a part of a page: its colours become CSS variables, so one drawing serves both themes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from xml.etree import ElementTree

from tinygrad_edu.autograd.graph import Edge

from .theme import DARK, LIGHT, Role, Theme
from .view import View

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
NUMBER = re.compile(r"-?\d+\.\d{2,}")


def variables(theme: Theme) -> dict[str, str]:
    """CSS variable -> colour: "gradient" -> "#B34A00", "op-line" -> "#5B6472"."""
    found: dict[str, str] = {}
    for field in fields(theme):
        value = getattr(theme, field.name)
        name = field.name.replace("_", "-")
        if isinstance(value, Role):
            found |= {f"{name}-{part.name}": getattr(value, part.name) for part in fields(value)}
        elif isinstance(value, str) and value.startswith("#"):
            found[name] = value
    return found


def _names_of_colours() -> tuple[dict[str, str], dict[str, str]]:
    """What the light colours of fills and of lines are called."""
    fills: dict[str, str] = {}
    lines: dict[str, str] = {}
    light = variables(LIGHT)
    # Text first: where a line has the colour of a text, both are called after the text.
    for name in sorted(light, key=lambda n: (n == "background", n.endswith("-line"), n.endswith("-tag"))):
        if name != "bad-line":  # black, as the text on yellow is, but not in the dark
            fills.setdefault(light[name].lower(), name)
    for name in sorted(light, key=lambda n: not n.endswith("-line")):
        lines.setdefault(light[name].lower(), name)
    return fills, lines


FILLS, LINES = _names_of_colours()


def stylesheet() -> str:
    """The variables of both themes, and one class for each fill and line."""

    def block(theme: Theme) -> str:
        return "".join(f"--{name}:{colour};" for name, colour in variables(theme).items())

    rules = [
        f":root{{{block(LIGHT)}color-scheme:light}}",
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{block(DARK)}color-scheme:dark}}}}",
        f":root[data-theme=dark]{{{block(DARK)}color-scheme:dark}}",
        f"@media print{{:root,:root[data-theme=dark],:root:not([data-theme=light])"
        f"{{{block(LIGHT)}color-scheme:light}}}}",
    ]
    rules += [f".f-{name}{{fill:var(--{name})}}" for name in dict.fromkeys(FILLS.values())]
    rules += [f".s-{name}{{stroke:var(--{name})}}" for name in dict.fromkeys(LINES.values())]
    return "\n".join(rules)


def themed(svg: str, view: View, names: Mapping[str, str], key: int, shown: bool) -> str:
    """The SVG of Graphviz, smaller, with `data-box` on nodes, `data-edges` on edges, names for screen readers.

    names: box id -> what a screen reader says.  key: the number of this view in the page.  shown: whether the page
    begins with it, as it does where no script runs.
    """
    root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", svg))
    edges = EdgesOf(view)
    out: list[str] = []
    width, height, shift = _paper(root)
    size = f"0 0 {width:g} {height:g}"
    kind, hidden = ("view current", "false") if shown else ("view", "true")
    out.append(
        f'<svg xmlns="{SVG}" class="{kind}" data-view="{key}" viewBox="{size}" aria-hidden="{hidden}" role="group" '
        f'aria-label="Graph of {len(view.boxes)} nodes">'
    )
    for child in root:
        if child.get("class") == "graph":
            child.set("transform", shift)
        _write(child, out, edges, names, "")
    out.append("</svg>")
    return "".join(out)


def _paper(root: ElementTree.Element) -> tuple[float, float, str]:
    """Width and height of the picture in points, and what moves its upper left corner to 0, 0.

    From the paper itself: the viewBox that Graphviz 2.43 writes is too small wherever dpi is not 72.
    """
    paper = next(e for e in root.iter(f"{{{SVG}}}polygon"))
    points = [tuple(map(float, pair.split(","))) for pair in (paper.get("points") or "").split()]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top, bottom = min(y for _, y in points), max(y for _, y in points)
    return right - left, bottom - top, f"translate({-left:g} {-top:g})"


def _write(e: ElementTree.Element, out: list[str], edges: EdgesOf, names: Mapping[str, str], inside: str) -> None:
    """One element; Graphviz nests groups four deep at most, so recursion is safe."""
    tag = e.tag.rpartition("}")[2]
    if tag == "title":
        return
    if tag == "a":  # a link without target: only there for its tooltip, which the group around it has
        for child in e:
            _write(child, out, edges, names, inside)
        return
    if tag == "g":
        _group(e, out, edges, names, inside)
        return
    if tag == "text" and not (e.text or "").replace("\u00a0", " ").strip():
        return
    fill, line = e.get("fill", "#000000" if tag == "text" else "none"), e.get("stroke", "none")
    if inside == "graph" and tag == "polygon" and fill == LIGHT.background.lower():
        return  # the paper: that of the page
    kinds = []
    attributes = {}
    for given, known, prefix, name in ((fill, FILLS, "f-", "fill"), (line, LINES, "s-", "stroke")):
        if given.lower() in known:
            kinds.append(prefix + known[given.lower()])
        elif tag == "text" and name == "fill":
            kinds.append("f-text")
        elif name == "fill" or given not in ("none", "transparent"):
            attributes[name] = "none" if given == "transparent" else given
    if kinds:
        attributes["class"] = " ".join(kinds)
    for name, value in e.attrib.items():
        if name in ("fill", "stroke", "font-family", "class", "id") or value == "start":
            continue
        attributes[name] = NUMBER.sub(lambda m: f"{float(m[0]):.1f}", value)
    text = _escaped(e.text or "") if tag == "text" else ""
    pairs = "".join(f' {name}="{_escaped(value)}"' for name, value in attributes.items())
    out.append(f"<{tag}{pairs}>{text}</{tag}>" if text else f"<{tag}{pairs}/>")


def _group(e: ElementTree.Element, out: list[str], edges: EdgesOf, names: Mapping[str, str], inside: str) -> None:
    kind = (e.get("class") or "").split()
    first = kind[0] if kind else ""
    title = next((c.text or "" for c in e if c.tag.endswith("title")), "")
    attributes = {}
    if first == "node":
        attributes = {"class": " ".join(kind), "data-box": title}
        if title in names:
            attributes |= {"tabindex": "0", "role": "button", "aria-label": names[title]}
    elif first == "edge":
        places = edges.take(title, kind)
        attributes = {"class": " ".join(kind), "data-edges": " ".join(map(str, places))}
    elif first == "cluster":
        attributes = {"class": " ".join(kind)}
    elif first == "graph":
        attributes = {"class": "graph", "transform": e.get("transform", "")}
    if attributes:
        pairs = "".join(f' {name}="{_escaped(value)}"' for name, value in attributes.items())
        out.append(f"<g{pairs}>")
        tip = next((c.get(f"{{{XLINK}}}title") for g in e for c in g if c.tag.endswith("}a")), None)
        if tip and first in ("node", "edge", "cluster"):
            out.append(f"<title>{_escaped(tip)}</title>")
    for child in e:
        _write(child, out, edges, names, first or inside)
    if attributes:
        out.append("</g>")


class EdgesOf:
    """Which recorded edges a drawn edge stands for."""

    def __init__(self, view: View) -> None:
        place = places_of(view)
        self.between: dict[frozenset[str], list[int]] = {}
        for k, edge in enumerate(view.graph.edges):
            source, target = place.get(edge.source, ""), place.get(edge.target, "")
            if source != target:
                self.between.setdefault(frozenset((source, target)), []).append(k)
        self.drawn: dict[tuple[frozenset[str], str], int] = {}
        self.single = _count(view.edges)
        self.edges = view.graph.edges

    def take(self, title: str, kinds: Sequence[str]) -> list[int]:
        """The places in Graph.edges of the next drawn edge with this title ("op1->op2") and kind."""
        ends = frozenset(title.split("->"))
        kind = "backward" if "backward" in kinds else "forward"
        recorded = self.between.get(ends, [])
        if kind == "backward":
            recorded = [k for k in recorded if self.edges[k].gradient and not self.edges[k].detached]
        nth = self.drawn[ends, kind] = self.drawn.get((ends, kind), -1) + 1
        # x · x: two drawn edges stand for one recorded edge each; a closed module has one for all
        return [recorded[nth]] if self.single.get(ends, 0) > 1 and nth < len(recorded) else recorded


def _count(edges: Sequence[Edge]) -> dict[frozenset[str], int]:
    found: dict[frozenset[str], int] = {}
    for edge in edges:
        ends = frozenset((edge.source, edge.target))
        found[ends] = found.get(ends, 0) + 1
    return found


def places_of(view: View) -> dict[str, str]:
    """Vertex id -> the box that shows it."""
    return {v.id: box.id for box in view.boxes for v in box.members}


def _escaped(text: str) -> str:
    """Text for XML and HTML alike, in content and in attributes."""
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("'", "&#39;")
    )
