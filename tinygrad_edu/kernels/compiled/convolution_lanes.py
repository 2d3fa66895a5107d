"""Convolution with one image in each SIMD lane: no width leaves lanes empty, and no product is wasted on a border.

A task takes a block of images (16 in float32 with AVX-512) and a chunk of rows. It transposes them into a scratch
(channel, row, column, lane) that stays in the L2 cache, runs register tiles over it, and transposes the result back.
`convolution_plan` says where everything is; tables hold byte offsets into the scratch.

Each image passes through a small stage, since a power of two between images puts their rows into one cache set:
transposing from and to the arrays themselves took 3 times as long at (64, 32, 32, 32).
"""

from __future__ import annotations

import numpy as np

from .. import memory
from ..quiet import Array
from ..windows import Pair, Shape, conv_shape
from .address import address
from .convolution_plan import Geometry, Plan, forward_plan, input_grad_plan, weight_grad_plan
from .cpu import LANE_BYTES
from .native import get_threads, launch, readonly

PARALLEL = 2_000_000  # multiplications (20 us on one core) from which on threads pay, asleep or not


def conv2d(
    x: Array,
    weight: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    bias: Array | None = None,
    positive: bool = False,
) -> Array:
    """x (n, c, h, w), weight (o, c/groups, kh, kw), bias (o,) -> (n, o, oh, ow)."""
    out = memory.empty(conv_shape("conv2d", x.shape, weight.shape, stride, padding, dilation, groups), x.dtype)
    if out.size:
        plan = forward_plan(Geometry(x.shape, weight.shape, stride, padding, dilation, groups, x.itemsize))
        _weigh(plan, x, weight, bias, positive, out)
    return out


def conv2d_input_grad(
    grad: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow), weight (o, c/groups, kh, kw), all finite -> (n, c, h, w)."""
    out = memory.empty(x_shape, grad.dtype)
    if out.size:
        g = Geometry(x_shape, weight.shape, stride, padding, dilation, groups, grad.itemsize)
        _weigh(input_grad_plan(g), grad, weight, None, False, out)
    return out


def _weigh(plan: Plan, source: Array, weight: Array, bias: Array | None, positive: bool, out: Array) -> None:
    source, packed = readonly(source), weight.reshape(plan.groups, -1).take(plan.order, axis=1)
    channels = out.shape[1] // plan.groups
    biases = np.zeros((plan.groups, -(-channels // plan.tile[0]) * plan.tile[0]), out.dtype)
    if bias is not None:
        biases[:, :channels] = bias.reshape(plan.groups, channels)
    arrays = (source, packed, biases, out, plan.rows, plan.tiles, plan.taps)
    _run("weigh_images", plan, out.itemsize, arrays, (plan.tiles.shape[1], positive))


def conv2d_weight_grad(
    grad: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow), x (n, c, h, w) -> (o, c/groups, kh, kw)."""
    o, count = weight_shape[0], int(np.prod(weight_shape[1:]))
    if not (grad.size and x.size and count):
        return np.zeros(weight_shape, grad.dtype)
    plan = weight_grad_plan(Geometry(x.shape, weight_shape, stride, padding, dilation, groups, x.itemsize))
    totals = np.zeros(plan.totals)
    _run("correlate_images", plan, x.itemsize, (readonly(grad), readonly(x), totals, plan.taps), ())
    # Beyond the last channel and tap, a tile holds what was in memory before: it must not even be added.
    with np.errstate(all="ignore"):
        total = totals[:, :, : o // groups, :count].sum(axis=1)  # in the order of the slices
        out: Array = total.astype(grad.dtype).reshape(weight_shape)
    return out


def _run(kernel: str, plan: Plan, itemsize: int, arrays: tuple[Array, ...], more: tuple[int, ...]) -> None:
    threads = get_threads() if plan.multiplications >= PARALLEL else 1
    scratch = memory.empty(threads * plan.scratch + LANE_BYTES, np.uint8)
    begin = -(-address(scratch) // LANE_BYTES) * LANE_BYTES
    args = np.array((*plan.words, *(address(array) for array in arrays), *more, begin), np.int64)
    launch(f"convolution.{kernel}", (itemsize, *plan.tile), args, threads)
