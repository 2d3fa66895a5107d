"""exp, log, tanh, sigmoid and erf of each element, by polynomials.

LLVM vectorises them, but not a call of libm. Each polynomial is our own Remez fit (mpmath, 60 digits); the argument is
reduced as in Cephes (Moshier) and fdlibm (Sun). In float32 and float64, at most 2 units in the last place off the exact
value, subnormal results included; NaN stays NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from ..quiet import Array
from .inner import CONTRACT, by_width
from .jit import jit

F32 = np.float32  # in Numba, a plain 0.5 would make float64 of a float32 expression, and so would an int64
I32 = np.int32


# exp(v) = 2^k exp(r) with k = round(v / ln 2) and |r| <= ln(2) / 2. ln 2 = high + low, where k * high is exact. Two
# halves make 2^k, which alone may overflow or underflow where the product does not.


def _exp32(v: Any) -> Any:
    x = F32(-104.0) if v < F32(-104.0) else v  # exp(-104) rounds to 0, exp(89) to inf
    x = F32(89.0) if not x < F32(89.0) else x  # NaN too: it has no integer part
    k = np.rint(x * F32(1.4426950408889634))
    r = (x - k * F32(0.693359375)) - k * F32(-2.1219444005469057e-4)
    p = F32(0.0013950445236643491) * r + F32(0.0083688861200143214)
    p = p * r + F32(0.041666207273122575)
    p = p * r + F32(0.16666519033986070)
    p = p * r + F32(0.50000000942035422)
    p = p * (r * r) + r + F32(1.0)
    half = I32(I32(k) >> I32(1))
    rest = I32(I32(k) - half)
    p = (
        p
        * I32(I32(half + I32(127)) << I32(23)).view(np.float32)
        * I32(I32(rest + I32(127)) << I32(23)).view(np.float32)
    )
    return p if v == v else v


def _exp64(v: Any) -> Any:
    x = -746.0 if v < -746.0 else v  # exp(-746) rounds to 0, exp(710) to inf
    x = 710.0 if not x < 710.0 else x
    k = np.rint(x * 1.4426950408889634)
    r = (x - k * 0.6931471803691238) - k * 1.9082149292705877e-10
    p = 2.5117708540507210e-8 * r + 2.7630989070304046e-7
    p = p * r + 2.7557216889330006e-6
    p = p * r + 2.4801490913148492e-5
    p = p * r + 1.9841269916566242e-4
    p = p * r + 0.0013888888945881831
    p = p * r + 0.0083333333333076846
    p = p * r + 0.041666666666520801
    p = p * r + 0.16666666666666698
    p = p * r + 0.50000000000000119
    p = p * (r * r) + r + 1.0
    n = np.int64(I32(k))  # by way of int32: AVX2 has no conversion to int64
    half = n >> 1
    p = p * np.int64((half + 1023) << 52).view(np.float64) * np.int64((n - half + 1023) << 52).view(np.float64)
    return p if v == v else v


exp = by_width(_exp32, _exp64)


# log(v) = k ln 2 + log(1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), both read off the bits of v.


def _log32(v: Any) -> Any:
    small = v < F32(1.1754943508222875e-38)  # subnormal: no leading one among its bits
    bits = F32(v * F32(33554432.0) if small else v).view(np.int32)
    exponent = I32(I32(bits - I32(0x3F3504F3)) >> I32(23))
    f = I32(bits - I32(exponent << I32(23))).view(np.float32) - F32(1.0)
    k = F32(exponent) - (F32(25.0) if small else F32(0.0))
    p = F32(-0.078654504181692431) * f + F32(0.12879205820229820)
    p = p * f + F32(-0.13125296427541148)
    p = p * f + F32(0.14181418638813665)
    p = p * f + F32(-0.16624969629580862)
    p = p * f + F32(0.20002282664802184)
    p = p * f + F32(-0.25000796575430931)
    p = p * f + F32(0.33333316780235677)
    z = f * f
    rest = (f * z) * p - F32(0.5) * z + k * F32(-2.1219444005469057e-4)
    out = (f + rest) + k * F32(0.693359375)
    out = out if v > F32(0.0) else F32(np.nan)
    out = F32(-np.inf) if v == F32(0.0) else out
    return v if v == F32(np.inf) else out


def _log64(v: Any) -> Any:
    small = v < 2.2250738585072014e-308
    bits = np.float64(v * 18014398509481984.0 if small else v).view(np.int64)
    exponent = (bits - 0x3FE6A09E667F3BCD) >> 52
    f = np.int64(bits - (exponent << 52)).view(np.float64) - 1.0
    k = np.float64(I32(exponent)) - (54.0 if small else 0.0)
    s = f / (2.0 + f)  # log(1 + f) = log((1 + s) / (1 - s)) = 2 s + s z p(z), with 2 s = f - s f
    z = s * s
    p = 0.14757971506484802 * z + 0.15318097427239884
    p = p * z + 0.18183393143159935
    p = p * z + 0.22222202139806621
    p = p * z + 0.28571428703864214
    p = p * z + 0.39999999999611893
    p = p * z + 0.66666666666666989
    square = 0.5 * f * f
    out = k * 0.6931471803691238 - ((square - (s * (square + z * p) + k * 1.9082149292705877e-10)) - f)
    out = out if v > 0.0 else np.float64(np.nan)
    out = np.float64(-np.inf) if v == 0.0 else out
    return v if v == np.inf else out


log = by_width(_log32, _log64)


# tanh(v) = v + v z p(z), z = v^2, near 0; else 1 - 2 / (exp(2 |v|) + 1), which would cancel there.


def _tanh32(v: Any) -> Any:
    z = v * v
    p = F32(-0.0057632105028231620) * z + F32(0.020696919537564477)
    p = p * z + F32(-0.053759825979636778)
    p = p * z + F32(0.13331725128835318)
    p = p * z + F32(-0.33333294954561703)
    a = abs(v)
    far = F32(1.0) - F32(2.0) / (exp(F32(2.0) * a) + F32(1.0))
    return math.copysign((a * z) * p + a if z < F32(0.390625) else far, v)


def _tanh64(v: Any) -> Any:
    z = v * v
    p = -1.6374889555072140e-5 * z + 7.7805771065042859e-5
    p = p * z + -2.2919041304817209e-4
    p = p * z + 5.8665242571579674e-4
    p = p * z + -0.0014550710769701364
    p = p * z + 0.0035920133305096712
    p = p * z + -0.0088632243549618513
    p = p * z + 0.021869487867096406
    p = p * z + -0.053968253946016526
    p = p * z + 0.13333333333300008
    p = p * z + -0.33333333333333206
    a = abs(v)
    far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0)
    return math.copysign((a * z) * p + a if z < 0.390625 else far, v)


tanh = by_width(_tanh32, _tanh64)


# erf(v) = v + v p(v^2) up to 1, else 1 - exp(q(|v|)): q fits log(erfc), as closely as 1 - exp(q) asks for.


def _erf32(v: Any) -> Any:
    z = v * v
    p = F32(7.8891320897265575e-5) * z + F32(-8.0208452833795518e-4)
    p = p * z + F32(0.0051895358190171801)
    p = p * z + F32(-0.026854444857453566)
    p = p * z + F32(0.11283600182923460)
    p = p * z + F32(-0.37612627136580648)
    p = p * z + F32(0.1283791659138382)  # less 1, so that v p + v rounds once
    a = F32(4.0) if abs(v) > F32(4.0) else abs(v)  # 1 from there on
    q = F32(1.8677621862147438e-4) * a + F32(-0.0029518698565310927)
    q = q * a + F32(0.021856286433316807)
    q = q * a + F32(-0.10314792002863466)
    q = q * a + F32(-0.63809361789086667)
    q = q * a + F32(-1.1271224692811036)
    q = q * a + F32(-3.3269617893644325e-4)
    return v * p + v if z < F32(1.0) else math.copysign(F32(1.0) - exp(q), v)


def _erf64(v: Any) -> Any:
    z = v * v
    p = 5.9606946687796137e-11 * z + -1.1374960859212244e-9
    p = p * z + 1.4660329934243189e-8
    p = p * z + -1.6350396383911511e-7
    p = p * z + 1.6461008490952578e-6
    p = p * z + -1.4925595772854554e-5
    p = p * z + 1.2055331132976754e-4
    p = p * z + -8.5483269814258838e-4
    p = p * z + 0.0052239776248284317
    p = p * z + -0.026866170645077875
    p = p * z + 0.11283791670954884
    p = p * z + -0.37612638903183748
    p = p * z + 0.12837916709551257
    a = 6.0 if abs(v) > 6.0 else abs(v)
    q = 1.8234650628133850e-11 * a + -6.7091505475822482e-10
    q = q * a + 1.1221043089021734e-8
    q = q * a + -1.1146086106205113e-7
    q = q * a + 7.1042643731143236e-7
    q = q * a + -2.7884643281485434e-6
    q = q * a + 4.0537605464529358e-6
    q = q * a + 2.6693730072804281e-5
    q = q * a + -2.2766587225047205e-4
    q = q * a + 9.1463560371974160e-4
    q = q * a + -0.0020914457916000825
    q = q * a + 5.7629346418236208e-4
    q = q * a + 0.018871586550015594
    q = q * a + -0.10264125367984936
    q = q * a + -0.63666614066771585
    q = q * a + -1.1283690643964018
    q = q * a + -1.0237035782424054e-6
    return v * p + v if z < 1.0 else math.copysign(1.0 - exp(q), v)


erf = by_width(_erf32, _erf64)


@jit(fastmath=CONTRACT)
def exp_each(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = exp(x[i])


@jit(fastmath=CONTRACT)
def log_each(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = log(x[i])


@jit(fastmath=CONTRACT)
def tanh_each(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = tanh(x[i])


@jit(fastmath=CONTRACT)
def erf_each(x: Array, out: Array) -> None:
    for i in prange(x.size):
        out[i] = erf(x[i])


@jit(fastmath=CONTRACT)
def sigmoid_each(x: Array, out: Array) -> None:
    one = x.dtype.type(1)
    for i in prange(x.size):
        e = exp(-abs(x[i]))  # never overflows
        total = one + e
        lost = e - (total - one)  # by rounding
        y = (one if x[i] >= 0 else e) / total
        out[i] = y - y * lost * (y if x[i] >= 0 else one - y)  # 1 / total is one of the two
