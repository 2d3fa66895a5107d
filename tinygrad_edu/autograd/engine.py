"""The one place that walks: gradients flow from the roots to the leaves, latest operation first.

Positions are given out in execution order, so taking the latest node first is a topological order and no recursion is
needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from operator import attrgetter
from time import perf_counter
from typing import Any

import numpy as np

from tinygrad_edu.autograd import anomaly, versions
from tinygrad_edu.autograd.modes import Scope, enable_grad, mode
from tinygrad_edu.autograd.node import FREED, KEEP, Constant, Leaf, Node
from tinygrad_edu.errors import DTypeError, GraphError
from tinygrad_edu.kernels.memory import is_whole
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


def leading_to(order: Sequence[Node], targets: Sequence[Node]) -> set[Node]:
    """The nodes of `order`, latest first, that lie on a path to a target."""
    wanted = set(targets)
    for node in reversed(order):
        if node not in wanted and node.plan is not None and any(node.inputs[i] in wanted for i in node.plan.active):
            wanted.add(node)
    return wanted


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
    wanted = None
    if targets is not None:
        # what is older than every target cannot lead to one
        oldest = min((t.position for t in targets), default=0)
        wanted = leading_to(reachable([node for node, _ in roots], oldest), targets)
    pending: dict[Node, Any] = {}
    borrowed: set[Node] = set()  # leaves whose gradient array belongs to somebody else too
    for node, grad in roots:
        if wanted is None or node in wanted:
            pending[node] = pending[node] + grad if node in pending else grad
            borrowed.add(node)
    caught: dict[Node, Any] = dict.fromkeys(targets or ())
    # NumPy's warnings are off for the whole walk: a derivative may be infinite, and they would only add noise.
    outside = mode.scope
    check, mode.check_nan = mode.check_nan, False  # ops of a recorded walk are judged by the gradients they make
    try:
        with enable_grad() if create_graph else np.errstate(all="ignore"):
            _steps(pending, borrowed, wanted, caught, retain_graph, create_graph, lift, check and mode.anomaly)
    finally:
        mode.check_nan, mode.scope = check, outside
    return [caught[node] for node in targets or ()]


def _steps(
    pending: dict[Node, Any],
    borrowed: set[Node],
    wanted: set[Node] | None,
    caught: dict[Node, Any],
    retain_graph: bool,
    create_graph: bool,
    lift: Lift,
    check: bool,
) -> None:
    """Take the latest node that has a gradient, hand shares of it to its inputs, and so on until none is left.

    pending: what has arrived so far at the nodes still to come; whoever can add to the gradient of a node is younger
    than it, so it is complete when its turn comes.  wanted: the nodes on the way to a target (None: all).
    """
    keep, changed, timed, outside = mode.keep, versions.changed, mode.profile, mode.scope
    queue = [(-node.position, node) for node in pending]
    heapify(queue)
    while queue:
        node = heappop(queue)[1]
        began = perf_counter() if timed else 0.0
        grad = pending.pop(node)
        plan = node.plan
        if node.hooks is not None:
            grad = _run_hooks(node, grad, create_graph, lift)
            borrowed.add(node)
        if node.retains is not None:
            tensor = node.retains()
            if tensor is not None:
                tensor._retain(grad)
        if wanted is not None:
            if node in caught:
                caught[node] = grad
            if plan is None or not any(node.inputs[i] in wanted for i in plan.active):
                continue  # a target: nobody asked for what is behind it, so its saved values are not read, nor freed
        elif plan is None:
            assert isinstance(node, Leaf)
            leaf = node.tensor()
            if leaf is not None:
                alone = not create_graph and sys.getrefcount(grad) <= ALONE and is_whole(grad)
                leaf._accumulate(grad, node in borrowed and not alone)
            continue
        saved = node.saved
        if saved is FREED:
            raise GraphError(
                f"{node.op}: Trying to backward through the graph a second time: the values that {node.op} saved were "
                f"freed by the first backward. Use backward(retain_graph=True) the first time, or run the forward again"
            )
        if changed and plan.saves:
            check_versions(node)
        if create_graph:
            saved = _lifted(node, lift)
            mode.scope = _scope_of(node, outside)
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
            if check:
                anomaly.check_backward(node, i, share, grad)
            if share.shape != child.shape:
                share = sum_to(share, shape=child.shape)
            before = pending.get(child)
            if before is None:
                pending[child] = share
                heappush(queue, (-child.position, child))
                if child.plan is None and (create_graph or share is grad or not is_whole(share)):
                    borrowed.add(child)
            else:
                if create_graph:
                    mode.scope = _scope_of(child, outside)  # where paths meet, their sum belongs to the child
                    pending[child] = before + share
                    mode.scope = _scope_of(node, outside)
                else:
                    pending[child] = before + share
                borrowed.discard(child)
        calls, share = [], None  # hold no gradient: its leaf may take it over, if nobody else has it
        if plan.saves and not retain_graph:
            node.saved = FREED
        if timed:
            node.backward_seconds = perf_counter() - began


def _scope_of(node: Node, outside: Scope | None) -> Scope:
    """The scope of what the backward of `node` records, so that pictures can tie the two."""
    return Scope("", "backward", "", outside, False, 0, node)


def _owners() -> int:
    """The reference count of an array that one local variable holds, as `_steps` sees it."""
    grad = np.empty(0)
    return sys.getrefcount(grad)


ALONE = _owners()


def _joint_calls(node: Node, grad: Any, saved: Any, create_graph: bool, lift: Lift) -> list[tuple[int, Any]]:
    """The gradients of a fused op's inputs, computed together, in the form of one rule per input."""
    plan = node.plan
    assert plan is not None and plan.joint is not None
    if create_graph and node.op is not None and node.op.composition is not None:
        out, starts = replay(node, lift)
        targets = [starts[i].node for i in plan.active]
        shares = walk([(out.node, grad)], retain_graph=True, create_graph=True, lift=lift, targets=targets)
        found = dict(zip(plan.active, shares, strict=True))
    else:  # on arrays; on tensors for an autograd.Function, whose backward is made of ops
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
    before = mode.scope
    if before is None or before.origin is not node:  # else backward itself computes the composition again
        mode.scope = node.scope
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
            if type(answer) is not type(value):
                raise TypeError(f"hook: expected a tensor or None, but the hook returned a {type(answer).__name__}")
            if answer.dtype is not value.dtype:
                raise DTypeError(f"hook: has changed the type of value (was {value.dtype!r} got {answer.dtype!r})")
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
                where = f" (called at {node.location})" if node.location else ""
                what = (
                    "its result"
                    if kind == OUT
                    else f"its input {node.op.inputs[key] if node.op and kind == INPUT else ''}"
                )
                raise GraphError(
                    f"{node.op}: one of the variables needed for gradient computation has been modified by an inplace "
                    f"operation: {node.op}{where} saved {what} of shape {array.shape} for backward, and it was changed "
                    f"afterwards. Use the out-of-place form (x = x + 1, not x += 1), or clone() before changing it"
                )
