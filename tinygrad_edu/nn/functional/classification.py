"""Losses of classifiers, written as compositions of primitive ops: cross-entropy and its relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import composite, fuses, mode
from tinygrad_edu.errors import DTypeError, LabelError, ShapeError
from tinygrad_edu.functions.common import check_tensor, plain
from tinygrad_edu.functions.reductions import log_softmax_steps
from tinygrad_edu.nn.functional.checks import SizeError, check_reduction, floating, reduced
from tinygrad_edu.tensor import Tensor

_gather = ops.indexing.gather


@composite("softmax cross-entropy", "softmax cross-entropy, from primitive ops", is_loss=True)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−log of the probability that softmax gives to the right class, from logits.

    input (n, c), (n, c, d₁, ...) or (c,); target: labels (n,), (n, d₁, ...) or (), or probabilities like input -> ()
        s = z − max z        log p = s − log Σ exp s        L = −mean log p[i, yᵢ]
    weight (c,) weighs each class, and the mean divides by the sum of the weights.  ignore_index: a label that does
    not count.  label_smoothing ε: the target becomes (1 − ε) target + ε/c.
    This composition is the definition; for more than 1,024 logits a fused kernel stands for it.
    Raises LabelError for a label outside [0, c), DTypeError for labels that are no integers, SizeError (a ShapeError
    and ValueError) when the batch sizes differ.
    """
    name = "cross_entropy"
    z, y = floating(name, input), check_tensor(name, target, "target")
    check_reduction(name, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"{name}: label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = _class_dim(name, z)
    _check_weight(name, weight, z, dim)
    if y.array.shape == z.array.shape:
        _check_probabilities(y, ignore_index)
        log_p = log_softmax_steps(z, dim)
        return _named(_against_probabilities(log_p, y, weight, dim, reduction, label_smoothing))
    labels = _labels(name, z, y, dim, ignore_index)
    if z.ndim == 2 and weight is None and not label_smoothing and fuses(z.array.size):
        losses = ops.fused.cross_entropy(z, plain(labels.astype(np.int64, copy=False)), ignore_index=ignore_index)
        counts = (labels != ignore_index).astype(z.array.dtype)
        return _named(losses.mean() if reduction == "mean" and counts.all() else _reduced_by(losses, counts, reduction))
    log_p = log_softmax_steps(z, dim)
    return _named(_against_labels(log_p, y, labels, weight, dim, ignore_index, reduction, label_smoothing))


@composite("negative log-likelihood", is_loss=True)
def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """−log p of the right class, from log-probabilities: L = −mean log p[i, yᵢ].

    input (n, c), (n, c, d₁, ...) or (c,), target of labels (n,), (n, d₁, ...) or () -> ()
    Options and errors as for `cross_entropy`.
    """
    log_p, y = floating("nll_loss", input), check_tensor("nll_loss", target, "target")
    check_reduction("nll_loss", reduction)
    dim = _class_dim("nll_loss", log_p)
    _check_weight("nll_loss", weight, log_p, dim)
    labels = _labels("nll_loss", log_p, y, dim, ignore_index)
    return _named(_against_labels(log_p, y, labels, weight, dim, ignore_index, reduction, 0.0))


def _named(loss: Tensor) -> Tensor:
    if mode.grad:
        loss.name = "L"
    return loss


def _against_labels(
    log_p: Tensor,
    target: Tensor,
    labels: Any,
    weight: Tensor | None,
    dim: int,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    ignored = labels == ignore_index
    safe = np.where(ignored, 0, labels) if ignored.any() else labels
    y = plain(np.expand_dims(safe, dim))
    y.name = target.name or "y"
    picked = _gather(log_p, y, dim=dim)
    if weight is None and safe is labels and reduction == "mean" and not smoothing:
        return -picked.mean()
    # What each label counts for: its class weight, nothing where it is ignored.
    classes = log_p.array.shape[dim]
    weights = np.ones(classes, log_p.array.dtype) if weight is None else weight.array
    counts = weights[safe] * ~ignored
    shares = plain(counts)
    shares.name = "w"
    losses = -picked.squeeze(dim) * shares
    total = _reduced_by(losses, counts, reduction)
    if not smoothing:
        return total
    everywhere = log_p if weight is None else log_p * _along(weight, log_p, dim)
    smooth = -everywhere.sum(dim) * plain((~ignored).astype(log_p.array.dtype))
    return total * (1 - smoothing) + _reduced_by(smooth, counts, reduction) * (smoothing / classes)


def _rows_against_labels(z: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    return _against_labels(log_softmax_steps(z, 1), labels, labels.array, None, 1, ignore_index, "none", 0.0)


ops.fused.cross_entropy.composition = lambda x, labels, ignore_index: _rows_against_labels(x, labels, ignore_index)


def _reduced_by(losses: Tensor, counts: Any, reduction: str) -> Tensor:
    """The weighted mean Σ loss / Σ w (NaN if nothing counts), the sum, or each loss."""
    if reduction == "mean":
        total = losses.sum()
        if not counts.any():  # nothing counts: the mean of nothing is NaN, and its gradient 0
            return ops.basic.where(plain(np.True_), plain(np.asarray(np.nan, counts.dtype)), total)
        return total / plain(counts.sum(dtype=counts.dtype))
    return losses.sum() if reduction == "sum" else losses


def _against_probabilities(
    log_p: Tensor, target: Tensor, weight: Tensor | None, dim: int, reduction: str, smoothing: float
) -> Tensor:
    classes = log_p.array.shape[dim]
    q = target * (1 - smoothing) + smoothing / classes if smoothing else target
    terms = log_p * q if weight is None else log_p * q * _along(weight, log_p, dim)
    losses = -terms.sum(dim)
    return reduced(losses, reduction)


def _along(weight: Tensor, log_p: Tensor, dim: int) -> Tensor:
    """The class weights, shaped to lie along the class dim."""
    return weight.reshape((-1,) + (1,) * (log_p.ndim - 1 - dim))


def _class_dim(name: str, z: Tensor) -> int:
    if z.ndim == 0:
        raise SizeError(f"{name}: Expected 1 or more dimensions (got 0): logits must be (n, c), (n, c, ...) or (c,)")
    return 0 if z.ndim == 1 else 1


def _check_weight(name: str, weight: Tensor | None, z: Tensor, dim: int) -> None:
    if weight is None:
        return
    classes = z.array.shape[dim]
    if weight.array.shape != (classes,):
        raise ShapeError(
            f"{name}: weight tensor should be defined either for all {classes} classes or no classes but got weight "
            f"tensor of shape: {list(weight.shape)}"
        )
    if weight.array.dtype != z.array.dtype:
        raise DTypeError(f"{name}: weight is {weight.dtype!r} but the input is {z.dtype!r}; they must agree")


def _check_probabilities(target: Tensor, ignore_index: int) -> None:
    if target.array.dtype.kind != "f":
        raise DTypeError(
            f"cross_entropy: Expected floating point type for target with class probabilities, got {target.dtype!r}: "
            f"input and target have the same shape {tuple(target.shape)}; give labels without the class dim, or "
            f"convert one-hot rows with .float()"
        )
    if ignore_index >= 0:
        raise RuntimeError(
            f"cross_entropy: ignore_index is not supported for floating point target (got ignore_index={ignore_index})"
        )


def _labels(name: str, z: Tensor, target: Tensor, dim: int, ignore_index: int) -> Any:
    """The labels as an array, checked: one for each sample (and place), integers, in range."""
    shape, labels = z.array.shape, target.array
    wanted = shape[:dim] + shape[dim + 1 :]
    if labels.shape != wanted:
        raise _label_shape_error(name, shape, labels.shape, wanted)
    if labels.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}: expected target dtype to be Long or Byte, but got {target.dtype!r} of shape {labels.shape}; "
            f"class labels are integers: convert with .long() (class probabilities have the input's shape {shape})"
        )
    classes = shape[dim]
    outside = ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        label = int(labels[place])
        where = f"target{list(place)}" if place else "target"
        hint = " Do the labels start at 1? Subtract 1." if label == classes and labels.min() >= 1 else ""
        raise LabelError(
            f"{name}: {where} is {label}, but the {classes} classes of input {shape} have the labels 0 to "
            f"{classes - 1} (ignore_index is {ignore_index}).{hint} Target {label} is out of bounds."
        )
    return labels


def _label_shape_error(name: str, shape: Any, labels: Any, wanted: Any) -> Exception:
    if len(labels) == len(wanted) and len(wanted) and labels[0] != wanted[0]:
        return SizeError(
            f"{name}: Expected input batch_size ({shape[0]}) to match target batch_size ({labels[0]}): input is "
            f"{shape} and target {labels}"
        )
    fix = " target.squeeze(1) would fit." if labels[:1] + labels[2:] == wanted and labels[1:2] == (1,) else ""
    return SizeError(
        f"{name}: Expected target size {list(wanted)}, got {list(labels)}: for input {shape}, target holds labels of "
        f"shape {wanted} or class probabilities of shape {shape}.{fix}"
    )
