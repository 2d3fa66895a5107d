"""What pictures say beyond the computation itself: whose backward recorded an op, and what backward keeps alive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_edu.autograd.engine import reachable, walk
from tinygrad_edu.autograd.node import FREED, Constant, Leaf, Node
from tinygrad_edu.autograd.records import Vertex
from tinygrad_edu.autograd.versions import owner
from tinygrad_edu.errors import GraphError
from tinygrad_edu.ops.registry import INPUT, INPUTS
from tinygrad_edu.recording import lift, live_node

SEED = "dL"  # the gradient that a drawn backward begins with


def origin_of(node: Any) -> Node | None:
    """The op whose backward recorded `node` under create_graph; None for an op of a forward."""
    scope, found = getattr(node, "scope", None), None
    while scope is not None:  # the outermost: a fused op computes its composition again, and walks that
        found = scope.origin or found
        scope = scope.parent
    return found


def order_of(node: Any) -> int:
    """0 for an op of the forward, 1 for one that its backward recorded, 2 for one of the backward of that, ..."""
    order = 0
    origin = origin_of(node)
    while origin is not None:
        order, origin = order + 1, origin_of(origin)
    return order


def gradient_roots(roots: Sequence[Node]) -> tuple[list[Any], dict[Any, Any]]:
    """The gradients, as recorded tensors, whose graphs are the backward of `roots`; node of each -> leaf it belongs to.

    Those that backward(create_graph=True) has left in `.grad`; if there are none, backward is recorded now, from a
    seed that requires grad, so that every rule is seen; no `.grad` and no hook takes part.
    Raises GraphError for a graph that was freed, for hooks, which must not run just to draw, and for a result that is
    no single number.
    """
    order = reachable(roots)
    if any(origin_of(node) is not None for node in roots):
        return [], {}
    leaves = [n for n in order if isinstance(n, Leaf)]
    held = [(leaf, leaf.tensor()) for leaf in leaves]
    found = [(leaf, x.grad) for leaf, x in held if x is not None and x.grad is not None and live_node(x.grad)]
    if found:
        return [grad for _, grad in found], {live_node(grad): leaf for leaf, grad in found}
    for node in order:
        if node.saved is FREED:
            raise GraphError(
                "graph: backward=True has to walk this graph, and backward has freed it; call "
                "backward(create_graph=True), or backward(retain_graph=True), or draw before backward"
            )
        if node.hooks is not None or node.retains is not None:
            raise GraphError(
                "graph: backward=True would run the hooks of this graph (or refill a retained .grad) just to draw it; "
                "call backward(create_graph=True) yourself and draw the graph then"
            )
    for root in roots:
        if int(np.prod(root.shape)) != 1:
            raise GraphError(
                f"graph: backward=True begins at a single number, but an output has shape {tuple(root.shape)}; reduce "
                "it first, for instance with .sum(), or pass gradients from autograd.grad(..., create_graph=True)"
            )
    seeds = [_seed(root) for root in roots]
    before = [(node, node.grad) for node in order]
    pairs = list(zip(roots, seeds, strict=True))
    grads = walk(pairs, retain_graph=True, create_graph=True, lift=lift, targets=leaves)
    for node, grad in before:
        node.grad = grad  # looking changes nothing
    recorded = [(leaf, grad) for leaf, grad in zip(leaves, grads, strict=True) if grad is not None and grad.node]
    return [grad for _, grad in recorded] + seeds, {grad.node: leaf for leaf, grad in recorded}


def _seed(root: Node) -> Any:
    value = root.value()
    tensor = lift(np.ones(root.shape, np.float32 if value is None else value.dtype), None)
    tensor.node = Leaf(tensor)
    tensor.node.name = SEED
    return tensor


def kept_bytes(nodes: Iterable[Any], drawn: Callable[[Any], Any]) -> dict[Any, int]:
    """Bytes of the arrays that backward keeps alive, parameters apart, by what is drawn for the tensor they hold.

    drawn: what a picture shows in place of a node, or None.  Arrays that share memory count once; what a rule keeps
    besides inputs and results (a mask, an inverse deviation) counts at its own op.
    """
    seen: set[int] = set()
    found: dict[Any, int] = {}
    for node in nodes:
        if not isinstance(node, Node) or node.plan is None or not isinstance(node.saved, tuple):
            continue
        for (kind, key), value in zip(node.plan.saves, node.saved, strict=False):
            holders: Sequence[Any] = [node.inputs[key] if kind == INPUT else node]
            values: Sequence[Any] = [value]
            if kind == INPUTS:
                holders, values = node.inputs, value
            for holder, array in zip(holders, values, strict=False):
                if not isinstance(array, np.ndarray) or id(owner(array)) in seen:
                    continue
                seen.add(id(owner(array)))
                is_tensor = isinstance(holder, (Node, Constant))
                shown = (drawn(holder) if is_tensor else None) or drawn(node)
                if not (isinstance(shown, Leaf) and getattr(shown.tensor(), "_is_param", False)):
                    found[shown] = found.get(shown, 0) + array.nbytes
    return found


def completed(builder: Any, vertices: Iterable[Vertex], items: Iterable[Any]) -> list[Vertex]:
    """The vertices with the bytes they keep alive, the time they took, and the op whose backward they belong to."""
    whole = {opened: node for node, opened in builder.open.items()}  # an opened op's result -> the op that ran
    recorded = [n for n in builder.order if n not in builder.inside and n not in whole]
    ran_as = _shown_for_fused(builder)
    timed = {shown: node for node, shown in ran_as.items()}

    def drawn(item: Any) -> Any:
        shown = ran_as[item] if item in ran_as else builder.drawn_for(item)
        return shown if shown in builder.ids else None

    kept = kept_bytes([*recorded, *builder.open], drawn)
    item_of = {builder.ids[item]: item for item in items if item in builder.ids}
    finished = []
    for v in vertices:
        item = item_of[v.id]
        more: dict[str, Any] = {}
        if item in kept:
            more["kept_bytes"] = kept[item]
        ran = timed.get(item, item)  # what is inside a fused op was only computed for the picture
        ran_itself = isinstance(ran, Node) and (ran is not item or item not in builder.inside)
        if ran_itself and (ran.seconds is not None or ran.backward_seconds is not None):
            more |= {"seconds": ran.seconds, "backward_seconds": ran.backward_seconds}
        ran = whole.get(item, item)
        order = order_of(ran) if v.op else int(v.name == SEED and isinstance(item, Leaf))
        if order:
            origin = origin_of(ran)
            more |= {"order": order, "origin": builder.ids.get(builder.drawn_for(origin), "") if origin else ""}
        leaf = builder.gradients.get(item)
        if leaf is not None and not v.name and leaf in builder.text:
            name = f"d{builder.text[leaf][0]}"
            more |= {"name": name, "formula": f"{name} = {v.formula}" if v.formula else ""}
        finished.append(replace(v, **more) if more else v)
    return finished


def _shown_for_fused(builder: Any) -> dict[Any, Any]:
    """The primitive that answers for a fused op: the last in its own scope, not the ReLU of the next layer."""
    found: dict[Any, Any] = {}
    at = {node.position: node for node in builder.open}
    for inner in builder.order:
        node = at.get(builder.inside[inner][0]) if inner in builder.inside else None
        if node is not None and isinstance(inner, Node) and inner.op is not None and inner.scope is node.scope:
            found[node] = inner
    return {node: builder.drawn_for(found.get(node, opened)) for node, opened in builder.open.items()}
