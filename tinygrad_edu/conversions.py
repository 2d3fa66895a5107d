"""How a tensor behaves in the rest of Python: as a number, a container, a NumPy array, and in print."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import wrap


class Conversions:
    """The part of `Tensor` that leads out of the engine; nothing here records."""

    __slots__ = ()

    array: Array
    requires_grad: Any

    def numpy(self, *, force: bool = False) -> Array:
        """The array itself, sharing memory."""
        if self.requires_grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        """Hand the memory to another library, uncopied; BufferError for a tensor that requires grad."""
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        if stream is not None and not isinstance(stream, int):
            raise TypeError("stream must be ``int`` or ``none``")
        if stream not in (None, -1):
            raise AssertionError("stream should be None on cpu.")
        array: Any = self.array
        return array.__dlpack__(max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's number for the CPU, and which one."""
        array: Any = self.array
        return tuple(int(i) for i in array.__dlpack_device__())  # type: ignore[return-value]

    def __array_wrap__(self, array: Array, context: Any = None, return_scalar: bool = False) -> Any:
        """What a NumPy function of a tensor returns: np.sin(x) is a tensor again, without history."""
        return wrap(np.asarray(array)) if dtypes.has(array.dtype) else array

    def item(self) -> Any:
        """The one entry as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(
                f"item: a Tensor with {self.array.size} elements (shape {self.array.shape}) cannot be converted to "
                f"Scalar; reduce or index it to one entry, or use tolist()"
            )
        return self.array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers (one number for a 0-d tensor)."""
        return self.array.tolist()

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with {'no values' if self.array.size == 0 else 'more than one value'} is "
                f"ambiguous (shape {self.array.shape}); use .any() or .all()"
            )
        return bool(self.array.item())

    def __float__(self) -> float:
        return float(self._only("float"))

    def __int__(self) -> int:
        return int(self._only("int"))

    def _only(self, name: str) -> Any:
        if self.array.size != 1:
            raise ValueError(
                f"{name}: only one element tensors can be converted to Python scalars, not one of shape "
                f"{self.array.shape}; reduce or index it first, or use tolist()"
            )
        return self.array.item()

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iu" or self.array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.array.item())

    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return int(self.array.shape[0])

    def __iter__(self) -> Iterator[Any]:
        if self.array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        rows: Any = self
        return (rows[i] for i in range(self.array.shape[0]))

    def __reversed__(self) -> Any:
        tensor: Any = self
        return tensor.flip(0) if self.array.ndim else tensor

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, (Conversions, numbers.Number, np.bool_)):
            raise RuntimeError(f"in: only a Tensor or a number can be looked for, got {type(value).__name__}")
        other = value.array if isinstance(value, Conversions) else value
        return bool(np.any(self.array == other))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        from tinygrad_edu.printing import represent

        tensor: Any = self
        return represent(tensor)

    def __format__(self, spec: str) -> str:
        if self.array.ndim == 0:
            return format(self.array.item(), spec)
        if spec:
            raise TypeError(
                f"format: {spec!r} formats one number, but the tensor has shape {self.array.shape}; "
                f"use item() or tolist()"
            )
        return repr(self)
