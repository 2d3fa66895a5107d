"""Pooling over two-dimensional windows."""

from __future__ import annotations

from tinygrad_edu import kernels
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.ops.registry import Array, op

Pair = tuple[int, int]

SIDE_BY_SIDE = ((2, 2), (2, 2), (0, 0), (1, 1))  # the windows that most networks use


def check_pool2d(name: str, x: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """Raise ShapeError unless the windows of a pooling fit the input."""
    if len(x) != 4:
        raise ShapeError(f"{name}: x must be (n, c, h, w), got {x}")
    for axis, label in enumerate(("height", "width")):
        k, s, p, d = kernel_size[axis], stride[axis], padding[axis], dilation[axis]
        if k < 1 or s < 1 or d < 1 or p < 0:
            raise ShapeError(
                f"{name}: kernel_size {kernel_size}, stride {stride} and dilation {dilation} must be >= 1, "
                f"padding {padding} >= 0"
            )
        if 2 * p > k:
            raise ShapeError(f"{name}: padding {padding} must be at most half of kernel_size {kernel_size}")
        if x[2 + axis] + 2 * p < d * (k - 1) + 1:
            raise ShapeError(
                f"{name}: the window spans {d * (k - 1) + 1} but the padded input {label} is {x[2 + axis] + 2 * p} "
                f"(x {x}); the output would be empty: use a smaller kernel_size or fewer pooling layers"
            )


@op(
    symbol="max",
    formula="maxpool({x})",
    gradients={"x": "{grad} at each window's largest entry"},
    kept=("indices",),
    title="MaxPool2d",
    method=False,
)
def max_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """The largest entry of each window; the first of equals, or NaN, wins.  x (n, c, h, w) -> out (n, c, oh, ow)"""
    check_pool2d("max_pool2d", x.shape, kernel_size, stride, padding, dilation)
    return kernels.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)


@op(symbol="scatter", formula="unpool({x})", gradients={"x": "{grad}[indices]"}, method=False)
def max_unpool2d(x: Array, indices: Array, shape: tuple[int, ...], in_twos: bool = False) -> Array:
    """Zeros of `shape` (n, c, h, w) with x added at the flat positions `indices` of each plane.

    in_twos: each position is known to lie in its own window of 2 x 2, side by side: for speed only.
    """
    return kernels.max_pool2d_backward(x, indices, tuple(shape), in_twos)


@op(symbol="gather", formula="{x}[indices]", gradients={"x": "unpool({grad})"}, method=False)
def max_pool2d_gather(x: Array, indices: Array) -> Array:
    """The entries of each plane of x (n, c, h, w) at the flat positions `indices`."""
    return kernels.max_pool2d_gather(x, indices)


max_pool2d.backward(
    x=lambda grad, indices, x_shape, kernel_size, stride, padding, dilation: max_unpool2d(
        grad, indices, shape=x_shape, in_twos=(kernel_size, stride, padding, dilation) == SIDE_BY_SIDE
    )
)
max_unpool2d.backward(x=lambda grad, indices: max_pool2d_gather(grad, indices))
max_pool2d_gather.backward(x=lambda grad, indices, x_shape: max_unpool2d(grad, indices, shape=x_shape))


@op(
    symbol="mean",
    formula="avgpool({x})",
    gradients={"x": "{grad} / k² over each window"},
    title="AvgPool2d",
    method=False,
)
def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The mean of each window.  x (n, c, h, w) -> out (n, c, oh, ow).  Padding counts as zeros if count_include_pad."""
    check_pool2d("avg_pool2d", x.shape, kernel_size, stride, padding, (1, 1))
    if divisor_override == 0:
        raise RuntimeError("avg_pool2d: divisor_override must not be zero")
    return kernels.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@op(symbol="spread", formula="avgpoolᵀ({x})", gradients={"x": "avgpool({grad})"}, method=False)
def avg_pool2d_transpose(
    x: Array,
    shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The gradient of `avg_pool2d` with respect to its input, of `shape`: each entry of x spread over its window."""
    return kernels.avg_pool2d_backward(
        x, tuple(shape), kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


avg_pool2d.backward(
    x=lambda grad, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: (
        avg_pool2d_transpose(
            grad, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        )
    )
)
avg_pool2d_transpose.backward(
    x=lambda grad, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: avg_pool2d(
        grad, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
)
