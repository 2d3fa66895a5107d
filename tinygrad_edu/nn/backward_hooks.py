"""Hooks on a module's backward: the gradients of all its outputs, and those of all its inputs, seen together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.tensor import Tensor

Gradients = tuple[Any, ...]


class Watch:
    """One call of a module: what passes its border is led through one node, whose gradient is that of all of it."""

    def __init__(self, module: Any, count: int) -> None:
        self.module, self.count = module, count
        self.inputs: list[int] = []  # the places of the arguments that require grad
        self.outputs: list[int] = []
        self.output_count = 1
        self.grad_output: Gradients | None = None

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, those that require grad behind a node that tells us their gradients."""
        self.inputs = _watched(args)
        return _through_one_node(args, self.inputs, self._at_inputs)

    def leave(self, output: Any) -> Any:
        """The output, or the tuple of them, behind a node that tells us their gradients."""
        outputs = output if isinstance(output, tuple) else (output,)
        self.outputs, self.output_count = _watched(outputs), len(outputs)
        led = _through_one_node(outputs, self.outputs, self._at_outputs)
        return led if isinstance(output, tuple) else led[0]

    def _at_outputs(self, grads: list[Any]) -> list[Any]:
        grad_output = _placed(grads, self.outputs, self.output_count)
        for hook, *_ in list(self.module._backward_pre_hooks.values()):
            grad_output = _replaced(hook(self.module, grad_output), grad_output, "pre hook", "grad_output")
        self.grad_output = grad_output
        if not self.inputs:
            self._without_inputs(grad_output)
        return [grad_output[i] for i in self.outputs]

    def _without_inputs(self, grad_output: Gradients) -> None:
        if not self.module._backward_hooks:
            return
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs "
            "require gradients.",
            stacklevel=2,
        )
        for hook, *_ in list(self.module._backward_hooks.values()):
            answer = hook(self.module, (None,) * self.count, grad_output)
            if answer is not None and any(g is not None for g in answer):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None or None for "
                    "all gradients."
                )

    def _at_inputs(self, grads: list[Any]) -> list[Any]:
        if self.grad_output is None:  # the gradient came around the module's output, as in a second derivative
            return grads
        grad_input = _placed(grads, self.inputs, self.count)
        for hook, *_ in list(self.module._backward_hooks.values()):
            answer = hook(self.module, grad_input, self.grad_output)
            grad_input = _replaced(answer, grad_input, "hook", "grad_input")
        self.grad_output = None
        return [grad_input[i] for i in self.inputs]


def _watched(values: Sequence[Any]) -> list[int]:
    return [i for i, x in enumerate(values) if mode.grad and isinstance(x, Tensor) and x.requires_grad]


def _placed(grads: list[Any], places: list[int], count: int) -> Gradients:
    full: list[Any] = [None] * count
    for i, grad in zip(places, grads, strict=True):
        full[i] = grad
    return tuple(full)


def _replaced(answer: Any, before: Gradients, kind: str, what: str) -> Gradients:
    if answer is None:
        return before
    answer = (answer,) if isinstance(answer, Tensor) else tuple(answer)
    if len(answer) != len(before):
        raise RuntimeError(
            f"Backward {kind} returned an invalid number of {what}, got {len(answer)}, but expected {len(before)}"
        )
    return answer


def _through_one_node(
    values: tuple[Any, ...], places: list[int], hook: Callable[[list[Any]], list[Any]]
) -> tuple[Any, ...]:
    """The values with the tensors at `places` led through one node; hook(gradients) -> gradients runs there.

    Several are laid out in one row and cut apart again, so that their gradients arrive together.
    """
    if not places:
        return values
    tensors = [values[i] for i in places]
    if len(tensors) == 1:
        node = ops.basic.alias(tensors[0])
        node.register_hook(lambda grad: hook([grad])[0])
        led = [node]
    else:
        shapes = [x.array.shape for x in tensors]
        row = ops.movement.cat([x.reshape(-1) for x in tensors])
        sizes = [x.array.size for x in tensors]

        def cut(x: Tensor) -> list[Tensor]:
            return [part.reshape(shape) for part, shape in zip(x.split(sizes), shapes, strict=True)]

        row.register_hook(lambda grad: ops.movement.cat([g.reshape(-1) for g in hook(cut(grad))]))
        led = [x.to(old.dtype) for x, old in zip(cut(row), tensors, strict=True)]
    full = list(values)
    for i, x in zip(places, led, strict=True):
        full[i] = x
    return tuple(full)
