"""All parameters of a group in one launch: every bit as one parameter after the other, and nothing goes stale."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import kernels, nn, optim

pytest.importorskip("numba")

OPTIMISERS = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1, "maximize": True}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (optim.RMSprop, {"lr": 0.1}),
    (optim.RMSprop, {"lr": 0.1, "momentum": 0.9, "centered": True, "weight_decay": 0.1, "maximize": True}),
    (optim.Adam, {"lr": 0.1, "weight_decay": 0.1}),
    (optim.Adam, {"lr": 0.1, "amsgrad": True, "maximize": True}),
    (optim.AdamW, {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True}),
    (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "maximize": True}),
]
every = pytest.mark.parametrize(
    ("cls", "options"), OPTIMISERS, ids=[f"{cls.__name__}-{k}" for k, (cls, _) in enumerate(OPTIMISERS)]
)
SHAPES = [(3,), (), (7, 300), (0, 4), (2, 1024), (1025,), (64, 3, 3, 3)]


def parameters(dtype=np.float32, shapes=SHAPES):
    rng = np.random.default_rng(0)
    return [nn.Parameter(tg.from_numpy(np.asarray(rng.standard_normal(shape), dtype))) for shape in shapes]


def set_gradients(params, seed, but=()):
    rng = np.random.default_rng(seed)
    for k, p in enumerate(params):
        grad = np.asarray(rng.standard_normal(p.array.shape), p.array.dtype)
        p.grad = None if k in but else tg.from_numpy(grad)


def same(ours, theirs):
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(p.array, q.array)


def one_by_one(optimizer):
    """The step by NumPy, one parameter after the other."""
    with kernels.use_backend("numpy"):
        optimizer.step()


def together(optimizer):
    with kernels.use_backend("numba", threshold=0):
        optimizer.step()


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_bit_is_the_same(cls, options, dtype):
    first, second = parameters(dtype), parameters(dtype)
    ours, theirs = cls(first, **options), cls(second, **options)
    for step in range(6):
        for params in (first, second):
            set_gradients(params, step, but=[step % 4, 5] if step < 4 else [])  # so that steps are counted differently
        together(ours)
        one_by_one(theirs)
        same(first, second)
    for p, q in zip(first, second, strict=True):
        assert ours.state[p].keys() == theirs.state[q].keys()
        for key, value in ours.state[p].items():
            np.testing.assert_array_equal(value.array, theirs.state[q][key].array)


@every
def test_threads_share_the_work_equally_and_exactly(cls, options, monkeypatch):
    compiled = pytest.importorskip("tinygrad_edu.kernels.compiled.optimizers")
    monkeypatch.setattr(compiled, "PARALLEL", 0)
    for threads in (2, 3, 7):
        monkeypatch.setattr(compiled, "get_threads", lambda threads=threads: threads)
        first, second = parameters(), parameters()
        ours, theirs = cls(first, **options), cls(second, **options)
        for step in range(2):
            set_gradients(first, step)
            set_gradients(second, step)
            together(ours)
            one_by_one(theirs)
        same(first, second)


@settings(max_examples=40)
@given(data=st.data())
def test_whatever_happens_between_steps(data):
    """Replaced data, gradients and state, copies, loaded states, frozen parameters: as with one parameter at a time."""
    cls, options = data.draw(st.sampled_from(OPTIMISERS))
    shapes = [(5,), (40, 30), (2, 3, 4)]
    first, second = parameters(shapes=shapes), parameters(shapes=shapes)
    ours, theirs = cls(first, **options), cls(second, **options)
    changes = [
        "nothing",
        "data",
        "gradient",
        "state",
        "copy",
        "pickle",
        "load",
        "lr",
        "transposed",
        "borrowed",
        "noise",
    ]
    for step in range(data.draw(st.integers(1, 6))):
        change, k = data.draw(st.sampled_from(changes)), data.draw(st.integers(0, 2))
        for params, optimizer in ((first, ours), (second, theirs)):
            set_gradients(params, step, but=[k] if change == "gradient" else [])
            p = params[k]
            if change == "data":
                p.data = tg.from_numpy(p.array * 2)
            elif change == "transposed":
                p.data = tg.from_numpy(np.asfortranarray(p.array))
                p.grad = tg.from_numpy(np.asfortranarray(p.grad.array))
            elif change == "borrowed":
                p.grad = tg.from_numpy(np.broadcast_to(np.float32(step), p.array.shape))
            elif change == "state":
                for key, value in optimizer.state[p].items():
                    if key != "step":
                        optimizer.state[p][key] = value * 0.5
            elif change == "load":
                optimizer.load_state_dict(optimizer.state_dict())
            elif change == "lr":
                optimizer.param_groups[0]["lr"] = 0.05
        if change in ("copy", "pickle"):
            clone = copy.deepcopy if change == "copy" else lambda pair: pickle.loads(pickle.dumps(pair))
            before = [p.array.copy() for p in first]
            old, (first, ours) = first, clone((first, ours))
            second, theirs = clone((second, theirs))
            set_gradients(first, step)
            set_gradients(second, step)
        together(ours)
        one_by_one(theirs)
        same(first, second)
        if change in ("copy", "pickle"):
            for p, values in zip(old, before, strict=True):
                np.testing.assert_array_equal(p.array, values)  # the original has not moved


def test_layouts_and_dtypes_side_by_side():
    """Parameters that one launch cannot take are stepped all the same."""

    def make():
        strided = nn.Parameter(tg.ones(4, 6))
        strided.data = tg.from_numpy(np.ones((4, 12), np.float32)[:, ::2])
        raw = np.zeros(4 * 5 + 1, np.uint8)
        unaligned = nn.Parameter(tg.from_numpy(raw[1:].view(np.float32)))
        double = nn.Parameter(tg.ones(3, dtype=tg.float64))
        return [nn.Parameter(tg.ones(3, 3)), strided, double, unaligned, nn.Parameter(tg.ones(2))]

    first, second = make(), make()
    ours, theirs = optim.Adam(first), optim.Adam(second)
    for step in range(3):
        set_gradients(first, step)
        set_gradients(second, step)
        together(ours)
        one_by_one(theirs)
        same(first, second)
    assert all((p.array != 1).all() for p in first)


def test_parameters_that_share_memory_are_stepped_in_turn():
    def make():
        whole = tg.from_numpy(np.linspace(-1, 1, 12, dtype=np.float32))
        return [nn.Parameter(whole), nn.Parameter(whole[3:9])]

    first, second = make(), make()
    ours, theirs = (optim.SGD(params, lr=0.1, weight_decay=0.5) for params in (first, second))
    for step in range(3):
        set_gradients(first, step)
        set_gradients(second, step)
        together(ours)
        one_by_one(theirs)
        same(first, second)


def test_what_the_table_takes_and_a_copy_of_it():
    table, x, y = kernels.Table(), np.zeros(12, np.float32), np.zeros(12, np.float32)
    assert table.places([(x, None), (y, None)]) == [0, 1] and table.total == 24
    assert copy.deepcopy(table).total == pickle.loads(pickle.dumps(table)).total == 0  # whose addresses would be ours
    assert table.places([(x, None), (y.astype(np.float64), None), (y[::2], None), (y, None)]) == [0, 3]
    assert table.places([(x, None), (x[9:], None)]) == []  # two threads might write to it at once
    assert table.places([(x, y), (np.zeros(3, np.float32), y[:3])]) == []
    assert table.places([(x[:5], y[:5]), (x[5:], y[5:])]) == [0, 1] and table.total == 12


def test_a_gradient_that_is_another_parameter():
    """It is read before anything is written."""
    p, q = parameters(shapes=[(2000,), (2000,)])
    before = p.array.copy(), q.array.copy()
    p.grad, q.grad = tg.from_numpy(q.array), tg.from_numpy(p.array[:])
    together(optim.SGD([p, q], lr=0.5))
    np.testing.assert_array_equal(p.array, before[0] - np.float32(0.5) * before[1])
    np.testing.assert_array_equal(q.array, before[1] - np.float32(0.5) * before[0])


@every
def test_special_values(cls, options):
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38, 1e-20, -1.0], np.float32)
    first, second = ([nn.Parameter(tg.from_numpy(np.repeat(values, 9))) for _ in range(2)] for _ in range(2))
    ours, theirs = cls(first, **options), cls(second, **options)
    for _ in range(3):
        for p in itertools.chain(first, second):
            p.grad = tg.from_numpy(np.tile(values, 9))
        together(ours)
        one_by_one(theirs)
        same(first, second)


@pytest.mark.parametrize("step", [one_by_one, together])
def test_a_frozen_parameter_is_an_error_even_after_a_step(step):
    (p,) = parameters(shapes=[(5,)])
    optimizer = optim.SGD([p], lr=0.1)
    set_gradients([p], 0)
    step(optimizer)
    p.array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        step(optimizer)


@pytest.mark.parametrize("step", [one_by_one, together])
def test_a_wrong_gradient_stops_the_step_before_anything_has_changed(step):
    p, q = parameters(shapes=[(5,), (6,)])
    optimizer = optim.Adam([p, q])
    set_gradients([p, q], 0)
    step(optimizer)
    before = p.array.copy()
    q.data = tg.ones(7)
    with pytest.raises(RuntimeError, match=r"a parameter of shape \(7,\) has a gradient of shape \(6,\)"):
        step(optimizer)
    np.testing.assert_array_equal(p.array, before)
    assert optimizer.state[p]["step"].item() == 1


def test_state_that_does_not_fit():
    p, q = parameters(shapes=[(5,), (6,)])
    optimizer = optim.Adam([p])
    set_gradients([p, q], 0)
    together(optimizer)
    optimizer.state[p]["exp_avg"] = q
    with pytest.raises(RuntimeError, match=r"adam_step: state is \(6,\); it must be \(5,\)"):
        together(optimizer)


def test_an_optimiser_of_ones_own_still_defines_update():
    class Signs(optim.SGD):
        def _update(self, p, grad, state, group):
            p.array -= group["lr"] * np.sign(grad)

    (p,) = parameters(shapes=[(5,)])
    before = p.array.copy()
    set_gradients([p], 0)
    together(Signs([p], lr=0.25))
    np.testing.assert_array_equal(np.abs(p.array - before), np.abs(before - before + 0.25))


def test_two_groups_have_options_of_their_own():
    p, q = parameters(shapes=[(5,), (5,)])
    q.data = tg.from_numpy(p.array.copy())
    optimizer = optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.2}], lr=0.1)
    for a in (p, q):
        a.grad = tg.ones(5)
    start = p.array.copy()
    together(optimizer)
    np.testing.assert_allclose(start - p.array, 0.1, rtol=1e-5)
    np.testing.assert_allclose(start - q.array, 0.2, rtol=1e-5)
