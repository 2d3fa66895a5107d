"""Fused ops: one kernel in place of several primitives, chosen behind a composition when nobody looks inside it.

Each stands for a composition of primitives, set beside that composition in `nn.functional`.  The joint rule runs on
arrays; a higher derivative or a picture replays the composition instead.  A property test holds the two together.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_edu import kernels
from tinygrad_edu.ops.convolution import Pair, check_conv2d
from tinygrad_edu.ops.registry import Array, op

Needs = tuple[bool, ...]


@op(
    symbol="Wx + b",
    formula="{x} {weight}ᵀ + {bias}",
    gradients={"x": "{grad} {weight}", "weight": "{grad}ᵀ {x}", "bias": "Σ {grad}"},
    precedence=1,
    types="same",
    title="Linear",
    method=False,
)
def linear(x: Array, weight: Array, bias: Array) -> Array:
    """The affine map of the last dim.

    x (..., in), weight (out, in), bias (out,) -> out (..., out)
    """
    out = kernels.matmul(_rows(x), weight.T)
    out += bias
    return out.reshape(*x.shape[:-1], weight.shape[0])


def _rows(x: Array) -> Array:
    """All but the last dim joined: (..., k) -> (m, k)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _linear_gradients(grad: Array, x: Array, weight: Array, needs: Needs) -> tuple[Any, ...]:
    rows = _rows(grad)
    return (
        kernels.matmul(rows, weight).reshape(x.shape) if needs[0] else None,
        kernels.matmul(rows.T, _rows(x)) if needs[1] else None,
        kernels.sum(rows, (0,), False) if needs[2] else None,
    )


linear.backward_jointly(lambda grad, x, weight, needs: _linear_gradients(grad, x, weight, needs))


@op(
    symbol="∗ + b",
    formula="{x} ∗ {weight} + {bias}",
    gradients={"x": "{grad} ∗ᵀ {weight}", "weight": "{x} ⋆ {grad}", "bias": "Σ {grad}"},
    precedence=1,
    types="same",
    title="Conv2d",
    method=False,
)
def conv2d_bias(
    x: Array,
    weight: Array,
    bias: Array,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """`conv2d` with one bias per output channel.

    x (n, c, h, w), weight (out, c / groups, kh, kw), bias (out,) -> out (n, out, oh, ow)
    """
    check_conv2d("conv2d", x.shape, weight.shape, stride, padding, dilation, groups)
    out = kernels.conv2d(x, weight, stride, padding, dilation, groups)
    out += bias[:, None, None]
    return out


def _conv2d_gradients(grad: Array, x: Array, weight: Array, options: tuple[Any, ...], needs: Needs) -> tuple[Any, ...]:
    return (
        kernels.conv2d_input_grad(grad, weight, x.shape, *options) if needs[0] else None,
        kernels.conv2d_weight_grad(grad, x, weight.shape, *options) if needs[1] else None,
        kernels.sum(grad, (0, 2, 3), False) if needs[2] else None,
    )


conv2d_bias.backward_jointly(
    lambda grad, x, weight, stride, padding, dilation, groups, needs: _conv2d_gradients(
        grad, x, weight, (stride, padding, dilation, groups), needs
    )
)
