"""Arrays at addresses."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types

from ..lanes import Emit, intrinsic, word

compiler: Any = numba
kinds: Any = types
carray: Any = compiler.carray
helper: Any = compiler.njit(error_model="numpy")


@intrinsic  # type: ignore[untyped-decorator]
def pointer(context: Any, address: Any, like: Any) -> Emit:
    """An address as a pointer to numbers of the type of `like`."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(like).as_pointer())

    return kinds.CPointer(like)(kinds.int64, like), emit


@intrinsic  # type: ignore[untyped-decorator]
def real(context: Any, args: Any, index: Any) -> Emit:
    """The float64 in word `index` of the words at args."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        at = builder.add(values[0], builder.mul(values[1], ir.Constant(ir.IntType(64), 8)))
        return builder.load(builder.inttoptr(at, ir.DoubleType().as_pointer()))

    return types.float64(types.int64, types.int64), emit


@helper  # type: ignore[untyped-decorator]
def share(count: int, thread: int, threads: int) -> tuple[int, int]:
    """Begin and end of a thread's equal share of `count` things."""
    return count * thread // threads, count * (thread + 1) // threads


__all__ = ["carray", "compiler", "helper", "pointer", "real", "share", "word"]
