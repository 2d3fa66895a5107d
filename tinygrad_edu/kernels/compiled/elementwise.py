"""Elementwise twins over contiguous arrays of one shape; other layouts go back to the reference.

Those that every network needs are here; the others are in `elementwise_loops`, which imports Numba on first use.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import memory
from ..quiet import Array
from ..reference import elementwise as reference
from .address import address
from .cpu import BOUNDSCHECK
from .native import fresh, get_threads, launch, readonly


def _whole(kernel: Callable[..., None], fallback: Callable[..., Array]) -> Callable[..., Array]:
    """The public twin: `kernel` on flat arrays, `fallback` for what it does not take."""

    def apply(*arrays: Array) -> Array:
        last = arrays[-1]
        if last.dtype.kind != "f":
            return fallback(*arrays)  # integers have no twin
        for array in arrays:
            if array.shape != last.shape or not array.flags.c_contiguous or not array.flags.aligned:
                return fallback(*arrays)
            if array.dtype != last.dtype and array.dtype != np.bool_:
                return fallback(*arrays)  # NumPy knows what dtype the two make
        out = memory.empty(last.shape, last.dtype)
        kernel(*[readonly(array).reshape(-1) for array in arrays], out.reshape(-1))
        return out

    apply.__name__ = kernel.__name__.strip("_")
    return apply


def _relu(x: Array, out: Array) -> None:
    _run("relu", x, out)


def _relu_gate(x: Array, y: Array, out: Array) -> None:
    _run("relu_gate", x, y, out)


def _run(name: str, *arrays: Array) -> None:
    if BOUNDSCHECK:
        fresh().checked(f"elementwise.{name}_each")(*arrays)
        return
    x = arrays[0]
    args = np.array((x.size, *[address(array) for array in arrays]), np.int64)
    launch(f"elementwise.{name}", (x.itemsize, 0, 0), args, get_threads())


relu = _whole(_relu, reference.relu)
relu_gate = _whole(_relu_gate, reference.relu_gate)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__package__}.elementwise_loops"), name)
