"""Normalisation, written as compositions of primitive ops with the textbook's names; and dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_edu import kernels, ops
from tinygrad_edu.autograd import versions
from tinygrad_edu.autograd.modes import fuses, mode, scope
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import plain
from tinygrad_edu.nn.functional.activation import relu_outside
from tinygrad_edu.nn.functional.checks import SizeError, floating, same_dtype
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.tensor import Tensor

_square, _sqrt, _reciprocal = ops.pointwise.square, ops.pointwise.sqrt, ops.pointwise.reciprocal


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Batch normalisation of each channel (Ioffe and Szegedy, 2015, Algorithm 1).

    x (n, c) or (n, c, ...) -> y of the same shape; the sums run over all dims but c, N entries each
        μ   = 1/N Σ x                    σ² = 1/N Σ (x − μ)²
        x̂   = (x − μ) · 1/√(σ² + ε)      y  = γ · x̂ + β        (γ is `weight`, β is `bias`)
    In training μ and σ² are the batch's, and the running statistics move towards them by `momentum`, the variance
    unbiased, N/(N − 1) σ²; otherwise they are the running ones.
    This composition is the definition; for more than 1,024 entries a fused kernel stands for it.
    Raises SizeError (a ShapeError and ValueError) for one entry per channel in training.
    """
    return normalize_batch(input, running_mean, running_var, weight, bias, training, momentum, eps, relu=False)


def normalize_batch(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    relu: bool,
) -> Tensor:
    """`batch_norm`, and then the ReLU that follows it in a `Sequential`: in one kernel where both are fused."""
    x = floating("batch_norm", input)
    _check_channels(x, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: Expected running_mean and running_var to be defined when training=False")
        y = _by_running_statistics(x, running_mean.detach(), running_var.detach(), weight, bias, eps)
        return relu_outside(y) if relu else y
    count = x.array.size // x.array.shape[1] if x.array.size else 0
    if count == 1:
        raise SizeError(
            f"batch_norm: Expected more than 1 value per channel when training, got input size {list(x.shape)}; "
            f"use a larger batch (drop_last=True in the DataLoader), or .eval()"
        )
    if fuses(x.array.size):
        y = ops.fused.batch_norm(x, weight, bias, eps=eps, positive=relu)
        mean, _, variance, _ = y.__dict__.pop("_extras")
    else:
        y, mu, var = _by_batch_statistics(x, weight, bias, eps)
        mean, variance = mu.array, var.array
        y = relu_outside(y) if relu else y
    if count:
        _move(running_mean, mean, momentum, 1.0)
        _move(running_var, variance, momentum, count / (count - 1))
    return y


def _by_batch_statistics(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """y, μ and σ², line by line as in the paper."""
    dims = (0, *range(2, x.ndim))
    statistics = scope("batch statistics")  # the box that pictures draw
    with statistics:
        mu = x.mean(dims, keepdim=True)
    centred = x - mu
    with statistics:
        var = _square(centred).mean(dims, keepdim=True)
        inv_std = _reciprocal(_sqrt(var + eps))
    x_hat = centred * inv_std
    if mode.grad:
        mu.name, var.name, x_hat.name = "μ", "σ²", "x̂"
    return _scaled(x_hat, weight, bias), mu, var


def _replayed(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, positive: bool) -> Tensor:
    y = _by_batch_statistics(x, weight, bias, eps)[0]
    return relu_outside(y) if positive else y


ops.fused.batch_norm.composition = _replayed


def _by_running_statistics(
    x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    if not mode.grad and fuses(x.array.size):
        gamma, beta = (None if p is None else p.array for p in (weight, bias))
        return plain(kernels.batch_norm_eval(x.array, mean.array, variance.array, gamma, beta, eps))
    per_channel = (1, -1) + (1,) * (x.ndim - 2)
    mu, var = mean.reshape(per_channel), variance.reshape(per_channel)
    mu.name = "μ"
    centred = x - mu
    with scope("running statistics"):
        inv_std = _reciprocal(_sqrt(var + eps))
    x_hat = centred * inv_std
    if mode.grad:
        var.name, x_hat.name, inv_std.name = "σ²", "x̂", "1/√(σ² + ε)"
    return _scaled(x_hat, weight, bias)


def _scaled(x_hat: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """y = γ · x̂ + β, either left out when None."""
    per_channel = (1, -1) + (1,) * (x_hat.ndim - 2)
    y = x_hat if weight is None else _shaped(weight, per_channel) * x_hat
    return y if bias is None else y + _shaped(bias, per_channel)


def _shaped(parameter: Tensor, per_channel: tuple[int, ...]) -> Tensor:
    """γ and β beside the channels; for (n, c) they are that already."""
    return parameter if len(per_channel) == 2 else parameter.reshape(per_channel)


def _check_channels(x: Tensor, **tensors: Tensor | None) -> None:
    if x.ndim < 2:
        raise SizeError(f"batch_norm: expected at least 2 dims (n, c, ...), got {tuple(x.shape)}")
    channels = x.array.shape[1]
    for what, tensor in tensors.items():
        if tensor is None:
            continue
        if tensor.array.shape != (channels,):
            raise ShapeError(
                f"batch_norm: the input {tuple(x.shape)} has {channels} channels, but {what} is {tuple(tensor.shape)}; "
                f"num_features must be {channels} ({what} should contain {channels} elements not {tensor.numel()})"
            )
        same_dtype("batch_norm", x, tensor, what)


def _move(running: Tensor | None, batch: Array, momentum: float, factor: float) -> None:
    """running = (1 − momentum) · running + momentum · factor · batch, in place."""
    if running is None:
        return
    statistic = batch.reshape(running.array.shape)
    with np.errstate(all="ignore"):  # what is not finite shows in the result
        running.array *= 1 - momentum
        running.array += (momentum * factor) * statistic
    versions.bump(running.array)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """Normalisation of each sample over its last dims (Ba, Kiros and Hinton, 2016).

    x (..., *normalized_shape) -> y of the same shape
        μ = mean x        σ² = mean (x − μ)²        x̂ = (x − μ) · 1/√(σ² + ε)        y = γ · x̂ + β
    This composition is the definition; for more than 1,024 entries a fused kernel stands for it.
    """
    x = floating("layer_norm", input)
    last = tuple(normalized_shape)
    if not last or x.array.shape[-len(last) :] != last:
        raise ShapeError(
            f"layer_norm: Given normalized_shape={list(last)}, expected input with shape "
            f"[*, {', '.join(map(str, last))}], but got input of size {list(x.shape)}"
        )
    for what, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.array.shape != last:
            raise ShapeError(f"layer_norm: {what} must be {last}, got {tuple(tensor.shape)}")
    if fuses(x.array.size):
        rows = x.reshape((-1, math.prod(last)))
        flat = [None if p is None else p.reshape(-1) for p in (weight, bias)]
        return ops.fused.layer_norm(rows, *flat, eps=eps).reshape(x.array.shape)
    return _layer_norm(x, weight, bias, eps, len(last))


def _layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, last: int = 1) -> Tensor:
    """The composition, over the last dims."""
    dims = tuple(range(x.ndim - last, x.ndim))
    mu = x.mean(dims, keepdim=True)
    centred = x - mu
    var = _square(centred).mean(dims, keepdim=True)
    x_hat = centred * _reciprocal(_sqrt(var + eps))
    if mode.grad:
        mu.name, var.name, x_hat.name = "μ", "σ²", "x̂"
    y = x_hat if weight is None else weight * x_hat
    return y if bias is None else y + bias


ops.fused.layer_norm.composition = _layer_norm
