"""Dropout: noise that keeps units from relying on one another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import check_tensor, plain
from tinygrad_edu.nn.functional.activation import SELU_ALPHA, SELU_SCALE, in_place
from tinygrad_edu.nn.functional.checks import floating
from tinygrad_edu.random import default_generator
from tinygrad_edu.tensor import Tensor


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each entry set to 0 with probability p, the others scaled by 1/(1 − p), in training; otherwise x itself.

    y = mask · x        mask is 0 or 1/(1 − p), drawn from the default generator
    Raises ValueError unless 0 <= p <= 1.  Source: Srivastava et al. (2014).
    """
    x = check_tensor("dropout", input)
    return _dropped("dropout", x, p, training, inplace, x.array.shape)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels: x (n, c, l) or (c, l); one draw per channel."""
    x = check_tensor("dropout1d", input)
    if x.ndim not in (2, 3):
        raise ShapeError(f"dropout1d: Expected 2D or 3D input, (n, c, l) or (c, l), got {tuple(x.shape)}; use dropout")
    return _dropped("dropout1d", x, p, training, inplace, (*x.array.shape[:-1], 1))


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels: x (n, c, h, w) or (c, h, w); one draw per channel."""
    x = check_tensor("dropout2d", input)
    if x.ndim not in (3, 4):
        raise ShapeError(f"dropout2d: expected (n, c, h, w) or (c, h, w), got {tuple(x.shape)}; use dropout")
    return _dropped("dropout2d", x, p, training, inplace, (*x.array.shape[:-2], 1, 1))


def _check_probability(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: dropout probability has to be between 0 and 1, but got {p}")


def _dropped(name: str, x: Tensor, p: float, training: bool, inplace: bool, shape: Any) -> Tensor:
    _check_probability(name, p)
    floating(name, x)
    if not training or p == 0:
        return x
    kept = default_generator.numpy.random(shape, np.float32) >= p
    scale = 0.0 if p == 1 else 1 / (1 - p)
    mask = plain(kept.astype(x.array.dtype) * x.array.dtype.type(scale))
    mask.name = "mask"
    return in_place(x, lambda v: v * mask) if inplace else x * mask


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout for selu networks: it keeps mean 0 and variance 1 (Klambauer et al., 2017).

    y = a (mask · x + (1 − mask) · α') + b with α' = −scale · alpha of selu, the value that selu approaches at −∞,
    a = 1/√((1 − p)(1 + p α'²)) and b = −a p α'
    """
    x = floating("alpha_dropout", input)
    return _alpha_dropped("alpha_dropout", x, p, training, inplace, x.array.shape)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels: x (n, c, ...); one draw per channel."""
    x = floating("feature_alpha_dropout", input)
    if x.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: needs at least 2 dims, (n, c, ...), got {tuple(x.shape)}")
    shape = (*x.array.shape[:2], *(1,) * (x.ndim - 2))
    return _alpha_dropped("feature_alpha_dropout", x, p, training, inplace, shape)


def _alpha_dropped(name: str, x: Tensor, p: float, training: bool, inplace: bool, shape: Any) -> Tensor:
    _check_probability(name, p)
    if not training or p == 0:
        return x
    if p == 1:
        return in_place(x, lambda v: v * 0.0) if inplace else x * 0.0
    low = -SELU_SCALE * SELU_ALPHA
    a = 1 / math.sqrt((1 - p) * (1 + p * low * low))
    kept = default_generator.numpy.random(shape, np.float32) >= p
    mask = plain((kept * a).astype(x.array.dtype))
    shift = plain((~kept * (a * low) - a * p * low).astype(x.array.dtype))
    mask.name, shift.name = "mask", "shift"
    return in_place(x, lambda v: v * mask + shift) if inplace else x * mask + shift
