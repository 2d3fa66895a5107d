"""Where an array's first element is, for kernels that work on addresses."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np

from ..quiet import Array

# NumPy's C header (PyArrayObject_fields) puts the data pointer right after what every Python object begins with, and
# extensions are compiled for that place. Reading it there takes 90 ns; `x.ctypes.data`, which says the same, 820.
_HEADER = object.__basicsize__
_read = ctypes.c_int64.from_address


def _at_once(x: Array) -> int:
    return _read(id(x) + _HEADER).value


def _by_ctypes(x: Array) -> int:
    return int(x.ctypes.data)


def _choose() -> Callable[[Array], int]:
    samples = (np.zeros(3), np.zeros((4, 5), np.float32)[1:, 2:], np.zeros(7, np.uint8)[3:])
    try:
        agree = all(_at_once(x) == _by_ctypes(x) for x in samples)
    except (ValueError, OSError):
        agree = False
    return _at_once if agree else _by_ctypes


address = _choose()
