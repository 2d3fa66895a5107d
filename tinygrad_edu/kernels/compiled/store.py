"""Kernels compiled ahead, as part of this package: `libraries/<level>.so`, one shared library for each vector unit.

`make kernels` makes them, with `libraries/index.json`, which holds a hash of the sources they were made from and of
each library. Where anything differs, the store is left alone and Numba compiles as if there were none.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from . import cpu

HERE = Path(__file__).parent
FOLDER = HERE / "libraries"
INDEX = FOLDER / "index.json"
# and all of tasks/
SOURCES = ("../flat.py", "inner.py", "lanes.py", "sums.py", "tiles.py", "twos.py", "vector_math.py")


def hash_of_sources(folder: Path = HERE) -> str:
    """What changes when the source of a kernel does."""
    digest = hashlib.sha256()
    for path in sorted([*(folder / name for name in SOURCES), *(folder / "tasks").glob("*.py")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def symbol(kernel: str, constants: tuple[int, ...]) -> str:
    """The name of a kernel in its library."""
    return "_".join(["kernel", kernel.replace(".", "_"), *map(str, constants)])


def is_there() -> bool:
    """Whether there are kernels for this CPU, made from the sources as they are."""
    return _library() is not None


def find(kernel: str, constants: tuple[int, ...]) -> int | None:
    """Address of a kernel's code; None where the store does not have it."""
    return address_of(symbol(kernel, constants))


def address_of(name: str) -> int | None:
    """Address of what has that name in the library."""
    library = _library()
    if library is None or not hasattr(library, name):
        return None
    return ctypes.cast(library[name], ctypes.c_void_p).value


@lru_cache(maxsize=1)
def _library() -> Any:
    level = cpu.level()
    if level is None or not cpu.is_native() or cpu.BOUNDSCHECK:
        return None
    return load(level)


def load(level: str, folder: Path = FOLDER) -> Any:
    """The library of a level; None if it is missing, damaged, or made from other sources."""
    try:
        index = json.loads((folder / INDEX.name).read_text(encoding="utf-8"))
        path = folder / f"{level}.so"
        if index["sources"] != hash_of_sources() or index["libraries"][level] != hash_of(path):
            return None
        return ctypes.CDLL(str(path))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def hash_of(path: Path) -> str:
    """Of a library's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
