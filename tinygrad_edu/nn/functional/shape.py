"""Padding, one-hot labels and normalisation of length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import check_tensor, plain
from tinygrad_edu.functions.reductions import norm
from tinygrad_edu.functions.shaping import index_select, one_hot
from tinygrad_edu.nn.functional.checks import floating
from tinygrad_edu.tensor import Tensor

__all__ = ["cosine_similarity", "normalize", "one_hot", "pad", "pairwise_distance", "pdist"]

# PyTorch's names and NumPy's.
_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Entries put around the last dims: pad = (left, right, top, bottom, ...), last dim first.

    mode: "constant" (of `value`, default 0; negative numbers crop), "reflect", "replicate" or "circular".
    Raises ShapeError when the padding does not fit the input.
    """
    x = check_tensor("pad", input)
    counts = tuple(pad)
    if len(counts) % 2 or len(counts) > 2 * x.ndim:
        raise ShapeError(
            f"pad: padding {counts} must hold two numbers (before, after) for each of the last dims, "
            f"and the input {tuple(x.shape)} has {x.ndim}"
        )
    pairs = [(0, 0)] * (x.ndim - len(counts) // 2) + [
        (counts[i], counts[i + 1]) for i in range(len(counts) - 2, -1, -2)
    ]
    if mode == "constant":
        return ops.movement.constant_pad(x, padding=tuple(pairs), value=value or 0.0)
    if mode not in _MODES:
        raise NotImplementedError(f"pad: Unrecognised padding mode {mode}; use constant, {', '.join(_MODES)}")
    if value is not None:
        raise ValueError(f"pad: Padding mode {mode!r} doesn't take in value argument")
    for dim, (before, after) in enumerate(pairs):
        if before or after:
            x = _repeated(x, dim, before, after, mode)
    return x


def _repeated(x: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    """One dim padded with its own entries, as a choice of places."""
    n = x.array.shape[dim]
    longest = {"reflect": n - 1, "circular": n, "replicate": max(before, after)}[mode]
    if min(before, after) < 0 or max(before, after) > longest or n == 0:
        raise ShapeError(
            f"pad: padding ({before}, {after}) of dim {dim} must lie in [0, {longest}] for mode {mode!r} and size {n}"
        )
    places = np.pad(np.arange(n), (before, after), mode=_MODES[mode])  # type: ignore[call-overload]
    return index_select(x, dim, plain(places))


def _length(x: Tensor, p: float, dim: Any, smallest: float) -> Tensor:
    """max(‖x‖ₚ, smallest), with the gradient 0 (not 0/0) where x is 0."""
    if p == 2:
        return ops.pointwise.sqrt(ops.pointwise.square(x).sum(dim, keepdim=True).clamp(min=smallest * smallest))
    return norm(x, p, dim, True).clamp(min=smallest)


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖ₚ, eps) along `dim`."""
    x = floating("normalize", input)
    return x / _length(x, p, dim, eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x₁ · x₂ / (max(‖x₁‖, eps) max(‖x₂‖, eps)) along `dim`."""
    x1, x2 = floating("cosine_similarity", x1), floating("cosine_similarity", x2)
    return ((x1 / _length(x1, 2, dim, eps)) * (x2 / _length(x2, 2, dim, eps))).sum(dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """‖x₁ − x₂ + eps‖ₚ over the last dim; eps keeps the gradient finite where the two are equal.

    x₁, x₂ (..., d), broadcast -> (...), or (..., 1) with keepdim
    """
    x1, x2 = floating("pairwise_distance", x1), floating("pairwise_distance", x2)
    return norm(x1 - x2 + eps, p, -1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The distances of all pairs of rows, i < j: x (n, d) -> (n (n − 1) / 2,)."""
    x = floating("pdist", input)
    if x.ndim != 2:
        raise ShapeError(f"pdist: only supports 2D tensors, got: {x.ndim}D, {tuple(x.shape)}")
    i, j = np.triu_indices(x.array.shape[0], 1)
    return norm(x[plain(i)] - x[plain(j)], p, -1)
