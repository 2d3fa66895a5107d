"""Convolution twins: images in SIMD lanes where there are enough of them, else loops along the rows."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np

from ..convolution import in_lanes
from ..quiet import Array
from ..windows import Pair, Shape
from . import convolution_lanes as lanes
from .cpu import BOUNDSCHECK


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
    out: Array = _kernels(x, weight.shape).conv2d(x, weight, stride, padding, dilation, groups, bias, positive)
    return out


def conv2d_input_grad(
    grad: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow), weight (o, c/groups, kh, kw) -> (n, c, h, w)."""
    # Lanes multiply zeros beyond the border, where the definition has no product: 0 inf would be a NaN too many.
    out: Array = (_kernels(grad, weight.shape) if np.isfinite(weight).all() else _loops()).conv2d_input_grad(
        grad, weight, x_shape, stride, padding, dilation, groups
    )
    return out


def conv2d_weight_grad(
    grad: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow), x (n, c, h, w) -> (o, c/groups, kh, kw)."""
    out: Array = _kernels(x, weight_shape).conv2d_weight_grad(grad, x, weight_shape, stride, padding, dilation, groups)
    return out


def _kernels(x: Array, weight: Shape) -> ModuleType:
    # NUMBA_BOUNDSCHECK=1 asks for kernels that it can check; it does not see addresses
    return lanes if in_lanes(x.shape[0], weight, x.itemsize) and not BOUNDSCHECK else _loops()


def _loops() -> ModuleType:
    return importlib.import_module(f"{__package__}.convolution_loops")  # imports Numba
