"""The parts of the graph that a call of an autograd.Function is made of: its op, the nodes of its results, bundles.

function.py says how they play together.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.autograd.node import KEEP, Node
from tinygrad_edu.autograd.versions import clock
from tinygrad_edu.errors import GraphError
from tinygrad_edu.ops.registry import Array, Op, Plan


class FunctionOp(Op):
    """The op of one Function class, for one choice of the arguments that are tensors; pictures read it."""

    of_result: FunctionOp  # the op of the nodes of its results; pictures draw the call in their place

    def __init__(self, title: str, inputs: Sequence[str], name: str = "") -> None:
        def forward(*arrays: Array) -> Array:
            raise GraphError(f"{title}: a Function is called by {title}.apply(...)")

        forward.__name__ = forward.__qualname__ = name or title
        forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Array") for n in inputs]
        )
        call = f"{title}({', '.join(f'{{{name}}}' for name in inputs)})"
        super().__init__(
            forward,
            symbol=title,
            formula=call,
            gradients={},
            precedence=4,
            elementwise=False,
            types="any",
            domain=None,
            caches=(),
            kept=(),
            view=False,
            title=title,
            method=False,
        )


class ReadyPlan(Plan):
    """A plan that is given, not derived from rules."""

    __slots__ = ()

    def __init__(
        self,
        active: tuple[int, ...],
        saves: tuple[tuple[int, Any], ...] = (),
        calls: Sequence[tuple[int, Callable[..., Any]]] = (),
        joint: Callable[..., Any] | None = None,
    ) -> None:
        self.active, self.saves, self.calls, self.joint = active, saves, list(calls), joint


class Bundle:
    """The gradients of a call's results, None where none has arrived; it stands where the walk has one gradient."""

    __slots__ = ("parts", "shape")

    base = True  # it belongs to nobody in particular: the walk may not add to it in place
    size = KEEP + 1  # and it is no value to keep

    def __init__(self, parts: Sequence[Any], shape: tuple[int, ...]) -> None:
        self.parts = tuple(parts)
        self.shape = shape

    def __add__(self, other: Bundle) -> Bundle:
        pairs = zip(self.parts, other.parts, strict=True)
        return Bundle([b if a is None else a if b is None else a + b for a, b in pairs], self.shape)

    @property
    def array(self) -> Any:
        """What a picture shows of it: the gradient of the first result, which is also the value it shows."""
        first = self.parts[0]
        return np.zeros(self.shape) if first is None else getattr(first, "array", first)


def op_of(cls: Any, args: Sequence[Any], places: Sequence[int]) -> FunctionOp:
    """The op that pictures show, made once per class and choice of tensor arguments."""
    made: dict[Any, FunctionOp] = cls.__dict__.get("_ops", {})
    if not made:
        cls._ops = made
    key = (len(args), *places)
    if key not in made:
        names = names_of(cls, len(args))
        made[key] = FunctionOp(cls.__name__, [names[i] for i in places])
        made[key].of_result = FunctionOp(cls.__name__, ["call"], f"{cls.__name__}.result")
    return made[key]


def names_of(cls: Any, count: int) -> list[str]:
    """The names of forward's arguments; those of *args are numbered."""
    found = [p.name for p in inspect.signature(cls.forward).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    if not cls.separate():
        found = found[1:]  # ctx
    return [found[i] if i < len(found) else f"x{i}" for i in range(count)]


def shown_by(cls: Any, args: Sequence[Any], results: Sequence[Any]) -> dict[str, Any]:
    """The plain arguments that a picture can print, and how many results there are if several."""
    names = names_of(cls, len(args))
    shown = {n: x for n, x in zip(names, args, strict=True) if isinstance(x, (bool, int, float, str))}
    return shown | ({"results": len(results)} if len(results) > 1 else {})


def result_node(call: Node, k: int, count: int, array: Array) -> Node:
    """The node of the k-th of several results: backward puts its gradient in place k of a bundle."""
    parts: list[Any] = [None] * count
    shape = call.shape

    def bundle(grad: Any, saved: Any, params: Any) -> Bundle:
        return Bundle([*parts[:k], grad, *parts[k + 1 :]], shape)

    out = array if array.size <= KEEP or mode.keep else weakref.ref(array)
    plan = ReadyPlan((0,), calls=[(0, bundle)])
    assert isinstance(call.op, FunctionOp)
    node = Node(call.op.of_result, plan, [call], (), {"index": k}, next(clock), array.shape, out, call.scope)
    node.location = call.location
    return node
