"""Where everything is in a drawn graph: boxes, their cells and the curves of the edges, read from Graphviz' SVG."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

from .page_svg import SVG, EdgesOf
from .view import View

Point = tuple[float, float]
Rect = tuple[float, float, float, float]  # left, top, right, bottom
NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")
PIECES = 12  # straight lines for one cubic curve


@dataclass
class Cell:
    """One cell of a label: where it is, its colour, and the colours of the texts in it."""

    rect: Rect
    fill: str
    texts: list[str] = field(default_factory=list)


@dataclass
class DrawnBox:
    """A node: its frame, and its cells with a fill of their own."""

    rect: Rect
    cells: list[Cell]


@dataclass
class DrawnEdge:
    """One drawn edge: the recorded edges it stands for, its curve, its arrowhead and the room of its label."""

    places: list[int]
    backward: bool
    line: list[Point]
    head: list[Point]
    label: Rect | None


@dataclass
class Drawn:
    """A picture in points, its upper left corner at 0, 0."""

    width: float
    height: float
    boxes: dict[str, DrawnBox]
    edges: list[DrawnEdge]


def drawn(svg: str, view: View) -> Drawn:
    """Read the SVG that Graphviz made of a view."""
    root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", svg))
    paper = _points(next(e for e in root.iter(f"{{{SVG}}}polygon")).get("points"))
    left, top, right, bottom = _around(paper)

    def moved(points: Sequence[Point]) -> list[Point]:
        return [(x - left, y - top) for x, y in points]

    boxes: dict[str, DrawnBox] = {}
    edges: list[DrawnEdge] = []
    recorded = EdgesOf(view)
    for group in root.iter(f"{{{SVG}}}g"):
        kinds = (group.get("class") or "").split()
        title = next((e.text or "" for e in group if e.tag.endswith("title")), "")
        if kinds[:1] == ["node"]:
            box = _box(group, moved)
            if box is not None:
                boxes[title] = box
        elif kinds[:1] == ["edge"]:
            path = next((e for e in group.iter(f"{{{SVG}}}path")), None)
            head, label = [*group.iter(f"{{{SVG}}}polygon"), None, None][:2]
            places = recorded.take(title, kinds)
            if path is not None:
                tip = moved(_points(head.get("points"))) if head is not None else []
                room = _around(moved(_points(label.get("points")))) if label is not None else None
                edges.append(DrawnEdge(places, "backward" in kinds, moved(_curve(path.get("d"))), tip, room))
    return Drawn(right - left, bottom - top, boxes, edges)


def _box(group: ElementTree.Element, moved: Callable[[Sequence[Point]], list[Point]]) -> DrawnBox | None:
    rect: Rect | None = None
    cells: list[Cell] = []
    for e in group.iter():
        kind = e.tag.rpartition("}")[2]
        if kind in ("path", "polygon"):
            points = moved(_points(e.get("d") or e.get("points")))
            rect = _around(points) if rect is None else rect
            if kind == "polygon" and e.get("fill", "none") != "none":
                cells.append(Cell(_around(points), e.get("fill", "")))
        elif kind == "text":
            ((x, y),) = moved([(float(e.get("x", "0")), float(e.get("y", "0")))])
            inside = [c for c in cells if c.rect[0] <= x <= c.rect[2] and c.rect[1] <= y <= c.rect[3]]
            if inside and (e.text or "").strip():
                inside[-1].texts.append(e.get("fill", "#000000"))
    return None if rect is None else DrawnBox(rect, cells)


def _points(text: str | None) -> list[Point]:
    numbers = [float(n) for n in NUMBERS.findall(text or "")]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _around(points: Sequence[Point]) -> Rect:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _curve(d: str | None) -> list[Point]:
    """The points of "M start C a b end a b end ...", each cubic curve as a few straight lines."""
    points = _points(d)
    line = points[:1]
    for k in range(1, len(points) - 2, 3):
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = line[-1], *points[k : k + 3]
        for step in range(1, PIECES + 1):
            t = step / PIECES
            a, b, c, d3 = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            line.append((a * x0 + b * x1 + c * x2 + d3 * x3, a * y0 + b * y1 + c * y2 + d3 * y3))
    return line
