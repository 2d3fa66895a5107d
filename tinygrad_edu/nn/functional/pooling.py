"""Pooling: the largest entry or the mean of each window."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import kernels, ops
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import plain
from tinygrad_edu.nn.functional.checks import as_images, batched, pair, single
from tinygrad_edu.tensor import Tensor

_max_pool2d, _avg_pool2d = ops.pooling.max_pool2d, ops.pooling.avg_pool2d


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest entry of each window.  x (n, c, h, w) or (c, h, w) -> y (..., oh, ow); stride: default kernel_size.

    return_indices: also the flat place of each in its plane, int64.
    Raises ShapeError when a window does not fit.
    """
    x, has_batch = batched("max_pool2d", input)
    options = (
        pair("max_pool2d", kernel_size, "kernel_size"),
        pair("max_pool2d", kernel_size if stride is None or stride == () else stride, "stride"),
        pair("max_pool2d", padding, "padding"),
        pair("max_pool2d", dilation, "dilation"),
        ceil_mode,
    )
    y = _max_pool2d(x, *options)
    y = y if has_batch else y.squeeze(0)
    if not return_indices:
        return y
    indices = plain(kernels.max_pool2d(x.array, *options)[1].astype(np.int64))
    return y, indices if has_batch else indices.squeeze(0)


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest entry of each window: a `max_pool2d` of height 1.  x (n, c, l) or (c, l) -> y (..., ol)"""
    name = "max_pool1d"
    out = max_pool2d(
        as_images(name, input),
        (1, single(name, kernel_size, "kernel_size")),
        (1, single(name, kernel_size if stride is None or stride == () else stride, "stride")),
        (0, single(name, padding, "padding")),
        (1, single(name, dilation, "dilation")),
        ceil_mode,
        return_indices,
    )
    return (out[0].squeeze(-2), out[1].squeeze(-2)) if return_indices else out.squeeze(-2)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window: an `avg_pool2d` of height 1.  x (n, c, l) or (c, l) -> y (..., ol)"""
    name = "avg_pool1d"
    y = avg_pool2d(
        as_images(name, input),
        (1, single(name, kernel_size, "kernel_size")),
        (1, single(name, kernel_size if stride is None or stride == () else stride, "stride")),
        (0, single(name, padding, "padding")),
        ceil_mode,
        count_include_pad,
    )
    return y.squeeze(-2)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.  x (n, c, h, w) or (c, h, w) -> y (..., oh, ow); stride: default kernel_size."""
    x, has_batch = batched("avg_pool2d", input)
    y = _avg_pool2d(
        x,
        pair("avg_pool2d", kernel_size, "kernel_size"),
        pair("avg_pool2d", kernel_size if stride is None or stride == () else stride, "stride"),
        pair("avg_pool2d", padding, "padding"),
        ceil_mode,
        count_include_pad,
        divisor_override,
    )
    return y if has_batch else y.squeeze(0)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of windows that share the image as evenly as possible, so that y has `output_size`.

    Window i of o covers the rows from ⌊i h / o⌋ to ⌈(i + 1) h / o⌉: the mean is a product with a matrix of weights.
    """
    x, has_batch = batched("adaptive_avg_pool2d", input)
    h, w = x.array.shape[2:]
    oh, ow = _adaptive_sizes("adaptive_avg_pool2d", x, output_size)
    if oh and ow and h % oh == 0 and w % ow == 0:
        y = _avg_pool2d(x, (h // oh, w // ow), (h // oh, w // ow))
    else:
        rows, columns = (plain(_windows(n, o).astype(x.array.dtype)) for n, o in ((h, oh), (w, ow)))
        y = rows @ x @ columns.T
    return y if has_batch else y.squeeze(0)


def _adaptive_sizes(name: str, x: Tensor, output_size: Any) -> tuple[int, int]:
    """The sizes asked for; None keeps the input's."""
    h, w = x.array.shape[2:]
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(wanted) != 2 or not all(o is None or isinstance(o, int) for o in wanted):
        raise TypeError(f"{name}: output_size must be an int, None or two of them, got {output_size!r}")
    oh, ow = (n if o is None else o for o, n in zip(wanted, (h, w), strict=True))
    if min(oh, ow) < 0 or min(h, w) == 0:
        raise ShapeError(f"{name}: output_size {(oh, ow)} does not fit the input {tuple(x.shape)}")
    return oh, ow


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The means of windows that share the sequence as evenly as possible.  x (n, c, l) or (c, l) -> y (..., o)"""
    name = "adaptive_avg_pool1d"
    return adaptive_avg_pool2d(as_images(name, input), (1, single(name, output_size, "output_size"))).squeeze(-2)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest entries of windows that share the sequence evenly.  x (n, c, l) or (c, l) -> y (..., o)"""
    name = "adaptive_max_pool1d"
    size = (1, single(name, output_size, "output_size"))
    out = adaptive_max_pool2d(as_images(name, input), size, return_indices)
    return (out[0].squeeze(-2), out[1].squeeze(-2)) if return_indices else out.squeeze(-2)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest entries of windows that share the image as evenly as possible: those of `adaptive_avg_pool2d`.

    x (n, c, h, w) or (c, h, w) -> y (..., oh, ow); return_indices: also the flat place of each in its plane, int64.
    """
    x, has_batch = batched("adaptive_max_pool2d", input)
    h, w = x.array.shape[2:]
    oh, ow = _adaptive_sizes("adaptive_max_pool2d", x, output_size)
    places = np.empty((*x.array.shape[:2], oh, ow), np.int64)
    for i, (top, bottom) in enumerate(_edges(h, oh)):
        for j, (left, right) in enumerate(_edges(w, ow)):
            window = x.array[:, :, top:bottom, left:right].reshape(*x.array.shape[:2], -1)
            row, column = np.divmod(window.argmax(-1), right - left)  # the first of equals, or NaN, wins
            places[:, :, i, j] = (top + row) * w + left + column
    y = ops.pooling.max_pool2d_gather(x, plain(places))
    y = y if has_batch else y.squeeze(0)
    if not return_indices:
        return y
    return y, plain(places if has_batch else places[0])


def _edges(n: int, o: int) -> list[tuple[int, int]]:
    """Where the o windows that share n entries begin and end."""
    return [(i * n // o, -(-(i + 1) * n // o)) for i in range(o)]


def _windows(n: int, o: int) -> Any:
    """The matrix (o, n) whose row i averages window i."""
    weights = np.zeros((o, n))
    for i, (start, end) in enumerate(_edges(n, o)):
        weights[i, start:end] = 1 / (end - start)
    return weights
