"""Two threads that train two models at once get, bit for bit, what one after the other gets."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn, optim
from tinygrad_edu.utils.data import DataLoader, TensorDataset


# Large enough for the compiled kernels, which run in parallel, and for memory that is used again.
def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 512), nn.LayerNorm(512), nn.GELU(), nn.Linear(512, 5))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 5),
    )


def made(build, seed):
    """A model and its loader; made in one thread, since initialisation draws from the one default generator."""
    tg.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(128, 1, 16, 16)).astype(np.float32)
    labels = rng.integers(0, 5, 128)
    data = TensorDataset(tg.from_numpy(x), tg.from_numpy(labels))
    return build(), DataLoader(data, 32, shuffle=True, generator=tg.Generator().manual_seed(seed))


def train(model, loader, epochs=5):
    """All losses and final values, as bytes."""
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    losses = []
    for _ in range(epochs):
        model.train()
        for x, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        model.eval()
        with tg.no_grad():
            losses.append(sum(F.cross_entropy(model(x), labels).item() for x, labels in loader))
    return losses, {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    "builds", [(mlp, cnn), (cnn, cnn), (mlp, mlp)], ids=lambda b: f"{b[0].__name__}+{b[1].__name__}"
)
def test_two_threads(builds):
    expected = [train(*made(build, seed)) for seed, build in enumerate(builds)]
    pairs = [made(build, seed) for seed, build in enumerate(builds)]
    results, start = [None, None], threading.Barrier(2)

    def work(k):
        start.wait()
        results[k] = train(*pairs[k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for result, one_by_one in zip(results, expected, strict=True):
        assert result is not None, "a thread has failed"
        assert result[0] == one_by_one[0]
        assert result[1] == one_by_one[1]


def test_modes_belong_to_their_thread():
    inside, leave = threading.Event(), threading.Event()

    def without_gradients():
        with tg.no_grad():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=without_gradients)
    thread.start()
    inside.wait(10)
    try:
        assert tg.is_grad_enabled()
        x = tg.ones(2, requires_grad=True)
        (x * x).sum().backward()
        assert x.grad.tolist() == [2, 2]
    finally:
        leave.set()
        thread.join(10)


def test_a_threads_error_leaves_the_other_alone():
    model, loader = made(mlp, 3)
    expected = train(*made(mlp, 3), epochs=2)
    errors = []

    def wrong():
        for _ in range(200):
            try:
                x = tg.ones(2, 3, requires_grad=True)
                (x @ x).sum().backward()
            except RuntimeError as error:
                errors.append(error)

    thread = threading.Thread(target=wrong)
    thread.start()
    assert train(model, loader, epochs=2) == expected
    thread.join(30)
    assert len(errors) == 200
