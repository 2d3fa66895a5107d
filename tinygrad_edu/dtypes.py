"""Element types and how they combine: PyTorch's names and promotion rules over NumPy's types."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.errors import DTypeError
from tinygrad_edu.ops.registry import Array


class dtype:
    """An element type, `tinygrad_edu.float32` and so on; usable wherever NumPy takes a dtype."""

    __slots__ = ("dtype", "is_floating_point", "itemsize", "name", "rank")

    is_complex = False

    def __init__(self, name: str, rank: int) -> None:
        self.name = name
        self.dtype: np.dtype[Any] = np.dtype(name)  # NumPy looks for an attribute of this name
        self.is_floating_point = self.dtype.kind == "f"
        self.itemsize = self.dtype.itemsize
        self.rank = rank

    def __repr__(self) -> str:
        return f"tinygrad_edu.{self.name}"

    def __reduce__(self) -> Any:
        return (of, (self.name,))

    def __deepcopy__(self, memo: Any) -> dtype:
        return self


bool_ = dtype("bool", 0)
uint8 = dtype("uint8", 1)
int32 = dtype("int32", 2)
int64 = long = dtype("int64", 3)
float32 = dtype("float32", 4)
float64 = double = dtype("float64", 5)
int_ = int32  # torch.int is 32 bits wide

_ALL = (bool_, uint8, int32, int64, float32, float64)
_BY_NUMPY = {d.dtype: d for d in _ALL}
_PYTHON = {float: float64, int: int64, bool: bool_}

_default: dtype = float32


def of(spec: Any) -> dtype:
    """The dtype that `spec` (a dtype, a NumPy dtype or its name, or float, int, bool) names."""
    if isinstance(spec, dtype):
        return spec
    if isinstance(spec, type) and spec in _PYTHON:
        # torch.tensor(..., dtype=float) means double, dtype=int means int64
        return _PYTHON[spec]
    try:
        return _BY_NUMPY[np.dtype(spec)]
    except (KeyError, TypeError):
        names = ", ".join(d.name for d in _ALL)
        raise DTypeError(f"dtype {spec!r} is not supported; use one of {names}") from None


def has(numpy_dtype: Any) -> bool:
    """True if there are tensors of a NumPy dtype."""
    return numpy_dtype in _BY_NUMPY


def of_array(array: Array) -> dtype:
    """The dtype of an array that is known to be supported."""
    return _BY_NUMPY[array.dtype]


def get_default_dtype() -> dtype:
    """The dtype of floating-point tensors made from Python numbers (float32 at first)."""
    return _default


def set_default_dtype(d: Any) -> None:
    """Make float32 or float64 the dtype of tensors made from Python floats."""
    global _default
    chosen = of(d)
    if not chosen.is_floating_point:
        raise TypeError(f"set_default_dtype: only floating-point types are supported as the default type, got {d!r}")
    _default = chosen


def category(d: dtype) -> int:
    """0 for bool, 1 for integers, 2 for floating point."""
    return 0 if d.rank == 0 else 1 if d.rank < 4 else 2


def promote_types(a: Any, b: Any) -> dtype:
    """The smallest dtype that both convert to: bool < uint8 < int32 < int64 < float32 < float64."""
    first, second = of(a), of(b)
    return first if first.rank >= second.rank else second


def result_type(*operands: Any) -> dtype:
    """The dtype of an operation on tensors, arrays and Python numbers, by PyTorch's rules.

    Numbers and 0-d tensors raise the category (bool, integer, floating) but never the width of the others.
    """
    sized: dtype | None = None
    scalar: dtype | None = None
    number: dtype | None = None
    for x in operands:
        if isinstance(x, np.ndarray):
            own = of_array(x)
            if x.ndim:
                sized = own if sized is None else promote_types(sized, own)
            else:
                scalar = own if scalar is None else promote_types(scalar, own)
        else:
            own = bool_ if isinstance(x, bool) else int64 if isinstance(x, int) else _default
            number = own if number is None else promote_types(number, own)
    result = sized
    for other in (scalar, number):
        if other is not None and (result is None or category(other) > category(result)):
            result = other
    assert result is not None
    return result


def can_cast(source: Any, target: Any) -> bool:
    """True if an in-place operation may store `source` values in a `target` tensor."""
    return category(of(source)) <= category(of(target))
