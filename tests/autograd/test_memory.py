"""Long chains, threads, and memory: nothing recursive, nothing kept, no reference cycles."""

from __future__ import annotations

import contextlib
import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu import autograd
from tinygrad_edu.testing import assert_close


def test_a_chain_of_200_000_ops_forward_backward_and_deletion():
    x = t.tensor(1.0, dtype=t.float64, requires_grad=True)
    tracemalloc.start()
    try:
        y = x
        for _ in range(200_000):
            y = y * 1.000001
        size, _ = tracemalloc.get_traced_memory()
        y.backward()
        assert_close(x.grad, 1.000001**200_000, rtol=1e-6)
        y.detach_()
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / 200_000 < 1500, f"{size / 200_000:.0f} bytes an op"
    assert left < 0.02 * size


def test_a_chain_of_in_place_ops_and_views():
    x = t.ones(3, requires_grad=True)
    y = x * 1
    for k in range(3000):
        y[k % 3] += 1.0
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0] and y.sum().item() == 3003.0


def test_a_long_chain_of_gradients_of_gradients():
    x = t.tensor(0.5, dtype=t.float64, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y.sin()
    (first,) = autograd.grad(y, x, create_graph=True)
    (second,) = autograd.grad(first, x)
    assert first.item() > 0 and second.item() < 0
    del y, first


def test_two_threads_walk_at_once():
    x = t.tensor(np.linspace(0.1, 1, 50), requires_grad=True)
    results, errors = {}, []

    def work(k):
        try:
            w = t.full((50,), float(k), dtype=t.float64, requires_grad=True)
            for _ in range(30):
                y = w * x
                for _ in range(20):
                    y = y + y.sin() * 0.1
                w.grad = None
                y.sum().backward(inputs=[w])
            results[k] = w.grad.array
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for k, found in results.items():
        work(k)
        np.testing.assert_array_equal(results[k], found)


def test_two_threads_walk_the_same_graph():
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = (x.exp() * x.sin()).sum()
    expected = autograd.grad(y, x, retain_graph=True)[0].tolist()
    found = []

    def work():
        found.append(autograd.grad(y, x, retain_graph=True)[0].tolist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _plain(refs):
    w = t.randn(20, 20, requires_grad=True)
    h = (w @ w).tanh()
    loss = h.sum()
    refs += [weakref.ref(h.array), weakref.ref(loss.node), weakref.ref(w.array)]
    loss.backward()


def _never_walked(refs):
    w = t.randn(20, 20, requires_grad=True)
    h = (w @ w).softmax(1)
    refs += [weakref.ref(h.array), weakref.ref(h.node), weakref.ref(w.array)]


def _create_graph(refs):
    w = t.randn(20, 20, requires_grad=True)
    h = (w @ w).tanh()
    (g,) = autograd.grad(h.sum(), w, create_graph=True)
    g.pow(2).sum().backward()
    refs += [weakref.ref(h.array), weakref.ref(g.array), weakref.ref(w.array)]


def _hooked(refs):
    w = t.randn(20, 20, requires_grad=True)
    h = w @ w
    h.retain_grad()
    h.register_hook(lambda g: g * 2)
    w.register_hook(lambda g: None)
    h.sum().backward()
    refs += [weakref.ref(h.array), weakref.ref(h.grad.array), weakref.ref(w.array)]


def _in_place(refs):
    w = t.randn(20, 20, requires_grad=True)
    h = w * 1
    part = h[0]
    part.mul_(2)
    h[1] = part.detach()
    h.T.add_(1)
    (h * h).sum().backward()
    refs += [weakref.ref(h.array), weakref.ref(h.node), weakref.ref(w.array)]


def _drawn(refs):
    w = t.randn(20, 20, requires_grad=True)
    loss = (w.detach() * w).log_softmax(1).sum()
    from tinygrad_edu.autograd.graph import graph_of

    with autograd.keep_values():
        other = (w @ w).sum()
    refs += [weakref.ref(loss.node), weakref.ref(other.node), weakref.ref(w.array)]
    graph_of(loss, other)


def _failed(refs):
    w = t.randn(20, 20, requires_grad=True)
    loss = (w * w).sum()
    loss.backward()
    with contextlib.suppress(RuntimeError):
        loss.backward()
    refs += [weakref.ref(loss.node), weakref.ref(w.array)]


@pytest.mark.parametrize("work", [_plain, _never_walked, _create_graph, _hooked, _in_place, _drawn, _failed])
def test_no_reference_cycle_keeps_arrays_alive(without_collector, work):
    refs = []
    work(refs)
    assert [r() for r in refs] == [None] * len(refs)


def test_backward_frees_what_it_walked_while_the_loss_lives():
    w = t.randn(50, 50, requires_grad=True)
    h = (w @ w).exp()
    kept = weakref.ref(h.array)
    loss = h.sum()
    del h
    assert kept() is not None
    loss.backward()
    assert kept() is None, "exp saved its result, and backward released it"


def test_no_growth_over_training_steps():
    w = t.randn(10, 10, requires_grad=True)
    v = t.randn(10, requires_grad=True)

    def step():
        loss = ((w @ v).relu() ** 2).mean() + w.norm() + t.softmax(w, 1)[0, 0]
        w.grad = v.grad = None
        loss.backward()
        with t.no_grad():
            w.sub_(0.01 * w.grad)
            v.sub_(0.01 * v.grad)

    for _ in range(20):
        step()
    gc.collect()
    objects = len(gc.get_objects())
    tracemalloc.start()
    try:
        for _ in range(10):
            step()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(100):
            step()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4000
    assert len(gc.get_objects()) - objects < 50


def test_in_place_bookkeeping_forgets_dead_arrays():
    from tinygrad_edu.autograd import versions

    before = len(versions.changed)
    for _ in range(100):
        t.zeros(3).add_(1)
    gc.collect()
    assert len(versions.changed) <= before


def test_a_leaf_takes_over_a_gradient_that_nobody_else_holds():
    """add hands one array to both its inputs: one of them may keep it, the other needs a copy, and neither may change
    when the other does."""
    x, y = (t.ones(5000, requires_grad=True) for _ in range(2))
    for _ in range(2):
        (x + y).backward(t.full((5000,), 2.0))
    assert not np.shares_memory(x.grad.array, y.grad.array)
    assert (x.grad.array == 4).all()
    assert (y.grad.array == 4).all()
    seed = t.full((5000,), 3.0)
    z = t.ones(5000, requires_grad=True)
    (z + 0.0).backward(seed)
    assert not np.shares_memory(z.grad.array, seed.array)
    seen = []
    w = t.ones(5000, requires_grad=True)
    w.register_hook(seen.append)
    (w + 0.0).sum().backward()
    w.grad.array[:] = 7
    assert (seen[0].array == 1).all()
