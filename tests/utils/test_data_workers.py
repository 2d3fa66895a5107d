"""DataLoader with worker threads: streams, errors, seeds, and threads that always end."""

from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.random import Generator
from tinygrad_edu.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    get_worker_info,
)


class Stream(IterableDataset):
    """0 .. n - 1, shared out among the workers as PyTorch's manual shows."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        return iter(range(self.n)) if info is None else iter(range(info.id, self.n, info.num_workers))

    def __len__(self):
        return self.n


class Failing(Dataset):
    def __init__(self, error):
        self.error = error

    def __getitem__(self, index):
        if index == 5:
            raise self.error
        return index

    def __len__(self):
        return 10


def lists(loader):
    return [np.asarray(batch).tolist() for batch in loader]


def worker_threads():
    return [thread for thread in threading.enumerate() if "DataLoader worker" in thread.name]


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    if worker_threads():
        gc.collect()  # a test's own exception may have held an iterator
    assert worker_threads() == []


@pytest.mark.parametrize(("workers", "drop_last"), [(0, False), (0, True), (1, False), (1, True)])
def test_streams(workers, drop_last):
    loader = DataLoader(Stream(7), 3, num_workers=workers, drop_last=drop_last)
    assert lists(loader) == [[0, 1, 2], [3, 4, 5]] + ([] if drop_last else [[6]])
    assert len(loader) == len(lists(loader))


def test_streams_take_turns():
    assert lists(DataLoader(Stream(11), 2, num_workers=2)) == [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9]]
    assert list(DataLoader(Stream(5), None, num_workers=3)) == [0, 1, 2, 3, 4]


def test_each_worker_has_its_own_copy_of_a_stream():
    class Range(IterableDataset):
        def __init__(self, start, end):
            self.start, self.end = start, end

        def __iter__(self):
            return iter(range(self.start, self.end))

    def take_your_half(worker):
        dataset = get_worker_info().dataset
        dataset.start, dataset.end = (0, 3) if worker == 0 else (3, 6)

    whole = Range(0, 6)
    assert sorted(DataLoader(whole, None, num_workers=2, worker_init_fn=take_your_half)) == [0, 1, 2, 3, 4, 5]
    assert (whole.start, whole.end) == (0, 6)


@pytest.mark.parametrize("error", [ValueError("number five"), KeyError("five"), ShapeError("five"), SystemExit(5)])
def test_an_exception_comes_back_with_the_workers_traceback(error):
    loader = DataLoader(Failing(error), 2, num_workers=2)
    batches = iter(loader)
    assert [np.asarray(next(batches)).tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(type(error)) as caught:
        next(batches)
    words = str(caught.value)
    assert f"Caught {type(error).__name__} in DataLoader worker thread 0" in words
    assert "in __getitem__\n" in words
    assert "five" in words or "SystemExit: 5" in words
    assert caught.value.__cause__ is error
    assert worker_threads() == []


def test_an_exception_that_takes_other_arguments():
    class Odd(Exception):
        def __init__(self, first, second):
            super().__init__(first, second)

    with pytest.raises(RuntimeError, match="Caught Odd in DataLoader worker thread 0"):
        list(DataLoader(Failing(Odd(1, 2)), 2, num_workers=1))


def test_no_thread_is_left_behind():
    loader = DataLoader(range(100), 2, num_workers=3)
    for _ in loader:
        assert len(worker_threads()) == 3
        break
    assert worker_threads() == []
    list(loader)
    assert worker_threads() == []
    iter(loader)
    assert worker_threads() == []


def test_leaving_early_reads_only_a_little_ahead():
    class Slow(Dataset):
        reads = 0

        def __getitem__(self, index):
            Slow.reads += 1
            time.sleep(0.002)
            return index

        def __len__(self):
            return 1000

    for _ in DataLoader(Slow(), 1, num_workers=2, prefetch_factor=2):
        break
    assert Slow.reads <= 5


def test_workers_read_at_the_same_time():
    meet = threading.Barrier(2, timeout=10)

    class Meeting(Dataset):
        def __getitem__(self, index):
            meet.wait()  # passes only when two threads are here
            return index

        def __len__(self):
            return 6

    assert lists(DataLoader(Meeting(), 1, num_workers=2)) == [[i] for i in range(6)]


def test_slow_workers_do_not_change_the_order():
    class Uneven(Dataset):
        def __getitem__(self, index):
            time.sleep(0.003 * (index % 3 == 0))
            return index

        def __len__(self):
            return 30

    assert sum(lists(DataLoader(Uneven(), 2, num_workers=4)), []) == list(range(30))


def test_worker_info_and_seeds():
    assert get_worker_info() is None
    started = []

    class Who(Dataset):
        def __getitem__(self, index):
            info = get_worker_info()
            return info.id, info.num_workers, info.seed

        def __len__(self):
            return 4

    def run():
        generator = Generator().manual_seed(1)
        return list(DataLoader(Who(), None, num_workers=2, worker_init_fn=started.append, generator=generator))

    batches = run()
    assert [(worker, count) for worker, count, _ in batches] == [(0, 2), (1, 2), (0, 2), (1, 2)]
    assert batches[1][2] == batches[0][2] + 1
    assert sorted(started) == [0, 1]
    assert run() == batches


def test_an_error_in_worker_init_fn():
    with pytest.raises(ZeroDivisionError, match="worker thread 0"):
        list(DataLoader(range(3), num_workers=1, worker_init_fn=lambda worker: 1 // worker))
    with pytest.raises(TypeError, match="must be callable"):
        DataLoader(range(3), worker_init_fn=3)


def test_persistent_workers():
    started = []
    loader = DataLoader(range(9), 2, num_workers=2, persistent_workers=True, worker_init_fn=started.append)
    first = lists(loader)
    threads = worker_threads()
    assert len(threads) == 2
    for _ in loader:
        break
    nested = [(np.asarray(a).tolist(), np.asarray(b).tolist()) for a, b in zip(loader, loader, strict=True)]
    assert nested == [(batch, batch) for batch in first]
    assert lists(loader) == first
    assert worker_threads() == threads
    assert sorted(started) == [0, 1]
    del loader
    assert worker_threads() == []


def test_persistent_workers_read_a_stream_again():
    loader = DataLoader(Stream(5), 2, num_workers=2, persistent_workers=True)
    assert lists(loader) == lists(loader) == [[0, 2], [1, 3], [4]]


def test_timeout():
    released = threading.Event()

    class Stuck(Dataset):
        def __getitem__(self, index):
            released.wait(10)
            return index

        def __len__(self):
            return 1

    loader = DataLoader(Stuck(), num_workers=1, timeout=0.05)
    timer = threading.Timer(0.2, released.set)
    timer.start()
    with pytest.raises(RuntimeError, match="timed out after 0.05 seconds"):
        list(loader)
    timer.join()
