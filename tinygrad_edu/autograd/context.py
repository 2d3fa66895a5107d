"""The `ctx` of an autograd.Function: what forward leaves for backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_edu.autograd import versions
from tinygrad_edu.autograd.node import FREED, Node
from tinygrad_edu.errors import GraphError
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor


class Saved:
    """A tensor kept for backward: its array, the node it came from, and when it was kept."""

    __slots__ = ("array", "made_by", "node", "when")

    def __init__(self, array: Array, node: Any, made_by: Callable[[Node], Node] | None = None) -> None:
        self.array, self.node = array, node
        self.made_by = made_by  # for a result of the call itself: its node from the call's, which must not be held here
        self.when = 0

    def unpack(self, name: str, call: Node) -> Tensor:
        """The tensor, with its history; GraphError if its memory was changed since."""
        if versions.last_change(self.array) > self.when:
            where = f" (called at {call.location})" if call.location else ""
            raise GraphError(
                f"{name}: one of the variables needed for gradient computation has been modified by an inplace "
                f"operation: {name}{where} saved a tensor of shape {self.array.shape} for backward, and it was changed "
                f"afterwards. Use the out-of-place form (x = x + 1, not x += 1), or clone() before changing it"
            )
        return wrap(self.array, self.node if self.made_by is None else self.made_by(call))


class FunctionCtx:
    """Passed to forward (or setup_context) and backward; any other attribute may be set on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.needs_input_grad: tuple[bool, ...] = ()
        self.to_save: tuple[Any, ...] = ()
        self.dirty: tuple[Tensor, ...] = ()
        self.non_differentiable: tuple[Tensor, ...] = ()
        self.materialize = True
        self.node: Callable[[], Node | None] | None = None  # a weak reference: the call's node holds this object

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for backward; changed in place until then, they are an error and no wrong gradient."""
        for i, x in enumerate(tensors):
            if x is not None and not isinstance(x, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type {type(x).__name__}; "
                    f"set it as an attribute of ctx"
                )
        self.to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept, with its history."""
        if self.node is None:
            return self.to_save
        call = self.node()
        if call is None or call.saved is FREED:
            raise GraphError(
                f"{self.name}: Trying to backward through the graph a second time (or directly access saved tensors "
                f"after they have already been freed). Use backward(retain_graph=True) the first time"
            )
        return tuple(None if kept is None else kept.unpack(self.name, call) for kept in call.saved)

    def save_for_forward(self, *tensors: Any) -> None:
        """Not supported: it serves forward-mode differentiation only."""
        raise NotImplementedError(
            "save_for_forward: forward-mode differentiation is not supported; use save_for_backward, and "
            "autograd.functional.jvp for Jacobian-vector products"
        )

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say that forward changed these arguments in place; each must be returned."""
        self.dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say that these results have no gradient; backward gets zeros for them."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """False: backward gets None, and not zeros, for a result that nothing used."""
        self.materialize = value
