"""`visualize.page`: a recorded computation as one HTML file that plays it forward and back, step by step."""

from __future__ import annotations

import base64
import hashlib
import html
import os
from dataclasses import replace
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from tinygrad_edu.autograd.graph import Vertex
from tinygrad_edu.autograd.tape import Tape, tape_of
from tinygrad_edu.errors import GraphvizNotFound

from . import render as rendering
from .files import output_path, write_atomically
from .graph import Drawing, _names, graph
from .labels import clean
from .page_data import counted_nodes, data_of, json_for_html, spoken
from .page_svg import places_of, stylesheet, themed
from .tape import Step, names_of, steps_of
from .view import View

FRAME_HEIGHT = 760  # pixels, in a notebook
ALL = 600  # nodes; a larger graph is shown with modules closed only


class Page:
    """One HTML page: `html` is its text, `steps` what it plays, `path` the file, if it was written to one."""

    def __init__(self, text: str, steps: list[Step], path: Path | None) -> None:
        self.html = text
        self.steps = steps
        self.path = path

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to `path` (.html), whole or not at all; returns the path."""
        target = output_path(path, (".html", ".htm"), "visualize.page")
        self.path = write_atomically(target, lambda file: file.write_text(self.html, encoding="utf-8"))
        return self.path

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that it and a notebook cannot disturb each other."""
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts allow-downloads allow-modals" '
            f'title="Computation, step by step" width="100%" height="{FRAME_HEIGHT}" '
            'style="border:1px solid #8884;border-radius:8px"></iframe>'
        )

    def __repr__(self) -> str:
        where = f" in {str(self.path)!r}" if self.path is not None else ""
        return f"<Page of {len(self.steps)} steps, {len(self.html.encode()) // 1000} KB{where}>"


def page(
    output: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    params: Any = None,
    title: str | None = None,
    subtitle: str | None = None,
    direction: str | None = None,
    gradient: Any = None,
    renderer: str | None = None,
) -> Page:
    """The computation behind `output` (a loss, or any tensor with a graph) as one self-contained HTML page.

    It needs no network and no server: open the file, or show the returned object in a notebook.  It plays forward and
    backward step by step with the numbers of this run; `page.html#step=17` opens it at a step.  The gradients are made
    by the engine's own rules, so it works before and after `backward()`; no `.grad` is touched.

    params     names for leaf tensors: a Module, dict(model.named_parameters()), or (name, tensor) pairs
    direction  "TB" or "LR", as in `visualize.graph`
    gradient   where backward begins, for an output of several numbers that had no backward
    renderer   "dot" or "pygraphviz"; None takes the first there is
    Errors: GraphError for a tensor without a graph, ValueError (suffix, direction, too many steps), OSError (folder),
    GraphvizNotFound, RuntimeError (Graphviz failed).  The file appears whole or not at all.
    """
    target = None if path is None else output_path(path, (".html", ".htm"), "visualize.page")
    chosen = renderer or next(iter(rendering.renderers()), None)
    if chosen is None:
        raise GraphvizNotFound(
            f"visualize.page: no Graphviz on this machine, so {'the page' if target is None else repr(str(target))} "
            f"was not made. Install Graphviz with:  {rendering.install_command()}   or, without leaving Python:  "
            f"pip install pygraphviz   Then call visualize.page again"
        )
    tape = with_gradients(tape_of(output, _names(params), gradient))
    steps = steps_of(tape)
    drawings, start = _drawings(tape, title, subtitle, direction)
    called = names_of(tape.graph)
    said = {v.id: spoken(v, called[v.id]) for v in tape.graph.vertices}
    pictures, views = [], []
    for key, (label, drawing) in enumerate(drawings):
        view = drawing.view
        svg = rendering.run(drawing.source, "svg", expect="value", renderer=chosen).decode("utf-8")
        names = {box.id: said[box.id] if box.id in said else _module_said(box.id, view) for box in view.boxes}
        pictures.append(themed(svg, view, names, key, shown=key == start))
        places = places_of(view)
        views.append(
            {
                "label": label,
                "about": counted_nodes(len(view.boxes)),
                "place": {v: box for v, box in places.items() if v != box},
                "modules": {box.id: clean(box.module.name) for box in view.boxes if box.module is not None},
                "dot": drawing.source,
            }
        )
    heading = clean(title) if title is not None else _title_of(tape)
    made = Page(_assembled(heading, pictures, data_of(tape, steps, views, start, heading)), steps, None)
    if target is not None:
        made.save(target)
    return made


def with_gradients(tape: Tape) -> Tape:
    """The tape with every gradient it made written into the graph where backward has left none."""

    def filled(v: Vertex) -> Vertex:
        made = tape.grads.get(v.id)
        return v if v.grad is not None or made is None else replace(v, grad=made, grad_state="computed")

    return replace(tape, graph=replace(tape.graph, vertices=tuple(map(filled, tape.graph.vertices))))


def _drawings(
    tape: Tape, title: str | None, subtitle: str | None, direction: str | None
) -> tuple[list[tuple[str, Drawing]], int]:
    """One drawing for each depth that shows something else, closed modules first; and which to begin with."""
    level: dict[str, int] = {}
    for scope in tape.graph.scopes:
        level[scope.id] = level.get(scope.parent, -1) + 1
    deepest = max(level.values(), default=-1)

    def draw(depth: int | None, way: str | None) -> Drawing:
        rolled = False if depth is not None else None
        return graph(tape.graph, title=title, subtitle=subtitle, direction=way, depth=depth, rolled=rolled)

    found = [
        ("Modules" if depth == 0 else f"Depth {depth}", draw(depth, direction or "TB")) for depth in range(deepest + 1)
    ]
    first = draw(None, direction)
    found.append(("Overview" if first.summary else "All operations", first))
    if first.summary and len(tape.graph.vertices) <= ALL:
        found.append(("All operations", draw(deepest + 1, direction or "TB")))
    # The last of those that show the same: it has the most fitting name.
    last_with = {frozenset(box.id for box in drawing.view.boxes): drawing for _, drawing in found}
    kept = [(label, drawing) for label, drawing in found if any(drawing is other for other in last_with.values())]
    return kept, next((k for k, (_, drawing) in enumerate(kept) if drawing is first), len(kept) - 1)


def _module_said(box_id: str, view: View) -> str:
    box = next(box for box in view.boxes if box.id == box_id)
    if box.module is None:
        return f"{box.operations} operations, not drawn"
    return f"{clean(box.module.name)}, module {clean(box.module.detail)}, {box.operations} operations; Enter opens it"


def _title_of(tape: Tape) -> str:
    names = [v.name for v in tape.graph.vertices if v.id in tape.graph.outputs and v.name]
    return clean(f"Computation of {names[0]}") if names else "Computation, step by step"


def _assembled(title: str, pictures: list[str], data: dict[str, Any]) -> str:
    """The whole text: a policy that allows exactly this script and this style, and no network at all."""
    folder = resources("visualize") / "assets"
    script = (folder / "page.js").read_text(encoding="utf-8")
    style = stylesheet() + "\n" + (folder / "page.css").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src blob: data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": html.escape(policy, quote=True),
        "title": html.escape(title),
        "style": style,
        "views": "\n".join(pictures),
        "data": json_for_html(data),
        "script": script,
    }
    pieces = (folder / "page.html").read_text(encoding="utf-8").split("@@")
    # every second piece is the name of a part: what is inserted is never searched for names
    return "".join(piece if k % 2 == 0 else parts[piece] for k, piece in enumerate(pieces))


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
