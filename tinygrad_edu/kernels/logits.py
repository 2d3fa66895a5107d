"""Softmax, its logarithm and cross-entropy, chosen by size. Shapes and labels are checked here, for both backends."""

from __future__ import annotations

import numpy as np

from ..errors import LabelError, ShapeError
from .backend import Gate, twins
from .quiet import Array
from .reference import logits as reference
from .windows import check_same_shape

# Measured on two cores of an AVX-512 EPYC, cross-entropy of float32, NumPy | Numba in us: (16, 10) 17 | 5, (64, 10)
# 23 | 6, (128, 10) 29 | 8, (512, 100) 141 | 32, (1024, 100) 270 | 60. The smallest are not worth compiling for.
SOFTMAX_MINIMUM = 500

_softmax = Gate(SOFTMAX_MINIMUM)
_softmax_backward = Gate(SOFTMAX_MINIMUM)
_log_softmax = Gate(SOFTMAX_MINIMUM)
_log_softmax_backward = Gate(SOFTMAX_MINIMUM)
_cross_entropy = Gate(SOFTMAX_MINIMUM)
_cross_entropy_backward = Gate(SOFTMAX_MINIMUM)


def log_softmax(x: Array) -> Array:
    """x - log(sum(exp(x))) of each row of x (m, k)."""
    _check_rows("log_softmax", "x", x)
    out: Array = (reference if x.size < _log_softmax.minimum else twins("logits")).log_softmax(x)
    return out


def log_softmax_backward(grad: Array, log_p: Array) -> Array:
    """dx = grad - exp(log_p) * sum(grad) of each row, given log_p = log_softmax(x)."""
    _check_rows("log_softmax_backward", "log_p", log_p)
    check_same_shape("log_softmax_backward", "grad", grad.shape, log_p.shape)
    small = grad.size < _log_softmax_backward.minimum
    out: Array = (reference if small else twins("logits")).log_softmax_backward(grad, log_p)
    return out


def softmax(x: Array) -> Array:
    """exp(x) / sum(exp(x)) of each row of x (m, k)."""
    _check_rows("softmax", "x", x)
    out: Array = (reference if x.size < _softmax.minimum else twins("logits")).softmax(x)
    return out


def softmax_backward(grad: Array, p: Array) -> Array:
    """dx = (grad - sum(grad * p)) * p of each row, given p = softmax(x)."""
    _check_rows("softmax_backward", "p", p)
    check_same_shape("softmax_backward", "grad", grad.shape, p.shape)
    small = grad.size < _softmax_backward.minimum
    out: Array = (reference if small else twins("logits")).softmax_backward(grad, p)
    return out


def cross_entropy(
    logits: Array,
    labels: Array,
    weights: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> tuple[Array, Array, Array]:
    """Cross-entropy of logits (m, k) with labels (m,) -> losses (m,), row weights (m,), logsumexp (m,) in float64.

    With log p = log_softmax(logits), y the label and s the label smoothing,
    loss = -(1 - s) * weights[y] * log p[y] - s / k * sum(weights * log p), row weight = weights[y]
    (what a weighted mean divides by the sum of); both 0 where y is ignore_index. weights (k,), None for 1.
    Raises LabelError (an IndexError) for a label outside 0 to k - 1 that is not ignored, ShapeError for shapes.
    Source: Szegedy et al. (2016), Rethinking the Inception Architecture, section 7 (the smoothing).
    """
    _check_labels("cross_entropy", logits, labels, weights, ignore_index)
    small = logits.size < _cross_entropy.minimum
    kernel = reference.cross_entropy if small else twins("logits").cross_entropy
    out: tuple[Array, Array, Array] = kernel(logits, labels, weights, ignore_index, label_smoothing)
    return out


def cross_entropy_backward(
    row_gradients: Array,
    logits: Array,
    labels: Array,
    weights: Array | None,
    ignore_index: int,
    label_smoothing: float,
    logsumexp: Array,
) -> Array:
    """dlogits (m, k), given the gradient of each row's loss (m,), what `cross_entropy` took and its logsumexp.

    With p = exp(logits - logsumexp), dlogits[j] of a row is its gradient times
    (1 - s) * weights[y] * (p[j] - [j = y]) + s / k * (sum(weights) * p[j] - weights[j]); 0 where y is ignored.
    Keeping the row's logsumexp and working p out again costs less than to write p and read it back.
    Raises LabelError for a label outside 0 to k - 1 that is not ignored, ShapeError for shapes.
    """
    _check_labels("cross_entropy_backward", logits, labels, weights, ignore_index)
    check_same_shape("cross_entropy_backward", "row_gradients", row_gradients.shape, labels.shape)
    check_same_shape("cross_entropy_backward", "logsumexp", logsumexp.shape, labels.shape)
    small = logits.size < _cross_entropy_backward.minimum
    kernel = reference.cross_entropy_backward if small else twins("logits").cross_entropy_backward
    out: Array = kernel(row_gradients, logits, labels, weights, ignore_index, label_smoothing, logsumexp)
    return out


def _check_rows(operation: str, name: str, x: Array) -> None:
    if x.ndim != 2:
        raise ShapeError(f"{operation}: {name} is {x.shape}; it must have 2 dims")


def _check_labels(operation: str, logits: Array, labels: Array, weights: Array | None, ignore_index: int) -> None:
    _check_rows(operation, "logits", logits)
    classes = logits.shape[1]
    check_same_shape(operation, "labels", labels.shape, logits.shape[:1])
    if weights is not None:
        check_same_shape(operation, "weights", weights.shape, (classes,))
    if labels.dtype != np.int64:
        raise LabelError(f"{operation}: labels are {labels.dtype}; they must be int64")
    outside = labels.view(np.uint64) >= classes  # as an unsigned number, a negative label is a large one
    if outside.any():
        outside &= labels != ignore_index
        if outside.any():
            row = int(outside.argmax())
            raise LabelError(
                f"{operation}: label {labels[row]} of row {row} is no class; "
                f"labels run from 0 to {classes - 1}, or are {ignore_index} to be ignored"
            )


__all__ = [
    "cross_entropy",
    "cross_entropy_backward",
    "log_softmax",
    "log_softmax_backward",
    "softmax",
    "softmax_backward",
]
