"""Threads for kernels, without Numba: those of GNU OpenMP, the very ones that Numba would use.

The library of the store has a function `enter(words)`, which each thread of the team runs: it asks OpenMP for its
number and calls the kernel. Where GNU OpenMP is not there, or another package has loaded it before us, with a spin
count that would fight BLAS (see `patience`), Numba's own threads serve.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from . import patience, store

Words = ctypes.c_int64 * 4
NO_FLAGS = ctypes.c_uint(0)


class _Team:
    def __init__(self, enter: int) -> None:
        openmp = patience.load_openmp()
        self.enter = ctypes.c_void_p(enter)
        self.start = openmp.GOMP_parallel
        self.start.restype = None
        self.number, self.count = (
            ctypes.cast(function, ctypes.c_void_p).value
            for function in (openmp.omp_get_thread_num, openmp.omp_get_num_threads)
        )


@lru_cache(maxsize=1)
def _team() -> Any:
    enter = store.address_of("enter")
    if enter is None or not patience.may_load_openmp():
        return None
    try:
        return _Team(enter)
    except (OSError, AttributeError):  # no GNU OpenMP, or not all of it
        return None


def is_there() -> bool:
    """Whether there are such threads."""
    return _team() is not None


def run(address: int, args: int, threads: int) -> None:
    """The kernel at an address on a team of threads, the caller among them. OpenMP may grant fewer than asked for."""
    team = _team()
    words = Words(address, args, team.number, team.count)
    team.start(team.enter, ctypes.byref(words), ctypes.c_uint(threads), NO_FLAGS)
