"""Entry-by-entry functions that are compositions of ops, and other names of ops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu import dtypes, ops
from tinygrad_edu.errors import DTypeError
from tinygrad_edu.functions import return_types
from tinygrad_edu.functions.common import array_of, check_tensor, numpy_names, plain
from tinygrad_edu.ops.basic import clone, neg, where
from tinygrad_edu.ops.pointwise import abs, log, sign, sin
from tinygrad_edu.ops.special import trunc
from tinygrad_edu.tensor import Tensor


def _floating(name: str, x: Any) -> Tensor:
    """x as a floating-point tensor; integers and booleans become the default dtype."""
    x = check_tensor(name, x)
    return x if x.is_floating_point() else x.to(dtypes.get_default_dtype())


def _pair(name: str, x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """Two tensors of one floating-point dtype; one of them may be a number."""
    arrays = [array_of(v) for v in (x, y)]
    if not any(isinstance(a, np.ndarray) for a in arrays):
        raise TypeError(f"{name}: argument 'input' must be Tensor, not {type(x).__name__}; make one with tensor(...)")
    kind = dtypes.result_type(*arrays)
    kind = kind if kind.is_floating_point else dtypes.get_default_dtype()
    a, b = (v if isinstance(v, Tensor) else plain(np.asarray(v, kind.dtype)) for v in (x, y))
    return a.to(kind), b.to(kind)


@numpy_names
def frac(x: Tensor) -> Tensor:
    """The fractional part x − trunc(x), with the sign of x."""
    if not check_tensor("frac", x).is_floating_point():
        raise DTypeError(f"frac: needs a floating-point tensor, got {x.dtype!r}; integers have no fractional part")
    return x - trunc(x)


@numpy_names
def sgn(x: Tensor) -> Tensor:
    """−1, 0 or 1: another name of `sign` for real numbers."""
    return sign(x)


@numpy_names
def positive(x: Tensor) -> Tensor:
    """x itself; booleans have no sign."""
    if check_tensor("positive", x).array.dtype == bool:
        raise DTypeError("positive: is not supported for bool tensors; convert with .int()")
    return x


@numpy_names
def deg2rad(x: Tensor) -> Tensor:
    """Degrees in radians: x · π / 180."""
    return _floating("deg2rad", x) * (math.pi / 180.0)


@numpy_names
def rad2deg(x: Tensor) -> Tensor:
    """Radians in degrees: x · 180 / π."""
    return _floating("rad2deg", x) * (180.0 / math.pi)


@numpy_names
def digamma(x: Tensor) -> Tensor:
    """ψ(x), the derivative of log Γ(x)."""
    return ops.special.digamma_derivative(x, n=0)


@numpy_names
def polygamma(n: int, x: Tensor) -> Tensor:
    """The n-th derivative of ψ(x), n >= 0: polygamma(1, x) is the derivative of digamma."""
    if isinstance(n, Tensor):  # x.polygamma(n)
        n, x = x, n
    if n < 0:
        raise RuntimeError(f"polygamma: does not support negative n, got {n}")
    return ops.special.digamma_derivative(x, n=int(n))


@numpy_names
def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 − x)), the inverse of sigmoid; eps limits x to [eps, 1 − eps] first."""
    x = _floating("logit", x)
    if eps is not None:
        x = ops.pointwise.clamp(x, min=eps, max=1.0 - eps)
    return log(x / (1.0 - x))


@numpy_names
def logaddexp2(x: Tensor, y: Tensor) -> Tensor:
    """log₂(2ˣ + 2ʸ), without overflow."""
    log_2 = math.log(2.0)
    return ops.special.logaddexp(x * log_2, y * log_2) / log_2


@numpy_names
def xlogy(x: Any, y: Any) -> Tensor:
    """x log y, and 0 where x is 0, even where log y is not finite."""
    x, y = _pair("xlogy", x, y)
    unused = plain((x.array == 0) & ~np.isnan(y.array))
    return where(unused, 0.0, x * log(where(unused, 1.0, y)))


@numpy_names
def sinc(x: Tensor) -> Tensor:
    """sin(πx) / (πx), and 1 at 0."""
    x = _floating("sinc", x)
    zero = x == 0
    angle = where(zero, 1.0, x) * math.pi
    # near 0 the quotient's derivatives are right too: 1 − (πx)²/6 has slope 0 and the curvature of sinc
    return where(zero, 1.0 - (x * x) * (math.pi**2 / 6.0), sin(angle) / angle)


@numpy_names
def heaviside(x: Tensor, values: Tensor) -> Tensor:
    """0 where x < 0, `values` where x is 0, 1 where x > 0; no gradient flows."""
    x, values = check_tensor("heaviside", x), check_tensor("heaviside", values, "values")
    if x.array.dtype != values.array.dtype:
        raise DTypeError(f"heaviside: needs two tensors of one dtype, got {x.dtype!r} and {values.dtype!r}")
    return plain(np.where(x.array == 0, values.array, (x.array > 0).astype(x.array.dtype)))


@numpy_names
def copysign(x: Any, y: Any) -> Tensor:
    """|x| with the sign of y, where −0 counts as negative."""
    x, y = _pair("copysign", x, y)
    return where(plain(np.signbit(y.array)), neg(abs(x)), abs(x))


@numpy_names
def signbit(x: Tensor) -> Tensor:
    """True where x is negative, −0 included."""
    array = check_tensor("signbit", x).array
    return plain(np.signbit(array) if array.dtype.kind == "f" else array < 0)


@numpy_names
def ldexp(x: Tensor, y: Tensor) -> Tensor:
    """x · 2ʸ."""
    x, y = _pair("ldexp", x, y)
    return x * ops.special.exp2(y)


@numpy_names
def frexp(x: Tensor) -> return_types.Result:
    """The mantissa in [0.5, 1) and the int32 exponent of x = mantissa · 2^exponent; no gradient flows."""
    if not check_tensor("frexp", x).is_floating_point():
        raise DTypeError(f"frexp: needs a floating-point tensor, got {x.dtype!r}; convert with .float()")
    mantissa, exponent = np.frexp(x.array)
    return return_types.frexp((plain(mantissa), plain(exponent)))


@numpy_names
def float_power(x: Any, exponent: Any) -> Tensor:
    """x to a power, in float64."""
    a, b = (v.to(dtypes.float64) if isinstance(v, Tensor) else float(v) for v in (x, exponent))
    made: Tensor = a**b
    return made


@numpy_names
def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """x with NaN, inf and −inf replaced by numbers; the infinities by the largest ones of the dtype if not given."""
    if not check_tensor("nan_to_num", x).is_floating_point():
        return clone(x)
    limits = np.finfo(x.array.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    for wrong, number in ((np.isnan(x.array), nan), (np.isposinf(x.array), high), (np.isneginf(x.array), low)):
        x = where(plain(wrong), 0.0 if number is None else number, x)
    return x


@numpy_names
def fmax(x: Tensor, y: Tensor) -> Tensor:
    """The larger of x and y; of a number and NaN the number."""
    return _ignoring_nan("fmax", ops.arithmetic.maximum, x, y)


@numpy_names
def fmin(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of x and y; of a number and NaN the number."""
    return _ignoring_nan("fmin", ops.arithmetic.minimum, x, y)


def _ignoring_nan(name: str, op: Any, x: Tensor, y: Tensor) -> Tensor:
    x, y = check_tensor(name, x), check_tensor(name, y, "other")
    no_x, no_y = plain(np.isnan(x.array)), plain(np.isnan(y.array))
    return where(no_y, x, where(no_x, y, op(x, y)))


@numpy_names
def addcmul(x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """x + value · tensor1 · tensor2."""
    product = tensor1 * tensor2
    return x + (product if value == 1 else product * value)


@numpy_names
def addcdiv(x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """x + value · tensor1 / tensor2, for floating-point tensors."""
    if not (tensor1.is_floating_point() or tensor2.is_floating_point()):
        raise DTypeError("addcdiv: integer division is not supported; convert with .float() first")
    quotient = tensor1 / tensor2
    return x + (quotient if value == 1 else quotient * value)


@numpy_names
def rsub(x: Tensor, y: Any, *, alpha: float = 1) -> Tensor:
    """y − alpha · x."""
    made: Tensor = y - (x if alpha == 1 else x * alpha)
    return made


@numpy_names
def gcd(x: Tensor, y: Tensor) -> Tensor:
    """The greatest common divisor of integers."""
    return plain(np.gcd(*_integers("gcd", x, y)))


@numpy_names
def lcm(x: Tensor, y: Tensor) -> Tensor:
    """The least common multiple of integers."""
    return plain(np.lcm(*_integers("lcm", x, y)))


@numpy_names
def bitwise_left_shift(x: Any, y: Any) -> Tensor:
    """x · 2ʸ for integers: x << y."""
    return plain(np.left_shift(*_integers("bitwise_left_shift", x, y)))


@numpy_names
def bitwise_right_shift(x: Any, y: Any) -> Tensor:
    """⌊x / 2ʸ⌋ for integers: x >> y."""
    return plain(np.right_shift(*_integers("bitwise_right_shift", x, y)))


def _integers(name: str, x: Any, y: Any) -> tuple[Any, Any]:
    arrays = array_of(x), array_of(y)
    kind = dtypes.result_type(*arrays)
    if kind.is_floating_point or kind is dtypes.bool_:
        raise DTypeError(f"{name}: needs integer tensors, got {kind!r}; convert with .long()")
    a, b = (np.asarray(a, kind.dtype) for a in arrays)
    return a, b
