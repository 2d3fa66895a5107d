"""σ'(z), tanh'(z), relu'(z): the slope of a function as a tree, where a text writes it with a prime."""

from __future__ import annotations

from collections.abc import Callable

from tinygrad_edu.derivation.expressions import Expression, number

__all__ = ["SLOPES"]


def _call(function: str, x: Expression) -> Expression:
    return Expression("call", (x,), function)


def _sigmoid(x: Expression) -> Expression:
    y = _call("sigmoid", x)
    return Expression("mul", (y, Expression("sub", (number(1), y))))


def _tanh(x: Expression) -> Expression:
    return Expression("sub", (number(1), Expression("pow", (_call("tanh", x), number(2)))))


SLOPES: dict[str, Callable[[Expression], Expression]] = {
    "sigmoid'": _sigmoid,
    "sigma'": _sigmoid,
    "tanh'": _tanh,
    "relu'": lambda x: Expression("compare", (x, number(0)), ">"),
    "exp'": lambda x: _call("exp", x),
    "log'": lambda x: Expression("div", (number(1), x)),
    "sin'": lambda x: _call("cos", x),
    "cos'": lambda x: Expression("neg", (_call("sin", x),)),
}
