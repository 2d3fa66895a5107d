"""`visualize.report`: an answer in words as a picture of the graph with what it names marked, or as a page of HTML."""

from __future__ import annotations

import html
import itertools
import os
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_edu.autograd.graph import Graph

from . import render as rendering
from .files import output_path, write_atomically
from .graph import Drawing, drawing_of
from .labels import HEADING_LIMIT, Style, clean, shorten
from .marks import Key, Marks
from .theme import theme_named

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; color: {text}; background: {background} }}
table {{ border-collapse: collapse; margin: 0.5rem 0 1rem }}
th, td {{ padding: 2px 10px 2px 0; border-bottom: 1px solid {line}; vertical-align: top }}
figure {{ margin: 1rem 0; overflow-x: auto }}
svg {{ max-width: 100%; height: auto }}
</style></head>
<body>
{body}
</body></html>
"""
NOTE_WIDTH, NOTE_LINES = 34, 3  # characters and lines of a note in a node; a wider one would pull the picture apart


class Report:
    """An answer and its picture: `drawing` marks on the graph what the answer names, `html` is both as one page."""

    def __init__(self, found: Any, drawing: Drawing, theme: str = "light") -> None:
        self.found, self.drawing, self.theme = found, drawing, theme

    @property
    def section(self) -> str:
        """The answer, then the graph as SVG (or, without Graphviz, how to get it): HTML to put into a page."""
        bundle = self.drawing._repr_mimebundle_()
        svg = bundle.get("image/svg+xml", "")
        figure = svg[svg.index("<svg") :] if svg else f"<p>{html.escape(bundle['text/plain'])}</p>"
        return f"{self.found._repr_html_()}\n<figure>{figure}</figure>"

    @property
    def html(self) -> str:
        """One offline page: the answer, then the graph."""
        return page_of(self.found.title, self.section, self.theme)

    def render(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture (.png, .svg, .pdf, .dot) or the page (.html) to `path`; returns the path.

        Errors: ValueError (suffix), OSError (folder), GraphvizNotFound for a picture without Graphviz.
        """
        target = output_path(path, (*rendering.SUFFIXES, ".html", ".htm"), "visualize.report")
        if target.suffix.lower() in (".html", ".htm"):
            return write_atomically(target, lambda file: file.write_text(self.html, encoding="utf-8"))
        return self.drawing.render(target)

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<Report: {self.found.title}>"


def page_of(title: str, body: str, theme: str = "light") -> str:
    """One offline page of HTML around sections (`Report.section`), in the colours of the theme; it runs no script.

    Errors: ValueError for an unknown theme.
    """
    colours = theme_named(theme)
    return PAGE.format(
        title=html.escape(clean(title)),
        body=body,
        text=colours.text,
        background=colours.background,
        line=colours.scope_line,
    )


def report(
    found: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    theme: str = "light",
    depth: int | None = None,
    direction: str | None = None,
) -> Report:
    """Draw what `gradient_report`, `find_nan` or `Derivation.check` found.

    The wrong rules are red, or the way of a NaN from its first op; of a derivation the values whose formulas are wrong,
    and the way that a wrong dA/dB is about, with each verdict in the node it belongs to.

    path: written at once, as by `.render(path)`.  theme, depth, direction: as in `visualize.graph`.
    Errors: TypeError for an answer that has no graph; those of `visualize.graph` and `.render`.
    """
    if not callable(getattr(found, "graph", None)) or not callable(getattr(found, "marked", None)):
        raise TypeError(
            f"visualize.report: expected what gradient_report(...), find_nan(...) or Derivation.check(...) returned, "
            f"got {type(found).__name__}"
        )
    if direction not in (None, "TB", "LR"):
        raise ValueError(f"visualize.report: direction is {direction!r}; choose 'TB', 'LR' or None")
    graph, name = found.graph(), getattr(found, "name", "")
    style = Style(theme_named(theme), False, True, True, _marks(graph, found))
    made = Report(
        found,
        drawing_of(
            graph,
            style,
            title=name or None,
            note=shorten(found.title.removeprefix(f"{name}: "), HEADING_LIMIT),
            depth=depth,
            direction=direction,
        ),
        theme,
    )
    if path is not None:
        made.render(path)
    return made


def _marks(graph: Graph, found: Any) -> Marks:
    """The first of the vertices, or all of them, and for a way the edges along it."""
    marked, mark = found.marked(graph), found.mark
    if mark == "first":
        on_way = set(itertools.pairwise(marked))
        edges: dict[Key, str] = {
            (e.source, e.target, e.input): mark for e in graph.edges if (e.source, e.target) in on_way
        }
        return Marks(dict.fromkeys(marked[:1], mark), edges)
    vertices = dict.fromkeys(marked, mark)
    if not callable(getattr(found, "vertices", None)):
        return Marks(vertices)
    places = found.vertices(graph)
    edges = {}
    for verdict in found.verdicts:
        place = _place(verdict, places)
        if not verdict.right and place is not None:
            vertices[place] = mark
            if verdict.of is not None and verdict.by in places:
                edges |= dict.fromkeys(_between(graph, places[verdict.by], place), mark)
    return Marks(vertices, edges, _notes(found, places))


def _place(verdict: Any, places: Mapping[str, str]) -> str | None:
    """The vertex of a verdict: B for the gradient by B, A for dA/dB, the last name in A where A is a formula."""
    if verdict.of is None or verdict.of in places:
        return places.get(verdict.by if verdict.of is None else verdict.of)
    inside = [key for key in places if re.search(rf"(?<![\w~]){re.escape(key)}(?![A-Za-z0-9~])", verdict.of)]
    return places[inside[-1]] if inside else None


def _notes(found: Any, places: Mapping[str, str]) -> dict[str, str]:
    """The verdicts in few words, at the value they are about."""
    right: dict[str, list[str]] = {}
    wrong: dict[str, list[str]] = {}
    for verdict in found.verdicts:
        place = _place(verdict, places)
        if place is None:
            continue
        if verdict.right:
            right.setdefault(place, []).append(verdict.label)
        else:
            text = f"✗ {verdict.label}: {_in_few_words(verdict)}"
            lines = textwrap.wrap(text, NOTE_WIDTH, max_lines=NOTE_LINES, placeholder=" …")
            wrong.setdefault(place, []).extend(lines)
    for place, labels in right.items():
        lines = textwrap.wrap(f"✓ {', '.join(labels)}", NOTE_WIDTH, max_lines=NOTE_LINES, placeholder=" …")
        wrong.setdefault(place, []).extend(lines)
    return {place: "\n".join(lines) for place, lines in wrong.items()}


def _in_few_words(verdict: Any) -> str:
    """What is wrong with a formula."""
    if verdict.repair is not None:
        return str(verdict.repair.short or verdict.repair.slip)
    words, _, _ = (verdict.instead or verdict.problem).partition(":")
    return words or "no repair found"


def _between(graph: Graph, start: str, end: str) -> list[Key]:
    """The edges on all ways from one vertex to another."""
    after, before = _reached(graph, start, forward=True), _reached(graph, end, forward=False)
    return [(e.source, e.target, e.input) for e in graph.edges if e.source in after and e.target in before]


def _reached(graph: Graph, start: str, forward: bool) -> set[str]:
    """A vertex and what comes after it, or before it."""
    steps: dict[str, list[str]] = {}
    for edge in graph.edges:
        here, there = (edge.source, edge.target) if forward else (edge.target, edge.source)
        steps.setdefault(here, []).append(there)
    seen, waiting = {start}, [start]
    while waiting:
        fresh = [v for v in steps.get(waiting.pop(), ()) if v not in seen]
        seen.update(fresh)
        waiting += fresh
    return seen
