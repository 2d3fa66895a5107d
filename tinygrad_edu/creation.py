"""Functions that make tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.device import check_device
from tinygrad_edu.functions.common import check_tensor, new_sizes, numpy_names
from tinygrad_edu.ops.registry import Array
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
    if not typed and array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(_float_kind(data) if array.size else _kind(None))
    if array.dtype.kind == "i" and array.dtype.itemsize < 4:
        array = array.astype(np.int32)
    elif array.dtype.kind == "u" and array.dtype != np.uint8:
        array = array.astype(np.int64)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    dtypes.of(array.dtype)
    return array


def _float_kind(data: Any) -> Any:
    """The NumPy dtype of the floats in nested lists: Python's are of the default dtype, NumPy's keep theirs."""
    found, rest = set(), [data]
    while rest:
        item = rest.pop()
        if isinstance(item, (list, tuple)):
            rest.extend(item)
        elif isinstance(item, (np.ndarray, np.generic)):
            if item.dtype.kind == "f":
                found.add(item.dtype)
        elif isinstance(item, float):
            found.add(_kind(None))
    return np.result_type(*found) if found else _kind(None)


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


def _finished(array: Array, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    return wrap(array).requires_grad_(requires_grad)


def _kind(dtype: Any) -> Any:
    """The NumPy dtype of a new tensor: the one asked for, or the default."""
    return (dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)).dtype


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """`obj` as a tensor, sharing memory where possible; copy=True always copies, copy=False never does."""
    made = as_tensor(obj, dtype, device)
    shares = isinstance(obj, (Tensor, np.ndarray)) and np.shares_memory(made.array, getattr(obj, "array", obj))
    if copy is False and not shares:
        raise ValueError("asarray: can't alias the object without a copy; leave out copy=False")
    if copy and shares:
        made = made.detach().clone()
    return made.requires_grad_() if requires_grad else made


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor of a number, of the default dtype."""
    return _finished(np.asarray(s, _kind(dtype)), device, requires_grad)


def zeros(*shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: zeros(2, 3), zeros((2, 3)) or zeros(size=(2, 3))."""
    return _finished(np.zeros(new_sizes("zeros", shape, size), _kind(dtype)), device, requires_grad)


def ones(*shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return _finished(np.ones(new_sizes("ones", shape, size), _kind(dtype)), device, requires_grad)


def empty(*shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose entries are not set to anything in particular."""
    return _finished(np.empty(new_sizes("empty", shape, size), _kind(dtype)), device, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with every entry `fill_value`; its dtype follows the value."""
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full: argument 'size' must be tuple of ints, not {type(size).__name__}; write ({size},)")
    value = _steps(fill_value)
    if dtype is None and isinstance(value, int):
        dtype = dtypes.bool_ if isinstance(value, bool) else dtypes.int64
    return _finished(np.full(new_sizes("full", (), size), value, _kind(dtype)), device, requires_grad)


def _steps(value: Any) -> Any:
    return value.item() if isinstance(value, (Tensor, np.generic)) else value


def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below end; arange(n) starts at 0.  int64 for integers, else the default dtype."""
    start, end, step = (_steps(v) for v in (start, end, step))
    if end is None:
        start, end = 0, start
    if end is None:
        raise TypeError("arange: needs an end: arange(end) or arange(start, end, step)")
    start = 0 if start is None else start
    if step == 0:
        raise RuntimeError("arange: step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(f"arange: upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}")
    if dtype is None and all(isinstance(v, int) for v in (start, end, step)):
        dtype = dtypes.int64
    n = max(math.ceil((end - start) / step), 0)
    return _finished((start + step * np.arange(n)).astype(_kind(dtype)), device, requires_grad)


def _line(name: str, start: Any, end: Any, steps: int) -> Array:
    if steps < 0:
        raise RuntimeError(f"{name}: number of steps must be non-negative, got {steps}")
    return np.linspace(_steps(start), _steps(end), steps)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` evenly spaced numbers from start to end, both included."""
    return _finished(_line("linspace", start, end, steps).astype(_kind(dtype)), device, requires_grad)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from base^start to base^end whose logarithms are evenly spaced."""
    values = np.power(float(base), _line("logspace", start, end, steps))
    return _finished(values.astype(_kind(dtype)), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an n x m matrix of zeros."""
    new_sizes("eye", (n, n if m is None else m), None)
    return _finished(np.eye(n, m, dtype=_kind(dtype)), device, requires_grad)


def _like(name: str, x: Tensor, dtype: Any) -> tuple[tuple[int, ...], Any]:
    array = check_tensor(name, x).array
    return array.shape, array.dtype if dtype is None else dtypes.of(dtype)


@numpy_names
def zeros_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape and dtype of x."""
    shape, chosen = _like("zeros_like", x, dtype)
    return zeros(size=shape, dtype=chosen, device=device, requires_grad=requires_grad)


@numpy_names
def ones_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape and dtype of x."""
    shape, chosen = _like("ones_like", x, dtype)
    return ones(size=shape, dtype=chosen, device=device, requires_grad=requires_grad)


@numpy_names
def full_like(
    x: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`fill_value` in the shape and dtype of x."""
    shape, chosen = _like("full_like", x, dtype)
    return full(shape, fill_value, dtype=chosen, device=device, requires_grad=requires_grad)


@numpy_names
def empty_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """An unset tensor of the shape and dtype of x."""
    shape, chosen = _like("empty_like", x, dtype)
    return empty(size=shape, dtype=chosen, device=device, requires_grad=requires_grad)


# -- methods: new tensors of the dtype of an old one ------------------------------------------------------------------


def new_zeros(
    x: Tensor, *shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of another shape in the dtype of x."""
    kind = x.dtype if dtype is None else dtype
    return zeros(*shape, size=size, dtype=kind, device=device, requires_grad=requires_grad)


def new_ones(
    x: Tensor, *shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Ones of another shape in the dtype of x."""
    kind = x.dtype if dtype is None else dtype
    return ones(*shape, size=size, dtype=kind, device=device, requires_grad=requires_grad)


def new_empty(
    x: Tensor, *shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """An unset tensor of another shape in the dtype of x."""
    kind = x.dtype if dtype is None else dtype
    return empty(*shape, size=size, dtype=kind, device=device, requires_grad=requires_grad)


def new_full(
    x: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of another shape with every entry `fill_value`, in the dtype of x."""
    kind = x.dtype if dtype is None else dtype
    return full(size, fill_value, dtype=kind, device=device, requires_grad=requires_grad)


def new_tensor(x: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor of `data` in the dtype of x."""
    kind = x.dtype if dtype is None else dtype
    return tensor(data, dtype=kind, device=device, requires_grad=requires_grad)
