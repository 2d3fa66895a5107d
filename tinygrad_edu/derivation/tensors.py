"""A formula computed with recorded tensors, so that the engine can differentiate it: d(1/sqrt(var_i + eps))/dx_j."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_edu import creation
from tinygrad_edu.derivation.expressions import Expression, FormulaError
from tinygrad_edu.tensor import Tensor

__all__ = ["recorded"]

Labelled = tuple[Tensor, tuple[str, ...]]  # the first axes carry the labels, as in expressions.Value

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
}
_FUNCTIONS = ("sqrt", "exp", "log", "sin", "cos", "tanh", "abs", "sigmoid", "relu")


def recorded(tree: Expression, tensors: Mapping[str, Any], labels: tuple[str, ...]) -> Tensor:
    """The value of a formula of entries as a tensor, with one axis for each of `labels`.

    Raises FormulaError for what is not made of entries and elementwise functions, or leaves another index over.
    """
    x, own = _computed(tree, tensors)
    if set(own) != set(labels) or x.ndim != len(labels):
        raise FormulaError(f"on the left side the indices {', '.join(own)} stand inside d(...), and {labels} were read")
    return x.permute(*(own.index(label) for label in labels)) if labels else x


def _computed(tree: Expression, tensors: Mapping[str, Any]) -> Labelled:
    op, data = tree.op, tree.data
    if op == "number":
        return creation.tensor(float(data), dtype=np.float64), ()
    if op == "name":
        if data not in tensors:
            raise FormulaError(f"unknown name {data!r} in d(...)")
        found = tensors[data]
        return found if isinstance(found, Tensor) else creation.tensor(np.asarray(found, np.float64)), ()
    args = [_computed(arg, tensors) for arg in tree.args]
    if op == "index" and all(isinstance(index, str) for index in data) and len(set(data)) == len(data):
        if args[0][1] or args[0][0].ndim != len(data):
            raise FormulaError("inside d(...) every value needs all its indices")
        return args[0][0], tuple(data)
    if op == "neg":
        return -args[0][0], args[0][1]
    if op == "call" and data in _FUNCTIONS and len(args) == 1:
        return getattr(args[0][0], data)(), args[0][1]
    if op in _BINARY:
        labels = tuple(dict.fromkeys((*args[0][1], *args[1][1])))
        return _BINARY[op](*(_aligned(arg, labels) for arg in args)), labels
    if op == "sum" and isinstance(data, tuple) and all(label in args[0][1] for label in data):
        x, own = args[0]
        return x.sum(tuple(own.index(label) for label in data)), tuple(label for label in own if label not in data)
    raise FormulaError(f"d(...) on the left side takes entries and elementwise functions, not {data or op}")


def _aligned(x: Labelled, labels: tuple[str, ...]) -> Tensor:
    tensor, own = x
    if tensor.ndim != len(own):
        raise FormulaError("inside d(...) every value needs all its indices")
    order = [own.index(label) for label in labels if label in own]
    moved = tensor.permute(*order) if order else tensor
    sizes = iter(moved.shape)
    return moved.reshape(*(next(sizes) if label in own else 1 for label in labels)) if labels else moved
