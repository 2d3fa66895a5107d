"""Ops of one input that work entry by entry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu import kernels
from tinygrad_edu.ops.basic import fill, where
from tinygrad_edu.ops.registry import Array, op

POSITIVE = {"x": (0.3, 4.0)}
# Away from the kinks, where a central difference means nothing.
OFF_ZERO = {"x": ((-3.0, -0.2), (0.2, 3.0))}
OFF_INTEGERS = {"x": ((-1.8, -1.6), (-0.4, -0.2), (0.2, 0.4), (1.6, 1.8))}


@op(
    symbol="|·|",
    formula="|{x}|",
    gradients={"x": "{grad} · sign({x})"},
    elementwise=True,
    types="number",
    domain=OFF_ZERO,
)
def abs(x: Array) -> Array:
    """The absolute value; its derivative at 0 is taken as 0."""
    return kernels.abs(x)


@op(symbol="exp", formula="exp({x})", gradients={"x": "{grad} · {out}"}, elementwise=True, types="float")
def exp(x: Array) -> Array:
    """The exponential e^x."""
    return kernels.exp(x)


exp.backward(x=lambda grad, out: grad * out)


@op(symbol="expm1", formula="expm1({x})", gradients={"x": "{grad} · ({out} + 1)"}, elementwise=True, types="float")
def expm1(x: Array) -> Array:
    """e^x − 1, exact near 0."""
    return kernels.expm1(x)


expm1.backward(x=lambda grad, out: grad * (out + 1.0))


@op(
    symbol="log",
    formula="log {x}",
    precedence=1.5,
    gradients={"x": "{grad} / {x}"},
    elementwise=True,
    types="float",
    domain=POSITIVE,
)
def log(x: Array) -> Array:
    """The natural logarithm: −inf at 0, NaN below."""
    return kernels.log(x)


log.backward(x=lambda grad, x: grad / x)


@op(
    symbol="log₂",
    formula="log₂ {x}",
    precedence=1.5,
    gradients={"x": "{grad} / ({x} log 2)"},
    elementwise=True,
    types="float",
    domain=POSITIVE,
)
def log2(x: Array) -> Array:
    """The logarithm to base 2."""
    return kernels.log2(x)


log2.backward(x=lambda grad, x: grad / (x * math.log(2.0)))


@op(
    symbol="log₁₀",
    formula="log₁₀ {x}",
    precedence=1.5,
    gradients={"x": "{grad} / ({x} log 10)"},
    elementwise=True,
    types="float",
    domain=POSITIVE,
)
def log10(x: Array) -> Array:
    """The logarithm to base 10."""
    return kernels.log10(x)


log10.backward(x=lambda grad, x: grad / (x * math.log(10.0)))


@op(
    symbol="log1p",
    formula="log(1 + {x})",
    gradients={"x": "{grad} / (1 + {x})"},
    elementwise=True,
    types="float",
    domain={"x": (-0.6, 3.0)},
)
def log1p(x: Array) -> Array:
    """log(1 + x), exact near 0."""
    return kernels.log1p(x)


log1p.backward(x=lambda grad, x: grad / (1.0 + x))


@op(
    symbol="√",
    formula="√{x}",
    precedence=3,
    gradients={"x": "{grad} / (2 {out})"},
    elementwise=True,
    types="float",
    domain=POSITIVE,
)
def sqrt(x: Array) -> Array:
    """The square root; its derivative at 0 is infinite."""
    return kernels.sqrt(x)


sqrt.backward(x=lambda grad, out: grad / (2.0 * out))


@op(
    symbol="1/√",
    formula="1/√{x}",
    precedence=3,
    gradients={"x": "−½ {grad} · {out}³"},
    elementwise=True,
    types="float",
    domain=POSITIVE,
)
def rsqrt(x: Array) -> Array:
    """The reciprocal of the square root."""
    return kernels.rsqrt(x)


rsqrt.backward(x=lambda grad, out: grad * out * out * out * -0.5)


@op(symbol="( )²", formula="{x}²", gradients={"x": "2{x} · {grad}"}, precedence=3, elementwise=True, types="number")
def square(x: Array) -> Array:
    """The square."""
    return kernels.square(x)


square.backward(x=lambda grad, x: grad * (2.0 * x))


@op(
    symbol="1/·",
    formula="1/{x}",
    gradients={"x": "−{grad} · {out}²"},
    precedence=3,
    elementwise=True,
    types="float",
    domain=OFF_ZERO,
)
def reciprocal(x: Array) -> Array:
    """The reciprocal 1/x."""
    return kernels.reciprocal(x)


reciprocal.backward(x=lambda grad, out: -grad * out * out)


@op(
    symbol="( )^{exponent}",
    formula="{x}^{exponent}",
    gradients={"x": "{exponent}{x}^({exponent}−1) · {grad}"},
    precedence=3,
    elementwise=True,
    types="number",
    domain=POSITIVE,
    method=False,
)
def power(x: Array, exponent: float = 2.0) -> Array:
    """x to a constant power (`pow` takes a tensor of exponents)."""
    return kernels.pow(x, np.asarray(exponent, x.dtype))


power.backward(
    x=lambda grad, x, exponent: fill(grad, value=0.0) if exponent == 0 else grad * (exponent * x ** (exponent - 1))
)


@op(symbol="sign", formula="sign({x})", gradients={"x": "0"}, elementwise=True, types="number", domain=OFF_ZERO)
def sign(x: Array) -> Array:
    """−1, 0 or 1."""
    return kernels.sign(x)


sign.backward(x=lambda grad: fill(grad, value=0.0))
abs.backward(x=lambda grad, x: grad * sign(x))


@op(symbol="sin", formula="sin({x})", gradients={"x": "{grad} · cos({x})"}, elementwise=True, types="float")
def sin(x: Array) -> Array:
    """The sine of an angle in radians."""
    return kernels.sin(x)


@op(symbol="cos", formula="cos({x})", gradients={"x": "−{grad} · sin({x})"}, elementwise=True, types="float")
def cos(x: Array) -> Array:
    """The cosine of an angle in radians."""
    return kernels.cos(x)


cos.backward(x=lambda grad, x: -grad * sin(x))
sin.backward(x=lambda grad, x: grad * cos(x))


@op(
    symbol="tan",
    formula="tan({x})",
    gradients={"x": "{grad} · (1 + {out}²)"},
    elementwise=True,
    types="float",
    domain={"x": (-1.2, 1.2)},
)
def tan(x: Array) -> Array:
    """The tangent of an angle in radians."""
    return kernels.tan(x)


tan.backward(x=lambda grad, out: grad * (1.0 + out * out))


@op(
    symbol="asin",
    formula="asin({x})",
    gradients={"x": "{grad} / √(1 − {x}²)"},
    elementwise=True,
    types="float",
    domain={"x": (-0.8, 0.8)},
)
def asin(x: Array) -> Array:
    """The inverse sine, in radians."""
    return kernels.asin(x)


asin.backward(x=lambda grad, x: grad * rsqrt(1.0 - x * x))


@op(
    symbol="acos",
    formula="acos({x})",
    gradients={"x": "−{grad} / √(1 − {x}²)"},
    elementwise=True,
    types="float",
    domain={"x": (-0.8, 0.8)},
)
def acos(x: Array) -> Array:
    """The inverse cosine, in radians."""
    return kernels.acos(x)


acos.backward(x=lambda grad, x: -grad * rsqrt(1.0 - x * x))


@op(symbol="atan", formula="atan({x})", gradients={"x": "{grad} / (1 + {x}²)"}, elementwise=True, types="float")
def atan(x: Array) -> Array:
    """The inverse tangent, in radians."""
    return kernels.atan(x)


atan.backward(x=lambda grad, x: grad / (1.0 + x * x))


@op(symbol="sinh", formula="sinh({x})", gradients={"x": "{grad} · cosh({x})"}, elementwise=True, types="float")
def sinh(x: Array) -> Array:
    """The hyperbolic sine."""
    return kernels.sinh(x)


@op(symbol="cosh", formula="cosh({x})", gradients={"x": "{grad} · sinh({x})"}, elementwise=True, types="float")
def cosh(x: Array) -> Array:
    """The hyperbolic cosine."""
    return kernels.cosh(x)


cosh.backward(x=lambda grad, x: grad * sinh(x))
sinh.backward(x=lambda grad, x: grad * cosh(x))


@op(symbol="tanh", formula="tanh({x})", gradients={"x": "{grad} · (1 − {out}²)"}, elementwise=True, types="float")
def tanh(x: Array) -> Array:
    """The hyperbolic tangent, between −1 and 1."""
    return kernels.tanh(x)


tanh.backward(x=lambda grad, out: grad * (1.0 - out * out))


@op(symbol="erf", formula="erf({x})", gradients={"x": "{grad} · 2/√π exp(−{x}²)"}, elementwise=True, types="float")
def erf(x: Array) -> Array:
    """The error function 2/√π ∫₀ˣ exp(−t²) dt."""
    return kernels.erf(x)


erf.backward(x=lambda grad, x: grad * (2.0 / math.sqrt(math.pi) * exp(-(x * x))))


@op(symbol="σ", formula="σ({x})", gradients={"x": "{grad} · {out}(1 − {out})"}, elementwise=True, types="float")
def sigmoid(x: Array) -> Array:
    """The logistic function 1 / (1 + e⁻ˣ), between 0 and 1; its largest slope is 1/4."""
    return kernels.sigmoid(x)


sigmoid.backward(x=lambda grad, out: grad * out * (1.0 - out))


@op(
    symbol="where",
    formula="{x} where {y} > 0",
    gradients={"x": "{grad} where {y} > 0, else 0"},
    elementwise=True,
    types="numeric",
    domain={"y": ((-3.0, -0.2), (0.2, 3.0))},
    title="ReLUGate",
    method=False,
)
def relu_gate(x: Array, y: Array) -> Array:
    """x where y > 0, else 0: how a gradient x passes back through relu, whose result is y."""
    return kernels.relu_gate(x, y)


relu_gate.backward(x=lambda grad, y: relu_gate(grad, y))


@op(
    symbol="relu",
    formula="relu({x})",
    gradients={"x": "{grad} where {x} > 0, else 0"},
    elementwise=True,
    types="number",
    domain=OFF_ZERO,
    title="ReLU",
)
def relu(x: Array) -> Array:
    """max(0, x); its derivative at 0 is taken as 0, and NaN stays NaN."""
    return kernels.relu(x)


relu.backward(x=lambda grad, out: relu_gate(grad, out))


@op(symbol="⌊ ⌋", formula="⌊{x}⌋", gradients={"x": "0"}, elementwise=True, types="number", domain=OFF_INTEGERS)
def floor(x: Array) -> Array:
    """The largest integer not above x."""
    return x.copy() if x.dtype.kind != "f" else kernels.floor(x)


floor.backward(x=lambda grad: fill(grad, value=0.0))


@op(symbol="⌈ ⌉", formula="⌈{x}⌉", gradients={"x": "0"}, elementwise=True, types="number", domain=OFF_INTEGERS)
def ceil(x: Array) -> Array:
    """The smallest integer not below x."""
    return x.copy() if x.dtype.kind != "f" else kernels.ceil(x)


ceil.backward(x=lambda grad: fill(grad, value=0.0))


@op(symbol="round", formula="round({x})", gradients={"x": "0"}, elementwise=True, types="number", domain=OFF_INTEGERS)
def round(x: Array, decimals: int = 0) -> Array:
    """The nearest integer, halves to even; or the nearest multiple of 10^−decimals."""
    if decimals == 0:
        return x.copy() if x.dtype.kind != "f" else kernels.round(x)
    return np.asarray(np.round(x, decimals))


round.backward(x=lambda grad: fill(grad, value=0.0))


def _inside(x: Any, low: float | None, high: float | None) -> Any:
    if low is None:
        return x <= high
    return x >= low if high is None else (x >= low) & (x <= high)


@op(
    symbol="clamp",
    formula="clamp({x}, {min}, {max})",
    gradients={"x": "{grad} where {min} ≤ {x} ≤ {max}, else 0"},
    elementwise=True,
    types="number",
)
def clamp(x: Array, min: float | None = None, max: float | None = None) -> Array:
    """x limited to [min, max]; either bound may be None, and NaN stays NaN."""
    if min is None and max is None:
        raise RuntimeError("clamp: give min, max or both")
    return kernels.clip(x, min, max)


clamp.backward(x=lambda grad, x, min, max: where(_inside(x, min, max), grad, 0.0))
