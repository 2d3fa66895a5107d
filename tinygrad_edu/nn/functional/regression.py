"""Losses that compare entry by entry: distances, and cross-entropies of yes-or-no."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import composite, mode
from tinygrad_edu.errors import DTypeError, ShapeError
from tinygrad_edu.functions.common import check_tensor
from tinygrad_edu.nn.functional.activation import logsigmoid
from tinygrad_edu.nn.functional.checks import SizeError, check_reduction, floating, reduced
from tinygrad_edu.tensor import Tensor

_p, _where = ops.pointwise, ops.basic.where


def _compared(name: str, input: Tensor, target: Any, reduction: str, extra: tuple[str, ...] = ()) -> tuple[Any, Any]:
    """Input and target as tensors; a target of another shape broadcasts with PyTorch's warning."""
    check_reduction(name, reduction, extra)
    x, y = check_tensor(name, input), check_tensor(name, target, "target")
    if x.array.dtype.kind != "f" and y.array.dtype.kind != "f":
        raise DTypeError(f"{name}: input is {x.dtype!r} and target {y.dtype!r}; convert them with .float()")
    if x.array.shape != y.array.shape:
        try:
            np.broadcast_shapes(x.array.shape, y.array.shape)
        except ValueError:
            raise ShapeError(
                f"{name}: input is {tuple(x.shape)} and target {tuple(y.shape)}; they must have the same shape"
            ) from None
        warnings.warn(
            f"{name}: Using a target size {tuple(y.shape)} that is different to the input size {tuple(x.shape)}. This "
            f"will likely lead to incorrect results due to broadcasting. Please ensure they have the same size, for "
            f"instance with target.reshape(input.shape).",
            stacklevel=4,
        )
    return x, y


def finished(loss: Tensor, reduction: str) -> Tensor:
    """The loss reduced, under the name that pictures print."""
    loss = reduced(loss, reduction)
    if mode.grad:
        loss.name = "L"
    return loss


def _weighed(loss: Tensor, weight: Tensor | None) -> Tensor:
    return loss if weight is None else loss * weight


@composite("mean squared error", is_loss=True)
def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(x − y)², its mean by default."""
    x, y = _compared("mse_loss", input, target, reduction)
    return finished(_weighed(_p.square(x - y), weight), reduction)


@composite("mean absolute error", is_loss=True)
def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|x − y|, its mean by default."""
    x, y = _compared("l1_loss", input, target, reduction)
    return finished(_weighed(_p.abs(x - y), weight), reduction)


@composite("smooth L1 loss", is_loss=True)
def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """½ d²/beta where d = |x − y| < beta, else d − ½ beta (Girshick, 2015)."""
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta (got {beta})")
    x, y = _compared("smooth_l1_loss", input, target, reduction)
    distance = _p.abs(x - y)
    if beta == 0:
        return finished(distance, reduction)
    loss = _where(distance < beta, _p.square(distance) * (0.5 / beta), distance - 0.5 * beta)
    return finished(loss, reduction)


@composite("Huber loss", is_loss=True)
def huber_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """½ d² where d = |x − y| < delta, else delta (d − ½ delta) (Huber, 1964)."""
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta (got {delta})")
    x, y = _compared("huber_loss", input, target, reduction)
    distance = _p.abs(x - y)
    loss = _where(distance < delta, _p.square(distance) * 0.5, (distance - 0.5 * delta) * delta)
    return finished(_weighed(loss, weight), reduction)


@composite("binary cross-entropy", is_loss=True)
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """−(y log p + (1 − y) log(1 − p)) for probabilities p in [0, 1]; each log is at least −100, as in PyTorch.

    Where a log is held at −100 its gradient is 0 (PyTorch's is about 10¹²).  Raises SizeError (a ShapeError and
    ValueError) for other shapes, RuntimeError for p outside [0, 1].
    """
    name = "binary_cross_entropy"
    check_reduction(name, reduction)
    p, y = floating(name, input), check_tensor(name, target, "target")
    if p.array.shape != y.array.shape:
        raise SizeError(
            f"{name}: Using a target size ({tuple(y.shape)}) that is different to the input size ({tuple(p.shape)}) is "
            f"deprecated. Please ensure they have the same size."
        )
    _check_target_is_floating(name, y)
    if p.array.size and not (p.array.min() >= 0 and p.array.max() <= 1):
        raise RuntimeError(
            f"{name}: all elements of input should be between 0 and 1, got [{p.array.min():.4g}, {p.array.max():.4g}]; "
            f"apply sigmoid, or use binary_cross_entropy_with_logits"
        )
    loss = -(y * _log(p) + (1 - y) * _log(1 - p))
    return finished(_weighed(loss, weight), reduction)


def _check_target_is_floating(name: str, target: Tensor) -> None:
    if target.array.dtype.kind != "f":
        raise DTypeError(
            f"{name}: Found dtype {target.dtype} for the target but expected Float (a probability); convert with "
            "target.float()"
        )


# e⁻¹⁰¹, just below the bound of the log: its derivative stays finite, so that 0 · 1/p is 0 and not NaN.
_SMALLEST = math.exp(-101.0)


def _log(p: Tensor) -> Tensor:
    """max(log p, −100)."""
    return _p.log(p.clamp(min=_SMALLEST)).clamp(min=-100.0)


@composite("binary cross-entropy with logits", is_loss=True)
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of σ(z), without overflow: (1 − y) z − (1 + (pos_weight − 1) y) log σ(z).

    pos_weight weighs the positive examples of each class.  Raises SizeError for other shapes.
    """
    name = "binary_cross_entropy_with_logits"
    check_reduction(name, reduction)
    z, y = floating(name, input), check_tensor(name, target, "target")
    if z.array.shape != y.array.shape:
        raise SizeError(
            f"{name}: Target size ({tuple(y.shape)}) must be the same as input size ({tuple(z.shape)}); try "
            f"target.reshape(input.shape) or logits.squeeze(-1)"
        )
    _check_target_is_floating(name, y)
    log_p = logsigmoid(z)
    loss = (1 - y) * z - (log_p if pos_weight is None else (1 + (pos_weight - 1) * y) * log_p)
    return finished(_weighed(loss, weight), reduction)


@composite("Kullback-Leibler divergence", is_loss=True)
def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """q (log q − log p) for input log p and target q (log q with log_target); 0 where q is 0.

    reduction "batchmean", the sum divided by the batch size, is the mathematical one.
    """
    log_p, q = _compared("kl_div", input, target, reduction, ("batchmean",))
    if log_target:
        loss = _p.exp(q) * (q - log_p)
    else:
        positive = q > 0
        log_q = _p.log(_where(positive, q, 1.0))
        loss = q * log_q - q * log_p
    if reduction == "batchmean":
        return finished(loss.sum() / log_p.array.shape[0], "none")
    return finished(loss, reduction)
