"""Which samples, in which order: iterables of indices for a loader.

A sampler draws all its random numbers when `iter()` is called on it, so that the order of an epoch depends on the
generator's state at that moment only, however many worker threads then read the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from tinygrad_edu.random import Generator, default_generator

T_co = TypeVar("T_co", covariant=True)


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) > 0


class Sampler(Generic[T_co]):
    """Base of all samplers: define `__iter__()` and, for the loader's length, `__len__()`."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ... in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A fresh random permutation of the indices each epoch, or `num_samples` draws with replacement.

    More than n samples without replacement are several permutations in a row.
    Raises ValueError when there is nothing to draw.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement should be a boolean value, got {replacement!r}")
        if (num_samples is None and len(data_source) == 0) or num_samples == 0:
            raise ValueError(
                "RandomSampler: num_samples should be a positive integer value, but got num_samples=0: "
                + ("the data set is empty. " if len(data_source) == 0 else "")
                + "Check the path, the filter or the split it was made with, or use shuffle=False, which gives an "
                "empty data set zero batches"
            )
        if num_samples is not None and not _is_count(num_samples):
            raise ValueError(f"RandomSampler: num_samples should be a positive integer value, got {num_samples!r}")
        self.data_source = data_source
        self.replacement = replacement
        self.generator = generator
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        """How many indices an epoch has."""
        return len(self.data_source) if self._num_samples is None else int(self._num_samples)

    def __iter__(self) -> Iterator[int]:
        n, wanted = len(self.data_source), self.num_samples
        if n == 0:
            raise ValueError("RandomSampler: the data set is empty (it had samples when the sampler was made)")
        draw = (self.generator or default_generator).numpy
        if self.replacement:
            order = draw.integers(0, n, wanted)
        else:
            rounds = -(-wanted // n)
            order = np.concatenate([draw.permutation(n) for _ in range(rounds)])[:wanted]
        return iter(order.tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in a fresh random order each epoch."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        order = (self.generator or default_generator).numpy.permutation(len(self.indices))
        return iter([self.indices[i] for i in order.tolist()])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` indices, index i with probability weights[i] / Σ weights.

    Raises ValueError for weights that are not 1-d, RuntimeError for weights that are no distribution, or too few
    positive ones to draw without replacement.
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        if not _is_count(num_samples):
            raise ValueError(
                f"WeightedRandomSampler: num_samples should be a positive integer value, got {num_samples!r}"
            )
        if not isinstance(replacement, bool):
            raise ValueError(f"WeightedRandomSampler: replacement should be a boolean value, got {replacement!r}")
        p = np.asarray(weights).astype(np.float64)  # a copy: later changes to the caller's array have no effect
        if p.ndim != 1:
            raise ValueError(f"WeightedRandomSampler: weights should be a 1d sequence, got the shape {p.shape}")
        wrong = np.flatnonzero(~(np.isfinite(p) & (p >= 0)))
        if wrong.size:
            raise RuntimeError(
                f"WeightedRandomSampler: weights[{wrong[0]}] is {p[wrong[0]]}; weights must be finite and >= 0"
            )
        positive = int(np.count_nonzero(p))
        if positive == 0:
            raise RuntimeError("WeightedRandomSampler: no weight is positive, so no index can be drawn")
        if not replacement and num_samples > positive:
            raise RuntimeError(
                f"WeightedRandomSampler: cannot draw {num_samples} samples without replacement from {positive} "
                "positive weights; use replacement=True or fewer samples"
            )
        self.weights = p
        self.num_samples = int(num_samples)
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        draw = (self.generator or default_generator).numpy
        # The largest weight first made 1, so that neither huge nor tiny weights spoil the sum.
        p = self.weights / self.weights.max()
        order = draw.choice(len(p), self.num_samples, self.replacement, p / p.sum())
        return iter(order.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler; the last, shorter one is left out with `drop_last`."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not _is_count(batch_size):
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size!r}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last!r}")
        self.sampler = sampler
        self.batch_size = int(batch_size)
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self._batches(iter(self.sampler))  # iter() here, not at the first batch: see the module's docstring

    def _batches(self, indices: Iterator[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in indices:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
