"""Reductions made of ops: max and min with indices, variance, norms, softmax, sorting."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import dtypes, kernels, ops
from tinygrad_edu.autograd.modes import composite, fuses
from tinygrad_edu.errors import DTypeError
from tinygrad_edu.functions import return_types
from tinygrad_edu.functions.common import axes_array, check_tensor, numpy_names, plain
from tinygrad_edu.ops.shapes import count, kept_shape, one_dim
from tinygrad_edu.tensor import Tensor

amax, amin, gather = ops.reductions.amax, ops.reductions.amin, ops.indexing.gather


def _with_dtype(op: Any) -> Any:
    """The function of a reduction op, which may convert its input first."""

    def reduce(x: Any, *args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        if len(args) > 1 and not isinstance(args[1], bool):
            raise TypeError(f"{op.name}: keepdim must be bool, got {args[1]!r}; to reduce several dims pass a tuple")
        return op(x if dtype is None else x.to(dtype), *args, **kwargs)

    reduce.__name__ = reduce.__qualname__ = op.name
    reduce.__doc__ = op.__doc__
    return numpy_names(reduce)


sum, mean, prod = (_with_dtype(op) for op in (ops.reductions.sum, ops.reductions.mean, ops.reductions.prod))
cumsum, cumprod = _with_dtype(ops.reductions.cumsum), _with_dtype(ops.reductions.cumprod)


def _extreme(name: str, x: Tensor, dim: Any, keepdim: bool, places: Any) -> return_types.Result:
    kind = getattr(return_types, name)
    if x.ndim == 0:
        one_dim(name, dim, 0)
        return kind((x.clone(), plain(np.int64(0))))
    axis = one_dim(name, dim, x.ndim)
    if x.array.shape[axis] == 0:
        raise IndexError(f"{name}: expected reduction dim {axis} of {tuple(x.shape)} to have non-zero size")
    indices = plain(places(x.array, axis, True))
    values = gather(x, indices, dim=axis)
    return kind((values, indices) if keepdim else (values.squeeze(axis), indices.squeeze(axis)))


@numpy_names
def max(x: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """max(x): the largest entry.  max(x, dim): values and indices along dim.  max(x, y): the larger, entry by entry."""
    if isinstance(dim, (Tensor, np.ndarray)) or other is not None:
        return ops.arithmetic.maximum(x, dim if other is None else other)
    if dim is None:
        return amax(x)
    return _extreme("max", check_tensor("max", x), dim, keepdim, kernels.argmax)


@numpy_names
def min(x: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """min(x): the smallest entry.  min(x, dim): values and indices along dim.  min(x, y): the smaller of each pair."""
    if isinstance(dim, (Tensor, np.ndarray)) or other is not None:
        return ops.arithmetic.minimum(x, dim if other is None else other)
    if dim is None:
        return amin(x)
    return _extreme("min", check_tensor("min", x), dim, keepdim, kernels.argmin)


def _place(name: str, x: Tensor, dim: int | None, keepdim: bool, places: Any) -> Tensor:
    array = check_tensor(name, x).array
    if dim is not None:
        dim = one_dim(name, dim, array.ndim)
        if array.ndim == 0:
            dim = None
    if array.size == 0 and (dim is None or array.shape[dim] == 0):
        raise IndexError(f"{name}: expected reduction over {array.shape} to have non-zero size")
    return plain(places(array, dim, keepdim))


@numpy_names
def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The place of the largest entry along dim (None: in the flat tensor), int64; the first of equals."""
    return _place("argmax", x, dim, keepdim, kernels.argmax)


@numpy_names
def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The place of the smallest entry along dim (None: in the flat tensor), int64; the first of equals."""
    return _place("argmin", x, dim, keepdim, kernels.argmin)


def _variance_arguments(dim: Any, unbiased: bool | None, correction: float) -> tuple[Any, float]:
    if isinstance(dim, bool):  # var(x, False): the second argument is `unbiased`
        dim, unbiased = None, dim
    return dim, correction if unbiased is None else float(unbiased)


@numpy_names
def var_mean(
    x: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> tuple[Tensor, Tensor]:
    """Variance Σ (x − mean)² / (N − correction) and mean over `dim`; correction 0 is the biased variance."""
    dim, correction = _variance_arguments(dim, unbiased, correction)
    mean = ops.reductions.mean(x, dim=dim, keepdim=True)
    centred = x - mean
    n = count(x.array.shape, axes_array(x.array, dim))
    squares = ops.pointwise.square(centred)
    if correction == 0:
        variance = ops.reductions.mean(squares, dim=dim, keepdim=keepdim)
    else:
        total = ops.reductions.sum(squares, dim=dim, keepdim=keepdim)
        # N <= correction: 0 / 0 is NaN, as in PyTorch
        variance = total / (n - correction) if n > correction else total * float("nan")
    return variance, mean if keepdim else mean.reshape(variance.array.shape)


@numpy_names
def var(x: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, **options: Any) -> Tensor:
    """Variance over `dim`: unbiased (N − 1) unless unbiased=False or correction=0."""
    return var_mean(x, dim, unbiased, keepdim, **options)[0]


@numpy_names
def std(x: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, **options: Any) -> Tensor:
    """Standard deviation over `dim`, the square root of `var`."""
    return _root(var(x, dim, unbiased, keepdim, **options), 2)


@numpy_names
def std_mean(
    x: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, **options: Any
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean over `dim`."""
    variance, mean = var_mean(x, dim, unbiased, keepdim, **options)
    return _root(variance, 2), mean


def _root(x: Tensor, p: float) -> Tensor:
    """x^(1/p), whose gradient at 0, where it is infinite, is taken as 0: the subgradient of a norm, as in PyTorch."""
    zero = x == 0
    safe = ops.basic.where(zero, 1.0, x) if zero.array.any() else x
    root = ops.pointwise.sqrt(safe) if p == 2 else safe ** (1.0 / p)
    return root if safe is x else ops.basic.where(zero, 0.0, root)


@numpy_names
def norm(x: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The p-norm (Σ |x|ᵖ)^(1/p) over `dim`; p = 2 or "fro", inf, -inf, 0 and any other number."""
    x = x if dtype is None else x.to(dtype)
    if not x.is_floating_point():
        raise DTypeError(f"norm: input dtype should be floating point, got {x.dtype!r}; convert with .float()")
    if p in ("fro", 2, 2.0, None):
        return _root(ops.reductions.sum(ops.pointwise.square(x), dim=dim, keepdim=keepdim), 2)
    size = ops.pointwise.abs(x)
    if p == float("inf"):
        return amax(size, dim=dim, keepdim=keepdim)
    if p == float("-inf"):
        return amin(size, dim=dim, keepdim=keepdim)
    if p == 0:
        return ops.reductions.sum((x != 0.0).to(x.dtype), dim=dim, keepdim=keepdim)
    if p == 1:
        return ops.reductions.sum(size, dim=dim, keepdim=keepdim)
    if isinstance(p, str):
        raise RuntimeError(f"norm: p={p!r} is not supported; use a number, inf, -inf or 'fro'")
    if not isinstance(p, (int, float)):
        raise TypeError(f"norm: p must be a number or 'fro', got {p!r}; name the dims as dim=")
    return _root(ops.reductions.sum(size**p, dim=dim, keepdim=keepdim), p)


def _shift(x: Tensor, dim: Any) -> Tensor:
    """The largest entry, finite: subtracting it before exp prevents overflow and changes nothing.  No gradient."""
    if x.array.size == 0:
        axes = axes_array(x.array, dim)
        return plain(np.zeros(kept_shape(x.array.shape, axes), x.array.dtype))
    largest = amax(x, dim=dim, keepdim=True).detach()
    if not np.isfinite(largest.array).all():
        # -inf everywhere, or +inf somewhere: shift by 0 so that inf - inf does not make NaN
        origin = largest.__dict__.get("_origin")
        largest = plain(np.where(np.isinf(largest.array), largest.array.dtype.type(0), largest.array))
        largest.__dict__["_origin"] = origin
    largest.name = "max"
    return largest


@numpy_names
@composite("logsumexp")
def logsumexp(x: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log Σ exp(x) over `dim`, without overflow."""
    if not x.is_floating_point():
        x = x.to(dtypes.get_default_dtype())
    shift = _shift(x, dim)
    total = ops.pointwise.log(ops.reductions.sum(ops.pointwise.exp(x - shift), dim=dim, keepdim=keepdim))
    return total + (shift if keepdim else shift.reshape(total.array.shape))


@numpy_names
@composite("softmax", "softmax, from primitive ops")
def softmax(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """exp(xᵢ) / Σⱼ exp(xⱼ) along `dim`: positive and summing to 1.

    s = x − max x        e = exp s        p = e / Σ e
    """
    x = _softmax_input("softmax", x, dim, dtype)
    if _is_last_of_two(x, dim) and fuses(x.array.size):
        return ops.fused.softmax(x)
    return _softmax_steps(x, dim)


def _is_last_of_two(x: Tensor, dim: int) -> bool:
    return x.array.ndim == 2 and dim in (1, -1)


def _softmax_steps(x: Tensor, dim: int) -> Tensor:
    s = x - _row_max(x, dim)
    s.name = "s"
    e = ops.pointwise.exp(s)
    return e / ops.reductions.sum(e, dim=dim, keepdim=True)


@numpy_names
@composite("log-softmax", "log-softmax, from primitive ops")
def log_softmax(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log softmax(x) along `dim`, computed without overflow and without the log of 0.

    s = x − max x        log p = s − log Σ exp s
    """
    x = _softmax_input("log_softmax", x, dim, dtype)
    if _is_last_of_two(x, dim) and fuses(x.array.size):
        return ops.fused.log_softmax(x)
    return log_softmax_steps(x, dim)


def log_softmax_steps(x: Tensor, dim: int) -> Tensor:
    """The steps of log-softmax, for the callers that draw their own box around them."""
    s = x - _row_max(x, dim)
    s.name = "s"
    log_p = s - ops.pointwise.log(ops.reductions.sum(ops.pointwise.exp(s), dim=dim, keepdim=True))
    log_p.name = "log p"
    return log_p


ops.fused.softmax.composition = lambda x: _softmax_steps(x, 1)
ops.fused.log_softmax.composition = lambda x: log_softmax_steps(x, 1)


def _row_max(x: Tensor, dim: int) -> Tensor:
    """The largest entry along `dim`: e^(x − max) cannot overflow, and the result does not depend on it."""
    if x.array.size == 0:
        return plain(np.zeros((), x.array.dtype))
    largest = amax(x, dim=dim, keepdim=True).detach()
    largest.name = "max"
    return largest


def _softmax_input(name: str, x: Tensor, dim: int, dtype: Any) -> Tensor:
    x = check_tensor(name, x)
    if dtype is not None:
        x = x.to(dtype)
    if not x.is_floating_point():
        raise DTypeError(f"{name}: needs a floating-point tensor, got {x.dtype!r}; convert with .float()")
    one_dim(name, dim, x.ndim)
    return x


@numpy_names
def all(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """True where every entry over `dim` is non-zero."""
    array = check_tensor("all", x).array
    return plain(np.all(array, axis=axes_array(array, dim), keepdims=keepdim))


@numpy_names
def any(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """True where some entry over `dim` is non-zero."""
    array = check_tensor("any", x).array
    return plain(np.any(array, axis=axes_array(array, dim), keepdims=keepdim))


@numpy_names
def count_nonzero(x: Tensor, dim: Any = None) -> Tensor:
    """How many entries over `dim` are non-zero, int64."""
    array = check_tensor("count_nonzero", x).array
    return plain(np.asarray(np.count_nonzero(array, axis=axes_array(array, dim)), np.int64))


def _sorted_places(array: Any, axis: int, descending: bool) -> Any:
    """Stable order; NaN is larger than everything."""
    if not descending:
        return np.argsort(array, axis=axis, kind="stable")
    flipped = np.argsort(np.flip(array, axis), axis=axis, kind="stable")
    return array.shape[axis] - 1 - np.flip(flipped, axis)


@numpy_names
def sort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> return_types.Result:
    """The entries in order along `dim`, and where they were; always stable; NaN counts as largest."""
    if x.ndim == 0:
        return return_types.sort((x.clone(), plain(np.int64(0))))
    axis = one_dim("sort", dim, x.ndim)
    indices = plain(np.ascontiguousarray(_sorted_places(x.array, axis, descending)).astype(np.int64))
    return return_types.sort((gather(x, indices, dim=axis), indices))


@numpy_names
def argsort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The places of the entries in order along `dim`, int64."""
    places: Tensor = sort(x.detach(), dim, descending, stable).indices
    return places


@numpy_names
def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> return_types.Result:
    """The k largest (or smallest) entries along `dim`, in order, and where they were."""
    axis = one_dim("topk", dim, x.ndim)
    n = x.array.shape[axis] if x.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError(f"topk: selected index k out of range: k={k} but dim {dim} of {tuple(x.shape)} has size {n}")
    if x.ndim == 0:
        return return_types.topk((x.clone(), plain(np.int64(0))))
    order = _sorted_places(x.array, axis, largest)
    part = (slice(None),) * axis + (slice(k),)
    indices = plain(np.ascontiguousarray(order[part]).astype(np.int64))
    return return_types.topk((gather(x, indices, dim=axis), indices))
