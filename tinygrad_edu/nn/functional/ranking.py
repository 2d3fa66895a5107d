"""Losses of pairs, triplets and margins: how far apart, in which order, on which side."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import composite
from tinygrad_edu.errors import LabelError, ShapeError
from tinygrad_edu.functions.common import check_tensor, plain
from tinygrad_edu.nn.functional.activation import logsigmoid
from tinygrad_edu.nn.functional.checks import SizeError, check_reduction, floating
from tinygrad_edu.nn.functional.regression import finished
from tinygrad_edu.nn.functional.shape import pairwise_distance
from tinygrad_edu.tensor import Tensor

_p, _where = ops.pointwise, ops.basic.where


class TargetError(LabelError, RuntimeError):
    """A label outside its range, where PyTorch raises RuntimeError."""


def _same_shape(name: str, x: Tensor, target: Tensor) -> None:
    if x.array.shape != target.array.shape:
        raise SizeError(f"{name}: target size {tuple(target.shape)} must be the same as input size {tuple(x.shape)}")


@composite("margin ranking loss", is_loss=True)
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Tensor:
    """max(0, −y (x₁ − x₂) + margin): y = 1 wants x₁ to rank higher, y = −1 wants x₂ to.  All of one shape -> ()"""
    name = "margin_ranking_loss"
    check_reduction(name, reduction)
    x1, x2, y = floating(name, input1), floating(name, input2), check_tensor(name, target, "target")
    if not x1.ndim == x2.ndim == y.ndim:
        raise ShapeError(
            f"{name}: All input tensors should have same dimension but got sizes: input1: {tuple(x1.shape)}, input2: "
            f"{tuple(x2.shape)}, target: {tuple(y.shape)}"
        )
    return finished((margin - y * (x1 - x2)).clamp(min=0.0), reduction)


@composite("hinge embedding loss", is_loss=True)
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """x where y = 1, max(0, margin − x) where y = −1, for a distance x."""
    name = "hinge_embedding_loss"
    check_reduction(name, reduction)
    x, y = floating(name, input), check_tensor(name, target, "target")
    together = _where(y == -1, 0.0, x)
    apart = _where(y == 1, 0.0, (margin - x).clamp(min=0.0))
    return finished(together + apart, reduction)


@composite("cosine embedding loss", is_loss=True)
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Tensor:
    """1 − cos(x₁, x₂) where y = 1, max(0, cos(x₁, x₂) − margin) where y = −1.

    x₁, x₂ (n, d), y (n,), or (d,), (d,) and () -> ()
    """
    name = "cosine_embedding_loss"
    check_reduction(name, reduction)
    x1, x2, y = floating(name, input1), floating(name, input2), check_tensor(name, target, "target")
    if y.ndim not in (0, 1) or x1.array.shape != x2.array.shape or x1.ndim != y.ndim + 1:
        raise ShapeError(
            f"{name}: expects inputs (n, d) and target (n,), or inputs (d,) and a 0D target, but got "
            f"{tuple(x1.shape)}, {tuple(x2.shape)} and {tuple(y.shape)}"
        )
    small = 1e-12  # keeps the gradient finite at a vector of zeros
    lengths = (_p.square(x1).sum(-1) + small) * (_p.square(x2).sum(-1) + small)
    cosine = (x1 * x2).sum(-1) * _p.rsqrt(lengths)
    loss = _where(y == 1, 1 - cosine, 0.0) + _where(y == -1, (cosine - margin).clamp(min=0.0), 0.0)
    return finished(loss, reduction)


@composite("triplet margin loss", is_loss=True)
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) − d(a, n) + margin): the positive must be closer than the negative, by a margin.

    a, p, n (n, d) or (d,) -> ().  d is `pairwise_distance` of order p; swap takes min(d(a, n), d(p, n)).
    """
    name = "triplet_margin_loss"
    check_reduction(name, reduction)
    a, b, c = (floating(name, x) for x in (anchor, positive, negative))
    if not a.ndim == b.ndim == c.ndim:
        raise ShapeError(
            f"{name}: The anchor, positive, and negative tensors are expected to have the same number of dimensions, "
            f"but got: {tuple(a.shape)}, {tuple(b.shape)} and {tuple(c.shape)}"
        )
    if margin <= 0:
        raise ValueError(f"{name}: Expected margin to be greater than 0, got {margin} instead.")
    near, far = pairwise_distance(a, b, p, eps), pairwise_distance(a, c, p, eps)
    if swap:
        far = ops.arithmetic.minimum(far, pairwise_distance(b, c, p, eps))
    return finished((margin + near - far).clamp(min=0.0), reduction)


@composite("soft margin loss", is_loss=True)
def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """log(1 + exp(−y x)) for y = ±1, without overflow."""
    name = "soft_margin_loss"
    check_reduction(name, reduction)
    x, y = floating(name, input), check_tensor(name, target, "target")
    _same_shape(name, x, y)
    return finished(-logsigmoid(y * x), reduction)


@composite("multi-label soft margin loss", is_loss=True)
def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """The mean over the classes of −(y log σ(x) + (1 − y) log σ(−x)).  x, y (..., c), weight (c,) -> ()"""
    name = "multilabel_soft_margin_loss"
    check_reduction(name, reduction)
    x, y = floating(name, input), check_tensor(name, target, "target")
    _same_shape(name, x, y)
    loss = -(y * logsigmoid(x) + (1 - y) * logsigmoid(-x))
    if weight is not None:
        loss = loss * weight
    return finished(loss.mean(-1), reduction)


def _rows(name: str, input: Any) -> tuple[Tensor, bool]:
    """Scores as (n, c), and whether they came as rows."""
    x = floating(name, input)
    if x.ndim not in (1, 2) or x.array.shape[-1] == 0:
        raise ShapeError(f"{name}: Expected non-empty vector or matrix of scores, (n, c) or (c,), got {tuple(x.shape)}")
    return (x, True) if x.ndim == 2 else (x.unsqueeze(0), False)


@composite("multi-class margin loss", is_loss=True)
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """1/c Σ_{i ≠ y} w_y max(0, margin − x_y + x_i)ᵖ: the right class must win by a margin.

    x (n, c) or (c,), labels (n,) or (), weight (c,); p is 1 or 2 -> ()
    """
    name = "multi_margin_loss"
    check_reduction(name, reduction)
    if p not in (1, 2):
        raise ValueError(f"{name}: only p == 1 and p == 2 supported, got {p}")
    x, has_rows = _rows(name, input)
    n, classes = x.array.shape
    labels = np.atleast_1d(check_tensor(name, target, "target").array)
    if labels.shape != (n,):
        raise ShapeError(f"{name}: inconsistent target size, expected ({n},) but got {tuple(target.shape)}")
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise TargetError(f"{name}: target out of range: labels must lie in [0, {classes - 1}], got {labels.tolist()}")
    if weight is not None and weight.array.shape != (classes,):
        raise ShapeError(f"{name}: inconsistent weight size, expected ({classes},) but got {tuple(weight.shape)}")
    y = plain(labels[:, None].astype(np.int64))
    beyond = (margin - ops.indexing.gather(x, y, dim=1) + x).clamp(min=0.0)
    others = (np.arange(classes) != labels[:, None]).astype(x.array.dtype)
    if weight is not None:
        others *= weight.array[labels][:, None]
    loss = ((_p.square(beyond) if p == 2 else beyond) * plain(others)).sum(1) / classes
    return finished(loss if has_rows else loss.squeeze(0), reduction)


@composite("multi-label margin loss", is_loss=True)
def multilabel_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """1/c Σ_j Σ_i max(0, 1 − x_j + x_i), j over the labels and i over the other classes.

    x (n, c) or (c,); target as x, of integers: the labels of a sample, ended by a −1 if there are fewer than c -> ()
    """
    name = "multilabel_margin_loss"
    check_reduction(name, reduction)
    x, has_rows = _rows(name, input)
    classes = x.array.shape[1]
    labels = check_tensor(name, target, "target").array.reshape((-1, classes) if target.numel() else x.array.shape)
    if labels.shape != x.array.shape:
        raise ShapeError(f"{name}: inconsistent target size: {tuple(target.shape)} for input {tuple(input.shape)}")
    if labels.size and (labels.min() < -1 or labels.max() >= classes):
        raise TargetError(f"{name}: target out of range: labels must lie in [0, {classes - 1}], and -1 ends them")
    counts = np.logical_and.accumulate(labels >= 0, 1)  # the labels before the first −1
    is_label = np.zeros(labels.shape, bool)
    rows, places = np.nonzero(counts)
    is_label[rows, labels[rows, places]] = True
    picked = ops.indexing.gather(x, plain(np.where(counts, labels, 0).astype(np.int64)), dim=1)
    pairs = (counts[:, :, None] & ~is_label[:, None, :]).astype(x.array.dtype)
    beyond = (1 - picked.unsqueeze(2) + x.unsqueeze(1)).clamp(min=0.0)
    loss = (beyond * plain(pairs)).sum((1, 2)) / classes
    return finished(loss if has_rows else loss.squeeze(0), reduction)
