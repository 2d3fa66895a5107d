"""Around `Tensor.grad`: what may be assigned to it, and the handle that takes a hook away again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu import dtypes
from tinygrad_edu.conversions import Conversions
from tinygrad_edu.errors import DTypeError, ShapeError


class Gradient:
    """`Tensor.grad`: a slot in which only None and a gradient of the tensor's shape and dtype can be put."""

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, tensor: Any, owner: Any = None) -> Any:
        return self if tensor is None else self._slot.__get__(tensor)

    def __set__(self, tensor: Any, value: Any) -> None:
        if value is not None:
            check_gradient(tensor, value)
        self._slot.__set__(tensor, value)

    def __delete__(self, tensor: Any) -> None:
        self._slot.__set__(tensor, None)


def check_gradient(tensor: Any, value: Any) -> None:
    """Raise TypeError, ShapeError or DTypeError unless `value` can be the gradient of `tensor`."""
    if not isinstance(value, Conversions):
        raise TypeError(
            f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}; make a tensor "
            f"of it first"
        )
    if value is tensor:
        raise RuntimeError("can't assign Variable as its own grad")
    if value.array.shape != tensor.array.shape:
        raise ShapeError(
            f"attempting to assign a gradient of size '{list(value.array.shape)}' to a tensor of size "
            f"'{list(tensor.array.shape)}'. Please ensure that the gradient and the tensor are the same size"
        )
    if value.array.dtype != tensor.array.dtype:
        mine, theirs = dtypes.of_array(tensor.array), dtypes.of_array(value.array)
        raise DTypeError(
            f"attempting to assign a gradient with dtype {theirs!r} to a tensor with dtype {mine!r}. The gradient must "
            f"match the tensor's dtype; convert it with .to(tensor.dtype)"
        )


def run_after(hooks: Sequence[Callable[[Any], None]], tensor: Any) -> None:
    """Call the hooks that wait for a leaf's gradient; TypeError for one that returns something."""
    for hook in tuple(hooks):
        answer = hook(tensor)
        if answer is not None:
            raise TypeError(
                f"post accumulate grad hooks must return None, but {getattr(hook, '__name__', hook)!s} returned a "
                f"{type(answer).__name__}; to replace a gradient, use register_hook"
            )


class RemovableHandle:
    """What registering a hook returns; `remove()` takes the hook away again."""

    def __init__(self, hooks: Any, hook: Any) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Take the hook away; calling it twice is fine."""
        hooks, self._hooks = self._hooks, []  # a second call finds nothing, even if the same hook is registered twice
        if isinstance(hooks, dict):
            hooks.pop(self._hook, None)
        elif self._hook in hooks:
            hooks.remove(self._hook)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
