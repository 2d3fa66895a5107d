"""What the functions share: arguments to tensors, NumPy's argument names, results with several parts."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.errors import DTypeError, ShapeError
from tinygrad_edu.ops.basic import clone
from tinygrad_edu.ops.indexing import index_put
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import check_writable, inplace_write, wrap
from tinygrad_edu.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


def numpy_names(function: F) -> F:
    """Let `axis` and `keepdims` stand for `dim` and `keepdim`, `input` for the first parameter and `other` for `y`.

    A tensor given as `out` receives the result; an `out` of None, which NumPy's own functions pass along (np.max(x)
    calls x.max), is dropped.
    """
    code = inspect.unwrap(function).__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    aliases = {"axis": "dim", "keepdims": "keepdim", "other": "y"}
    renames = [(old, new) for old, new in aliases.items() if old not in names]
    takes_input = "input" not in names

    @functools.wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        out = None
        if kwargs:
            for old, new in renames:
                if old in kwargs:
                    kwargs[new] = kwargs.pop(old)
            out = kwargs.pop("out", None)
            if takes_input and "input" in kwargs and not args:
                args = (kwargs.pop("input"),)
        result = function(*args, **kwargs)
        return result if out is None else _write_out(function.__name__, result, out)

    return renamed  # type: ignore[return-value]


def _write_out(name: str, result: Any, out: Any) -> Tensor:
    """`out`, with the entries of `result`.

    Raises NotImplementedError unless both are one tensor, RuntimeError if either requires grad, and ShapeError or
    DTypeError where the result does not fit: `out` is not resized.
    """
    if not isinstance(result, Tensor) or not isinstance(out, Tensor):
        raise NotImplementedError(
            f"{name}: out= is not supported for {type(result).__name__} into {type(out).__name__}, only for one tensor "
            f"into another; assign the result, or write it with out.copy_(...)"
        )
    if result.requires_grad or (mode.grad and out.requires_grad):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
            f"arguments requires grad; assign the result, or use no_grad()"
        )
    return store(out, result, f"{name}(out=)")


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The twin of a composition of ops that stores its result in the tensor's own memory: `x.f_()` for `f(x)`.

    Raises what `f` raises, GraphError for a leaf that requires grad, ShapeError or DTypeError where the result does
    not fit into the tensor.
    """
    name = function.__name__

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_writable(self, name)
        # ops keep what they read for backward, so a recorded computation starts from a copy
        source = clone(self) if mode.grad and self.requires_grad else self
        return store(self, function(source, *args, **kwargs), f"{name}_")

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"`{name}` in place."
    return method


def store(x: Tensor, result: Tensor, name: str) -> Tensor:
    """Set all entries of x to a result of the same shape, as an in-place op does."""
    if result.array.shape != x.array.shape:
        raise ShapeError(
            f"{name}: output with shape {x.array.shape} doesn't match the broadcast shape {result.array.shape}; "
            f"use the out-of-place form"
        )
    if not dtypes.can_cast(result.dtype, x.dtype):
        raise DTypeError(
            f"{name}: result type {result.dtype!r} can't be cast to the desired output type {x.dtype!r}; "
            f"convert the tensor first, for instance with .float()"
        )
    inplace_write(x, index_put, result, {"index": (...,)}, lambda array, value: np.copyto(array, value))
    return x


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


def new_sizes(name: str, shape: tuple[Any, ...], size: Any) -> tuple[int, ...]:
    """The shape of a new tensor, from f(2, 3), f((2, 3)) or f(size=(2, 3)), checked."""
    if size is not None:
        if shape:
            raise TypeError(f"{name}: got sizes {shape} and size={size}; give them once")
        shape = (tuple(size) if isinstance(size, (tuple, list)) else size,)
    wanted = sizes(shape)
    for n in wanted:
        if n < 0:
            raise RuntimeError(f"{name}: Trying to create tensor with negative dimension {n}: {list(wanted)}")
    return wanted


def axes_array(x: Array, dim: Any) -> Any:
    """`dim` in NumPy's form: None, or a tuple."""
    from tinygrad_edu.ops.shapes import dims_of

    return dims_of("dim", dim, x.ndim)
