"""Activations: what stands between two linear layers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import composite, fuses, mode
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions import reductions
from tinygrad_edu.functions.common import check_tensor, plain
from tinygrad_edu.nn.functional.checks import floating
from tinygrad_edu.random import default_generator
from tinygrad_edu.recording import check_writable, rebind
from tinygrad_edu.tensor import Tensor

_p, _where = ops.pointwise, ops.basic.where

# The constants of Klambauer et al. (2017) that keep mean 0 and variance 1.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def in_place(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Store function(x) in the memory of x, which takes on its history; what function saves is a copy of x."""
    check_writable(x, "activation")
    y = function(x.clone())
    np.copyto(x.array, y.array)
    rebind(x, y.node)
    return x


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(0, x); its derivative at 0 is taken as 0."""
    x = check_tensor("relu", input)
    return x.relu_() if inplace else _p.relu(x)


def relu_outside(x: Tensor) -> Tensor:
    """relu, drawn in the box around the present one: it belongs to no layer but to the row of layers."""
    before = mode.scope
    mode.scope = before.parent if before is not None else None
    try:
        return _p.relu(x)
    finally:
        mode.scope = before


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope · x (Maas et al., 2013)."""
    x = floating("leaky_relu", input)
    if inplace:
        return in_place(x, lambda v: leaky_relu(v, negative_slope))
    return _where(x > 0, x, x * negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight · x, with one learned slope, or one per channel (He et al., 2015).

    x (n, c, ...), weight (1,) or (c,)
    """
    x = floating("prelu", input)
    if weight.numel() != 1:
        channels = x.array.shape[1] if x.ndim > 1 else 1
        if weight.array.shape != (channels,):
            raise ShapeError(
                f"prelu: weight must have 1 entry or one per channel ({channels}), got {tuple(weight.shape)} for the "
                f"input {tuple(x.shape)}"
            )
        weight = weight.reshape((1, -1) + (1,) * (x.ndim - 2)) if x.ndim > 2 else weight
    return _where(x > 0, x, x * weight)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (eˣ − 1) (Clevert et al., 2016)."""
    x = floating("elu", input)
    if inplace:
        return in_place(x, lambda v: elu(v, alpha))
    # The branch that `where` drops must stay finite, or its gradient would be 0 · inf = NaN: hence the clamp.
    return _where(x > 0, x, alpha * _p.expm1(x.clamp(max=0.0)))


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale · elu(x, alpha) with the constants that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    x = floating("selu", input)
    return in_place(x, selu) if inplace else SELU_SCALE * elu(x, SELU_ALPHA)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x), Φ the distribution function of the normal distribution (Hendrycks and Gimpel, 2016).

    "none": x/2 (1 + erf(x/√2))        "tanh": x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))
    """
    x = floating("gelu", input)
    if approximate == "none":
        return ops.fused.gelu(x) if fuses(x.array.size) else _gelu(x)
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return x * 0.5 * (_p.tanh(inner) + 1.0)
    raise RuntimeError(f"gelu: approximate argument must be either none or tanh, got {approximate!r}")


def _gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (_p.erf(x * math.sqrt(0.5)) + 1.0)


ops.fused.gelu.composition = _gelu


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x σ(x), also called swish."""
    x = floating("silu", input)
    return in_place(x, silu) if inplace else x * _p.sigmoid(x)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """1/beta log(1 + exp(beta x)), a smooth relu; x itself where beta x > threshold."""
    x = floating("softplus", input)
    scaled = x * beta
    smooth = _p.log1p(_p.exp(scaled.clamp(max=threshold))) / beta
    return _where(scaled > threshold, x, smooth)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x)) (Misra, 2019)."""
    x = floating("mish", input)
    return in_place(x, mish) if inplace else x * _p.tanh(softplus(x))


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]; as in PyTorch the derivative at the bounds themselves is 0 (clamp's is 1)."""
    x = check_tensor("hardtanh", input)
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} cannot be greater than max_val {max_val}")
    if inplace:
        return in_place(x, lambda v: hardtanh(v, min_val, max_val))
    return ops.basic.where((x <= min_val) | (x >= max_val), x.detach().clamp(min_val, max_val), x)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x limited to [0, 6]."""
    return hardtanh(input, 0.0, 6.0, inplace)


def logsigmoid(input: Tensor) -> Tensor:
    """log σ(x) = min(0, x) − log(1 + exp(−|x|)), which neither overflows nor takes the log of 0."""
    x = floating("logsigmoid", input)
    return ops.arithmetic.minimum(x, 0.0) - _p.log1p(_p.exp(-_p.abs(x)))


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)."""
    return _p.sigmoid(check_tensor("sigmoid", input))


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return _p.tanh(check_tensor("tanh", input))


def _implicit_dim(name: str, x: Tensor) -> int:
    """PyTorch's choice for code that does not say which dim; it warns, since the choice is often not the wanted one."""
    dim = 0 if x.ndim in (0, 1, 3) else 1
    warnings.warn(
        f"{name}: Implicit dimension choice has been deprecated; dim={dim} is used. Say which: dim={dim} or dim=-1",
        stacklevel=3,
    )
    return dim


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(xᵢ) / Σⱼ exp(xⱼ) along `dim`: positive and summing to 1."""
    return reductions.softmax(input, _implicit_dim("softmax", input) if dim is None else dim, dtype)


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """log softmax(x) along `dim`, without overflow and without the log of 0."""
    return reductions.log_softmax(input, _implicit_dim("log_softmax", input) if dim is None else dim, dtype)


@composite("softmin")
def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """softmax(−x) along `dim`."""
    return reductions.softmax(-input, _implicit_dim("softmin", input) if dim is None else dim, dtype)


@composite("gumbel softmax")
def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the categorical distribution with these logits that can be differentiated (Jang et al., 2017).

    softmax((logits + g) / tau) along `dim`, g drawn from the Gumbel distribution −log(−log u)
    hard: the value is one-hot at the largest entry, the gradient that of the soft sample.
    """
    z = floating("gumbel_softmax", logits)
    if eps != 1e-10:
        warnings.warn("gumbel_softmax: `eps` parameter is deprecated and has no effect.", stacklevel=3)
    noise = plain(default_generator.numpy.gumbel(size=z.array.shape).astype(z.array.dtype))
    noise.name = "noise"
    soft = reductions.softmax((z + noise) / tau, dim)
    if not hard:
        return soft
    one_hot = np.zeros_like(soft.array)
    np.put_along_axis(one_hot, soft.array.argmax(dim, keepdims=True), 1.0, dim)
    return plain(one_hot) - soft.detach() + soft
