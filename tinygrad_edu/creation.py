"""Functions that make tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.device import check_device
from tinygrad_edu.errors import DTypeError
from tinygrad_edu.functions.common import check_tensor, sizes
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.random import Generator, default_generator
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor


def _holds_tensor(data: Any) -> bool:
    return isinstance(data, Tensor) or (isinstance(data, (list, tuple)) and any(_holds_tensor(d) for d in data))


def _unwrapped(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.array
    return [_unwrapped(d) for d in data] if isinstance(data, (list, tuple)) else data


def _array(data: Any, dtype: Any) -> Array:
    """A fresh array of numbers by PyTorch's rules: Python floats become the default dtype, ints int64."""
    if _holds_tensor(data):
        data = _unwrapped(data)
    typed = isinstance(data, (np.ndarray, np.generic))
    try:
        array = np.array(data)
    except ValueError as error:
        raise ValueError(
            f"tensor: the nested lists differ in length, so they are no rectangular array ({error})"
        ) from None
    if array.dtype == object or array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: cannot make a tensor from {type(data).__name__} of {array.dtype}; it takes numbers")
    if dtype is not None:
        return array.astype(dtypes.of(dtype).dtype)
    if not typed:
        if array.dtype.kind == "f" and not _has_typed_floats(data):
            with np.errstate(over="ignore"):
                return array.astype(dtypes.get_default_dtype().dtype)
        if array.size == 0 and array.dtype.kind == "f":
            return array.astype(dtypes.get_default_dtype().dtype)
    if array.dtype.kind == "i" and array.dtype.itemsize < 4:
        array = array.astype(np.int32)
    elif array.dtype.kind == "u" and array.dtype != np.uint8:
        array = array.astype(np.int64)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    dtypes.of(array.dtype)
    return array


def _has_typed_floats(data: Any) -> bool:
    """True if the first number in nested lists is a NumPy float64, whose width PyTorch keeps."""
    while isinstance(data, (list, tuple)):
        if len(data) == 0:
            return False
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic))


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new tensor with a copy of `data`: a number, nested lists, an array or a tensor.

    dtype: default float32 for floats, int64 for ints, bool for booleans; arrays keep theirs.
    Raises ValueError for ragged lists, TypeError for what is no number.
    """
    check_device(device)
    return wrap(_array(data, dtype)).requires_grad_(requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory with an array or tensor of the right dtype."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or dtypes.of(dtype).dtype == data.dtype):
        return from_numpy(data)
    return tensor(data, dtype=dtype)


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares memory with an array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected np.ndarray (got {type(array).__name__})")
    dtypes.of(array.dtype)
    return wrap(array.view(np.ndarray))


def _filled(shape: Any, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    chosen = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    return wrap(np.full(shape, value, chosen.dtype)).requires_grad_(requires_grad)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: zeros(2, 3) or zeros((2, 3))."""
    check_device(device)
    chosen = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    return wrap(np.zeros(sizes(_size(size)), chosen.dtype)).requires_grad_(requires_grad)


def _size(size: tuple[Any, ...]) -> tuple[Any, ...]:
    for n in sizes(size):
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(sizes(size))}")
    return size


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return _filled(sizes(_size(size)), 1, dtype, device, requires_grad)


def full(
    size: Sequence[int], fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with every entry `fill_value`; its dtype follows the value."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    if dtype is None:
        dtype = dtypes.bool_ if isinstance(value, bool) else dtypes.int64 if isinstance(value, int) else None
    return _filled(sizes(_size((size,))), value, dtype, device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose entries are not set to anything in particular."""
    check_device(device)
    chosen = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    return wrap(np.empty(sizes(_size(size)), chosen.dtype)).requires_grad_(requires_grad)


def _steps(value: Any) -> Any:
    return value.item() if isinstance(value, (Tensor, np.generic)) else value


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """start, start + step, ... below end; arange(n) starts at 0.  int64 for integers, else the default dtype."""
    check_device(device)
    start, end, step = (_steps(v) for v in (start, end, step))
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("arange: step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(f"arange: upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}")
    if dtype is None:
        whole = all(isinstance(v, int) for v in (start, end, step))
        dtype = dtypes.int64 if whole else dtypes.get_default_dtype()
    n = max(math.ceil((end - start) / step), 0)
    return wrap((start + step * np.arange(n)).astype(dtypes.of(dtype).dtype)).requires_grad_(requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` evenly spaced numbers from start to end, both included."""
    check_device(device)
    if steps < 0:
        raise RuntimeError(f"linspace: number of steps must be non-negative, got {steps}")
    chosen = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    return wrap(np.linspace(_steps(start), _steps(end), steps).astype(chosen.dtype)).requires_grad_(requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an n x m matrix of zeros."""
    check_device(device)
    _size((n, n if m is None else m))
    chosen = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    return wrap(np.eye(n, m, dtype=chosen.dtype)).requires_grad_(requires_grad)


def _drawn(values: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    chosen = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    return wrap(np.asarray(values).astype(chosen.dtype)).requires_grad_(requires_grad)


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Draws from the uniform distribution on [0, 1)."""
    shape = sizes(_size(size))
    chosen = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    if not chosen.is_floating_point:
        raise DTypeError(f"rand: needs a floating-point dtype, got {chosen!r}; use randint")
    # drawn in the wanted precision: rounding a double down to float32 could give 1.0
    values = (generator or default_generator).numpy.random(
        shape, dtype=np.float32 if chosen is dtypes.float32 else np.float64
    )
    return _drawn(values, chosen, device, requires_grad)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Draws from the standard normal distribution."""
    if dtype is not None and not dtypes.of(dtype).is_floating_point:
        raise DTypeError(f"randn: needs a floating-point dtype, got {dtype!r}; use randint")
    values = (generator or default_generator).numpy.standard_normal(sizes(_size(size)))
    return _drawn(values, dtype, device, requires_grad)


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None
) -> Tensor:
    """Draws from N(mean, std²): numbers with a size, or tensors of means and deviations."""
    m, s = (v.array if isinstance(v, Tensor) else v for v in (mean, std))
    shape = np.broadcast_shapes(np.shape(m), np.shape(s)) if size is None else sizes((size,))
    draws = (generator or default_generator).numpy.standard_normal(shape)
    return _drawn(draws * s + m, dtype, None, False)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers drawn uniformly from [low, high): randint(high, size) or randint(low, high, size); int64."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if high is None or size is None:
        raise TypeError("randint: call it as randint(high, size) or randint(low, high, size)")
    if low >= high:
        raise RuntimeError(f"randint: expects 'from' to be less than 'to', but got from={low} >= to={high}")
    values = (generator or default_generator).numpy.integers(low, high, sizes((size,)))
    return _drawn(values, dtypes.int64 if dtype is None else dtype, device, requires_grad)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The integers 0 to n − 1 in random order, int64."""
    _size((n,))
    return _drawn(
        (generator or default_generator).numpy.permutation(n), dtypes.int64 if dtype is None else dtype, device, False
    )


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Places drawn in proportion to each row's weights: (k,) -> (num_samples,), (n, k) -> (n, num_samples)."""
    weights = np.atleast_2d(input.detach().array).astype(np.float64)
    if (weights < 0).any() or not np.isfinite(weights).all() or (weights.sum(1) <= 0).any():
        raise RuntimeError("multinomial: weights must be finite, >= 0, and sum to more than 0 in each row")
    if not replacement and ((weights > 0).sum(1) < num_samples).any():
        raise RuntimeError(
            f"multinomial: cannot draw {num_samples} without replacement from a row with fewer non-zero weights"
        )
    source = (generator or default_generator).numpy
    rows = [source.choice(w.size, num_samples, replace=replacement, p=w / w.sum()) for w in weights]
    out = np.asarray(rows, np.int64)
    return wrap(out[0] if input.ndim == 1 else out)


def _like(x: Tensor, dtype: Any) -> tuple[tuple[int, ...], dtypes.dtype]:
    array = check_tensor("like", x).array
    return array.shape, dtypes.of_array(array) if dtype is None else dtypes.of(dtype)


def zeros_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape and dtype of x."""
    shape, chosen = _like(x, dtype)
    return zeros(shape, dtype=chosen, device=device, requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape and dtype of x."""
    shape, chosen = _like(x, dtype)
    return ones(shape, dtype=chosen, device=device, requires_grad=requires_grad)


def full_like(
    x: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` in the shape and dtype of x."""
    shape, chosen = _like(x, dtype)
    return full(shape, fill_value, dtype=chosen, device=device, requires_grad=requires_grad)


def empty_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """An unset tensor of the shape and dtype of x."""
    shape, chosen = _like(x, dtype)
    return empty(shape, dtype=chosen, device=device, requires_grad=requires_grad)


def rand_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform draws in the shape and dtype of x."""
    shape, chosen = _like(x, dtype)
    return rand(shape, dtype=chosen, device=device, requires_grad=requires_grad)


def randn_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal draws in the shape and dtype of x."""
    shape, chosen = _like(x, dtype)
    return randn(shape, dtype=chosen, device=device, requires_grad=requires_grad)
