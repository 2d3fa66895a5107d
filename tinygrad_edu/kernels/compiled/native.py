"""Kernels that work on addresses, and how they are started, on several threads at once. Nothing here imports Numba.

Such a kernel is a function in `tasks/` of (args, thread, threads, itemsize, height, width): `args` is the address of
int64 words that say where everything is. The last three are constants, so that each choice of them is compiled by
itself, and an intrinsic can unroll by them. Its code comes from the `store` that is part of this package, made ahead;
what is not there, Numba compiles when it is first asked for (`fresh`).
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import threading
from typing import Any

from ..backend import chosen_threads
from ..quiet import Array
from . import store, team
from .address import address

CONSTANTS = 3  # itemsize, height, width
Constants = tuple[int, int, int]
ZERO, ONE = ctypes.c_int64(0), ctypes.c_int64(1)  # made once: to convert six arguments takes ctypes 2 us


def readonly(x: Array) -> Array:
    """x as a C-contiguous, aligned, read-only array: the one layout that the twins are compiled for.

    A copy where it must be. Read-only, since Numba compiles once more for arrays that differ in that alone.
    """
    view = x.view() if x.flags.c_contiguous and x.flags.aligned else x.copy(order="C")
    view.flags.writeable = False
    return view


def get_threads() -> int:
    """How many threads a launch from this Python thread uses."""
    if _JIT in sys.modules:
        return int(sys.modules["numba"].get_num_threads())
    chosen = chosen_threads()
    return _MOST if chosen is None else min(chosen, _MOST)


def _most_threads() -> int:
    """As many as Numba would have: one per core this process may run on, or what its variable says."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(os.environ.get("NUMBA_NUM_THREADS") or cores)


def launch(kernel: str, constants: Constants, args: Array, threads: int) -> None:
    """kernel(address of args, thread, threads, *constants) for each thread at once; one thread is the caller's.

    kernel: "<module>.<function>" in `tasks/`.
    """
    code = _codes.get((kernel, constants)) or _prepare(kernel, constants)
    if threads == 1:
        code.call(ctypes.c_int64(address(args)), ZERO, ONE, ZERO, ZERO, ZERO)
    elif team.is_there():
        team.run(code.address, address(args), threads)
    else:
        fresh().spread(code.address, args, threads)


def fresh() -> Any:
    """The module that compiles by Numba."""
    return importlib.import_module(f"{__package__}.fresh")


class _Code:
    """A kernel's machine code, kept alive with its address."""

    def __init__(self, kernel: str, constants: Constants) -> None:
        found = store.find(kernel, constants)
        self.owner: Any = None
        if found is None:
            self.owner = fresh().compile_kernel(kernel, constants)
            found = int(self.owner.address)
        self.address = found
        self.call = ctypes.CFUNCTYPE(None)(self.address)


def _prepare(kernel: str, constants: Constants) -> _Code:
    key = (kernel, constants)
    with _preparing:
        return _codes.get(key) or _codes.setdefault(key, _Code(kernel, constants))


_codes: dict[tuple[str, Constants], _Code] = {}
_preparing = threading.Lock()
_JIT = f"{__package__}.jit"
_MOST = _most_threads()
if not store.is_there():  # a broken Numba is to be noticed now, when NumPy can still take the place of the twins
    importlib.import_module("numba")
