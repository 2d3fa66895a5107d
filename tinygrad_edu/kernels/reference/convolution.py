"""2-D cross-correlation and its two gradients: x (n, c, h, w), weight (o, c/groups, kh, kw), out (n, o, oh, ow)."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import memory
from ..quiet import Array, silent
from ..windows import Pair, Shape, conv_output_size
from .channels import finish_channels


def _windows(x: Array, kernel: Shape, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """What each output pixel looks at: a view (n, c, oh, ow, kh, kw) of x in a frame of zeros."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel, stride, padding, dilation
    framed = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = sliding_window_view(framed, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), axis=(2, 3))
    return windows[:, :, ::sh, ::sw, ::dh, ::dw]


def _groups(count: int, channels: int) -> list[slice]:
    size = channels // count
    return [slice(group * size, (group + 1) * size) for group in range(count)]


@silent
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
    """out[n, o, i, j] = bias[o] + sum over c, k, l of x[n, c, i s - p + k d, j s - p + l d] weight[o, c, k, l]."""
    windows = _windows(x, weight.shape[2:], stride, padding, dilation)
    out = memory.empty((x.shape[0], weight.shape[0], *windows.shape[2:4]), x.dtype)
    for c, o in zip(_groups(groups, x.shape[1]), _groups(groups, weight.shape[0]), strict=True):
        product = np.tensordot(windows[:, c], weight[o], axes=((1, 4, 5), (1, 2, 3)))  # (n, oh, ow, o)
        out[:, o] = product.transpose(0, 3, 1, 2)
    return finish_channels(out, bias, positive)


@silent
def conv2d_input_grad(
    grad: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow) -> (n, c, h, w): each output pixel sends grad times the kernel back to its window."""
    n, c_all, h, w = x_shape
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = weight.shape[2:], stride, padding, dilation
    oh, ow = grad.shape[2:]
    framed = np.zeros((n, c_all, h + 2 * ph, w + 2 * pw), grad.dtype)
    for c, o in zip(_groups(groups, c_all), _groups(groups, weight.shape[0]), strict=True):
        for k in range(kh):
            for m in range(kw):
                part = np.tensordot(grad[:, o], weight[o, :, k, m], axes=(1, 0))  # (n, oh, ow, c)
                rows = slice(k * dh, k * dh + (oh - 1) * sh + 1, sh)
                columns = slice(m * dw, m * dw + (ow - 1) * sw + 1, sw)
                framed[:, c, rows, columns] += part.transpose(0, 3, 1, 2)
    return framed[:, :, ph : ph + h, pw : pw + w].copy()


@silent
def conv2d_weight_grad(
    grad: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """out[o, c, k, l] = sum over n, i, j of grad[n, o, i, j] x[n, c, i s - p + k d, j s - p + l d]."""
    windows = _windows(x, weight_shape[2:], stride, padding, dilation)
    out = memory.empty(weight_shape, x.dtype)
    for c, o in zip(_groups(groups, x.shape[1]), _groups(groups, weight_shape[0]), strict=True):
        out[o] = np.tensordot(grad[:, o], windows[:, c], axes=((0, 2, 3), (0, 2, 3)))
    return out


__all__ = ["conv2d", "conv2d_input_grad", "conv2d_weight_grad", "conv_output_size"]
