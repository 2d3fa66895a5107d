"""Pooling twins: one plane (h, w) of one image a task."""

from __future__ import annotations

import numpy as np
from numba import prange

from .. import memory
from ..quiet import Array
from ..reference.pooling import divisor
from ..windows import Pair, Shape, pool_shape
from .jit import config, jit, readonly
from .lanes import LANE_BYTES
from .twos import largest_of_twos, spread_to_twos

VECTORS = not config.BOUNDSCHECK  # NUMBA_BOUNDSCHECK=1 does not see addresses
MANY, FEW = LANE_BYTES // 4, 4  # windows at a time


@jit()
def _max_pool2d(
    x: Array, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, dh: int, dw: int, indices: Array, out: Array
) -> None:
    """x (planes, h, w) -> indices and out (planes, oh, ow). Every window has a tap inside the plane."""
    h, w = x.shape[1], x.shape[2]
    oh, ow = out.shape[1:]
    for plane in prange(x.shape[0]):
        pixels = x[plane].reshape(h * w)
        for i in range(oh):
            top = i * sh - ph
            first_k = 0 if top >= 0 else (-top + dh - 1) // dh  # the first tap inside
            last_k = min(kh, (h - 1 - top) // dh + 1)
            for j in range(ow):
                left = j * sw - pw
                first_m = 0 if left >= 0 else (-left + dw - 1) // dw
                last_m = min(kw, (w - 1 - left) // dw + 1)
                place = (top + first_k * dh) * w + left + first_m * dw
                best = pixels[place]
                for k in range(first_k, last_k):
                    line = (top + k * dh) * w + left
                    for m in range(first_m, last_m):
                        value = pixels[line + m * dw]
                        # selections, no branch: which pixel wins cannot be predicted. NaN is unequal to itself
                        better = (value > best) | (value != value)
                        best = value if better else best
                        place = line + m * dw if better else place
                out[plane, i, j] = best
                indices[plane, i, j] = place


@jit()
def _max_pool2d_in_twos(x: Array, sh: int, vectors: bool, indices: Array, out: Array) -> None:
    """As `_max_pool2d` for windows 2 x 2 with two columns between them and no padding: by vectors, the last of which
    overlaps the one before; and one by one where there are too few."""
    w, count, zero = x.shape[2], out.shape[2], x.dtype.type(0)
    for plane in prange(x.shape[0]):
        for i in range(out.shape[1]):
            upper, lower = x[plane, i * sh], x[plane, i * sh + 1]
            target, places, first = out[plane, i], indices[plane, i], i * sh * w
            if vectors and count >= FEW:
                u, v, t, p = upper.ctypes.data, lower.ctypes.data, target.ctypes.data, places.ctypes.data
                largest_of_twos(u, v, 0, count, first, w, t, p, MANY, zero)
                largest_of_twos(u, v, count // MANY * MANY, count, first, w, t, p, FEW, zero)
                if count % FEW:
                    largest_of_twos(u, v, count - FEW, count, first, w, t, p, FEW, zero)
                continue
            for j in range(count):
                best, place = upper[2 * j], 0
                value = upper[2 * j + 1]
                better = (value > best) | (value != value)
                best, place = (value if better else best), (1 if better else place)
                value = lower[2 * j]
                better = (value > best) | (value != value)
                best, place = (value if better else best), (w if better else place)
                value = lower[2 * j + 1]
                better = (value > best) | (value != value)
                best, place = (value if better else best), (w + 1 if better else place)
                target[j] = best
                places[j] = first + 2 * j + place


@jit()
def _scatter(grad: Array, indices: Array, out: Array) -> None:
    """grad and indices (planes, k), out (planes, h w): windows of a plane overlap, planes do not."""
    for plane in prange(out.shape[0]):
        for i in range(out.shape[1]):
            out[plane, i] = 0
        for i in range(grad.shape[1]):
            out[plane, indices[plane, i]] += grad[plane, i]


@jit()
def _scatter_to_twos(grad: Array, indices: Array, vectors: bool, out: Array) -> None:
    """As `_scatter` for windows 2 x 2 side by side: each pixel is set, not added to. An index outside its window is
    lost."""
    w, count, zero = out.shape[2], grad.shape[2], grad.dtype.type(0)
    for plane in prange(out.shape[0]):
        for i in range(grad.shape[1]):
            upper, lower = out[plane, 2 * i], out[plane, 2 * i + 1]
            source, places, first = grad[plane, i], indices[plane, i], 2 * i * w
            if vectors and count >= FEW:
                u, v, s, p = upper.ctypes.data, lower.ctypes.data, source.ctypes.data, places.ctypes.data
                spread_to_twos(s, p, 0, count, first, w, u, v, MANY, zero)
                spread_to_twos(s, p, count // MANY * MANY, count, first, w, u, v, FEW, zero)
                if count % FEW:
                    spread_to_twos(s, p, count - FEW, count, first, w, u, v, FEW, zero)
            else:
                for j in range(count):
                    value, place = source[j], places[j] - first - 2 * j
                    upper[2 * j] = value if place == 0 else zero
                    upper[2 * j + 1] = value if place == 1 else zero
                    lower[2 * j] = value if place == w else zero
                    lower[2 * j + 1] = value if place == w + 1 else zero
            for j in range(2 * count, w):
                upper[j] = lower[j] = 0
        out[plane, 2 * grad.shape[1] :] = 0


@jit()
def _gather(x: Array, indices: Array, out: Array) -> None:
    """x (planes, h w), indices (planes, k) -> out (planes, k)."""
    for plane in prange(out.shape[0]):
        for i in range(out.shape[1]):
            out[plane, i] = x[plane, indices[plane, i]]


@jit()
def _avg_pool2d(x: Array, divisors: Array, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, out: Array) -> None:
    """x (planes, h, w), divisors (oh, ow) -> out (planes, oh, ow)."""
    h, w = x.shape[1], x.shape[2]
    for plane in prange(out.shape[0]):
        for i in range(out.shape[1]):
            top, bottom = max(0, i * sh - ph), min(h, i * sh - ph + kh)
            for j in range(out.shape[2]):
                left, right = max(0, j * sw - pw), min(w, j * sw - pw + kw)
                total = 0.0
                for k in range(top, bottom):
                    for m in range(left, right):
                        total += x[plane, k, m]
                out[plane, i, j] = total / divisors[i, j]


@jit()
def _avg_pool2d_in_twos(x: Array, divisors: Array, sh: int, out: Array) -> None:
    """As `_avg_pool2d` for windows 2 x 2 with two columns between them and no padding."""
    for plane in prange(x.shape[0]):
        for i in range(out.shape[1]):
            upper, lower = x[plane, i * sh], x[plane, i * sh + 1]
            target, divisor_row = out[plane, i], divisors[i]
            for j in range(target.size):
                total = 0.0 + upper[2 * j] + upper[2 * j + 1] + lower[2 * j] + lower[2 * j + 1]
                target[j] = total / divisor_row[j]


@jit()
def _avg_pool2d_backward_in_twos(grad: Array, divisors: Array, out: Array) -> None:
    """As `_avg_pool2d_backward` for windows 2 x 2 side by side: each pixel is written once."""
    oh, ow = grad.shape[1:]
    for plane in prange(grad.shape[0]):
        for i in range(oh):
            upper, lower = out[plane, 2 * i], out[plane, 2 * i + 1]
            source, divisor_row = grad[plane, i], divisors[i]
            for j in range(ow):
                share = source[j] / divisor_row[j]
                upper[2 * j] = share
                upper[2 * j + 1] = share
                lower[2 * j] = share
                lower[2 * j + 1] = share
            upper[2 * ow :] = 0
            lower[2 * ow :] = 0
        out[plane, 2 * oh :] = 0


@jit()
def _avg_pool2d_backward(
    grad: Array, divisors: Array, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, out: Array
) -> None:
    """grad (planes, oh, ow), divisors (oh, ow) -> out (planes, h, w)."""
    h, w = out.shape[1], out.shape[2]
    for plane in prange(out.shape[0]):
        out[plane] = 0
        for i in range(grad.shape[1]):
            top, bottom = max(0, i * sh - ph), min(h, i * sh - ph + kh)
            for j in range(grad.shape[2]):
                left, right = max(0, j * sw - pw), min(w, j * sw - pw + kw)
                share = grad[plane, i, j] / divisors[i, j]
                for k in range(top, bottom):
                    for m in range(left, right):
                        out[plane, k, m] += share


def _planes(x: Array) -> Array:
    n, c, h, w = x.shape
    return readonly(x).reshape(n * c, h, w)


def _flat_planes(x: Array) -> Array:
    n, c, h, w = x.shape
    return readonly(x).reshape(n * c, h * w)


def max_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, Array]:
    """The largest element of each window and its flat position in the plane."""
    shape = pool_shape("max_pool2d", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    out, indices = memory.empty(shape, x.dtype), memory.empty(shape, np.int64)
    if out.size:
        flat = (shape[0] * shape[1], *shape[2:])
        if dilation == (1, 1) and _in_twos(x.shape, shape, kernel_size, stride, padding):
            _max_pool2d_in_twos(_planes(x), stride[0], VECTORS, indices.reshape(flat), out.reshape(flat))
            return out, indices
        _max_pool2d(_planes(x), *kernel_size, *stride, *padding, *dilation, indices.reshape(flat), out.reshape(flat))
    return out, indices


def max_pool2d_backward(grad: Array, indices: Array, x_shape: Shape, in_twos: bool) -> Array:
    """Add each gradient to the element its index names. The caller has checked the indices unless they are in_twos."""
    out = memory.empty(x_shape, grad.dtype)
    if out.size and in_twos:
        planes = (x_shape[0] * x_shape[1], *x_shape[2:])
        _scatter_to_twos(_planes(grad), _planes(_int64(indices)), VECTORS, out.reshape(planes))
    elif out.size:
        flat = (x_shape[0] * x_shape[1], x_shape[2] * x_shape[3])
        _scatter(_flat_planes(grad), _flat_planes(_int64(indices)), out.reshape(flat))
    return out


def max_pool2d_gather(x: Array, indices: Array) -> Array:
    """The elements that the indices name. The caller has checked them."""
    out = memory.empty(indices.shape, x.dtype)
    if out.size:
        n, c, h, w = indices.shape
        _gather(_flat_planes(x), _flat_planes(_int64(indices)), out.reshape(n * c, h * w))
    return out


def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """The sum of each window over its divisor."""
    shape = pool_shape("avg_pool2d", x.shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    divisors = divisor(x.shape, shape, kernel_size, stride, padding, count_include_pad, divisor_override)
    out = memory.empty(shape, x.dtype)
    if out.size:
        flat = (shape[0] * shape[1], *shape[2:])
        if _in_twos(x.shape, shape, kernel_size, stride, padding):
            _avg_pool2d_in_twos(_planes(x), readonly(divisors), stride[0], out.reshape(flat))
            return out
        _avg_pool2d(_planes(x), readonly(divisors), *kernel_size, *stride, *padding, out.reshape(flat))
    return out


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
    """Share each gradient among its window's elements."""
    divisors = divisor(x_shape, grad.shape, kernel_size, stride, padding, count_include_pad, divisor_override)
    out = memory.empty(x_shape, grad.dtype)
    if out.size:
        flat = (x_shape[0] * x_shape[1], *x_shape[2:])
        if stride[0] == 2 and _in_twos(x_shape, grad.shape, kernel_size, stride, padding):
            _avg_pool2d_backward_in_twos(_planes(grad), readonly(divisors), out.reshape(flat))
            return out
        _avg_pool2d_backward(_planes(grad), readonly(divisors), *kernel_size, *stride, *padding, out.reshape(flat))
    return out


def _in_twos(x: Shape, out: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether windows are 2 x 2, two columns apart, and all inside, as ceil_mode may not have them."""
    inside = (out[2] - 1) * stride[0] + 2 <= x[2] and out[3] * 2 <= x[3]
    return kernel_size == (2, 2) and stride[1] == 2 and padding == (0, 0) and inside


def _int64(indices: Array) -> Array:
    return indices.astype(np.int64, copy=False)
