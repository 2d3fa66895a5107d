"""Softmax, its logarithm and cross-entropy of the rows of x (m, k)."""

from __future__ import annotations

import numpy as np

from ..quiet import Array, silent


def _sum(x: Array) -> Array:
    """Of each row, as a column, in float64."""
    out: Array = np.add.reduce(x, axis=1, dtype=np.float64, keepdims=True)
    return out


def _largest(x: Array) -> Array:
    """Of each row, as a column: exp(x - largest) <= 1 cannot overflow."""
    return np.maximum.reduce(x, axis=1, initial=-np.inf, keepdims=True)


@silent
def log_softmax(x: Array) -> Array:
    """x - log(sum(exp(x)))."""
    shifted = x - _largest(x)
    return (shifted - np.log(_sum(np.exp(shifted)))).astype(x.dtype)


@silent
def log_softmax_backward(grad: Array, log_p: Array) -> Array:
    """grad - exp(log_p) * sum(grad)."""
    return (grad - np.exp(log_p) * _sum(grad)).astype(grad.dtype)


@silent
def softmax(x: Array) -> Array:
    """exp(x) / sum(exp(x))."""
    e = np.exp(x - _largest(x))
    return (e / _sum(e)).astype(x.dtype)


@silent
def softmax_backward(grad: Array, p: Array) -> Array:
    """(grad - sum(grad * p)) * p."""
    return ((grad - _sum(grad * p)) * p).astype(grad.dtype)


@silent
def cross_entropy(
    logits: Array, labels: Array, weights: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array, Array]:
    """Loss of each row, weight of each row, and the log of each row's sum of exponentials.

    With log p = log_softmax(logits) and y the label,
    loss = -(1 - smoothing) * weights[y] * log p[y] - smoothing / k * sum(weights * log p); 0 where y is ignored.
    """
    largest = _largest(logits)
    log_sum = np.log(_sum(np.exp(logits - largest)))
    kept = labels != ignore_index
    rows, names = np.flatnonzero(kept), labels[kept]
    minus_log_p = log_sum[rows] - (logits[rows] - largest[rows])
    row_weights, losses = (np.zeros(len(labels), logits.dtype) for _ in range(2))
    row_weights[rows] = 1 if weights is None else weights[names]
    loss = (1 - label_smoothing) * row_weights[rows] * minus_log_p[np.arange(len(rows)), names]
    if label_smoothing != 0:
        every = minus_log_p if weights is None else minus_log_p * weights
        loss = loss + label_smoothing / logits.shape[1] * _sum(every)[:, 0]
    losses[rows] = loss
    return losses, row_weights, (largest + log_sum)[:, 0]


@silent
def cross_entropy_backward(
    row_gradients: Array,
    logits: Array,
    labels: Array,
    weights: Array | None,
    ignore_index: int,
    label_smoothing: float,
    lse: Array,
) -> Array:
    """dlogits, given the gradient of each row's loss: each term's -log p[j] gives p - onehot(j)."""
    kept = labels != ignore_index
    rows, names = np.flatnonzero(kept), labels[kept]
    k = logits.shape[1]
    every = np.ones(k, logits.dtype) if weights is None else weights
    grad = row_gradients[rows].astype(np.float64)
    at_label = grad * (1 - label_smoothing) * every[names]
    elsewhere = (grad * label_smoothing / k)[:, np.newaxis]
    p = np.exp(logits[rows] - lse[rows, np.newaxis])
    dlogits = p * (at_label[:, np.newaxis] + elsewhere * np.add.reduce(every, dtype=np.float64)) - elsewhere * every
    dlogits[np.arange(len(rows)), names] -= at_label
    out = np.zeros(logits.shape, logits.dtype)
    out[rows] = dlogits
    return out
