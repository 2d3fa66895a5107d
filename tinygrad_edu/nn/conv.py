"""Convolution layers."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

from tinygrad_edu.creation import empty
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn import init
from tinygrad_edu.nn.functional.layers import convolve
from tinygrad_edu.nn.linear import reset_bias
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.parameter import Parameter
from tinygrad_edu.tensor import Tensor

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What convolutions over any number of dims share."""

    dims = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError(f"groups must be a positive integer, got {groups}")
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{what} must be divisible by groups: {channels} is not divisible by {groups}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of 'same', 'valid'")
        if padding_mode not in _MODES:
            raise ValueError(f"padding_mode must be one of {_MODES}, but got padding_mode={padding_mode!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = self._sizes(kernel_size, "kernel_size")
        self.stride = self._sizes(stride, "stride")
        self.padding = padding if isinstance(padding, str) else self._sizes(padding, "padding")
        self.dilation = self._sizes(dilation, "dilation")
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def _sizes(self, value: Any, what: str) -> tuple[int, ...]:
        sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,) * self.dims
        if len(sizes) != self.dims or not all(isinstance(n, Integral) and not isinstance(n, bool) for n in sizes):
            raise TypeError(f"{self._get_name()}: {what} must be an int or {self.dims} ints, got {value!r}")
        return tuple(int(n) for n in sizes)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew: kaiming-uniform with a = √5, which is U(−1/√fan_in, 1/√fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        reset_bias(self.bias, self.weight)

    def _padded(self, x: Tensor) -> tuple[Tensor, Any]:
        """The input with its border for the modes other than zeros, and the padding still to do."""
        if self.padding_mode == "zeros" or self.padding == "valid":
            return x, self.padding
        if self.padding == "same":
            totals = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        else:
            totals = [2 * int(p) for p in self.padding]
        counts = [count for total in reversed(totals) for count in (total // 2, total - total // 2)]
        return F.pad(x, counts, self.padding_mode), 0

    def picture_detail(self) -> str:
        """Conv2d(in → out, 3×3)."""
        window = "×".join(str(k) for k in self.kernel_size)
        return f"{self._get_name()}({self.in_channels} → {self.out_channels}, {window})"

    def extra_repr(self) -> str:
        """The options that differ from the defaults, as PyTorch prints them."""
        parts = [str(self.in_channels), str(self.out_channels)]
        parts += [f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        if self.padding != (0,) * self.dims:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.dims:
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Conv2d(_Conv):
    """Cross-correlation of images with a bank of learned kernels.

    x (n, c, h, w) or (c, h, w) -> y (n, out, oh, ow) or (out, oh, ow), oh = ⌊(h + 2p − d(kh − 1) − 1) / s⌋ + 1
        y = x ∗ W + b        W (out, c / groups, kh, kw) is `weight`, b (out,) is `bias`
    padding: a number, two, "same" or "valid"; padding_mode: "zeros", "reflect", "replicate" or "circular".
    At the start both are drawn from U(−k, k), k = 1/√(c/groups · kh · kw).
    """

    def forward(self, input: Tensor, *, _relu: bool = False) -> Tensor:
        """y = x ∗ W + b.  `_relu` is how `Sequential` asks for the ReLU that follows, too."""
        x, padding = self._padded(input)
        return convolve(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, _relu)


class Conv1d(_Conv):
    """Cross-correlation of sequences with a bank of learned kernels.

    x (n, c, l) or (c, l) -> y (n, out, ol) or (out, ol)
        y = x ∗ W + b        W (out, c / groups, k) is `weight`, b (out,) is `bias`
    Options and initialisation as for Conv2d.
    """

    dims = 1

    def forward(self, input: Tensor) -> Tensor:
        """y = x ∗ W + b."""
        x, padding = self._padded(input)
        return F.conv1d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
