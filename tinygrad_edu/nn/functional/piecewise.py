"""Activations made of straight pieces, and a few with other shapes: shrinkage, gates, thresholds."""

from __future__ import annotations

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import check_tensor, plain
from tinygrad_edu.nn.functional.activation import in_place, relu6
from tinygrad_edu.nn.functional.checks import floating
from tinygrad_edu.ops.shapes import one_dim
from tinygrad_edu.random import default_generator
from tinygrad_edu.tensor import Tensor

_p, _where = ops.pointwise, ops.basic.where


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """σ by straight pieces: x/6 + 1/2 limited to [0, 1]."""
    x = floating("hardsigmoid", input)
    return in_place(x, hardsigmoid) if inplace else relu6(x + 3.0) / 6.0


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · hardsigmoid(x) (Howard et al., 2019)."""
    x = floating("hardswish", input)
    return in_place(x, hardswish) if inplace else x * hardsigmoid(x)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value."""
    x = check_tensor("threshold", input)
    if inplace:
        return in_place(x, lambda v: _where(v <= threshold, value, v))
    return _where(x <= threshold, value, x)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    x = floating("hardshrink", input)
    return _where((x >= -lambd) & (x <= lambd), 0.0, x)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, and 0 where |x| <= lambd: the proximal map of lambd |x|."""
    x = floating("softshrink", input)
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambda must be greater or equal to 0, but found to be {lambd}")
    return _where((x >= -lambd) & (x <= lambd), 0.0, x - lambd * _p.sign(x.detach()))


def tanhshrink(input: Tensor) -> Tensor:
    """x − tanh(x)."""
    x = floating("tanhshrink", input)
    return x - _p.tanh(x)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    x = floating("softsign", input)
    return x / (1.0 + _p.abs(x))


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (exp(x/alpha) − 1), an elu without a kink (Barron, 2017)."""
    x = floating("celu", input)
    if alpha == 0:
        raise RuntimeError("celu: alpha is 0, and the exponent is x / alpha: ZeroDivisionError; use a positive alpha")
    if inplace:
        return in_place(x, lambda v: celu(v, alpha))
    # as in elu: the branch that is dropped must stay finite
    below = x.clamp(max=0.0) if alpha > 0 else _where(x > 0, 0.0, x)
    return _where(x > 0, x, alpha * _p.expm1(below / alpha))


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """x where x >= 0, else slope · x: each slope drawn from [lower, upper] in training, their mean otherwise."""
    x = floating("rrelu", input)
    if lower > upper:
        raise RuntimeError(f"rrelu: lower bound {lower} should be less than or equal to the upper bound {upper}")
    slopes = np.asarray((lower + upper) / 2)
    if training:
        slopes = default_generator.numpy.random(x.array.shape) * (upper - lower) + lower
    slope = plain(slopes.astype(x.array.dtype))
    if inplace:
        return in_place(x, lambda v: _where(v >= 0, v, v * slope))
    return _where(x >= 0, x, x * slope)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · σ(b), the gated linear unit, where a and b are the halves of x along `dim` (Dauphin et al., 2017)."""
    x = floating("glu", input)
    if x.ndim == 0:
        raise ShapeError("glu: does not support 0-dimensional tensors; it halves a dim")
    axis = one_dim("glu", dim, x.ndim)
    if x.array.shape[axis] % 2:
        raise ShapeError(
            f"glu: Halving dimension must be even, but dimension {axis} of {tuple(x.shape)} is size "
            f"{x.array.shape[axis]}"
        )
    half = x.array.shape[axis] // 2
    a, b = x.split([half, half], axis)
    return a * _p.sigmoid(b)
