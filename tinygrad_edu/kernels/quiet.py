"""NumPy ufuncs without warnings: log(0) is -inf and nothing is printed, as in PyTorch.

`np.errstate` around each call costs 0.8 us (NumPy 2.4), more than a small `exp` itself. NumPy 2 keeps its error
settings in a context variable, so a call inside a context prepared once, in which they are off, costs 0.08 us and
leaves the user's own settings alone. NumPy 1 keeps them per thread instead: there we pay for `np.errstate`.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from . import memory
from .memory import Array as Array

F = TypeVar("F", bound=Callable[..., Any])

LARGE = memory.SMALLEST // 4  # elements of float32 from which on results come from the pool
NUMPY_VERSION = tuple(int(part) for part in np.__version__.split(".")[:2])


def silent(function: F) -> F:
    """Decorator: run a function of several NumPy calls with floating-point warnings off."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return run  # type: ignore[return-value]


class _Quiet(threading.local):
    """`run(ufunc, ...)` with warnings off; one context a thread, since a context cannot be entered twice at once.

    For single ufuncs only: a function that called `run` again from inside would raise RuntimeError.
    """

    def __init__(self) -> None:
        if NUMPY_VERSION >= (2, 0):
            context = contextvars.copy_context()
            context.run(np.seterr, all="ignore")
            self.run: Callable[..., Any] = context.run
        else:
            self.run = silent(lambda ufunc, *args, **kwargs: ufunc(*args, **kwargs))


quiet = _Quiet()

if NUMPY_VERSION >= (2, 3):
    # out=... makes a ufunc return an array, not a NumPy scalar, for 0-d inputs, at no cost
    def unary(ufunc: np.ufunc) -> Callable[[Array], Array]:
        """x -> ufunc(x): silent, always a fresh ndarray. For ufuncs whose result has the dtype of a floating x."""

        def kernel(x: Array) -> Array:
            return quiet.run(ufunc, x, out=...) if x.size < LARGE else _large(ufunc, x)

        return kernel

    def binary(ufunc: np.ufunc) -> Callable[[Array, Array], Array]:
        """(x, y) -> ufunc(x, y): silent, always a fresh ndarray. For ufuncs whose result has the dtype of floats."""

        def kernel(x: Array, y: Array) -> Array:
            return quiet.run(ufunc, x, y, out=...) if x.size < LARGE and y.size < LARGE else _large(ufunc, x, y)

        return kernel
else:

    def unary(ufunc: np.ufunc) -> Callable[[Array], Array]:
        """x -> ufunc(x): silent, always a fresh ndarray. For ufuncs whose result has the dtype of a floating x."""
        return lambda x: np.asarray(quiet.run(ufunc, x)) if x.size < LARGE else _large(ufunc, x)

    def binary(ufunc: np.ufunc) -> Callable[[Array, Array], Array]:
        """(x, y) -> ufunc(x, y): silent, always a fresh ndarray. For ufuncs whose result has the dtype of floats."""

        def kernel(x: Array, y: Array) -> Array:
            small = x.size < LARGE and y.size < LARGE
            return np.asarray(quiet.run(ufunc, x, y)) if small else _large(ufunc, x, y)

        return kernel


def _large(ufunc: np.ufunc, *arrays: Array) -> Array:
    """ufunc(*arrays) in memory of the pool, where its dtype and layout are known beforehand: floats, C-contiguous."""
    kind, longest = arrays[0].dtype, max(arrays, key=np.size)
    if kind.kind == "f" and longest.flags.c_contiguous and all(array.dtype == kind for array in arrays):
        shape = longest.shape if len(arrays) == 1 else np.broadcast(*arrays).shape
        return quiet.run(ufunc, *arrays, out=memory.empty(shape, kind))
    return quiet.run(ufunc, *arrays)
