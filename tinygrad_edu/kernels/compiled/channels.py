"""Twins for the channels' biases and for sums of gradients: one pass each, limited by memory.

In place, a kernel takes one array, not the same one twice: LLVM could not tell and would not vectorise it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from .. import memory
from ..quiet import Array
from ..reference import channels as reference
from .jit import jit, readonly


@jit()
def _add_to_lines(x: Array, bias: Array, relu: bool, out: Array) -> None:
    """x (n * c, rest)"""
    zero = x.dtype.type(0)
    for i in prange(len(x)):
        line, target, b = x[i], out[i], bias[i % bias.size]
        if relu:
            for j in range(line.size):
                target[j] = zero if line[j] + b <= zero else line[j] + b  # NaN stays
        else:
            for j in range(line.size):
                target[j] = line[j] + b


@jit()
def _add_to_rows(x: Array, bias: Array, relu: bool, out: Array) -> None:
    """x (n, c)"""
    zero = x.dtype.type(0)
    for i in prange(len(x)):
        line, target = x[i], out[i]
        if relu:
            for j in range(line.size):
                target[j] = zero if line[j] + bias[j] <= zero else line[j] + bias[j]
        else:
            for j in range(line.size):
                target[j] = line[j] + bias[j]


@jit()
def _add_to_lines_in_place(bias: Array, relu: bool, out: Array) -> None:
    zero = out.dtype.type(0)
    for i in prange(len(out)):
        target, b = out[i], bias[i % bias.size]
        if relu:
            for j in range(target.size):
                target[j] = zero if target[j] + b <= zero else target[j] + b
        else:
            for j in range(target.size):
                target[j] += b


@jit()
def _add_to_rows_in_place(bias: Array, relu: bool, out: Array) -> None:
    zero = out.dtype.type(0)
    for i in prange(len(out)):
        target = out[i]
        if relu:
            for j in range(target.size):
                target[j] = zero if target[j] + bias[j] <= zero else target[j] + bias[j]
        else:
            for j in range(target.size):
                target[j] += bias[j]


@jit()
def _accumulate(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] += x[i]


def add_channel_bias(x: Array, bias: Array, relu: bool, out: Array | None) -> Array:
    """x + bias[c] in channel c, and then relu where asked for, into out (which may be x) or a fresh array."""
    target = memory.empty(x.shape, x.dtype) if out is None else out
    if not (target.flags.c_contiguous and target.flags.aligned) or (out is not None and out is not x):
        return reference.add_channel_bias(x, bias, relu, out)
    rest = math.prod(x.shape[2:])
    shape = x.shape[:2] if rest == 1 else (x.shape[0] * x.shape[1], rest)
    if x.size == 0:
        pass
    elif out is None:
        kernel = _add_to_rows if rest == 1 else _add_to_lines
        kernel(readonly(x).reshape(shape), readonly(bias), relu, target.reshape(shape))
    else:
        in_place = _add_to_rows_in_place if rest == 1 else _add_to_lines_in_place
        in_place(readonly(bias), relu, target.reshape(shape))
    return target


def accumulate(out: Array, x: Array) -> None:
    """out += x."""
    flat = out.flags.c_contiguous and out.flags.aligned and x.flags.c_contiguous and x.flags.aligned
    if flat and x.dtype == out.dtype and not np.may_share_memory(out, x):
        _accumulate(readonly(x).reshape(-1), out.reshape(-1))
    else:
        reference.accumulate(out, x)
