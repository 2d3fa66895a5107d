"""Layers that draw: their statistics, their gradients, and that evaluation draws nothing."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.errors import ShapeError


@pytest.fixture(autouse=True)
def _seed():
    tg.manual_seed(0)


@pytest.mark.parametrize("layer", [nn.AlphaDropout(0.3), nn.FeatureAlphaDropout(0.3)])
def test_alpha_dropout_keeps_mean_and_variance(layer):
    y = layer(tg.randn(400, 500, 2)).array
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02


def test_alpha_dropout_drops_to_one_value_and_its_gradient_is_the_mask():
    x = tg.randn(50, 40, requires_grad=True)
    y = nn.AlphaDropout(0.25)(x)
    y.sum().backward()
    dropped = x.grad.array == 0
    assert 0.2 < dropped.mean() < 0.3
    assert np.ptp(y.detach().array[dropped]) < 1e-6 and len(np.unique(x.grad.array)) == 2


def test_whole_channels_are_dropped():
    y = nn.Dropout1d(0.5)(tg.ones(20, 10, 7)).array
    assert set(np.unique(y)) == {0.0, 2.0} and (y == y[:, :, :1]).all() and 0.3 < (y == 0).mean() < 0.7
    y = nn.FeatureAlphaDropout(0.5)(tg.ones(20, 10, 7)).array
    assert len(np.unique(y)) == 2 and (y == y[:, :, :1]).all()


@pytest.mark.parametrize("layer", [nn.AlphaDropout(), nn.FeatureAlphaDropout(), nn.Dropout1d(), nn.RReLU()])
def test_evaluation_is_deterministic(layer):
    x = tg.randn(3, 4, 5)
    np.testing.assert_array_equal(layer.eval()(x).array, layer(x).array)
    if not isinstance(layer, nn.RReLU):
        np.testing.assert_array_equal(layer(x).array, x.array)


@pytest.mark.parametrize("layer", [nn.AlphaDropout(0.3, True), nn.RReLU(inplace=True), nn.CELU(inplace=True),
                                   nn.Hardswish(True), nn.Hardsigmoid(True), nn.Threshold(0.1, 2.0, True)])  # fmt: skip
def test_in_place(layer):
    x = tg.randn(6, 5, requires_grad=True)
    tg.manual_seed(1)
    hidden = x * 1.0
    out = layer(hidden)
    assert out is hidden
    (out * out).sum().backward()
    mine = x.grad.array.copy()
    x.grad = None
    tg.manual_seed(1)
    layer.inplace = False
    other = layer(x * 1.0)
    (other * other).sum().backward()
    np.testing.assert_allclose(out.detach().array, other.detach().array, 1e-6)
    np.testing.assert_allclose(mine, x.grad.array, 1e-5)


def test_random_slopes():
    x = -tg.ones(100, 100)
    slopes = -nn.RReLU(0.2, 0.4)(x).array
    assert slopes.min() >= 0.2 and slopes.max() <= 0.4 and abs(slopes.mean() - 0.3) < 0.01


def test_gumbel_softmax_draws_from_the_distribution():
    logits = tg.tensor(np.log([0.5, 0.3, 0.2])).expand((20000, 3))
    hard = F.gumbel_softmax(logits, tau=0.7, hard=True).array
    assert ((hard == 0) | (np.abs(hard - 1) < 1e-6)).all() and (hard.sum(1).round(6) == 1).all()
    np.testing.assert_allclose(hard.mean(0), [0.5, 0.3, 0.2], atol=0.015)
    soft = F.gumbel_softmax(logits, tau=0.7).array
    np.testing.assert_allclose(soft.sum(1), 1, 1e-5)


def test_a_hard_sample_has_the_gradient_of_the_soft_one():
    grads = []
    for hard in (False, True):
        z = tg.tensor([[1.0, 2.0, 0.5]], requires_grad=True)
        tg.manual_seed(3)
        (F.gumbel_softmax(z, hard=hard) * tg.tensor([1.0, 2.0, 3.0])).sum().backward()
        grads.append(z.grad.array)
    np.testing.assert_allclose(*grads, 1e-6)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, "between 0 and 1, but got 2", lambda: nn.AlphaDropout(2)),
        (ValueError, "between 0 and 1, but got -1", lambda: F.feature_alpha_dropout(tg.ones(2, 2), -1)),
        (ShapeError, "dropout1d: Expected 2D or 3D", lambda: F.dropout1d(tg.ones(2, 2, 2, 2))),
        (ShapeError, "at least 2 dims", lambda: F.feature_alpha_dropout(tg.ones(2))),
        (RuntimeError, "lower bound 2 should be less", lambda: F.rrelu(tg.ones(2), 2, 1)),
    ],
)
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()
