"""Layer normalisation (Ba, Kiros and Hinton, 2016) of each row of x (m, k), in float64 inside."""

from __future__ import annotations

import numpy as np

from ..quiet import Array, silent


def _mean(x: Array) -> Array:
    """Of each row, as a column."""
    out: Array = np.add.reduce(x, axis=1, dtype=np.float64, keepdims=True) / np.float64(x.shape[1])
    return out


@silent
def layer_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """(x - mean) / sqrt(var + eps) * weight + bias of each row, the mean (m,), and 1 / sqrt(var + eps) (m,)."""
    mean = _mean(x)
    centered = x - mean
    inv_std = 1 / np.sqrt(_mean(centered * centered) + eps)
    y = centered * inv_std
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return y.astype(x.dtype), mean[:, 0].astype(x.dtype), inv_std[:, 0].astype(x.dtype)


@silent
def layer_norm_backward(
    grad: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """Gradients of x, of weight and of bias.

    With x_hat = (x - mean) * inv_std, dx_hat = grad * weight and means over each row,
    dx = inv_std * (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)).
    """
    centered = x - np.asarray(mean, np.float64)[:, np.newaxis]
    centered -= _mean(centered)  # the mean came rounded to x's dtype
    rstd = np.asarray(inv_std, np.float64)[:, np.newaxis]
    x_hat = centered * rstd
    dx_hat = np.asarray(grad if weight is None else np.multiply(grad, weight, dtype=np.float64), np.float64)
    dx = rstd * (dx_hat - _mean(dx_hat) - x_hat * _mean(dx_hat * x_hat))
    dweight = np.add.reduce(grad * x_hat, axis=0)
    dbias = np.add.reduce(grad, axis=0, dtype=np.float64)
    return dx.astype(x.dtype), dweight.astype(x.dtype), dbias.astype(x.dtype)
