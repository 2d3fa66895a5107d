"""All parameters of a model as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinygrad_edu.autograd import versions
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.ops.movement import cat
from tinygrad_edu.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All entries, one parameter after the other, as one vector (recorded like any other operation)."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the entries of a vector back into the parameters, in place."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected Tensor, but got: {type(vec).__name__}")
    owners = list(parameters)
    total = sum(p.numel() for p in owners)
    if vec.array.shape != (total,):
        raise ShapeError(f"vector_to_parameters: the parameters have {total} entries, vec is {tuple(vec.shape)}")
    start = 0
    for p in owners:
        np.copyto(p.array, vec.array[start : start + p.numel()].reshape(p.array.shape), casting="same_kind")
        versions.bump(p.array)
        start += p.numel()
