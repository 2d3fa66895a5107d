"""Elementwise kernels, chosen by size: NumPy below each threshold, the Numba twin from there on."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from .backend import Gate, twins
from .quiet import Array
from .reference import elementwise as reference
from .reference.elementwise import (
    abs,
    acos,
    asin,
    atan,
    ceil,
    clip,
    cos,
    cosh,
    expm1,
    floor,
    floor_divide,
    log1p,
    log2,
    log10,
    neg,
    pow,
    reciprocal,
    remainder,
    round,
    rsqrt,
    sign,
    sin,
    sinh,
    tan,
)


def _numpy_is_wide() -> bool:
    """Whether NumPy uses AVX-512 for tanh. NumPy 2.0 cannot say, which costs speed at worst."""
    introspect = getattr(np.lib, "introspect", None)
    known = introspect.opt_func_info(func_name="^tanh$") if introspect is not None else {}
    return any(re.search("X86_V4|AVX512", kind["current"]) for kind in known.get("tanh", {}).values())


# Break-even sizes, measured on two cores of an AVX-512 EPYC with NumPy 2.4, float32, NumPy | Numba in us, the threads
# awake from the launch before. A launch costs 5 us then, and some 65 us when they sleep; the sizes leave room for that.
ADD_MINIMUM = 250_000  # add, sub, mul, div, maximum, minimum, square: 128,000 17 | 16, 256,000 36 | 27, 1e6 124 | 73
RELU_MINIMUM = 64_000  # relu, sqrt: 32,000 12 | 8, 64,000 22 | 9, 256,000 85 | 20, 1e6 335 | 51
# add, sub, mul, div with an array that repeats: (64, 32, 14, 14) with (32, 1, 1) 68 | 45, (64, 16, 28, 28) with
# (16, 1, 1) 153 | 71, (1024, 1024) with (1024,) 156 | 88; with a scalar 1e6 74 | 81, 2e6 143 | 155: that is NumPy's.
SPREAD_MINIMUM = 400_000
WHERE_MINIMUM = 32_000  # 16,000 17 | 9, 64,000 54 | 10, 256,000 229 | 30: np.where copies value by value
ERF_MINIMUM = 4_000  # 4,000 190 | 67; 64,000 3109 | 92; 1e6 59140 | 525: NumPy has none

# NumPy takes exp, log and tanh eight or sixteen at a time where it has AVX-512, and there loses only at large sizes:
# 64,000 exp 31 | 13, log 24 | 14, tanh 14 | 15, sigmoid 52 | 16; 256,000 exp 123 | 35, log 99 | 45, tanh 66 | 50.
# Without (NPY_DISABLE_CPU_FEATURES="X86_V4"): 64,000 exp 37 | 13, log 51 | 76, tanh 62 | 16; float64 exp 200 | 95.
NUMPY_IS_WIDE = _numpy_is_wide()
EXP_MINIMUM = 64_000
SIGMOID_MINIMUM = 48_000
LOG_MINIMUM = 128_000 if NUMPY_IS_WIDE else 64_000  # log, tanh


def _unary(small: Callable[[Array], Array], name: str, minimum: int) -> Callable[[Array], Array]:
    gate = Gate(minimum)

    def kernel(x: Array) -> Array:
        if x.size < gate.minimum:
            return small(x)
        large: Array = getattr(twins("elementwise"), name)(x)
        return large

    kernel.__name__ = kernel.__qualname__ = name
    kernel.__doc__ = f"{name} of each element of x, as a fresh array."
    return kernel


def _binary(small: Callable[[Array, Array], Array], name: str, minimum: int) -> Callable[[Array, Array], Array]:
    gate = Gate(minimum)

    def kernel(x: Array, y: Array) -> Array:
        if x.size < gate.minimum and y.size < gate.minimum:
            return small(x, y)
        large: Array = getattr(twins("elementwise"), name)(x, y)
        return large

    kernel.__name__ = kernel.__qualname__ = name
    kernel.__doc__ = f"{name} of each pair of elements of x and y, broadcast together, as a fresh array."
    return kernel


def _spreading(small: Callable[[Array, Array], Array], name: str) -> Callable[[Array, Array], Array]:
    """A binary operation whose twin also takes a smaller array that repeats, from another size on."""
    gate, spread = Gate(ADD_MINIMUM), Gate(SPREAD_MINIMUM)

    def kernel(x: Array, y: Array) -> Array:
        if x.size < spread.minimum and y.size < spread.minimum:
            return small(x, y)
        if x.shape == y.shape and x.size < gate.minimum:
            return small(x, y)
        large: Array = getattr(twins("elementwise"), name)(x, y)
        return large

    kernel.__name__ = kernel.__qualname__ = name
    kernel.__doc__ = f"{name} of each pair of elements of x and y, broadcast together, as a fresh array."
    return kernel


square = _unary(reference.square, "square", ADD_MINIMUM)
sqrt = _unary(reference.sqrt, "sqrt", RELU_MINIMUM)
relu = _unary(reference.relu, "relu", RELU_MINIMUM)
exp = _unary(reference.exp, "exp", EXP_MINIMUM)
log = _unary(reference.log, "log", LOG_MINIMUM)
tanh = _unary(reference.tanh, "tanh", LOG_MINIMUM)
sigmoid = _unary(reference.sigmoid, "sigmoid", SIGMOID_MINIMUM)
erf = _unary(reference.erf, "erf", ERF_MINIMUM)

add = _spreading(reference.add, "add")
sub = _spreading(reference.sub, "sub")
mul = _spreading(reference.mul, "mul")
div = _spreading(reference.div, "div")
maximum = _binary(reference.maximum, "maximum", ADD_MINIMUM)
minimum = _binary(reference.minimum, "minimum", ADD_MINIMUM)

relu_gate = _binary(reference.relu_gate, "relu_gate", WHERE_MINIMUM)

_where_gate = Gate(WHERE_MINIMUM)


def where(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, else y, over the broadcast of the three, as a fresh array."""
    if condition.size < _where_gate.minimum:
        return reference.where(condition, x, y)
    large: Array = twins("elementwise").where(condition, x, y)
    return large


__all__ = [
    "abs",
    "acos",
    "add",
    "asin",
    "atan",
    "ceil",
    "clip",
    "cos",
    "cosh",
    "div",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "log",
    "log1p",
    "log2",
    "log10",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "pow",
    "reciprocal",
    "relu",
    "relu_gate",
    "remainder",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "where",
]
