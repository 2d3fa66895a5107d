"""The few ops that the rules of all others are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import kernels
from tinygrad_edu.errors import DTypeError
from tinygrad_edu.ops.registry import Array, op


@op(symbol="fill", formula="fill({x}, {value})", gradients={"x": "0"}, elementwise=True, method=False)
def fill(x: Array, value: float = 0.0) -> Array:
    """An array like x with every entry set to `value`."""
    return np.full_like(x, value)


fill.backward(x=lambda grad: fill(grad, value=0.0))


@op(symbol="−", formula="−{x}", gradients={"x": "−{grad}"}, precedence=1.5, elementwise=True, types="number")
def neg(x: Array) -> Array:
    """The negative of every entry."""
    return kernels.neg(x)


neg.backward(x=lambda grad: -grad)


@op(symbol="cast", formula="{x}", gradients={"x": "{grad}"}, elementwise=True, method=False)
def cast(x: Array, dtype: Any = "float32", source: Any = "float32") -> Array:
    """x (of dtype `source`) as another dtype; its gradient comes back as `source`."""
    with np.errstate(all="ignore"):  # too large becomes inf without a word, as in PyTorch
        return x.astype(dtype)


cast.backward(x=lambda grad, dtype, source: cast(grad, dtype=source, source=dtype))


@op(symbol="alias", formula="{x}", gradients={"x": "{grad}"}, view=True, elementwise=True, method=False)
def alias(x: Array) -> Array:
    """A view of all of x, as a node of its own: where the replay of a fused op begins."""
    return x.view()


alias.backward(x=lambda grad: grad)


@op(symbol="clone", formula="{x}", gradients={"x": "{grad}"}, elementwise=True)
def clone(x: Array) -> Array:
    """A copy of x through which gradients flow."""
    return np.array(x, order="C")


clone.backward(x=lambda grad: grad)


@op(
    symbol="where",
    formula="{x} if {condition} else {y}",
    gradients={"x": "{grad} where {condition}, else 0", "y": "0 where {condition}, else {grad}"},
    precedence=0,
    elementwise=True,
    types="numeric",
)
def where(condition: Array, x: Array, y: Array) -> Array:
    """x where the boolean condition holds, y elsewhere.

    condition, x, y broadcast together -> out
    Raises DTypeError when the condition is not boolean.
    """
    condition = np.asarray(condition)
    if condition.dtype != bool:
        raise DTypeError(
            f"where: expected condition to be a boolean tensor, but got {condition.dtype}; compare it, or use .bool()"
        )
    return kernels.where(condition, x, y)


where.backward(
    x=lambda grad, condition: where(condition, grad, 0.0),
    y=lambda grad, condition: where(condition, 0.0, grad),
)
