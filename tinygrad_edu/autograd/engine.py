"""The one place that walks: gradients flow from the roots to the leaves, latest operation first.

Positions are given out in execution order, so sorting by them is a topological sort and no recursion is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_edu.autograd import versions
from tinygrad_edu.autograd.modes import enable_grad, mode
from tinygrad_edu.autograd.node import FREED, KEEP, Constant, Leaf, Node
from tinygrad_edu.errors import GraphError
from tinygrad_edu.ops.basic import alias
from tinygrad_edu.ops.movement import sum_to
from tinygrad_edu.ops.registry import CACHE, INPUT, INPUTS, KEPT, OUT

Lift = Callable[[Any, Any], Any]  # (array, node) -> Tensor

_by_position = attrgetter("position")


def reachable(roots: Sequence[Node], since: int = 0) -> list[Node]:
    """Every node made since a position that a gradient can reach from the roots, latest first."""
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.plan is not None:
            inputs = node.inputs
            for i in node.plan.active:
                child = inputs[i]
                if child not in seen and child.position >= since:
                    stack.append(child)
    return sorted(seen, key=_by_position, reverse=True)


def leading_to(order: Sequence[Node], targets: Sequence[Node]) -> list[Node]:
    """The nodes of `order` that lie on a path to a target."""
    wanted = set(targets)
    for node in reversed(order):
        if node not in wanted and node.plan is not None and any(node.inputs[i] in wanted for i in node.plan.active):
            wanted.add(node)
    return [node for node in order if node in wanted]


def walk(
    roots: Sequence[tuple[Node, Any]],
    *,
    retain_graph: bool,
    create_graph: bool,
    lift: Lift,
    targets: Sequence[Node] | None = None,
) -> list[Any]:
    """Propagate gradients from `roots` and accumulate them in the leaves, or return those of `targets`.

    roots: pairs of a node and the gradient of its result: arrays, or tensors if create_graph, where everything is
    recorded, so that gradients have gradients.  lift: makes a tensor of an array and the node it came from.
    Raises GraphError when a saved value was freed or changed in place.
    """
    starts = [node for node, _ in roots]
    if targets is None:
        order = reachable(starts)
    else:
        # what is older than every target cannot lead to one
        order = leading_to(reachable(starts, min((t.position for t in targets), default=0)), targets)
    pending: dict[Node, Any] = {}
    borrowed: set[Node] = set()  # nodes whose gradient array belongs to somebody else too
    for node, grad in roots:
        pending[node] = pending[node] + grad if node in pending else grad
        borrowed.add(node)
    if create_graph:
        with enable_grad():
            return _steps(order, pending, borrowed, retain_graph, True, lift, targets)
    # One switch for the whole walk: a derivative may be infinite, and NumPy's warnings would only add noise.
    with np.errstate(all="ignore"):
        return _steps(order, pending, borrowed, retain_graph, False, lift, targets)


def _steps(
    order: Sequence[Node],
    pending: dict[Node, Any],
    borrowed: set[Node],
    retain_graph: bool,
    create_graph: bool,
    lift: Lift,
    targets: Sequence[Node] | None,
) -> list[Any]:
    wanted = set(order) if targets is not None else None
    caught: dict[Node, Any] = dict.fromkeys(targets) if targets is not None else {}
    keep = mode.keep
    for node in order:
        grad = pending.pop(node, None)
        if grad is None:
            continue
        if node.hooks is not None:
            grad = _run_hooks(node, grad, create_graph, lift)
            borrowed.add(node)
        if node in caught:
            caught[node] = grad
        if node.retains is not None:
            tensor = node.retains()
            if tensor is not None:
                tensor._retain(grad)
        plan = node.plan
        if plan is None:
            if targets is None:
                assert isinstance(node, Leaf)
                leaf = node.tensor()
                if leaf is not None:
                    leaf._accumulate(grad, node in borrowed)
            continue
        if wanted is not None and not any(node.inputs[i] in wanted for i in plan.active):
            continue  # a target itself: nothing behind it is asked for, so its saved values are neither read nor freed
        saved = node.saved
        if saved is FREED:
            raise GraphError(
                f"{node.op}: Trying to backward through the graph a second time: the values that {node.op} saved were "
                f"freed by the first backward. Use backward(retain_graph=True) the first time, or run the forward again"
            )
        if versions.changed:
            check_versions(node)
        if create_graph:
            saved = _lifted(node, lift)
            node.grad = grad.array if keep or grad.array.size <= KEEP else None
        elif keep or grad.size <= KEEP:
            node.grad = grad
        inputs, params = node.inputs, node.params
        calls = plan.calls if plan.joint is None else _joint_calls(node, grad, saved, create_graph, lift)
        for i, rule in calls:
            child = inputs[i]
            if wanted is not None and child not in wanted:
                continue
            share = rule(grad, saved, params)
            if share is None:
                continue
            if share.shape != child.shape:
                share = sum_to(share, shape=child.shape)
            before = pending.get(child)
            if before is not None:
                pending[child] = before + share
                borrowed.discard(child)
            else:
                pending[child] = share
                if create_graph or share is grad or share.base is not None:
                    borrowed.add(child)
        if not retain_graph and plan.saves:
            node.saved = FREED
    return [caught[node] for node in targets] if targets is not None else []


def _joint_calls(node: Node, grad: Any, saved: Any, create_graph: bool, lift: Lift) -> list[tuple[int, Any]]:
    """The gradients of a fused op's inputs, computed together, in the form of one rule per input."""
    plan = node.plan
    assert plan is not None and plan.joint is not None
    if create_graph:
        out, starts = replay(node, lift)
        targets = [starts[i].node for i in plan.active]
        shares = walk([(out.node, grad)], retain_graph=True, create_graph=True, lift=lift, targets=targets)
        found = dict(zip(plan.active, shares, strict=True))
    else:
        found = dict(enumerate(plan.joint(grad, saved, node.params)))
    return [(i, lambda *_, share=found[i]: share) for i in plan.active]


def replay(node: Node, lift: Lift) -> tuple[Any, list[Any]]:
    """Run the composition that a fused node stands for, recorded; returns its result and the tensors it began with.

    Each begins with an alias of an input, so that gradients can stop there and yet be differentiated further.
    """
    op, plan = node.op, node.plan
    assert op is not None and plan is not None
    if op.composition is None:
        raise GraphError(f"{op}: has no composition to differentiate again or to draw")
    starts = []
    for source, value in zip(node.inputs, node.saved, strict=False):
        start = lift(value, source if isinstance(source, Node) else None)
        if isinstance(source, Node):
            start = alias(start)
        elif isinstance(source, Constant):
            start.__dict__["_constant"] = source
        starts.append(start)
    before, mode.scope = mode.scope, node.scope
    try:
        with enable_grad():
            return op.composition(*starts, **node.params), starts
    finally:
        mode.scope = before


def _run_hooks(node: Node, grad: Any, create_graph: bool, lift: Lift) -> Any:
    """Tensor hooks see a tensor and may replace it."""
    value = grad if create_graph else lift(np.asarray(grad), None)
    for hook in tuple(node.hooks or ()):
        answer = hook(value)
        if answer is not None:
            if tuple(answer.shape) != tuple(node.shape):
                raise GraphError(f"hook: returned shape {tuple(answer.shape)} for a gradient of shape {node.shape}")
            value = answer
    return value if create_graph else value.array


def _lifted(node: Node, lift: Lift) -> tuple[Any, ...]:
    """The saved values as tensors that remember where they came from."""
    plan = node.plan
    assert plan is not None
    lifted: list[Any] = []
    for (kind, key), value in zip(plan.saves, node.saved, strict=True):
        if kind == INPUT:
            source = node.inputs[key]
            lifted.append(lift(value, source if isinstance(source, Node) else None))
        elif kind == OUT:
            lifted.append(lift(value, node))
        elif kind == INPUTS:
            lifted.append(
                tuple(
                    lift(v, source if isinstance(source, Node) else None)
                    for v, source in zip(value, node.inputs, strict=True)
                )
            )
        elif kind == KEPT:
            lifted.append(lift(value, None))
        else:
            lifted.append(None if kind == CACHE else value)
    return tuple(lifted)


def check_versions(node: Node) -> None:
    """Raise GraphError if a value that `node` saved has been changed in place since."""
    plan = node.plan
    assert plan is not None
    for (kind, key), value in zip(plan.saves, node.saved, strict=True):
        if kind in (INPUT, OUT):
            values = (value,)
        elif kind == INPUTS:
            values = value
        else:
            continue
        for array in values:
            if not isinstance(array, np.ndarray):
                continue
            when = versions.last_change(array)
            # An in-place op has the same position as the change it makes: its input is stale, its result is not.
            if when > node.position or (when == node.position and kind != OUT):
                what = (
                    "its result"
                    if kind == OUT
                    else f"its input {node.op.inputs[key] if node.op and kind == INPUT else ''}"
                )
                raise GraphError(
                    f"{node.op}: one of the variables needed for gradient computation has been modified by an inplace "
                    f"operation: {node.op} saved {what} of shape {array.shape} for backward, and it was changed "
                    f"afterwards. Use the out-of-place form (x = x + 1, not x += 1), or clone() before changing it"
                )
