"""2-D cross-correlation and its gradients, chosen by size. Shapes are checked here, once for both backends."""

from __future__ import annotations

import math

from .backend import Gate, twins
from .quiet import Array
from .reference import convolution as reference
from .windows import Pair, Shape, check_same_shape, conv_shape

# Small problems stay on NumPy. Large ones run with an image in each SIMD lane, unless too few images would leave most
# of many lanes empty: then loops along the rows serve short sums, and BLAS long ones. Measured on two Zen 5 cores with
# AVX-512, float32, NumPy | loops | lanes in us, forward, input and weight gradient:
#   x (2, 32, 16, 16), weight (64, 32, 3, 3)    440 | 14800 | 440    460 | 4050 | 460    404 | 6750 | 400
#   x (8, 6, 14, 14), weight (16, 6, 5, 5)      315 | 493 | 76       619 | 568 | 65      194 | 506 | 71
#   x (4, 512, 7, 7), weight (512, 512, 3, 3)   7290 | - | 16100     9270 | - | 16300    7110 | - | 30200
#   x (32, 64, 28, 28), weight (64, 1, 3, 3)    22033 | - | 581      17353 | - | 510     23163 | - | 905
# The weight gradient of a deep layer on small images is one long product of a few columns: BLAS. NumPy | lanes in ms on
# one and on two Zen 4 cores:
#   x (32, 128, 8, 8), weight (256, 128, 3, 3)    16.9 | 15.8    11.1 | 13.0
#   x (32, 256, 8, 8), weight (256, 256, 3, 3)    32.9 | 42.5    21.1 | 43.8
#   x (32, 512, 4, 4), weight (512, 512, 3, 3)    28.9 | 64.0    17.3 | 51.3
#   x (32, 512, 2, 2), weight (512, 512, 3, 3)     8.8 | 17.3     5.5 | 17.2
MULTIPLICATIONS = 200_000
LARGEST_SUM = 32  # c/groups * kh * kw, for loops
LANES = 64  # bytes of the widest vectors
EMPTY = 2000  # lanes per image times products of a sum
DEEP = 200  # weights per output pixel of all images, and
MANY = 500_000  # weights at least: below, waking the threads of BLAS beside ours costs more than it saves

_forward = Gate(MULTIPLICATIONS, LARGEST_SUM)
_input_grad = Gate(MULTIPLICATIONS, LARGEST_SUM)
_weight_grad = Gate(MULTIPLICATIONS, LARGEST_SUM)


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
    """x (n, c, h, w), weight (o, c/groups, kh, kw), bias (o,) or None -> (n, o, oh, ow).

        out[n, o, i, j] = bias[o] + sum over c, k, l of x[n, c, i s - p + k d, j s - p + l d] weight[o, c, k, l]

    positive: max(0, out) in its place, a ReLU in the same pass. Raises ShapeError when they do not fit together.
    """
    shape = conv_shape("conv2d", x.shape, weight.shape, stride, padding, dilation, groups)
    if bias is not None:
        check_same_shape("conv2d", "bias", bias.shape, weight.shape[:1])
    if _on_numpy(_forward, shape, weight.shape, x.itemsize):
        return reference.conv2d(x, weight, stride, padding, dilation, groups, bias, positive)
    out: Array = twins("convolution").conv2d(x, weight, stride, padding, dilation, groups, bias, positive)
    return out


def conv2d_input_grad(
    grad: Array, weight: Array, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow) -> (n, c, h, w): each output pixel sends grad times the kernel back to its window.

    Raises ShapeError when they do not fit together.
    """
    shape = conv_shape("conv2d_input_grad", x_shape, weight.shape, stride, padding, dilation, groups)
    check_same_shape("conv2d_input_grad", "grad", grad.shape, shape)
    if _on_numpy(_input_grad, shape, weight.shape, grad.itemsize):
        return reference.conv2d_input_grad(grad, weight, x_shape, stride, padding, dilation, groups)
    out: Array = twins("convolution").conv2d_input_grad(grad, weight, x_shape, stride, padding, dilation, groups)
    return out


def conv2d_weight_grad(
    grad: Array, x: Array, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """grad (n, o, oh, ow), x (n, c, h, w) -> (o, c/groups, kh, kw).

        out[o, c, k, l] = sum over n, i, j of grad[n, o, i, j] x[n, c, i s - p + k d, j s - p + l d]

    Raises ShapeError when they do not fit together.
    """
    shape = conv_shape("conv2d_weight_grad", x.shape, weight_shape, stride, padding, dilation, groups)
    check_same_shape("conv2d_weight_grad", "grad", grad.shape, shape)
    deep = groups == 1 and math.prod(weight_shape) >= max(MANY, DEEP * shape[0] * math.prod(shape[2:]))
    if deep or _on_numpy(_weight_grad, shape, weight_shape, x.itemsize):
        return reference.conv2d_weight_grad(grad, x, weight_shape, stride, padding, dilation, groups)
    out: Array = twins("convolution").conv2d_weight_grad(grad, x, weight_shape, stride, padding, dilation, groups)
    return out


def in_lanes(images: int, weight: Shape, itemsize: int) -> bool:
    """Whether there are enough images to give each SIMD lane one."""
    if images < 2:
        return False
    lanes = LANES // itemsize
    for_each = -(-images // lanes) * lanes / images
    return for_each <= 2 or for_each * math.prod(weight[1:]) <= EMPTY


def _on_numpy(gate: Gate, out: Shape, weight: Shape, itemsize: int) -> bool:
    products = math.prod(weight[1:])
    if math.prod(out) * products < gate.minimum:
        return True
    return products > gate.maximum and not in_lanes(out[0], weight, itemsize)
