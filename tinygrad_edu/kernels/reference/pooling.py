"""Max and average pooling over windows of the last two dims: x (n, c, h, w) -> (n, c, oh, ow)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..quiet import Array, silent
from ..windows import Pair, Shape, pool_shape


def _frame(x: Array, out: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, fill: float) -> Array:
    """x inside as much `fill` as its windows reach: the padding, and with ceil_mode some more after the end."""
    widths = [(0, 0), (0, 0)]
    for i in range(2):
        reach = (out[2 + i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
        widths.append((padding[i], max(0, reach - padding[i] - x.shape[2 + i])))
    return np.pad(x, widths, constant_values=fill)


def _taps(out: Shape, kernel: Pair, stride: Pair, dilation: Pair) -> Iterator[tuple[slice, slice]]:
    """For each place in the window, row by row, the framed input's pixels there: one for each window."""
    for k in range(kernel[0]):
        for m in range(kernel[1]):
            top, left = k * dilation[0], m * dilation[1]
            yield (
                slice(top, top + (out[2] - 1) * stride[0] + 1, stride[0]),
                slice(left, left + (out[3] - 1) * stride[1] + 1, stride[1]),
            )


@silent
def max_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, Array]:
    """The largest element of each window, and where it stands (int64, row * w + column of its input plane).

    The first of equals; a NaN is larger than all, and of several the last, as in PyTorch. Padding never wins.
    """
    out = pool_shape("max_pool2d", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    plane = np.arange(x.shape[2] * x.shape[3]).reshape(1, 1, *x.shape[2:])
    values = _frame(x, out, kernel_size, stride, padding, dilation, fill=-np.inf)
    positions = _frame(plane, out, kernel_size, stride, padding, dilation, fill=-1)
    best = np.full(out, -np.inf, x.dtype)
    indices = np.full(out, -1, np.int64)
    for rows, columns in _taps(out, kernel_size, stride, dilation):
        value, position = values[:, :, rows, columns], positions[:, :, rows, columns]
        better = (position >= 0) & ((indices < 0) | (value > best) | np.isnan(value))
        best = np.where(better, value, best)
        indices = np.where(better, position, indices)
    return best, indices


def max_pool2d_backward(grad: Array, indices: Array, x_shape: Shape, in_twos: bool) -> Array:
    """Add each gradient (n, c, oh, ow) to the element it came from -> (n, c, h, w); windows may overlap.

    in_twos: that they are 2 x 2, side by side, which is of no use here.
    """
    n, c, h, w = x_shape
    first = (np.arange(n * c) * (h * w)).reshape(n, c, 1, 1)  # of each plane
    total = np.bincount((first + indices).ravel(), weights=grad.ravel(), minlength=n * c * h * w)  # adds in float64
    return total.reshape(x_shape).astype(grad.dtype)


def max_pool2d_gather(x: Array, indices: Array) -> Array:
    """The elements of x (n, c, h, w) that the indices (n, c, oh, ow) name: the derivative of the scatter above."""
    (n, c, h, w), (oh, ow) = x.shape, indices.shape[2:]
    picked = np.take_along_axis(x.reshape(n, c, h * w), indices.reshape(n, c, oh * ow), axis=2)
    return np.reshape(picked, indices.shape)


def divisor(
    x_shape: Shape, out: Shape, kernel: Pair, stride: Pair, padding: Pair, include_pad: bool, override: int | None
) -> Array:
    """How many elements each window (oh, ow) averages: those in the input, or in its padding too."""
    if override is not None:
        return np.full(out[2:], float(override))
    counts = []
    for i in range(2):
        start = np.arange(out[2 + i]) * stride[i] - padding[i]
        end = np.minimum(start + kernel[i], x_shape[2 + i] + padding[i])  # not the part that ceil_mode adds
        if not include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, x_shape[2 + i])
        counts.append(np.maximum(end - start, 0))
    sizes: Array = np.outer(counts[0], counts[1])
    return np.maximum(sizes, 1).astype(np.float64)


@silent
def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """The sum of each window over its divisor: `divisor_override`, or the elements counted with or without padding."""
    out = pool_shape("avg_pool2d", x.shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    framed = _frame(x, out, kernel_size, stride, padding, (1, 1), fill=0)
    total = np.zeros(out, np.float64)
    for rows, columns in _taps(out, kernel_size, stride, (1, 1)):
        total += framed[:, :, rows, columns]
    counts = divisor(x.shape, out, kernel_size, stride, padding, count_include_pad, divisor_override)
    return np.asarray(total / counts, x.dtype)


@silent
def avg_pool2d_backward(
    grad: Array,
    x_shape: Shape,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Share each gradient (n, c, oh, ow) among its window's elements -> (n, c, h, w)."""
    out = grad.shape
    framed = _frame(np.zeros(x_shape, np.float64), out, kernel_size, stride, padding, (1, 1), fill=0)
    share = grad / divisor(x_shape, out, kernel_size, stride, padding, count_include_pad, divisor_override)
    for rows, columns in _taps(out, kernel_size, stride, (1, 1)):
        framed[:, :, rows, columns] += share
    (top, left), (h, w) = padding, x_shape[2:]
    return framed[:, :, top : top + h, left : left + w].astype(grad.dtype)
