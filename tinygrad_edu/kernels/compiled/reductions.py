"""Reduction twins: of rows (the reduced dims come last, or all are) and of columns (they come first).

Sums accumulate in float64. Work is cut into blocks of fixed size, whose results are combined in order: the answer does
not depend on the number of threads.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..quiet import Array, quiet
from ..reference import reductions as reference
from ..reference.reductions import Axis
from .address import address
from .cpu import BOUNDSCHECK
from .native import get_threads, launch, readonly

BLOCK = 16_384  # elements of a row that one task takes


def _sum_rows(x: Array, block: int, out: Array) -> None:
    """x (rows, length) -> out (rows, blocks)."""
    args = np.array((*x.shape, out.shape[1], block, address(x), address(out)), np.int64)
    launch("reductions.sum_rows", (x.itemsize, 0, 0), args, get_threads())


def _sum_columns(x: Array, block: int, out: Array) -> None:
    """x (rows, columns) -> out (blocks, columns)."""
    args = np.array((*x.shape, block, address(x), address(out)), np.int64)
    launch("reductions.sum_columns", (x.itemsize, 0, 0), args, get_threads())


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
    if sizes is None or BOUNDSCHECK:  # which does not see addresses
        return reference.sum(x, axis, keepdims)
    total = quiet.run(np.add.reduce, _partial(x, sizes, np.float64, _sum_rows, _sum_columns), axis=(0, 2))
    return np.asarray(total, x.dtype).reshape(_shape(x, axis, keepdims))


def mean(x: Array, axis: Axis, keepdims: bool) -> Array:
    """Sum over `axis`, in float64, divided by the number of elements."""
    sizes = _kept(x, axis)
    if sizes is None or BOUNDSCHECK:  # which does not see addresses
        return reference.mean(x, axis, keepdims)
    total = quiet.run(np.add.reduce, _partial(x, sizes, np.float64, _sum_rows, _sum_columns), axis=(0, 2))
    return np.asarray(total / (sizes[0] * sizes[2]), x.dtype).reshape(_shape(x, axis, keepdims))


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__package__}.reductions_loops"), name)
