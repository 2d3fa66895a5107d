"""`visualize.graph`: a recorded computation as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_edu.autograd.graph import Graph, graph_of

from . import render as rendering
from .choose import part_of
from .collapse import FULL_DETAIL, view_of
from .dot import digraph_of
from .labels import Style, clean
from .legend import Options, default_subtitle
from .numbers import grouped
from .records import with_lanes, without_outer_box, without_plain_boxes
from .theme import theme_named
from .view import View

if TYPE_CHECKING:
    import graphviz

FIGURE_NODES = 14  # up to this many nodes, without modules, a graph reads best from left to right


class Drawing:
    """A drawn graph: `digraph` is the graphviz.Digraph, `source` its DOT text; a notebook shows it as SVG."""

    def __init__(self, digraph: graphviz.Digraph, expect: str, view: View) -> None:
        self.digraph = digraph
        self.view = view
        self.shown = len(view.boxes)
        self.total = len(view.graph.vertices)
        self.summary = view.hidden
        self._expect = expect
        # Only modules that stand open can be closed.
        self._fewer = "draw fewer nodes with depth=0" if view.scopes else ""

    @property
    def source(self) -> str:
        """The DOT text."""
        return str(self.digraph.source)

    def render(self, path: str | os.PathLike[str], *, renderer: str | None = None, timeout: float = 120.0) -> Path:
        """Write the picture to `path`; its suffix (.png, .svg, .pdf, .dot) decides the format. Returns the path.

        `renderer`: "dot" or "pygraphviz"; None takes the first there is. The file appears whole or not at all.
        Errors: ValueError (suffix), OSError (folder), GraphvizNotFound, RuntimeError (Graphviz failed).
        """
        return rendering.render(
            self.source, path, expect=self._expect, renderer=renderer, timeout=timeout, fewer=self._fewer
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """SVG and a line of text for Jupyter; without a renderer the text says how to get one.

        include, exclude: MIME types that are wanted, or not.
        """
        bundle = self._mimebundle()
        return {
            kind: data
            for kind, data in bundle.items()
            if (not include or kind in include) and (not exclude or kind not in exclude)
        }

    def _mimebundle(self) -> dict[str, str]:
        chosen = next(iter(rendering.renderers()), None)
        if chosen is None:
            return {
                "text/plain": f"{self!r}: no Graphviz here to draw it. Install it with: "
                f"{rendering.install_command()}, or: pip install pygraphviz. "
                "The DOT text is in .source; .render('net.dot') saves it."
            }
        svg = rendering.run(self.source, "svg", expect=self._expect, renderer=chosen).decode("utf-8")
        return {"image/svg+xml": svg, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Drawing of {self.shown} nodes{'; ' + self.summary if self.summary else ''}>"


def graph(
    *outputs: Any,
    params: Any = None,
    title: str | None = None,
    subtitle: str | None = None,
    direction: str | None = None,
    theme: str = "light",
    values: bool = True,
    grads: bool = True,
    labels: bool | None = None,
    depth: int | None = None,
    rolled: bool | None = None,
    backward: bool = False,
    focus: Any = None,
    radius: int | None = None,
    only: str | None = None,
    highlight: str | None = None,
) -> Drawing:
    """The recorded graph behind `outputs` (Tensors, a list of them, or one Graph record) as a Drawing.

    params     names for leaf tensors: a Module, dict(model.named_parameters()), or (name, tensor) pairs
    title, subtitle   the words above the picture; None: the names of the outputs, and a line of facts
    direction  "TB" or "LR"; None: "LR" for few nodes without modules, else "TB"
    theme      "light" or "dark"
    values, grads   print the numbers     labels   formulas on the gradient edges (None: for small LR graphs)
    depth      0 draws one box per top-level module, 1 opens those, ...; None: all nodes, unless large or long
    rolled     True draws runs of equal modules or ops once, with "× 12" and the numbers of the first and the last;
               False never does; None: where the picture would be too large
    backward   also what backward records under create_graph, in a second lane, each op level with the one it came
               from; if backward(create_graph=True) has not been called, it is recorded for the picture
    focus, radius   only what lies within `radius` steps (2) of a tensor, given itself or by name
    only       "path to NAME": only the paths from the outputs to a tensor or a module
    highlight  "nan": the first op that made a NaN or an infinity, and the way it spread
    A graph recorded under `autograd.profile()` shows the times of its ops too.  Dot never gets more than 1 500 nodes.
    Errors: ValueError for no output, an unknown theme, direction, name, focus or highlight, a negative depth or radius;
    TypeError for a mixed call or for other params; GraphError for a graph that backward has freed, with backward=True.
    """
    record = record_of(outputs, params, backward)
    colours = theme_named(theme)
    if direction not in (None, "TB", "LR"):
        raise ValueError(f"visualize.graph: direction is {direction!r}; choose 'TB', 'LR' or None")
    if not record.vertices:
        raise ValueError("visualize.graph: the graph has no nodes")
    record = with_lanes(without_plain_boxes(record), backward)
    part = part_of(record, focus, radius, only, highlight, FULL_DETAIL)
    note = part.note
    if len(part.graph.vertices) < len(record.vertices):
        note = f"{note}  ({grouped(len(part.graph.vertices))} of {grouped(len(record.vertices))} nodes)"
    return drawing_of(
        part.graph,
        Style(colours, False, values, grads, part.marks),
        title=title,
        subtitle=subtitle,
        direction=direction or ("TB" if backward else None),
        labels=labels,
        depth=depth,
        rolled=rolled,
        note=note,
    )


def drawing_of(
    record: Graph,
    style: Style,
    *,
    title: str | None = None,
    subtitle: str | None = None,
    direction: str | None = None,
    labels: bool | None = None,
    depth: int | None = None,
    rolled: bool | None = None,
    note: str = "",
) -> Drawing:
    """A record as a picture: what is open and what closed, from left to right or from top to bottom."""
    if direction == "LR" or (direction is None and len(record.vertices) <= FIGURE_NODES):
        record, outer = without_outer_box(record)
        title = title if title is not None or outer is None else outer
    view = view_of(record, depth, rolled)
    whole = all(box.vertex is not None for box in view.boxes)
    if direction is None:
        has_modules = any(scope.parameters or scope.is_loss for scope in view.scopes)
        direction = "LR" if whole and len(view.boxes) <= FIGURE_NODES and not has_modules else "TB"
    style = replace(style, figure=direction == "LR")
    options = Options(
        title=clean(title) if title is not None else _default_title(view),
        subtitle=clean(subtitle) if subtitle is not None else default_subtitle(view),
        direction=direction,
        style=style,
        labels=labels if labels is not None else style.figure and len(view.boxes) <= FIGURE_NODES,
        note=note,
    )
    # What every picture says, as long as HTML-like labels work: the last word of its legend.
    return Drawing(digraph_of(view, options), "value", view)


def record_of(outputs: tuple[Any, ...], params: Any, backward: bool = False) -> Graph:
    if len(outputs) == 1 and isinstance(outputs[0], (list, tuple)):
        outputs = tuple(outputs[0])
    if not outputs:
        raise ValueError("visualize.graph: nothing to draw; pass the loss or another output, graph(loss)")
    if any(isinstance(output, Graph) for output in outputs):
        if len(outputs) > 1 or params is not None:
            raise TypeError("visualize.graph: a Graph record is drawn alone, without params")
        record = outputs[0]
        assert isinstance(record, Graph)
        if backward and not any(v.order for v in record.vertices):
            raise ValueError("visualize.graph: this Graph has no backward; make it with graph_of(loss, backward=True)")
        return record
    return graph_of(*outputs, params=_names(params), backward=backward)


def _names(params: Any) -> dict[str, Any] | None:
    """Names for tensors, from a module, a mapping or pairs."""
    if params is None:
        return None
    pairs = params
    if callable(getattr(params, "named_parameters", None)):
        pairs = params.named_parameters()
    elif isinstance(params, Mapping):
        pairs = params.items()
    found, wrong = [], type(params).__name__
    if isinstance(pairs, Iterable) and not isinstance(params, str) and not _is_tensor(params):
        for pair in pairs:
            found.append(pair)
            if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
                wrong = f"{wrong} with a {type(pair).__name__} in it"
                break
            if not _is_tensor(pair[1]):
                wrong = f"{wrong} where {pair[0]!r} is a {type(pair[1]).__name__}"
                break
        else:
            return dict(found)
    raise TypeError(f"visualize.graph: params is a {wrong}; pass params=dict(model.named_parameters())")


def _is_tensor(x: Any) -> bool:
    # By its attributes: this package reads records and does not import what records.
    return hasattr(x, "requires_grad") and hasattr(x, "shape")


def _default_title(view: View) -> str:
    outputs = set(view.graph.outputs)
    names = [v.name for v in view.graph.vertices if v.id in outputs and v.name and not v.order]
    return f"Computation graph of {', '.join(names[:3])}" if names else "Computation graph"
