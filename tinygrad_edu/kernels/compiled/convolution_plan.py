"""Where everything is when one image is in each SIMD lane: the tables that `convolution_lanes` walks, per geometry.

Plans know shapes only, no values, and are kept: a network asks for the same few again and again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from ..quiet import Array
from ..windows import Pair, Shape, conv_output_size
from .cpu import LANE_BYTES, REGISTERS

SCRATCH = 12_288 * LANE_BYTES  # bytes of a chunk, in and out: three quarters of the L2 cache of CPUs with such vectors
SLICES = 16  # partial sums of a weight gradient, whatever the number of threads

# (channels, pixels) of a tile, and (channels, taps): sums enough to hide the latency of a multiply-add, and registers
# left for what is multiplied. With 32 registers (8, 2), (8, 3), (6, 4), (4, 4), (12, 2) all reached 248-258 GFLOP/s on
# one Zen 5 core, so few serve, those that waste least at common widths; the tiles of few sums were not measured alone.
WEIGH_TILES = ((8, 2), (6, 2), (3, 4), (1, 8)) if REGISTERS == 32 else ((4, 3), (6, 2), (3, 4), (1, 8))
CORRELATE_TILES = ((4, 6), (6, 4)) if REGISTERS == 32 else ((4, 3), (3, 4))

NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class Geometry:
    """A convolution's shapes and options."""

    x: Shape
    weight: Shape
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    itemsize: int

    @property
    def out(self) -> Pair:
        """Rows and columns of the output."""
        (h, w), (kh, kw) = self.x[2:], self.weight[2:]
        return (
            conv_output_size(h, kh, self.stride[0], self.padding[0], self.dilation[0]),
            conv_output_size(w, kw, self.stride[1], self.padding[1], self.dilation[1]),
        )

    @property
    def multiplications(self) -> int:
        """In each of the three products, at the border too."""
        return self.x[0] * math.prod(self.out) * math.prod(self.weight)

    @property
    def blocks(self) -> int:
        """How many times the lanes are filled with images."""
        lanes = LANE_BYTES // self.itemsize
        return -(-self.x[0] // lanes)


@dataclass(frozen=True)
class Plan:
    """One product's tables, and the words its kernel starts with."""

    words: tuple[int, ...]
    taps: Array  # bytes from a pixel to what it is multiplied with
    tile: Pair
    scratch: int  # bytes for each thread
    multiplications: int
    groups: int
    rows: Array  # for each row of the output: first row and end of its sources, own row, taps skipped, taps, class
    tiles: Array  # for each tile along a row: bytes to its source and result, taps in a kernel row, first taps
    order: Array  # (parts, taps, channels of a tile): which weight of a group
    totals: Shape = ()


def _frozen(values: Any) -> Array:
    table = np.ascontiguousarray(values, np.int64)
    table.flags.writeable = False
    return table


def _fewest(tiles: tuple[Pair, ...], channels: int, others: int) -> Pair:
    """The tile that computes the fewest sums beyond channels x others, the first of equals."""
    return min(tiles, key=lambda tile: -(-channels // tile[0]) * tile[0] * -(-others // tile[1]) * tile[1])


def _chunk(rows: int, bytes_each: int, fixed: int, budget: int) -> int:
    """How many rows fit the budget, evened out over the chunks."""
    most = max(1, (budget - fixed) // bytes_each)
    chunks = -(-rows // most)
    return -(-rows // chunks)


def _run(pixels: int, itemsize: int) -> int:
    """Bytes of an image's row in the stage: some to spare, and an odd number of vectors, to use all cache sets."""
    return (pixels * itemsize // LANE_BYTES + 2 | 1) * LANE_BYTES


@lru_cache(maxsize=256)
def forward_plan(g: Geometry) -> Plan:
    """For conv2d."""
    (n, _, h, w), (o_all, c, kh, kw), (oh, ow) = g.x, g.weight, g.out
    (sh, sw), (ph, pw), (dh, dw) = g.stride, g.padding, g.dilation
    o = o_all // g.groups
    tile = _fewest(WEIGH_TILES, o, ow)
    parts = -(-o // tile[0])
    pitch = w + 2 * pw
    reach = (kh - 1) * dh + 1
    chunk = _chunk(oh, LANE_BYTES * (c * sh * pitch + o * ow), LANE_BYTES * c * pitch * reach, SCRATCH)
    chunks = -(-oh // chunk)
    deepest = (chunk - 1) * sh + reach
    plane = chunk * ow + tile[1]
    vectors_in = c * deepest * pitch + LANE_BYTES + tile[1] * sw
    size = (vectors_in + parts * tile[0] * plane + LANE_BYTES) * LANE_BYTES
    run = _run(max(deepest * w, chunk * ow), g.itemsize)
    rows = [(y * sh - ph, y * sh - ph + reach, y * sh - ph, 0, kh, 0) for y in range(oh)]
    tiles = [(x * sw * LANE_BYTES, x * LANE_BYTES, c * kw, 0) for x in range(0, ow, tile[1])]
    ky, channel, kx = np.meshgrid(np.arange(kh), np.arange(c), np.arange(kw), indexing="ij")
    taps = ((channel * deepest + ky * dh) * pitch + kx * dw).ravel() * LANE_BYTES
    within = ((channel * kh + ky) * kw + kx).ravel()  # in the kernel of one output channel
    order = np.minimum(np.arange(parts * tile[0]), o - 1).reshape(parts, 1, tile[0]) * (c * kh * kw) + within[:, None]
    space = size + run * (LANE_BYTES // g.itemsize)
    words = (
        n, g.groups, g.blocks, chunks, chunk, c, h, w, o, oh, ow, pw, pitch, deepest, sw * LANE_BYTES, LANE_BYTES,
        parts, len(taps), len(tiles), plane, vectors_in * LANE_BYTES, size, run, space,
    )  # fmt: skip
    return Plan(
        words, _frozen(taps), tile, space, g.multiplications, g.groups, _frozen(rows), _frozen(tiles), _frozen(order)
    )


@lru_cache(maxsize=256)
def input_grad_plan(g: Geometry) -> Plan:
    """For the input gradient, a sum over the taps that reach a pixel.

    With a stride s, output pixel j and tap k reach pixel i of the input where i + p = j s + k d. So pixels whose
    (i + p) mod s agree share their taps, and neighbours among them read neighbours of the gradient.
    """
    (n, _, h, w), (o_all, c, kh, kw), (oh, ow) = g.x, g.weight, g.out
    (sh, sw), (ph, pw), (dh, dw) = g.stride, g.padding, g.dilation
    o = o_all // g.groups
    tile = _fewest(WEIGH_TILES, c, -(-w // sw))
    parts = -(-c // tile[0])
    left = max(0, -((pw - (kw - 1) * dw) // sw))
    pitch = left + max(ow, (w - 1 + pw) // sw + 1)
    reach = (kh - 1) * dh // sh + 2
    chunk = _chunk(h, LANE_BYTES * (-(-o * pitch // sh) + c * w), LANE_BYTES * o * pitch * reach, SCRATCH)
    chunks = -(-h // chunk)
    deepest = (chunk - 1) // sh + 1 + reach
    plane = chunk * w + tile[1] * sw
    vectors_in = o * deepest * pitch + LANE_BYTES + tile[1]
    size = (vectors_in + parts * tile[0] * plane + LANE_BYTES) * LANE_BYTES
    run = _run(max(deepest * ow, chunk * w), g.itemsize)

    kys = [[k for k in range(kh) if (k * dh - r) % sh == 0] for r in range(sh)]
    kxs = [[k for k in range(kw) if (k * dw - r) % sw == 0] for r in range(sw)]
    taps: list[int] = []  # in vectors
    within: list[int] = []  # in the kernels of one input channel
    starts = {}
    for ry, rx in product(range(sh), range(sw)):
        starts[ry, rx] = len(taps)
        for ky, out, kx in product(kys[ry], range(o), kxs[rx]):
            taps.append((out * deepest + (ry - ky * dh) // sh) * pitch + (rx - kx * dw) // sw)
            within.append((out * c * kh + ky) * kw + kx)
    rows = []
    for y in range(h):
        base, ry = (y + ph) // sh, (y + ph) % sh
        inside = [0 <= base + (ry - ky * dh) // sh < oh for ky in kys[ry]]
        start = max(0, base - reach + 1)
        skipped = inside.index(True) if True in inside else 0
        rows.append((start, max(start, min(oh, base + 1)), base, skipped, sum(inside), ry))
    tiles = []
    for rx in range(sw):
        first = (rx - pw) % sw
        for x in range(first, w, sw * tile[1]):
            column = left + (x + pw) // sw
            tiles.append((column * LANE_BYTES, x * LANE_BYTES, o * len(kxs[rx]), *(starts[ry, rx] for ry in range(sh))))
    channel = np.minimum(np.arange(parts * tile[0]), c - 1).reshape(parts, 1, tile[0]) * (kh * kw)
    order = channel + np.array(within, np.int64).reshape(-1, 1)
    space = size + run * (LANE_BYTES // g.itemsize)
    words = (
        n, g.groups, g.blocks, chunks, chunk, o, oh, ow, c, h, w, left, pitch, deepest, LANE_BYTES, sw * LANE_BYTES,
        parts, len(taps), len(tiles), plane, vectors_in * LANE_BYTES, size, run, space,
    )  # fmt: skip
    taps_at = _frozen(np.array(taps, np.int64) * LANE_BYTES)
    return Plan(words, taps_at, tile, space, g.multiplications, g.groups, _frozen(rows), _frozen(tiles), _frozen(order))


@lru_cache(maxsize=256)
def weight_grad_plan(g: Geometry) -> Plan:
    """For the weight gradient."""
    (n, _, h, w), (o_all, c, kh, kw), (oh, ow) = g.x, g.weight, g.out
    (sh, sw), (ph, pw), (dh, dw) = g.stride, g.padding, g.dilation
    o, count = o_all // g.groups, c * kh * kw
    tile = _fewest(CORRELATE_TILES, o, count)
    parts, places = -(-o // tile[0]), -(-count // tile[1]) * tile[1]
    pitch = w + 2 * pw
    reach = (kh - 1) * dh + 1
    # of the gradient, one tile of channels stays in the L1 cache; of x, all of the chunk in L2
    chunk = _chunk(oh, LANE_BYTES * tile[0] * ow, 0, 49_152 if LANE_BYTES == 64 else 24_576)
    chunk = min(chunk, _chunk(oh, LANE_BYTES * (c * sh * pitch + o * ow), LANE_BYTES * c * pitch * reach, SCRATCH))
    chunks = -(-oh // chunk)
    deepest = (chunk - 1) * sh + reach
    plane = chunk * ow * tile[0]
    vectors_in = c * deepest * pitch + LANE_BYTES
    size = (vectors_in + parts * plane + tile[0] * LANE_BYTES) * LANE_BYTES
    run = _run(max(deepest * w, chunk * ow), g.itemsize)
    channel, ky, kx = np.meshgrid(np.arange(c), np.arange(kh), np.arange(kw), indexing="ij")
    taps = np.zeros(places, np.int64)
    taps[:count] = ((channel * deepest + ky * dh) * pitch + kx * dw).ravel() * LANE_BYTES
    space = size + run * (LANE_BYTES // g.itemsize)
    shape = (g.groups, min(g.blocks * chunks, SLICES), parts * tile[0], places)
    words = (
        n, g.groups, g.blocks, chunks, chunk, c, h, w, o, oh, ow, pw, pitch, deepest, sh, sw * LANE_BYTES, reach, ph,
        shape[1], places, plane, shape[2] * places * 8, vectors_in * LANE_BYTES, size, run, space,
    )  # fmt: skip
    return Plan(words, _frozen(taps), tile, space, g.multiplications, g.groups, NONE, NONE, NONE, shape)
