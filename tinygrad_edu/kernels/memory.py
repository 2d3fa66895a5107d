"""Memory for large results, used again: after its first step, a training loop allocates nothing large.

A fresh page costs its first write 1.6 us on the virtual machine where this was measured (a 4 MB array: 1.6 ms, or 0.08
with huge pages), and the C library gives large blocks back to the system as soon as they are free. So `empty` lends
buffers that stay mapped, and takes each back when nobody can see it any more.

    array  --base-->  mapping        what `empty` returns; the loan watches it by a weak reference
    view   --base-->  array          NumPy's views of views all point at this array, since its own base is none

An array that is gone thus has no views left. Who kept the mapping itself (`array.base`) shows in its reference count:
such a buffer is never lent again. No locks: a loan may end inside any line of Python, even one of this file, when the
garbage collector runs, so that each change of state is one atomic step on a list or a dict.
"""

from __future__ import annotations

import itertools
import math
import mmap
import os
import sys
import weakref
from collections import deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

SMALLEST = 65_536  # bytes; a loan takes 1 us more than np.empty, and the C library keeps smaller blocks by itself
HUGE = 4 << 20  # bytes from which on NumPy asks for huge pages, and so do we
SPARE = 0.5  # of the bytes in use at their peak: what may lie idle even then
LEAST = 16 << 20  # bytes that may lie idle in any case
STEPS = 4  # sizes of buffers between n and 2 n bytes: pages at the end that are never written cost nothing
LOOSE = 4  # a buffer may be that many times too large, where a new one would exceed the bounds
WINDOW = 8192  # loans after which the buffers that none of them needed go back to the system
PRIVATE: dict[str, int] = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


class Statistics(NamedTuple):
    """What the pool has done so far, and holds now."""

    created: int  # buffers mapped since the process began
    lent: int  # bytes of the buffers that arrays live in
    idle: int  # bytes of those that wait


class _Buffer:
    """A mapping of whole pages, so aligned to far more than 64 bytes; private, so that a fork copies it."""

    __slots__ = ("alone", "mapping", "view")

    def __init__(self, size: int) -> None:
        self.mapping = mmap.mmap(-1, size, **PRIVATE)
        if size >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
            self.mapping.madvise(mmap.MADV_HUGEPAGE)
        self.view = memoryview(self.mapping)  # also keeps others from closing it
        self.alone = sys.getrefcount(self.mapping)

    def is_alone(self) -> bool:
        """Whether nobody outside knows the mapping."""
        return sys.getrefcount(self.mapping) <= self.alone


class _Loan(weakref.ref[Array]):
    """Watches the array that a buffer is lent to."""

    __slots__ = ("buffer", "shelf")
    buffer: _Buffer
    shelf: _Shelf


class _Shelf:
    """All buffers of one size."""

    __slots__ = ("idle", "lent", "size", "unneeded", "used")

    def __init__(self, size: int) -> None:
        self.size = size
        self.idle: deque[_Buffer] = deque()  # used last at the right: it may still be in the processor's caches
        self.lent: dict[int, _Loan] = {}
        self.unneeded = 0  # fewest idle buffers since the last clearance
        self.used = 0  # when a buffer was last lent

    def take(self) -> _Buffer | None:
        """An idle buffer that nobody can see; None if there is none."""
        idle = self.idle
        while idle:
            try:
                buffer = idle.pop()
            except IndexError:  # another thread was faster
                return None
            if len(idle) < self.unneeded:
                self.unneeded = len(idle)
            if buffer.is_alone():
                return buffer
        return None

    def give_back(self, count: int) -> int:
        """Give up to `count` idle buffers back to the system, those used longest ago; returns their bytes."""
        given = 0
        while self.idle and given < count:
            try:
                self.idle.popleft()
            except IndexError:  # another thread was faster
                break
            given += 1
        return given * self.size

    def lend(self, buffer: _Buffer, array: Array) -> None:
        """Take the buffer back when the array is gone."""
        loan = _Loan(array, _end)
        loan.buffer, loan.shelf = buffer, self
        self.lent[id(buffer)] = loan


def _end(loan: Any) -> None:
    """Called by Python when the array of a loan is gone."""
    del loan.shelf.lent[id(loan.buffer)]  # first: once idle, another thread may lend it
    loan.shelf.idle.append(loan.buffer)


class _Pool:
    """Shelves by size, and the bounds of what they hold together."""

    def __init__(self) -> None:
        self.shelves: dict[int, _Shelf] = {}  # by the size of their buffers
        self.known: dict[int, _Shelf] = {}  # by the size asked for
        self.clock = itertools.count(1)
        self.count = itertools.count(1)
        self.created = 0
        self.peak = 0  # the most bytes in use at once that a new buffer or a clearance has seen

    def shelf(self, size: int) -> _Shelf:
        """The shelf of the buffers for `size` bytes."""
        known = self.known.get(size)
        if known is not None:
            return known
        unit = 1 << (size.bit_length() - 1) >> STEPS.bit_length() - 1
        rounded = -(-size // unit) * unit
        shelf = self.shelves.get(rounded) or self.shelves.setdefault(rounded, _Shelf(rounded))
        if len(self.known) < WINDOW:
            self.known[size] = shelf
        return shelf

    def find(self, shelf: _Shelf) -> tuple[_Shelf, _Buffer]:
        """A buffer for a shelf that has none: new within the bounds, else a larger one, else new in place of others."""
        in_use = self.lent() + shelf.size
        self.peak = max(in_use, self.peak)
        surplus = in_use + self.idle() - self.peak - max(LEAST, SPARE * self.peak)
        if surplus > 0:
            for size in sorted(size for size in list(self.shelves) if shelf.size < size <= LOOSE * shelf.size):
                buffer = self.shelves[size].take()
                if buffer is not None:
                    return self.shelves[size], buffer
            self.drop(surplus)
        self.created = next(self.count)
        return shelf, _Buffer(shelf.size)

    def drop(self, surplus: float) -> None:
        """Give idle buffers back to the system, those of the sizes that were used least recently first."""
        for shelf in sorted(self.shelves.values(), key=lambda shelf: shelf.used):
            if surplus > 0:
                surplus -= shelf.give_back(math.ceil(surplus / shelf.size))

    def clear(self) -> None:
        """Give the idle buffers back that no loan has needed since the last clearance."""
        for shelf in list(self.shelves.values()):
            shelf.give_back(shelf.unneeded)
            shelf.unneeded = len(shelf.idle)
        self.peak = self.lent() + self.idle()

    def lent(self) -> int:
        """Bytes in use."""
        return sum(len(shelf.lent) * shelf.size for shelf in list(self.shelves.values()))

    def idle(self) -> int:
        """Bytes that wait."""
        return sum(len(shelf.idle) * shelf.size for shelf in list(self.shelves.values()))


_pool = _Pool()


def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
    """An array of any content, as np.empty makes it; a large one lives in a buffer of the pool."""
    kind = np.dtype(dtype)
    size = (math.prod(shape) if isinstance(shape, tuple) else shape) * kind.itemsize
    if size < SMALLEST or kind.hasobject:
        return np.empty(shape, kind)
    shelf = _pool.shelf(size)
    buffer = shelf.take()
    if buffer is None:
        try:
            shelf, buffer = _pool.find(shelf)
        except (OSError, OverflowError):  # no memory, or too many mappings
            release()
            return np.empty(shape, kind)  # raises MemoryError if there is none indeed
    shelf.used = next(_pool.clock)
    if not shelf.used % WINDOW:
        _pool.clear()
    try:
        array: Array = np.ndarray(shape, kind, buffer.view)
    except BaseException:
        shelf.idle.append(buffer)
        raise
    shelf.lend(buffer, array)
    return array


def empty_like(x: Array) -> Array:
    """An array of any content with the shape and dtype of x, C-contiguous."""
    return empty(x.shape, x.dtype)


def copy(x: Array) -> Array:
    """A copy of x, C-contiguous."""
    out = empty_like(x)
    np.copyto(out, x)
    return out


def is_whole(x: Array) -> bool:
    """Whether x is all there is of its memory, which no other array owns: no view of something."""
    base = x.base
    return base is None or isinstance(base, mmap.mmap)


def release() -> None:
    """Give all idle buffers back to the system."""
    for shelf in list(_pool.shelves.values()):
        shelf.idle.clear()
    _pool.peak = 0


def statistics() -> Statistics:
    """How many buffers the pool has made so far, and the bytes it holds now."""
    return Statistics(_pool.created, _pool.lent(), _pool.idle())


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=release)  # the first write to what a fork has copied costs more than a new page


__all__ = ["Statistics", "copy", "empty", "empty_like", "is_whole", "release", "statistics"]
