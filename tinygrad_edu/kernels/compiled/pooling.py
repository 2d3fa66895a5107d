"""Pooling twins: one plane (h, w) of one image a task."""

from __future__ import annotations

import numpy as np
from numba import prange

from ..quiet import Array
from ..reference.pooling import divisor
from ..windows import Pair, Shape, pool_shape
from .jit import jit, readonly


@jit()
def _max_pool2d(
    x: Array, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, dh: int, dw: int, indices: Array, out: Array
) -> None:
    """x (planes, h, w) -> indices and out (planes, oh, ow). Every window has a tap inside the plane."""
    h, w = x.shape[1], x.shape[2]
    oh, ow = out.shape[1:]
    for plane in prange(x.shape[0]):
        for i in range(oh):
            top = i * sh - ph
            first_k = 0 if top >= 0 else (-top + dh - 1) // dh  # the first tap inside
            last_k = min(kh, (h - 1 - top) // dh + 1)
            for j in range(ow):
                left = j * sw - pw
                first_m = 0 if left >= 0 else (-left + dw - 1) // dw
                last_m = min(kw, (w - 1 - left) // dw + 1)
                place = (top + first_k * dh) * w + left + first_m * dw
                best = x[plane, top + first_k * dh, left + first_m * dw]
                for k in range(first_k, last_k):
                    for m in range(first_m, last_m):
                        value = x[plane, top + k * dh, left + m * dw]
                        if value > best or np.isnan(value):
                            best = value
                            place = (top + k * dh) * w + left + m * dw
                out[plane, i, j] = best
                indices[plane, i, j] = place


@jit()
def _scatter(grad: Array, indices: Array, out: Array) -> None:
    """grad and indices (planes, k), out (planes, h w): windows of a plane overlap, planes do not."""
    for plane in prange(out.shape[0]):
        for i in range(out.shape[1]):
            out[plane, i] = 0
        for i in range(grad.shape[1]):
            out[plane, indices[plane, i]] += grad[plane, i]


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
    out, indices = np.empty(shape, x.dtype), np.empty(shape, np.int64)
    if out.size:
        flat = (shape[0] * shape[1], *shape[2:])
        _max_pool2d(_planes(x), *kernel_size, *stride, *padding, *dilation, indices.reshape(flat), out.reshape(flat))
    return out, indices


def max_pool2d_backward(grad: Array, indices: Array, x_shape: Shape) -> Array:
    """Add each gradient to the element its index names. The caller has checked the indices."""
    out = np.empty(x_shape, grad.dtype)
    if out.size:
        flat = (x_shape[0] * x_shape[1], x_shape[2] * x_shape[3])
        _scatter(_flat_planes(grad), _flat_planes(_int64(indices)), out.reshape(flat))
    return out


def max_pool2d_gather(x: Array, indices: Array) -> Array:
    """The elements that the indices name. The caller has checked them."""
    out = np.empty(indices.shape, x.dtype)
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
    out = np.empty(shape, x.dtype)
    if out.size:
        flat = (shape[0] * shape[1], *shape[2:])
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
    out = np.empty(x_shape, grad.dtype)
    if out.size:
        flat = (x_shape[0] * x_shape[1], *x_shape[2:])
        _avg_pool2d_backward(_planes(grad), readonly(divisors), *kernel_size, *stride, *padding, out.reshape(flat))
    return out


def _int64(indices: Array) -> Array:
    return indices.astype(np.int64, copy=False)
