"""Entry-by-entry functions in PyTorch's signatures, and the in-place ones that are no op's twin."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import dtypes, ops
from tinygrad_edu.errors import DTypeError
from tinygrad_edu.functions.common import check_tensor, in_place, numpy_names, plain
from tinygrad_edu.functions.indexing import setitem
from tinygrad_edu.ops.special import fmod, trunc
from tinygrad_edu.recording import inplace
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


@numpy_names
def add(x: Any, y: Any, *, alpha: float = 1) -> Any:
    """x + alpha · y."""
    return _a.add(x, _scaled(x, y, alpha))


@numpy_names
def sub(x: Any, y: Any, *, alpha: float = 1) -> Any:
    """x − alpha · y."""
    return _a.sub(x, _scaled(x, y, alpha))


@numpy_names
def mul(x: Any, y: Any) -> Any:
    """x · y, entry by entry."""
    return _a.mul(x, y)


@numpy_names
def div(x: Any, y: Any, *, rounding_mode: str | None = None) -> Any:
    """x / y; rounding_mode "floor" rounds down, "trunc" towards zero."""
    if rounding_mode is None:
        return _a.div(x, y)
    if rounding_mode == "floor":
        return _a.floor_divide(x, y)
    if rounding_mode == "trunc":
        if is_floating(x) or is_floating(y) or isinstance(x, float) or isinstance(y, float):
            return trunc(_a.div(x, y))
        return _a.floor_divide(x - fmod(x, y), y)  # whole numbers: exact, and of their own dtype
    raise RuntimeError(f"div: expected rounding_mode to be one of None, 'trunc' or 'floor', got {rounding_mode!r}")


multiply, divide, subtract = mul, div, sub


def add_(x: Tensor, y: Any, *, alpha: float = 1) -> Tensor:
    """x += alpha · y."""
    return inplace(x, _a.add, (_scaled(x, y, alpha),), {})


def sub_(x: Tensor, y: Any, *, alpha: float = 1) -> Tensor:
    """x -= alpha · y."""
    return inplace(x, _a.sub, (_scaled(x, y, alpha),), {})


def div_(x: Tensor, y: Any, *, rounding_mode: str | None = None) -> Tensor:
    """x /= y; rounding_mode as in `div`."""
    if rounding_mode is not None:
        rounded: Tensor = in_place(div)(x, y, rounding_mode=rounding_mode)
        return rounded
    return inplace(x, _a.div, (y,), {})


def _widened(x: Tensor, *numbers: Any) -> Tensor:
    """x in the dtype of an operation with these numbers: integers become floating beside a float."""
    if x.is_floating_point():
        return x
    return x.to(dtypes.result_type(x.array, *(n for n in numbers if n is not None)))


@numpy_names
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


@numpy_names
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
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        limited: Tensor = in_place(clamp)(x, min, max)
        return limited
    return inplace(x, _p.clamp, (), {"min": min, "max": max})


@numpy_names
def clamp_min(x: Tensor, min: Any) -> Tensor:
    """x, but at least `min`, a number or a tensor."""
    return clamp(x, min=min)


@numpy_names
def clamp_max(x: Tensor, max: Any) -> Tensor:
    """x, but at most `max`, a number or a tensor."""
    return clamp(x, max=max)


@numpy_names
def lerp(x: Tensor, end: Tensor, weight: Any) -> Tensor:
    """x + weight · (end − x)."""
    return x + weight * (end - x)


def fill_(x: Tensor, value: Any) -> Tensor:
    """Set every entry to a number, in place."""
    if isinstance(value, Tensor):
        setitem(x, ..., value)
        return x
    return inplace(x, ops.basic.fill, (), {"value": value})


def zero_(x: Tensor) -> Tensor:
    """Set every entry to 0, in place."""
    return fill_(x, 0)
