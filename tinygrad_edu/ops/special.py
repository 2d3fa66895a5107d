"""Elementwise ops that courses meet now and then: inverse hyperbolic functions, gamma functions, angles, remainders."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.kernels.quiet import binary, unary
from tinygrad_edu.ops.basic import fill
from tinygrad_edu.ops.pointwise import OFF_INTEGERS, exp, rsqrt, sigmoid
from tinygrad_edu.ops.registry import Array, op

_trunc, _exp2 = unary(np.trunc), unary(np.exp2)
_asinh, _acosh, _atanh = unary(np.arcsinh), unary(np.arccosh), unary(np.arctanh)
_atan2, _hypot, _logaddexp, _fmod = binary(np.arctan2), binary(np.hypot), binary(np.logaddexp), binary(np.fmod)


def _value_by_value(function: Callable[[float], float], x: Array) -> Array:
    """A function that NumPy lacks, applied to one number after the other."""
    return np.fromiter(map(function, x.ravel().tolist()), x.dtype, count=x.size).reshape(x.shape)


@op(symbol="trunc", formula="trunc({x})", gradients={"x": "0"}, elementwise=True, types="number", domain=OFF_INTEGERS)
def trunc(x: Array) -> Array:
    """The integer part: x rounded towards zero."""
    return x.copy() if x.dtype.kind != "f" else _trunc(x)


trunc.backward(x=lambda grad: fill(grad, value=0.0))


@op(
    symbol="2^",
    formula="2^{x}",
    precedence=3,
    gradients={"x": "{grad} · {out} log 2"},
    elementwise=True,
    types="float",
)
def exp2(x: Array) -> Array:
    """Two to the power x."""
    return _exp2(x)


exp2.backward(x=lambda grad, out: grad * (out * math.log(2.0)))


@op(symbol="asinh", formula="asinh({x})", gradients={"x": "{grad} / √({x}² + 1)"}, elementwise=True, types="float")
def asinh(x: Array) -> Array:
    """The inverse hyperbolic sine."""
    return _asinh(x)


asinh.backward(x=lambda grad, x: grad * rsqrt(x * x + 1.0))


@op(
    symbol="acosh",
    formula="acosh({x})",
    gradients={"x": "{grad} / √({x}² − 1)"},
    elementwise=True,
    types="float",
    domain={"x": (1.4, 4.0)},
)
def acosh(x: Array) -> Array:
    """The inverse hyperbolic cosine; NaN below 1."""
    return _acosh(x)


acosh.backward(x=lambda grad, x: grad * rsqrt(x * x - 1.0))


@op(
    symbol="atanh",
    formula="atanh({x})",
    gradients={"x": "{grad} / (1 − {x}²)"},
    elementwise=True,
    types="float",
    domain={"x": (-0.8, 0.8)},
)
def atanh(x: Array) -> Array:
    """The inverse hyperbolic tangent; ±inf at ±1, NaN outside."""
    return _atanh(x)


atanh.backward(x=lambda grad, x: grad / (1.0 - x * x))


@op(symbol="erfc", formula="erfc({x})", gradients={"x": "−{grad} · 2/√π exp(−{x}²)"}, elementwise=True, types="float")
def erfc(x: Array) -> Array:
    """1 − erf(x), exact where erf(x) is close to 1."""
    return _value_by_value(math.erfc, x)


erfc.backward(x=lambda grad, x: grad * (-2.0 / math.sqrt(math.pi) * exp(-(x * x))))


def _inverse_erf(y: float) -> float:
    """Winitzki's approximation, then Newton's and Halley's steps until nothing changes."""
    if not -1.0 < y < 1.0:
        return math.copysign(math.inf, y) if abs(y) == 1.0 else math.nan
    log_rest = math.log1p(-y * y)
    a, sign = 2.0 / (math.pi * 0.147) + 0.5 * log_rest, math.copysign(1.0, y)
    x = sign * math.sqrt(max(math.sqrt(a * a - log_rest / 0.147) - a, 0.0))
    for _ in range(3):
        # near 1 the difference of erfc keeps the digits that erf(x) - y would lose
        error = math.erf(x) - y if abs(y) < 0.5 else sign * ((1.0 - abs(y)) - math.erfc(abs(x)))
        step = error / (2.0 / math.sqrt(math.pi) * math.exp(-x * x))
        x -= step / (1.0 + x * step)
    return x


@op(
    symbol="erf⁻¹",
    formula="erfinv({x})",
    gradients={"x": "{grad} · √π/2 exp({out}²)"},
    elementwise=True,
    types="float",
    domain={"x": (-0.8, 0.8)},
)
def erfinv(x: Array) -> Array:
    """The inverse of the error function; ±inf at ±1, NaN outside."""
    return _value_by_value(_inverse_erf, x)


erfinv.backward(x=lambda grad, out: grad * (0.5 * math.sqrt(math.pi) * exp(out * out)))


def _log_gamma(x: float) -> float:
    if x > 2.5e305 or x == -math.inf or (x <= 0.0 and x == math.floor(x)):
        return math.inf  # at the poles, and where the C library's function overflows
    return math.lgamma(x)


@op(
    symbol="log Γ",
    formula="log Γ({x})",
    gradients={"x": "{grad} · ψ({x})"},
    elementwise=True,
    types="float",
    domain={"x": (0.5, 4.0)},
)
def lgamma(x: Array) -> Array:
    """The logarithm of |Γ(x)|; lgamma(n) = log (n − 1)! for a positive integer, inf at 0, −1, −2, ..."""
    return _value_by_value(_log_gamma, x)


# B₂, B₄, ...: the Bernoulli numbers of the asymptotic series below
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def _inverse_power(x: float, n: int) -> float:
    """x^−n, infinite where it overflows."""
    try:
        return float((1.0 / x) ** n)
    except OverflowError:
        return math.inf if n % 2 == 0 else math.copysign(math.inf, x)


def _polygamma(n: int, x: float) -> float:
    """ψ⁽ⁿ⁾(x): the recurrence carries x above 15, where the asymptotic series converges to the last digit.

    Source: Abramowitz and Stegun (1964), 6.3.5, 6.3.7, 6.3.18, 6.4.6, 6.4.7 and 6.4.11.
    """
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x == math.inf:
        return math.inf if n == 0 else 0.0
    if x <= 0.0 and x == math.floor(x):
        return math.copysign(math.inf, -x) if n == 0 and x == 0.0 else math.nan if n == 0 else math.inf
    if x < 0.0 and n == 0:
        return _polygamma(0, 1.0 - x) - math.pi / math.tan(math.pi * (x - math.floor(x)))
    if x < 0.0 and n == 1:
        return (math.pi / math.sin(math.pi * (x - math.floor(x)))) ** 2 - _polygamma(1, 1.0 - x)
    if x < -10_000.0:
        raise NotImplementedError(f"polygamma: n = {n} at {x} is not supported below −10,000, where poles stand close")
    sign, total = -((-1.0) ** n), 0.0
    while x < 15.0:
        total += math.factorial(n) * _inverse_power(x, n + 1)
        x += 1.0
    if n == 0:
        series = 0.5 / x - math.log(x)
        series += sum(b / (2 * k) * _inverse_power(x, 2 * k) for k, b in enumerate(_BERNOULLI, 1))
    else:
        series = math.factorial(n - 1) * _inverse_power(x, n) + math.factorial(n) / 2 * _inverse_power(x, n + 1)
        for k, b in enumerate(_BERNOULLI, 1):
            series += b * math.factorial(2 * k + n - 1) / math.factorial(2 * k) * _inverse_power(x, 2 * k + n)
    return sign * (total + series)


@op(
    symbol="ψ",
    formula="ψ^({n})({x})",
    gradients={"x": "{grad} · ψ^({n} + 1)({x})"},
    elementwise=True,
    types="float",
    domain={"x": (0.5, 4.0)},
    method=False,
)
def digamma_derivative(x: Array, n: int = 0) -> Array:
    """The n-th derivative of ψ = Γ' / Γ: `digamma` for n = 0, `polygamma(n, x)` in general."""
    return _value_by_value(lambda value: _polygamma(n, value), x)


digamma_derivative.backward(x=lambda grad, x, n: grad * digamma_derivative(x, n=n + 1))
lgamma.backward(x=lambda grad, x: grad * digamma_derivative(x, n=0))


@op(
    symbol="atan2",
    formula="atan2({x}, {y})",
    gradients={"x": "{grad} · {y} / ({x}² + {y}²)", "y": "−{grad} · {x} / ({x}² + {y}²)"},
    elementwise=True,
    types="float",
    domain={"x": ((-3.0, -0.5), (0.5, 3.0)), "y": ((-3.0, -0.5), (0.5, 3.0))},
)
def atan2(x: Array, y: Array) -> Array:
    """The angle in (−π, π] of the point (y, x): the inverse tangent of x / y in the right quadrant."""
    return _atan2(x, y)


atan2.backward(
    x=lambda grad, x, y: grad * (y / (x * x + y * y)),
    y=lambda grad, x, y: grad * (-x / (x * x + y * y)),
)


@op(
    symbol="hypot",
    formula="√({x}² + {y}²)",
    precedence=3,
    gradients={"x": "{grad} · {x} / {out}", "y": "{grad} · {y} / {out}"},
    elementwise=True,
    types="floating",
    domain={"x": ((-3.0, -0.5), (0.5, 3.0))},
)
def hypot(x: Array, y: Array) -> Array:
    """The hypotenuse √(x² + y²), without overflow."""
    return _hypot(x, y)


hypot.backward(x=lambda grad, out, x: grad * (x / out), y=lambda grad, out, y: grad * (y / out))


@op(
    symbol="logaddexp",
    formula="log(exp({x}) + exp({y}))",
    gradients={"x": "{grad} · σ({x} − {y})", "y": "{grad} · σ({y} − {x})"},
    elementwise=True,
    types="floating",
)
def logaddexp(x: Array, y: Array) -> Array:
    """log(eˣ + eʸ), without overflow."""
    return _logaddexp(x, y)


logaddexp.backward(x=lambda grad, x, y: grad * sigmoid(x - y), y=lambda grad, x, y: grad * sigmoid(y - x))


@op(
    symbol="fmod",
    formula="{x} fmod {y}",
    precedence=2,
    gradients={"x": "{grad}", "y": "−{grad} · trunc({x} / {y})"},
    elementwise=True,
    types="number",
    domain={"x": ((2.2, 2.8), (-2.8, -2.2)), "y": (0.98, 1.02)},
)
def fmod(x: Array, y: Array) -> Array:
    """x − y trunc(x / y), with the sign of x.  Raises RuntimeError for an integer divided by 0."""
    if y.dtype.kind != "f" and not y.all():
        raise RuntimeError("fmod: ZeroDivisionError: integers have no remainder by 0; convert with .float() first")
    return _fmod(x, y)


fmod.backward(x=lambda grad: grad, y=lambda grad, x, y: -grad * _whole_quotient(x, y))


def _whole_quotient(x: Any, y: Any) -> Any:
    return trunc(x / y)
