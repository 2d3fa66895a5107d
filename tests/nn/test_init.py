"""Initialisation: bounds and spreads by PyTorch's formulas, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.nn import init


def big():
    tg.manual_seed(0)
    return tg.nn.Parameter(tg.empty(200, 100))


@pytest.mark.parametrize(
    ("fill", "bound"),
    [
        (lambda w: init.uniform_(w, -0.5, 0.5), 0.5),
        (lambda w: init.xavier_uniform_(w, 2.0), 2 * np.sqrt(6 / 300)),
        (init.kaiming_uniform_, np.sqrt(2) * np.sqrt(3 / 100)),
        (lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="linear"), np.sqrt(3 / 200)),
    ],
)
def test_uniform_bounds(fill, bound):
    w = fill(big())
    size = np.abs(w.array).max()
    assert 0.99 * bound < size <= bound and abs(w.array.mean()) < 0.02 * bound
    assert w.requires_grad and w.is_leaf and w.array.dtype == np.float32


@pytest.mark.parametrize(
    ("fill", "mean", "std"),
    [
        (lambda w: init.normal_(w, 1.0, 2.0), 1.0, 2.0),
        (init.xavier_normal_, 0.0, np.sqrt(2 / 300)),
        (lambda w: init.kaiming_normal_(w, nonlinearity="relu"), 0.0, np.sqrt(2 / 100)),
        (lambda w: init.kaiming_normal_(w, 1.0), 0.0, np.sqrt(1 / 100)),
    ],
)
def test_normal_spreads(fill, mean, std):
    w = fill(big()).array
    assert abs(w.mean() - mean) < 0.03 * std and abs(w.std() / std - 1) < 0.02


def test_trunc_normal():
    w = init.trunc_normal_(big(), 0.5, 1.0, 0.0, 1.0).array
    assert w.min() >= 0 and w.max() <= 1 and abs(w.mean() - 0.5) < 0.01


def test_constants():
    assert init.constant_(tg.empty(2), 3).tolist() == [3, 3]
    assert init.ones_(tg.empty(2)).tolist() == [1, 1] and init.zeros_(tg.empty(2)).tolist() == [0, 0]
    assert init.eye_(tg.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (4, 2, 3, 1)])
def test_orthogonal(shape):
    w = init.orthogonal_(tg.empty(shape, dtype=tg.float64), 2.0).array.reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_seeded_draws_repeat():
    generator = tg.Generator().manual_seed(3)
    first = init.uniform_(tg.empty(3), generator=generator).array.copy()
    generator.manual_seed(3)
    np.testing.assert_array_equal(init.uniform_(tg.empty(3), generator=generator).array, first)


def test_fans():
    assert init._calculate_fan_in_and_fan_out(tg.empty(4, 3, 2, 5)) == (30, 40)


@pytest.mark.torch
@pytest.mark.parametrize(
    "name", ["linear", "conv1d", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)
def test_gains(name):
    torch = pytest.importorskip("torch")
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("fewer than 2 dimensions", lambda: init.kaiming_uniform_(tg.empty(3))),
        ("Mode sideways not supported", lambda: init.kaiming_normal_(tg.empty(3, 3), mode="sideways")),
        ("Unsupported nonlinearity step", lambda: init.calculate_gain("step")),
        ("negative_slope x not a valid number", lambda: init.calculate_gain("leaky_relu", "x")),
        ("Only tensors with 2 dimensions are supported", lambda: init.eye_(tg.empty(3))),
        ("Only tensors with 2 or more dimensions", lambda: init.orthogonal_(tg.empty(3))),
        ("Only tensors with 3, 4, or 5 dimensions", lambda: init.dirac_(tg.empty(3, 3))),
        ("dim 0 must be divisible by groups", lambda: init.dirac_(tg.empty(3, 3, 3), 2)),
        ("Only tensors with 2 dimensions are supported", lambda: init.sparse_(tg.empty(3), 0.1)),
        ("lies too far from mean", lambda: init.trunc_normal_(tg.empty(3), 0.0, 1.0, 9.0, 10.0)),
    ],
)
def test_refused(words, call):
    with pytest.raises(ValueError, match=words):
        call()


def test_refused_ranges():
    with pytest.raises(RuntimeError, match="found from=1 > to=0"):
        init.uniform_(tg.empty(3), 1, 0)
    with pytest.raises(RuntimeError, match="found std -1"):
        init.normal_(tg.empty(3), 0, -1)


@pytest.mark.torch
@pytest.mark.parametrize(("shape", "groups"), [((4, 3, 3, 3), 1), ((4, 2, 5), 2), ((2, 4, 2, 3, 2), 2)])
def test_dirac(shape, groups):
    torch = pytest.importorskip("torch")
    mine, other = init.dirac_(tg.empty(shape), groups), torch.nn.init.dirac_(torch.empty(shape), groups)
    np.testing.assert_array_equal(mine.array, other.numpy())


def test_dirac_passes_the_image_through():
    conv = tg.nn.Conv2d(2, 2, 3, padding=1, bias=False)
    init.dirac_(conv.weight)
    x = tg.randn(1, 2, 4, 5)
    np.testing.assert_allclose(conv(x).detach().array, x.array, 1e-6)


def test_sparse():
    w = init.sparse_(tg.empty(100, 20), 0.35, std=2.0).array
    assert ((w == 0).sum(0) == 35).all() and abs(w[w != 0].std() - 2) < 0.15


@pytest.mark.parametrize(
    ("name", "words"),
    [("uniform", "use init.uniform_"), ("xavier", "use init.xavier_uniform_ or"), ("nothing", "has no attribute")],
)
def test_names_without_underscore(name, words):
    with pytest.raises(AttributeError, match=words):
        getattr(init, name)
