"""Twenty steps of every optimiser with every option follow PyTorch's path, in float64."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as tg

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.5, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.5, "maximize": True, "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.7, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"maximize": True, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "betas": (0.5, 0.9)}),
    ("AdamW", {"amsgrad": True, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.2, "lr_decay": 0.1, "weight_decay": 0.1, "eps": 1e-3}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "maximize": True}),
]


def start(lib):
    rng = np.random.default_rng(0)
    return [lib.tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((3, 4), (4,), ())]


def loss_of(lib, params, step):
    """A bowl that moves from step to step, so that every term of every formula matters."""
    w, b, c = params
    return ((w * (1 + 0.1 * step) + b).sin() ** 2).sum() + (c - step) ** 2 * 0.3


def train(lib, optimizer, params, steps, first=0):
    for step in range(first, first + steps):
        optimizer.zero_grad()
        loss_of(lib, params, step).backward()
        optimizer.step()


def assert_same(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.detach().array, other.detach().numpy(), 1e-9, 1e-12)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_path(name, options):
    ours, theirs = start(tg), start(torch)
    first, second = getattr(tg.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    train(tg, first, ours, 20)
    train(torch, second, theirs, 20)
    assert_same(ours, theirs)
    assert_same_state(first, second)


def assert_same_state(first, second):
    """The saved state has PyTorch's layout: the same numbers, names and values."""
    mine, other = first.state_dict(), second.state_dict()
    assert mine["state"].keys() == other["state"].keys()
    for number, state in other["state"].items():
        kept = {k for k, v in state.items() if v is not None}
        assert kept == mine["state"][number].keys()
        for key in kept:
            np.testing.assert_allclose(mine["state"][number][key].array, state[key].numpy(), 1e-9, 1e-12)
    for group, theirs in zip(mine["param_groups"], other["param_groups"], strict=True):
        for key, value in group.items():
            assert theirs[key] == value, key


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_continuing_from_a_saved_state(name, options):
    """Ten steps, saved and loaded into a new optimiser, ten more: the same as twenty."""
    straight, broken = start(tg), start(tg)
    train(tg, getattr(tg.optim, name)(straight, **options), straight, 20)
    first = getattr(tg.optim, name)(broken, **options)
    train(tg, first, broken, 10)
    state = first.state_dict()
    second = getattr(tg.optim, name)(broken, **{**options, "lr": 123.0})
    second.load_state_dict(state)
    saved = {k: v.array.copy() for k, v in state["state"].get(0, {}).items()}
    train(tg, second, broken, 10, first=10)
    for mine, other in zip(straight, broken, strict=True):
        np.testing.assert_array_equal(mine.array, other.array)
    for key, value in saved.items():
        np.testing.assert_array_equal(state["state"][0][key].array, value)  # the saved state is a copy's source only


def test_groups_with_options_of_their_own():
    ours, theirs = start(tg), start(torch)
    optimizers = []
    for lib, params in ((tg, ours), (torch, theirs)):
        groups = [{"params": [params[0]], "lr": 0.01}, {"params": params[1], "momentum": 0.0}]
        optimizer = lib.optim.SGD(groups, lr=0.1, momentum=0.9)
        optimizer.add_param_group({"params": [params[2]], "weight_decay": 0.5})
        train(lib, optimizer, params, 5)
        optimizers.append(optimizer)
    assert_same(ours, theirs)
    assert [g["params"] for g in optimizers[0].state_dict()["param_groups"]] == [[0], [1], [2]]
    assert_same_state(*optimizers)


SCHEDULES = [
    ("LambdaLR", {"lr_lambda": lambda step: 0.9**step}),
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.8}),
    ("CosineAnnealingLR", {"T_max": 6, "eta_min": 0.01}),
]


@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=lambda value: str(value)[:20])
def test_schedules(name, options):
    def rates(lib):
        params = start(lib)
        optimizer = lib.optim.SGD([{"params": params[:1], "lr": 0.5}, {"params": params[1:]}], lr=0.1)
        scheduler = getattr(lib.optim.lr_scheduler, name)(optimizer, **options)
        seen = []
        for step in range(10):
            train(lib, optimizer, params, 1, step)
            scheduler.step()
            seen.append(scheduler.get_last_lr())
        return seen, params

    (seen, ours), (expected, theirs) = rates(tg), rates(torch)
    np.testing.assert_allclose(seen, expected, 1e-12)
    assert_same(ours, theirs)
