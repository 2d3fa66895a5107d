"""Kernels that work on addresses, started in parallel: less to compile than one parallel function each.

Such a kernel is a module-level function (args, thread, threads, itemsize, height, width): `args` is the address of
int64 words that say where everything is. The last three are constants, part of its type, so that Numba compiles it
once for each choice of them, keeps that on disk, and an intrinsic can unroll by them. One launcher, compiled once,
starts them all: the three products of a convolution compile in 4 s, not in 9 with a launcher for each.
"""

from __future__ import annotations

import ctypes
import pickle
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numba.extending
from llvmlite import ir  # type: ignore[import-untyped]
from numba import prange
from numba.core import types

from ..quiet import Array
from .jit import _announce as announce
from .jit import config, jit

CONSTANTS = 3  # itemsize, height, width
Kernel = Callable[..., None]
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
def _spread(function: int, args: Array, threads: int) -> None:
    for thread in prange(threads):
        _call(function, _address(args), thread, threads)


def get_threads() -> int:
    """How many threads a launch from this Python thread uses."""
    return int(compiler.get_num_threads())


def launch(kernel: Kernel, constants: tuple[int, int, int], args: Array, threads: int) -> None:
    """kernel(address of args, thread, threads, *constants) for each thread at once; one thread is the caller's."""
    key = (kernel, constants)
    code = _codes.get(key)
    if code is None:
        with _compiling:
            code = _codes.get(key) or _codes.setdefault(key, _Code(kernel, constants))
    if threads == 1:
        code.call(args.ctypes.data, 0, 1, 0, 0, 0)
    else:
        _spread(code.address, args, threads)


class _Code:
    """A kernel's machine code, kept alive with its address."""

    def __init__(self, kernel: Kernel, constants: tuple[int, int, int]) -> None:
        with announce(kernel.__name__, "f" if constants[0] == 4 else "d"):
            self.code = _compile(kernel, constants)
        self.address = self.code.address
        self.call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * (3 + CONSTANTS))(self.address)


def _compile(kernel: Kernel, constants: tuple[int, int, int]) -> Any:
    signature = types.void(*[types.int64] * 3, *map(types.literal, constants))
    options: dict[str, Any] = {"error_model": "numpy"}
    try:
        return compiler.cfunc(signature, cache=not config.BOUNDSCHECK, **options)(kernel)
    except RuntimeError as error:
        if "no locator" not in str(error):
            raise
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        warnings.warn(f"{kernel.__name__}: compiled code cannot be cached ({error})", RuntimeWarning, stacklevel=4)
    return compiler.cfunc(signature, **options)(kernel)


_codes: dict[tuple[Kernel, tuple[int, int, int]], _Code] = {}
_compiling = threading.Lock()
