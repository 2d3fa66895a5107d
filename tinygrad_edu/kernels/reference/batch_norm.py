"""Batch normalisation (Ioffe and Szegedy, 2015, Algorithm 1) of each channel of x (n, c, ...), in float64 inside."""

from __future__ import annotations

import math

import numpy as np

from ..quiet import Array, silent


def _dims(x: Array) -> tuple[int, ...]:
    """All dims but that of the channels."""
    return (0, *range(2, x.ndim))


def _along(values: Array, x: Array) -> Array:
    """values (c,) so that they broadcast over x (n, c, ...), in float64."""
    return np.asarray(values, np.float64).reshape(-1, *(1 for _ in range(2, x.ndim)))


def _scaled(x_hat: Array, weight: Array | None, bias: Array | None, x: Array) -> Array:
    y = x_hat if weight is None else x_hat * _along(weight, x)
    return np.asarray(y if bias is None else y + _along(bias, x), x.dtype)


@silent
def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float, positive: bool
) -> tuple[Array, Array, Array, Array, Array]:
    """y = (x - mean) / sqrt(var + eps) * weight + bias of each channel, mean, 1 / sqrt(var + eps), var, and shift.

    positive: max(0, y) in place of y. shift: y = (x - mean) * inv_std * weight + shift, as the mean is rounded.
    """
    count = np.float64(x.size // x.shape[1]) if x.shape[1] else np.float64(0)
    mean = np.add.reduce(x, axis=_dims(x), dtype=np.float64) / count
    centered = x - _along(mean, x)
    var = np.add.reduce(centered * centered, axis=_dims(x)) / count
    inv_std = 1 / np.sqrt(var + eps)
    y = _scaled(centered * _along(inv_std, x), weight, bias, x)
    if positive:
        np.maximum(y, 0, out=y)
    rounded = mean.astype(x.dtype)
    shift = (0 if bias is None else bias) - (mean - rounded) * inv_std * (1 if weight is None else weight)
    return y, rounded, inv_std.astype(x.dtype), var.astype(x.dtype), shift.astype(x.dtype)


@silent
def batch_norm_backward(
    grad: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array, shift: Array | None
) -> tuple[Array, Array, Array]:
    """Gradients of x, of weight and of bias; where shift is given, of max(0, y).

    With x_hat = (x - mean) * inv_std and means over each channel,
    dx = weight * inv_std * (grad - mean(grad) - x_hat * mean(grad * x_hat)).
    """
    count = math.prod(x.shape[dim] for dim in _dims(x))
    centered = x - _along(mean, x)
    if shift is not None:
        grad = np.where(_scaled(centered * _along(inv_std, x), weight, shift, x) <= 0, np.zeros_like(grad), grad)
    if count:  # the mean came rounded to x's dtype
        centered -= _along(np.add.reduce(centered, axis=_dims(x)) / count, x)
    x_hat = centered * _along(inv_std, x)
    dbias = np.add.reduce(grad, axis=_dims(x), dtype=np.float64)
    dweight = np.add.reduce(grad * x_hat, axis=_dims(x))
    factor = np.asarray(inv_std, np.float64) if weight is None else np.asarray(weight, np.float64) * inv_std
    dx = _along(factor, x) * (grad - _along(dbias / max(count, 1), x) - x_hat * _along(dweight / max(count, 1), x))
    return dx.astype(x.dtype), dweight.astype(x.dtype), dbias.astype(x.dtype)


@silent
def batch_norm_eval(x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float) -> Array:
    """(x - mean) / sqrt(var + eps) * weight + bias of each channel, with statistics that are given."""
    return _scaled((x - _along(mean, x)) / np.sqrt(_along(var, x) + eps), weight, bias, x)
