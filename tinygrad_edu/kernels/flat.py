"""Many parameters as one: a table of where each of them, its gradient and its state is, for a single launch."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .memory import is_whole
from .quiet import Array

Line = tuple[Any, ...]  # (param, *state): arrays of one shape, None for state that the options do without
Mark = Mapping[str, Any]  # what differs from parameter to parameter: {"step": 3}

# Columns of the table, in words of 64 bits: the range of a line's elements among those of all lines; two numbers of its
# own, as float64; addresses.
BEGIN, END, FIRST, SECOND, PARAM, GRAD, STATES = range(7)
COLUMNS = STATES + 3

KINDS = (np.dtype(np.float32), np.dtype(np.float64))


class Table:
    """Parameters and their state, as kernels find them: arrays of one dtype, C-contiguous.

    From step to step it keeps the addresses, and the arrays alive; each `places` looks whether they are the same still.
    """

    def __init__(self) -> None:
        self._held: list[Array | None] = []
        self._owned: set[int] = set()  # their ids
        self._places: list[int] = []
        self._describe([])

    def __reduce__(self) -> tuple[type[Table], tuple[()]]:
        return Table, ()  # a copy is about other arrays, at other addresses

    def places(self, lines: Sequence[Line]) -> list[int]:
        """Which of the lines one launch can take, described in the table from now on."""
        arrays = [array for line in lines for array in line]
        if len(arrays) != len(self._held) or not all(map(operator.is_, arrays, self._held)):
            fitting = [k for k, line in enumerate(lines) if _fits(line)]
            same = [k for k in fitting if lines[k][0].dtype == lines[fitting[0]][0].dtype]
            self._places = [] if _overlap([lines[k] for k in same]) else same
            self._describe([lines[k] for k in self._places])
            self._held = arrays
            self._owned = set(map(id, arrays))
        for k in self._places:
            if not lines[k][0].flags.writeable:
                raise ValueError("an optimiser step writes to its parameter, and this one is read-only")
        return self._places

    def _describe(self, lines: Sequence[Line]) -> None:
        self.words = np.zeros((len(lines), COLUMNS), np.int64)
        self.address = self.words.ctypes.data
        self._numbers = self.words[:, FIRST : SECOND + 1].view(np.float64)
        self.dtype = lines[0][0].dtype if lines else np.dtype(np.float32)
        self.total = 0  # elements in all lines
        for row, (param, *state) in zip(self.words, lines, strict=True):
            row[BEGIN], self.total = self.total, self.total + param.size
            row[END], row[PARAM] = self.total, param.ctypes.data
            row[STATES : STATES + len(state)] = [0 if array is None else array.ctypes.data for array in state]

    def readable(self, grad: Array) -> Array:
        """The gradient laid out as its parameter, in memory that no line of the table writes to: a copy if need be."""
        if is_whole(grad) and id(grad) not in self._owned and grad.flags.c_contiguous and grad.flags.aligned:
            return grad
        return grad.copy(order="C")

    def fill(self, grads: Sequence[Array], numbers: Sequence[tuple[float, float]]) -> None:
        """What changes with every step: where the `readable` gradients are, and two numbers for each."""
        self.words[:, GRAD] = [grad.ctypes.data for grad in grads]
        self._numbers[:] = numbers


def _fits(line: Line) -> bool:
    """Whether kernels can write to these arrays as to rows of one dtype in memory."""
    dtype = line[0].dtype
    return dtype in KINDS and all(
        array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned and array.flags.writeable
        for array in line
        if array is not None
    )


def _overlap(lines: Sequence[Line]) -> bool:
    """Whether two of the arrays share memory, so that it matters which one is changed first."""
    arrays = [array for line in lines for array in line if array is not None and array.size]
    starts = sorted((array.ctypes.data, array.nbytes) for array in arrays)
    return any(start + size > after for (start, size), (after, _) in pairwise(starts))


__all__ = ["Line", "Mark", "Table"]
