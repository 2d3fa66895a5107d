"""Linear maps, and layers that only change the shape."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_edu.creation import empty
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn import init
from tinygrad_edu.nn.functional.checks import PaddingIndexError
from tinygrad_edu.nn.functional.layers import affine, check_embedding_options
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.parameter import Parameter
from tinygrad_edu.tensor import Tensor


class Identity(Module):
    """Returns its input; takes and ignores any arguments, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """x itself."""
        return input


class Linear(Module):
    """An affine map.

    x (..., in) -> y (..., out)
        y = x Wᵀ + b        W (out, in) is `weight`, b (out,) is `bias`
    At the start both are drawn from U(−k, k), k = 1/√in.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty((out_features, in_features), device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew: kaiming-uniform with a = √5, which is U(−1/√in, 1/√in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        reset_bias(self.bias, self.weight)

    def forward(self, input: Tensor, *, _relu: bool = False) -> Tensor:
        """y = x Wᵀ + b.  `_relu` is how `Sequential` asks for the ReLU that follows, too."""
        return affine(input, self.weight, self.bias, _relu)

    def picture_detail(self) -> str:
        """Linear(in → out)."""
        return f"Linear({self.in_features} → {self.out_features})"

    def extra_repr(self) -> str:
        """The sizes, as PyTorch prints them."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """A form that is linear in each of two inputs.

    x₁ (..., in1), x₂ (..., in2) -> y (..., out)
        y_k = x₁ᵀ W_k x₂ + b_k        W (out, in1, in2) is `weight`, b (out,) is `bias`
    At the start both are drawn from U(−k, k), k = 1/√in1.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(empty((out_features, in1_features, in2_features), device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew from U(−1/√in1, 1/√in1)."""
        bound = 1 / math.sqrt(self.weight.array.shape[1])
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """y_k = x₁ᵀ W_k x₂ + b_k."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes, as PyTorch prints them."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


def reset_bias(bias: Tensor | None, weight: Tensor) -> None:
    """Draw a bias from U(−k, k), k = 1/√fan_in of its weight."""
    if bias is not None:
        fan_in, _ = init._calculate_fan_in_and_fan_out(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
        init.uniform_(bias, -bound, bound)


class Flatten(Module):
    """The dims from start_dim to end_dim joined into one: (n, c, h, w) -> (n, c·h·w)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The input flattened."""
        if input.ndim == 0 and self.start_dim not in (0, -1):
            raise IndexError(
                f"Flatten: Dimension out of range (expected to be in range of [-1, 0], but got {self.start_dim})"
            )
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The dims, as PyTorch prints them."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dim split into several: Unflatten(1, (c, h, w)) turns (n, c·h·w) into (n, c, h, w)."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise TypeError(f"Unflatten: dim must be an int (named dims are not supported), got {dim!r}")
        if not isinstance(unflattened_size, (tuple, list)) or not all(isinstance(n, int) for n in unflattened_size):
            raise TypeError(f"unflattened_size must be tuple of ints, got {unflattened_size!r}")
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        """The input with one dim split."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The dim and its new sizes, as PyTorch prints them."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Embedding(Module):
    """A table of vectors, one row for each label.

    labels (...) -> (..., embedding_dim)        `weight` (num_embeddings, embedding_dim), drawn from N(0, 1)
    The row `padding_idx` starts at 0 and gets no gradient.  max_norm, scale_grad_by_freq and sparse are not supported.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_embedding_options(max_norm, norm_type, scale_grad_by_freq, sparse)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise PaddingIndexError(
                    f"Padding_idx must be within num_embeddings={num_embeddings}, got {padding_idx}"
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is not None:
            if _weight.array.shape != (num_embeddings, embedding_dim):
                raise ShapeError(
                    f"Embedding: Shape of weight {tuple(_weight.shape)} does not match num_embeddings and "
                    f"embedding_dim {(num_embeddings, embedding_dim)}"
                )
            self.weight = Parameter(_weight, requires_grad=not _freeze)
            return
        self.weight = Parameter(empty((num_embeddings, embedding_dim), device=device, dtype=dtype), not _freeze)
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A table made of given vectors (k, d), not learned if `freeze`."""
        if embeddings.ndim != 2:
            raise ValueError(f"Embeddings parameter is expected to be 2-dimensional, got {tuple(embeddings.shape)}")
        count, size = embeddings.array.shape
        options = (max_norm, norm_type, scale_grad_by_freq, sparse)
        return cls(count, size, padding_idx, *options, _weight=embeddings, _freeze=freeze)

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.array[self.padding_idx] = 0

    def forward(self, input: Tensor) -> Tensor:
        """The rows that the labels name."""
        return F.embedding(input, self.weight, self.padding_idx)

    def picture_detail(self) -> str:
        """Embedding(k × d)."""
        return f"Embedding({self.num_embeddings} × {self.embedding_dim})"

    def extra_repr(self) -> str:
        """The sizes, as PyTorch prints them."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
