"""Reads the pickles that CIFAR-10 is published in, without running anything that a pickle asks for.

A pickle is a program: it can name any function and call it. This reader resolves four names only, and each to a
stand-in of ours that merely notes its arguments; no code of NumPy's or of anyone else runs while it reads. The notes
are then checked and turned into arrays of numbers.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygrad_edu.errors import DataError


class _Dtype:
    """Stands for numpy.dtype(name, align, copy)."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = _text(name)
        self.order = "|"

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1])

    def numpy(self) -> np.dtype[Any]:
        if self.name not in ("u1", "i1", "i2", "i4", "i8", "u2", "u4", "u8", "f4", "f8"):
            raise ValueError(f"an array of {self.name!r}, which is no plain number")
        return np.dtype(f"{self.order if self.order in ('<', '>') else '='}{self.name}")


class _Array:
    """Stands for a numpy.ndarray, and for the function that makes an empty one to be filled in."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def numpy(self) -> npt.NDArray[Any]:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise ValueError("an array without its content")
        _, shape, dtype, fortran, content = self.state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise ValueError("an array whose content is no bytes of numbers")
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"an array of shape {shape!r}")
        kind = dtype.numpy()
        if math.prod(shape) * kind.itemsize != len(content):
            raise ValueError(f"an array of shape {shape} and {kind} with {len(content)} bytes")
        return np.frombuffer(content, kind).reshape(shape, order="F" if fortran else "C")


class _Encode:
    """Stands for codecs.encode: how Python 3 writes bytes into an old pickle protocol."""

    def __new__(cls, text: Any, encoding: Any = "latin1") -> Any:
        if not isinstance(text, str) or _text(encoding) != "latin1":
            raise ValueError("codecs.encode with another encoding than latin1")
        return text.encode("latin1")

    def __setstate__(self, state: Any) -> None:
        raise ValueError("codecs.encode has no state")


def _text(value: Any) -> str:
    """Python 2 wrote text as bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


# Classes with __setstate__, not functions: a pickle can set attributes on a function it has named.
_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _STAND_INS[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module_name}.{global_name}, which a file of images has no use for; it may be harmful"
            ) from None


def _plain(value: Any) -> Any:
    """An array, a number, a text, or a flat list of numbers and texts (deeper ones could be built to be endless)."""
    if isinstance(value, _Array):
        return value.numpy()
    if isinstance(value, list) and all(isinstance(part, (int, str, bytes)) for part in value):
        return value
    if isinstance(value, (str, bytes, int)):
        return value
    raise ValueError(f"an object of type {type(value).__name__}")


def load(content: bytes, path: object) -> dict[str, Any]:
    """A pickled dict of arrays of numbers, numbers, texts and flat lists -> that dict; keys become str.

    Raises DataError for anything else.
    """
    try:
        found = _Reader(io.BytesIO(content), encoding="bytes").load()
        if not isinstance(found, dict):
            raise ValueError(f"expected a dict, found {type(found).__name__}")
        return {_text(key): _plain(value) for key, value in found.items()}
    # A broken pickle can raise nearly anything: IndexError, KeyError, ValueError, EOFError, RecursionError, ...
    except Exception as error:
        raise DataError(
            f"{path} is refused: {error or type(error).__name__}. Delete the file and use download=True"
        ) from error
