"""Thirty steps of Adadelta, Adamax, NAdam, RAdam, Rprop, ASGD and L-BFGS follow PyTorch's path, in float64."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tinygrad_edu as tg

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

CASES = [
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    ("Adadelta", {"maximize": True, "weight_decay": 0.1}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.05, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adamax", {"maximize": True, "weight_decay": 0.1}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.01, "betas": (0.7, 0.95), "eps": 1e-4, "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"decoupled_weight_decay": True, "weight_decay": 0.3, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.7, 0.9), "eps": 1e-4, "weight_decay": 0.1}),
    ("RAdam", {"decoupled_weight_decay": True, "weight_decay": 0.3, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.2), "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "lambd": 0.2, "alpha": 0.5, "t0": 7, "weight_decay": 0.1}),
    ("ASGD", {"maximize": True, "t0": 0}),
]


def start(lib):
    rng = np.random.default_rng(0)
    return [lib.tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((3, 4), (4,), ())]


def loss_of(params, step):
    """A bowl that moves from step to step, so that every term of every formula matters."""
    w, b, c = params
    return ((w * (1 + 0.1 * step) + b).sin() ** 2).sum() + (c - step) ** 2 * 0.3


def train(optimizer, params, steps, first=0):
    for step in range(first, first + steps):
        optimizer.zero_grad()
        loss_of(params, step).backward()
        optimizer.step()


def assert_same(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.detach().array, other.detach().numpy(), 1e-10, 1e-12)


def assert_same_state(first, second):
    """The saved state has PyTorch's layout: the same numbers, names, dtypes and values."""
    mine, other = first.state_dict(), second.state_dict()
    assert mine["state"].keys() == other["state"].keys()
    for number, state in other["state"].items():
        assert state.keys() == mine["state"][number].keys()
        for key, value in state.items():
            kept = mine["state"][number][key].array
            assert str(value.dtype) == f"torch.{kept.dtype}", key
            np.testing.assert_allclose(kept, value.numpy(), 1e-10, 1e-12, err_msg=key)
    for group, theirs in zip(mine["param_groups"], other["param_groups"], strict=True):
        for key, value in group.items():
            assert theirs[key] == value, key


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_path(name, options):
    ours, theirs = start(tg), start(torch)
    first, second = getattr(tg.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    train(first, ours, 30)
    train(second, theirs, 30)
    assert_same(ours, theirs)
    assert_same_state(first, second)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_continuing_from_a_saved_state(name, options):
    """Ten steps, saved and loaded into a new optimiser, twenty more; PyTorch casts a few numbers while loading."""
    ends = []
    for lib in (tg, torch):
        params = start(lib)
        first = getattr(lib.optim, name)(params, **options)
        train(first, params, 10)
        second = getattr(lib.optim, name)(params, **{**options, "lr": 123.0})
        second.load_state_dict(first.state_dict())
        train(second, params, 20, first=10)
        ends.append((params, second))
    assert_same(ends[0][0], ends[1][0])
    assert_same_state(ends[0][1], ends[1][1])


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_continuing_from_pytorchs_state(name, options):
    """A state that PyTorch saved, with its arrays made tensors, continues here as it does there."""
    theirs = start(torch)
    trained = getattr(torch.optim, name)(theirs, **options)
    train(trained, theirs, 10)
    state = trained.state_dict()
    state["state"] = {k: {n: v.numpy().copy() for n, v in kept.items()} for k, kept in state["state"].items()}
    ours = [tg.tensor(p.detach().numpy().copy(), requires_grad=True) for p in theirs]
    loaded = getattr(tg.optim, name)(ours)
    loaded.load_state_dict(state)
    train(loaded, ours, 20, first=10)
    train(trained, theirs, 20, first=10)
    for mine, other in zip(ours, theirs, strict=True):  # 1e-6: loading turns numbers of float32 into float64
        np.testing.assert_allclose(mine.detach().array, other.detach().numpy(), 1e-6, 1e-8)


@pytest.mark.parametrize("name", ["Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD"])
def test_float32_stays_float32(name):
    for lib in (tg, torch):
        p = lib.tensor([1.0, -2.0], requires_grad=True)
        optimizer = getattr(lib.optim, name)([{"params": [p], "lr": 0.1}], lr=0.5)
        for _ in range(8):
            optimizer.zero_grad()
            (p**2).sum().backward()
            optimizer.step()
        if lib is tg:
            ours = p
    assert ours.dtype is tg.float32
    np.testing.assert_allclose(ours.detach().array, p.detach().numpy(), 1e-5)


@pytest.mark.parametrize("name", ["Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD", "LBFGS"])
def test_signature(name):
    ours, theirs = (inspect.signature(getattr(lib.optim, name).__init__).parameters for lib in (tg, torch))
    assert list(ours) == list(theirs)
    for key in ours:
        assert (ours[key].kind, ours[key].default) == (theirs[key].kind, theirs[key].default), key


WRONG = [
    ("Adadelta", {"lr": -1.0}, "Invalid learning rate: -1.0"),
    ("Adadelta", {"rho": 1.5}, "Invalid rho value: 1.5"),
    ("Adadelta", {"eps": -1.0}, "Invalid epsilon value: -1.0"),
    ("Adadelta", {"weight_decay": -1.0}, "Invalid weight_decay value: -1.0"),
    ("Adamax", {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0"),
    ("Adamax", {"eps": -1.0}, "Invalid epsilon value: -1.0"),
    ("NAdam", {"betas": (0.9, -0.1)}, "Invalid beta parameter at index 1: -0.1"),
    ("NAdam", {"momentum_decay": -1.0}, "Invalid momentum_decay value: -1.0"),
    ("RAdam", {"betas": (0.9, 1.1)}, "Invalid beta parameter at index 1: 1.1"),
    ("Rprop", {"etas": (1.1, 1.2)}, "Invalid eta values: 1.1, 1.2"),
    ("Rprop", {"etas": (0.5, 0.9)}, "Invalid eta values: 0.5, 0.9"),
    ("ASGD", {"lr": -1.0}, "Invalid learning rate: -1.0"),
    ("LBFGS", {"lr": -1.0}, "Invalid learning rate: -1.0"),
]


@pytest.mark.parametrize(("name", "options", "words"), WRONG, ids=str)
def test_options_out_of_range(name, options, words):
    for lib in (torch, tg):
        with pytest.raises(ValueError, match=words):
            getattr(lib.optim, name)([lib.zeros(2, requires_grad=True)], **options)


# -- L-BFGS -----------------------------------------------------------------------------------------------------------


def rosenbrock(x, shift):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum() + ((shift - 0.5) ** 2) * (1 + x[0] ** 2)


def curved(x, shift):
    z = x - 0.3 * shift
    return (z.exp() - z + 0.1 * x**2).sum() + (shift - 2) ** 2


LBFGS_CASES = [
    {"lr": 0.5},
    {"lr": 1e-3, "max_iter": 4},
    {"lr": 1e-3, "tolerance_change": 5e-3},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 6},
    {"line_search_fn": "strong_wolfe", "lr": 0.1, "max_eval": 7},
    {"line_search_fn": "strong_wolfe", "lr": 20.0},
    {"line_search_fn": "strong_wolfe", "tolerance_grad": 1e-2, "tolerance_change": 1e-3},
]


def minimise(lib, function, options, steps, reload_after=None):
    """The path of the parameters, all losses the closure saw, and the optimiser."""
    x = lib.tensor(np.linspace(-0.7, 0.8, 6), requires_grad=True)
    shift = lib.tensor(np.array(0.1), requires_grad=True)
    unused = lib.tensor(np.ones(2), requires_grad=True)
    optimizer, seen, path = lib.optim.LBFGS([x, unused, shift], **options), [], []

    def closure():
        optimizer.zero_grad()
        loss = function(x, shift)
        loss.backward()
        seen.append(float(loss.detach()))
        return loss

    for k in range(steps):
        first = len(seen)
        returned = optimizer.step(closure)
        assert float(returned.detach()) == seen[first]
        path.append(np.concatenate([x.detach().numpy().copy(), [float(shift.detach())], unused.detach().numpy()]))
        if k == reload_after:
            state = optimizer.state_dict()
            optimizer = lib.optim.LBFGS([x, unused, shift], lr=123.0)
            optimizer.load_state_dict(state)
    return path, seen, optimizer


@pytest.mark.parametrize("function", [curved, rosenbrock])
@pytest.mark.parametrize("options", LBFGS_CASES, ids=str)
@pytest.mark.parametrize("reload_after", [None, 1])
def test_lbfgs(function, options, reload_after):
    steps = 3 if function is rosenbrock else 5
    if function is rosenbrock and "line_search_fn" not in options:
        options = {**options, "lr": 1e-3}  # longer fixed steps diverge
    ours, losses, first = minimise(tg, function, options, steps, reload_after)
    theirs, expected, second = minimise(torch, function, options, steps, reload_after)
    assert len(losses) == len(expected)
    np.testing.assert_allclose(losses, expected, 1e-7, 1e-9)
    np.testing.assert_allclose(ours, theirs, 1e-7, 1e-9)
    mine, other = first.state_dict(), second.state_dict()
    assert mine["param_groups"][0] == other["param_groups"][0]
    assert mine["state"][0].keys() == other["state"][0].keys() - {"al"}
    for key in ("func_evals", "n_iter"):
        assert mine["state"][0][key] == other["state"][0][key]
    for key in ("old_dirs", "old_stps", "ro"):
        assert len(mine["state"][0][key]) == len(other["state"][0][key])
        for a, b in zip(mine["state"][0][key], other["state"][0][key], strict=True):
            np.testing.assert_allclose(a.array, b.numpy(), 1e-5, 1e-8)


def wiggles(x):
    return (-x + 2 * (2 * x).sin() ** 2 + 0.05 * x * x).sum()


def wall(x):
    return ((3 * (x - 1)).exp() - (1 + x).log()).sum()


def hills(x):
    return ((5 * x).cos() * (0.3 * x).exp() - x).sum() + (x**4).sum() * 1e-3


@pytest.mark.parametrize("function", [wiggles, wall, hills])
def test_line_search_by_itself(function):
    """The same length after as many evaluations as PyTorch's, from many first lengths."""
    from torch.optim.lbfgs import _strong_wolfe

    from tinygrad_edu.optim.line_search import Point, strong_wolfe

    def evaluated(lib, t):
        x = lib.tensor([float(t)], dtype=lib.float64, requires_grad=True)
        loss = function(x)
        loss.backward()
        return float(loss.detach()), x.grad

    def at(t):
        loss, gradient = evaluated(tg, t)
        return Point(t, loss, gradient.array, gradient.item())

    start, d = at(0.0), torch.ones(1, dtype=torch.float64)
    loss, gradient = evaluated(torch, 0.0)
    for first in np.geomspace(0.1, 50, 40):  # from smaller ones, differences of nearly equal losses magnify rounding
        for trials in (3, 25):
            found, calls = strong_wolfe(at, start, float(first), 1.0, 1e-9, trials)
            expected = _strong_wolfe(
                lambda x, t, d: evaluated(torch, t), None, float(first), d, loss, gradient, gradient[0], max_ls=trials
            )
            assert calls == expected[3], (first, trials)
            np.testing.assert_allclose([found.t, found.loss], [float(expected[2]), expected[0]], 1e-9)
