"""The products with weights: linear maps, convolutions and embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import fuses
from tinygrad_edu.errors import DTypeError, LabelError, ShapeError
from tinygrad_edu.functions.common import check_tensor, plain
from tinygrad_edu.functions.linear import einsum
from tinygrad_edu.nn.functional.activation import relu_outside
from tinygrad_edu.nn.functional.checks import PaddingIndexError, batched, floating, pair, same_dtype, single
from tinygrad_edu.nn.functional.shape import pad
from tinygrad_edu.tensor import Tensor

_conv2d = ops.convolution.conv2d


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """An affine map: y = x Wᵀ + b.

    x (..., in), weight (out, in), bias (out,) -> y (..., out)
    Raises ShapeError when the last dim is not `in`, DTypeError when the dtypes differ.
    """
    return affine(input, weight, bias, relu=False)


def affine(input: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    """`linear`, and then the ReLU that follows it in a `Sequential`: in one kernel where both are fused."""
    x = check_tensor("linear", input)
    if x.array.ndim == 0 or weight.array.ndim != 2 or x.array.shape[-1] != weight.array.shape[1]:
        raise ShapeError(_linear_error(x, weight))
    if x.array.dtype != weight.array.dtype:
        same_dtype(_linear_name(weight), x, weight)
    if bias is not None and fuses(x.array.size + weight.array.size):
        if bias.array.shape != weight.array.shape[:1]:
            raise ShapeError(
                f"linear: bias is {tuple(bias.shape)}; it must be ({weight.array.shape[0]},) for {_linear_name(weight)}"
            )
        return ops.fused.linear_relu(x, weight, bias) if relu else ops.fused.linear(x, weight, bias)
    y = _affine(x, weight, bias)
    return relu_outside(y) if relu else y


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    y = x @ weight.T
    return y if bias is None else y + bias


ops.fused.linear.composition = _affine
ops.fused.linear_relu.composition = lambda x, weight, bias: relu_outside(_affine(x, weight, bias))


def _linear_name(weight: Tensor) -> str:
    return f"Linear({weight.array.shape[-1]} → {weight.array.shape[0]})"


def _linear_error(x: Tensor, weight: Tensor) -> str:
    if weight.array.ndim != 2:
        return f"linear: weight must be (out, in), got {tuple(weight.shape)}"
    shape, wanted = tuple(x.shape), weight.array.shape[1]
    flat = int(np.prod(shape[1:])) if len(shape) > 2 else 0
    fix = " Flatten the input first: x.flatten(1)." if flat == wanted else ""
    return (
        f"{_linear_name(weight)}: input is {shape}; its last dim must be in_features={wanted}.{fix} "
        f"(mat1 and mat2 shapes cannot be multiplied)"
    )


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A form that is linear in each input: y_k = x₁ᵀ W_k x₂ + b_k.

    x₁ (..., in1), x₂ (..., in2), weight (out, in1, in2), bias (out,) -> y (..., out)
    """
    x1, x2 = check_tensor("bilinear", input1), check_tensor("bilinear", input2)
    shapes = tuple(x1.shape), tuple(x2.shape), tuple(weight.shape)
    if weight.ndim != 3 or shapes[0][-1:] != shapes[2][1:2] or shapes[1][-1:] != shapes[2][2:]:
        raise ShapeError(
            f"bilinear: inputs are {shapes[0]} and {shapes[1]} and weight is {shapes[2]}; weight must be "
            f"(out, in1, in2) with in1 and in2 the last dims of the inputs"
        )
    if shapes[0][:-1] != shapes[1][:-1]:
        raise ShapeError(f"bilinear: the inputs' leading dims must agree, got {shapes[0]} and {shapes[1]}")
    y = einsum("...i,kij,...j->...k", x1, weight, x2)
    return y if bias is None else y + bias


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation with a bank of kernels: y = x ∗ W + b.

    x (n, c, h, w) or (c, h, w), weight (out, c / groups, kh, kw), bias (out,) -> y (n, out, oh, ow) or (out, oh, ow)
        oh = ⌊(h + 2 padding − dilation (kh − 1) − 1) / stride⌋ + 1
    padding: a number, two, "valid" (none) or "same" (oh = h; stride 1 only).
    Raises ShapeError when the channels, groups or sizes do not fit.
    """
    return convolve(input, weight, bias, stride, padding, dilation, groups, relu=False)


def convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    relu: bool,
) -> Tensor:
    """`conv2d`, and then the ReLU that follows it in a `Sequential`: in one kernel where both are fused."""
    x, has_batch = batched("conv2d", input)
    same_dtype("conv2d", x, weight)
    steps, spread = pair("conv2d", stride, "stride"), pair("conv2d", dilation, "dilation")
    if weight.ndim != 4:
        raise ShapeError(f"conv2d: weight must be (out, c / groups, kh, kw), got {tuple(weight.shape)}")
    if isinstance(padding, str):
        x, around = _named_padding(x, padding, weight.array.shape[2:], steps, spread)
    else:
        around = pair("conv2d", padding, "padding")
    if bias is not None and bias.array.shape != weight.array.shape[:1]:
        raise ShapeError(
            f"conv2d: bias must have one entry per output channel, ({weight.array.shape[0]},), got {tuple(bias.shape)}"
        )
    if bias is not None and fuses(x.array.size):
        whole = ops.fused.conv2d_relu if relu else ops.fused.conv2d_bias
        y = whole(x, weight, bias, steps, around, spread, groups)
    else:
        y = _conv2d_and_bias(x, weight, bias, steps, around, spread, groups)
        y = relu_outside(y) if relu else y
    return y if has_batch else y.squeeze(0)


def _conv2d_and_bias(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    y = _conv2d(x, weight, stride, padding, dilation, groups)
    return y if bias is None else y + bias.reshape((1, -1, 1, 1))


ops.fused.conv2d_bias.composition = _conv2d_and_bias
ops.fused.conv2d_relu.composition = lambda *args, **options: relu_outside(_conv2d_and_bias(*args, **options))


def _named_padding(x: Tensor, padding: str, kernel: Any, stride: Any, dilation: Any) -> tuple[Tensor, tuple[int, int]]:
    """What "same" and "valid" mean; an odd total is padded by one more below and to the right."""
    if padding == "valid":
        return x, (0, 0)
    if padding != "same":
        raise ValueError(f"conv2d: Invalid padding string {padding!r}, should be one of 'same', 'valid'")
    if stride != (1, 1):
        raise ValueError(f"conv2d: padding='same' is not supported for strided convolutions (stride {stride})")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total):
        x = pad(x, (0, total[1] % 2, 0, total[0] % 2))
    return x, (total[0] // 2, total[1] // 2)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation along one dim: a `conv2d` of height 1.

    x (n, c, l) or (c, l), weight (out, c / groups, k), bias (out,) -> y (n, out, ol) or (out, ol)
    """
    x = floating("conv1d", input)
    if x.ndim not in (2, 3) or weight.ndim != 3:
        raise ShapeError(
            f"conv1d: x must be (n, c, l) or (c, l) and weight (out, c / groups, k); got {tuple(x.shape)} and "
            f"{tuple(weight.shape)}"
        )
    steps, spread = single("conv1d", stride, "stride"), single("conv1d", dilation, "dilation")
    around = padding if isinstance(padding, str) else (0, single("conv1d", padding, "padding"))
    y = conv2d(x.unsqueeze(-2), weight.unsqueeze(-2), bias, (1, steps), around, (1, spread), groups)
    return y.squeeze(-2)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of a table that the labels name; the row `padding_idx` gets no gradient.

    input (...) of integers, weight (k, d) -> (..., d)
    Raises LabelError for a label outside [0, k - 1], DTypeError for labels that are no integers,
    NotImplementedError for max_norm, scale_grad_by_freq and sparse.
    """
    check_embedding_options(max_norm, norm_type, scale_grad_by_freq, sparse)
    labels = check_tensor("embedding", input)
    if labels.array.dtype.kind not in "iu":
        raise DTypeError(f"embedding: labels must be integers, got {labels.dtype!r}; convert with .long()")
    count = weight.array.shape[0]
    outside = (labels.array < 0) | (labels.array >= count)
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        raise LabelError(
            f"embedding: index out of range: label {int(labels.array[place])} at {list(place)} must lie in "
            f"[0, {count - 1}], the rows of weight {tuple(weight.shape)}"
        )
    rows = weight[labels]
    if padding_idx is None:
        return rows
    if not -count <= padding_idx < count:
        raise PaddingIndexError(f"embedding: padding_idx {padding_idx} must be within num_embeddings={count}")
    is_padding = plain((labels.array == padding_idx % count)[..., None])
    return ops.basic.where(is_padding, rows.detach(), rows)


def check_embedding_options(max_norm: float | None, norm_type: float, scale_grad_by_freq: bool, sparse: bool) -> None:
    """Raise NotImplementedError for the options of embeddings that are not supported."""
    if max_norm is not None:
        raise NotImplementedError(
            f"embedding: max_norm={max_norm} is not supported, since it changes the weight in forward; scale the rows "
            f"after each step under no_grad: weight.mul_((max_norm / weight.norm(dim=1, keepdim=True)).clamp(max=1))"
        )
    if norm_type != 2.0:
        raise NotImplementedError(f"embedding: norm_type={norm_type} belongs to max_norm, which is not supported")
    if scale_grad_by_freq:
        raise NotImplementedError(
            "embedding: scale_grad_by_freq=True is not supported; divide the rows of weight.grad by the labels' counts"
        )
    if sparse:
        raise NotImplementedError("embedding: sparse=True is not supported; gradients are dense, use sparse=False")
