"""Optimisers by formula and L-BFGS: what they refuse, minima they find, the line search by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.optim.line_search import Point, cubic_minimum, strong_wolfe

NAMES = ["Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD"]


def one():
    return tg.tensor([1.0, -2.0, 3.0], requires_grad=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flag", ["foreach", "capturable", "differentiable"])
def test_flags_that_are_not_supported(name, flag):
    optimizer = getattr(tg.optim, name)
    optimizer([one()], **{flag: False})
    with pytest.raises(NotImplementedError, match=f"{name}: {flag}=True is not supported: .*; leave it out"):
        optimizer([one()], **{flag: True})
    with pytest.raises(TypeError, match="fused"):
        optimizer([one()], fused=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_bowl_is_descended(name):
    p = one()
    optimizer = getattr(tg.optim, name)([p], lr=1.0 if name == "Adadelta" else 0.05)
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_overflow_is_silent_and_a_step_is_seen_by_backward(name):
    p = one()
    optimizer = getattr(tg.optim, name)([p], weight_decay=0.1) if name != "Rprop" else tg.optim.Rprop([p])
    y = (p**2).sum()
    p.grad = tg.tensor([1e30, 0.0, 1.0])
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified|changed"):
        y.backward()


@pytest.mark.parametrize(("name", "options"), [("Adamax", {"betas": 0.9}), ("Rprop", {"etas": 0.5})])
def test_pairs(name, options):
    with pytest.raises(TypeError, match="must be two numbers"):
        getattr(tg.optim, name)([one()], **options)


def test_asgd_keeps_the_average_of_its_path():
    """From the second step on, as in PyTorch: mu falls below 1 after it."""
    p = one()
    optimizer, path = tg.optim.ASGD([p], lr=0.1, lambd=0, t0=0), []
    for _ in range(5):
        p.grad = tg.tensor([1.0, 2.0, -1.0])
        optimizer.step()
        path.append(p.array.copy())
    np.testing.assert_allclose(optimizer.state[p]["ax"].array, np.mean(path[1:], 0), rtol=1e-6)


def quadratic(optimizer, p, matrix, calls):
    def closure():
        optimizer.zero_grad()
        loss = 0.5 * p @ matrix @ p - p.sum()
        loss.backward()
        calls.append(loss.item())
        return loss

    return closure


@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
def test_lbfgs_solves_a_linear_system(line_search_fn):
    matrix = tg.tensor(np.diag([1.0, 3.0, 10.0]) + 0.5)
    p, calls = tg.zeros(3, dtype=tg.float64, requires_grad=True), []
    lr = 1.0 if line_search_fn else 0.5
    optimizer = tg.optim.LBFGS([p], lr, max_iter=60, line_search_fn=line_search_fn, tolerance_change=1e-14)
    first = optimizer.step(quadratic(optimizer, p, matrix, calls))
    assert first.item() == calls[0] == 0
    np.testing.assert_allclose(p.array, np.linalg.solve(matrix.array, np.ones(3)), atol=1e-6)
    state = optimizer.state_dict()["state"][0]
    assert state["func_evals"] == len(calls) and state["n_iter"] <= 60


def test_lbfgs_ends_at_once_where_the_gradient_is_small():
    p, calls = tg.zeros(3, requires_grad=True), []
    optimizer = tg.optim.LBFGS([p], tolerance_grad=2.0)
    optimizer.step(quadratic(optimizer, p, tg.eye(3), calls))
    assert len(calls) == 1 and not p.array.any()


def test_lbfgs_counts_evaluations_and_keeps_a_short_history():
    p, calls = tg.tensor([5.0, -4.0, 3.0], dtype=tg.float64, requires_grad=True), []
    matrix = tg.tensor(np.diag([1.0, 3.0, 10.0]))
    optimizer = tg.optim.LBFGS([p], lr=0.1, max_iter=20, max_eval=8, history_size=2)
    optimizer.step(quadratic(optimizer, p, matrix, calls))
    assert len(calls) == 8
    assert len(optimizer.state[p]["old_dirs"]) == len(optimizer.state[p]["ro"]) == 2


def test_what_lbfgs_refuses():
    with pytest.raises(TypeError, match="LBFGS.step: .* needs a closure"):
        tg.optim.LBFGS([one()]).step()
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported, got line_search_fn='armijo'"):
        tg.optim.LBFGS([one()], line_search_fn="armijo")
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        tg.optim.LBFGS([{"params": [one()]}, {"params": [one()]}])
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        tg.optim.LBFGS([one()]).add_param_group({"params": [one()]})


def test_lbfgs_state_survives_a_file(tmp_path):
    p, calls = tg.tensor([5.0, -4.0, 3.0], requires_grad=True), []
    matrix = tg.tensor(np.diag([1.0, 3.0, 10.0]).astype(np.float32))
    optimizer = tg.optim.LBFGS([p], lr=0.1, max_iter=4)
    optimizer.step(quadratic(optimizer, p, matrix, calls))
    tg.save({"optimizer": optimizer.state_dict(), "p": p.detach()}, tmp_path / "state.safetensors")
    optimizer.step(quadratic(optimizer, p, matrix, calls))
    kept = tg.load(tmp_path / "state.safetensors")
    q = kept["p"].requires_grad_()
    loaded = tg.optim.LBFGS([q])
    loaded.load_state_dict(kept["optimizer"])
    loaded.step(quadratic(loaded, q, matrix, calls))
    np.testing.assert_array_equal(p.array, q.array)


# -- the line search --------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "bowl": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "wiggles": (lambda t: -t + 2 * math.sin(2 * t) ** 2 + 0.05 * t * t, lambda t: -1 + 4 * math.sin(4 * t) + 0.1 * t),
    "wall": (lambda t: -math.log1p(t) + math.exp(3 * (t - 1)), lambda t: -1 / (1 + t) + 3 * math.exp(3 * (t - 1))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 5.0, 40.0])
def test_the_point_found_satisfies_both_conditions(name, first):
    f, slope = FUNCTIONS[name]
    calls = []

    def at(t):
        calls.append(t)
        return Point(t, f(t), np.array([slope(t)]), slope(t))

    start = Point(0.0, f(0.0), np.array([slope(0.0)]), slope(0.0))
    found, evaluations = strong_wolfe(at, start, first, 1.0, 1e-9, 40)
    assert evaluations == len(calls)
    assert found.loss <= start.loss + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)


def test_cubic_minimum():
    def point(t):
        return Point(t, t**3 - 3 * t, np.zeros(1), 3 * t * t - 3)

    assert cubic_minimum(point(0.0), point(3.0), 0.0, 3.0) == pytest.approx(1.0)
    assert cubic_minimum(point(3.0), point(0.0), 0.0, 3.0) == pytest.approx(1.0)
    assert cubic_minimum(point(0.0), point(3.0), 1.5, 3.0) == 1.5
    straight = [Point(t, 2.0, np.zeros(1), 0.0) for t in (0.0, 1.0)]
    assert cubic_minimum(*straight, 2.0, 4.0) == 3.0  # no minimum: the middle
    assert cubic_minimum(straight[0], straight[0], 2.0, 4.0) == 3.0
    assert cubic_minimum(straight[0], Point(1.0, math.nan, np.zeros(1), 1.0), 2.0, 4.0) == 3.0
