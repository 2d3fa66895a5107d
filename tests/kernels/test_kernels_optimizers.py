"""Optimiser steps: against the formulas on single numbers, twin against reference, and PyTorch."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from kernel_cases import DTYPES, close, layouts, numba_everywhere, numpy_everywhere, random

from tinygrad_edu import kernels
from tinygrad_edu.errors import ShapeError

SGD = [
    {"momentum": momentum, "dampening": dampening, "weight_decay": decay, "nesterov": nesterov, "maximize": maximize}
    for momentum, dampening, nesterov in ((0.0, 0.0, False), (0.9, 0.0, False), (0.9, 0.3, False), (0.9, 0.0, True))
    for decay, maximize in itertools.product((0.0, 0.1), (False, True))
]
RMSPROP = [
    {"alpha": 0.9, "eps": 1e-3, "weight_decay": decay, "momentum": momentum, "centered": centered}
    for decay, momentum, centered in itertools.product((0.0, 0.1), (0.0, 0.8), (False, True))
]
ADAM = [
    {
        "beta1": 0.9,
        "beta2": 0.99,
        "eps": 1e-3,
        "weight_decay": decay,
        "amsgrad": amsgrad,
        "decoupled": decoupled,
        "maximize": maximize,
    }
    for decay, amsgrad, decoupled, maximize in itertools.product((0.0, 0.1), *[(False, True)] * 3)
]
STEPS = 4


def run_sgd(param, grads, options):
    buffer = np.full_like(param, np.nan) if options["momentum"] else None  # whatever it holds
    for step, grad in enumerate(map(np.asarray, grads)):
        kernels.sgd_step(param, grad, buffer, lr=0.1, first_step=step == 0, **options)


def run_rmsprop(param, grads, options):
    state = [np.zeros_like(param) for _ in range(3)]
    grad_avg, buffer = state[1] if options["centered"] else None, state[2] if options["momentum"] else None
    for grad in map(np.asarray, grads):
        kernels.rmsprop_step(param, grad, state[0], grad_avg, buffer, lr=0.1, **options)


def run_adam(param, grads, options):
    state = [np.zeros_like(param) for _ in range(3)]
    largest = state[2] if options["amsgrad"] else None
    for step, grad in enumerate(map(np.asarray, grads), start=1):
        kernels.adam_step(param, grad, *state[:2], largest, step=step, lr=0.1, **options)


def sgd_by_hand(p, grads, o):
    v = None
    for raw in grads:
        g = (-raw if o["maximize"] else raw) + o["weight_decay"] * p
        if o["momentum"]:
            v = g if v is None else o["momentum"] * v + (1 - o["dampening"]) * g
            g = g + o["momentum"] * v if o["nesterov"] else v
        p -= 0.1 * g
    return p


def rmsprop_by_hand(p, grads, o):
    v = mean = b = 0.0
    for raw in grads:
        g = raw + o["weight_decay"] * p
        v = o["alpha"] * v + (1 - o["alpha"]) * g**2
        mean = o["alpha"] * mean + (1 - o["alpha"]) * g
        b = o["momentum"] * b + g / (math.sqrt(v - mean**2 if o["centered"] else v) + o["eps"])
        p -= 0.1 * b
    return p


def adam_by_hand(p, grads, o):
    m = v = largest = 0.0
    for t, raw in enumerate(grads, start=1):
        g = -raw if o["maximize"] else raw
        if o["decoupled"]:
            p -= 0.1 * o["weight_decay"] * p
        else:
            g += o["weight_decay"] * p
        m = o["beta1"] * m + (1 - o["beta1"]) * g
        v = o["beta2"] * v + (1 - o["beta2"]) * g**2
        largest = max(largest, v)
        v_hat = (largest if o["amsgrad"] else v) / (1 - o["beta2"] ** t)
        p -= 0.1 * (m / (1 - o["beta1"] ** t)) / (math.sqrt(v_hat) + o["eps"])
    return p


CASES = [
    *((run_sgd, sgd_by_hand, "SGD", options) for options in SGD),
    *((run_rmsprop, rmsprop_by_hand, "RMSprop", options) for options in RMSPROP),
    *((run_adam, adam_by_hand, "Adam", options) for options in ADAM),
]
every_case = pytest.mark.parametrize(
    ("run", "by_hand", "optimiser", "options"), CASES, ids=[f"{case[2]}-{i}" for i, case in enumerate(CASES)]
)


@every_case
@pytest.mark.parametrize("dtype", DTYPES)
def test_is_the_formula(run, by_hand, optimiser, options, dtype):
    start, grads = random((3, 4), dtype), random((STEPS, 3, 4), dtype, 1)
    expected = np.array([by_hand(p, g, options) for p, g in zip(start.flat, grads.reshape(STEPS, -1).T, strict=True)])
    for backend in (numpy_everywhere, numba_everywhere):
        param, given = start.copy(), grads.copy()
        given.flags.writeable = False
        with backend(), warnings.catch_warnings():
            warnings.simplefilter("error")
            run(param, given, options)
        np.testing.assert_allclose(
            param.ravel(), expected, rtol=200 * np.finfo(dtype).eps, atol=20 * np.finfo(dtype).eps
        )


@pytest.mark.parametrize(("run", "options"), [(run_sgd, SGD[3]), (run_rmsprop, RMSPROP[-1]), (run_adam, ADAM[-1])])
@pytest.mark.parametrize("shape", [(0, 3), (1,), (), (5, 7)])
def test_layouts(run, options, shape):
    start, grads = random(shape, np.float32), random((STEPS, *shape), np.float32, 1)
    expected = start.copy()
    with numpy_everywhere():
        run(expected, grads, options)
    for backend in (numpy_everywhere, numba_everywhere):
        for kind, grad in enumerate(layouts(grads)):
            param = list(layouts(start.copy()))[kind]  # made anew: steps write to it
            param = param if param.flags.writeable else param.copy()
            with backend():
                run(param, grad, options)
            close(param, expected, ulps=50)


def test_only_the_elements_of_a_view_move():
    whole = np.zeros((4, 6), np.float32)
    for backend in (numpy_everywhere, numba_everywhere):
        whole[...] = 0
        with backend():
            run_sgd(whole[:, ::2], np.ones((1, 4, 3), np.float32), SGD[0])
        assert (whole[:, 1::2] == 0).all()
        np.testing.assert_allclose(whole[:, ::2], -0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_inf_stay_where_they_are(value):
    grads = np.ones((STEPS, 6), np.float32)
    grads[0, 2] = value
    for run, _, _, options in CASES:
        results = []
        for backend in (numpy_everywhere, numba_everywhere):
            param = np.zeros(6, np.float32)
            with backend():
                run(param, grads, options)
            results.append(param)
            assert np.isfinite(np.delete(param, 2)).all()
        np.testing.assert_array_equal(np.isnan(results[0]), np.isnan(results[1]))


def test_what_does_not_fit():
    x, other = np.ones((2, 3)), np.ones((3, 2))
    with pytest.raises(ShapeError, match="grad is"):
        kernels.sgd_step(x, other, None, lr=1, first_step=True, **SGD[0])
    with pytest.raises(ShapeError, match="exp_avg_sq is"):
        kernels.adam_step(x, x, x, other, None, step=1, lr=1, **ADAM[0])
    with pytest.raises(ValueError, match="centered=True needs grad_avg"):
        kernels.rmsprop_step(x, x, x, None, None, lr=1, **{**RMSPROP[0], "centered": True})
    with pytest.raises(ValueError, match="amsgrad=True needs"):
        kernels.adam_step(x, x, x, x, None, step=1, lr=1, **{**ADAM[0], "amsgrad": True})
    frozen = np.ones(3)
    frozen.flags.writeable = False
    for backend in (numpy_everywhere, numba_everywhere):
        with backend(), pytest.raises(ValueError, match="read-only"):
            kernels.sgd_step(frozen, np.ones(3), None, lr=1, first_step=True, **SGD[0])


@pytest.mark.torch
@every_case
def test_torch_agrees(run, by_hand, optimiser, options):
    torch = pytest.importorskip("torch")
    start, grads = random((3, 4), np.float64), random((STEPS, 3, 4), np.float64, 1)
    theirs = {"lr": 0.1, **options}
    if optimiser == "Adam":
        theirs["betas"] = (theirs.pop("beta1"), theirs.pop("beta2"))
        optimiser = "AdamW" if theirs.pop("decoupled") else "Adam"
    param = torch.from_numpy(start.copy()).requires_grad_()
    torch_optimiser = getattr(torch.optim, optimiser)([param], **theirs)
    for grad in grads:
        param.grad = torch.from_numpy(grad)
        torch_optimiser.step()
    ours = start.copy()
    run(ours, grads, options)
    np.testing.assert_allclose(ours, param.detach().numpy(), rtol=1e-12, atol=1e-14)
