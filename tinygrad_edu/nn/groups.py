"""Normalisation layers that look at one sample only."""

from __future__ import annotations

import numbers
from typing import Any

from tinygrad_edu.creation import empty
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn import init
from tinygrad_edu.nn.functional.checks import SizeError
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.normalization import _Affine, _BatchNorm
from tinygrad_edu.nn.parameter import Parameter
from tinygrad_edu.tensor import Tensor


class GroupNorm(_Affine):
    """Normalisation of each sample over groups of channels (Wu and He, 2018).

    x (n, c, ...) -> y of the same shape
        μ, σ² over a group        y = γ · (x − μ)/√(σ² + ε) + β        (γ (c,) is `weight`, β (c,) is `bias`)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._register_affine(num_channels, affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """y = γ · x̂ + β: the steps are in `functional.group_norm`."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def picture_detail(self) -> str:
        """GroupNorm(4, 16)."""
        return f"{self._get_name()}({self.num_groups}, {self.num_channels})"

    def extra_repr(self) -> str:
        """The options, as PyTorch prints them."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class _InstanceNorm(_BatchNorm):
    """What instance normalisation of any number of dims shares."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _check_input(self, x: Tensor) -> None:
        if x.ndim not in self.allowed:
            wanted = " or ".join(f"{n}D" for n in self.allowed)
            raise SizeError(f"{self.picture_detail()}: expected {wanted} input (got {x.ndim}D input {tuple(x.shape)})")
        channels = x.array.shape[0 if x.ndim == self.allowed[0] else 1]
        if channels != self.num_features and (self.affine or self.track_running_stats):
            raise SizeError(
                f"{self.picture_detail()}: expected input's channel size to match num_features ({self.num_features}), "
                f"but got {channels} in {tuple(x.shape)}"
            )

    def forward(self, input: Tensor, *, _relu: bool = False) -> Tensor:
        """y = γ · x̂ + β: the steps are in `functional.instance_norm`."""
        self._check_input(input)
        batched = input.ndim == self.allowed[1]
        x = input if batched else input.unsqueeze(0)
        y = F.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,  # PyTorch counts no batches here: momentum None keeps the statistics as they are
            self.eps,
        )
        return y if batched else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Normalisation of each channel of each sequence (Ulyanov, Vedaldi and Lempitsky, 2016).

    x (n, c, l) or (c, l) -> y of the same shape
        μ, σ² over the places of one channel        y = γ · (x − μ)/√(σ² + ε) + β    (γ, β with affine=True)
    """

    allowed = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalisation of each channel of each image (Ulyanov, Vedaldi and Lempitsky, 2016).

    x (n, c, h, w) or (c, h, w) -> y of the same shape; formulas and options as for InstanceNorm1d
    """

    allowed = (3, 4)


class RMSNorm(Module):
    """Each sample divided by the root of its mean square over the last dims (Zhang and Sennrich, 2019).

    x (..., *normalized_shape) -> y = γ · x / √(mean x² + ε); eps None: the dtype's machine epsilon
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, numbers.Integral) else tuple(normalized_shape)
        if not sizes:
            raise ShapeError("RMSNorm: normalized_shape must name at least one dim")
        self.normalized_shape, self.eps, self.elementwise_affine = sizes, eps, elementwise_affine
        weight = Parameter(empty(sizes, device=device, dtype=dtype)) if elementwise_affine else None
        if weight is not None:
            weight.name = "γ"
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """γ = 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """y = γ · x̂: the steps are in `functional.rms_norm`."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The options, as PyTorch prints them."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """Each entry divided by the activity of `size` neighbouring channels (Krizhevsky et al., 2012)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """y = x / (k + alpha/size · Σ x²)^beta."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The options, as PyTorch prints them."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
