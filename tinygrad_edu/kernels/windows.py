"""Geometry of convolution and pooling: output sizes and the checks that keep every kernel inside its arrays.

Source: Dumoulin and Visin (2016), A guide to convolution arithmetic for deep learning; ceil_mode as in PyTorch.
"""

from __future__ import annotations

from ..errors import ShapeError

Pair = tuple[int, int]
Shape = tuple[int, ...]


def conv_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many windows of `kernel` taps fit: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def pool_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """As `conv_output_size`; `ceil_mode` rounds up, if the last window starts in the input or its left padding."""
    if not ceil_mode:
        return conv_output_size(size, kernel, stride, padding, dilation)
    windows = conv_output_size(size + stride - 1, kernel, stride, padding, dilation)
    return windows - 1 if (windows - 1) * stride >= size + padding else windows


def conv_shape(
    operation: str, x: Shape, weight: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Shape:
    """Shape of conv2d's output. Raises ShapeError where x and weight do not fit together."""
    if len(x) != 4 or len(weight) != 4:
        raise ShapeError(
            f"{operation}: x is {x} and weight is {weight}; both must have 4 dims, (n, c, h, w) and (o, c, kh, kw)"
        )
    if groups < 1 or x[1] != weight[1] * groups or weight[0] % groups:
        raise ShapeError(
            f"{operation}: x is {x} and weight is {weight}; with groups={groups}, x needs {weight[1] * groups} "
            f"channels and weight an out-channel count divisible by {groups}"
        )
    _check_steps(operation, weight[2:], stride, padding, dilation)
    h, w = (conv_output_size(x[2 + i], weight[2 + i], stride[i], padding[i], dilation[i]) for i in range(2))
    if h < 1 or w < 1:
        raise ShapeError(
            f"{operation}: x is {x}; a kernel of {weight[2:]} with dilation={dilation} does not fit "
            f"with padding={padding}"
        )
    return (x[0], weight[0], h, w)


def pool_shape(
    operation: str, x: Shape, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Shape:
    """Shape of a pool's output. Raises ShapeError where the windows do not fit."""
    if len(x) != 4:
        raise ShapeError(f"{operation}: x is {x}; it must have 4 dims, (n, c, h, w)")
    _check_steps(operation, kernel_size, stride, padding, dilation)
    h, w = (pool_output_size(x[2 + i], kernel_size[i], stride[i], padding[i], dilation[i], ceil_mode) for i in range(2))
    if h < 1 or w < 1:
        raise ShapeError(
            f"{operation}: x is {x}; a window of {kernel_size} with dilation={dilation} does not fit "
            f"with padding={padding}"
        )
    return (x[0], x[1], h, w)


def check_each_window_meets_input(
    x: Shape, out: Shape, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> None:
    """Raise ShapeError if a max-pool window lies in the padding altogether: it has no largest element."""
    for i in range(2):
        size, kernel, step = x[2 + i], kernel_size[i], dilation[i]
        if step == 1 and padding[i] < kernel and size > 0:
            continue  # neighbouring taps cannot jump over the input
        for window in range(out[2 + i]):
            start = window * stride[i] - padding[i]
            first = max(0, -(start // step))  # first tap at or after 0
            if first >= kernel or start + first * step >= size:
                raise ShapeError(
                    f"max_pool2d: x is {x}; window {window} of dim {2 + i} covers nothing but padding "
                    f"(kernel_size={kernel_size}, padding={padding}, dilation={dilation})"
                )


def check_same_shape(operation: str, name: str, shape: Shape, expected: Shape) -> None:
    """Raise ShapeError unless the array called `name` has the shape the others call for."""
    if shape != expected:
        raise ShapeError(f"{operation}: {name} is {shape}; it must be {expected}")


def _check_steps(operation: str, kernel: Shape, stride: Pair, padding: Pair, dilation: Pair) -> None:
    if min(kernel) < 1 or min(stride) < 1 or min(dilation) < 1 or min(padding) < 0:
        raise ShapeError(
            f"{operation}: kernel {kernel}, stride {stride} and dilation {dilation} must be at least 1, "
            f"padding {padding} at least 0"
        )
