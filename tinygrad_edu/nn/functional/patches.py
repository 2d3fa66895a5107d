"""Sliding windows as columns of a matrix, and back: im2col and col2im."""

from __future__ import annotations

from typing import Any

from tinygrad_edu import ops
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn.functional.checks import batched, floating, pair
from tinygrad_edu.nn.functional.shape import pad
from tinygrad_edu.tensor import Tensor

Pair = tuple[int, int]
_slide, _fold = ops.windows.sliding_windows, ops.windows.fold_windows


def _counts(name: str, size: Pair, kernel: Pair, dilation: Pair, padding: Pair, stride: Pair) -> Pair:
    """How many windows fit, down and across."""
    if min((*kernel, *dilation, *stride)) < 1 or min(padding) < 0:
        raise ShapeError(
            f"{name}: kernel_size {kernel}, dilation {dilation} and stride {stride} must be >= 1, and padding "
            f"{padding} >= 0"
        )
    counts = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(size, kernel, dilation, padding, stride, strict=True)
    ]
    if min(counts) < 1:
        raise ShapeError(
            f"{name}: Given input with spatial size {size}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, the windows do not fit: {tuple(counts)} of them"
        )
    return counts[0], counts[1]


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """All windows of an image as columns.

    x (n, c, h, w) or (c, h, w) -> (n, c · kh · kw, windows) or (c · kh · kw, windows)
    """
    x, has_batch = batched("unfold", input)
    options = [
        pair("unfold", value, what)
        for value, what in (
            (kernel_size, "kernel_size"),
            (dilation, "dilation"),
            (padding, "padding"),
            (stride, "stride"),
        )
    ]
    kernel, spread, around, step = options
    n, channels, h, w = x.array.shape
    rows, columns = _counts("unfold", (h, w), *options)
    x = pad(x, (around[1], around[1], around[0], around[0])) if any(around) else x
    for k in range(2):
        x = _slide(x, dimension=2 + k, size=spread[k] * (kernel[k] - 1) + 1, step=step[k])
        if spread[k] > 1:
            x = x[..., :: spread[k]]
    y = x.permute(0, 1, 4, 5, 2, 3).reshape((n, channels * kernel[0] * kernel[1], rows * columns))
    return y if has_batch else y.squeeze(0)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Every column added at the place of its window: the transpose of `unfold`.

    x (n, c · kh · kw, windows) or (c · kh · kw, windows) -> (n, c, *output_size) or (c, *output_size)
    """
    x = floating("fold", input)
    if x.ndim not in (2, 3):
        raise ShapeError(
            f"fold: Expected 2D (unbatched) or 3D (batched) input, (n, c · kh · kw, windows), got {tuple(x.shape)}"
        )
    has_batch, x = x.ndim == 3, x if x.ndim == 3 else x.unsqueeze(0)
    size = pair("fold", output_size, "output_size")
    options = [
        pair("fold", value, what)
        for value, what in (
            (kernel_size, "kernel_size"),
            (dilation, "dilation"),
            (padding, "padding"),
            (stride, "stride"),
        )
    ]
    kernel, spread, around, step = options
    rows, columns = _counts("fold", size, *options)
    n, length, windows = x.array.shape
    if length % (kernel[0] * kernel[1]) or windows != rows * columns:
        raise ShapeError(
            f"fold: x is {tuple(input.shape)}; its second-last dim must be divisible by the product of kernel_size "
            f"{kernel} and its last must be {rows} x {columns} = {rows * columns} windows for output_size {size}"
        )
    channels = length // (kernel[0] * kernel[1])
    x = x.reshape((n, channels, *kernel, rows, columns)).permute(0, 1, 4, 5, 2, 3)
    padded = [s + 2 * p for s, p in zip(size, around, strict=True)]
    # x (n, c, rows, columns, kh, kw): first across, then down
    x = _folded(x, (n, channels, rows, padded[1], kernel[0]), 3, spread[1], step[1])
    x = _folded(x, (n, channels, padded[0], padded[1]), 2, spread[0], step[0])
    y = x[:, :, around[0] : around[0] + size[0], around[1] : around[1] + size[1]]
    return y if has_batch else y.squeeze(0)


def _folded(x: Tensor, shape: tuple[int, ...], dim: int, dilation: int, step: int) -> Tensor:
    """The windows in the last dim added along `dim`, with gaps between their entries if dilated."""
    if dilation > 1:
        span = (*x.array.shape[:-1], dilation * (x.array.shape[-1] - 1) + 1)
        x = ops.indexing.index_scatter(x, shape=span, index=(..., slice(None, None, dilation)))
    return _fold(x, shape=shape, dimension=dim, step=step)
