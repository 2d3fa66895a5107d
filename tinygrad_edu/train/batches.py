"""Batches taken apart, and a model in evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinygrad_edu.nn.module import Module
from tinygrad_edu.tensor import Tensor


def split(batch: Any) -> tuple[list[Any], Any]:
    """(input, ..., targets) -> the inputs and the targets.  Raises TypeError for a batch that is no such tuple."""
    if isinstance(batch, (tuple, list)) and len(batch) >= 2:
        return list(batch[:-1]), batch[-1]
    what = f"a {type(batch).__name__}"
    if isinstance(batch, Mapping):
        what += f" with the keys {list(batch)}"
    elif isinstance(batch, (tuple, list)):
        what += f" of length {len(batch)}"
    raise TypeError(
        f"Trainer: a batch must be a tuple (inputs, targets) or (input, input, ..., targets), got {what}; let the data "
        "set return tuples, or give the DataLoader a collate_fn that does"
    )


def inputs_of(batch: Any) -> list[Any]:
    """The inputs of a batch with or without targets: a tensor or a tuple of one has none."""
    if isinstance(batch, Tensor):
        return [batch]
    if isinstance(batch, (tuple, list)) and len(batch) == 1:
        return list(batch)
    return split(batch)[0]


def samples(targets: Any) -> int:
    """How many samples a batch has: the first size of its targets."""
    return len(targets) if getattr(targets, "ndim", 1) else 1


class Evaluating:
    """`with Evaluating(model):` evaluation mode; then every module has the mode it had, also one frozen by hand."""

    def __init__(self, model: Module) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()

    def __exit__(self, *error: object) -> None:
        for module, training in self.modes:
            module.training = training
