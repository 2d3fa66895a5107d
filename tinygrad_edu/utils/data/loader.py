"""`DataLoader`: batches of a data set, shuffled, collated and read ahead."""

from __future__ import annotations

import itertools
import operator
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from tinygrad_edu.random import Generator, default_generator
from tinygrad_edu.utils.data.collate import Collate, default_collate, default_convert
from tinygrad_edu.utils.data.dataset import Dataset, IterableDataset
from tinygrad_edu.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from tinygrad_edu.utils.data.workers import Epoch, Fetch, Workers, read_ahead

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class DataLoader:
    """Iterates over a data set in batches; PyTorch's arguments, rules and errors.

    The order of an epoch is drawn from `generator` (else the default generator) when `iter()` is called, so the same
    seed gives the same batches for every `num_workers`. A batch of a `TensorDataset`, a subset of one, or a data set of
    `tinygrad_edu.datasets` without transforms is read with one indexing per tensor instead of one per sample.

    `num_workers` are threads (see `workers.py` for what that changes); they end with the loop, also when it is left
    early or by an error, unless `persistent_workers`. After an error the epoch is over.
    Raises ValueError for arguments that exclude each other, NotImplementedError for options of processes and
    accelerators. `pin_memory=True` warns: there is no accelerator.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Collate | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_unsupported(multiprocessing_context, pin_memory_device, in_order)
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, worker_init_fn)
        if pin_memory:
            warnings.warn("DataLoader: pin_memory=True has no effect: there is no accelerator here", stacklevel=2)
        self.dataset = dataset
        self.num_workers = operator.index(num_workers)
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers else prefetch_factor
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.persistent_workers = persistent_workers

        self._streams = isinstance(dataset, IterableDataset)
        if self._streams:
            for name, value in (("shuffle", shuffle), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None and not (name == "shuffle" and value is False):
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got "
                        f"{name}={value!r}; a stream has no indices, so it decides its own order"
                    )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader: batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and "
                    "drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "DataLoader: batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
            )
        if sampler is None:
            if self._streams:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn: Collate = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._workers: Workers | None = None
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and self.__dict__.get("_ready"):
            raise ValueError(f"DataLoader: {name} attribute should not be set after DataLoader is initialized")
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        # Drawn whatever num_workers is, so that the generator is in the same state afterwards.
        base_seed = int((self.generator or default_generator).numpy.integers(0, 2**62))
        batches: Iterator[Any] = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)
        make_fetch = partial(_make_fetch, batched=self.batch_sampler is not None, collate=self.collate_fn)
        if self._streams:
            make_fetch = partial(make_fetch, batch_size=self.batch_size, drop_last=self.drop_last)
        if self.num_workers == 0:
            return _read(make_fetch(self.dataset), batches, self._streams)
        return _Ahead(self, Epoch(make_fetch), batches, base_seed)

    def __len__(self) -> int:
        if self._streams:
            n = len(self.dataset)
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]


class _Endless:
    """The "indices" of a stream, which has none."""

    def __iter__(self) -> Iterator[int]:
        return itertools.repeat(0)


def _check_unsupported(multiprocessing_context: Any, pin_memory_device: str, in_order: bool) -> None:
    if multiprocessing_context is not None:
        raise NotImplementedError(
            f"DataLoader: multiprocessing_context={multiprocessing_context!r} is not supported: the workers are "
            "threads and need no context; leave it out"
        )
    if pin_memory_device:
        raise NotImplementedError(
            f"DataLoader: pin_memory_device={pin_memory_device!r} is not supported: there is no accelerator; leave "
            "it out"
        )
    if not in_order:
        raise NotImplementedError(
            "DataLoader: in_order=False is not supported: batches come in the sampler's order; leave it out"
        )


def _check_workers(
    num_workers: int,
    timeout: float,
    prefetch_factor: int | None,
    persistent_workers: bool,
    worker_init_fn: Callable[[int], Any] | None,
) -> None:
    if num_workers < 0:
        raise ValueError(
            f"DataLoader: num_workers option should be non-negative, got {num_workers}; use num_workers=0 to read in "
            "the calling thread"
        )
    if timeout < 0:
        raise ValueError(f"DataLoader: timeout option should be non-negative, got {timeout}")
    if prefetch_factor is not None and prefetch_factor < 1 and num_workers:
        raise ValueError(f"DataLoader: prefetch_factor option should be positive, got {prefetch_factor}")
    if num_workers == 0:
        if prefetch_factor is not None:
            raise ValueError("DataLoader: prefetch_factor option needs num_workers > 0")
        if persistent_workers:
            raise ValueError("DataLoader: persistent_workers option needs num_workers > 0")
        if timeout:
            raise ValueError("DataLoader: timeout option needs num_workers > 0")
    if worker_init_fn is not None and not callable(worker_init_fn):
        raise TypeError("DataLoader: worker_init_fn must be callable")


def _make_fetch(
    dataset: Any, batched: bool, collate: Collate, batch_size: int | None = None, drop_last: bool = False
) -> Fetch:
    """A function from a list of indices (one index when not batched) to what the loader gives out."""
    if isinstance(dataset, IterableDataset):
        return _fetch_from_stream(iter(dataset), batch_size, drop_last, collate)
    if not batched:
        return lambda index: collate(dataset[index])
    read = dataset.batch_reader() if collate is default_collate and isinstance(dataset, Dataset) else None
    if read is not None:
        whole = read
        return lambda indices: whole(indices) if len(indices) else default_collate([])
    if hasattr(dataset, "__getitems__"):
        return lambda indices: collate(dataset.__getitems__(indices))
    return lambda indices: collate([dataset[i] for i in indices])


def _fetch_from_stream(stream: Iterator[Any], batch_size: int | None, drop_last: bool, collate: Collate) -> Fetch:
    """A function that gives the stream's next batch; raises StopIteration at its end."""

    def fetch(_: Any) -> Any:
        if batch_size is None:
            return collate(next(stream))
        samples = list(itertools.islice(stream, batch_size))
        if not samples or (drop_last and len(samples) < batch_size):
            raise StopIteration
        return collate(samples)

    return fetch


def _read(fetch: Fetch, batches: Iterator[Any], streams: bool) -> Iterator[Any]:
    """Batch after batch in the calling thread."""
    for indices in batches:
        try:
            batch = fetch(indices)
        except StopIteration:
            if streams:
                return
            raise
        yield batch


class _Ahead:
    """The iterator of one epoch with worker threads; stops them at its end, however that comes."""

    def __init__(self, loader: DataLoader, epoch: Epoch, batches: Iterator[Any], base_seed: int) -> None:
        workers = loader._workers
        if workers is None:
            workers = Workers(loader.num_workers, loader.dataset, base_seed, loader.worker_init_fn)
            if loader.persistent_workers:
                loader._workers = workers
                weakref.finalize(loader, workers.stop)
        stop = _cancel if loader.persistent_workers else _cancel_and_stop
        # Runs once: at the end of the epoch, when the iterator is dropped, or at the interpreter's exit.
        self._finish = weakref.finalize(self, stop, epoch, workers)
        prefetch = loader.prefetch_factor or 2
        self._batches = read_ahead(workers, epoch, batches, prefetch, loader.timeout, loader._streams)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._batches)
        except BaseException:  # StopIteration, an error from a worker, Ctrl-C
            self._finish()
            raise


def _cancel(epoch: Epoch, workers: Workers) -> None:
    epoch.cancelled = True


def _cancel_and_stop(epoch: Epoch, workers: Workers) -> None:
    epoch.cancelled = True
    workers.stop()
