"""What a loader reads: map-style data sets (`dataset[i]`), iterable ones, and the ways to join and split them."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.random import Generator, default_generator
from tinygrad_edu.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)
BatchReader = Callable[[Sequence[int]], Any]


def index_array(indices: Sequence[int]) -> npt.NDArray[np.integer[Any]]:
    """The indices of a batch as an integer array. Raises TypeError for anything but integers."""
    array = np.asarray(indices)
    if array.dtype.kind not in "iu":
        raise TypeError(f"the indices of a batch must be integers, got {array.dtype}: {array.tolist()[:5]}")
    return array


class SizeMismatch(ShapeError, AssertionError):
    """Tensors of different lengths in one TensorDataset; PyTorch raises AssertionError here."""


class Dataset(Generic[T_co]):
    """A map from an index to a sample: define `__getitem__(index)` and, for most samplers, `__len__()`.

    Raise IndexError for an index outside the data.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])

    def batch_reader(self) -> BatchReader | None:
        """A function that reads the samples of many indices as one batch, or None: read them one at a time.

        The batch must equal `default_collate([self[i] for i in indices])`; the loader uses it only in place of that.
        """
        return None


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """A stream of samples: define `__iter__()` (abstract here), and `__len__()` if the length is known.

    With worker threads each worker iterates over a shallow copy of its own: split the stream with
    `get_worker_info()`, or every sample comes once per worker.
    """

    def __add__(self, other: Dataset[T_co]) -> ChainDataset[T_co]:  # type: ignore[override]  # as in PyTorch
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples that are rows of tensors: `dataset[i]` is `(tensors[0][i], tensors[1][i], ...)`.

    Raises ShapeError (an AssertionError too, as in PyTorch) when the tensors' lengths differ.
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset: give at least one tensor, as in TensorDataset(inputs, labels)")
        if any(not tensor.shape for tensor in tensors):
            raise SizeMismatch("TensorDataset: a tensor of shape () has no first dim to take samples from")
        if len({tensor.shape[0] for tensor in tensors}) > 1:
            shapes = " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise SizeMismatch(f"TensorDataset: the tensors are {shapes}; all must have the same first dim")
        self.tensors: tuple[Any, ...] = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def batch_reader(self) -> BatchReader | None:
        if type(self).__getitem__ is not TensorDataset.__getitem__:
            return None  # a subclass changes its samples
        return lambda indices: [tensor[index_array(indices)] for tensor in self.tensors]


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`, in that order."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[T_co]:
        chosen = [self.indices[i] for i in indices]
        if hasattr(self.dataset, "__getitems__"):
            return list(self.dataset.__getitems__(chosen))
        return [self.dataset[i] for i in chosen]

    def __len__(self) -> int:
        return len(self.indices)

    def batch_reader(self) -> BatchReader | None:
        if type(self).__getitem__ is not Subset.__getitem__ or type(self).__getitems__ is not Subset.__getitems__:
            return None
        read = self.dataset.batch_reader() if isinstance(self.dataset, Dataset) else None
        if read is None:
            return None
        inner, indices = read, self.indices
        return lambda chosen: inner([indices[i] for i in chosen])


class ConcatDataset(Dataset[T_co]):
    """Map-style data sets one after the other.

    Raises AssertionError without data sets, or for an IterableDataset, as PyTorch.
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: give at least one data set")
        for position, dataset in enumerate(self.datasets):
            if isinstance(dataset, IterableDataset):
                raise AssertionError(
                    f"ConcatDataset: data set {position} is an IterableDataset, which has no indices; chain streams "
                    "with ChainDataset"
                )
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: Any) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
            index += len(self)
        if index >= len(self):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        part = bisect.bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[part - 1] if part else 0
        return self.datasets[part][index - start]


class ChainDataset(IterableDataset[T_co]):
    """Iterable data sets one after the other. Raises AssertionError for a map-style one, as PyTorch."""

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        for position, dataset in enumerate(self.datasets):
            if not isinstance(dataset, IterableDataset):
                raise AssertionError(
                    f"ChainDataset: data set {position} ({type(dataset).__name__}) is no IterableDataset; join "
                    "map-style data sets with ConcatDataset"
                )

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self.datasets:
            yield from dataset  # type: ignore[misc]  # checked above

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)  # type: ignore[misc,arg-type]


def _lengths_of_fractions(fractions: Sequence[float], total: int) -> list[int]:
    for position, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"random_split: fraction {position} is {fraction}; it must lie between 0 and 1")
    lengths = [math.floor(total * fraction) for fraction in fractions]
    for i in range(total - sum(lengths)):  # what rounding down left over goes round the parts, one each
        lengths[i % len(lengths)] += 1
    for position, length in enumerate(lengths):
        if length == 0:
            warnings.warn(f"random_split: part {position} is empty: {fractions[position]} of {total}", stacklevel=3)
    return lengths


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset[T_co]]:
    """Split a data set at random into parts of the given lengths, or of the given fractions when they sum to 1.

    Raises ValueError when the lengths do not add up to the data set's.
    """
    total = len(dataset)  # type: ignore[arg-type]
    if math.isclose(sum(lengths), 1):  # PyTorch's rule; its extra `<= 1` refuses sums such as 1.0000000000000002
        sizes = _lengths_of_fractions(lengths, total)
    else:
        if any(length != int(length) or length < 0 for length in lengths) or sum(lengths) != total:
            raise ValueError(
                f"random_split: the lengths {list(lengths)} must be whole and add up to the data set's {total} samples "
                f"(they add up to {sum(lengths)}), or be fractions that add up to 1"
            )
        sizes = [int(length) for length in lengths]
    order: list[int] = (generator or default_generator).numpy.permutation(total).tolist()
    ends = list(itertools.accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
