"""`find_nan`: the op, forward or backward, that made the first NaN or infinity, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd.anomaly import bad_place
from tinygrad_edu.autograd.graph import graph_of
from tinygrad_edu.autograd.node import Constant, Node
from tinygrad_edu.autograd.records import Graph
from tinygrad_edu.errors import GraphError
from tinygrad_edu.explanations.reasons import backward_reason, forward_reason
from tinygrad_edu.explanations.tape import Gone, Step, Tape, path_between
from tinygrad_edu.explanations.text import NO_LINE, Answer, Place, at, called, input_names, line_of, number, place_text
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import live_node
from tinygrad_edu.tensor import Tensor

LONGEST = 8  # ops of a path that are written out


class NanOrigin(Answer):
    """What `find_nan` found.

    phase: "forward", "backward", "data", or "" if there is none.  op: the op's name.  place: the bad entry.
    values: the entries behind it.  reason, stable: in words.  path: the ops from there to the loss, or, backward, from
    the loss to there.  location: file:line, "" if it was not recorded.  False in a condition if there is none.
    """

    def __init__(self, loss: Tensor, phase: str, title: str, parts: Sequence[tuple[str, Sequence[str]]] = ()) -> None:
        super().__init__(title, parts)
        self.phase, self._loss = phase, loss
        self.node: Any = None
        self.op = self.reason = self.stable = self.location = ""
        self.place: Place = ()
        self.values: dict[str, float] = {}
        self.path: list[str] = []
        self._way: list[Node] = []  # the ops of the path, towards the loss

    def __bool__(self) -> bool:
        return bool(self.phase)

    def graph(self) -> Graph:
        """The recorded graph as plain data; `visualize.report(found, "nan.png")` draws it with the op marked."""
        return graph_of(self._loss)

    def marked(self, graph: Graph) -> list[str]:
        """The vertices of `graph` from where it began to the loss."""
        places = [graph.places.get(node.position, "") for node in (self.node, *self._way) if node is not None]
        return list(dict.fromkeys(filter(None, places)))

    mark = "first"  # how pictures mark where it began


def find_nan(loss: Tensor) -> NanOrigin:
    """Find the op that made the first NaN or infinity in the forward pass of `loss`, else in its backward pass.

    Values that nobody holds are computed again from the leaves, so it may be asked before backward or after it, but
    before an optimizer changes the parameters.  An infinity that does no harm (as in a mask) is passed over.
    The line of user code is known if the forward ran under `autograd.keep_values()`.
    Raises GraphError when values are lost, TypeError for what is no tensor.
    """
    if not isinstance(loss, Tensor):
        raise TypeError(f"find_nan: expected a tensor, the loss, got {type(loss).__name__}")
    if live_node(loss) is None:
        bad = bad_place(loss.array)
        if bad is None:
            return NanOrigin(loss, "", "no NaN and no infinity: the tensor is finite, and no graph was recorded for it")
        raise GraphError(
            f"find_nan: the tensor has {bad[1]} at entry {bad[0]}, but no recorded graph to follow it back through; "
            f"compute it from a tensor with requires_grad=True, outside no_grad() and without detach()"
        )
    tape = Tape(loss)
    if bad_place(_value(tape, tape.roots[0])) is not None:
        return _forward(loss, tape, tape.roots[0])
    for step in tape.backward():
        for i, share in step.shares:
            bad = bad_place(_first(share))
            if bad is not None:
                return _backward(loss, tape, step, i, share, bad)
    return NanOrigin(loss, "", "no NaN and no infinity: the result and all its gradients are finite")


def _bad(tape: Tape, item: Any) -> tuple[Place, str] | None:
    """The first bad entry; a leaf that nobody holds any more counts as finite."""
    value = tape.value(item)
    if value is None and (not isinstance(item, Node) or item.op is None) and item.value() is None:
        return None
    return bad_place(_value(tape, item))


def _value(tape: Tape, item: Any) -> Array:
    value = tape.value(item)
    if value is None:
        raise GraphError(
            f"find_nan: the value of {called(item)}, of shape {tuple(item.shape)}, is lost; run the forward inside "
            f"`with autograd.keep_values():`, and ask before the optimizer steps"
        )
    return value


def _first(share: Any) -> Any:
    """A gradient; of a bundle for several results, the first there is."""
    return next((p for p in share.parts if p is not None), 0.0) if hasattr(share, "parts") else share


def _cause(tape: Tape, start: Any) -> tuple[Any, str]:
    """Follow bad values back from `start` to where they began: (node or leaf, nan or inf)."""
    item = start
    while True:
        word = (_bad(tape, item) or ((), ""))[1]
        sources = item.inputs if isinstance(item, Node) else ()
        found: dict[str, list[Any]] = {"nan": [], "inf": []}
        for source in sources:
            if isinstance(source, (Node, Constant)):
                bad = _bad(tape, source)
                if bad is not None:
                    found[bad[1]].append(source)
        if found["nan"]:
            item = min(found["nan"], key=lambda s: s.position)
            continue
        made = [s for s in found["inf"] if isinstance(s, Node) and not _on_purpose(tape, s)]
        if not made:
            return item, word
        item = min(made, key=lambda s: s.position)


def _on_purpose(tape: Tape, node: Node) -> bool:
    """An infinity that was written in: a parameter of the op, or a constant, as a mask; not one in a trained leaf."""
    stack: list[Any] = [node]
    seen: set[Any] = set()
    while stack:
        item = stack.pop()
        if item in seen:
            continue
        seen.add(item)
        if isinstance(item, Constant):
            return True
        if any(isinstance(v, (float, np.generic, np.ndarray)) and bad_place(v) for v in item.params.values()):
            return True
        inputs = [s for s in item.inputs if isinstance(s, (Node, Constant)) and _bad(tape, s)]
        if any(not isinstance(s, (Node, Constant)) and s is not None and bad_place(s) for s in item.inputs):
            return True
        stack.extend(inputs)
    return False


def _forward(loss: Tensor, tape: Tape, start: Any) -> NanOrigin:
    item, word = _cause(tape, start)
    value = _value(tape, item)
    bad = bad_place(value)
    assert bad is not None
    place = bad[0]
    count = int(value.size - np.isfinite(value).sum())
    many = f"; {count} of {value.size} entries {'is' if count == 1 else 'are'} not finite" if value.size > 1 else ""
    if not isinstance(item, Node) or item.op is None:
        name = called(item)
        reason = f"{name} of shape {tuple(item.shape)} has {word} at {place_text(place) or 'its only entry'}{many}"
        users = [user for user, _ in tape.users.get(item, ())]
        stable = "look at how it was made or loaded: torch.isfinite(x).all() before training"
        found = NanOrigin(
            loss,
            "data",
            f"the {word} is in the data or the parameters: no op made it",
            [
                ("where", [reason]),
                ("first used", [f"by {called(users[0])}{at(users[0])}"] if users else []),
                ("fix", [stable]),
            ],
        )
        found.reason, found.stable, found.place, found.node = reason, stable, place, item
        return found
    values, entries = _entries(tape, item, value.shape, place)
    reason, stable = forward_reason(item, entries, value.dtype, word)
    way = path_between(tape, item, tape.roots[0])
    path = [called(node) for node in way]
    parts = [
        ("entry", [f"result{place_text(place)} = {number(value[place])}{many}"]),
        ("inputs", [", ".join(f"{k} = {number(v)}" for k, v in values.items())] if values else []),
        ("reason", [reason]),
        ("instead", [stable]),
        ("line", [line_of(item) or NO_LINE]),
        ("path", [_shortened(path, " → ")] if len(path) > 1 else []),
    ]
    found = NanOrigin(loss, "forward", f"forward: {called(item)} made the first {word}", parts)
    found._way = way
    return _filled(found, item, place, values, reason, stable, path)


def _filled(
    found: NanOrigin, node: Node, place: Place, values: dict[str, float], reason: str, stable: str, path: list[str]
) -> NanOrigin:
    assert node.op is not None
    found.node, found.op, found.place, found.values = node, node.op.name, place, values
    found.reason, found.stable, found.location, found.path = reason, stable, node.location, path
    return found


def _backward(loss: Tensor, tape: Tape, step: Step, i: int, share: Any, bad: tuple[Place, str]) -> NanOrigin:
    node, (place, word) = step.node, bad
    assert node.op is not None
    infinite: list[Any] = []
    for item in (node, *node.inputs):
        if isinstance(item, (Node, Constant)) and _bad(tape, item) is not None:
            infinite.append(item)
    shape = np.shape(_first(share))
    values, entries = _entries(tape, node, shape, place)
    grad = np.asarray(_first(step.grad))
    arrived = float(grad[place]) if grad.shape == shape else float(grad) if grad.ndim == 0 else None
    reason, stable = backward_reason(node, entries, arrived, bool(infinite))
    name = input_names(node)[i]
    if arrived is not None:
        values["the gradient that arrives"] = arrived
    way = path_between(tape, node, tape.roots[0])
    path = [called(n) for n in reversed(way)]
    began = []
    for item in infinite[:1]:
        origin = _forward(loss, tape, item)
        began = [f"the infinity of the forward pass: {origin.title.removeprefix('forward: ')}: {origin.reason}"]
        stable = origin.stable or stable
    parts = [
        ("entry", [f"dL/d{name}{place_text(place)} is {word}"]),
        ("inputs", [", ".join(f"{k} = {number(v)}" for k, v in values.items())] if values else []),
        ("reason", [reason]),
        ("began with", began),
        ("instead", [stable]),
        ("line", [line_of(node) or NO_LINE]),
        ("path", [_shortened(path, " ⇠ ")] if len(path) > 1 else []),
    ]
    title = f"backward: the rule of {called(node)} made the first {word}, in the gradient of its input {name}"
    found = NanOrigin(loss, "backward", title, parts)
    found._way = way
    return _filled(found, node, place, values, reason, stable, path)


def _entries(tape: Tape, node: Node, shape: Place, place: Place) -> tuple[dict[str, float], dict[str, float]]:
    """The entries of the inputs behind one of the result, by given name, and by the op's own names."""
    op = node.op
    assert op is not None
    if not op.elementwise:
        return {}, _extreme(tape, node)
    shown, own = {}, {}
    try:
        arrays = tape.inputs(node)
    except Gone:
        return {}, {}
    for name, given, array in zip(op.inputs, input_names(node), arrays, strict=False):
        if array is None:
            continue
        try:
            entry = float(np.broadcast_to(array, shape)[place])
        except ValueError:
            continue  # many entries stand behind one that was summed
        shown[given], own[name] = entry, entry
    return shown, own


def _extreme(tape: Tape, node: Node) -> dict[str, float]:
    """For an op that mixes entries: one that is not finite of each input that has any."""
    found = {}
    for k, source in enumerate(node.inputs):
        if isinstance(source, (Node, Constant)):
            array = tape.value(source)
            bad = bad_place(array) if array is not None else None
            if bad is not None and array is not None:
                found[f"input {k}"] = float(array[bad[0]])
    return found


def _shortened(path: list[str], arrow: str) -> str:
    if len(path) > LONGEST:
        path = [*path[: LONGEST // 2], f"… {len(path) - LONGEST} ops …", *path[-LONGEST // 2 :]]
    return arrow.join(path)
