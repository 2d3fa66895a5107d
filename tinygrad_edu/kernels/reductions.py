"""Reductions, chosen by size: NumPy below each threshold, the Numba twin from there on."""

from __future__ import annotations

from .backend import NEVER, Gate, twins
from .quiet import Array
from .reference import reductions as reference
from .reference.reductions import Axis, argmin, cumsum, prod

# Measured on two cores of an AVX-512 EPYC, NumPy | Numba in us (a launch to sleeping threads costs 65 us more).
# sum: float32 256,000 all dims 73 | 12, 1e6 289-343 | 29-112, (128, 16, 28, 28) over (0, 2, 3) 501 | 65; float64 1e6
# over the first dim 126 | 127, else 156-207 | 52-70.
SUM_MINIMUM = 200_000
# amax, amin, argmax: the test for NaN keeps the twins' loops scalar; NumPy wins nearly everywhere (1e6: 37-148 | 800).

_sum = Gate(SUM_MINIMUM)
_mean = Gate(SUM_MINIMUM)
_amax = Gate(NEVER)
_amin = Gate(NEVER)
_argmax = Gate(NEVER)


def sum(x: Array, axis: Axis, keepdims: bool) -> Array:
    """Sum over `axis` (None: all dims), accumulated in float64; 0 over nothing."""
    if x.size < _sum.minimum:
        return reference.sum(x, axis, keepdims)
    total: Array = twins("reductions").sum(x, axis, keepdims)
    return total


def mean(x: Array, axis: Axis, keepdims: bool) -> Array:
    """Mean over `axis` (None: all dims), accumulated in float64; NaN over nothing."""
    if x.size < _mean.minimum:
        return reference.mean(x, axis, keepdims)
    average: Array = twins("reductions").mean(x, axis, keepdims)
    return average


def amax(x: Array, axis: Axis, keepdims: bool) -> Array:
    """Largest element over `axis` (None: all dims); NaN if there is one. Raises ValueError over nothing."""
    if x.size < _amax.minimum:
        return reference.amax(x, axis, keepdims)
    largest: Array = twins("reductions").amax(x, axis, keepdims)
    return largest


def amin(x: Array, axis: Axis, keepdims: bool) -> Array:
    """Smallest element over `axis` (None: all dims); NaN if there is one. Raises ValueError over nothing."""
    if x.size < _amin.minimum:
        return reference.amin(x, axis, keepdims)
    smallest: Array = twins("reductions").amin(x, axis, keepdims)
    return smallest


def argmax(x: Array, axis: int | None, keepdims: bool) -> Array:
    """int64 position of the first largest element (the first NaN, if any), in the flat array when axis is None."""
    if x.size < _argmax.minimum:
        return reference.argmax(x, axis, keepdims)
    positions: Array = twins("reductions").argmax(x, axis, keepdims)
    return positions


__all__ = ["amax", "amin", "argmax", "argmin", "cumsum", "mean", "prod", "sum"]
