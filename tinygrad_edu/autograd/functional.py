"""`autograd.grad` and `autograd.backward`; Jacobians and Hessians, which derivatives.py builds on them, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd import engine
from tinygrad_edu.errors import GraphError
from tinygrad_edu.recording import lift, live_node, wrap
from tinygrad_edu.tensor import Tensor

DERIVATIVES = ("hessian", "hvp", "jacobian", "jvp", "vhp", "vjp")


def __getattr__(name: str) -> Any:
    """PyTorch's `autograd.functional.jacobian` and its like."""
    if name in DERIVATIVES:
        from importlib import import_module

        return getattr(import_module("tinygrad_edu.autograd.derivatives"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _listed(x: Any) -> list[Any]:
    return [x] if isinstance(x, Tensor) or x is None else list(x)


def _roots(name: str, outputs: Sequence[Tensor], grads: Sequence[Any], create_graph: bool) -> list[tuple[Any, Any]]:
    if len(grads) != len(outputs):
        raise GraphError(f"{name}: got {len(outputs)} tensors and {len(grads)} gradients; give one for each, or none")
    roots = []
    for output, given in zip(outputs, grads, strict=True):
        node = live_node(output)
        if node is None:
            raise GraphError(
                f"{name}: one of the outputs does not require grad and does not have a grad_fn; set "
                f"requires_grad=True on an input, and compute outside no_grad() without detach()"
            )
        roots.append((node, output._seed(given, create_graph)))
    return roots


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of (the sum of) outputs with respect to inputs, without touching any `.grad`.

    outputs, inputs: a tensor or a sequence of them.  grad_outputs: the gradients of the outputs, needed for
    non-scalars.  create_graph: record, so that the results can be differentiated again, to any order.
    allow_unused: give None for an input that the outputs do not depend on, instead of an error.
    Raises GraphError.
    """
    if not only_inputs:
        raise NotImplementedError("grad: only_inputs=False is not supported; use backward() to fill .grad")
    if is_grads_batched:
        raise NotImplementedError("grad: is_grads_batched=True is not supported; call grad once for each row")
    tensors, wanted = _listed(outputs), _listed(inputs)
    if not wanted:
        raise GraphError("grad: requires non-empty inputs")
    given = [None] * len(tensors) if grad_outputs is None else _listed(grad_outputs)
    roots = _roots("grad", tensors, given, create_graph)
    targets = [live_node(x) for x in wanted]
    for x, target in zip(wanted, targets, strict=True):
        if target is None:
            raise GraphError(
                f"grad: One of the differentiated Tensors does not require grad (shape {tuple(x.shape)}); set "
                f"requires_grad=True on it before computing the outputs"
            )
    retain = create_graph if retain_graph is None else retain_graph
    found = engine.walk(roots, retain_graph=retain, create_graph=create_graph, lift=lift, targets=targets)
    results: list[Any] = []
    for x, value in zip(wanted, found, strict=True):
        if value is None:
            if materialize_grads:
                results.append(wrap(x.array * 0))
                continue
            if not allow_unused:
                raise GraphError(
                    f"grad: One of the differentiated Tensors appears to not have been used in the graph (shape "
                    f"{tuple(x.shape)}). Set allow_unused=True if this is the desired behavior"
                )
            results.append(None)
        else:
            results.append(value if create_graph else _tensor(value, x))
    return tuple(results)


def _tensor(value: Any, like: Tensor) -> Tensor:

    return wrap(np.array(value, like.array.dtype))


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Accumulate the gradients of (the sum of) tensors into the leaves, as `Tensor.backward` does for one."""
    listed = _listed(tensors)
    given = [None] * len(listed) if grad_tensors is None else _listed(grad_tensors)
    roots = _roots("backward", listed, given, create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        engine.walk(roots, retain_graph=retain, create_graph=create_graph, lift=lift)
        return
    leaves = _listed(inputs)
    targets = [live_node(x) for x in leaves]
    found = engine.walk(roots, retain_graph=retain, create_graph=create_graph, lift=lift, targets=targets)
    for leaf, value in zip(leaves, found, strict=True):
        if value is not None:
            leaf._accumulate(value, True)
