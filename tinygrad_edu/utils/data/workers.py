"""Threads that read batches ahead while the caller computes.

Threads, not processes as in PyTorch: NumPy and Numba release the interpreter lock while they work, nothing is pickled,
and classes defined in a notebook work. What differs for the reader of PyTorch's manual:

- every worker sees a *shallow* copy of the data set (`copy.copy`), so attributes that `worker_init_fn` sets are its
  own, but arrays and lists inside are shared;
- the global random generators are shared and not reseeded. Code that draws inside `__getitem__` makes its own
  generator from `get_worker_info().seed` (base seed + worker id; the base seed comes from the loader's generator).
"""

from __future__ import annotations

import copy
import queue
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tinygrad_edu.utils.data.dataset import Dataset

Fetch = Callable[[Any], Any]


@dataclass(frozen=True)
class WorkerInfo:
    """What `get_worker_info()` tells the code that runs in a worker."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_this_thread = threading.local()


def get_worker_info() -> WorkerInfo | None:
    """The worker that runs this code, or None outside of a worker."""
    info: WorkerInfo | None = getattr(_this_thread, "info", None)
    return info


class Exhausted:
    """A worker's answer when its stream of samples has ended."""


@dataclass
class Failure:
    """An exception in a worker, on its way to the caller."""

    error: BaseException
    worker: int
    text: str

    def reraise(self) -> None:
        """Raise the worker's type of exception with the worker's traceback in its message, as PyTorch does."""
        message = f"Caught {type(self.error).__name__} in DataLoader worker thread {self.worker}.\nOriginal {self.text}"
        if isinstance(self.error, KeyError):
            raise KeyError(_Verbatim(message)) from self.error
        try:
            again = type(self.error)(message)
        except Exception:  # a type that takes other arguments than one message
            again = RuntimeError(message)
        raise again from self.error


class _Verbatim(str):
    """KeyError prints the repr of its message; this one's repr keeps the line breaks."""

    def __repr__(self) -> str:
        return str(self)


@dataclass
class Epoch:
    """One pass over the data: where its batches go, and how each worker reads them."""

    make_fetch: Callable[[Any], Fetch]  # data set -> a function from indices to a batch
    results: queue.SimpleQueue[tuple[int, Any]] = field(default_factory=queue.SimpleQueue)
    fetches: dict[int, Fetch] = field(default_factory=dict)
    cancelled: bool = False


Task = tuple[Epoch, int, Any]  # the epoch, the batch's position in it, the indices


def _run(info: WorkerInfo, tasks: queue.SimpleQueue[Task | None], init: Callable[[int], Any] | None) -> None:
    """A worker's life: batches until None comes. Holds no reference to the loader, so that both can be freed."""
    _this_thread.info = info
    broken: Failure | None = None
    try:
        if init is not None:
            init(info.id)
    except BaseException as error:
        broken = Failure(error, info.id, traceback.format_exc())
    while (task := tasks.get()) is not None:
        epoch, position, indices = task
        if not epoch.cancelled:
            epoch.results.put((position, broken or _fetch(epoch, info, indices)))
        del task, epoch, indices  # while waiting, keep nothing of a finished epoch alive


def _fetch(epoch: Epoch, info: WorkerInfo, indices: Any) -> Any:
    try:
        if info.id not in epoch.fetches:
            epoch.fetches[info.id] = epoch.make_fetch(info.dataset)
        return epoch.fetches[info.id](indices)
    except StopIteration:
        return Exhausted()
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: a silent worker would hang the caller
        return Failure(error, info.id, traceback.format_exc())


class Workers:
    """`count` threads with a queue of tasks each."""

    def __init__(self, count: int, dataset: Any, base_seed: int, init: Callable[[int], Any] | None) -> None:
        self.queues: list[queue.SimpleQueue[Task | None]] = [queue.SimpleQueue() for _ in range(count)]
        self.threads = []
        for i, tasks in enumerate(self.queues):
            info = WorkerInfo(i, count, base_seed + i, _copy_of(dataset))
            name = f"tinygrad_edu DataLoader worker {i}"
            self.threads.append(threading.Thread(target=_run, args=(info, tasks, init), name=name, daemon=True))
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """End the threads, after the batch each is reading."""
        for tasks in self.queues:
            tasks.put(None)
        for thread in self.threads:
            if thread is not threading.current_thread():  # the garbage collector may call this in a worker
                thread.join()


def _copy_of(dataset: Any) -> Any:
    return copy.copy(dataset) if isinstance(dataset, Dataset) else dataset


def read_ahead(
    workers: Workers, epoch: Epoch, batches: Iterator[Any], prefetch: int, timeout: float, streams: bool
) -> Iterator[Any]:
    """The epoch's batches in order, `prefetch` tasks per worker ahead.

    Batch k is worker k % n's; with streams (each worker reads its own), workers take turns until theirs has ended.
    """
    count = len(workers.queues)
    active = [True] * count
    ahead: list[tuple[int, int]] = []  # (position, worker) of the tasks under way, in order
    arrived: dict[int, Any] = {}
    position = turn = 0

    def submit() -> None:
        nonlocal position, turn
        if not any(active):
            return
        while not active[turn % count]:
            turn += 1
        try:
            indices = next(batches)
        except StopIteration:
            return
        workers.queues[turn % count].put((epoch, position, indices))
        ahead.append((position, turn % count))
        position, turn = position + 1, turn + 1

    for _ in range(prefetch * count):
        submit()
    while ahead:
        wanted, worker = ahead.pop(0)
        while wanted not in arrived:
            arrived.update([_receive(epoch, timeout)])
        result = arrived.pop(wanted)
        if isinstance(result, Exhausted):
            if not streams:
                result = Failure(StopIteration(), worker, "Traceback: __getitem__ raised StopIteration\n")
            else:
                active[worker] = False
                submit()
                continue
        if isinstance(result, Failure):
            result.reraise()
        submit()
        yield result


def _receive(epoch: Epoch, timeout: float) -> tuple[int, Any]:
    while True:
        try:
            return epoch.results.get(timeout=timeout or 1.0)
        except queue.Empty:
            if timeout:
                raise RuntimeError(
                    f"DataLoader timed out after {timeout} seconds: a worker needs longer for one batch; raise "
                    "timeout= or set it to 0 to wait without limit"
                ) from None
            # Without a limit, wait in short turns: on Windows Ctrl-C does not interrupt an endless wait.
