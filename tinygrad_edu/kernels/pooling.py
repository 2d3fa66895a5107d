"""Max and average pooling, chosen by size. Shapes and indices are checked here, once for both backends."""

from __future__ import annotations

import math

from ..errors import ShapeError
from .backend import Gate, twins
from .quiet import Array
from .reference import pooling as reference
from .windows import Pair, Shape, check_each_window_meets_input, check_same_shape, pool_shape

# Measured on two cores of an AVX-512 EPYC, float32, windows 2 x 2, NumPy | Numba in us (65 us more if threads sleep):
# x (8, 6, 14, 14): max 186 | 31, its backward 12 | 7, its gather 17 | 7, avg 81 | 35, its backward 92 | 25;
# x (128, 6, 24, 24): max 3788 | 190, 342 | 49, 478 | 39, avg 580 | 80, 4977 | 75.
POOL_MINIMUM = 10_000  # elements of x, or of the gradient for avg_pool2d_backward
INDEX_MINIMUM = 20_000  # indices
AVG_MINIMUM = 20_000

_max_forward = Gate(POOL_MINIMUM)
_max_backward = Gate(INDEX_MINIMUM)
_max_gather = Gate(INDEX_MINIMUM)
_avg_forward = Gate(AVG_MINIMUM)
_avg_backward = Gate(POOL_MINIMUM)


def max_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, Array]:
    """x (n, c, h, w) -> the largest element of each window (n, c, oh, ow), and where it stands.

    The place is int64, row * w + column of the input plane: of the first of equals; a NaN is larger than all, and of
    several the last, as in PyTorch. Padding never wins.
    Raises ShapeError where windows do not fit or hold nothing but padding.
    """
    shape = pool_shape("max_pool2d", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    check_each_window_meets_input(x.shape, shape, kernel_size, stride, padding, dilation)
    if x.size < _max_forward.minimum:
        return reference.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)
    out: tuple[Array, Array] = twins("pooling").max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)
    return out


def max_pool2d_backward(grad: Array, indices: Array, x_shape: Shape, in_twos: bool = False) -> Array:
    """Add each gradient (n, c, oh, ow) to the element its index names -> (n, c, h, w); windows may overlap.

    in_twos: each index is known to point into its own window of 2 x 2, side by side, as a pooling made it.
    Raises IndexError for an index outside the plane, ShapeError where shapes do not fit.
    """
    check_same_shape("max_pool2d_backward", "grad", grad.shape, indices.shape)
    in_twos = in_twos and len(x_shape) == 4 and 2 * grad.shape[2] <= x_shape[2] and 2 * grad.shape[3] <= x_shape[3]
    small = grad.size < _max_backward.minimum
    if small or not in_twos:
        _check_indices("max_pool2d_backward", indices, x_shape)
    if small:
        return reference.max_pool2d_backward(grad, indices, x_shape, in_twos)
    out: Array = twins("pooling").max_pool2d_backward(grad, indices, x_shape, in_twos)
    return out


def max_pool2d_gather(x: Array, indices: Array) -> Array:
    """The elements of x (n, c, h, w) that the indices (n, c, oh, ow) name: the derivative of `max_pool2d_backward`.

    Raises IndexError for an index outside the plane, ShapeError where shapes do not fit.
    """
    _check_indices("max_pool2d_gather", indices, x.shape)
    if indices.size < _max_gather.minimum:
        return reference.max_pool2d_gather(x, indices)
    out: Array = twins("pooling").max_pool2d_gather(x, indices)
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
    """x (n, c, h, w) -> (n, c, oh, ow): the sum of each window over its divisor.

    The divisor is `divisor_override`, or the number of the window's elements, with or without those in the padding.
    Raises ShapeError where windows do not fit.
    """
    pool_shape("avg_pool2d", x.shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    small = x.size < _avg_forward.minimum
    kernel = reference.avg_pool2d if small else twins("pooling").avg_pool2d
    out: Array = kernel(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
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
    """Share each gradient (n, c, oh, ow) among its window's elements -> (n, c, h, w).

    Raises ShapeError where shapes do not fit.
    """
    shape = pool_shape("avg_pool2d_backward", x_shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    check_same_shape("avg_pool2d_backward", "grad", grad.shape, shape)
    small = math.prod(x_shape) < _avg_backward.minimum
    kernel = reference.avg_pool2d_backward if small else twins("pooling").avg_pool2d_backward
    out: Array = kernel(grad, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return out


def _check_indices(operation: str, indices: Array, x_shape: Shape) -> None:
    if len(x_shape) != 4 or indices.ndim != 4 or indices.shape[:2] != tuple(x_shape[:2]):
        raise ShapeError(
            f"{operation}: indices are {indices.shape} and x is {x_shape}; both must have 4 dims and the same first two"
        )
    if indices.dtype.kind != "i":
        raise IndexError(f"{operation}: indices are {indices.dtype}; they must be integers")
    plane = x_shape[2] * x_shape[3]
    if indices.size and not (0 <= indices.min() and indices.max() < plane):
        raise IndexError(
            f"{operation}: indices run from {indices.min()} to {indices.max()}; "
            f"the plane of x {x_shape} has the positions 0 to {plane - 1}"
        )
