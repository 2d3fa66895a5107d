"""The products of a convolution with one image in each SIMD lane: see `convolution_lanes` and `convolution_plan`."""

from __future__ import annotations

from ..cpu import LANE_BYTES
from ..lanes import copy_bytes, correlate, number, store_zeros, transpose, weigh, word
from .views import helper


@helper  # type: ignore[untyped-decorator]
def _fill(
    source: int, stride: int, images: int, channels: int, height: int, width: int, start: int, rows: int,
    left: int, pitch: int, target: int, plane: int, tile: int, stage: int, run: int, itemsize: int, zero: float,
) -> None:  # fmt: skip
    """Rows [start, start + rows) of some images into lanes: zeros where there is no row, and around each row.

    source, stride: the address of the first image, and bytes from one to the next. Channels go `tile` at a time:
    vector c % tile of pixel p of tile c // tile is at target + (c // tile * plane + p * tile + c % tile) vectors. A
    row's last vectors may spill into what is written after it.
    """
    lanes = LANE_BYTES // itemsize
    step = tile * LANE_BYTES
    first = min(max(0, -start), rows)
    last = max(first, min(rows, height - start))  # those inside the image
    inside = (last - first) * width
    lines, line = last - first, width
    if left == 0 and pitch == width:
        lines, line = min(lines, 1), inside  # the rows follow each other: one long row
    for i in range(images, lanes):
        store_zeros(stage + i * run, run // LANE_BYTES, LANE_BYTES, zero)
    for c in range(channels):
        base = target + (c // tile * plane + c % tile) * LANE_BYTES
        origin = source + ((c * height + start + first) * width) * itemsize
        for i in range(images):
            copy_bytes(stage + i * run, origin + i * stride, inside * itemsize)
        store_zeros(base, first * pitch, step, zero)
        for y in range(lines):
            to = base + (first + y) * pitch * step
            store_zeros(to, left, step, zero)
            for j in range(0, line, lanes):
                transpose(stage + (y * width + j) * itemsize, run, to + (left + j) * step, step, zero)
            store_zeros(to + (left + line) * step, pitch - left - line, step, zero)
        store_zeros(base + last * pitch * step, (rows - last) * pitch, step, zero)


@helper  # type: ignore[untyped-decorator]
def _drain(
    source: int, plane: int, target: int, stride: int, images: int, channels: int, area: int, count: int,
    stage: int, run: int, itemsize: int, zero: float,
) -> None:  # fmt: skip
    """`count` pixels of each channel out of lanes. A channel has `plane` vectors at source, area pixels at target."""
    lanes = LANE_BYTES // itemsize
    for c in range(channels):
        for j in range(0, count, lanes):
            transpose(source + (c * plane + j) * LANE_BYTES, LANE_BYTES, stage + j * itemsize, run, zero)
        for i in range(images):
            copy_bytes(target + c * area * itemsize + i * stride, stage + i * run, count * itemsize)


def weigh_images(args: int, thread: int, threads: int, itemsize: int, channels: int, pixels: int) -> None:
    """This thread's share of: each output pixel is the weighted sum of its taps. See WEIGH in `convolution_plan`."""
    images, groups, blocks, chunks, chunk = word(args, 0), word(args, 1), word(args, 2), word(args, 3), word(args, 4)
    c_in, h_in, w_in = word(args, 5), word(args, 6), word(args, 7)
    c_out, h_out, w_out = word(args, 8), word(args, 9), word(args, 10)
    left, pitch, deepest, step, spacing = word(args, 11), word(args, 12), word(args, 13), word(args, 14), word(args, 15)
    parts, tap_count, tile_count, plane = word(args, 16), word(args, 17), word(args, 18), word(args, 19)
    result, stage, run, space = word(args, 20), word(args, 21), word(args, 22), word(args, 23)
    source, weights, biases, target = word(args, 24), word(args, 25), word(args, 26), word(args, 27)
    rows, tiles, taps, entry, positive = word(args, 28), word(args, 29), word(args, 30), word(args, 31), word(args, 32)
    scratch = word(args, 33) + thread * space
    result, stage = scratch + result, scratch + stage
    zero = number(itemsize)
    in_image, out_image = c_in * h_in * w_in * itemsize, c_out * h_out * w_out * itemsize
    tasks, lanes = groups * blocks * chunks, LANE_BYTES // itemsize
    for task in range(thread * tasks // threads, (thread + 1) * tasks // threads):
        y0, block, group = task % chunks * chunk, task // chunks % blocks, task // (chunks * blocks)
        y1, first = min(y0 + chunk, h_out), block * lanes
        here = min(lanes, images - first)
        start, end = word(rows, 6 * y0), word(rows, 6 * (y1 - 1) + 1)
        _fill(
            source + (first * groups + group) * in_image, groups * in_image, here, c_in, h_in, w_in, start, end - start,
            left, pitch, scratch, deepest * pitch, 1, stage, run, itemsize, zero,
        )  # fmt: skip
        for y in range(y0, y1):
            row = rows + 48 * y
            line = scratch + (word(row, 2) - start) * pitch * LANE_BYTES
            to = result + (y - y0) * w_out * LANE_BYTES
            for q in range(tile_count):
                tile = tiles + q * entry * 8
                each = word(tile, 2)
                at = word(tile, 3 + word(row, 5)) + word(row, 3) * each
                for part in range(parts):
                    weigh(
                        word(row, 4) * each,
                        weights + ((group * parts + part) * tap_count + at) * channels * itemsize,
                        taps + at * 8,
                        line + word(tile, 0),
                        step,
                        biases + (group * parts + part) * channels * itemsize,
                        positive,
                        to + word(tile, 1) + part * channels * plane * LANE_BYTES,
                        plane * LANE_BYTES,
                        spacing,
                        channels,
                        pixels,
                        zero,
                    )
        _drain(
            result, plane, target + (first * groups + group) * out_image + y0 * w_out * itemsize, groups * out_image,
            here, c_out, h_out * w_out, (y1 - y0) * w_out, stage, run, itemsize, zero,
        )  # fmt: skip


def correlate_images(args: int, thread: int, threads: int, itemsize: int, channels: int, places: int) -> None:
    """This thread's slices of the weight gradient. See CORRELATE in `convolution_plan`."""
    images, groups, blocks, chunks, chunk = word(args, 0), word(args, 1), word(args, 2), word(args, 3), word(args, 4)
    c_in, h_in, w_in = word(args, 5), word(args, 6), word(args, 7)
    c_out, h_out, w_out = word(args, 8), word(args, 9), word(args, 10)
    left, pitch, deepest, row_step, step = (
        word(args, 11),
        word(args, 12),
        word(args, 13),
        word(args, 14),
        word(args, 15),
    )
    reach, top, slices, tap_count, plane = (
        word(args, 16),
        word(args, 17),
        word(args, 18),
        word(args, 19),
        word(args, 20),
    )
    slice_size, grads, stage, run, space = (
        word(args, 21),
        word(args, 22),
        word(args, 23),
        word(args, 24),
        word(args, 25),
    )
    grad, source, totals, taps = word(args, 26), word(args, 27), word(args, 28), word(args, 29)
    scratch = word(args, 30) + thread * space
    grads, stage = scratch + grads, scratch + stage
    zero = number(itemsize)
    in_image, out_image = c_in * h_in * w_in * itemsize, c_out * h_out * w_out * itemsize
    lanes, tasks, pieces = LANE_BYTES // itemsize, blocks * chunks, groups * slices
    for piece in range(thread * pieces // threads, (thread + 1) * pieces // threads):
        group, part = piece // slices, piece % slices
        total = totals + piece * slice_size
        for task in range(part * tasks // slices, (part + 1) * tasks // slices):
            y0, first = task % chunks * chunk, task // chunks * lanes
            here, rows = min(lanes, images - first), min(chunk, h_out - y0)
            _fill(
                source + (first * groups + group) * in_image, groups * in_image, here, c_in, h_in, w_in,
                y0 * row_step - top, (rows - 1) * row_step + reach, left, pitch, scratch, deepest * pitch, 1, stage,
                run, itemsize, zero,
            )  # fmt: skip
            _fill(
                grad + (first * groups + group) * out_image, groups * out_image, here, c_out, h_out, w_out, y0, rows, 0,
                w_out, grads, plane, channels, stage, run, itemsize, zero,
            )  # fmt: skip
            for o in range(0, c_out, channels):
                for k in range(0, tap_count, places):
                    correlate(
                        rows,
                        w_out,
                        grads + o // channels * plane * LANE_BYTES,
                        scratch,
                        row_step * pitch * LANE_BYTES,
                        step,
                        taps + k * 8,
                        total + (o * tap_count + k) * 8,
                        tap_count * 8,
                        channels,
                        places,
                        zero,
                    )
