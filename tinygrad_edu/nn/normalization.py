"""Normalisation layers."""

from __future__ import annotations

import numbers
from typing import Any

from tinygrad_edu.autograd import versions
from tinygrad_edu.creation import empty, ones, zeros
from tinygrad_edu.dtypes import int64
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn import init
from tinygrad_edu.nn.functional.checks import SizeError
from tinygrad_edu.nn.functional.normalization import normalize_batch
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.parameter import Parameter
from tinygrad_edu.tensor import Tensor


class _Affine(Module):
    """What normalisations share: γ, which is `weight`, and β, `bias`, either of which may be left out."""

    def _register_affine(self, shape: Any, affine: bool, bias: bool, device: Any, dtype: Any) -> None:
        for name, letter, wanted in (("weight", "γ", affine), ("bias", "β", affine and bias)):
            parameter = Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None
            if parameter is not None:
                parameter.name = letter  # the paper's letters, for pictures
            self.register_parameter(name, parameter)

    def reset_parameters(self) -> None:
        """γ = 1, β = 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _BatchNorm(_Affine):
    """What batch normalisation of any number of dims shares."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    allowed: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        options = {"device": device, "dtype": dtype}
        self._register_affine(num_features, affine, bias, device, dtype)
        self.register_buffer("running_mean", zeros(num_features, **options) if track_running_stats else None)
        self.register_buffer("running_var", ones(num_features, **options) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype=int64) if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches seen: mean 0, variance 1, none counted."""
        for buffer, start in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if buffer is not None:
                init.constant_(buffer, start)

    def reset_parameters(self) -> None:
        """γ = 1, β = 0, and the running statistics forgotten."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_input(self, x: Tensor) -> None:
        if x.ndim not in self.allowed:
            wanted = " or ".join(f"{n}D" for n in self.allowed)
            raise SizeError(f"{self.picture_detail()}: expected {wanted} input (got {x.ndim}D input {tuple(x.shape)})")
        if x.array.shape[1] != self.num_features:
            raise ShapeError(
                f"{self.picture_detail()}: input is {tuple(x.shape)}; its dim 1 must be num_features="
                f"{self.num_features} (running_mean should contain {x.array.shape[1]} elements not {self.num_features})"
            )

    def forward(self, input: Tensor, *, _relu: bool = False) -> Tensor:
        """y = γ · x̂ + β: the steps are in `functional.batch_norm`.  `_relu`: with the ReLU that follows."""
        self._check_input(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.array += 1
            versions.bump(self.num_batches_tracked.array)
            if self.momentum is None:  # a cumulative average: each batch counts the same
                momentum = 1.0 / int(self.num_batches_tracked.array)
        tracks = not self.training or self.track_running_stats
        return normalize_batch(
            input,
            self.running_mean if tracks else None,
            self.running_var if tracks else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None or self.running_var is None,
            momentum,
            self.eps,
            _relu,
        )

    def picture_detail(self) -> str:
        """BatchNorm2d(16)."""
        return f"{self._get_name()}({self.num_features})"

    def extra_repr(self) -> str:
        """The options, as PyTorch prints them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of each feature over the batch (Ioffe and Szegedy, 2015, Algorithm 1).

    x (n, c) or (n, c, l) -> y of the same shape
        μ  = 1/N Σ x                     σ² = 1/N Σ (x − μ)²
        x̂  = (x − μ) · 1/√(σ² + ε)       y  = γ · x̂ + β       (γ (c,) is `weight`, β (c,) is `bias`)
    Evaluation uses the running mean and variance, which move by `momentum` towards each training batch's (momentum
    None: their plain average).
    """

    allowed = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of each channel over the batch and the image (Ioffe and Szegedy, 2015).

    x (n, c, h, w) -> y of the same shape; formulas and options as for BatchNorm1d
    """

    allowed = (4,)


class LayerNorm(_Affine):
    """Normalisation of each sample over its last dims (Ba, Kiros and Hinton, 2016).

    x (..., *normalized_shape) -> y of the same shape
        μ = mean x        σ² = mean (x − μ)²        y = γ · (x − μ)/√(σ² + ε) + β
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, numbers.Integral) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = sizes, eps, elementwise_affine
        self._register_affine(sizes, elementwise_affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """y = γ · x̂ + β: the steps are in `functional.layer_norm`."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options, as PyTorch prints them."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )
