"""Pooling twins: one plane (h, w) of one image a task."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np

from .. import memory
from ..quiet import Array
from ..reference.pooling import divisor
from ..windows import Pair, Shape, pool_shape
from .address import address
from .cpu import BOUNDSCHECK
from .native import fresh, get_threads, launch, readonly


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
            _max_pool2d_in_twos(_planes(x), stride[0], indices.reshape(flat), out.reshape(flat))
            return out, indices
        _loops().max_pool2d(
            _planes(x), *kernel_size, *stride, *padding, *dilation, indices.reshape(flat), out.reshape(flat)
        )
    return out, indices


def max_pool2d_backward(grad: Array, indices: Array, x_shape: Shape, in_twos: bool) -> Array:
    """Add each gradient to the element its index names. The caller has checked the indices unless they are in_twos."""
    out = memory.empty(x_shape, grad.dtype)
    if out.size and in_twos:
        planes = (x_shape[0] * x_shape[1], *x_shape[2:])
        _scatter_to_twos(_planes(grad), _planes(_int64(indices)), out.reshape(planes))
    elif out.size:
        flat = (x_shape[0] * x_shape[1], x_shape[2] * x_shape[3])
        _loops().scatter(_flat_planes(grad), _flat_planes(_int64(indices)), out.reshape(flat))
    return out


def max_pool2d_gather(x: Array, indices: Array) -> Array:
    """The elements that the indices name. The caller has checked them."""
    out = memory.empty(indices.shape, x.dtype)
    if out.size:
        n, c, h, w = indices.shape
        _loops().gather(_flat_planes(x), _flat_planes(_int64(indices)), out.reshape(n * c, h * w))
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
            _loops().avg_pool2d_in_twos(_planes(x), readonly(divisors), stride[0], out.reshape(flat))
            return out
        _loops().avg_pool2d(_planes(x), readonly(divisors), *kernel_size, *stride, *padding, out.reshape(flat))
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
            _loops().avg_pool2d_backward_in_twos(_planes(grad), readonly(divisors), out.reshape(flat))
            return out
        _loops().avg_pool2d_backward(
            _planes(grad), readonly(divisors), *kernel_size, *stride, *padding, out.reshape(flat)
        )
    return out


def _max_pool2d_in_twos(x: Array, step: int, indices: Array, out: Array) -> None:
    """x (planes, h, w) -> indices and out (planes, oh, ow); windows are `step` rows apart."""
    if BOUNDSCHECK:
        fresh().checked("pooling.largest_in_twos")(x, 0, len(x), step, False, indices, out)
        return
    places = (address(x), address(indices), address(out))
    args = np.array((*x.shape, *out.shape[1:], step, *places), np.int64)
    launch("pooling.max_pool", (x.itemsize, 0, 0), args, get_threads())


def _scatter_to_twos(grad: Array, indices: Array, out: Array) -> None:
    """grad and indices (planes, oh, ow) -> out (planes, h, w)."""
    if BOUNDSCHECK:
        fresh().checked("pooling.scatter_to_twos")(grad, indices, 0, len(grad), False, out)
        return
    places = (address(grad), address(indices), address(out))
    args = np.array((*out.shape, *grad.shape[1:], *places), np.int64)
    launch("pooling.max_pool_backward", (grad.itemsize, 0, 0), args, get_threads())


def _loops() -> ModuleType:
    return importlib.import_module(f"{__package__}.pooling_loops")  # imports Numba


def _in_twos(x: Shape, out: Shape, kernel_size: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether windows are 2 x 2, two columns apart, and all inside, as ceil_mode may not have them."""
    inside = (out[2] - 1) * stride[0] + 2 <= x[2] and out[3] * 2 <= x[3]
    return kernel_size == (2, 2) and stride[1] == 2 and padding == (0, 0) and inside


def _int64(indices: Array) -> Array:
    return indices.astype(np.int64, copy=False)
