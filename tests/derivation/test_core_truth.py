"""What the engine says, against central differences, and the parts of a derivative against their sum."""

from __future__ import annotations

import numpy as np
import pytest
from core_cases import activation_derivation, batchnorm_derivation, softmax_derivation

from tinygrad_edu.derivation.truth import World

MAKERS = [batchnorm_derivation, softmax_derivation, activation_derivation]


def world_of(make, seed=5):
    setting = make().setting
    rng = np.random.default_rng(seed)
    return World(setting, setting.sizes, setting.drawn(rng, setting.sizes), rng)


def run(world, inputs):
    """The named values at other inputs."""
    rng = np.random.default_rng(0)
    return World(world.setting, world.sizes, inputs, rng).values


def differences(world, of, by, h=1e-6):
    """d(of)/d(by) for an input `by`, by central differences."""
    shape = world.shape(by)
    columns = []
    for k in range(int(np.prod(shape))):
        step = np.zeros(shape)
        step.reshape(-1)[k] = h
        after = run(world, {**world.inputs, by: world.inputs[by] + step})[of]
        before = run(world, {**world.inputs, by: world.inputs[by] - step})[of]
        columns.append((after - before) / (2 * h))
    return np.stack(columns, axis=-1).reshape(world.shape(of) + shape)


@pytest.mark.parametrize("make", MAKERS)
def test_jacobians_by_the_inputs(make):
    world = world_of(make)
    for of in world.order:
        for by in world.inputs:
            if by == "t" and of == "L":
                continue
            expected = differences(world, of, by)
            assert np.allclose(world.jacobian(of, by), expected, atol=1e-5 * max(1, np.abs(expected).max())), (of, by)


@pytest.mark.parametrize("make", MAKERS)
def test_gradients_are_the_upstream_times_the_jacobian(make):
    world = world_of(make)
    for by in world.order:
        jacobian = world.jacobian(world.output, by)
        expected = np.tensordot(world.upstream, jacobian, axes=world.upstream.ndim)
        assert np.allclose(world.gradient(by), expected, rtol=1e-10, atol=1e-12), by


@pytest.mark.parametrize("make", MAKERS)
def test_the_ways_add_up(make):
    world = world_of(make)
    for by in world.order[:-1]:
        ways = world.contributions(by)
        assert np.allclose(sum(ways.values()), world.gradient(by), rtol=1e-9, atol=1e-11), by
        for of in world.order[world.order.index(by) + 1 :]:
            total = world.jacobian(of, by)
            ways = world.contributions(by, of)
            assert np.allclose(sum(ways.values(), np.zeros_like(total)), total, rtol=1e-9, atol=1e-11), (of, by)


def test_local_partials_of_batchnorm_are_those_of_the_textbook():
    world = world_of(batchnorm_derivation)
    v = world.values
    x, mu, var, eps, gamma, xhat = v["x"], v["mu"], v["var"], v["eps"], v["gamma"], v["xhat"]
    m = len(x)
    assert np.allclose(world.local("xhat", "x"), np.eye(m) / np.sqrt(var + eps))
    assert np.allclose(world.local("xhat", "mu"), -1 / np.sqrt(var + eps))
    assert np.allclose(world.local("xhat", "var"), -0.5 * (x - mu) * (var + eps) ** -1.5)
    assert np.allclose(world.local("var", "x"), 2 / m * (x - mu))
    assert np.allclose(world.local("y", "xhat"), gamma * np.eye(m))
    assert np.allclose(world.local("y", "gamma"), xhat)
    assert not world.local("y", "x").any()  # only through xhat
    assert set(world.contributions("x")) == {"mu", "var", "xhat"}
    assert set(world.contributions("gamma")) == {"y"}


def test_what_does_not_depend_is_zero():
    world = world_of(batchnorm_derivation)
    assert not world.jacobian("mu", "gamma").any()
    assert not world.jacobian("mu", "y").any()


def test_names_of_derivatives():
    world = world_of(batchnorm_derivation)
    assert "df/dxhat" in world.names and "dvar/dx" in world.names and "x" in world.names
    assert "df/dnothing" not in world.names and "nothing" not in world.names and "dL/dx" not in world.names
    assert np.array_equal(world.names["df/dy"], world.values["g"])
    assert world.names.shape("dxhat/dx") == (4, 4)


def test_the_twin_differs_by_rounding_only():
    world = world_of(batchnorm_derivation)
    twin = world.twin()
    assert np.allclose(world.gradient("x"), twin.gradient("x"), rtol=1e-9)
    assert twin.twin() is not world


@pytest.mark.torch
def test_gradients_against_torch():
    torch = pytest.importorskip("torch")
    world = world_of(batchnorm_derivation)
    t = {key: torch.tensor(world.inputs[key], requires_grad=True) for key in world.inputs}
    mu = t["x"].mean()
    var = ((t["x"] - mu) ** 2).mean()
    y = t["gamma"] * (t["x"] - mu) / (var + world.values["eps"].item()).sqrt() + t["beta"]
    named = {**t, "mu": mu, "var": var}
    found = torch.autograd.grad((y * torch.tensor(world.values["g"])).sum(), list(named.values()))
    for key, gradient in zip(named, found, strict=True):
        assert np.allclose(world.gradient(key), gradient.numpy(), rtol=1e-9, atol=1e-10), key
