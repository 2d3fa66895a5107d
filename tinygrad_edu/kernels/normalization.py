"""Batch and layer normalisation, chosen by size. Shapes are checked here, once for both backends."""

from __future__ import annotations

from ..errors import ShapeError
from .backend import Gate, twins
from .quiet import Array
from .reference import batch_norm as batch_reference
from .reference import layer_norm as layer_reference
from .windows import check_same_shape

# Measured on two cores of an AVX-512 EPYC, float32, NumPy | Numba in us; small arrays stay on one thread.
BATCH_MINIMUM = 4_000  # 4,600 23 | 11; 16,000 49 | 13; 100,000 962 | 22; 400,000 3929 | 60-140
EVAL_MINIMUM = 25_000  # 16,000 36 | 8-86 (threads awake-asleep); 33,000 387 | 12-86: NumPy's temporaries grow dear
LAYER_MINIMUM = 4_000  # 4,600 18 | 9; 16,000 41 | 9; 100,000 1000 | 40

_batch = Gate(BATCH_MINIMUM)
_batch_backward = Gate(BATCH_MINIMUM)
_eval = Gate(EVAL_MINIMUM)
_layer = Gate(LAYER_MINIMUM)
_layer_backward = Gate(LAYER_MINIMUM)


def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float, positive: bool = False
) -> tuple[Array, Array, Array, Array, Array]:
    """Normalise each channel of x (n, c, ...) over all its elements -> y, and mean, inv_std, var, shift, each (c,).

    y = (x - mean) * inv_std * weight + bias, inv_std = 1 / sqrt(var + eps), var that of the elements (not of a sample);
    weight and bias (c,), None for 1 and 0. positive: max(0, y) in place of y (a following ReLU, in the same pass).
    shift is bias, less what rounding took from the mean. Raises ShapeError where shapes do not fit.
    Source: Ioffe and Szegedy (2015), Batch Normalization, Algorithm 1.
    """
    _check("batch_norm", x, x.shape[1:2], weight=weight, bias=bias)
    small = x.size < _batch.minimum
    kernel = batch_reference.batch_norm if small else twins("batch_norm").batch_norm
    out: tuple[Array, Array, Array, Array, Array] = kernel(x, weight, bias, eps, positive)
    return out


def batch_norm_backward(
    grad: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array, shift: Array | None = None
) -> tuple[Array, Array, Array]:
    """Gradients of x, weight (c,) and bias (c,), given that of y and what `batch_norm` returned.

    With x_hat = (x - mean) * inv_std and means over each channel,
    dx = weight * inv_std * (grad - mean(grad) - x_hat * mean(grad * x_hat)),
    dweight = sum(grad * x_hat), dbias = sum(grad).
    mean must be that of x, to rounding: its rounding error is made good. shift: given if y was made positive; then
    grad counts only where y was above 0. Raises ShapeError where shapes do not fit.
    """
    check_same_shape("batch_norm_backward", "grad", grad.shape, x.shape)
    _check("batch_norm_backward", x, x.shape[1:2], weight=weight, mean=mean, inv_std=inv_std, shift=shift)
    small = x.size < _batch_backward.minimum
    kernel = batch_reference.batch_norm_backward if small else twins("batch_norm").batch_norm_backward
    out: tuple[Array, Array, Array] = kernel(grad, x, weight, mean, inv_std, shift)
    return out


def batch_norm_eval(x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float) -> Array:
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel of x (n, c, ...), with statistics that are given.

    Raises ShapeError where shapes do not fit.
    """
    _check("batch_norm_eval", x, x.shape[1:2], mean=mean, var=var, weight=weight, bias=bias)
    small = x.size < _eval.minimum
    out: Array = (batch_reference if small else twins("batch_norm")).batch_norm_eval(x, mean, var, weight, bias, eps)
    return out


def layer_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """Normalise each row of x (m, k) -> y (m, k), mean (m,), inv_std (m,).

    y = (x - mean) * inv_std * weight + bias, inv_std = 1 / sqrt(var + eps), var that of the elements (not of a sample);
    weight and bias (k,), None for 1 and 0. Raises ShapeError where shapes do not fit.
    Source: Ba, Kiros and Hinton (2016), Layer Normalization, equation 3.
    """
    _check("layer_norm", x, x.shape[1:], weight=weight, bias=bias)
    small = x.size < _layer.minimum
    kernel = layer_reference.layer_norm if small else twins("layer_norm").layer_norm
    out: tuple[Array, Array, Array] = kernel(x, weight, bias, eps)
    return out


def layer_norm_backward(
    grad: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """Gradients of x, weight (k,) and bias (k,), given that of y and what `layer_norm` returned.

    With x_hat = (x - mean) * inv_std, dx_hat = grad * weight and means over each row,
    dx = inv_std * (dx_hat - mean(dx_hat) - x_hat * mean(dx_hat * x_hat)),
    dweight = sum(grad * x_hat), dbias = sum(grad).
    Raises ShapeError where shapes do not fit.
    """
    check_same_shape("layer_norm_backward", "grad", grad.shape, x.shape)
    _check("layer_norm_backward", x, x.shape[1:], weight=weight)
    _check("layer_norm_backward", x, x.shape[:1], mean=mean, inv_std=inv_std)
    small = x.size < _layer_backward.minimum
    kernel = layer_reference.layer_norm_backward if small else twins("layer_norm").layer_norm_backward
    out: tuple[Array, Array, Array] = kernel(grad, x, weight, mean, inv_std)
    return out


def _check(operation: str, x: Array, expected: tuple[int, ...], **given: Array | None) -> None:
    """Raise ShapeError unless x has enough dims, or just 2 for rows, and each array given the shape expected."""
    if x.ndim < 2 or (x.ndim > 2 and operation.startswith("layer_norm")):
        raise ShapeError(f"{operation}: x is {x.shape}; it must have {2 if x.ndim > 2 else 'at least 2'} dims")
    for name, array in given.items():
        if array is not None:
            check_same_shape(operation, name, array.shape, expected)


__all__ = ["batch_norm", "batch_norm_backward", "batch_norm_eval", "layer_norm", "layer_norm_backward"]
