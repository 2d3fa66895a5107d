"""GELU twins: one pass each, with the polynomials of `vector_math`."""

from __future__ import annotations

import math

from numba import prange

from .. import memory
from ..quiet import Array
from ..reference import activations as reference
from .inner import CONTRACT
from .jit import jit, readonly
from .vector_math import erf, exp

ROOT_HALF = math.sqrt(0.5)
DENSITY = 1 / math.sqrt(2 * math.pi)


@jit(fastmath=CONTRACT)
def _gelu(x: Array, out: Array) -> None:
    kind = x.dtype.type
    half, one, root = kind(0.5), kind(1), kind(ROOT_HALF)
    for i in prange(x.size):
        out[i] = x[i] * half * (erf(x[i] * root) + one)


# In two passes: LLVM vectorises a loop with one polynomial, but not one with both (0.9 against 6 ms for 1e6).


@jit(fastmath=CONTRACT)
def _normal_cdf(x: Array, out: Array) -> None:
    kind = x.dtype.type
    half, one, root = kind(0.5), kind(1), kind(ROOT_HALF)
    for i in prange(x.size):
        out[i] = half * (erf(x[i] * root) + one)


@jit(fastmath=CONTRACT)
def _gelu_backward(grad: Array, x: Array, out: Array) -> None:
    """out holds Φ(x)."""
    kind = x.dtype.type
    half, density, far = kind(0.5), kind(DENSITY), kind(40)
    for i in prange(x.size):
        w = far if x[i] > far else x[i]  # where exp has vanished; inf times 0 would be NaN
        w = -far if w < -far else w
        out[i] = grad[i] * (out[i] + w * exp(-half * w * w) * density)


def _is_plain(*arrays: Array) -> bool:
    first = arrays[0]
    return all(
        x.dtype == first.dtype and x.dtype.kind == "f" and x.shape == first.shape and x.flags.c_contiguous
        and x.flags.aligned
        for x in arrays
    )  # fmt: skip


def gelu(x: Array) -> Array:
    """x Φ(x)."""
    if not _is_plain(x):
        return reference.gelu(x)
    out = memory.empty_like(x)
    _gelu(readonly(x).reshape(-1), out.reshape(-1))
    return out


def gelu_backward(grad: Array, x: Array) -> Array:
    """grad (Φ(x) + x φ(x))."""
    if not _is_plain(grad, x):
        return reference.gelu_backward(grad, x)
    out = memory.empty_like(x)
    flat = readonly(x).reshape(-1)
    _normal_cdf(flat, out.reshape(-1))
    _gelu_backward(readonly(grad).reshape(-1), flat, out.reshape(-1))
    return out
