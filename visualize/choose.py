"""A part of a graph: the neighbourhood of one tensor, the paths from one name, the way of the first NaN."""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tinygrad_edu.autograd.graph import Graph, Vertex, vertex_of

from .marks import Key, Marks
from .numbers import bad_word, counted

PATH_TO = "path to "
AROUND = 2  # steps drawn around the first NaN of a graph too large to be drawn whole
LONGEST = 120  # nodes of the way of a NaN that such a picture holds


@dataclass(frozen=True)
class Part:
    """The part of a graph that is drawn, what to say about it, and what to point at."""

    graph: Graph
    note: str = ""
    marks: Marks = field(default_factory=Marks)


def part_of(graph: Graph, focus: Any, radius: int | None, only: str | None, highlight: str | None, room: int) -> Part:
    """What is left of `graph` after `only`, `focus` with `radius`, and `highlight`; at most one of the first two.

    room: nodes that a picture holds; a highlighted graph with more is cut down to where the NaN came from.
    Errors: ValueError and TypeError, naming the option and what it may be.
    """
    if radius is not None and (isinstance(radius, bool) or not isinstance(radius, int) or radius < 0):
        raise ValueError(f"visualize.graph: radius is {radius!r}; it must be a whole number, 0 or more")
    if radius is not None and focus is None:
        raise ValueError("visualize.graph: radius says how far around a focus to draw; give focus=tensor too")
    if focus is not None and only is not None:
        raise ValueError("visualize.graph: focus and only both choose a part of the graph; give one of them")
    if highlight not in (None, "nan"):
        raise ValueError(f"visualize.graph: highlight is {highlight!r}; choose 'nan' or None")
    part = Part(graph)
    if focus is not None:
        part = _around(graph, focus, 2 if radius is None else radius)
    elif only is not None:
        part = _paths(graph, only)
    return _way_of_nan(part, room) if highlight else part


def subgraph(graph: Graph, kept: set[str]) -> Graph:
    """The vertices whose ids are in `kept`, the edges between them, and the scopes they lie in."""
    vertices = tuple(v for v in graph.vertices if v.id in kept)
    parent = {scope.id: scope.parent for scope in graph.scopes}
    used: set[str] = set()
    for v in vertices:
        scope = v.scope
        while scope and scope not in used:
            used.add(scope)
            scope = parent[scope]
    sources = {e.source for e in graph.edges if e.source in kept and e.target in kept}
    ends = tuple(o for o in graph.outputs if o in kept) or tuple(v.id for v in vertices if v.id not in sources)
    return replace(
        graph,
        vertices=vertices,
        edges=tuple(e for e in graph.edges if e.source in kept and e.target in kept),
        scopes=tuple(s for s in graph.scopes if s.id in used),
        outputs=ends,
    )


def _neighbours(graph: Graph, forward: bool = True, back: bool = True) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {v.id: [] for v in graph.vertices}
    for edge in graph.edges:
        if forward:
            found[edge.source].append(edge.target)
        if back:
            found[edge.target].append(edge.source)
    return found


def _reached(starts: Iterable[str], next_of: dict[str, list[str]], steps: int) -> dict[str, int]:
    """Every id within so many steps of the starts, with its distance."""
    distance = dict.fromkeys(starts, 0)
    queue = deque(distance)
    while queue:
        here = queue.popleft()
        if distance[here] < steps:
            for there in next_of[here]:
                if there not in distance:
                    distance[there] = distance[here] + 1
                    queue.append(there)
    return distance


def neighbourhood(graph: Graph, centres: set[str], steps: int) -> Graph:
    """What lies within so many steps of any of `centres`."""
    return subgraph(graph, set(_reached(sorted(centres), _neighbours(graph), steps)))


def _around(graph: Graph, focus: Any, radius: int) -> Part:
    if isinstance(focus, str):
        found = named(graph, focus, "focus")
        where = found[0].id
    elif hasattr(focus, "requires_grad"):
        where = vertex_of(graph, focus)
        if not where:
            raise ValueError(
                f"visualize.graph: focus is a tensor of shape {tuple(focus.shape)} that is not part of this graph; "
                "give one that the output was computed from, or its name"
            )
    else:
        raise TypeError(f"visualize.graph: focus is a {type(focus).__name__}; give a tensor of the graph, or its name")
    kept = set(_reached([where], _neighbours(graph), radius))
    words = f"within {counted(radius, 'step')} of {focus if isinstance(focus, str) else _called(graph, where)}"
    return Part(subgraph(graph, kept), words, Marks({where: "focus"}, legend=("focus",)))


def _paths(graph: Graph, only: str) -> Part:
    if not isinstance(only, str) or not only.startswith(PATH_TO) or not only[len(PATH_TO) :].strip():
        raise ValueError(
            f'visualize.graph: only is {only!r}; write only="path to NAME", the name of a tensor or module'
        )
    name = only[len(PATH_TO) :].strip()
    starts = [v.id for v in named(graph, name, "only")]
    kept = set(_reached(starts, _neighbours(graph, back=False), len(graph.vertices)))
    return Part(subgraph(graph, kept), f"only the paths from the output to {name}")


def _called(graph: Graph, where: str) -> str:
    vertex = next(v for v in graph.vertices if v.id == where)
    return vertex.name or f"{vertex.title} {vertex.formula}".strip()


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "_", text).strip("_").lower()


def named(graph: Graph, name: str, option: str) -> list[Vertex]:
    """The vertices called `name`: its id, its name, that of its module and its own ("layer1.weight"), or a module.

    Errors: ValueError, with near names if there is none of this name and all of them if there are several tensors.
    """
    scopes = {scope.id: scope for scope in graph.scopes}
    known: dict[str, dict[str, Vertex]] = {}
    spoken: dict[str, str] = {}

    def enter(text: str, vertex: Vertex) -> None:
        if text:
            known.setdefault(_plain(text), {})[vertex.id] = vertex
            spoken.setdefault(_plain(text), text)

    for v in graph.vertices:
        scope = scopes.get(v.scope)
        whole = f"{scope.name}.{v.name}" if scope is not None and v.name else v.name
        for text in (whole, v.name, v.id):
            enter(text, v)
    exact = [v for v in graph.vertices if name in (v.id, v.name)]
    found = exact if len(exact) == 1 else list(known.get(_plain(name), {}).values())
    if len(found) == 1:
        return found
    if found:
        ids = [v.id for v in found]
        choices = ", ".join(map(repr, ids[:8])) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
        raise ValueError(f"visualize.graph: {option}: {len(found)} tensors are called {name!r}; choose one: {choices}")
    inside = _in_scope(graph, name)
    if inside:
        return inside
    names = [*spoken.values(), *(s.name for s in graph.scopes)]
    plain = {_plain(text): text for text in reversed(names)}
    near = [plain[n] for n in difflib.get_close_matches(_plain(name), list(plain), 3, 0.5)] if len(plain) < 5000 else []
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "give params= to name the parameters"
    raise ValueError(f"visualize.graph: {option}: nothing in this graph is called {name!r}; {hint}")


def _in_scope(graph: Graph, name: str) -> list[Vertex]:
    """All that lies in the module of this name."""
    parent = {scope.id: scope.parent for scope in graph.scopes}
    wanted = {s.id for s in graph.scopes if _plain(s.name) == _plain(name) or s.id == name}

    def inside(scope: str) -> bool:
        while scope and scope not in wanted:
            scope = parent[scope]
        return scope in wanted

    return [v for v in graph.vertices if inside(v.scope)] if wanted else []


def _way_of_nan(part: Part, room: int) -> Part:
    """Point at the first op that made a NaN or an infinity, and at the way it took from there."""
    graph = part.graph
    forward = {v.id for v in graph.vertices if bad_word(v.value)}
    first = next((v.id for v in graph.vertices if v.id in forward), "")
    bad, way = forward, "it spread forward"
    if not first:  # backward comes from the other end
        bad = {v.id for v in graph.vertices if bad_word(v.grad)}
        first = next((v.id for v in reversed(graph.vertices) if v.id in bad), "")
        way = "it spread backward"
    if not first:
        unknown = sum(v.value is None for v in graph.vertices)
        words = f", but {counted(unknown, 'value')} not kept: record under autograd.keep_values()" if unknown else ""
        return replace(part, note="; ".join(filter(None, (part.note, f"no NaN and no Inf here{words}"))))
    pairs = {(e.source, e.target) if way == "it spread forward" else (e.target, e.source) for e in graph.edges}
    on = _follow(first, [p for p in pairs if p[0] in bad and p[1] in bad])
    name = _called(graph, first)
    note = f"{_word(graph, first)} first in {name}; {way} to {counted(len(on) - 1, 'node')}"
    if len(graph.vertices) > room:
        nearest = sorted(on, key=lambda i: on[i])[:LONGEST]
        graph = subgraph(graph, set(nearest) | set(_reached([first], _neighbours(graph), AROUND)))
    edges: dict[Key, str] = {
        (e.source, e.target, e.input): "first" for e in graph.edges if e.source in on and e.target in on
    }
    marks = Marks({**part.marks.vertices, first: "first"}, {**part.marks.edges, **edges}, legend=part.marks.legend)
    return Part(graph, "; ".join(filter(None, (part.note, note))), marks)


def _follow(first: str, pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    next_of: dict[str, list[str]] = {}
    for source, target in pairs:
        next_of.setdefault(source, []).append(target)
        next_of.setdefault(target, [])
    next_of.setdefault(first, [])
    return _reached([first], next_of, len(next_of))


def _word(graph: Graph, where: str) -> str:
    vertex = next(v for v in graph.vertices if v.id == where)
    return bad_word(vertex.value) or bad_word(vertex.grad)
