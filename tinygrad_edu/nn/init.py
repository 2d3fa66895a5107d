"""Initialisation of weights, in place; the formulas are PyTorch's.

fan_in = inputs of one output unit, in · kh · kw        fan_out = outputs that one input unit feeds, out · kh · kw
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.autograd import versions
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.random import Generator, default_generator
from tinygrad_edu.tensor import Tensor

_LINEAR = ("linear", "sigmoid", *(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)))


def _fill(tensor: Tensor, values: Any) -> Tensor:
    """Overwrite the entries; initialisation is no operation to differentiate, so nothing is recorded."""
    np.copyto(tensor.array, values, casting="same_kind" if tensor.is_floating_point() else "unsafe")
    versions.bump(tensor.array)
    return tensor


def _source(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator).numpy


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draws from the uniform distribution on [a, b)."""
    if a > b:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
    return _fill(tensor, _source(generator).random(tensor.array.shape) * (b - a) + a)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draws from N(mean, std²)."""
    if std < 0:
        raise RuntimeError(f"normal_ expects std >= 0.0, but found std {std}")
    return _fill(tensor, _source(generator).standard_normal(tensor.array.shape) * std + mean)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draws from N(mean, std²) that fall into [a, b], by drawing again what does not."""
    if a >= b or std <= 0 or (a - mean) / std > 5 or (b - mean) / std < -5:
        raise ValueError(f"trunc_normal_: [{a}, {b}] lies too far from mean {mean} with std {std} to draw from")
    source = _source(generator)
    values = source.standard_normal(tensor.array.shape) * std + mean
    outside = (values < a) | (values > b)
    while outside.any():
        values[outside] = source.standard_normal(int(outside.sum())) * std + mean
        outside = (values < a) | (values > b)
    return _fill(tensor, values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every entry `val`."""
    return _fill(tensor, np.asarray(val, tensor.array.dtype))


def ones_(tensor: Tensor) -> Tensor:
    """Every entry 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Every entry 0."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: Only tensors with 2 dimensions are supported, got {tuple(tensor.shape)}")
    return _fill(tensor, np.eye(*tensor.array.shape, dtype=tensor.array.dtype))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The kernel of a convolution (out, in, ...) that passes as many input channels on as there are, in each group."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(
            f"dirac_: Only tensors with 3, 4, or 5 dimensions are supported, got {tuple(tensor.shape)}; the weight of "
            f"a convolution is (out, in, kh, kw)"
        )
    out, channels, *window = tensor.array.shape
    if out % groups:
        raise ValueError(f"dirac_: dim 0 must be divisible by groups, got {out} and {groups}")
    values = np.zeros(tensor.array.shape, tensor.array.dtype)
    middle = tuple(n // 2 for n in window)
    for group in range(groups):
        for i in range(min(out // groups, channels)):
            values[(group * (out // groups) + i, i, *middle)] = 1
    return _fill(tensor, values)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """N(0, std²), with the given share of each column of a matrix set to 0 (Martens, 2010)."""
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: Only tensors with 2 dimensions are supported, got {tuple(tensor.shape)}")
    rows, columns = tensor.array.shape
    source = _source(generator)
    values = source.standard_normal((rows, columns)) * std
    for column in range(columns):
        values[source.permutation(rows)[: math.ceil(sparsity * rows)], column] = 0
    return _fill(tensor, values)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """fan_in and fan_out of a weight (out, in, ...)."""
    shape = tensor.array.shape
    if len(shape) < 2:
        raise ValueError(f"Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, got {shape}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a weight must grow so that the nonlinearity keeps the variance of its input."""
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(
        f"Unsupported nonlinearity {nonlinearity}; use linear, conv2d, sigmoid, tanh, relu, leaky_relu or selu"
    )


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """U(−a, a) with a = gain √(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """N(0, std²) with std = gain √(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    std = gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return normal_(tensor, 0.0, std, generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """gain / √fan."""
    fans = dict(zip(("fan_in", "fan_out"), _calculate_fan_in_and_fan_out(tensor), strict=True))
    if mode.lower() not in fans:
        raise ValueError(f"Mode {mode} not supported, please use one of {list(fans)}")
    return calculate_gain(nonlinearity, a) / math.sqrt(fans[mode.lower()])


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """U(−b, b) with b = gain √(3 / fan) (He et al., 2015); `a` is the negative slope of leaky_relu."""
    if tensor.numel() == 0:
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """N(0, std²) with std = gain / √fan (He et al., 2015); `a` is the negative slope of leaky_relu."""
    if tensor.numel() == 0:
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """gain times a matrix (out, the rest) with orthonormal rows or columns, whichever are fewer (Saxe et al., 2013)."""
    if tensor.ndim < 2:
        raise ValueError(f"Only tensors with 2 or more dimensions are supported, got {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        return tensor
    shape = tensor.array.shape
    drawn = _source(generator).standard_normal((shape[0], math.prod(shape[1:])))
    tall = drawn if drawn.shape[0] >= drawn.shape[1] else drawn.T
    q, r = np.linalg.qr(tall)
    # The signs of r's diagonal make the distribution uniform over orthogonal matrices (Mezzadri, 2007).
    rows: Array = (q * np.sign(np.diag(r))) if tall is drawn else (q * np.sign(np.diag(r))).T
    return _fill(tensor, gain * rows.reshape(shape))


def __getattr__(name: str) -> Any:
    """The names without an underscore, which PyTorch deprecated, lead to those with one."""
    if name in ("xavier", "kaiming"):
        raise AttributeError(f"init.{name}: use init.{name}_uniform_ or init.{name}_normal_")
    if not name.startswith("_") and f"{name}_" in globals():
        raise AttributeError(f"init.{name} was removed, since it works in place: use init.{name}_")
    raise AttributeError(f"module 'tinygrad_edu.nn.init' has no attribute {name!r}")
