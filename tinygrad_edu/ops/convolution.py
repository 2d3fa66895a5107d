"""Two-dimensional convolution and its two gradients: three ops that are one another's rules.

Convolution is linear in each input, so the gradients of each of the three are again the other two.
"""

from __future__ import annotations

from tinygrad_edu import kernels
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.ops.registry import Array, op

Pair = tuple[int, int]


def check_conv2d(
    name: str, x: tuple[int, ...], weight: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """Raise ShapeError unless the shapes and options of a convolution fit together."""
    if len(x) != 4 or len(weight) != 4:
        raise ShapeError(f"{name}: x must be (n, c, h, w) and weight (out, c / groups, kh, kw); got {x} and {weight}")
    if groups < 1 or x[1] % groups or weight[0] % groups:
        raise ShapeError(f"{name}: groups={groups} must divide the {x[1]} input and {weight[0]} output channels")
    if x[1] != weight[1] * groups:
        raise ShapeError(
            f"{name}: x is {x} and weight is {weight}: x has {x[1]} channels but the weight expects "
            f"{weight[1] * groups} (weight.shape[1] · groups); check in_channels"
        )
    for axis, label in enumerate(("height", "width")):
        if stride[axis] < 1 or dilation[axis] < 1 or padding[axis] < 0:
            raise ShapeError(f"{name}: stride {stride} and dilation {dilation} must be >= 1, padding {padding} >= 0")
        span = dilation[axis] * (weight[2 + axis] - 1) + 1
        if x[2 + axis] + 2 * padding[axis] < span:
            raise ShapeError(
                f"{name}: the kernel spans {span} but the padded input {label} is {x[2 + axis] + 2 * padding[axis]} "
                f"(x {x}, padding {padding}); use a smaller kernel or more padding"
            )


@op(
    symbol="∗",
    formula="{x} ∗ {weight}",
    gradients={"x": "{grad} ∗ᵀ {weight}", "weight": "{x} ⋆ {grad}"},
    precedence=2,
    types="same",
    title="Conv2d",
    method=False,
)
def conv2d(
    x: Array, weight: Array, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1), groups: int = 1
) -> Array:
    """Cross-correlation of images with a bank of kernels, as deep learning calls convolution.

    x (n, c, h, w), weight (out, c / groups, kh, kw) -> out (n, out, oh, ow), oh = ⌊(h + 2p − d(kh − 1) − 1) / s⌋ + 1
        out[n, o, i, j] = Σ_c Σ_u Σ_v x[n, c, i s + u d − p, j s + v d − p] weight[o, c, u, v]
    Raises ShapeError when the channels, groups or sizes do not fit.
    Source: Dumoulin and Visin (2016), A guide to convolution arithmetic for deep learning.
    """
    check_conv2d("conv2d", x.shape, weight.shape, stride, padding, dilation, groups)
    return kernels.conv2d(x, weight, stride, padding, dilation, groups)


@op(
    symbol="∗ᵀ",
    formula="{x} ∗ᵀ {weight}",
    gradients={"x": "{grad} ∗ {weight}", "weight": "{grad} ⋆ {x}"},
    precedence=2,
    types="same",
    title="Conv2dᵀ",
    method=False,
)
def conv2d_transpose(
    x: Array,
    weight: Array,
    shape: tuple[int, ...],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """The gradient of `conv2d` with respect to its images, of `shape`.

    x (n, out, oh, ow) is the gradient of its result.
    """
    check_conv2d("conv2d_transpose", tuple(shape), weight.shape, stride, padding, dilation, groups)
    return kernels.conv2d_input_grad(x, weight, tuple(shape), stride, padding, dilation, groups)


@op(
    symbol="⋆",
    formula="{x} ⋆ {grad_out}",
    gradients={"x": "{grad_out} ∗ᵀ {grad}", "grad_out": "{x} ∗ {grad}"},
    precedence=2,
    types="same",
    title="Conv2dWeight",
    method=False,
)
def conv2d_weight(
    x: Array,
    grad_out: Array,
    shape: tuple[int, ...],
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """The gradient of `conv2d` with respect to its weight, of `shape`: x are the images, grad_out (n, out, oh, ow)."""
    check_conv2d("conv2d_weight", x.shape, tuple(shape), stride, padding, dilation, groups)
    return kernels.conv2d_weight_grad(grad_out, x, tuple(shape), stride, padding, dilation, groups)


conv2d.backward(
    x=lambda grad, weight, x_shape, stride, padding, dilation, groups: conv2d_transpose(
        grad, weight, x_shape, stride, padding, dilation, groups
    ),
    weight=lambda grad, x, weight_shape, stride, padding, dilation, groups: conv2d_weight(
        x, grad, weight_shape, stride, padding, dilation, groups
    ),
)
conv2d_transpose.backward(
    x=lambda grad, weight, stride, padding, dilation, groups: conv2d(grad, weight, stride, padding, dilation, groups),
    weight=lambda grad, x, weight_shape, stride, padding, dilation, groups: conv2d_weight(
        grad, x, weight_shape, stride, padding, dilation, groups
    ),
)
conv2d_weight.backward(
    x=lambda grad, grad_out, x_shape, stride, padding, dilation, groups: conv2d_transpose(
        grad_out, grad, x_shape, stride, padding, dilation, groups
    ),
    grad_out=lambda grad, x, stride, padding, dilation, groups: conv2d(x, grad, stride, padding, dilation, groups),
)
