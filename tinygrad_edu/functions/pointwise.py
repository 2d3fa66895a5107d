"""Entry-by-entry functions in PyTorch's signatures, and the in-place ones that are no op's twin."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import dtypes, ops
from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.errors import DTypeError
from tinygrad_edu.functions.common import check_tensor, plain
from tinygrad_edu.functions.indexing import setitem
from tinygrad_edu.random import Generator, default_generator
from tinygrad_edu.recording import check_writable, inplace, rebind
from tinygrad_edu.tensor import Tensor

_a, _p = ops.arithmetic, ops.pointwise


def _scaled(x: Any, y: Any, alpha: float) -> Any:
    """alpha · y.  Raises DTypeError when that would make integers floating."""
    if alpha == 1:
        return y
    if isinstance(alpha, float) and not any(isinstance(v, float) or is_floating(v) for v in (x, y)):
        raise DTypeError(f"add: for integral input tensors, alpha must not be a floating point number, got {alpha}")
    return y * alpha


def is_floating(x: Any) -> bool:
    """True for a floating-point tensor or array."""
    return getattr(getattr(x, "array", x), "dtype", np.dtype(bool)).kind == "f"


def add(x: Any, y: Any, *, alpha: float = 1) -> Any:
    """x + alpha · y."""
    return _a.add(x, _scaled(x, y, alpha))


def sub(x: Any, y: Any, *, alpha: float = 1) -> Any:
    """x − alpha · y."""
    return _a.sub(x, _scaled(x, y, alpha))


def mul(x: Any, y: Any) -> Any:
    """x · y, entry by entry."""
    return _a.mul(x, y)


def div(x: Any, y: Any, *, rounding_mode: str | None = None) -> Any:
    """x / y; rounding_mode "floor" rounds down, "trunc" towards zero."""
    if rounding_mode is None:
        return _a.div(x, y)
    if rounding_mode == "floor":
        return _a.floor_divide(x, y)
    if rounding_mode == "trunc":
        quotient = _a.div(x, y)
        whole = _p.floor(_p.abs(quotient)) * _p.sign(quotient)
        both_int = all(not isinstance(v, Tensor) or not v.is_floating_point() for v in (x, y))
        return whole.long() if both_int and not isinstance(y, float) else whole
    raise RuntimeError(f"div: expected rounding_mode to be one of None, 'trunc' or 'floor', got {rounding_mode!r}")


multiply, divide, subtract = mul, div, sub


def add_(x: Tensor, y: Any, *, alpha: float = 1) -> Tensor:
    """x += alpha · y."""
    return inplace(x, _a.add, (_scaled(x, y, alpha),), {})


def sub_(x: Tensor, y: Any, *, alpha: float = 1) -> Tensor:
    """x -= alpha · y."""
    return inplace(x, _a.sub, (_scaled(x, y, alpha),), {})


def div_(x: Tensor, y: Any) -> Tensor:
    """x /= y."""
    return inplace(x, _a.div, (y,), {})


def _widened(x: Tensor, *numbers: Any) -> Tensor:
    """x in the dtype of an operation with these numbers: integers become floating beside a float."""
    if x.is_floating_point():
        return x
    return x.to(dtypes.result_type(x.array, *(n for n in numbers if n is not None)))


def pow(x: Any, exponent: Any) -> Any:
    """x to a power; the exponent is a number or a tensor, and so may be x."""
    if isinstance(exponent, np.generic):
        exponent = exponent.item()
    if isinstance(x, Tensor) and isinstance(exponent, (int, float)):
        if not x.is_floating_point() and isinstance(exponent, int) and exponent < 0:
            raise RuntimeError("pow: Integers to negative integer powers are not allowed; convert with .float() first")
        return _p.power(_widened(x, exponent), exponent=exponent)
    if isinstance(exponent, Tensor):
        if isinstance(x, (int, float)):
            base = dtypes.result_type(x, exponent.array)
            x = plain(np.asarray(x, base.dtype))
        return _a.pow(x, exponent)
    if isinstance(exponent, np.ndarray):
        return _a.pow(x, plain(exponent))
    return NotImplemented


def pow_(x: Tensor, exponent: Any) -> Tensor:
    """x **= exponent."""
    if isinstance(exponent, (int, float)):
        return inplace(x, _p.power, (), {"exponent": exponent})
    return inplace(x, _a.pow, (exponent,), {})


def clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """x limited to [min, max]; the bounds are numbers, tensors or None."""
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        low = x if min is None else _a.maximum(x, min)
        return low if max is None else _a.minimum(low, max)
    return _p.clamp(_widened(check_tensor("clamp", x), min, max), min=min, max=max)


clip = clamp


def self_where(x: Tensor, condition: Tensor, y: Any) -> Tensor:
    """x.where(condition, y): x where the condition holds, y elsewhere."""
    return ops.basic.where(condition, x, y)


def clamp_(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limit x to [min, max] in place."""
    return inplace(x, _p.clamp, (), {"min": min, "max": max})


def lerp(start: Tensor, end: Tensor, weight: Any) -> Tensor:
    """start + weight · (end − start)."""
    return start + weight * (end - start)


def fill_(x: Tensor, value: Any) -> Tensor:
    """Set every entry to a number, in place."""
    if isinstance(value, Tensor):
        setitem(x, ..., value)
        return x
    return inplace(x, ops.basic.fill, (), {"value": value})


def zero_(x: Tensor) -> Tensor:
    """Set every entry to 0, in place."""
    return fill_(x, 0)


def _drawn(x: Tensor, name: str, values: Any) -> Tensor:
    check_writable(x, name)
    if not x.is_floating_point():
        raise DTypeError(f"{name}_: needs a floating-point tensor, got {x.dtype!r}; use randint for integers")
    np.copyto(x.array, values, casting="unsafe")
    node = None
    if mode.grad and x.requires_grad:
        node = fill_(plain(x.array.copy()), 0).node
    rebind(x, node)
    return x


def normal_(x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with draws from N(mean, std²), in place."""
    if std < 0:
        raise RuntimeError(f"normal_: expects std >= 0.0, but found std {std}")
    draws = (generator or default_generator).numpy.standard_normal(x.array.shape)
    return _drawn(x, "normal", draws * std + mean)


def uniform_(x: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with draws from the uniform distribution on [a, b), in place."""
    if a > b:
        raise RuntimeError(f"uniform_: expects to return a [from, to) range, but found from={a} > to={b}")
    draws = (generator or default_generator).numpy.random(x.array.shape)
    return _drawn(x, "uniform", draws * (b - a) + a)
