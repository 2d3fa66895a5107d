"""`visualize.report`: an answer in words as a picture of the graph with what it names marked, or as a page of HTML."""

from __future__ import annotations

import html
import itertools
import os
from pathlib import Path
from typing import Any

from tinygrad_edu.autograd.graph import Graph

from . import render as rendering
from .files import output_path, write_atomically
from .graph import Drawing, drawing_of
from .labels import Style, clean
from .marks import Key, Marks
from .theme import theme_named

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; color: #1B1F27; background: #FFFFFF }}
table {{ border-collapse: collapse; margin: 0.5rem 0 1rem }}
th, td {{ padding: 2px 10px 2px 0; border-bottom: 1px solid #D8DEE6; vertical-align: top }}
figure {{ margin: 1rem 0; overflow-x: auto }}
svg {{ max-width: 100%; height: auto }}
</style></head>
<body>
{answer}
{figure}
</body></html>
"""


class Report:
    """An answer and its picture: `drawing` marks on the graph what the answer names, `html` is both as one page."""

    def __init__(self, found: Any, drawing: Drawing) -> None:
        self.found, self.drawing = found, drawing

    @property
    def html(self) -> str:
        """One offline page: the answer, then the graph as SVG (or, without Graphviz, how to get it)."""
        bundle = self.drawing._repr_mimebundle_()
        svg = bundle.get("image/svg+xml", "")
        figure = svg[svg.index("<svg") :] if svg else f"<p>{html.escape(bundle['text/plain'])}</p>"
        return PAGE.format(
            title=html.escape(clean(self.found.title)),
            answer=self.found._repr_html_(),
            figure=f"<figure>{figure}</figure>",
        )

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


def report(
    found: Any, path: str | os.PathLike[str] | None = None, *, theme: str = "light", depth: int | None = None
) -> Report:
    """Draw what `gradient_report` or `find_nan` found: the wrong rules in red, or the way of a NaN from its first op.

    path: written at once, as by `.render(path)`.  theme, depth: as in `visualize.graph`.
    Errors: TypeError for an answer that has no graph; those of `visualize.graph` and `.render`.
    """
    if not callable(getattr(found, "graph", None)) or not callable(getattr(found, "marked", None)):
        raise TypeError(
            f"visualize.report: expected what gradient_report(...) or find_nan(...) returned, "
            f"got {type(found).__name__}"
        )
    graph = found.graph()
    style = Style(theme_named(theme), False, True, True, _marks(graph, found.marked(graph), found.mark))
    made = Report(found, drawing_of(graph, style, note=clean(found.title), depth=depth))
    if path is not None:
        made.render(path)
    return made


def _marks(graph: Graph, marked: list[str], mark: str) -> Marks:
    """The first of the vertices, or all of them, and for a way the edges along it."""
    if mark != "first":
        return Marks(dict.fromkeys(marked, mark))
    on_way = set(itertools.pairwise(marked))
    edges: dict[Key, str] = {(e.source, e.target, e.input): mark for e in graph.edges if (e.source, e.target) in on_way}
    return Marks(dict.fromkeys(marked[:1], mark), edges)
