"""Elementwise kernels: floating arrays in, a fresh array of the broadcast shape out, no warnings."""

from __future__ import annotations

import math

import numpy as np

from ..quiet import Array, binary, unary

neg = unary(np.negative)
abs = unary(np.absolute)
sign = unary(np.sign)
square = unary(np.square)
sqrt = unary(np.sqrt)
reciprocal = unary(np.reciprocal)
exp = unary(np.exp)
expm1 = unary(np.expm1)
log = unary(np.log)
log2 = unary(np.log2)
log10 = unary(np.log10)
log1p = unary(np.log1p)
sin = unary(np.sin)
cos = unary(np.cos)
tan = unary(np.tan)
asin = unary(np.arcsin)
acos = unary(np.arccos)
atan = unary(np.arctan)
sinh = unary(np.sinh)
cosh = unary(np.cosh)
tanh = unary(np.tanh)
floor = unary(np.floor)
ceil = unary(np.ceil)
round = unary(np.rint)  # halves go to the even neighbour

add = binary(np.add)
sub = binary(np.subtract)
mul = binary(np.multiply)
div = binary(np.true_divide)
floor_divide = binary(np.floor_divide)
remainder = binary(np.remainder)
pow = binary(np.power)
maximum = binary(np.maximum)
minimum = binary(np.minimum)


def rsqrt(x: Array) -> Array:
    """1 / sqrt(x): inf at 0, NaN below."""
    return reciprocal(sqrt(x))


def relu(x: Array) -> Array:
    """max(x, 0), where NaN stays NaN."""
    return maximum(x, np.zeros((), x.dtype))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)): where exp overflows, 1 / inf = 0 is the right answer."""
    return reciprocal(add(np.ones((), x.dtype), exp(neg(x))))


def erf(x: Array) -> Array:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x; NumPy has none, so the C library's, value by value."""
    return np.fromiter(map(math.erf, x.ravel().tolist()), x.dtype, count=x.size).reshape(x.shape)


def where(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, else y, over the broadcast of the three."""
    return np.where(condition, x, y)


def relu_gate(x: Array, y: Array) -> Array:
    """x where y > 0 (or NaN), else 0: how a gradient passes back through relu, whose result is y."""
    return np.where(y <= 0, np.zeros((), x.dtype), x)


def clip(x: Array, lo: float | None, hi: float | None) -> Array:
    """min(max(x, lo), hi), either bound left out when None; NaN stays NaN, and hi wins over a larger lo."""
    out = x.copy() if lo is None else maximum(x, np.asarray(lo, x.dtype))
    return out if hi is None else minimum(out, np.asarray(hi, x.dtype))
