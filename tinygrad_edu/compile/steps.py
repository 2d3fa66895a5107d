"""The parts of a trace: values, steps, and what code sees of a value whose entries it must not read."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tinygrad_edu.ops.registry import Array

PACKAGE = str(Path(__file__).parents[1])


class Break(BaseException):
    """The function cannot be traced; the message says why. No `Exception`, so that no `except` of the user stops it."""


class _Current(threading.local):
    tracer: Any = None  # the Tracer of this thread


current = _Current()


def stop(reason: str) -> NoReturn:
    """End the trace, for a reason that names the line of user code."""
    tracer = current.tracer
    if tracer is None:
        raise RuntimeError("compile: a tensor outlived the tracing that it was made for; return it from the function")
    raise tracer.broken_by(f"{reason}{_line()}")


def _line() -> str:
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back  # type: ignore[assignment]
    return "" if frame is None else f" (line {frame.f_lineno} of {Path(frame.f_code.co_filename).name})"


class Value:
    """One array of the program: an input, a constant, or the result of a step. `array` is what the trace computed."""

    __slots__ = ("array", "flows", "made_by", "shape")

    def __init__(self, array: Array, flows: bool = False, made_by: Step | str = "constant") -> None:
        self.array = array
        self.flows = flows  # whether a gradient flows back through it
        self.made_by = made_by
        self.shape = array.shape


class Pure:
    """A computation on arrays that records nothing: a comparison, the joint backward of a fused op."""

    def __init__(self, name: str, forward: Callable[..., Any], several: bool = False) -> None:
        self.name, self.forward, self.several = name, forward, several
        self.view = False


class Step:
    """One noted op."""

    __slots__ = ("flows", "inputs", "op", "outs", "params")

    def __init__(self, op: Any, inputs: list[Value | None], params: dict[str, Any]) -> None:
        self.op, self.inputs, self.params = op, inputs, params
        self.flows = False
        self.outs: list[Value] = []  # the result, then the extra outputs

    def compute(self, arrays: Sequence[Any]) -> list[Array]:
        """The result and the extra outputs, as arrays."""
        out = self.op.forward(*arrays, **self.params)
        several = self.op.several if isinstance(self.op, Pure) else self.op.extra_outputs
        return [np.asarray(x) for x in out] if several else [np.asarray(out)]


class Ghost:
    """What code sees of a traced tensor's array: shape and dtype; to ask for more ends the trace."""

    __slots__ = ("dtype", "itemsize", "nbytes", "ndim", "shape", "size")

    base = None

    def __init__(self, like: Array) -> None:
        self.shape, self.dtype, self.ndim, self.size = like.shape, like.dtype, like.ndim, like.size
        self.itemsize, self.nbytes = like.itemsize, like.nbytes

    def __getattr__(self, name: str) -> Any:
        stop(f"reads the values of a tensor ({name.strip('_')})")

    def __len__(self) -> int:
        if not self.shape:
            stop("reads the values of a tensor (len)")
        return self.shape[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.shape, np.ndim, np.size) and args and args[0] is self:
            return getattr(self, function.__name__)
        stop(f"reads the values of a tensor (numpy.{function.__name__})")

    def __array_ufunc__(self, ufunc: Any, *args: Any, **kwargs: Any) -> Any:
        stop(f"reads the values of a tensor (numpy.{ufunc.__name__})")


def refusal(name: str, what: str) -> Callable[..., Any]:
    """A method that ends the trace."""

    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        stop(f"{what} ({name.strip('_')})")

    return refuse


for _name in """
    array bool int float index complex iter contains getitem setitem eq ne lt le gt ge add radd iadd sub rsub isub mul
    rmul imul truediv rtruediv itruediv floordiv mod pow rpow ipow neg pos abs invert and or xor rand ror matmul rmatmul
    """.split():  # noqa: SIM905  Python looks these up on the class, past __getattr__
    setattr(Ghost, f"__{_name}__", refusal(_name, "reads the values of a tensor"))
