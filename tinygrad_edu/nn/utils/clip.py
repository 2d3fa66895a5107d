"""Limiting gradients, all together by their norm or one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_edu.autograd import versions
from tinygrad_edu.functions.common import plain
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor


def _gradients(parameters: Any) -> list[Tensor]:
    """The parameters that have a gradient."""
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in tensors if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors together, as if they were one vector.

    foreach chooses among PyTorch's loops over tensors, which give the same numbers; here there is one.
    Raises RuntimeError for a norm that is not finite, if error_if_nonfinite.
    """
    arrays = [x.array for x in ([tensors] if isinstance(tensors, Tensor) else tensors)]
    if not arrays:
        return plain(np.float32(0.0))
    p = float(norm_type)
    flat = np.concatenate([np.abs(a).ravel() for a in arrays])
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
    return plain(total)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients together so that their norm is at most max_norm; returns the norm before.

    grad ← grad · min(1, max_norm / (‖grads‖ + 10⁻⁶))
    Raises RuntimeError for a norm that is not finite, if error_if_nonfinite.
    """
    owners = _gradients(parameters)
    if not owners:
        return plain(np.float32(0.0))
    total = get_total_norm([o.grad for o in owners], norm_type, error_if_nonfinite).array  # type: ignore[misc]
    scale = min(1.0, float(max_norm) / (float(total) + 1e-6)) if np.isfinite(total) else float(max_norm) / float(total)
    for owner in owners:
        with np.errstate(invalid="ignore"):  # inf · 0 is NaN, as in PyTorch
            scaled = owner.grad.array * owner.grad.array.dtype.type(scale)  # type: ignore[union-attr]
        _replace(owner, scaled)
    return plain(total)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
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
