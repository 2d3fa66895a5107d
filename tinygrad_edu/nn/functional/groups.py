"""Normalisation within one sample: over groups of channels, over one channel, over neighbouring channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import plain
from tinygrad_edu.nn.functional.checks import SizeError, floating, same_dtype
from tinygrad_edu.nn.functional.normalization import batch_norm, layer_norm
from tinygrad_edu.tensor import Tensor

_p = ops.pointwise


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-05
) -> Tensor:
    """Normalisation of each sample over groups of channels (Wu and He, 2018).

    x (n, c, ...), weight (c,), bias (c,) -> y of the same shape
        μ, σ² over the c / num_groups channels of a group and all places        y = γ · (x − μ)/√(σ² + ε) + β
    Raises ShapeError unless num_groups divides c.
    """
    x = floating("group_norm", input)
    if x.ndim < 2:
        raise ShapeError(f"group_norm: Expected at least 2 dimensions for input tensor but received {x.ndim}")
    n, channels = x.array.shape[:2]
    if num_groups < 1 or channels % num_groups:
        raise ShapeError(
            f"group_norm: Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(x.shape)} and num_groups={num_groups}"
        )
    per_group = x.array.size // (n * num_groups) if x.array.size else 0
    if per_group == 1 and n == 1:
        raise SizeError(
            f"group_norm: Expected more than 1 value per channel when training, got input size {list(x.shape)}; "
            f"a mean of one value leaves nothing"
        )
    if per_group == 0:
        return _per_channel("group_norm", x, weight, bias)
    x_hat = layer_norm(x.reshape((n * num_groups, per_group)), (per_group,), eps=eps).reshape(x.array.shape)
    return _per_channel("group_norm", x_hat, weight, bias)


def _per_channel(name: str, x_hat: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """γ · x̂ + β with one γ and β for each channel."""
    shape = (1, -1) + (1,) * (x_hat.ndim - 2)
    for what, tensor in (("weight", weight), ("bias", bias)):
        if tensor is None:
            continue
        if tensor.array.shape != x_hat.array.shape[1:2]:
            raise ShapeError(
                f"{name}: Expected {what} to be a vector of size equal to the number of channels in input, but got "
                f"{what} of shape {list(tensor.shape)} and input of shape {list(x_hat.shape)}"
            )
        same_dtype(name, x_hat, tensor, what)
    y = x_hat if weight is None else weight.reshape(shape) * x_hat
    return y if bias is None else y + bias.reshape(shape)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Normalisation of each channel of each sample over its places (Ulyanov, Vedaldi and Lempitsky, 2016).

    x (n, c, l, ...) -> y of the same shape
    use_input_stats: with the sample's own mean and variance, and the running ones move towards their average over the
    batch; otherwise with the running ones.
    """
    x = floating("instance_norm", input)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "instance_norm: Expected running_mean and running_var to be defined when use_input_stats=False"
            )
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    if x.ndim < 3:
        raise ShapeError(f"instance_norm: expected (n, c, l, ...), got {tuple(x.shape)}")
    n, channels, *places = x.array.shape
    if math.prod(places) == 1:
        raise SizeError(
            f"instance_norm: Expected more than 1 spatial element when training, got input size {list(x.shape)}"
        )
    # every channel of every sample is a channel of one larger sample
    flat = x.reshape((1, n * channels, *places))
    running = [None if r is None else r.detach().repeat(n) for r in (running_mean, running_var)]
    x_hat = batch_norm(flat, running[0], running[1], None, None, True, momentum, eps).reshape(x.array.shape)
    for target, moved in zip((running_mean, running_var), running, strict=True):
        if target is not None and moved is not None and n:
            target.detach().copy_(moved.reshape((n, channels)).mean(0))
    return _per_channel("instance_norm", x_hat, weight, bias)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Each sample divided by the root of its mean square over the last dims (Zhang and Sennrich, 2019).

    x (..., *normalized_shape) -> y of the same shape
        x̂ = x · 1/√(mean x² + ε)        y = γ · x̂        (eps None: the dtype's machine epsilon)
    """
    x = floating("rms_norm", input)
    last = tuple(normalized_shape)
    if not last or x.array.shape[-len(last) :] != last:
        raise ShapeError(
            f"rms_norm: Given normalized_shape={list(last)}, expected input with shape [*, "
            f"{', '.join(map(str, last))}], but got input of size {list(x.shape)}"
        )
    if weight is not None and weight.array.shape != last:
        raise ShapeError(f"rms_norm: weight must be {last}, got {tuple(weight.shape)}")
    smallest = float(np.finfo(x.array.dtype).eps) if eps is None else eps
    dims = tuple(range(x.ndim - len(last), x.ndim))
    x_hat = x * _p.rsqrt(_p.square(x).mean(dims, keepdim=True) + smallest)
    if mode.grad:
        x_hat.name = "x̂"
    return x_hat if weight is None else weight * x_hat


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Each entry divided by the activity of `size` neighbouring channels (Krizhevsky et al., 2012, section 3.3).

    x (n, c, ...) -> y = x / (k + alpha/size · Σ x²)^beta, the sum over channels c − ⌊size/2⌋ to c + ⌊(size − 1)/2⌋
    """
    x = floating("local_response_norm", input)
    if x.ndim < 3:
        raise SizeError(
            f"local_response_norm: Expected 3D or higher dimensionality input (got {x.ndim} dimensions): (n, c, ...)"
        )
    channels = x.array.shape[1]
    apart = np.arange(channels) - np.arange(channels)[:, None]  # [c, j]: how far channel j lies from c
    neighbours = plain(((apart >= -(size // 2)) & (apart <= (size - 1) // 2)).astype(x.array.dtype))
    squares = _p.square(x).reshape((*x.array.shape[:2], math.prod(x.array.shape[2:])))
    activity = (neighbours @ squares).reshape(x.array.shape) * (alpha / size)
    return x / (k + activity) ** beta
