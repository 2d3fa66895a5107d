"""DataLoader: arguments, order, the fast path, and worker threads that always end."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import tinygrad_edu
from tinygrad_edu import random
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.random import Generator
from tinygrad_edu.recording import wrap
from tinygrad_edu.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    default_collate,
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


def tensors(n=23):
    x = np.random.default_rng(0).normal(size=(n, 2, 3)).astype(np.float32)
    return TensorDataset(wrap(x), wrap(np.arange(n)))


def values(batches):
    return [[np.asarray(part).tolist() for part in batch] for batch in batches]


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


# Arguments


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_workers": -1}, "num_workers option should be non-negative, got -1"),
        ({"timeout": -1}, "timeout option should be non-negative"),
        ({"timeout": 5}, "timeout option needs num_workers > 0"),
        ({"prefetch_factor": 2}, "prefetch_factor option needs num_workers > 0"),
        ({"num_workers": 1, "prefetch_factor": -1}, "prefetch_factor option should be positive"),
        ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
        ({"sampler": [1], "shuffle": True}, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[1]], "batch_size": 3}, "batch_sampler option is mutually exclusive"),
        ({"batch_sampler": [[1]], "shuffle": True}, "batch_sampler option is mutually exclusive"),
        ({"batch_sampler": [[1]], "sampler": [1]}, "batch_sampler option is mutually exclusive"),
        ({"batch_sampler": [[1]], "drop_last": True}, "batch_sampler option is mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, "batch_size=None option disables auto-batching"),
        ({"batch_size": 0}, "batch_size should be a positive integer value, but got batch_size=0"),
        ({"batch_size": 2.5}, "batch_size should be a positive integer value"),
        ({"drop_last": 3}, "drop_last should be a boolean value"),
    ],
)
def test_exclusive_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        DataLoader(range(10), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}])
def test_a_stream_has_no_order_to_choose(options):
    with pytest.raises(ValueError, match=f"expected unspecified {next(iter(options))} option"):
        DataLoader(Stream(3), **options)
    DataLoader(Stream(3), shuffle=False)


@pytest.mark.parametrize("name", ["batch_size", "batch_sampler", "sampler", "drop_last", "dataset"])
def test_fixed_once_made(name):
    with pytest.raises(ValueError, match=f"{name} attribute should not be set"):
        setattr(DataLoader(range(3)), name, None)


def test_pin_memory_warns():
    with pytest.warns(UserWarning, match="no accelerator"):
        DataLoader(range(3), pin_memory=True)


@pytest.mark.parametrize(
    "options", [{"multiprocessing_context": "spawn"}, {"pin_memory_device": "cuda"}, {"in_order": False}]
)
def test_options_of_processes_and_accelerators_are_refused(options):
    with pytest.raises(NotImplementedError, match=f"{next(iter(options))}=.* is not supported.*leave it out"):
        DataLoader(range(3), **options)


def test_other_parts_of_utils_name_the_nearest_way():
    with pytest.raises(AttributeError, match=r"utils' has no attribute 'tensorboard'; .*visualize.curves"):
        _ = tinygrad_edu.utils.tensorboard
    with pytest.raises(AttributeError, match="no attribute 'nothing'; if PyTorch has it"):
        _ = tinygrad_edu.utils.nothing


def test_an_empty_data_set():
    assert list(DataLoader([])) == []
    with pytest.raises(ValueError, match="num_samples=0: the data set is empty"):
        DataLoader([], shuffle=True)


# Batches


@pytest.mark.parametrize("workers", [0, 2])
def test_order_and_lengths(workers):
    loader = DataLoader(range(10), batch_size=4, num_workers=workers)
    assert lists(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader) == 3
    loader = DataLoader(range(10), batch_size=4, drop_last=True, num_workers=workers)
    assert lists(loader) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(loader) == 2
    assert lists(DataLoader(range(10), sampler=[3, 1], num_workers=workers)) == [[3], [1]]
    loader = DataLoader(range(10), batch_sampler=[[3, 1], [2]], num_workers=workers)
    assert lists(loader) == [[3, 1], [2]]
    assert loader.batch_size is None
    assert list(DataLoader(range(4), batch_size=None, num_workers=workers)) == [0, 1, 2, 3]
    assert list(DataLoader(range(4), 3, collate_fn=sum, num_workers=workers)) == [3, 3]


def test_a_tensor_is_a_data_set():
    assert lists(DataLoader(wrap(np.arange(5)), 2)) == [[0, 1], [2, 3], [4]]


def test_the_same_seed_gives_the_same_batches_for_any_number_of_workers():
    epochs, states = [], []
    for workers in (0, 1, 3):
        generator = Generator().manual_seed(4)
        loader = DataLoader(tensors(), 4, shuffle=True, num_workers=workers, generator=generator)
        epochs.append([values(loader), values(loader)])
        states.append(generator.get_state().tolist())
    assert epochs[0] == epochs[1] == epochs[2]
    assert states[0] == states[1] == states[2]
    assert epochs[0][0] != epochs[0][1]


def test_shuffling_draws_from_the_default_generator():
    before = random.get_rng_state()
    try:
        random.manual_seed(0)
        first = lists(DataLoader(range(20), 7, shuffle=True))
        random.manual_seed(0)
        epoch = iter(DataLoader(range(20), 7, shuffle=True))
        random.manual_seed(99)  # the order was drawn by iter()
        assert [np.asarray(batch).tolist() for batch in epoch] == first
        assert sorted(sum(first, [])) == list(range(20))
    finally:
        random.set_rng_state(before)


def one_by_one(batch):
    return default_collate(batch)  # not default_collate itself, so the loader reads sample by sample


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 4, 50])
def test_fast_path_equals_one_by_one(workers, batch_size):
    whole = tensors()
    subset = Subset(Subset(whole, range(20, 2, -1)), [4, 0, -1, 7])
    for dataset in (whole, subset):
        options = {"sampler": list(range(len(dataset)))[::-1], "num_workers": workers}
        fast = list(DataLoader(dataset, batch_size, **options))
        slow = list(DataLoader(dataset, batch_size, collate_fn=one_by_one, **options))
        assert values(fast) == values(slow)
        assert [type(batch) for batch in fast] == [type(batch) for batch in slow] == [list] * len(fast)
        assert [[(p.dtype, p.shape) for p in b] for b in fast] == [[(p.dtype, p.shape) for p in b] for b in slow]


def test_fast_path_indexes_once_per_batch():
    class Counting:
        def __init__(self, tensor):
            self.tensor, self.shape, self.reads = tensor, tensor.shape, 0

        def __getitem__(self, index):
            self.reads += 1
            return self.tensor[index]

    counting = Counting(wrap(np.arange(10)))
    list(DataLoader(TensorDataset(counting), 5))
    assert counting.reads == 2


def test_samples_that_require_grad_stay_in_the_graph():
    weight = wrap(np.arange(6.0).reshape(3, 2)).requires_grad_()
    for collate in (None, one_by_one):
        weight.grad = None
        (batch,) = DataLoader(TensorDataset(weight), 2, sampler=[2, 0], collate_fn=collate)
        (batch[0] * batch[0]).sum().backward()
        assert np.asarray(weight.grad).tolist() == [[0, 2], [0, 0], [8, 10]]


def test_fast_path_leaves_subclasses_alone():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            return tuple(np.asarray(part) * 2 for part in super().__getitem__(index))

    doubled = Doubled(wrap(np.arange(4)))
    assert values(DataLoader(doubled, 2)) == [[[0, 2]], [[4, 6]]]
    assert values(DataLoader(Subset(doubled, [3, 1]), 2)) == [[[6, 2]]]


def test_fast_path_refuses_what_is_no_index():
    with pytest.raises(TypeError, match="indices of a batch must be integers, got float64"):
        list(DataLoader(tensors(), sampler=[0.5]))
    with pytest.raises(IndexError):
        list(DataLoader(tensors(), sampler=[23]))


def test_getitems_of_pytorch():
    class Many(Dataset):
        def __getitems__(self, indices):
            return [10 * i for i in indices]

        def __len__(self):
            return 3

    assert lists(DataLoader(Many(), 2)) == [[0, 10], [20]]
    assert lists(DataLoader(Subset(Many(), [2, 1]), 2)) == [[20, 10]]


def test_samples_of_different_shapes_name_the_shapes():
    with pytest.raises(ShapeError, match=r"\(1,\) at entry 0 and \(2,\) at entry 1"):
        list(DataLoader([np.zeros(1), np.zeros(2)], 2))


@pytest.mark.torch
def test_lengths_and_orders_as_torch():
    torch = pytest.importorskip("torch")
    theirs = torch.utils.data
    for n in (0, 1, 7, 8):
        for size in (1, 3, 8, None):
            for drop_last in (False, True):
                if size is None and drop_last:
                    continue
                ours = DataLoader(range(n), size, drop_last=drop_last)
                expected = theirs.DataLoader(range(n), size, drop_last=drop_last)
                assert len(ours) == len(expected)
                assert lists(ours) == [np.asarray(batch).tolist() for batch in expected]
    sampler = BatchSampler(SequentialSampler(range(7)), 3, True)
    assert list(sampler) == list(theirs.BatchSampler(theirs.SequentialSampler(range(7)), 3, True))
    assert len(RandomSampler(range(7), num_samples=9)) == len(theirs.RandomSampler(range(7), num_samples=9))
