"""The matrix product in register tiles: both cores, the CPU's widest vectors, any strides of x.

y is packed into panels of a tile's width, `DEPTH` rows at a time, which then stay in the L1 cache while the rows of x
pass by. A transposed y is turned by vector shuffles on the way. Each entry is a sum in the order of k, by one thread,
so the result does not depend on their number.

Source: Goto and van de Geijn (2008), Anatomy of high-performance matrix multiplication.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import prange

from .. import memory
from ..quiet import Array
from .address import address
from .jit import SUMS, jit, readonly
from .lanes import LANE_BYTES, copy_bytes, number, store_zeros, transpose, word
from .native import get_threads, launch
from .tiles import TILE, copy_vector, multiply

DEPTH = 320  # rows of y in a packed panel: 40 KB of float32 with 64-byte vectors
PARALLEL = 400_000  # multiplications from which on threads pay

helper: Any = numba.njit(error_model="numpy")


@helper  # type: ignore[untyped-decorator]
def _pack(
    source: int, row: int, column: int, count: int, columns: int, target: int, stage: int, width: int, itemsize: int,
    zero: float,
) -> None:  # fmt: skip
    """`count` rows of y, of which some columns, into vectors (count, width); what lies beyond is zero."""
    lanes = LANE_BYTES // itemsize
    step = width * LANE_BYTES
    for v in range(width):
        first = v * lanes
        here = min(lanes, columns - first)
        to = target + v * LANE_BYTES
        if here <= 0:
            store_zeros(to, count, step, zero)
        elif column == itemsize:
            start = source + first * itemsize
            if here == lanes:
                for k in range(count):
                    copy_vector(to + k * step, start + k * row, zero)
            else:
                store_zeros(to, count, step, zero)
                for k in range(count):
                    copy_bytes(to + k * step, start + k * row, here * itemsize)
        else:
            start = source + first * column
            for k in range(0, count, lanes):
                deep = min(lanes, count - k)
                if here == lanes and deep == lanes:
                    transpose(start + k * itemsize, column, to + k * step, step, zero)
                    continue
                store_zeros(stage, lanes, LANE_BYTES, zero)
                for j in range(here):
                    copy_bytes(stage + j * LANE_BYTES, start + j * column + k * itemsize, deep * itemsize)
                turned = stage + lanes * LANE_BYTES
                transpose(stage, LANE_BYTES, turned, LANE_BYTES, zero)
                for i in range(deep):
                    copy_vector(to + (k + i) * step, turned + i * LANE_BYTES, zero)


def _multiply_panels(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """This thread's share of the tiles of out = start + x y. See `_run` for the words."""
    m, n, k = word(args, 0), word(args, 1), word(args, 2)
    x, x_batch, x_row, x_column = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    y, y_batch, y_row, y_column = word(args, 7), word(args, 8), word(args, 9), word(args, 10)
    out, out_batch, out_row = word(args, 11), word(args, 12), word(args, 13)
    start, start_row, positive = word(args, 14), word(args, 15), word(args, 16)
    batch, bands, strips, depth = word(args, 17), word(args, 18), word(args, 19), word(args, 20)
    packed, space = word(args, 21), word(args, 22)
    zero = number(itemsize)
    lanes = LANE_BYTES // itemsize
    panel, step = width * lanes, width * LANE_BYTES
    mine = packed + thread * space
    blank, edge, stage = mine + depth * step, mine + (depth + 1) * step, mine + (depth + 1 + height) * step
    store_zeros(blank, width, LANE_BYTES, zero)
    tiles, panels = (m + height - 1) // height, (n + panel - 1) // panel
    pieces = batch * bands * strips
    for piece in range(thread * pieces // threads, (thread + 1) * pieces // threads):
        b, band, strip = piece // (bands * strips), piece // strips % bands, piece % strips
        first, last = tiles * band // bands * height, min(tiles * (band + 1) // bands * height, m)
        for j in range(panels * strip // strips, panels * (strip + 1) // strips):
            columns = min(panel, n - j * panel)
            begin = out + b * out_batch + j * panel * itemsize
            for k0 in range(0, max(k, 1), depth):
                deep = min(depth, k - k0)
                _pack(
                    y + b * y_batch + j * panel * y_column + k0 * y_row, y_row, y_column, deep, columns, mine, stage,
                    width, itemsize, zero,
                )  # fmt: skip
                base, base_row = begin, out_row
                if k0 == 0:
                    base, base_row = start + j * panel * itemsize, start_row
                    if start == 0:
                        base, base_row = blank, 0
                ends = positive if k0 + depth >= k else 0
                for i in range(first, last, height):
                    rows = min(height, last - i)
                    line = x + b * x_batch + i * x_row + k0 * x_column
                    if columns == panel:
                        multiply(
                            deep, line, x_row, x_column, rows, mine, base + i * base_row, base_row,
                            begin + i * out_row, out_row, ends, height, width, zero,
                        )  # fmt: skip
                    else:
                        for r in range(rows):
                            copy_bytes(edge + r * step, base + (i + r) * base_row, columns * itemsize)
                        multiply(
                            deep, line, x_row, x_column, rows, mine, edge, step, edge, step, ends, height, width, zero
                        )
                        for r in range(rows):
                            copy_bytes(begin + (i + r) * out_row, edge + r * step, columns * itemsize)


@jit(fastmath=SUMS)
def _rows_times(x: Array, y: Array, piece: int, out: Array) -> None:
    """x (n, k) times y (k,), a sum along each row."""
    for task in prange((len(x) + piece - 1) // piece):
        for i in range(task * piece, min((task + 1) * piece, len(x))):
            line, total = x[i], out.dtype.type(0)
            for j in range(line.size):
                total += line[j] * y[j]
            out[i] = total


@jit()
def _columns_times(x: Array, y: Array, piece: int, out: Array) -> None:
    """Transposed x (k, n), y (k,): a sum of rows, a piece of their columns in each task."""
    for task in prange((out.size + piece - 1) // piece):
        first, last = task * piece, min((task + 1) * piece, out.size)
        target = out[first:last]
        target[:] = 0
        for k in range(len(x)):
            line, factor = x[k, first:last], y[k]
            for j in range(target.size):
                target[j] += factor * line[j]


PIECE = 64  # rows of a matrix that a task multiplies by a vector
COLUMNS = 512


def _matvec(x: Array, y: Array) -> Array:
    """x (n, k), y (k,) -> out (n,)."""
    out = memory.empty(len(x), x.dtype)
    if x.flags.f_contiguous and not x.flags.c_contiguous and x.flags.aligned:
        _columns_times(readonly(x.T), readonly(y), COLUMNS, out)
    else:
        _rows_times(readonly(x), readonly(y), PIECE, out)
    return out


def matmul(x: Array, y: Array) -> Array:
    """x (..., n, k), y (..., k, m) -> out (..., n, m), the leading dims broadcast."""
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(f"matmul: x is {x.shape} and y is {y.shape}; x's last dim must equal y's second-last")
    if y.ndim == 2 and x.ndim > 2 and x.flags.c_contiguous:
        flat = matmul(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), y)
        return flat.reshape(*x.shape[:-1], y.shape[1])
    if x.ndim == y.ndim == 2 and y.shape[1] == 1:
        return _matvec(x, y[:, 0])[:, None]
    if x.ndim == y.ndim == 2 and len(x) == 1:
        return _matvec(y.T, x[0])[None]
    lead = () if x.ndim == y.ndim == 2 else np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    out = memory.empty((*lead, x.shape[-2], y.shape[-1]), x.dtype)
    if out.size:
        batch = math.prod(lead)
        _run(_stack(x, lead, batch), _stack(y, lead, batch), out.reshape(batch, *out.shape[-2:]), None, False)
    return out


def affine(x: Array, weight: Array, bias: Array, positive: bool) -> Array:
    """x (n, k), weight (m, k), bias (m,) -> x weightᵀ + bias (n, m), and of that max(0, .) if `positive`."""
    out = memory.empty((len(x), len(weight)), x.dtype)
    if out.size:
        bias = bias if bias.flags.c_contiguous and bias.flags.aligned else bias.copy()
        _run(_stack(x, (), 1), _stack(weight.T, (), 1), out[None], bias, positive)
    return out


def _stack(x: Array, lead: tuple[int, ...], batch: int) -> Array:
    """x as (batch, rows, columns), without a copy where its leading dims have one stride, or repeat as one."""
    if x.ndim == 2:
        x = x[None]
    elif x.shape[:-2] != lead or x.ndim != 3:
        x = np.broadcast_to(x, (*lead, *x.shape[-2:])).reshape(batch, *x.shape[-2:])
    _, row, column = x.strides
    return x if x.flags.aligned and min(row, column) >= 0 and x.itemsize in (row, column) else x.copy()


def _run(x: Array, y: Array, out: Array, bias: Array | None, positive: bool) -> None:
    """out (b, n, m) = x (b or 1, n, k) y (b or 1, k, m) + bias (m,)."""
    batch, n, m = out.shape
    k = x.shape[2]
    size = x.itemsize
    height, width = TILE if m * size > LANE_BYTES else (TILE[0], 1)
    panel = width * LANE_BYTES // size
    threads = get_threads() if batch * n * m * k >= PARALLEL else 1
    bands = strips = 1
    if batch < threads:
        tiles, panels = -(-n // height), -(-m // panel)
        if panels % threads == 0 or panels >= 8 * threads or tiles < 2 * threads:
            strips = min(threads, panels)
        else:
            bands = threads
    depth = -(-k // max(1, -(-k // DEPTH)))
    space = (depth + 1 + height) * width * LANE_BYTES + 2 * LANE_BYTES // size * LANE_BYTES
    scratch = memory.empty(threads * space + LANE_BYTES, np.uint8)
    begin = -(-address(scratch) // LANE_BYTES) * LANE_BYTES
    x_batch, x_row, x_column = _strides(x)
    y_batch, y_row, y_column = _strides(y)
    args = np.array(
        (
            n, m, k, address(x), x_batch, x_row, x_column, address(y), y_batch, y_row, y_column,
            address(out), n * m * size, m * size, 0 if bias is None else address(bias), 0, positive,
            batch, bands, strips, max(depth, 1), begin, space,
        ),
        np.int64,
    )  # fmt: skip
    launch(_multiply_panels, (size, height, width), args, threads)


def _strides(x: Array) -> tuple[int, int, int]:
    """Bytes from one matrix (0 if there is but one), row and column to the next."""
    return (0 if len(x) == 1 else x.strides[0]), x.strides[1], x.strides[2]
