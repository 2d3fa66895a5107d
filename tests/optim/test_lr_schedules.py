"""Schedules by their formulas, the order of calls, resuming, composition, and what is refused."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn, optim
from tinygrad_edu.optim import lr_scheduler as schedules


def sgd(lr=1.0, groups=1, **options):
    params = [{"params": [nn.Parameter(tg.tensor([1.0]))]} for _ in range(groups)]
    return optim.SGD(params, lr=lr, **options)


def run(optimizer, scheduler, steps):
    """The first group's rate at steps 0 .. steps."""
    seen = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


# (schedule, its rate at step k for an initial rate of 1)
FORMULAS = [
    (lambda o: schedules.LambdaLR(o, lambda k: 1 / (k + 1)), lambda k: 1 / (k + 1)),
    (lambda o: schedules.MultiplicativeLR(o, lambda k: k / (k + 1)), lambda k: 1 / (k + 1)),
    (lambda o: schedules.StepLR(o, 7, 0.5), lambda k: 0.5 ** (k // 7)),
    (lambda o: schedules.MultiStepLR(o, [3, 3, 11], 0.5), lambda k: 0.5 ** (2 * (k >= 3) + (k >= 11))),
    (lambda o: schedules.ConstantLR(o, 0.25, 6), lambda k: 0.25 if k < 6 else 1.0),
    (lambda o: schedules.LinearLR(o, 0.2, 0.8, 10), lambda k: 0.2 + 0.6 * min(k, 10) / 10),
    (lambda o: schedules.PolynomialLR(o, 9, 2.0), lambda k: (1 - min(k, 9) / 9) ** 2),
    (lambda o: schedules.ExponentialLR(o, 0.9), lambda k: 0.9**k),
    (lambda o: schedules.CosineAnnealingLR(o, 8, 0.1), lambda k: 0.1 + 0.9 * (1 + math.cos(math.pi * k / 8)) / 2),
    (
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 5, eta_min=0.1),
        lambda k: 0.1 + 0.9 * (1 + math.cos(math.pi * (k % 5) / 5)) / 2,
    ),
    (
        lambda o: schedules.CyclicLR(o, 0.2, 1.0, 4, cycle_momentum=False),
        lambda k: 0.2 + 0.8 * (1 - abs(k % 8 - 4) / 4),
    ),
    (
        lambda o: schedules.OneCycleLR(o, 2.0, 60, pct_start=0.5, anneal_strategy="linear", cycle_momentum=False),
        lambda k: 0.08 + (2 - 0.08) * k / 29 if k <= 29 else 8e-6 + (2 - 8e-6) * (59 - k) / 30,
    ),
]


@pytest.mark.parametrize(("make", "formula"), FORMULAS)
def test_formulas(make, formula):
    optimizer = sgd()
    assert run(optimizer, make(optimizer), 40) == pytest.approx([formula(k) for k in range(41)], 1e-12, 1e-15)


def test_a_plateau_waits_cools_down_and_stops_at_the_lowest_rate():
    optimizer = sgd()
    scheduler = schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=2, min_lr=0.2)
    seen = []
    for loss in [3.0, 2.0, 2.0, 2.0] + [2.0] * 8:
        scheduler.step(tg.tensor(loss))
        seen += scheduler.get_last_lr()
    # 2.0 at the third and fourth step is bad twice: more than patience. Then two steps of rest, and two more bad ones.
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.2]


def test_momentum_cycles_against_the_rate():
    optimizer = sgd(momentum=0.9)
    scheduler = schedules.OneCycleLR(optimizer, 1.0, 21, pct_start=0.5, base_momentum=0.7, max_momentum=0.9)
    lows = []
    for _ in range(20):
        optimizer.step()
        scheduler.step()
        lows.append((optimizer.param_groups[0]["momentum"], optimizer.param_groups[0]["lr"]))
    assert min(lows)[1] == max(lr for _, lr in lows)
    adam = optim.Adam([nn.Parameter(tg.ones(1))], betas=(0.5, 0.99))
    schedules.CyclicLR(adam, 0.1, 1.0, 4, max_momentum=0.85)
    assert adam.param_groups[0]["betas"] == (0.85, 0.99)


def test_a_phase_of_no_length_is_at_its_end():
    """PyTorch divides by zero when the rise takes a single step."""
    optimizer = sgd()
    scheduler = schedules.OneCycleLR(optimizer, 1.0, 10, pct_start=0.1, cycle_momentum=False)
    assert run(optimizer, scheduler, 9)[0] == 1.0


def test_a_second_schedule_starts_from_the_first_rates():
    optimizer = sgd()
    schedules.ConstantLR(optimizer, 0.1)
    assert schedules.ExponentialLR(optimizer, 0.5).base_lrs == [1.0]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_warns_when_the_schedule_goes_first_and_only_then():
    optimizer = sgd()
    scheduler = schedules.StepLR(optimizer, 3)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
    optimizer.step()
    scheduler.step()

    class Plain(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": 0.1})

        def step(self, closure=None):
            return 7

    own = Plain([nn.Parameter(tg.ones(1))])
    scheduler = schedules.StepLR(own, 3)
    assert own.step() == 7
    scheduler.step()


def test_get_lr_from_outside_and_epochs_warn():
    optimizer = sgd()
    scheduler = schedules.ExponentialLR(optimizer, 0.5)
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()
    optimizer.step()
    with pytest.warns(UserWarning, match="epoch parameter is deprecated"):
        scheduler.step(4)
    assert scheduler.get_last_lr() == [0.5**4]
    warm = schedules.CosineAnnealingWarmRestarts(sgd(), 4, 2)
    warm.step(4.5)  # half a step after the first restart: no warning, this is how it is used
    assert warm.get_last_lr() == pytest.approx([(1 + math.cos(math.pi * 0.5 / 8)) / 2])


RESUMED = [
    lambda o: schedules.LambdaLR(o, lambda k: 0.9**k),
    lambda o: schedules.MultiStepLR(o, [4, 13]),
    lambda o: schedules.CosineAnnealingLR(o, 6),
    lambda o: schedules.CosineAnnealingWarmRestarts(o, 3, 2),
    lambda o: schedules.CyclicLR(o, 0.1, 1.0, 3, mode="exp_range", gamma=0.9),
    lambda o: schedules.OneCycleLR(o, 1.0, 30, three_phase=True),
    lambda o: schedules.SequentialLR(
        o, [schedules.LinearLR(o, 0.1, total_iters=5), schedules.CosineAnnealingLR(o, 20)], [5]
    ),
    lambda o: schedules.ChainedScheduler([schedules.StepLR(o, 4), schedules.ExponentialLR(o, 0.9)]),
]


@pytest.mark.parametrize("make", RESUMED)
def test_a_saved_schedule_goes_on(make):
    straight = sgd(momentum=0.9)
    expected = run(straight, make(straight), 20)
    first = sgd(momentum=0.9)
    scheduler = make(first)
    start = run(first, scheduler, 9)
    state, saved = copy.deepcopy(scheduler.state_dict()), first.state_dict()
    second = sgd(momentum=0.9)
    resumed = make(second)
    second.load_state_dict(saved)
    resumed.load_state_dict(pickle.loads(pickle.dumps(state)))
    assert state == scheduler.state_dict()  # loading took nothing out of it
    assert start + run(second, resumed, 11)[1:] == expected
    assert resumed.get_last_lr() == expected[-1:]


def test_a_callable_object_saves_its_attributes():
    class Decay:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, step):
            return self.rate**step

    state = schedules.LambdaLR(sgd(), Decay(0.5)).state_dict()
    assert state["lr_lambdas"] == [{"rate": 0.5}]
    other = Decay(0.9)
    schedules.LambdaLR(sgd(), other).load_state_dict(state)
    assert other.rate == 0.5


def test_resuming_by_last_epoch():
    optimizer = sgd()
    run(optimizer, schedules.StepLR(optimizer, 3), 4)
    again = schedules.StepLR(optimizer, 3, last_epoch=4)
    assert again.last_epoch == 5 and again.base_lrs == [1.0]
    assert run(optimizer, again, 1)[1] == pytest.approx(0.01)


def test_nested_schedules_start_at_their_milestone():
    optimizer = sgd()
    inner = [
        schedules.ChainedScheduler([schedules.ConstantLR(optimizer, 0.5, 2), schedules.ExponentialLR(optimizer, 0.5)]),
        schedules.SequentialLR(
            optimizer, [schedules.ConstantLR(optimizer, 0.1, 9), schedules.ExponentialLR(optimizer, 0.5)], [2]
        ),
        schedules.ChainedScheduler([schedules.ExponentialLR(optimizer, 0.1)]),
    ]
    outer = schedules.SequentialLR(optimizer, inner, [3, 8])
    expected = [0.5, 0.25, 0.25, 0.1, 0.1, 1, 0.5, 0.25, 1, 0.1, 0.01]
    assert run(optimizer, outer, 10) == pytest.approx(expected)


def test_a_schedule_of_ones_own():
    class Warmup(schedules._LRScheduler):
        def get_lr(self):
            return [base * min(1, (self.last_epoch + 1) / 4) for base in self.base_lrs]

    optimizer = sgd()
    assert run(optimizer, Warmup(optimizer), 4) == [0.25, 0.5, 0.75, 1, 1]


def test_no_schedule_warns_in_ordinary_use():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make, _ in FORMULAS:
            optimizer = sgd()
            run(optimizer, make(optimizer), 3)


def grown():
    optimizer = sgd()
    scheduler = schedules.LambdaLR(optimizer, lambda k: 0.5)
    optimizer.add_param_group({"params": [nn.Parameter(tg.ones(1))]})
    optimizer.step()
    scheduler.step()


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, "StepLR: step_size must be > 0, got 0", lambda: schedules.StepLR(sgd(), 0)),
        (ZeroDivisionError, "step_size must be > 0", lambda: schedules.StepLR(sgd(), 0)),
        (TypeError, r"milestones must be a list of steps, got 5; use \[5\]", lambda: schedules.MultiStepLR(sgd(), 5)),
        (TypeError, "function of the step, but got 0.5", lambda: schedules.MultiplicativeLR(sgd(), 0.5)),
        (TypeError, "function of the step, but got 0.5", lambda: schedules.LambdaLR(sgd(), [0.5])),
        (ValueError, "between 0 and 1, got 2", lambda: schedules.ConstantLR(sgd(), 2)),
        (ValueError, "got start_factor=0", lambda: schedules.LinearLR(sgd(), 0)),
        (ValueError, "got end_factor=1.5", lambda: schedules.LinearLR(sgd(), end_factor=1.5)),
        (ValueError, "T_max must be > 0, .* got 0", lambda: schedules.CosineAnnealingLR(sgd(), 0)),
        (ValueError, "T_0, but got 0", lambda: schedules.CosineAnnealingWarmRestarts(sgd(), 0)),
        (ValueError, "T_mult >= 1, but got 0", lambda: schedules.CosineAnnealingWarmRestarts(sgd(), 1, 0)),
        (ValueError, "non-negative epoch, but got -1",
         lambda: schedules.CosineAnnealingWarmRestarts(sgd(), 1).step(-1)),
        (ValueError, "mode is invalid .* mode='square'", lambda: schedules.CyclicLR(sgd(), 0.1, 1, mode="square")),
        (ValueError, "scale_mode must be", lambda: schedules.CyclicLR(sgd(), 0.1, 1, scale_mode="x")),
        (ZeroDivisionError, "step_size_up must be > 0", lambda: schedules.CyclicLR(sgd(), 0.1, 1, 0)),
        (ValueError, "max_lr has 2 values, param_groups has 1", lambda: schedules.CyclicLR(sgd(), 0.1, [1, 2])),
        (ValueError, "Adagrad has neither, pass cycle_momentum=False",
         lambda: schedules.OneCycleLR(optim.Adagrad([nn.Parameter(tg.ones(1))]), 0.1, 10)),
        (ValueError, "define either total_steps OR", lambda: schedules.OneCycleLR(sgd(), 0.1, epochs=3)),
        (ValueError, "positive integer total_steps, but got 0", lambda: schedules.OneCycleLR(sgd(), 0.1, 0)),
        (ValueError, "positive integer epochs, but got 1.5", lambda: schedules.OneCycleLR(sgd(), 1, None, 1.5, 2)),
        (ValueError, "pct_start, but got 2", lambda: schedules.OneCycleLR(sgd(), 0.1, 10, pct_start=2)),
        (ValueError, "instead got sine", lambda: schedules.OneCycleLR(sgd(), 0.1, 10, anneal_strategy="sine")),
        (ValueError, "Tried to step 3 times", lambda: too_far()),
        (ValueError, "Factor should be < 1.0, got 1", lambda: schedules.ReduceLROnPlateau(sgd(), factor=1)),
        (ValueError, "mode 'low' is unknown", lambda: schedules.ReduceLROnPlateau(sgd(), "low")),
        (ValueError, "threshold mode 'x' is unknown", lambda: schedules.ReduceLROnPlateau(sgd(), threshold_mode="x")),
        (ValueError, "expected 1 min_lrs, got 2", lambda: schedules.ReduceLROnPlateau(sgd(), min_lr=[0, 1])),
        (TypeError, "metrics", lambda: schedules.ReduceLROnPlateau(sgd()).step()),
        (ValueError, "expects at least one scheduler", lambda: schedules.ChainedScheduler([])),
        (ValueError, "schedulers 1 and the number of milestones to be equal to 1",
         lambda: (lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 1)], [1]))(sgd())),
        (ValueError, "belong to the same optimizer", lambda: schedules.SequentialLR(
            sgd(), [schedules.StepLR(sgd(), 1)], [])),
        (ValueError, "does not support `ReduceLROnPlateau`",
         lambda: schedules.ChainedScheduler([schedules.ReduceLROnPlateau(sgd())])),
        (TypeError, "expected a schedule", lambda: schedules.ChainedScheduler([3])),
        (ValueError, "has 1 rates, but the optimizer has 2 parameter groups", grown),
        (KeyError, "'last_epoch' is missing in the state dict, whose keys are",
         lambda: schedules.StepLR(sgd(), 1).load_state_dict({"foo": 1})),
        (TypeError, "state_dict to be a dict, got int", lambda: schedules.StepLR(sgd(), 1).load_state_dict(3)),
        (NotImplementedError, "LRScheduler defines no get_lr", lambda: schedules.LRScheduler(sgd())),
    ],
)  # fmt: skip
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()


def too_far():
    optimizer = sgd(momentum=0.9)
    run(optimizer, schedules.OneCycleLR(optimizer, 0.1, 2), 3)


def test_a_factor_of_zero_cannot_be_taken_back():
    optimizer = sgd()
    scheduler = schedules.ConstantLR(optimizer, 0, 2)
    with pytest.raises(ZeroDivisionError, match="factor=0 cannot be restored at step 2"):
        run(optimizer, scheduler, 2)
