"""Softmax and cross-entropy twins: blocks of whole rows, on several threads where there are many."""

from __future__ import annotations

import numpy as np

from .. import memory
from ..quiet import Array
from ..reference import logits as reference
from .address import address
from .cpu import BOUNDSCHECK
from .native import fresh, get_threads, launch, readonly

BLOCK = 4_096  # elements that one task takes, at least: in the first cache together with its result
# Elements from which several threads pay. One takes 60 us for 100,000; two take 35 awake, and 115 when they slept.
PARALLEL = 100_000


def _run(name: str, shape: tuple[int, ...], itemsize: int, words: tuple[int, ...], buffers: int) -> None:
    """The kernel on blocks of rows; `buffers`: how many of a block's size each thread needs."""
    rows, columns = shape
    block = min(rows, max(1, BLOCK // columns))
    threads = get_threads() if rows * columns >= PARALLEL else 1
    space = -(-block * (16 + buffers * columns * itemsize) // 64) * 64
    scratch = memory.empty(threads * space, np.uint8)
    args = np.array((rows, columns, block, address(scratch), space, *words), np.int64)
    launch(f"logits.{name}", (itemsize, 0, 0), args, threads)


def _run_on_matrices(name: str, *arrays: Array) -> None:
    if BOUNDSCHECK:
        stats = (np.empty((2, len(arrays[0]))),) if len(arrays) == 2 else ()
        fresh().checked(f"logits.{name}_rows")(*arrays, *stats)
        return
    _run(name, arrays[0].shape, arrays[0].itemsize, tuple(address(array) for array in arrays), 0)


def _bits(value: float) -> int:
    """The word that holds a float64."""
    return int(np.float64(value).view(np.int64))


def log_softmax(x: Array) -> Array:
    """x - log(sum(exp(x))) of each row."""
    out = memory.empty(x.shape, x.dtype)
    if x.size:
        _run_on_matrices("log_softmax", readonly(x), out)
    return out


def log_softmax_backward(grad: Array, log_p: Array) -> Array:
    """grad - exp(log_p) * sum(grad) of each row."""
    out = memory.empty(grad.shape, grad.dtype)
    if grad.size:
        _run_on_matrices("log_softmax_backward", readonly(grad), readonly(log_p), out)
    return out


def softmax(x: Array) -> Array:
    """exp(x) / sum(exp(x)) of each row."""
    out = memory.empty(x.shape, x.dtype)
    if x.size:
        _run_on_matrices("softmax", readonly(x), out)
    return out


def softmax_backward(grad: Array, p: Array) -> Array:
    """(grad - sum(grad * p)) * p of each row."""
    out = memory.empty(grad.shape, grad.dtype)
    if grad.size:
        _run_on_matrices("softmax_backward", readonly(grad), readonly(p), out)
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
    x, labels, weights = readonly(logits), readonly(labels), _or_ones(logits, weights)
    if BOUNDSCHECK:
        scratch = (np.empty_like(x), np.empty((2, count)))
        fresh().checked("logits.cross_entropy_rows")(
            x, labels, weights, ignore_index, float(label_smoothing), *out, *scratch
        )
        return out
    options = (ignore_index, _bits(label_smoothing))
    arrays = (address(array) for array in out)
    words = (address(x), address(labels), address(weights), *options, *arrays)
    _run("cross_entropy", x.shape, x.itemsize, words, 1)
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
    out = memory.empty(logits.shape, logits.dtype)
    if logits.size:
        grad, x, labels = readonly(row_gradients), readonly(logits), readonly(labels)
        weights, lse = _or_ones(logits, weights), readonly(lse)
        if BOUNDSCHECK:
            fresh().checked("logits.cross_entropy_backward_rows")(
                grad, x, labels, weights, ignore_index, float(label_smoothing), lse, out
            )
            return out
        arrays = (address(array) for array in (grad, x, labels, weights))
        words = (*arrays, ignore_index, _bits(label_smoothing), address(lse), address(out))
        _run("cross_entropy_backward", x.shape, x.itemsize, words, 0)
    return out
