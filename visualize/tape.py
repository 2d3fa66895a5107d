"""A computation as a list of steps, forward and back, each with a sentence and its numbers: what pages and films play.

`steps_of` reads the tape that `tinygrad_edu.autograd.tape` makes with the engine's own rules; nothing is computed here
but the running sums at the places where several paths meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.autograd.graph import Graph, Vertex
from tinygrad_edu.autograd.tape import Pull, Tape

from .labels import clean, is_loss, is_plain_number
from .numbers import counted, gradient_text, shape_text, value_text

Array = NDArray[np.generic]
LIMIT = 2000  # steps: nobody follows more, and a page would take long to open
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


@dataclass(frozen=True)
class Moved:
    """What one step hands to one input: the share, and what has arrived there so far, this share included."""

    edge: int
    source: str
    name: str
    formula: str
    worked: str
    value: Array | None
    total: Array | None
    nth: int
    of: int

    @property
    def complete(self) -> bool:
        """Whether this was the last of the shares that meet here."""
        return self.nth == self.of


@dataclass(frozen=True)
class Step:
    """One moment: "whole", "given", "forward", "seed", "backward" or "done"."""

    phase: str
    vertex: str
    title: str
    sentence: str
    formula: str = ""
    worked: str = ""
    value: Array | None = None  # forward: the result; backward: the gradient that arrives
    shares: tuple[Moved, ...] = ()
    edges: tuple[int, ...] = ()  # that the step lights up
    note: str = ""


def names_of(graph: Graph) -> dict[str, str]:
    """How sentences call each vertex: "z₁", "layer1.weight", "Exp exp(s)"."""
    paths: dict[str, tuple[str, ...]] = {"": ()}
    for scope in graph.scopes:
        paths[scope.id] = (*paths[scope.parent], clean(scope.name))
    names = {}
    for v in graph.vertices:
        if v.op and not v.name:
            names[v.id] = clean(f"{v.title} {v.formula}" if 0 < len(v.formula) <= 32 else v.title)
            continue
        names[v.id] = clean(v.name or v.title)
        if v.role == "parameter":  # one bias is told from another by its module; the outermost is the same for all
            path = paths[v.scope]
            names[v.id] = ".".join((*(path[1:] or path), names[v.id]))
    return names


def steps_of(tape: Tape) -> list[Step]:
    """All steps: the whole picture, what is given, each op forward, the seed, each op backward, the end.

    Errors: ValueError for more than 2 000 steps.
    """
    graph = tape.graph
    operations = sum(v.op != "" for v in graph.vertices)
    if operations + len(tape.pulls) > LIMIT:
        raise ValueError(
            f"visualize: {counted(operations, 'operation')} would make {operations + len(tape.pulls)} steps; at most "
            f"{LIMIT} can be played. Record a shorter run, or draw it with visualize.graph(loss, depth=0)"
        )
    vertices = {v.id: v for v in graph.vertices}
    names = names_of(graph)
    steps = [_whole(tape, operations), _given(tape, names)]
    incoming: dict[str, list[int]] = {}
    for place, edge in enumerate(graph.edges):
        incoming.setdefault(edge.target, []).append(place)
    steps += [_forward(v, tape, names, incoming.get(v.id, [])) for v in graph.vertices if v.op]
    if tape.pulls:
        steps.append(_seed(vertices[tape.pulls[0].vertex], tape.pulls[0], names))
        steps += _backward(tape, vertices, names)
        steps.append(_done(tape, names))
    return steps


def _whole(tape: Tape, operations: int) -> Step:
    sentence = f"The whole computation: {counted(operations, 'operation')} forward, {len(tape.pulls)} back."
    return Step("whole", "", "The whole picture", f"{sentence} Press play, or go step by step.")


def _given(tape: Tape, names: dict[str, str]) -> Step:
    leaves = [v for v in tape.graph.vertices if not v.op]
    shown = [names[v.id] for v in leaves if not is_plain_number(v)]
    text = ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
    return Step("given", "", "What is given", f"Given are {text or 'no tensors'}.")


def _forward(v: Vertex, tape: Tape, names: dict[str, str], edges: list[int]) -> Step:
    formula = clean(v.formula)
    what = f": {formula}" if formula else ""
    result = value_text(v.value) if v.value is not None else "not kept"
    sentence = f"Forward, {clean(v.title)}{what}. The result is {result}, {shape_text(v.shape)}."
    missing = "" if v.value is not None else "The value was not kept: record it under autograd.keep_values()."
    return Step(
        "forward",
        v.id,
        clean(v.title),
        sentence,
        formula,
        tape.forward.get(v.id, ""),
        v.value,
        (),
        tuple(edges),
        missing,
    )


def _seed(v: Vertex, pull: Pull, names: dict[str, str]) -> Step:
    name = "L" if is_loss(v) and not v.name else names[v.id] if v.name else "out"
    begin = value_text(pull.upstream) if pull.upstream is not None else "not kept"
    one = v.shape == () and pull.upstream is not None and float(np.asarray(pull.upstream, float)) == 1.0
    formula = f"d{name}/d{name} = 1" if one else f"d{name} = {begin}"
    why = "a change of the result changes it by just as much" if one else "this is the gradient it was given"
    return Step("seed", v.id, "Backward begins", f"Backward begins: {formula}; {why}.", formula, "", pull.upstream)


def _backward(tape: Tape, vertices: dict[str, Vertex], names: dict[str, str]) -> list[Step]:
    edges = tape.graph.edges
    expected: dict[str, int] = {}
    for pull in tape.pulls:
        for share in pull.shares:
            expected[share.source] = expected.get(share.source, 0) + 1
    arrived: dict[str, int] = {}
    sums: dict[str, Array | None] = {}
    steps = []
    for pull in tape.pulls:
        moved = []
        for share in pull.shares:
            key, value = share.source, share.value
            nth = arrived[key] = arrived.get(key, 0) + 1
            before = sums.get(key)
            if nth == 1:
                sums[key] = value
            else:
                sums[key] = None if before is None or value is None else np.asarray(before + value)
            formula = clean(edges[share.edge].label).replace("ᵀᵀ", "")
            worked = clean(share.worked)
            moved.append(Moved(share.edge, key, names[key], formula, worked, value, sums[key], nth, expected[key]))
        v = vertices[pull.vertex]
        sentence = _told(v, pull, moved, names)
        note = " ".join(filter(None, (_capital(pull.note), _capital(tape.notes.get(v.id, "")))))
        lit = tuple(share.edge for share in pull.shares)
        steps.append(
            Step(
                "backward",
                v.id,
                f"Back through {clean(v.title)}",
                sentence,
                "",
                "",
                pull.upstream,
                tuple(moved),
                lit,
                note,
            )
        )
    return steps


def _told(v: Vertex, pull: Pull, moved: list[Moved], names: dict[str, str]) -> str:
    arrives = gradient_text(pull.upstream) if pull.upstream is not None else "a gradient that was not kept"
    parts = [f"Back through {clean(v.title)}: {arrives} arrives."]
    for share in moved:
        if share.value is None:
            parts.append(f"{share.name} receives a share whose numbers were not kept.")
            continue
        text = gradient_text(share.value)
        if share.of == 1:
            parts.append(f"{share.name} receives {text}.")
        else:
            nth = ORDINALS[share.nth - 1] if share.nth <= len(ORDINALS) else f"{share.nth}th"
            total = gradient_text(share.total) if share.total is not None else "not known"
            now = "in all" if share.complete else "so far"
            parts.append(f"{share.name} receives {text}, the {nth} of {share.of} paths: ⊕ {total} {now}.")
    return " ".join(parts)


def _done(tape: Tape, names: dict[str, str]) -> Step:
    parameters = [v for v in tape.graph.vertices if v.role == "parameter" and v.id in tape.grads]
    leaves = parameters or [v for v in tape.graph.vertices if not v.op and v.id in tape.grads]
    what = counted(len(leaves), "parameter" if parameters else "input")
    verb = "has its" if len(leaves) == 1 else "have their"
    return Step("done", "", "Done", f"Done: {what} {verb} gradient; an optimizer may step now.")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] + "." if text else ""
