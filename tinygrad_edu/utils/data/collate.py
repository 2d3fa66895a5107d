"""Samples to a batch: tensors and numbers are stacked along a new first dim, containers are collated part by part."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygrad_edu.errors import DTypeError, ShapeError
from tinygrad_edu.functions.shaping import stack
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor

Collate = Callable[[Any], Any]

_DTYPES = tuple(np.dtype(t) for t in (np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_))


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples -> one batch, with PyTorch's result types.

    tensors, arrays (...) -> Tensor (n, ...) of their dtype; ints -> int64, floats -> float64, bools -> bool (n,);
    str, bytes -> as they are; mapping -> the same type of mapping, each value collated; namedtuple -> the same
    namedtuple; tuple, list and other sequences -> list (or the same mutable sequence) of collated parts.
    Raises ShapeError when shapes or lengths differ, KeyError when a key is missing, TypeError for anything else.
    """
    batch = list(batch)
    if not batch:
        raise IndexError("default_collate: the batch is empty; a batch sampler must not give an empty list of indices")
    return _collate(batch, "sample")


def _collate(batch: Sequence[Any], where: str) -> Any:
    first = batch[0]
    if isinstance(first, Tensor):
        return _stack_tensors(batch, where)
    if isinstance(first, np.ndarray):
        return wrap(_stack(batch, where))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, (bool, int, float, np.generic)):
        return wrap(_numbers(batch, where))
    if isinstance(first, Mapping):
        return _mapping(batch, where)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        fields: Sequence[str] = first._fields
        return type(first)(*_columns(batch, where, [f"{where}.{field}" for field in fields]))
    if isinstance(first, Sequence):
        columns = _columns(batch, where, [f"{where}[{i}]" for i in range(len(first))])
        return _like_sequence(first, columns)
    raise TypeError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; {where} is "
        f"{type(first).__name__}. Return one of these from __getitem__, or give the loader a collate_fn"
    )


def _columns(batch: Sequence[Any], where: str, names: list[str]) -> list[Any]:
    """Collate the first parts of all samples, then the second parts, ..."""
    for position, sample in enumerate(batch):
        if not isinstance(sample, Sequence) or len(sample) != len(names):
            found = f"{len(sample)} parts" if isinstance(sample, Sequence) else type(sample).__name__
            raise ShapeError(
                f"default_collate: each element in list of batch should be of equal size: {where} has {len(names)} "
                f"parts in entry 0 and {found} in entry {position}"
            )
    # Tuples, so that the strings of tuples come as a tuple, as in PyTorch.
    return [_collate(tuple(sample[i] for sample in batch), name) for i, name in enumerate(names)]


def _like_sequence(first: Sequence[Any], parts: list[Any]) -> Any:
    if isinstance(first, MutableSequence) and not isinstance(first, list):
        clone = copy.copy(first)
        for i, part in enumerate(parts):
            clone[i] = part
        return clone
    return parts  # a list for tuples too, as in PyTorch


def _mapping(batch: Sequence[Any], where: str) -> Any:
    first = batch[0]
    collated = {}
    for key in first:
        for position, sample in enumerate(batch):
            if key not in sample:
                raise KeyError(f"default_collate: {where} has the key {key!r} in entry 0 but not in entry {position}")
        collated[key] = _collate([sample[key] for sample in batch], f"{where}[{key!r}]")
    if isinstance(first, MutableMapping):
        clone = copy.copy(first)  # keeps the type and what a subclass carries
        clone.update(collated)
        return clone
    return collated


def _numbers(batch: Sequence[Any], where: str) -> npt.NDArray[Any]:
    """Python and NumPy numbers -> (n,); the first sample decides, as in PyTorch: 1.5, 2 -> float64."""
    try:
        values = np.asarray(batch)
    except (ValueError, OverflowError) as error:
        raise TypeError(f"default_collate: {where} is a number in entry 0 but not in each entry") from error
    if values.ndim != 1 or values.dtype.kind not in "bifu":
        kinds = sorted({type(value).__name__ for value in batch})
        raise TypeError(f"default_collate: {where} must be a number of 64 bits in each entry, got {', '.join(kinds)}")
    if isinstance(batch[0], np.generic) and not isinstance(batch[0], float):
        return _known_dtype(values, where)
    if isinstance(batch[0], float):
        return values.astype(np.float64)
    too_large = [value for value in batch if isinstance(value, int) and not -(2**63) <= value < 2**63]
    if too_large:
        raise ValueError(f"default_collate: {where} has an integer that does not fit into int64: {too_large[0]}")
    if values.dtype.kind == "f":
        return values.astype(np.float32)  # ints first, then floats: PyTorch gives its default dtype
    return values if values.dtype.kind == "b" else values.astype(np.int64)


def _stack_tensors(batch: Sequence[Any], where: str) -> Tensor:
    for position, sample in enumerate(batch):
        if not isinstance(sample, Tensor):
            raise TypeError(
                f"default_collate: {where} is a Tensor in entry 0 but {type(sample).__name__} in entry {position}"
            )
    if any(sample.requires_grad for sample in batch):
        _one_shape([sample.array for sample in batch], where)
        return stack(batch)
    return wrap(_stack([sample.array for sample in batch], where))


def _stack(arrays: Sequence[Any], where: str) -> npt.NDArray[Any]:
    """Arrays of one shape (...) -> (n, ...)."""
    for position, array in enumerate(arrays):
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"default_collate: {where} is an array in entry 0 but {type(array).__name__} in entry {position}"
            )
    _one_shape(arrays, where)
    dtypes = {array.dtype for array in arrays}
    floats = {dtype for dtype in dtypes if dtype.kind == "f"}
    # Among mixed dtypes the floats decide, as in PyTorch: int64 with float32 gives float32, where NumPy gives float64.
    return _known_dtype(np.stack(arrays, dtype=np.result_type(*(floats or dtypes)), casting="unsafe"), where)


def _one_shape(arrays: Sequence[Any], where: str) -> None:
    for position, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ShapeError(
                f"default_collate: stack expects each tensor to be equal size, but {where} is {arrays[0].shape} at "
                f"entry 0 and {array.shape} at entry {position}. Resize or pad the samples, or give the loader a "
                "collate_fn"
            )


def _known_dtype(array: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    if array.dtype.kind in "OSUVMm":
        raise TypeError(
            "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
            f"{where} is an array of {array.dtype}"
        )
    if array.dtype not in _DTYPES:
        raise DTypeError(
            f"default_collate: {where} has the dtype {array.dtype}; convert it to one of "
            + ", ".join(dtype.name for dtype in _DTYPES)
        )
    return array


def default_convert(data: Any) -> Any:
    """One sample without batching (batch_size=None): arrays become tensors, containers part by part, the rest stays."""
    if isinstance(data, (np.ndarray, np.generic)) and not isinstance(data, (str, bytes)):
        return wrap(_known_dtype(np.asarray(data), "the sample")) if data.dtype.kind not in "OSUVMm" else data
    if isinstance(data, Mapping):
        converted = {key: default_convert(value) for key, value in data.items()}
        if isinstance(data, MutableMapping):
            clone = copy.copy(data)
            clone.update(converted)
            return clone
        return converted
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(part) for part in data))
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(part) for part in data])
    return data
