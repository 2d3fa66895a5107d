"""What the functions share: arguments to tensors, NumPy's argument names, results with several parts."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


def numpy_names(function: F) -> F:
    """Let `axis` and `keepdims` stand for `dim` and `keepdim`, and `input` for the first parameter.

    An `out` of None, which NumPy's own functions pass along (np.max(x) calls x.max), is dropped.
    """

    @functools.wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            if "axis" in kwargs:
                kwargs["dim"] = kwargs.pop("axis")
            if "keepdims" in kwargs:
                kwargs["keepdim"] = kwargs.pop("keepdims")
            if "out" in kwargs and kwargs.pop("out") is not None:
                raise TypeError(f"{function.__name__}: out= is not supported; assign the result, or use copy_()")
            if "input" in kwargs and not args:
                args = (kwargs.pop("input"),)
        return function(*args, **kwargs)

    return renamed  # type: ignore[return-value]


def check_tensor(name: str, x: Any, argument: str = "input") -> Tensor:
    """x, which must be a tensor; an array is wrapped."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, np.ndarray):
        dtypes.of(x.dtype)
        return wrap(x)
    raise TypeError(f"{name}: argument {argument!r} must be Tensor, not {type(x).__name__}; make one with tensor(...)")


def array_of(x: Any) -> Any:
    """The array of a tensor; anything else as it is."""
    return x.array if isinstance(x, Tensor) else x


def plain(array: Any) -> Tensor:
    """A tensor without history around a fresh result, which may be a NumPy scalar."""
    return wrap(array if isinstance(array, np.ndarray) else np.asarray(array))


def sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` alike."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    try:
        return tuple(operator.index(n) for n in args)
    except TypeError:
        raise TypeError(f"size: sizes must be integers, got {args}; use // to divide sizes") from None


def axes_array(x: Array, dim: Any) -> Any:
    """`dim` in NumPy's form: None, or a tuple."""
    from tinygrad_edu.ops.shapes import dims_of

    return dims_of("dim", dim, x.ndim)
