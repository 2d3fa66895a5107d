"""Kernels of `tasks/` compiled here and now, by Numba, which keeps them on disk; and its threads to run them on."""

from __future__ import annotations

import importlib
import pickle
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numba.extending
from llvmlite import ir  # type: ignore[import-untyped]
from numba import prange
from numba.core import types

from ..quiet import Array
from .jit import _announce as announce
from .jit import config, jit
from .native import CONSTANTS, Constants

compiler: Any = numba
intrinsic: Any = numba.extending.intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def _call(context: Any, function: Any, args: Any, thread: Any, threads: Any) -> Any:
    """function(args, thread, threads, 0, 0, 0), by its address; its constants are compiled in."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [word] * (3 + CONSTANTS))
        zero = ir.Constant(word, 0)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), [*values[1:], *[zero] * CONSTANTS])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), emit


@intrinsic  # type: ignore[untyped-decorator]
def _address(context: Any, array: Any) -> Any:
    """Where an array's first element is."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ptrtoint(context.make_array(array)(context, builder, values[0]).data, ir.IntType(64))

    return types.int64(array), emit


@jit()
def spread(function: int, args: Array, threads: int) -> None:
    """The kernel at an address on Numba's threads."""
    for thread in prange(threads):
        _call(function, _address(args), thread, threads)


def signature(constants: Constants) -> Any:
    """Of a kernel, for Numba."""
    return types.void(*[types.int64] * 3, *map(types.literal, constants))


def source(kernel: str) -> Callable[..., None]:
    """The function in `tasks/` of that name, "<module>.<function>"."""
    module, name = kernel.split(".")
    function: Callable[..., None] = getattr(importlib.import_module(f"{__package__}.tasks.{module}"), name)
    return function


def compile_kernel(kernel: str, constants: Constants) -> Any:
    """A kernel's machine code, which lives as long as what is returned; its `address`."""
    function, options = source(kernel), {"error_model": "numpy"}
    with announce(function.__name__, "f" if constants[0] == 4 else "d"):
        try:
            return compiler.cfunc(signature(constants), cache=not config.BOUNDSCHECK, **options)(function)
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            warnings.warn(f"{kernel}: compiled code cannot be cached ({error})", RuntimeWarning, stacklevel=5)
        return compiler.cfunc(signature(constants), **options)(function)


@cache
def checked(kernel: str) -> Callable[..., None]:
    """A function of `tasks/` on arrays, compiled for one thread, for NUMBA_BOUNDSCHECK=1."""
    function: Callable[..., None] = compiler.njit(error_model="numpy")(source(kernel))
    return function
