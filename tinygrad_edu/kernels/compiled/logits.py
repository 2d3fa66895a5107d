"""Softmax and cross-entropy twins: blocks of rows, a single pass over each while it is in cache; see `vector_math`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from ..quiet import Array
from ..reference import logits as reference
from . import vector_math as rows_of
from .inner import CONTRACT, inner
from .jit import SUMS, jit, readonly

Kernel = Callable[..., None]

BLOCK = 4_096  # elements that one task takes, at least: in the first cache together with its result
PARALLEL = 20_000  # elements from which a launch on several threads pays

_serial = jit(fastmath=CONTRACT, parallel=False)
_softmax_serial = _serial(rows_of.softmax_block)
_log_softmax_serial = _serial(rows_of.log_softmax_block)
_log_softmax_backward_serial = _serial(rows_of.log_softmax_backward_block)
_cross_entropy_serial = _serial(rows_of.cross_entropy_block)
_cross_entropy_backward_serial = _serial(rows_of.cross_entropy_backward_block)


@inner(fastmath=SUMS)
def _product(x: Array, y: Array) -> float:
    total = 0.0
    for j in range(x.size):
        total += np.float64(x[j]) * y[j]
    return total


@inner()
def _softmax_backward(grad: Array, p: Array, out: Array) -> None:
    for i in range(len(grad)):
        line, source, row, total = grad[i], p[i], out[i], grad.dtype.type(_product(grad[i], p[i]))
        for j in range(row.size):
            row[j] = (line[j] - total) * source[j]


_softmax_backward_serial = _serial(_softmax_backward)


@jit()
def _softmax_backward_blocks(grad: Array, p: Array, rows: int, out: Array) -> None:
    for task in prange((len(grad) + rows - 1) // rows):
        a, b = task * rows, min((task + 1) * rows, len(grad))
        _softmax_backward(grad[a:b], p[a:b], out[a:b])


def _run(
    serial: Callable[..., None], blocks: Callable[..., None], x: Array, inputs: tuple[Any, ...], *out: Array
) -> None:
    if x.size < PARALLEL:
        serial(*inputs, *out)
    else:
        blocks(*inputs, max(1, BLOCK // x.shape[1]), *out)


def log_softmax(x: Array) -> Array:
    """x - log(sum(exp(x))) of each row."""
    out = np.empty(x.shape, x.dtype)
    if x.size:
        _run(_log_softmax_serial, rows_of.log_softmax_blocks, x, (readonly(x),), out)
    return out


def log_softmax_backward(grad: Array, log_p: Array) -> Array:
    """grad - exp(log_p) * sum(grad) of each row."""
    out = np.empty(grad.shape, grad.dtype)
    if grad.size:
        inputs = (readonly(grad), readonly(log_p))
        _run(_log_softmax_backward_serial, rows_of.log_softmax_backward_blocks, grad, inputs, out)
    return out


def softmax(x: Array) -> Array:
    """exp(x) / sum(exp(x)) of each row."""
    out = np.empty(x.shape, x.dtype)
    if x.size:
        _run(_softmax_serial, rows_of.softmax_blocks, x, (readonly(x),), out)
    return out


def softmax_backward(grad: Array, p: Array) -> Array:
    """(grad - sum(grad * p)) * p of each row."""
    out = np.empty(grad.shape, grad.dtype)
    if grad.size:
        _run(_softmax_backward_serial, _softmax_backward_blocks, grad, (readonly(grad), readonly(p)), out)
    return out


def _or_ones(x: Array, weights: Array | None) -> Array:
    return readonly(np.ones(x.shape[1], x.dtype) if weights is None else weights)


def cross_entropy(
    logits: Array, labels: Array, weights: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array, Array]:
    """Loss of each row, weight of each row, and the log of each row's sum of exponentials."""
    if logits.size == 0:
        return reference.cross_entropy(logits, labels, weights, ignore_index, label_smoothing)
    count = len(logits)
    out = (np.empty(count, logits.dtype), np.empty(count, logits.dtype), np.empty(count))
    inputs = (readonly(logits), readonly(labels), _or_ones(logits, weights), ignore_index, float(label_smoothing))
    _run(_cross_entropy_serial, rows_of.cross_entropy_blocks, logits, inputs, *out)
    return out


def cross_entropy_backward(
    row_gradients: Array,
    logits: Array,
    labels: Array,
    weights: Array | None,
    ignore_index: int,
    label_smoothing: float,
    lse: Array,
) -> Array:
    """dlogits, given the gradient of each row's loss."""
    out = np.empty(logits.shape, logits.dtype)
    if logits.size:
        rows = (readonly(row_gradients), readonly(logits), readonly(labels))
        inputs = (*rows, _or_ones(logits, weights), ignore_index, float(label_smoothing), readonly(lse))
        _run(_cross_entropy_backward_serial, rows_of.cross_entropy_backward_blocks, logits, inputs, out)
    return out
