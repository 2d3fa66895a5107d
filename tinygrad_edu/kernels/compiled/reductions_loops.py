"""Largest and smallest elements, and their places: of rows (the reduced dims come last, or all are) and of columns."""

from __future__ import annotations

import numpy as np
from numba import prange

from ..quiet import Array, quiet
from ..reference import reductions as reference
from ..reference.reductions import Axis
from .jit import jit
from .native import readonly
from .reductions import BLOCK, _kept, _partial, _shape

# Loops run from 0 over slices: Numba lets an index that may be negative wrap around, and that test in the loop keeps
# LLVM from vectorising it.


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
