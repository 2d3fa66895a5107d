"""Names of PyTorch's early days that teaching code still uses: FloatTensor(...), x.type(), Variable, finfo, iinfo."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.device import check_device
from tinygrad_edu.functions.common import plain
from tinygrad_edu.tensor import Tensor


class TensorType(type):
    """The class of FloatTensor and its kin: calling one makes a tensor, isinstance asks for the dtype."""

    dtype: dtypes.dtype

    def __call__(cls, *data: Any, device: Any = None) -> Tensor:
        """FloatTensor([1, 2]) from numbers, FloatTensor(2, 3) of a shape, whose entries are not set."""
        check_device(device)
        if len(data) == 1 and isinstance(data[0], Tensor):
            return data[0].to(cls.dtype)
        if len(data) == 1 and not isinstance(data[0], (int, np.integer)):
            return plain(np.array(data[0], cls.dtype.dtype))
        return plain(np.empty(tuple(data) if data else (0,), cls.dtype.dtype))

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype


def _tensor_type(name: str, kind: dtypes.dtype) -> TensorType:
    doc = f"Tensors of dtype {kind.name}; `tensor(data, dtype=...)` is the modern way to make one."
    return TensorType(name, (), {"dtype": kind, "__doc__": doc, "__module__": "tinygrad_edu"})


FloatTensor = _tensor_type("FloatTensor", dtypes.float32)
DoubleTensor = _tensor_type("DoubleTensor", dtypes.float64)
LongTensor = _tensor_type("LongTensor", dtypes.int64)
IntTensor = _tensor_type("IntTensor", dtypes.int32)
ByteTensor = _tensor_type("ByteTensor", dtypes.uint8)
BoolTensor = _tensor_type("BoolTensor", dtypes.bool_)

_TYPES = {t.__name__: t for t in (FloatTensor, DoubleTensor, LongTensor, IntTensor, ByteTensor, BoolTensor)}


def tensor_type(x: Tensor, dtype: Any = None) -> Any:
    """x.type(): the name of the tensor's type.  x.type(dtype): x as a dtype, a type or the name of one."""
    if dtype is None:
        return next(f"tinygrad_edu.{name}" for name, kind in _TYPES.items() if kind.dtype is x.dtype)
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2]
        if name not in _TYPES:
            raise ValueError(f"type: invalid type: {dtype!r}; use one of {', '.join(_TYPES)}, or x.to(dtype)")
        dtype = _TYPES[name]
    return x.to(dtype.dtype if isinstance(dtype, TensorType) else dtype)


def tensor_new(x: Tensor, *data: Any) -> Tensor:
    """x.new(2, 3): an unset tensor of the dtype of x; x.new([1, 2]): from numbers.  See new_empty and new_tensor."""
    return next(kind for kind in _TYPES.values() if kind.dtype is x.dtype)(*data)


class _AnyTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_AnyTensor):
    """Variable(x, requires_grad=False): a leaf that shares the memory of x, as before PyTorch 0.4; every tensor is one.

    `x.detach().requires_grad_()` is the modern way.  Raises TypeError unless x is a Tensor.
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable: data has to be a tensor, but got {type(data).__name__}; use tensor(data)")
        return data.detach().requires_grad_(requires_grad)


class finfo:
    """The limits of a floating-point dtype (the default dtype if left out): max, min, eps, tiny, resolution, bits."""

    def __init__(self, type: Any = None) -> None:
        kind = dtypes.get_default_dtype() if type is None else dtypes.of(type)
        if not kind.is_floating_point:
            raise TypeError(f"finfo: requires a floating-point dtype, got {kind!r}; use iinfo")
        limits = np.finfo(kind.dtype)
        self.dtype, self.bits = kind.name, kind.itemsize * 8
        self.min, self.max, self.eps = float(limits.min), float(limits.max), float(limits.eps)
        self.tiny = self.smallest_normal = float(limits.tiny)
        self.resolution = float(limits.resolution)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """The limits of an integer dtype: max, min and bits."""

    def __init__(self, type: Any) -> None:
        kind = dtypes.of(type)
        if kind.is_floating_point or kind is dtypes.bool_:
            raise TypeError(f"iinfo: requires an integer dtype, got {kind!r}; use finfo")
        limits = np.iinfo(kind.dtype)
        self.dtype, self.bits = kind.name, kind.itemsize * 8
        self.min, self.max = int(limits.min), int(limits.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
