"""When was this memory last changed in place?  Views share memory, so the question is asked of the owner of the buffer.

In-place operations pay; recording pays nothing: an entry exists only for buffers that were changed.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import numpy as np

from tinygrad_edu.ops.registry import Array

# One clock for nodes and in-place changes: what has the larger number happened later.  `next` is atomic in CPython.
clock = itertools.count(1)

# id of the owning array -> (clock of the last change, number of changes, reference that removes the entry)
changed: dict[int, tuple[int, int, weakref.ref[Array]]] = {}


def owner(array: Array) -> Array:
    """The array that owns the memory that `array` looks at."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def bump(array: Array, position: int | None = None) -> None:
    """Note that the memory of `array` has just been changed in place."""
    root = owner(array)
    key = id(root)
    when = next(clock) if position is None else position
    before = changed.get(key)
    if before is not None and before[2]() is root:
        changed[key] = (when, before[1] + 1, before[2])
        return

    def forget(dead: Any) -> None:
        entry = changed.get(key)
        if entry is not None and entry[2] is dead:
            del changed[key]

    changed[key] = (when, 1, weakref.ref(root, forget))


def last_change(array: Array) -> int:
    """The clock of the last in-place change, 0 if there was none."""
    entry = changed.get(id(owner(array)))
    return entry[0] if entry is not None else 0


def count(array: Array) -> int:
    """How often the memory of `array` has been changed in place."""
    entry = changed.get(id(owner(array)))
    return entry[1] if entry is not None else 0
