"""Functions whose results are booleans or integers: no gradient flows through them, so nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.errors import DTypeError
from tinygrad_edu.functions.common import array_of, check_tensor, numpy_names, plain
from tinygrad_edu.ops.shapes import broadcast_error
from tinygrad_edu.tensor import Tensor


def _pair(name: str, ufunc: Callable[..., Any], sentence: str) -> Callable[[Any, Any], Any]:
    def compare(x: Any, y: Any) -> Any:
        a, b = array_of(x), array_of(y)
        if not isinstance(b, (np.ndarray, np.generic, int, float)):
            return NotImplemented
        try:
            return plain(ufunc(a, b))
        except ValueError:
            raise broadcast_error(name, (np.shape(a), np.shape(b))) from None

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = sentence
    return numpy_names(compare)


eq = _pair("eq", np.equal, "True where x and y are equal.")
ne = _pair("ne", np.not_equal, "True where x and y differ.")
lt = _pair("lt", np.less, "True where x < y.")
le = _pair("le", np.less_equal, "True where x <= y.")
gt = _pair("gt", np.greater, "True where x > y.")
ge = _pair("ge", np.greater_equal, "True where x >= y.")
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
logical_and = _pair("logical_and", np.logical_and, "True where both are non-zero.")
logical_or = _pair("logical_or", np.logical_or, "True where either is non-zero.")
logical_xor = _pair("logical_xor", np.logical_xor, "True where exactly one is non-zero.")


def _bits(name: str, ufunc: Callable[..., Any], sentence: str) -> Callable[[Any, Any], Any]:
    def combine(x: Any, y: Any) -> Any:
        a, b = array_of(x), array_of(y)
        if not isinstance(b, (np.ndarray, np.generic, int, float)):
            return NotImplemented
        if np.asarray(a).dtype.kind == "f" or np.asarray(b).dtype.kind == "f":
            raise DTypeError(
                f"{name}: needs boolean or integer tensors, got {np.asarray(a).dtype} and {np.asarray(b).dtype}; "
                f"compare first, as in (x > 0) & (y > 0), or use logical_and() and its kin"
            )
        try:
            return plain(ufunc(a, b))
        except ValueError:
            raise broadcast_error(name, (np.shape(a), np.shape(b))) from None

    combine.__name__ = combine.__qualname__ = name
    combine.__doc__ = sentence
    return numpy_names(combine)


bitwise_and = _bits("bitwise_and", np.bitwise_and, "x & y: logical for booleans, bit by bit for integers.")
bitwise_or = _bits("bitwise_or", np.bitwise_or, "x | y: logical for booleans, bit by bit for integers.")
bitwise_xor = _bits("bitwise_xor", np.bitwise_xor, "x ^ y: logical for booleans, bit by bit for integers.")


@numpy_names
def bitwise_not(x: Tensor) -> Tensor:
    """~x: logical for booleans, bit by bit for integers."""
    array = check_tensor("bitwise_not", x).array
    if array.dtype.kind == "f":
        raise TypeError(
            f"bitwise_not: ~ needs a boolean or integer tensor, got {x.dtype!r}; use logical_not(), or compare"
        )
    return plain(np.invert(array))


@numpy_names
def logical_not(x: Tensor) -> Tensor:
    """True where x is zero."""
    return plain(np.logical_not(check_tensor("logical_not", x).array))


@numpy_names
def isnan(x: Tensor) -> Tensor:
    """True where x is NaN."""
    return plain(np.isnan(check_tensor("isnan", x).array))


@numpy_names
def isinf(x: Tensor) -> Tensor:
    """True where x is infinite."""
    return plain(np.isinf(check_tensor("isinf", x).array))


@numpy_names
def isfinite(x: Tensor) -> Tensor:
    """True where x is neither infinite nor NaN."""
    return plain(np.isfinite(check_tensor("isfinite", x).array))


@numpy_names
def isposinf(x: Tensor) -> Tensor:
    """True where x is inf."""
    return plain(np.asarray(check_tensor("isposinf", x).array == np.inf))


@numpy_names
def isneginf(x: Tensor) -> Tensor:
    """True where x is −inf."""
    return plain(np.asarray(check_tensor("isneginf", x).array == -np.inf))


@numpy_names
def isreal(x: Tensor) -> Tensor:
    """True everywhere: every entry is a real number here."""
    return plain(np.ones(check_tensor("isreal", x).array.shape, bool))


@numpy_names
def isclose(x: Tensor, y: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """True where |x − y| <= atol + rtol |y|."""
    _same("isclose", x, y)
    return plain(np.isclose(x.array, y.array, rtol, atol, equal_nan))


@numpy_names
def allclose(x: Tensor, y: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """True if all entries are close, as `isclose` says."""
    _same("allclose", x, y)
    return bool(np.isclose(x.array, y.array, rtol, atol, equal_nan).all())


def _same(name: str, x: Any, y: Any) -> None:
    check_tensor(name, x)
    check_tensor(name, y)
    if x.array.dtype != y.array.dtype:
        raise DTypeError(f"{name}: expected the same dtype, got {x.dtype!r} and {y.dtype!r}; convert one with .to()")


@numpy_names
def equal(x: Tensor, y: Tensor) -> bool:
    """True if both have the same shape and the same entries."""
    return bool(np.array_equal(array_of(x), array_of(y)))


def is_tensor(obj: Any) -> bool:
    """True if obj is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """True if input is float32 or float64."""
    return check_tensor("is_floating_point", input).is_floating_point()


def is_complex(x: Tensor) -> bool:
    """False: there are no complex tensors here."""
    check_tensor("is_complex", x)
    return False


def is_signed(x: Tensor) -> bool:
    """True unless x is uint8 or bool."""
    return check_tensor("is_signed", x).array.dtype.kind not in "ub"


def is_nonzero(x: Tensor) -> bool:
    """True if the one entry of x is not zero."""
    return bool(check_tensor("is_nonzero", x))


@numpy_names
def is_same_size(x: Tensor, y: Tensor) -> bool:
    """True if both have the same shape."""
    same: bool = check_tensor("is_same_size", x).array.shape == check_tensor("is_same_size", y).array.shape
    return same


def numel(input: Tensor) -> int:
    """The number of entries."""
    return check_tensor("numel", input).numel()
