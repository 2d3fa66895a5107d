"""A recorded computation read once more: lost values are computed again, backward runs step by step.

Nothing of the recorded graph is changed, so an answer may be asked for before backward, after it, and twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.autograd import versions
from tinygrad_edu.autograd.context import FunctionCtx
from tinygrad_edu.autograd.formulas import call_of
from tinygrad_edu.autograd.modes import no_grad
from tinygrad_edu.autograd.node import FREED, Constant, Leaf, Node
from tinygrad_edu.errors import GraphError
from tinygrad_edu.ops.movement import sum_to
from tinygrad_edu.ops.registry import CACHE, INPUT, INPUTS, KEPT, OUT, SHAPE, SHAPES, Array
from tinygrad_edu.recording import live_node, wrap
from tinygrad_edu.tensor import Tensor

Item = Any  # a Node, a Leaf or a Constant


class Gone(GraphError):
    """A value that nobody holds any more and that cannot be computed again."""


@dataclass(frozen=True)
class Step:
    """One step of backward: what arrived at a node, and what its rules hand to each input that needs a gradient."""

    node: Node
    grad: Any
    shares: tuple[tuple[int, Any], ...]


class Tape:
    """Everything that `tensors` were computed from, in execution order."""

    def __init__(self, *tensors: Tensor) -> None:
        self.roots: list[Node] = []
        for tensor in tensors:
            node = live_node(tensor)
            if node is None:
                raise GraphError("this tensor has no recorded graph")
            self.roots.append(node)
        self.order = behind(self.roots)
        self.users: dict[Item, list[tuple[Node, int]]] = {}
        for node in self.ops():
            for i, source in enumerate(node.inputs):
                if isinstance(source, (Node, Constant)):
                    self.users.setdefault(source, []).append((node, i))
        self._values: dict[Item, Array | None] = {}
        self._saved: dict[Item, Array] | None = None

    def ops(self) -> Iterator[Node]:
        """The recorded operations, in execution order."""
        return (item for item in self.order if isinstance(item, Node) and item.op is not None)

    def first_use(self, item: Item) -> int:
        """When the value was first computed with."""
        return min((user.position for user, _ in self.users.get(item, ())), default=item.position)

    # -- values -------------------------------------------------------------------------------------------------------

    def value(self, item: Item) -> Array | None:
        """The value that an op made or a leaf had; None if it is lost.  Only what is needed is computed again."""
        stack = [item]
        while stack:
            one = stack[-1]
            if one not in self._values:
                found = self._held(one)
                if found is None and isinstance(one, Node) and one.op is not None:
                    needed = [s for s in _call(one).inputs if isinstance(s, (Node, Constant)) and s not in self._values]
                    if needed:
                        stack += needed
                        continue
                    found = self._again(one)
                self._values[one] = found
            stack.pop()
        return self._values[item]

    def _held(self, item: Item) -> Array | None:
        """The value, if somebody holds it as it was."""
        held: Array | None = item.value()
        made = item.position if isinstance(item, Node) and item.op is not None else self.first_use(item)
        if held is not None and versions.last_change(held) <= made:
            return held
        if self._saved is None:
            self._saved = self._saved_values()
        return self._saved.get(item)

    def _again(self, node: Node) -> Array | None:
        """The value computed again from those of the inputs; None if one of them is lost."""
        call = _call(node)
        try:
            arrays = self.inputs(call)
        except Gone:
            return None
        return compute(node, arrays)[0] if call is node else function_results(call, arrays)[node.params["index"]]

    def _saved_values(self) -> dict[Item, Array]:
        """What ops keep for backward is the value of their inputs, or their own."""
        found: dict[Item, Array] = {}
        for node in self.ops():
            if node.saved is FREED or node.plan is None:
                continue
            for (kind, key), value in zip(node.plan.saves, node.saved, strict=True):
                if kind == OUT:
                    pairs = [(node, value)]
                elif kind == INPUT:
                    pairs = [(node.inputs[key], value)]
                elif kind == INPUTS:
                    pairs = list(zip(node.inputs, value, strict=True))
                else:
                    continue
                for source, kept in pairs:
                    array = getattr(kept, "array", kept)  # an autograd.Function saves a record around the array
                    known = isinstance(source, (Node, Constant)) and isinstance(array, np.ndarray)
                    if known and versions.last_change(array) <= node.position:
                        found.setdefault(source, array)
        return found

    def inputs(self, node: Node) -> list[Array | None]:
        """What an op computed from; None stands for an input that was left out.  Raises Gone for a lost value."""
        arrays: list[Array | None] = []
        for source in node.inputs:
            if source is None or not isinstance(source, (Node, Constant)):
                arrays.append(None if source is None else np.asarray(source))
                continue
            array = self.value(source)
            if array is None:
                what = "was changed since" if source.value() is not None else "is not kept any more"
                raise Gone(
                    f"{node.op}: one of its inputs, of shape {tuple(source.shape)}, {what}; ask before the optimizer "
                    f"steps, and record the forward under autograd.keep_values()"
                )
            arrays.append(array)
        return arrays

    # -- backward -----------------------------------------------------------------------------------------------------

    def saved(self, node: Node) -> Any:
        """What the op's rules read, made again if backward has released it."""
        if node.saved is not FREED:
            return node.saved
        if node.function is not None or node.plan is None:
            raise Gone(
                f"{node.op}: backward has released what it saved, and a Function's cannot be made again; "
                f"ask before backward, or call backward(retain_graph=True)"
            )
        kinds = {kind for kind, _ in node.plan.saves}
        if kinds <= {SHAPE, SHAPES}:  # a shape is known even if the value is lost
            return node.plan.save(shapes_of(node), None, ())
        arrays = self.inputs(node)
        if kinds & {OUT, CACHE, KEPT}:
            return node.plan.save(arrays, *compute(node, arrays))
        return node.plan.save(arrays, None, ())

    def backward(self, seed: Array | None = None) -> Iterator[Step]:
        """The steps of backward from the first root, latest op first; hooks are not run."""
        root = self.roots[0]
        value = self.value(root)
        if seed is None:
            seed = np.ones(root.shape, np.float32 if value is None else value.dtype)
        pending: dict[Node, Any] = {root: seed}
        for node in reversed(self.order):
            if not isinstance(node, Node) or node not in pending:
                continue
            grad = pending.pop(node)
            shares = () if node.plan is None else tuple(rules(node, grad, self.saved(node)))
            yield Step(node, grad, shares)
            for i, share in shares:
                child = node.inputs[i]
                if share.shape != child.shape:
                    share = sum_to(share, shape=child.shape)
                pending[child] = pending[child] + share if child in pending else share


def _call(node: Node) -> Node:
    """The call of an autograd.Function in place of one of its several results; any other node is itself."""
    found: Node = call_of(node)
    return found


def shapes_of(node: Node) -> list[Any]:
    """For each input something of its shape; nothing is computed."""
    shaped = [np.empty(0) if s is None else s for s in node.inputs]
    return [np.broadcast_to(np.float32(0), s.shape) if isinstance(s, (Node, Constant)) else s for s in shaped]


def behind(starts: Sequence[Item]) -> list[Item]:
    """The nodes and constants that lead to `starts`, in execution order."""
    seen: set[Item] = set()
    stack = list(starts)
    while stack:
        item = stack.pop()
        if item not in seen:
            seen.add(item)
            if isinstance(item, Node):
                stack += [source for source in item.inputs if isinstance(source, (Node, Constant))]
    return sorted(seen, key=lambda item: (item.position, isinstance(item, Node)))


def rules(node: Node, grad: Any, saved: Any) -> list[tuple[int, Any]]:
    """The gradient of each input that needs one, by the op's own rules."""
    plan = node.plan
    assert plan is not None
    with np.errstate(all="ignore"):
        if plan.joint is not None:
            found = plan.joint(grad, saved, node.params)
            pairs = [(i, found[i]) for i in plan.active]
        else:
            pairs = [(i, rule(grad, saved, node.params)) for i, rule in plan.calls]
    return [(i, share) for i, share in pairs if share is not None]


def compute(node: Node, arrays: Sequence[Any]) -> tuple[Array, Sequence[Any]]:
    """The op run again on other inputs: its result, and the extra values that its rules may want."""
    op = node.op
    assert op is not None
    if node.function is not None:
        return next(r for r in function_results(node, arrays) if r is not None), ()
    with np.errstate(all="ignore"):
        out = op.forward(*arrays, **node.params)
    extras: Sequence[Any] = ()
    if op.extra_outputs:
        out, extras = out[0], out[1:]
    return np.asarray(out), extras


def function_results(call: Node, arrays: Sequence[Any]) -> list[Array | None]:
    """The forward of an autograd.Function run again: its results, None for one that has no gradient."""
    cls, plain, places = call.function
    args = list(plain)
    for place, array in zip(places, arrays, strict=True):
        args[place] = wrap(np.array(array))
    ctx = FunctionCtx(cls.__name__)
    ctx.needs_input_grad = tuple(place in places for place in range(len(args)))
    with no_grad(), np.errstate(all="ignore"):
        output = cls.forward(*args) if cls.separate() else cls.forward(ctx, *args)
    hidden = {id(x) for x in ctx.non_differentiable}
    return [
        r.array if isinstance(r, Tensor) and r.array.dtype.kind == "f" and id(r) not in hidden else None
        for r in (output if isinstance(output, tuple) else (output,))
    ]


def path_between(tape: Tape, start: Item, end: Node) -> list[Node]:
    """The ops on a shortest way from `start` to `end`, both included where they are ops."""
    came: dict[Item, Item] = {start: None}
    queue = [start]
    for item in queue:
        if item is end:
            break
        for user, _ in tape.users.get(item, ()):
            if user not in came:
                came[user] = item
                queue.append(user)
    path: list[Node] = []
    item = end if end in came else None
    while item is not None:
        if isinstance(item, Node) and not isinstance(item, Leaf):
            path.append(item)
        item = came[item]
    return path[::-1]
