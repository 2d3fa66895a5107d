"""Helpers over the parameters of a model: limiting gradients, one vector of everything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_edu.autograd import versions
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import plain
from tinygrad_edu.ops.movement import cat
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor


def _gradients(parameters: Any) -> list[Tensor]:
    """The parameters that have a gradient."""
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in tensors if p.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients together so that their norm is at most max_norm; returns the norm before.

    grad ← grad · min(1, max_norm / (‖grads‖ + 10⁻⁶))
    Raises RuntimeError for a norm that is not finite, if error_if_nonfinite.
    """
    owners = _gradients(parameters)
    if not owners:
        return plain(np.float32(0.0))
    p = float(norm_type)
    flat = np.concatenate([np.abs(o.grad.array).ravel() for o in owners])  # type: ignore[union-attr]
    if p == float("inf"):
        total = flat.max() if flat.size else flat.dtype.type(0)
    elif p == 2.0:
        total = np.sqrt(np.dot(flat, flat))
    else:
        total = flat.dtype.type((flat.astype(np.float64) ** p).sum() ** (1 / p))
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {p} for gradients from `parameters` is non-finite, so it cannot be clipped. To "
            f"disable this error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    scale = min(1.0, float(max_norm) / (float(total) + 1e-6)) if np.isfinite(total) else float(max_norm) / float(total)
    for owner in owners:
        with np.errstate(invalid="ignore"):  # inf · 0 is NaN, as in PyTorch
            scaled = owner.grad.array * owner.grad.array.dtype.type(scale)  # type: ignore[union-attr]
        _replace(owner, scaled)
    return plain(total)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every entry of every gradient to [−clip_value, clip_value]."""
    for owner in _gradients(parameters):
        _replace(owner, np.clip(owner.grad.array, -float(clip_value), float(clip_value)))  # type: ignore[union-attr]


def _replace(owner: Tensor, values: Any) -> None:
    """Write a gradient's entries in place; a read-only one (a broadcast view) is replaced."""
    grad = owner.grad
    assert grad is not None
    if grad.array.flags.writeable:
        np.copyto(grad.array, values)
        versions.bump(grad.array)
    else:
        owner.grad = wrap(values)


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
