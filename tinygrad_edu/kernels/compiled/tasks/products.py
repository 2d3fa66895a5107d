"""The matrix product in register tiles: see `products`."""

from __future__ import annotations

from ..cpu import LANE_BYTES
from ..lanes import copy_bytes, number, store_zeros, transpose, word
from ..tiles import copy_vector, multiply
from .views import helper


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


def multiply_panels(args: int, thread: int, threads: int, itemsize: int, height: int, width: int) -> None:
    """This thread's share of the tiles of out = start + x y. See `_run` in `products` for the words."""
    m, n, k = word(args, 0), word(args, 1), word(args, 2)
    x, x_batch, x_row, x_column = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    y, y_batch, y_row, y_column = word(args, 7), word(args, 8), word(args, 9), word(args, 10)
    out, out_batch, out_row = word(args, 11), word(args, 12), word(args, 13)
    start, start_row, positive = word(args, 14), word(args, 15), word(args, 16)
    batch, bands, strips, depth = word(args, 17), word(args, 18), word(args, 19), max(word(args, 20), 1)
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
