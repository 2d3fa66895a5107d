"""Transposed convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_edu.creation import empty
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn.conv import _Conv
from tinygrad_edu.nn.parameter import Parameter
from tinygrad_edu.tensor import Tensor


class _ConvTranspose(_Conv):
    """What transposed convolutions over any number of dims share."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {self._get_name()}, got {padding_mode!r}')
        if isinstance(padding, str):
            raise TypeError(f"{self._get_name()}: padding must be numbers, got {padding!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, "zeros", device, dtype
        )
        self._around = self._sizes(padding, "padding")
        self.output_padding = self._sizes(output_padding, "output_padding")
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        self.reset_parameters()

    def _output_padding(self, x: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """The rows and columns more that lead to `output_size`: its last dims count."""
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)
        if len(wanted) not in (self.dims, x.ndim):
            raise ValueError(
                f"{self._get_name()}: for {x.ndim}D input, output_size must have {self.dims} or {x.ndim} elements (got "
                f"{len(wanted)})"
            )
        wanted = wanted[-self.dims :]
        smallest = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                x.array.shape[-self.dims :], self.stride, self._around, self.dilation, self.kernel_size, strict=True
            )
        ]
        largest = [low + s - 1 for low, s in zip(smallest, self.stride, strict=True)]
        if any(not low <= w <= high for low, w, high in zip(smallest, wanted, largest, strict=True)):
            raise ValueError(
                f"{self._get_name()}: requested an output size of {wanted}, but valid sizes range from {smallest} to "
                f"{largest} (for an input of {tuple(x.shape)})"
            )
        return tuple(w - low for w, low in zip(wanted, smallest, strict=True))

    def _check_dims(self, x: Tensor) -> None:
        if x.ndim not in (self.dims + 1, self.dims + 2):
            raise ShapeError(
                f"{self._get_name()}: expected {self.dims + 1}D (unbatched) or {self.dims + 2}D (batched) input, but "
                f"got input of size {tuple(x.shape)}"
            )

    def extra_repr(self) -> str:
        """The options that differ from the defaults, as PyTorch prints them."""
        text = super().extra_repr()
        if self.output_padding == (0,) * self.dims:
            return text
        # PyTorch prints it before groups and bias
        parts = text.split(", groups=")
        head, tail = (parts[0], f", groups={parts[1]}") if len(parts) == 2 else (text, "")
        if not tail and head.endswith(", bias=False"):
            head, tail = head.removesuffix(", bias=False"), ", bias=False"
        return f"{head}, output_padding={self.output_padding}{tail}"


class ConvTranspose2d(_ConvTranspose):
    """Each entry spreads a learned kernel over the output: it grows images as a strided Conv2d shrinks them.

    x (n, c, h, w) or (c, h, w) -> y (n, out, oh, ow) or (out, oh, ow)
        oh = (h − 1) s − 2p + d(kh − 1) + output_padding + 1
    `weight` (c, out / groups, kh, kw), `bias` (out,), drawn as for Conv2d.
    """

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """y = x ∗ᵀ W + b; output_size chooses among the sizes that the stride leaves open."""
        self._check_dims(input)
        more = self._output_padding(input, output_size)
        return F.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )


class ConvTranspose1d(_ConvTranspose):
    """Each entry spreads a learned kernel over the output sequence.

    x (n, c, l) or (c, l) -> y (n, out, ol) or (out, ol); options and initialisation as for ConvTranspose2d
    """

    dims = 1

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """y = x ∗ᵀ W + b; output_size chooses among the sizes that the stride leaves open."""
        self._check_dims(input)
        more = self._output_padding(input, output_size)
        return F.conv_transpose1d(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )
