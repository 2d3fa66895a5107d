"""The matrix product in register tiles: both cores, the CPU's widest vectors, any strides of x.

y is packed into panels of a tile's width, `DEPTH` rows at a time, which then stay in the L1 cache while the rows of x
pass by. A transposed y is turned by vector shuffles on the way. Each entry is a sum in the order of k, by one thread,
so the result does not depend on their number.

Source: Goto and van de Geijn (2008), Anatomy of high-performance matrix multiplication.
"""

from __future__ import annotations

import importlib
import math

import numpy as np

from .. import memory
from ..quiet import Array
from .address import address
from .cpu import LANE_BYTES, REGISTERS
from .native import get_threads, launch, readonly

DEPTH = 320  # rows of y in a packed panel: 40 KB of float32 with 64-byte vectors
PARALLEL = 400_000  # multiplications from which on threads pay

# (rows, vectors) of a tile: sums enough to hide the latency of a multiply-add, with registers left for a row of y.
TILE = (8, 2) if REGISTERS == 32 else (6, 2)
PIECE = 64  # rows of a matrix that a task multiplies by a vector
COLUMNS = 512


def _matvec(x: Array, y: Array) -> Array:
    """x (n, k), y (k,) -> out (n,)."""
    loops = importlib.import_module(f"{__package__}.products_loops")  # imports Numba
    out = memory.empty(len(x), x.dtype)
    if x.flags.f_contiguous and not x.flags.c_contiguous and x.flags.aligned:
        loops.columns_times(readonly(x.T), readonly(y), COLUMNS, out)
    else:
        loops.rows_times(readonly(x), readonly(y), PIECE, out)
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
    launch("products.multiply_panels", (size, height, width), args, threads)


def _strides(x: Array) -> tuple[int, int, int]:
    """Bytes from one matrix (0 if there is but one), row and column to the next."""
    return (0 if len(x) == 1 else x.strides[0]), x.strides[1], x.strides[2]
