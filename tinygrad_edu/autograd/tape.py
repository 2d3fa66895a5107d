"""Backward as plain data: what every op received and what it handed to each of its inputs, by the engine's own rules.

`tape_of` runs each node's rule once more, at the inputs it was recorded with, in the order of the walk.  Nothing is
accumulated in any tensor, no hook runs, and a graph that backward has already freed can still be read as long as its
values are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_edu.autograd.calls import Bundle
from tinygrad_edu.autograd.graph import _Builder
from tinygrad_edu.autograd.node import FREED, Constant, Leaf, Node
from tinygrad_edu.autograd.records import Graph
from tinygrad_edu.autograd.versions import last_change
from tinygrad_edu.autograd.worked import worked_backward, worked_forward
from tinygrad_edu.errors import GraphError, ShapeError
from tinygrad_edu.ops.movement import sum_to
from tinygrad_edu.ops.registry import INPUT, INPUTS, OUT, Array
from tinygrad_edu.recording import live_node
from tinygrad_edu.tensor import Tensor

NOT_KEPT = "the numbers of this op were not kept; record it under autograd.keep_values()"
CHANGED = "a value that this op needs was changed in place after the forward, so its share cannot be shown"


@dataclass(frozen=True)
class Share:
    """What flows back along one edge."""

    edge: int  # place in Graph.edges
    source: str  # the vertex that receives it
    value: Array | None  # None if it cannot be computed any more; `Pull.note` says why
    worked: str  # one entry with its numbers: "dy · γ = 0.2 · 1.5 = 0.3"; "" where that says nothing


@dataclass(frozen=True)
class Pull:
    """One step of backward: the gradient of a vertex is complete and is handed on."""

    vertex: str
    upstream: Array | None
    shares: tuple[Share, ...]
    note: str = ""


@dataclass(frozen=True)
class Tape:
    """A graph and its backward, step by step.

    grads: the sum of all shares, for each vertex.  kept: for each vertex that is kept for backward, the edges whose
    rules need it.  forward: for each op one entry with its numbers.
    """

    graph: Graph
    pulls: tuple[Pull, ...]
    grads: dict[str, Array]
    kept: dict[str, tuple[int, ...]]
    forward: dict[str, str]
    notes: dict[str, str] = field(default_factory=dict)


def tape_of(
    tensor: Tensor,
    params: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None = None,
    gradient: Any = None,
) -> Tape:
    """The backward of `tensor`, step by step, from `gradient` (None: the one backward began with, else 1).

    Errors: TypeError for no tensor, GraphError for one without a graph or, if it is not a single number, without a
    gradient to begin with, ShapeError for a gradient of another shape.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tape: expected a tensor, got {type(tensor).__name__}")
    node = live_node(tensor)
    if node is None:
        raise GraphError(
            "tape: this tensor has no recorded graph; it must come from operations on a tensor with "
            "requires_grad=True, outside no_grad() and without detach()"
        )
    names = dict(params.items() if isinstance(params, Mapping) else params or ())
    builder = _Builder([node], {live_node(t): name for name, t in names.items() if live_node(t) is not None})
    graph = builder.build()
    return _Walk(builder, graph).run(builder.roots[0], _seed(node, tensor, gradient))


def _seed(node: Node, tensor: Tensor, gradient: Any) -> Array:
    """The gradient that backward begins with."""
    if gradient is not None:
        seed = np.asarray(gradient.array if isinstance(gradient, Tensor) else gradient, dtype=tensor.array.dtype)
        if seed.shape != tensor.array.shape:
            raise ShapeError(
                f"tape: gradient has shape {seed.shape}; it must have that of the tensor, {tensor.array.shape}"
            )
        return seed
    if node.grad is not None:
        return _array(node.grad)
    if tensor.array.size == 1:
        return np.ones_like(tensor.array)
    raise GraphError(
        f"tape: the tensor has shape {tensor.array.shape}; backward begins at a single number. Give gradient=, "
        f"or reduce it first, for instance with .sum()"
    )


def _array(grad: Any) -> Array:
    return np.asarray(getattr(grad, "array", grad))


class _Walk:
    """The walk of the engine over what a picture shows: fused ops opened, views of parameters folded away."""

    def __init__(self, builder: _Builder, graph: Graph) -> None:
        self.builder, self.graph = builder, graph
        self.incoming: dict[str, list[int]] = {}
        for place, edge in enumerate(graph.edges):
            self.incoming.setdefault(edge.target, []).append(place)
        self.pending: dict[Any, Any] = {}
        self.broken: dict[Any, str] = {}  # nodes whose sum lacks a share, and why
        self.notes: dict[str, str] = {}

    def run(self, root: Any, seed: Array) -> Tape:
        builder = self.builder
        self.pending[root] = seed
        drawn = [n for n in builder.order if isinstance(n, Node) and n not in builder.folded and n in builder.ids]
        pulls = []
        with np.errstate(all="ignore"):
            for node in reversed(drawn):
                if node.op is None or node.plan is None or node in builder.detached:
                    continue
                if node in self.pending or node in self.broken:
                    pulls.append(self._pull(node))
            forward = {builder.ids[n]: worked_forward(builder, n) for n in drawn if n.op is not None}
        grads = {
            builder.ids[n]: _array(g) for n, g in self.pending.items() if n in builder.ids and n not in self.broken
        }
        self._compare_leaves(drawn, grads)
        return Tape(self.graph, tuple(pulls), grads, self._kept(drawn), forward, self.notes)

    def _pull(self, node: Node) -> Pull:
        """Run the rules of one node and add up what they hand on."""
        builder = self.builder
        vertex = builder.ids[node]
        places = dict(zip(self._drawn_inputs(node), self.incoming.get(vertex, ()), strict=True))
        grad, why = self._gradient(node)
        raw: dict[int, Any] = {}
        if not why:
            saved, why = self._saved(node)
            if not why:
                raw = self._shares(node, grad, saved)
        assert node.plan is not None
        shares = []
        for i in node.plan.active:
            if i not in places:
                continue
            target, end = self._end_of(node, i)
            if raw.get(i) is None:
                if why:
                    self.broken[target] = why
                    shares.append(Share(places[i], builder.ids[target], None, ""))
                continue
            share = raw[i]
            if share.shape != node.inputs[i].shape:
                share = sum_to(share, shape=node.inputs[i].shape)
            worked = worked_backward(builder, node, i, _array(grad), raw[i])
            share, lost = self._through(end, share)
            if lost:
                why = why or lost
                self.broken[target] = lost
                shares.append(Share(places[i], builder.ids[target], None, worked))
                continue
            before = self.pending.get(target)
            self.pending[target] = share if before is None else before + share
            shares.append(Share(places[i], builder.ids[target], _array(share), worked))
        return Pull(vertex, None if grad is None else _array(grad), tuple(shares), why)

    def _drawn_inputs(self, node: Node) -> list[int]:
        return [i for i, s in enumerate(self.builder.sources(node)) if isinstance(s, (Node, Constant))]

    def _gradient(self, node: Node) -> tuple[Any, str]:
        """The complete gradient of a node: the engine's own where it was recorded, since a hook may have changed it."""
        found, why = self.pending.get(node), self.broken.get(node, "")
        recorded = node.grad
        if recorded is None or isinstance(found, Bundle) or recorded.shape != node.shape:
            return (None, why) if why else (found, "")
        recorded = _array(recorded)
        if found is not None and not why and not np.allclose(recorded, found, rtol=1e-4, atol=1e-6, equal_nan=True):
            self.notes[self.builder.ids[node]] = (
                "the engine recorded another gradient here than the shares add up to: a hook changed it, or backward "
                "ran from elsewhere too"
            )
        self.pending[node] = recorded
        self.broken.pop(node, None)
        return recorded, ""

    def _end_of(self, node: Node, i: int) -> tuple[Any, list[Node]]:
        """Where the share for the i-th input arrives, and the undrawn nodes that it passes on its way."""
        through: list[Node] = []
        item = node.inputs[i]
        while True:
            if item.op is not None and item.op.name == "alias" and item not in self.builder.ids:
                item = item.inputs[0]
            elif item.op is not None and item.op.name.endswith(".result"):
                through.append(item)
                item = item.inputs[0]
            else:
                item = self.builder.opened(item)
                if item not in self.builder.folded:
                    return item, through
                through.append(item)
                item = item.inputs[0]

    def _through(self, nodes: list[Node], share: Any) -> tuple[Any, str]:
        """A share behind nodes that are not drawn, or why it is lost there."""
        for node in nodes:
            saved, why = self._saved(node)
            if why:
                return None, why
            share = self._shares(node, share, saved)[0]
            if share.shape != node.inputs[0].shape:
                share = sum_to(share, shape=node.inputs[0].shape)
        return share, ""

    def _shares(self, node: Node, grad: Any, saved: Any) -> dict[int, Any]:
        """The gradient of each input, before it is summed to the shape of that input."""
        plan = node.plan
        assert plan is not None
        if plan.joint is not None:
            return dict(enumerate(plan.joint(grad, saved, node.params)))
        return {i: rule(grad, saved, node.params) for i, rule in plan.calls}

    def _saved(self, node: Node) -> tuple[Any, str]:
        """What the rules of a node read: saved, or made again from the values of its inputs; else why not."""
        plan, op = node.plan, node.op
        assert plan is not None and op is not None
        if node.saved is not FREED:
            stale = any(
                last_change(a) > node.position
                for (kind, _), value in zip(plan.saves, node.saved, strict=False)
                for a in (value if kind == INPUTS else (value,))
                if isinstance(a, np.ndarray)
            )
            return (None, CHANGED) if stale else (node.saved, "")
        if not plan.saves:
            return (), ""
        if op.joint is None and not op.rules:
            return None, "backward freed what this autograd.Function saved; call backward(retain_graph=True)"
        arrays = [x.value() if isinstance(x, (Node, Constant)) else x for x in node.inputs]
        if any(a is None for a, x in zip(arrays, node.inputs, strict=True) if x is not None) or (
            not op.variadic and len(arrays) != len(op.inputs)
        ):
            return None, NOT_KEPT
        if any(isinstance(a, np.ndarray) and last_change(a) > node.position for a in arrays):
            return None, CHANGED
        made = op.forward(*arrays, **node.params)
        out, extras = (made[0], made[1:]) if op.extra_outputs else (made, ())
        return plan.save(arrays, np.asarray(out), extras), ""

    def _kept(self, drawn: list[Node]) -> dict[str, tuple[int, ...]]:
        """Vertex -> the edges whose rules need its value."""
        builder = self.builder
        kept: dict[str, list[int]] = {}
        for node in drawn:
            op, plan = node.op, node.plan
            if op is None or plan is None or node in builder.detached:
                continue
            places = dict(zip(self._drawn_inputs(node), self.incoming.get(builder.ids[node], ()), strict=True))
            for i in plan.active:
                rule = op.joint if op.joint is not None else op.rule_of(i)
                for name in rule.__code__.co_varnames[: rule.__code__.co_argcount] if rule is not None else ():
                    if i not in places:
                        continue
                    for item in self._named(node, op.source_of(name)):
                        vertex = builder.ids.get(builder._source(item), "")
                        if vertex and places[i] not in kept.setdefault(vertex, []):
                            kept[vertex].append(places[i])
        return {vertex: tuple(edges) for vertex, edges in kept.items()}

    def _named(self, node: Node, source: Any) -> list[Any]:
        """The tensors that a rule means by one of its parameters."""
        kind, key = source if isinstance(source, tuple) else (None, None)
        inputs = self.builder.sources(node)
        found = [inputs[key]] if kind == INPUT else [node] if kind == OUT else inputs if kind == INPUTS else []
        return [item for item in found if isinstance(item, (Node, Constant))]

    def _compare_leaves(self, drawn: list[Node], grads: dict[str, Array]) -> None:
        """Note where `.grad` holds more than this backward brought."""
        for node in drawn:
            tensor = node.tensor() if isinstance(node, Leaf) else None
            held, own = None if tensor is None else tensor.grad, grads.get(self.builder.ids[node])
            if held is None or own is None:
                continue
            if not np.allclose(held.array, own, rtol=1e-4, atol=1e-6, equal_nan=True):
                self.notes[self.builder.ids[node]] = (
                    ".grad holds something else than this backward brings: it was not zero before, backward ran more "
                    "than once, or a hook changed it"
                )
