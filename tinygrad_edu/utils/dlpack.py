"""Sharing memory with other libraries by DLPack, https://dmlc.github.io/dlpack: nothing is copied.

x = from_dlpack(torch_tensor)          y = torch.from_dlpack(x)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.device import check_device
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor

__all__ = ["from_dlpack", "to_dlpack"]

CPU = (1, 0)  # DLPack's number for the kind of device, and which one


class _Writable:
    """An array that NumPy holds read-only, because the older interface says nothing about it, for writing."""

    def __init__(self, array: Array) -> None:
        self._array = array  # which keeps the memory alive
        interface = dict(array.__array_interface__)
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


class _Capsule:
    """What an older interface hands over, a bare capsule, in the form that NumPy takes."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's tensor; a change of one is a change of the other.

    ext_tensor: anything with __dlpack__, or a capsule.  device: None or "cpu".  copy: True copies.
    Raises BufferError for memory that is not on the CPU, DTypeError for a type that is not supported, TypeError.
    """
    check_device(device)
    older = type(ext_tensor).__name__ == "PyCapsule" and "versioned" not in repr(ext_tensor)
    if type(ext_tensor).__name__ == "PyCapsule":
        ext_tensor = _Capsule(ext_tensor)
    elif not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(
            f"from_dlpack: {type(ext_tensor).__name__} has no __dlpack__; it takes a tensor of another library or a "
            f"DLPack capsule"
        )
    if tuple(int(i) for i in ext_tensor.__dlpack_device__()) != CPU:
        raise BufferError("from_dlpack: the tensor is not on the CPU; move it there first, with .cpu()")
    array = np.from_dlpack(ext_tensor)
    dtypes.of(array.dtype)
    if older:
        array = np.asarray(_Writable(array))
    return wrap(array.copy() if copy else array)


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule on the tensor's memory, which can be taken once."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"to_dlpack: expected a Tensor, got {type(tensor).__name__}")
    return tensor.__dlpack__()
