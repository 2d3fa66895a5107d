"""Biases of channels, their gradient, and sums of gradients, chosen by size."""

from __future__ import annotations

from ..errors import ShapeError
from .backend import Gate, twins
from .quiet import Array
from .reductions import sum
from .reference import channels as reference
from .windows import check_same_shape

# Measured on two cores of an AVX-512 EPYC, float32, NumPy | Numba in us, threads awake-asleep.
# Bias and relu: 130,000 45-70 | 9-80; 200,000 106 | 20-88; 400,000 210 | 35-109. In place, no relu: 400,000 51 | 20-93.
BIAS_MINIMUM = 200_000
ACCUMULATE_MINIMUM = 1_000_000  # 400,000 36 | 20-107; 1e6 94 | 55-155: memory-bound

_bias = Gate(BIAS_MINIMUM)
_accumulate = Gate(ACCUMULATE_MINIMUM)


def add_channel_bias(x: Array, bias: Array, relu: bool = False, out: Array | None = None) -> Array:
    """x (n, c, ...) plus bias (c,) of each channel, then max(., 0) where relu is asked for -> (n, c, ...).

    A fresh array, or `out`: x itself, when x belongs to the caller and is needed no more. NaN stays NaN.
    Raises ShapeError where shapes do not fit.
    """
    _check_channels("add_channel_bias", x)
    check_same_shape("add_channel_bias", "bias", bias.shape, x.shape[1:2])
    if out is not None:
        check_same_shape("add_channel_bias", "out", out.shape, x.shape)
    small = x.size < _bias.minimum
    y: Array = (reference if small else twins("channels")).add_channel_bias(x, bias, relu, out)
    return y


def channel_sum(x: Array) -> Array:
    """Sum of each channel of x (n, c, ...) -> (c,), in float64 inside: the gradient of its bias."""
    _check_channels("channel_sum", x)
    return sum(x, (0, *range(2, x.ndim)), False)


def accumulate(out: Array, x: Array) -> None:
    """out += x, in place, for arrays of one shape and dtype. Raises ShapeError for two shapes."""
    check_same_shape("accumulate", "x", x.shape, out.shape)
    if x.size < _accumulate.minimum:
        reference.accumulate(out, x)
    else:
        twins("channels").accumulate(out, x)


def _check_channels(operation: str, x: Array) -> None:
    if x.ndim < 2:
        raise ShapeError(f"{operation}: x is {x.shape}; it must have at least 2 dims, the channels second")


__all__ = ["accumulate", "add_channel_bias", "channel_sum"]
