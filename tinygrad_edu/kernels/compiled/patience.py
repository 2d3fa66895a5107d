"""How long idle threads of OpenMP look for work before they sleep: a process decides it once, for all its threads."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# How often an idle OpenMP thread looks for work before it sleeps. Measured with 2 threads on 2 cores, in us: a parallel
# relu of 1e6 alone | after a BLAS product of NumPy's, whose own threads still hold a core. 1,000: 122 | 179;
# 3,000: 51 | 252; 5,000: 49 | 369; 20,000: 49 | 1142; the default, 300,000: 51 | 5100. Between the operations of a
# training step lie some 50 us. Large products of ours run on these threads too, so the second column is the user's.
SPIN_COUNT = "5000"

_loaded: list[Any] = []


def is_chosen() -> bool:
    """Whether the user has said how idle threads wait."""
    return "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ


@contextmanager
def spinning_shortly() -> Iterator[None]:
    """GNU OpenMP, loaded inside, spins SPIN_COUNT times, unless the user has said otherwise: it reads this but once."""
    if is_chosen():
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def openmp_is_foreign() -> bool:
    """Whether another package (PyTorch) has loaded GNU OpenMP before us, with the default spin count."""
    maps = Path("/proc/self/maps")  # Linux; elsewhere Numba's OpenMP is not GNU's
    if _loaded or is_chosen() or not maps.exists():
        return False
    return any(line.rstrip().endswith("/libgomp.so.1") for line in maps.read_text().splitlines())


def may_load_openmp() -> bool:
    """Whether GNU OpenMP may be started here: Linux, no other threads asked for, and not loaded by others."""
    asked = os.environ.get("NUMBA_THREADING_LAYER", "default")
    return sys.platform == "linux" and asked in ("", "default", "omp") and not openmp_is_foreign()


def load_openmp() -> Any:
    """GNU OpenMP. Raises OSError where there is none."""
    with spinning_shortly():
        if not _loaded:
            _loaded.append(ctypes.CDLL("libgomp.so.1"))
    return _loaded[0]
