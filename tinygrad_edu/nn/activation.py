"""Activation layers: each calls its function."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.creation import full
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn.functional.checks import SizeError
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.parameter import Parameter
from tinygrad_edu.tensor import Tensor


class _InPlace(Module):
    """An activation with no option but `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """`inplace=True`, or nothing."""
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """max(0, x)."""

    def forward(self, input: Tensor) -> Tensor:
        """max(0, x)."""
        return F.relu(input, self.inplace)


class SELU(_InPlace):
    """scale · elu(x, alpha) with the constants that keep mean 0 and variance 1."""

    def forward(self, input: Tensor) -> Tensor:
        """scale · elu(x, alpha)."""
        return F.selu(input, self.inplace)


class SiLU(_InPlace):
    """x σ(x), also called swish."""

    def forward(self, input: Tensor) -> Tensor:
        """x σ(x)."""
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """x tanh(softplus(x))."""

    def forward(self, input: Tensor) -> Tensor:
        """x tanh(softplus(x))."""
        return F.mish(input, self.inplace)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope · x."""

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        """x where x > 0, else negative_slope · x."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """The options, as PyTorch prints them."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """x where x > 0, else weight · x, the slopes being learned: one, or one per channel."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), float(init), device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        """x where x > 0, else weight · x."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The number of slopes, as PyTorch prints it."""
        return f"num_parameters={self.num_parameters}"


class ELU(Module):
    """x where x > 0, else alpha (eˣ − 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        """x where x > 0, else alpha (eˣ − 1)."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """The options, as PyTorch prints them."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """x Φ(x); approximate="tanh" for the approximation with tanh."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """x Φ(x)."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """The option, as PyTorch prints it."""
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """1/beta log(1 + exp(beta x)); x itself where beta x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        """1/beta log(1 + exp(beta x))."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The options, as PyTorch prints them."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """x limited to [min_val, max_val]."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if min_val >= max_val:
            raise ValueError(f"Hardtanh: max_val {max_val} must be larger than min_val {min_val}")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Tensor) -> Tensor:
        """x limited to [min_val, max_val]."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """The options, as PyTorch prints them."""
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """x limited to [0, 6]."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """`inplace=True`, or nothing."""
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def forward(self, input: Tensor) -> Tensor:
        """1 / (1 + e⁻ˣ)."""
        return F.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        """The hyperbolic tangent."""
        return F.tanh(input)


class LogSigmoid(Module):
    """log σ(x), without overflow."""

    def forward(self, input: Tensor) -> Tensor:
        """log σ(x)."""
        return F.logsigmoid(input)


class Softmax(Module):
    """exp(xᵢ) / Σⱼ exp(xⱼ) along `dim`."""

    _draws_box = False  # the function draws one

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """exp(xᵢ) / Σⱼ exp(xⱼ)."""
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        """The dim, as PyTorch prints it."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """log softmax(x) along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """log softmax(x)."""
        return F.log_softmax(input, self.dim)


class Softmin(Softmax):
    """softmax(−x) along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """softmax(−x)."""
        return F.softmin(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels of each place of images (n, c, h, w) or (c, h, w)."""

    _draws_box = False

    def forward(self, input: Tensor) -> Tensor:
        """exp(xᵢ) / Σⱼ exp(xⱼ) over the channels."""
        if input.ndim not in (3, 4):
            raise SizeError(f"Softmax2d: expected input to be 3D or 4D, (n, c, h, w), got {tuple(input.shape)}")
        return F.softmax(input, -3)
