"""Layers that put a border around sequences and images."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn.module import Module
from tinygrad_edu.tensor import Tensor


class _Pad(Module):
    """What the padding layers share; padding: one number for every side, or (left, right, top, bottom)."""

    dims = 2
    mode = "constant"
    value: float | None = None

    def __init__(self, padding: Any) -> None:
        super().__init__()
        counts = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * (2 * self.dims)
        if len(counts) != 2 * self.dims:
            raise ValueError(
                f"{self._get_name()}: padding must be an int or {2 * self.dims} of them, (left, right"
                f"{', top, bottom' if self.dims == 2 else ''}), got {padding!r}"
            )
        self.padding = counts

    def forward(self, input: Tensor) -> Tensor:
        """The input with its border."""
        if self.mode != "constant" and input.ndim not in (self.dims + 1, self.dims + 2):
            raise ShapeError(
                f"{self._get_name()}: expected {self.dims + 1}D or {self.dims + 2}D input, got {tuple(input.shape)}"
            )
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """The padding, as PyTorch prints it."""
        return f"{self.padding}"


class ConstantPad2d(_Pad):
    """A border of one value around images (..., h, w)."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The padding and the value, as PyTorch prints them."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(ConstantPad2d):
    """A border of one value around sequences (..., l)."""

    dims = 1


class ZeroPad2d(_Pad):
    """A border of zeros around images (..., h, w)."""

    value = 0.0


class ZeroPad1d(ZeroPad2d):
    """A border of zeros around sequences (..., l)."""

    dims = 1


class ReflectionPad2d(_Pad):
    """A border that mirrors images (n, c, h, w) or (c, h, w), without repeating the edge."""

    mode = "reflect"


class ReflectionPad1d(ReflectionPad2d):
    """A border that mirrors sequences (n, c, l) or (c, l), without repeating the edge."""

    dims = 1


class ReplicationPad2d(_Pad):
    """A border that repeats the edge of images (n, c, h, w) or (c, h, w)."""

    mode = "replicate"


class ReplicationPad1d(ReplicationPad2d):
    """A border that repeats the ends of sequences (n, c, l) or (c, l)."""

    dims = 1


class CircularPad2d(_Pad):
    """A border that continues images (n, c, h, w) or (c, h, w) from the opposite side."""

    mode = "circular"


class CircularPad1d(CircularPad2d):
    """A border that continues sequences (n, c, l) or (c, l) from the opposite end."""

    dims = 1
