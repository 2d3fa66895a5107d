"""What the script of a page reads: nodes, edges, steps and arrays as JSON, all of it already put in words."""

from __future__ import annotations

import json
import linecache
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.autograd.graph import Graph, Vertex
from tinygrad_edu.autograd.tape import Tape

from .labels import clean, is_plain_number, tag
from .numbers import counted, gradient_text, shape_text, value_text
from .tape import Step, names_of

Array = NDArray[np.generic]
ENTRIES = 4096  # of one array; more cannot be told apart in a heat map as wide as a hand
BUDGET = 400_000  # entries in a whole page: about 4 MB
SMALL = 64  # entries of an array once the budget is spent


class Arrays:
    """Every array once, however many nodes and steps show it."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self._known: dict[tuple[bytes, tuple[int, ...], str], int] = {}
        self._left = BUDGET

    def add(self, a: Array | None) -> int:
        """The place of an array in `records`, -1 for None."""
        if a is None:
            return -1
        a = np.ascontiguousarray(a)
        key = (a.tobytes() if a.nbytes <= 1 << 20 else str(id(a)).encode(), a.shape, str(a.dtype))
        if key not in self._known:
            self._known[key] = len(self.records)
            self.records.append(self._record(a))
        return self._known[key]

    def _record(self, a: Array) -> dict[str, Any]:
        shown = a.size if a.size <= ENTRIES and a.size <= self._left else min(a.size, self._rows(a))
        self._left -= shown
        record: dict[str, Any] = {"shape": list(a.shape), "dtype": str(a.dtype)}
        record["data"] = [_number(x) for x in a.reshape(-1)[:shown].tolist()]
        if a.size > 1 and a.dtype.kind == "f":
            wide = a.astype(np.float64)
            finite = wide[np.isfinite(wide)]
            if finite.size:
                with np.errstate(over="ignore"):
                    summary = (finite.min(), finite.max(), finite.mean(), finite.std(), np.linalg.norm(finite))
                record["stats"] = [_number(float(x)) for x in summary]
        return record

    def _rows(self, a: Array) -> int:
        """So many entries that only whole rows are shown of an array that is too large, if a row is short enough."""
        most = ENTRIES if self._left >= ENTRIES else SMALL
        width = a.shape[-1] if a.ndim else 1
        return most // width * width if 0 < width <= most else most


def _number(x: Any) -> Any:
    """A JSON number with seven digits; JSON has no NaN."""
    if isinstance(x, bool):
        return int(x)
    if isinstance(x, float):
        if not math.isfinite(x):
            return "NaN" if math.isnan(x) else "Inf" if x > 0 else "−Inf"
        x = float(f"{x:.7g}")
        return int(x) if x == int(x) and abs(x) < 1e15 else x
    return x


def data_of(
    tape: Tape, steps: Sequence[Step], views: Sequence[dict[str, Any]], start: int, title: str
) -> dict[str, Any]:
    """The whole of it; `start` is the place of the view that is shown first."""
    arrays = Arrays()
    graph = tape.graph
    scopes = {s.id: s.name for s in graph.scopes}
    parents = {s.id: s.parent for s in graph.scopes}
    names = names_of(graph)
    nodes = {v.id: _node(v, tape, arrays, names, scopes, parents) for v in graph.vertices}
    return {
        "title": title,
        "nodes": nodes,
        "edges": [[e.source, e.target, e.input, clean(e.label).replace("ᵀᵀ", "")] for e in graph.edges],
        "steps": [_step(s, arrays) for s in steps],
        "views": list(views),
        "start": start,
        "arrays": arrays.records,
    }


def _node(
    v: Vertex, tape: Tape, arrays: Arrays, names: dict[str, str], scopes: dict[str, str], parents: dict[str, str]
) -> dict[str, Any]:
    path = []
    scope = v.scope
    while scope:
        path.append(clean(scopes[scope]))
        scope = parents[scope]
    record: dict[str, Any] = {
        "title": clean(v.title),
        "name": names[v.id],
        "role": tag(v) or "operation",
        "formula": clean(v.formula),
        "shape": shape_text(v.shape),
        "dtype": v.dtype,
        "path": " › ".join(reversed(path)),
        "value": arrays.add(v.value),
        "grad": arrays.add(v.grad),
        "state": _state(v),
        "kept": _kept(v, tape, names),
        "paths": v.paths,
        "plain": is_plain_number(v),
    }
    if v.details:
        record["details"] = ", ".join(f"{clean(k)} = {clean(x)}" for k, x in v.details.items())
    if v.location:
        record |= dict(zip(("where", "line"), _source_line(v.location), strict=True))
    if v.id in tape.notes:
        record["note"] = tape.notes[v.id]
    return record


def _state(v: Vertex) -> str:
    """Why there is no gradient, in words."""
    if v.grad is not None:
        return ""
    if v.detached:
        return "detached: no gradient flows through it"
    words = {
        "pending": "no gradient yet: backward has not come here",
        "none": "requires no gradient",
        "not kept": "the gradient was not kept; record under autograd.keep_values()",
        "computed": "the gradient was not kept; record under autograd.keep_values()",
    }
    return words[v.grad_state]


def _kept(v: Vertex, tape: Tape, names: dict[str, str]) -> list[str]:
    """Which rules need this value: "dW = xᵀ dy, in MatMul x W"."""
    graph: Graph = tape.graph
    said = []
    for place in tape.kept.get(v.id, ()):
        edge = graph.edges[place]
        label = clean(edge.label).replace("ᵀᵀ", "")
        whom = "its own rule" if edge.target == v.id else f"the rule of {names[edge.target]}"
        source = names[edge.source]
        said.append(f"{whom} for {source}: {label}" if label else f"{whom} for {source}")
    if not said and v.saved:
        said.append("an op that uses it needs it in backward")
    return said


def _source_line(location: str) -> tuple[str, str]:
    """ "train.py:31" and the text of that line; the path is cut to what is not private."""
    file, _, number = location.rpartition(":")
    if not number.isdigit():
        return clean(location), ""
    line = linecache.getline(file, int(number)).strip()
    path = Path(file)
    try:
        shown = str(path.relative_to(os.getcwd()))
    except ValueError:
        shown = path.name  # a page is given away: where someone's home folder lies is nobody's business
    return f"{clean(shown)}:{number}", clean(line)


def _step(s: Step, arrays: Arrays) -> dict[str, Any]:
    record: dict[str, Any] = {"phase": s.phase, "title": s.title, "say": s.sentence}
    if s.vertex:
        record["node"] = s.vertex
    for key, text in (("formula", s.formula), ("worked", s.worked), ("note", s.note)):
        if text:
            record[key] = text
    if s.phase in ("forward", "seed", "backward"):
        record["array"] = arrays.add(s.value)
    if s.value is not None:
        record["text"] = value_text(s.value) if s.phase == "forward" else gradient_text(s.value)
    if s.edges:
        record["edges"] = list(s.edges)
    if s.shares:
        record["shares"] = [
            {
                "edge": m.edge,
                "node": m.source,
                "name": m.name,
                "formula": m.formula,
                "worked": m.worked,
                "array": arrays.add(m.value),
                "text": gradient_text(m.value) if m.value is not None else "not kept",
                "total": arrays.add(m.total),
                "sum": gradient_text(m.total) if m.total is not None else "not known",
                "nth": m.nth,
                "of": m.of,
            }
            for m in s.shares
        ]
    return record


def json_for_html(data: Any) -> str:
    """JSON that cannot leave the script element it stands in, whatever names it holds."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escape in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(character, escape)
    return text


def spoken(v: Vertex, name: str) -> str:
    """What a screen reader says of a node."""
    parts = [f"{clean(v.title)} {name}" if v.op and v.name else name, tag(v) or "operation", shape_text(v.shape)]
    if v.value is not None:
        parts.append(f"value {value_text(v.value)}")
    return ", ".join(parts)


def counted_nodes(count: int) -> str:
    """How large a view is."""
    return counted(count, "node")
