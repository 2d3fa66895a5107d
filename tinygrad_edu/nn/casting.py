"""Conversion of a module's parameters and buffers to another dtype."""

from __future__ import annotations

from typing import Any, TypeVar

from tinygrad_edu import dtypes
from tinygrad_edu.device import check_device
from tinygrad_edu.functions.shaping import to as convert
from tinygrad_edu.nn.contents import Contents
from tinygrad_edu.tensor import Tensor

Self = TypeVar("Self", bound="Casting")


class Casting(Contents):
    """The part of `Module` that converts what it holds, in place."""

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Convert the floating-point parameters and buffers in place: to(dtype), to(device, dtype), to(tensor)."""
        target = kwargs.pop("dtype", None)
        check_device(kwargs.pop("device", None))
        kwargs.pop("non_blocking", None)
        if kwargs:
            raise TypeError(f"to: unexpected arguments {sorted(kwargs)}")
        for a in args:
            if isinstance(a, Tensor):
                target = a.dtype
            elif isinstance(a, dtypes.dtype) or a in (float, int):
                target = a
            elif a is not None and not isinstance(a, bool):
                check_device(a)
        if target is None:
            return self
        new = dtypes.of(target)
        if not new.is_floating_point:
            raise TypeError(f"nn.Module.to only accepts floating point dtypes, but got desired dtype={new!r}")
        done: set[int] = set()
        for module in self.modules():
            for tensor in (*module._parameters.values(), *module._buffers.values()):
                if tensor is None or id(tensor) in done or not tensor.is_floating_point():
                    continue
                done.add(id(tensor))
                tensor.data = convert(tensor.data, new)
                if tensor.grad is not None:
                    tensor.grad = convert(tensor.grad.data, new)
        return self

    def float(self: Self) -> Self:
        """Convert to float32, in place."""
        return self.to(dtypes.float32)

    def double(self: Self) -> Self:
        """Convert to float64, in place."""
        return self.to(dtypes.float64)

    def type(self: Self, dst_type: Any) -> Self:
        """Convert to a floating-point dtype, in place."""
        return self.to(dst_type)

    def half(self: Self) -> Self:
        """Raises NotImplementedError: there is no float16."""
        raise NotImplementedError("half: float16 is not supported; use .float() or .double()")

    def bfloat16(self: Self) -> Self:
        """Raises NotImplementedError: there is no bfloat16."""
        raise NotImplementedError("bfloat16: bfloat16 is not supported; use .float() or .double()")

    def cpu(self: Self) -> Self:
        """The module itself: there is one device."""
        return self

    def cuda(self: Self, device: Any = None) -> Self:
        """Raises RuntimeError: there is no GPU; `if cuda.is_available()` keeps code from asking."""
        check_device("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)
        return self
