"""2-D cross-correlation and its gradients, chosen by size. Shapes are checked here, once for both backends."""

from __future__ import annotations

import math

from .backend import Gate, twins
from .quiet import Array
from .reference import convolution as reference
from .windows import Pair, Shape, check_same_shape, conv_shape

# Measured on two cores of an AVX-512 EPYC, float32, NumPy | Numba in us, forward, input and weight gradient:
#   x (8, 3, 8, 8), weight (4, 3, 3, 3)         63 | 22       116 | 20        62 | 22
#   x (128, 1, 28, 28), weight (6, 1, 5, 5)     2411 | 1462   10109 | 1386    4117 | 2319
#   x (64, 3, 32, 32), weight (32, 3, 3, 3)     11844 | 5283  36632 | 9919    6621 | 6640
#   x (128, 6, 14, 14), weight (16, 6, 5, 5)    3574 | 11194  8267 | 16292    3960 | 10086
#   x (64, 32, 16, 16), weight (64, 32, 3, 3)   12768 | 42271 17555 | 47180   11728 | 39512
# So: Numba from some multiplications on, but BLAS again once each output is a sum of many products.
MULTIPLICATIONS = 200_000
LARGEST_SUM = 32  # c/groups * kh * kw

_forward = Gate(MULTIPLICATIONS, LARGEST_SUM)
_input_grad = Gate(MULTIPLICATIONS, LARGEST_SUM)
_weight_grad = Gate(MULTIPLICATIONS, LARGEST_SUM)


def conv2d(x: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """x (n, c, h, w), weight (o, c/groups, kh, kw) -> (n, o, oh, ow).

        out[n, o, i, j] = sum over c, k, l of x[n, c, i s - p + k d, j s - p + l d] weight[o, c, k, l]

    Raises ShapeError when they do not fit together.
    """
    shape = conv_shape("conv2d", x.shape, weight.shape, stride, padding, dilation, groups)
    if _on_numpy(_forward, shape, weight.shape):
        return reference.conv2d(x, weight, stride, padding, dilation, groups)
    out: Array = twins("convolution").conv2d(x, weight, stride, padding, dilation, groups)
    return out


def conv2d_input_grad(
    grad: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow) -> (n, c, h, w): each output pixel sends grad times the kernel back to its window.

    Raises ShapeError when they do not fit together.
    """
    shape = conv_shape("conv2d_input_grad", x_shape, weight.shape, stride, padding, dilation, groups)
    check_same_shape("conv2d_input_grad", "grad", grad.shape, shape)
    if _on_numpy(_input_grad, shape, weight.shape):
        return reference.conv2d_input_grad(grad, weight, x_shape, stride, padding, dilation, groups)
    out: Array = twins("convolution").conv2d_input_grad(grad, weight, x_shape, stride, padding, dilation, groups)
    return out


def conv2d_weight_grad(
    grad: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow), x (n, c, h, w) -> (o, c/groups, kh, kw), the same whatever the number of threads.

        out[o, c, k, l] = sum over n, i, j of grad[n, o, i, j] x[n, c, i s - p + k d, j s - p + l d]

    Raises ShapeError when they do not fit together.
    """
    shape = conv_shape("conv2d_weight_grad", x.shape, weight_shape, stride, padding, dilation, groups)
    check_same_shape("conv2d_weight_grad", "grad", grad.shape, shape)
    if _on_numpy(_weight_grad, shape, weight_shape):
        return reference.conv2d_weight_grad(grad, x, weight_shape, stride, padding, dilation, groups)
    out: Array = twins("convolution").conv2d_weight_grad(grad, x, weight_shape, stride, padding, dilation, groups)
    return out


def _on_numpy(gate: Gate, out: Shape, weight: Shape) -> bool:
    products = math.prod(weight[1:])
    return math.prod(out) * products < gate.minimum or products > gate.maximum
