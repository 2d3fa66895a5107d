"""GELU and its derivative (Hendrycks and Gimpel, 2016)."""

from __future__ import annotations

import math

import numpy as np

from ..quiet import Array, silent
from .elementwise import erf


@silent
def gelu(x: Array) -> Array:
    """x Φ(x) = x/2 (1 + erf(x / √2))."""
    return np.asarray(x * 0.5 * (erf(np.asarray(x * x.dtype.type(math.sqrt(0.5)))) + 1))


@silent
def gelu_backward(grad: Array, x: Array) -> Array:
    """grad (Φ(x) + x φ(x)), φ(x) = exp(−x²/2) / √(2π)."""
    cdf = 0.5 * (erf(np.asarray(x * x.dtype.type(math.sqrt(0.5)))) + 1)
    slope = cdf + np.where(np.isinf(x), 0, x * np.exp(-0.5 * x * x)) * x.dtype.type(1 / math.sqrt(2 * math.pi))
    return np.asarray(grad * slope, x.dtype)
