"""Elementwise kernels, chosen by size: NumPy below each threshold, the Numba twin from there on."""

from __future__ import annotations

from collections.abc import Callable

from .backend import NEVER, Gate, twins
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

# Break-even sizes, measured on two cores of an AVX-512 EPYC with NumPy 2.4 (SVML inside), float32, NumPy | Numba in us.
# A launch costs 2-5 us while the threads are awake and some 65 us when they sleep; the sizes leave room for that.
ADD_MINIMUM = 1_000_000  # add, sub, mul, div, maximum, minimum, square: 129 | 82; at 256,000 36 | 25: memory-bound
SQRT_MINIMUM = 400_000  # sqrt, relu: 256,000 77-90 | 125; 1e6 300-337 | 57
WHERE_MINIMUM = 64_000  # 16,000 15 | 9-78; 64,000 266 | 25-207; 1e6 4438 | 290: np.where copies value by value
ERF_MINIMUM = 4_000  # 1,000 46 | 10-74; 4,000 286 | 23-100: NumPy has none
# exp, log, tanh, sigmoid: the twins call libm value by value, against NumPy's vectors they lose at every size (1e6:
# 489 | 1805, 384 | 1987, 228 | 9720, 912 | 2056).


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


square = _unary(reference.square, "square", ADD_MINIMUM)
sqrt = _unary(reference.sqrt, "sqrt", SQRT_MINIMUM)
relu = _unary(reference.relu, "relu", SQRT_MINIMUM)
exp = _unary(reference.exp, "exp", NEVER)
log = _unary(reference.log, "log", NEVER)
tanh = _unary(reference.tanh, "tanh", NEVER)
sigmoid = _unary(reference.sigmoid, "sigmoid", NEVER)
erf = _unary(reference.erf, "erf", ERF_MINIMUM)

add = _binary(reference.add, "add", ADD_MINIMUM)
sub = _binary(reference.sub, "sub", ADD_MINIMUM)
mul = _binary(reference.mul, "mul", ADD_MINIMUM)
div = _binary(reference.div, "div", ADD_MINIMUM)
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
