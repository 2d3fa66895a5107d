"""Transposed convolution: the linear map that convolution's gradient is, used to grow an image."""

from __future__ import annotations

from typing import Any

from tinygrad_edu import ops
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn.functional.checks import batched, floating, pair, same_dtype, single
from tinygrad_edu.nn.functional.shape import pad
from tinygrad_edu.tensor import Tensor

_transposed = ops.convolution.conv2d_transpose


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Each entry of x spreads a kernel over the output: the transpose of `conv2d`, also called deconvolution.

    x (n, c, h, w) or (c, h, w), weight (c, out / groups, kh, kw), bias (out,) -> y (n, out, oh, ow) or (out, oh, ow)
        oh = (h − 1) stride − 2 padding + dilation (kh − 1) + output_padding + 1
    output_padding: rows and columns more at the end, since a strided convolution maps several sizes to one.
    Raises ShapeError when the channels, groups or sizes do not fit.
    Source: Dumoulin and Visin (2016), A guide to convolution arithmetic for deep learning.
    """
    name = "conv_transpose2d"
    x, has_batch = batched(name, input)
    same_dtype(name, x, weight)
    steps, around, spread = (
        pair(name, value, what) for value, what in ((stride, "stride"), (padding, "padding"), (dilation, "dilation"))
    )
    more = pair(name, output_padding, "output_padding")
    _check(name, x, weight, bias, groups)
    for k in range(2):
        if not 0 <= more[k] < max(steps[k], spread[k]):
            raise ShapeError(
                f"{name}: output padding must be smaller than either stride or dilation, but got output_padding "
                f"{more}, stride {steps} and dilation {spread}"
            )
    # where every entry of x ends, were nothing cut off
    spans = [(x.array.shape[2 + k] - 1) * steps[k] + spread[k] * (weight.array.shape[2 + k] - 1) + 1 for k in range(2)]
    sizes = [span - 2 * p + m for span, p, m in zip(spans, around, more, strict=True)]
    if min(sizes) < 1:
        raise ShapeError(f"{name}: the output would be {tuple(sizes)} for x {tuple(x.shape)}; use less padding")
    lead = (x.array.shape[0], weight.array.shape[1] * groups)
    if all(m < s for m, s in zip(more, steps, strict=True)):
        y = _transposed(x, weight, (*lead, *sizes), steps, around, spread, groups)
    else:  # no convolution of this stride comes from so large an output: cut it out of the whole
        y = _transposed(x, weight, (*lead, *spans), steps, (0, 0), spread, groups)
        after = [m - p for p, m in zip(around, more, strict=True)]
        y = pad(y, (-around[1], after[1], -around[0], after[0]))
    if bias is not None:
        y = y + bias.reshape((1, -1, 1, 1))
    return y if has_batch else y.squeeze(0)


def _check(name: str, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    if weight.ndim != 4:
        raise ShapeError(f"{name}: weight must be (c, out / groups, kh, kw), got {tuple(weight.shape)}")
    if x.array.shape[1] != weight.array.shape[0]:
        raise ShapeError(
            f"{name}: x is {tuple(x.shape)} and weight is {tuple(weight.shape)}: expected input to have "
            f"{weight.array.shape[0]} channels (weight.shape[0]), but got {x.array.shape[1]}; check in_channels"
        )
    if groups < 1 or weight.array.shape[0] % groups:
        raise ShapeError(f"{name}: groups={groups} must divide the {weight.array.shape[0]} input channels")
    out = weight.array.shape[1] * groups
    if bias is not None and bias.array.shape != (out,):
        raise ShapeError(f"{name}: bias must have one entry per output channel, ({out},), got {tuple(bias.shape)}")


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of `conv1d`: a `conv_transpose2d` of height 1.

    x (n, c, l) or (c, l), weight (c, out / groups, k), bias (out,) -> y (n, out, ol) or (out, ol)
    """
    name = "conv_transpose1d"
    x = floating(name, input)
    if x.ndim not in (2, 3) or weight.ndim != 3:
        raise ShapeError(
            f"{name}: x must be (n, c, l) or (c, l) and weight (c, out / groups, k); got {tuple(x.shape)} and "
            f"{tuple(weight.shape)}"
        )
    y = conv_transpose2d(
        x.unsqueeze(-2),
        weight.unsqueeze(-2),
        bias,
        (1, single(name, stride, "stride")),
        (0, single(name, padding, "padding")),
        (0, single(name, output_padding, "output_padding")),
        groups,
        (1, single(name, dilation, "dilation")),
    )
    return y.squeeze(-2)
