"""The recorded graph: a `Node` for each operation, a `Leaf` for each tensor that collects a gradient.

    z = x * y   records   Node(op=mul, inputs=(node of x, node of y), saved=(y's array, x's array))

Nodes point at nodes, never at tensors, so an in-place op can rebind a tensor to a new node and older history stays.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu.autograd.modes import SMALL, Scope
from tinygrad_edu.autograd.versions import clock
from tinygrad_edu.ops.registry import Array, Op, Plan

# Larger values and gradients are kept under `keep_values`.
KEEP = SMALL


class Freed:
    """What stands in place of saved values after backward has released them."""


FREED: Any = Freed()


class Node:
    """One recorded operation."""

    __slots__ = (
        "__dict__",
        "__weakref__",
        "grad",
        "hooks",
        "inputs",
        "op",
        "out",
        "params",
        "plan",
        "position",
        "retains",
        "saved",
        "scope",
        "shape",
    )

    # Rare, so kept in the instance dictionary only when set.
    name: str = ""
    location: str = ""
    seconds: float | None = None  # forward and backward, under `profile`
    backward_seconds: float | None = None
    function: Any = None  # of a call of an autograd.Function: its class, plain arguments and places of the tensors

    def __init__(
        self,
        op: Op | None,
        plan: Plan | None,
        inputs: Sequence[Any],
        saved: Any,
        params: dict[str, Any],
        position: int,
        shape: tuple[int, ...],
        out: Any,
        scope: Scope | None,
    ) -> None:
        self.op = op
        self.plan = plan
        self.inputs = inputs
        self.saved = saved
        self.params = params
        self.position = position
        self.shape = shape
        self.out = out  # the result, if small or kept; else a weak reference to it
        self.scope = scope
        self.grad: Any = None
        self.hooks: list[Callable[[Any], Any]] | None = None
        self.retains: Any = None  # weak reference to a non-leaf tensor whose .grad is wanted

    def __repr__(self) -> str:
        return f"<{self.op.title if self.op else 'Accumulate'}Backward0 at position {self.position}>"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that the gradient flows to, in PyTorch's form."""
        active = self.plan.active if self.plan is not None else ()
        return tuple((self.inputs[i], 0) if i in active else (None, 0) for i in range(len(self.inputs)))

    def value(self) -> Array | None:
        """The operation's result, while something keeps it alive."""
        out = self.out
        return out() if isinstance(out, weakref.ref) else out


class Leaf(Node):
    """Where a gradient ends: a tensor that was made by the user and requires grad."""

    __slots__ = ("after", "tensor")

    def __init__(self, tensor: Any) -> None:
        super().__init__(None, None, (), (), {}, next(clock), tensor.array.shape, None, None)
        self.tensor = weakref.ref(tensor)
        self.after: list[Callable[[Any], None]] = []  # hooks that wait until the gradient is in `.grad`

    def value(self) -> Array | None:
        """The tensor's array, while the tensor is alive."""
        tensor = self.tensor()
        return None if tensor is None else tensor.array


class Constant:
    """A tensor that entered a recorded operation without requiring grad: drawn, never walked."""

    __slots__ = ("dtype", "name", "origin", "out", "position", "shape")

    def __init__(self, array: Array, name: str, origin: Node | None, keep: bool) -> None:
        self.out: Any = array if keep or array.size <= KEEP else weakref.ref(array)
        self.shape = array.shape
        self.dtype = array.dtype
        self.name = name
        self.origin = origin  # the node it was detached from
        self.position = next(clock)

    def value(self) -> Array | None:
        """The array, while something keeps it alive."""
        out = self.out
        return out() if isinstance(out, weakref.ref) else out
