"""Ops of two inputs that broadcast over each other.

The walk sums a gradient back to the shape of a broadcast input, so no rule here does.
"""

from __future__ import annotations

from tinygrad_edu import kernels
from tinygrad_edu.ops.basic import fill, where
from tinygrad_edu.ops.pointwise import log
from tinygrad_edu.ops.registry import Array, op

POSITIVE = (0.3, 3.0)


@op(
    symbol="+",
    formula="{x} + {y}",
    gradients={"x": "{grad}", "y": "{grad}"},
    precedence=1,
    elementwise=True,
    types="numeric",
)
def add(x: Array, y: Array) -> Array:
    """Sum of x and y."""
    return kernels.add(x, y)


add.backward(x=lambda grad: grad, y=lambda grad: grad)


@op(
    symbol="−",
    formula="{x} − {y}",
    gradients={"x": "{grad}", "y": "−{grad}"},
    precedence=1,
    elementwise=True,
    types="number",
)
def sub(x: Array, y: Array) -> Array:
    """Difference of x and y."""
    return kernels.sub(x, y)


sub.backward(x=lambda grad: grad, y=lambda grad: -grad)


@op(
    symbol="×",
    formula="{x} · {y}",
    gradients={"x": "{grad} · {y}", "y": "{grad} · {x}"},
    precedence=2,
    elementwise=True,
    types="numeric",
)
def mul(x: Array, y: Array) -> Array:
    """Product of x and y, entry by entry."""
    return kernels.mul(x, y)


mul.backward(x=lambda grad, y: grad * y, y=lambda grad, x: grad * x)


@op(
    symbol="÷",
    formula="{x} / {y}",
    gradients={"x": "{grad} / {y}", "y": "−{grad} · {x} / {y}²"},
    precedence=2,
    elementwise=True,
    types="float",
    domain={"y": (0.5, 3.0)},
)
def div(x: Array, y: Array) -> Array:
    """Quotient of x and y; integers divide to floating point."""
    return kernels.div(x, y)


div.backward(x=lambda grad, y: grad / y, y=lambda grad, x, y: -grad * (x / y) / y)


def _check_divisor(name: str, y: Array) -> None:
    if y.dtype.kind != "f" and not y.all():
        raise RuntimeError(f"{name}: ZeroDivisionError: integers have no quotient by 0; convert with .float() first")


@op(
    symbol="//",
    formula="⌊{x} / {y}⌋",
    gradients={"x": "0", "y": "0"},
    elementwise=True,
    types="number",
    domain={"x": ((2.2, 2.8), (-2.8, -2.2)), "y": (0.98, 1.02)},
)
def floor_divide(x: Array, y: Array) -> Array:
    """Quotient rounded down to an integer.  Raises RuntimeError for an integer divided by 0."""
    _check_divisor("floor_divide", y)
    return kernels.floor_divide(x, y)


floor_divide.backward(x=lambda grad: fill(grad, value=0.0), y=lambda grad: fill(grad, value=0.0))


@op(
    symbol="%",
    formula="{x} mod {y}",
    gradients={"x": "{grad}", "y": "−{grad} · ⌊{x} / {y}⌋"},
    precedence=2,
    elementwise=True,
    types="number",
    domain={"x": ((2.2, 2.8), (-2.8, -2.2)), "y": (0.98, 1.02)},
)
def remainder(x: Array, y: Array) -> Array:
    """x − y ⌊x / y⌋, with the sign of y.  Raises RuntimeError for an integer divided by 0."""
    _check_divisor("remainder", y)
    return kernels.remainder(x, y)


remainder.backward(x=lambda grad: grad, y=lambda grad, x, y: -grad * floor_divide(x, y))


@op(
    symbol="^",
    formula="{x}^{y}",
    gradients={"x": "{grad} · {y} {x}^({y}−1)", "y": "{grad} · {out} log {x}"},
    precedence=3,
    elementwise=True,
    types="number",
    domain={"x": POSITIVE, "y": (-2.0, 2.0)},
)
def pow(x: Array, y: Array) -> Array:
    """x to the power y; 0⁰ is 1, and its gradient is finite.  Raises RuntimeError for integers with a negative y."""
    if y.dtype.kind == "i" and (y < 0).any():
        raise RuntimeError("pow: Integers to negative integer powers are not allowed; convert with .float() first")
    return kernels.pow(x, y)


# x^(y-1) is infinite at x = 0, y = 0, and so is log 0: a gradient that is truly 0 must not become 0 · inf = NaN.
pow.backward(
    x=lambda grad, x, y: grad * (y * pow(x, where(y == 0.0, y, y - 1.0))),
    y=lambda grad, out, x, y: grad * out * log(where((x == 0.0) & (y >= 0.0), 1.0, x)),
)


@op(
    symbol="max",
    formula="max({x}, {y})",
    gradients={"x": "{grad} where {x} > {y}, half in a tie", "y": "{grad} where {y} > {x}, half in a tie"},
    elementwise=True,
    types="numeric",
    domain={"x": ((-3.0, -2.0), (1.0, 1.9)), "y": ((-0.5, 0.5), (2.1, 3.0))},
)
def maximum(x: Array, y: Array) -> Array:
    """The larger of x and y; NaN wins over everything."""
    return kernels.maximum(x, y)


maximum.backward(
    x=lambda grad, x, y: where(x < y, 0.0, where(x == y, grad * 0.5, grad)),
    y=lambda grad, x, y: where(y < x, 0.0, where(x == y, grad * 0.5, grad)),
)


@op(
    symbol="min",
    formula="min({x}, {y})",
    gradients={"x": "{grad} where {x} < {y}, half in a tie", "y": "{grad} where {y} < {x}, half in a tie"},
    elementwise=True,
    types="numeric",
    domain={"x": ((-3.0, -2.0), (1.0, 1.9)), "y": ((-0.5, 0.5), (2.1, 3.0))},
)
def minimum(x: Array, y: Array) -> Array:
    """The smaller of x and y; NaN wins over everything."""
    return kernels.minimum(x, y)


minimum.backward(
    x=lambda grad, x, y: where(x > y, 0.0, where(x == y, grad * 0.5, grad)),
    y=lambda grad, x, y: where(y > x, 0.0, where(x == y, grad * 0.5, grad)),
)
