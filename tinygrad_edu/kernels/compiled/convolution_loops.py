"""Convolution twins: loops over images and channels in parallel, along the width in vectors.

x is first copied into its frame of padding, so no tap leaves the array. Every sum belongs to one task, which adds in a
fixed order: results do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .. import memory
from ..quiet import Array
from ..reference.channels import finish_channels
from ..windows import Pair, Shape, conv_shape
from .jit import SUMS, jit, readonly


@jit(fastmath=SUMS)
def _conv2d(x: Array, weight: Array, sh: int, sw: int, dh: int, dw: int, out: Array) -> None:
    """x, framed (n, c, h, w), weight (o, c/groups, kh, kw) -> out (n, o, oh, ow); one plane of out a task."""
    oc, oh, ow = out.shape[1:]
    gc, kh, kw = weight.shape[1:]
    go = oc // (x.shape[1] // gc)  # out-channels of a group
    for task in prange(out.shape[0] * oc):
        n, o = task // oc, task % oc
        for i in range(oh):
            target = out[n, o, i]
            target[:] = 0
            for c in range(gc):
                for k in range(kh):
                    row = x[n, o // go * gc + c, i * sh + k * dh]
                    for m in range(kw):
                        source, factor = row[m * dw :], weight[o, c, k, m]
                        if sw == 1:  # the loop that LLVM vectorises; slices, since an index that may wrap prevents it
                            for j in range(ow):
                                target[j] += factor * source[j]
                        else:
                            for j in range(ow):
                                target[j] += factor * source[j * sw]


@jit(fastmath=SUMS)
def _conv2d_input_grad(grad: Array, weight: Array, sh: int, sw: int, dh: int, dw: int, out: Array) -> None:
    """grad (n, o, oh, ow), weight (o, c/groups, kh, kw) -> out, framed (n, c, h, w); one plane of out a task."""
    oh, ow = grad.shape[2:]
    gc, kh, kw = weight.shape[1:]
    channels = out.shape[1]
    go = weight.shape[0] // (channels // gc)
    for task in prange(out.shape[0] * channels):
        n, c = task // channels, task % channels
        out[n, c] = 0
        for o in range(c // gc * go, (c // gc + 1) * go):
            for i in range(oh):
                row = grad[n, o, i]
                for k in range(kh):
                    for m in range(kw):
                        target, factor = out[n, c, i * sh + k * dh, m * dw :], weight[o, c % gc, k, m]
                        if sw == 1:
                            for j in range(ow):
                                target[j] += factor * row[j]
                        else:
                            for j in range(ow):
                                target[j * sw] += factor * row[j]


@jit(fastmath=SUMS)
def _conv2d_weight_grad(grad: Array, x: Array, sh: int, sw: int, dh: int, dw: int, out: Array) -> None:
    """grad (n, o, oh, ow), x, framed (n, c, h, w) -> out (o, c/groups, kh, kw); one kernel (kh, kw) a task."""
    oh, ow = grad.shape[2:]
    gc, kh, kw = out.shape[1:]
    go = out.shape[0] // (x.shape[1] // gc)
    for task in prange(out.shape[0] * gc):
        o, c = task // gc, task % gc
        total = np.zeros((kh, kw))  # float64 over rows of the output, float32 along them
        for n in range(x.shape[0]):
            for i in range(oh):
                row = grad[n, o, i]
                for k in range(kh):
                    line = x[n, o // go * gc + c, i * sh + k * dh]
                    for m in range(kw):
                        part, source = x.dtype.type(0), line[m * dw :]
                        if sw == 1:
                            for j in range(ow):
                                part += row[j] * source[j]
                        else:
                            for j in range(ow):
                                part += row[j] * source[j * sw]
                        total[k, m] += part
        for k in range(kh):
            for m in range(kw):
                out[o, c, k, m] = total[k, m]


def _framed(x: Array, padding: Pair) -> Array:
    if padding == (0, 0):
        return readonly(x)
    (ph, pw), (n, c, h, w) = padding, x.shape
    frame = np.zeros((n, c, h + 2 * ph, w + 2 * pw), x.dtype)
    frame[:, :, ph : ph + h, pw : pw + w] = x
    return readonly(frame)


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
    shape = conv_shape("conv2d", x.shape, weight.shape, stride, padding, dilation, groups)
    out = memory.empty(shape, x.dtype)
    if out.size:
        _conv2d(_framed(x, padding), readonly(weight), *stride, *dilation, out)
    return finish_channels(out, bias, positive)


def conv2d_input_grad(
    grad: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow), weight (o, c/groups, kh, kw) -> (n, c, h, w)."""
    (ph, pw), (n, c, h, w) = padding, x_shape
    out = memory.empty((n, c, h + 2 * ph, w + 2 * pw), grad.dtype)
    if out.size:
        _conv2d_input_grad(readonly(grad), readonly(weight), *stride, *dilation, out)
    return out if padding == (0, 0) else out[:, :, ph : ph + h, pw : pw + w].copy()


def conv2d_weight_grad(
    grad: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow), x (n, c, h, w) -> (o, c/groups, kh, kw)."""
    out = memory.empty(weight_shape, grad.dtype)
    if out.size:
        _conv2d_weight_grad(readonly(grad), _framed(x, padding), *stride, *dilation, out)
    return out
