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
    return kernels.affine(_rows(x), weight, bias).reshape(*x.shape[:-1], weight.shape[0])


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
    symbol="relu(Wx + b)",
    formula="relu({x} {weight}ᵀ + {bias})",
    gradients={"x": "{grad}₊ {weight}", "weight": "{grad}₊ᵀ {x}", "bias": "Σ {grad}₊"},
    types="same",
    title="LinearReLU",
    method=False,
)
def linear_relu(x: Array, weight: Array, bias: Array) -> Array:
    """The affine map of the last dim and the ReLU that follows it.

    x (..., in), weight (out, in), bias (out,) -> out (..., out)
    """
    return kernels.affine(_rows(x), weight, bias, positive=True).reshape(*x.shape[:-1], weight.shape[0])


linear_relu.backward_jointly(
    lambda grad, x, weight, out, needs: _linear_gradients(kernels.relu_gate(grad, out), x, weight, needs)
)


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
    return kernels.conv2d(x, weight, stride, padding, dilation, groups, bias)


def _conv2d_gradients(grad: Array, x: Array, weight: Array, options: tuple[Any, ...], needs: Needs) -> tuple[Any, ...]:
    return (
        kernels.conv2d_input_grad(grad, weight, x.shape, *options) if needs[0] else None,
        kernels.conv2d_weight_grad(grad, x, weight.shape, *options) if needs[1] else None,
        kernels.channel_sum(grad) if needs[2] else None,
    )


conv2d_bias.backward_jointly(
    lambda grad, x, weight, stride, padding, dilation, groups, needs: _conv2d_gradients(
        grad, x, weight, (stride, padding, dilation, groups), needs
    )
)


@op(
    symbol="relu(∗ + b)",
    formula="relu({x} ∗ {weight} + {bias})",
    gradients={"x": "{grad}₊ ∗ᵀ {weight}", "weight": "{x} ⋆ {grad}₊", "bias": "Σ {grad}₊"},
    types="same",
    title="Conv2dReLU",
    method=False,
)
def conv2d_relu(
    x: Array,
    weight: Array,
    bias: Array,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """`conv2d` with a bias, and the ReLU that follows it.

    x (n, c, h, w), weight (out, c / groups, kh, kw), bias (out,) -> out (n, out, oh, ow)
    """
    check_conv2d("conv2d", x.shape, weight.shape, stride, padding, dilation, groups)
    return kernels.conv2d(x, weight, stride, padding, dilation, groups, bias, positive=True)


conv2d_relu.backward_jointly(
    lambda grad, x, weight, out, stride, padding, dilation, groups, needs: _conv2d_gradients(
        kernels.relu_gate(grad, out), x, weight, (stride, padding, dilation, groups), needs
    )
)


@op(
    symbol="BN",
    formula="batchnorm({x})",
    gradients={"x": "γ/σ · ({grad} − mean − x̂ · mean x̂{grad})", "weight": "Σ {grad} · x̂", "bias": "Σ {grad}"},
    types="same",
    kept=("mean", "inv_std", "var", "shift"),
    title="BatchNorm",
    method=False,
)
def batch_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5, positive: bool = False) -> tuple[Array, ...]:
    """Normalisation of each channel by the statistics of the batch; weight and bias may be left out.

    x (n, c, ...), weight (c,), bias (c,) -> out as x; and mean, 1/√(var + eps), var, shift (c,)
    positive: with the ReLU that follows it.
    Source: Ioffe and Szegedy (2015), Algorithm 1.
    """
    return kernels.batch_norm(x, weight, bias, eps, positive)


batch_norm.backward_jointly(
    lambda grad, x, weight, mean, inv_std, shift, positive: kernels.batch_norm_backward(
        grad, x, weight, mean, inv_std, shift if positive else None
    )
)


@op(
    symbol="LN",
    formula="layernorm({x})",
    gradients={"x": "1/σ · (γ{grad} − mean − x̂ · mean x̂γ{grad})", "weight": "Σ {grad} · x̂", "bias": "Σ {grad}"},
    types="same",
    kept=("mean", "inv_std"),
    title="LayerNorm",
    method=False,
)
def layer_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> tuple[Array, ...]:
    """Normalisation of each row; weight and bias may be left out.

    x (m, k), weight (k,), bias (k,) -> out (m, k); and mean, 1/√(var + eps) (m,)
    Source: Ba, Kiros and Hinton (2016).
    """
    return kernels.layer_norm(x, weight, bias, eps)


layer_norm.backward_jointly(
    lambda grad, x, weight, mean, inv_std: kernels.layer_norm_backward(grad, x, weight, mean, inv_std)
)


@op(
    symbol="log p",
    formula="log softmax({x})",
    gradients={"x": "{grad} − softmax · Σ {grad}"},
    precedence=2,
    title="LogSoftmax",
    method=False,
)
def log_softmax(x: Array) -> Array:
    """log softmax of each row: x (m, k) -> out (m, k)."""
    return kernels.log_softmax(x)


log_softmax.backward_jointly(lambda grad, out: (kernels.log_softmax_backward(grad, out),))


@op(
    symbol="p",
    formula="softmax({x})",
    gradients={"x": "{out} · ({grad} − Σ {grad}{out})"},
    title="Softmax",
    method=False,
)
def softmax(x: Array) -> Array:
    """Softmax of each row: x (m, k) -> out (m, k)."""
    return kernels.softmax(x)


softmax.backward_jointly(lambda grad, out: (kernels.softmax_backward(grad, out),))


@op(
    symbol="−log p",
    formula="−log softmax({x})[{labels}]",
    gradients={"x": "{grad} · (softmax − onehot)"},
    precedence=2,
    kept=("row_weights", "logsumexp"),
    title="CrossEntropy",
    method=False,
)
def cross_entropy(x: Array, labels: Array, ignore_index: int = -100) -> tuple[Array, ...]:
    """−log p of the label of each row.

    x (m, k), labels (m,) int64 -> out (m,), 0 where the label is ignore_index; and the rows' weights and logsumexp
    """
    return kernels.cross_entropy(x, labels, None, ignore_index, 0.0)


cross_entropy.backward_jointly(
    lambda grad, x, labels, ignore_index, logsumexp: (
        kernels.cross_entropy_backward(grad, x, labels, None, ignore_index, 0.0, logsumexp),
        None,
    )
)


@op(
    symbol="gelu",
    formula="{x} Φ({x})",
    gradients={"x": "{grad} · (Φ({x}) + {x} φ({x}))"},
    precedence=2,
    title="GELU",
    method=False,
)
def gelu(x: Array) -> Array:
    """x Φ(x), Φ the distribution function of the normal distribution.  Any shape.

    Source: Hendrycks and Gimpel (2016).
    """
    return kernels.gelu(x)


gelu.backward_jointly(lambda grad, x: (kernels.gelu_backward(grad, x),))
