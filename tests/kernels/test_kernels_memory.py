"""The pool of large buffers: arrays like all others, in memory that nobody else can see."""

from __future__ import annotations

import copy
import gc
import mmap
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import nn, optim
from tinygrad_edu.autograd import versions
from tinygrad_edu.kernels import memory
from tinygrad_edu.nn import functional as F

LARGE = memory.SMALLEST // 4  # float32 elements


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """A pool of the test's own."""
    monkeypatch.setattr(memory, "_pool", memory._Pool())
    return memory._pool


def address(x):
    return x.__array_interface__["data"][0]


@pytest.mark.parametrize("shape", [(LARGE,), (4, LARGE), (3, 7, 11, 113), LARGE, ()])
@pytest.mark.parametrize("dtype", ["f4", np.float64, np.int64, bool, np.dtype(np.uint8)])
def test_is_an_array_like_any_other(shape, dtype):
    x, plain = memory.empty(shape, dtype), np.empty(shape, dtype)
    assert type(x) is np.ndarray
    assert (x.shape, x.dtype, x.strides) == (plain.shape, plain.dtype, plain.strides)
    assert x.flags.c_contiguous and x.flags.writeable and x.flags.aligned
    assert memory.empty_like(x.T).shape == x.T.shape and memory.empty_like(x.T).flags.c_contiguous
    if x.nbytes >= memory.SMALLEST:
        assert address(x) % 64 == 0
        assert memory.statistics().lent >= x.nbytes
    assert memory.is_whole(x) and memory.is_whole(plain) and not memory.is_whole(x[...])


def test_small_arrays_and_objects_are_numpys():
    kept = [memory.empty(LARGE - 1, np.float32), memory.empty((0, 10**9), np.float32), memory.empty(LARGE, object)]
    assert memory.statistics() == (0, 0, 0)
    assert kept[2][0] is None


def test_a_buffer_is_used_again():
    x = memory.empty((2, LARGE), np.float32)
    where = address(x)
    del x
    assert memory.statistics().idle == memory.statistics().lent + 8 * LARGE
    y = memory.empty((LARGE, 2), np.int32)
    assert address(y) == where and memory.statistics() == (1, 8 * LARGE, 0)


def test_views_keep_it():
    x = memory.empty((4, LARGE), np.float32)
    x[...] = 7
    views = [x[1:][::2].T, memoryview(x[3]), np.frombuffer(x, np.int8), x.view(np.matrix)[0], x.reshape(-1)[:1]]
    views.append(np.lib.stride_tricks.as_strided(x, (2, 2), (4, 4)))
    views.append(np.ndarray((3,), np.float32, x))
    views.append(iter(x))
    where = address(x)
    del x
    while views:
        assert address(memory.empty((4, LARGE), np.float32)) != where
        views.pop()
    memory.release()  # of the other one
    assert memory.statistics().idle == 0


def test_whoever_keeps_the_mapping_keeps_it_for_good():
    for keep in (lambda x: x.base, lambda x: memoryview(x.base), lambda x: np.frombuffer(x.base, np.float32)):
        x = memory.empty(LARGE, np.float32)
        x[...] = 3
        kept = keep(x)
        del x
        y = memory.empty(LARGE, np.float32)
        y[...] = 5
        assert (np.frombuffer(kept, np.float32) == 3).all()
        del y
        memory.release()


def test_the_mapping_cannot_be_closed_under_an_array():
    x = memory.empty(LARGE, np.float32)
    assert type(x.base) is mmap.mmap
    with pytest.raises(BufferError):
        x.base.close()


def test_cycles_and_resurrection():
    class Node:
        saved = None

        def __init__(self):
            self.me, self.array = self, memory.empty(LARGE, np.float32)

        def __del__(self):
            Node.saved = self.array

    node = Node()
    node.array[...] = 3
    where = address(node.array)
    del node
    gc.collect()
    assert address(Node.saved) == where and memory.statistics().idle == 0
    memory.empty(LARGE, np.float32)[...] = 5
    assert (Node.saved == 3).all()
    Node.saved = None
    assert memory.statistics().lent == 0


def test_copies_are_the_users():
    x = memory.empty((2, LARGE), np.float32)
    x[...] = 3
    copies = [copy.deepcopy(x), copy.copy(x), pickle.loads(pickle.dumps(x)), np.resize(x, (4, LARGE)), x.copy()]
    assert all(np.all(y == 3) and not np.shares_memory(x, y) for y in copies)
    with pytest.raises(ValueError, match="own"):
        x.resize((4, LARGE), refcheck=False)
    del x
    memory.empty((2, LARGE), np.float32)[...] = 5
    assert all(np.all(y == 3) for y in copies)


def test_errors_leak_nothing():
    with pytest.raises(ValueError, match="negative"):
        memory.empty((-2, -LARGE), np.float32)
    with pytest.raises((MemoryError, ValueError)):
        memory.empty((2**40, 2**20), np.float32)
    with pytest.raises(TypeError):
        memory.empty((LARGE, LARGE), "no dtype")
    assert memory.statistics().lent == 0


def test_in_place_tracking_starts_anew_with_the_buffer():
    x = memory.empty(LARGE, np.float32)
    view = x[3:]
    assert versions.owner(view[1:]) is x and versions.owner(x) is x
    versions.bump(view)
    assert versions.count(x) == 1
    where = address(x)
    del x, view
    y = memory.empty(LARGE, np.float32)
    assert address(y) == where and versions.count(y) == versions.last_change(y) == 0


def test_a_stale_saved_value_is_still_an_error():
    x = tg.ones(8, LARGE, requires_grad=True)
    y = x.exp()
    assert not y.array.flags.owndata
    z = y * 2
    y.add_(1)
    with pytest.raises(RuntimeError, match="in.?place"):
        (z.sum() + y.exp().sum() + x.exp().mul_(y).sum()).backward()
        tg.autograd.grad(y.sum(), x)


@settings(max_examples=60)
@given(data=st.data())
def test_nobody_sees_a_buffer_change(data):
    """Random arrays, views of views and deaths: each holds what was written last through its own family."""
    memory.release()
    families = {}  # number -> every array over one memory, all of that value
    sizes = st.sampled_from([LARGE, LARGE + 1, 2 * LARGE - 3, 2 * LARGE, 5 * LARGE])
    for number in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from("naaavvvvdddk"))
        if action in "na" or not families:
            x = memory.empty((data.draw(sizes),), np.float32)
            x[...] = number
            families[number] = [x]
        else:
            chosen = data.draw(st.sampled_from(sorted(families)))
            family = families[chosen]
            place = data.draw(st.integers(0, len(family) - 1))
            if action == "v":
                look = [
                    lambda x: x[::2],
                    lambda x: x[x.size // 2 :],
                    lambda x: x.view(np.ndarray),
                    lambda x: np.asarray(memoryview(x)),
                    lambda x: x.reshape(1, -1)[0],
                    lambda x: np.lib.stride_tricks.as_strided(x),
                    lambda x: x.view(np.recarray),
                ]
                family.append(data.draw(st.sampled_from(look))(family[place]))
            elif action == "k":
                base = versions.owner(family[0]).base
                family.append(np.frombuffer(base if type(base) is mmap.mmap else family[0], np.float32, count=1))
            else:
                del family[place]
                if not family:
                    del families[chosen]
        x = family = base = None
        for value, arrays in families.items():
            assert all((np.asarray(array) == value).all() for array in arrays)
            del arrays
    families.clear()
    assert memory.statistics().lent == 0


def test_threads():
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        mine = []
        for turn in range(400):
            value = 1000 * seed + turn
            x = memory.empty((int(rng.integers(1, 4)), LARGE), np.float32)
            x[...] = value
            mine.append((value, x[0]))
            if rng.random() < 0.6:
                value, kept = mine.pop(int(rng.integers(len(mine))))
                wrong.extend([value] * bool((kept != value).any()))
            del mine[:-8]
        wrong.extend(value for value, kept in mine if (kept != value).any())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert memory.statistics().lent == 0


def test_idle_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(memory, "LEAST", 0)
    for size in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 1, 2, 3, 5):  # each used alone: none is of use to the next
        memory.empty((size, LARGE), np.float32)[:] = 0
        largest = 4 * LARGE * 96  # what the shelf of 89 holds
        assert memory.statistics().idle <= (1 + memory.SPARE) * largest
    assert memory.statistics().idle > 0
    memory.release()
    assert memory.statistics()[1:] == (0, 0)


def test_a_smaller_last_batch_takes_the_buffers_that_are_there(monkeypatch):
    monkeypatch.setattr(memory, "LEAST", 0)
    monkeypatch.setattr(memory, "SPARE", 0)

    def step(batch):
        kept = [memory.empty((batch, LARGE, width), np.float32) for width in (1, 2, 2, 3)]
        return len(kept)

    step(64)
    held = memory.statistics()
    for batch in (63, 64, 40, 64, 17, 64):
        step(batch)
        assert memory.statistics() == held


def test_what_is_not_needed_any_more_goes_back(monkeypatch):
    monkeypatch.setattr(memory, "WINDOW", 50)
    memory.empty((100, LARGE), np.float32)
    kept = [memory.empty((2, LARGE), np.float32) for _ in range(5)]
    del kept
    for _ in range(120):
        memory.empty((2, LARGE), np.float32)
    assert memory.statistics().idle == 8 * LARGE


def train(model, x, labels, optimizer):
    loss = F.cross_entropy(model(x), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@pytest.mark.parametrize("cls", [optim.SGD, optim.Adam])
def test_a_training_step_allocates_nothing_large_after_the_second(cls):
    tg.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    x, labels = tg.randn(32, 3, 32, 32), tg.randint(0, 10, (32,))
    optimizer = cls(model.parameters(), lr=0.01)
    for _ in range(2):
        train(model, x, labels, optimizer)
    created = memory.statistics().created
    for _ in range(3):
        train(model, x, labels, optimizer)
    assert created > 5  # the pool was in use at all
    assert memory.statistics().created == created


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120, check=False
    )


def test_exit_with_arrays_alive():
    done = run(
        "import sys, numpy as np; from tinygrad_edu.kernels import memory\n"
        "x = memory.empty((100, 20000), 'f4'); np.kept = x[3:]; sys.kept = [x, memory.empty(10**6, 'f8')]\n"
        "sys.kept.append(sys.kept); memory.kept = memory.empty(10**6, 'f8'); memory.empty(10**6, 'f8')"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_has_memory_of_its_own():
    done = run(
        "import os, numpy as np; from tinygrad_edu.kernels import memory\n"
        "x, y = memory.empty(10**6, 'f4'), memory.empty(10**6, 'f4'); x[:] = 1; del y\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    z = memory.empty(10**6, 'f4'); z[:] = 5; x[:] = 2; os._exit(int(memory.statistics().idle != 0))\n"
        "assert os.waitpid(child, 0)[1] == 0 and (x == 1).all() and memory.statistics().idle > 0"
    )
    assert done.returncode == 0, done.stderr
