"""Reduction twins: of rows (the reduced dims come last, or all are) and of columns (they come first).

Sums accumulate in float64. Work is cut into blocks of fixed size, whose results are combined in order: the answer does
not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from ..quiet import Array, quiet
from ..reference import reductions as reference
from ..reference.reductions import Axis
from .jit import SUMS, jit, readonly

# Loops run from 0 over slices: Numba lets an index that may be negative wrap around, and that test in the loop keeps
# LLVM from vectorising it.

BLOCK = 16_384  # elements of a row that one task takes


@jit(fastmath=SUMS)
def _sum_rows(x: Array, block: int, out: Array) -> None:
    blocks = out.shape[1]
    for task in prange(out.size):
        row, part = task // blocks, task % blocks
        piece = x[row, part * block : (part + 1) * block]
        total = 0.0
        for i in range(piece.size):
            total += piece[i]
        out[row, part] = total


@jit(fastmath=SUMS)
def _sum_columns(x: Array, block: int, out: Array) -> None:
    for part in prange(out.shape[0]):
        total = out[part]
        total[:] = 0.0
        for i in range(part * block, min((part + 1) * block, x.shape[0])):
            line = x[i]
            for j in range(line.size):
                total[j] += line[j]


@jit()
def _amax_rows(x: Array, block: int, out: Array) -> None:
    blocks = out.shape[1]
    for task in prange(out.size):
        row, part = task // blocks, task % blocks
        piece = x[row, part * block : (part + 1) * block]
        best = piece[0]
        for i in range(1, piece.size):
            best = piece[i] if piece[i] > best or np.isnan(piece[i]) else best
        out[row, part] = best


@jit()
def _amax_columns(x: Array, block: int, out: Array) -> None:
    for part in prange(out.shape[0]):
        best = out[part]
        best[:] = x[part * block]
        for i in range(part * block + 1, min((part + 1) * block, x.shape[0])):
            line = x[i]
            for j in range(line.size):
                best[j] = line[j] if line[j] > best[j] or np.isnan(line[j]) else best[j]


@jit()
def _amin_rows(x: Array, block: int, out: Array) -> None:
    blocks = out.shape[1]
    for task in prange(out.size):
        row, part = task // blocks, task % blocks
        piece = x[row, part * block : (part + 1) * block]
        best = piece[0]
        for i in range(1, piece.size):
            best = piece[i] if piece[i] < best or np.isnan(piece[i]) else best
        out[row, part] = best


@jit()
def _amin_columns(x: Array, block: int, out: Array) -> None:
    for part in prange(out.shape[0]):
        best = out[part]
        best[:] = x[part * block]
        for i in range(part * block + 1, min((part + 1) * block, x.shape[0])):
            line = x[i]
            for j in range(line.size):
                best[j] = line[j] if line[j] < best[j] or np.isnan(line[j]) else best[j]


@jit()
def _argmax_rows(x: Array, block: int, places: Array, out: Array) -> None:
    """First largest element of each block, or its first NaN, and its position in the row."""
    blocks = out.shape[1]
    for task in prange(out.size):
        row, part = task // blocks, task % blocks
        piece = x[row, part * block : (part + 1) * block]
        place, best = 0, piece[0]
        for i in range(1, piece.size):
            if np.isnan(best):
                break
            if piece[i] > best or np.isnan(piece[i]):
                place, best = i, piece[i]
        places[row, part] = part * block + place
        out[row, part] = best


def _kept(x: Array, axis: Axis) -> tuple[int, int, int] | None:
    """Sizes (before, kept, after) if x is contiguous and one run of dims is kept, all others reduced; else None."""
    if not x.flags.c_contiguous or x.size == 0:
        return None
    reduced = set(range(x.ndim)) if axis is None else set(axis)
    kept = [dim for dim in range(x.ndim) if dim not in reduced and x.shape[dim] != 1]
    if not kept:
        return 1, 1, x.size
    first, last = kept[0], kept[-1] + 1
    if any(dim in reduced and x.shape[dim] != 1 for dim in range(first, last)):
        return None
    return math.prod(x.shape[:first]), math.prod(x.shape[first:last]), math.prod(x.shape[last:])


def _partial(
    x: Array, sizes: tuple[int, int, int], dtype: Any, rows: Callable[..., None], columns: Callable[..., None]
) -> Array:
    """Results of the blocks, as (before, kept, after): what is left to combine over the first and last dim."""
    before, kept, after = sizes
    if after > 1 or before == 1:
        blocks = -(-after // BLOCK)
        out = np.empty((before * kept, blocks), dtype)
        rows(readonly(x).reshape(before * kept, after), BLOCK, out)
        return out.reshape(before, kept, blocks)
    block = max(1, BLOCK // kept)
    out = np.empty((-(-before // block), kept), dtype)
    columns(readonly(x).reshape(before, kept), block, out)
    return out[:, :, np.newaxis]


def _shape(x: Array, axis: Axis, keepdims: bool) -> tuple[int, ...]:
    reduced = range(x.ndim) if axis is None else axis
    if keepdims:
        return tuple(1 if dim in reduced else size for dim, size in enumerate(x.shape))
    return tuple(size for dim, size in enumerate(x.shape) if dim not in reduced)


def sum(x: Array, axis: Axis, keepdims: bool) -> Array:
    """Sum over `axis`, in float64."""
    sizes = _kept(x, axis)
    if sizes is None:
        return reference.sum(x, axis, keepdims)
    total = quiet.run(np.add.reduce, _partial(x, sizes, np.float64, _sum_rows, _sum_columns), axis=(0, 2))
    return np.asarray(total, x.dtype).reshape(_shape(x, axis, keepdims))


def mean(x: Array, axis: Axis, keepdims: bool) -> Array:
    """Sum over `axis`, in float64, divided by the number of elements."""
    sizes = _kept(x, axis)
    if sizes is None:
        return reference.mean(x, axis, keepdims)
    total = quiet.run(np.add.reduce, _partial(x, sizes, np.float64, _sum_rows, _sum_columns), axis=(0, 2))
    return np.asarray(total / (sizes[0] * sizes[2]), x.dtype).reshape(_shape(x, axis, keepdims))


def amax(x: Array, axis: Axis, keepdims: bool) -> Array:
    """Largest element over `axis`; NaN if there is one."""
    sizes = _kept(x, axis)
    if sizes is None:
        return reference.amax(x, axis, keepdims)
    best = quiet.run(np.maximum.reduce, _partial(x, sizes, x.dtype, _amax_rows, _amax_columns), axis=(0, 2))
    return np.asarray(best).reshape(_shape(x, axis, keepdims))


def amin(x: Array, axis: Axis, keepdims: bool) -> Array:
    """Smallest element over `axis`; NaN if there is one."""
    sizes = _kept(x, axis)
    if sizes is None:
        return reference.amin(x, axis, keepdims)
    best = quiet.run(np.minimum.reduce, _partial(x, sizes, x.dtype, _amin_rows, _amin_columns), axis=(0, 2))
    return np.asarray(best).reshape(_shape(x, axis, keepdims))


def argmax(x: Array, axis: int | None, keepdims: bool) -> Array:
    """Position of the first largest element, or of the first NaN."""
    if not x.flags.c_contiguous or x.size == 0 or axis not in (None, x.ndim - 1):
        return reference.argmax(x, axis, keepdims)
    length = x.size if axis is None else x.shape[-1]
    rows = x.size // length
    values = np.empty((rows, -(-length // BLOCK)), x.dtype)
    places = np.empty(values.shape, np.int64)
    _argmax_rows(readonly(x).reshape(rows, length), BLOCK, places, values)
    first = np.argmax(values, axis=1)
    chosen: Array = places[np.arange(rows), first]
    return chosen.reshape(_shape(x, None if axis is None else (axis,), keepdims))
