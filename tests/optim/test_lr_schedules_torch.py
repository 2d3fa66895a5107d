"""Every schedule follows PyTorch's over long runs, to 1e-12: rates, momenta, resuming and saved states."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_edu as tg

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

STEPS = 400


def optimizer_of(lib, name="SGD"):
    groups = [{"params": [lib.ones(1, requires_grad=True)], "lr": lr} for lr in (0.5, 0.01)]
    options = {"momentum": 0.9} if name == "SGD" else {}
    return getattr(lib.optim, name)(groups, lr=0.1, **options)


def _chain(lib, o, s):
    return s.ChainedScheduler([s.LinearLR(o, 0.1, 1.0, 50), s.CosineAnnealingLR(o, 60, 1e-4), s.StepLR(o, 70, 0.7)])


def _sequence(lib, o, s):
    parts = [s.LinearLR(o, 0.01, total_iters=20), s.CosineAnnealingLR(o, 100, 1e-3), s.ExponentialLR(o, 0.99)]
    return s.SequentialLR(o, parts, [20, 150])


def _sequence_of_restarting(lib, o, s):
    parts = [s.ConstantLR(o, 0.1, 30), s.CosineAnnealingWarmRestarts(o, 10, 2), s.PolynomialLR(o, 50, 0.9)]
    return s.SequentialLR(o, parts, [15, 200])


# lines of Python in which s is torch.optim.lr_scheduler and o the optimiser
CASES = [
    "s.LambdaLR(o, lambda k: 0.95 ** k)",
    "s.LambdaLR(o, [lambda k: 1 / (1 + k), lambda k: 0.5])",
    "s.MultiplicativeLR(o, lambda k: 0.99)",
    "s.MultiplicativeLR(o, [lambda k: 0.99, lambda k: 1 - 1 / (k + 1)])",
    "s.StepLR(o, 30)",
    "s.StepLR(o, step_size=7, gamma=0.97)",
    "s.MultiStepLR(o, [30, 80, 80, 300], gamma=0.3)",
    "s.MultiStepLR(o, milestones=range(5, 100, 7), gamma=0.9)",
    "s.ConstantLR(o)",
    "s.ConstantLR(o, factor=0.5, total_iters=100)",
    "s.LinearLR(o)",
    "s.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=300)",
    "s.LinearLR(o, 0.01, 0.7, 0)",
    "s.PolynomialLR(o)",
    "s.PolynomialLR(o, total_iters=350, power=2.5)",
    "s.PolynomialLR(o, 0)",
    "s.ExponentialLR(o, 0.99)",
    "s.CosineAnnealingLR(o, 50)",
    "s.CosineAnnealingLR(o, T_max=33, eta_min=0.02)",
    "s.CosineAnnealingLR(o, 1)",
    "s.CosineAnnealingLR(o, 7, 1e-5)",
    "s.CosineAnnealingWarmRestarts(o, 10)",
    "s.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2, eta_min=1e-4)",
    "s.CosineAnnealingWarmRestarts(o, 1, 3)",
    "s.OneCycleLR(o, 1.0, total_steps=400)",
    "s.OneCycleLR(o, max_lr=[1.0, 0.3], epochs=40, steps_per_epoch=10, pct_start=0.25, anneal_strategy='linear')",
    "s.OneCycleLR(o, 1.0, 401, three_phase=True, base_momentum=0.7, max_momentum=[0.9, 0.99])",
    "s.OneCycleLR(o, 1.0, 400, cycle_momentum=False, div_factor=5.0, final_div_factor=100.0, pct_start=0.0)",
    "s.OneCycleLR(o, 1.0, 400, pct_start=1.0)",
    "s.CyclicLR(o, 0.01, 0.3, step_size_up=20)",
    "s.CyclicLR(o, [0.01, 0.02], [0.3, 0.5], 13, 29, 'triangular2', base_momentum=[0.5, 0.6])",
    "s.CyclicLR(o, 0.01, 0.3, 20, mode='exp_range', gamma=0.99, cycle_momentum=False)",
    "s.CyclicLR(o, 0.01, 0.3, 20, scale_fn=lambda x: 1 / x, scale_mode='cycle')",
    "s.CyclicLR(o, 0.01, 0.3, 20, scale_fn=lambda x: 0.99 ** x, scale_mode='iterations')",
    "_chain(lib, o, s)",
    "_sequence(lib, o, s)",
    "_sequence_of_restarting(lib, o, s)",
]


def make(lib, optimizer, code):
    return eval(code, {**globals(), "lib": lib, "o": optimizer, "s": lib.optim.lr_scheduler})


def follow(optimizer, scheduler, steps):
    """Rates and momenta of both groups after each step."""
    rows = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        rows.append(row(optimizer, scheduler))
    return rows


def row(optimizer, scheduler):
    groups = optimizer.param_groups
    momenta = [group.get("momentum", group.get("betas", (0,))[0]) for group in groups]
    assert [float(lr) for lr in scheduler.get_last_lr()] == [float(group["lr"]) for group in groups]
    return [float(group["lr"]) for group in groups] + momenta


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("code", CASES)
def test_rates_and_momenta(code, name):
    seen = {}
    for lib in (tg, torch):
        optimizer = optimizer_of(lib, name)
        scheduler = make(lib, optimizer, code)
        seen[lib] = [row(optimizer, scheduler), *follow(optimizer, scheduler, STEPS - 1)]
    np.testing.assert_allclose(seen[tg], seen[torch], 1e-12, 1e-15)


RESUMABLE = [code for code in CASES if code.endswith(")") and not code.startswith("_")]


@pytest.mark.parametrize("code", RESUMABLE)
def test_resuming_by_last_epoch(code):
    seen = {}
    for lib in (tg, torch):
        optimizer = optimizer_of(lib)
        follow(optimizer, make(lib, optimizer, code), 23)
        resumed = make(lib, optimizer, code[:-1] + ", last_epoch=23)")
        seen[lib] = [row(optimizer, resumed), *follow(optimizer, resumed, 50)]
    np.testing.assert_allclose(seen[tg], seen[torch], 1e-12, 1e-15)


@pytest.mark.parametrize("code", CASES)
def test_a_state_saved_by_pytorch_goes_on_here(code):
    theirs = optimizer_of(torch)
    scheduler = make(torch, theirs, code)
    follow(theirs, scheduler, 31)
    ours = optimizer_of(tg)
    resumed = make(tg, ours, code)
    state = scheduler.state_dict()
    for mine, other in zip(ours.param_groups, theirs.param_groups, strict=True):
        mine.update({key: value for key, value in other.items() if key != "params"})
    resumed.load_state_dict(state)
    np.testing.assert_allclose(follow(ours, resumed, 60), follow(theirs, scheduler, 60), 1e-12, 1e-15)


@pytest.mark.parametrize("code", CASES)
def test_saved_states_have_pytorchs_names(code):
    states = []
    for lib in (tg, torch):
        optimizer = optimizer_of(lib)
        scheduler = make(lib, optimizer, code)
        follow(optimizer, scheduler, 3)
        states.append(scheduler.state_dict())
    missing = set(states[1]) - set(states[0])
    assert not missing, missing


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "max", "patience": 3},
        {"threshold_mode": "abs", "threshold": 0.3, "patience": 2, "cooldown": 4},
        {"mode": "max", "threshold_mode": "abs", "threshold": 0.1, "factor": 0.7, "patience": 0},
        {"min_lr": [0.1, 1e-3], "patience": 1, "factor": 0.5},
        {"eps": 1e-2, "patience": 2},
    ],
    ids=str,
)
def test_plateaus(options):
    metrics = np.random.default_rng(3).normal(size=STEPS).cumsum() * 0.1 + 5
    metrics[57] = np.nan
    seen = {}
    for lib in (tg, torch):
        optimizer = optimizer_of(lib)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        seen[lib] = []
        for k, metric in enumerate(metrics):
            scheduler.step(lib.tensor(metric) if k % 2 else float(metric))
            seen[lib].append([*map(float, scheduler.get_last_lr()), scheduler.num_bad_epochs, scheduler.best])
    np.testing.assert_allclose(seen[tg], seen[torch], 1e-6, 1e-15)


@pytest.mark.parametrize("code", ["s.StepLR(o, 3)", "s.CosineAnnealingLR(o, 5)", "s.OneCycleLR(o, 1.0, 9)"])
@pytest.mark.parametrize("first", ["optimizer", "scheduler"])
def test_warnings_for_the_order_of_calls(code, first):
    counts = []
    for lib in (tg, torch):
        optimizer = optimizer_of(lib)
        scheduler = make(lib, optimizer, code)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                (optimizer if first == "optimizer" else scheduler).step()
                (scheduler if first == "optimizer" else optimizer).step()
        counts.append([w.category for w in caught])
    assert counts[0] == counts[1]


WRONG = [
    "s.StepLR(o, 0).step() or o.step() or 1",
    "s.LambdaLR(o, [abs])",
    "s.MultiplicativeLR(o, 3)",
    "s.MultiStepLR(o, 3)",
    "s.ConstantLR(o, 2.0)",
    "s.LinearLR(o, 0.0)",
    "s.LinearLR(o, 0.5, 2.0)",
    "s.ExponentialLR(o)",
    "s.ExponentialLR(3, 0.5)",
    "s.ExponentialLR(o, 0.5, last_epoch=5)",
    "s.CosineAnnealingWarmRestarts(o, 0)",
    "s.CosineAnnealingWarmRestarts(o, 2.5)",
    "s.CosineAnnealingWarmRestarts(o, 2, 0)",
    "s.CosineAnnealingWarmRestarts(o, 2, eta_min='a')",
    "s.CosineAnnealingWarmRestarts(o, 2).step(-1)",
    "s.OneCycleLR(o, 1.0)",
    "s.OneCycleLR(o, 1.0, 2.5)",
    "s.OneCycleLR(o, 1.0, 10, pct_start=3)",
    "s.OneCycleLR(o, 1.0, 10, anneal_strategy='x')",
    "s.OneCycleLR(o, [1.0], 10)",
    "s.CyclicLR(o, 0.1, 1.0, mode='x')",
    "s.CyclicLR(o, 0.1, [1.0])",
    "s.CyclicLR(o, 0.1, 1.0, 0, 0)",
    "s.ReduceLROnPlateau(o, 'x')",
    "s.ReduceLROnPlateau(o, factor=1.0)",
    "s.ReduceLROnPlateau(o, threshold_mode='x')",
    "s.ReduceLROnPlateau(o, min_lr=[1, 2, 3])",
    "s.ReduceLROnPlateau(o).step()",
    "s.SequentialLR(o, [], [])",
    "s.SequentialLR(o, [s.StepLR(o, 1)], [3])",
    "s.SequentialLR(o, [s.ReduceLROnPlateau(o)], [])",
    "s.ChainedScheduler([])",
    "s.SequentialLR(o, [3], [])",
    "s.StepLR(o, 2).load_state_dict(3)",
]


@pytest.mark.filterwarnings("ignore:Detected call")
@pytest.mark.parametrize("code", WRONG)
def test_wrong_calls_raise_pytorchs_types(code):
    errors = []
    for lib in (torch, tg):
        with pytest.raises(Exception) as caught:  # any type: they are compared
            for _ in range(3):
                make(lib, optimizer_of(lib), code)
                scheduler = make(lib, optimizer_of(lib), code.split(".step() or")[0])
                scheduler.step()
                scheduler.step()
        errors.append(caught.value)
    assert isinstance(errors[1], type(errors[0])), errors
