"""Distributions: draws by their moments, what they refuse, divergences against sums, registered divergences."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    Normal,
    Uniform,
    constraints,
    kl_divergence,
    register_kl,
)

N = 20_000


class Pair(Distribution):
    """Draws are pairs."""

    arg_constraints = {}
    support = constraints.real_vector

    def __init__(self):
        super().__init__((), (2,))

    def log_prob(self, value):
        self._check_value(value)
        return -(value**2).sum(-1)


def test_draws_of_normal_and_uniform_have_the_moments():
    tg.manual_seed(0)
    for d in (Normal(tg.tensor([-2.0, 3.0]), tg.tensor([0.5, 4.0])), Uniform(tg.tensor([-2.0, 3.0]), 7.0)):
        for x in (d.sample((N,)), d.rsample((N,))):
            assert tuple(x.shape) == (N, 2)
            error = d.stddev.array / math.sqrt(N)
            assert (np.abs(x.detach().array.mean(0) - d.mean.array) < 5 * error).all()
            np.testing.assert_allclose(x.detach().array.std(0), d.stddev.array, rtol=0.03)
    x = Uniform(2.0, 3.0).sample((N,)).array
    assert x.min() >= 2 and x.max() < 3
    np.testing.assert_allclose(np.sort(x), np.linspace(2, 3, N), atol=0.03)  # flat, not only of the same moments


def test_draws_of_categorical_and_bernoulli_have_the_frequencies():
    tg.manual_seed(0)
    p = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    x = Categorical(tg.tensor(p)).sample((N,))
    assert x.dtype is tg.int64 and tuple(x.shape) == (N, 2)
    for row in range(2):
        np.testing.assert_allclose(np.bincount(x.array[:, row], minlength=3) / N, p[row], atol=0.02)
    assert abs(np.corrcoef(x.array.T)[0, 1]) < 0.03  # the rows of a batch are independent
    y = Bernoulli(tg.tensor([0.0, 0.3, 1.0])).sample((N,))
    assert y.dtype is tg.float32 and set(np.unique(y.array)) == {0.0, 1.0}
    np.testing.assert_allclose(y.array.mean(0), [0, 0.3, 1], atol=0.02)


@pytest.mark.parametrize("sample_shape", [(), (5,), (2, 3)])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: Normal(0.0, 1.0), ()),
        (lambda: Normal(tg.zeros(3, 1), tg.ones(4)), (3, 4)),
        (lambda: Uniform(tg.zeros(2), 1), (2,)),
        (lambda: Categorical(tg.ones(4)), ()),
        (lambda: Categorical(logits=tg.zeros(2, 3, 4)), (2, 3)),
        (lambda: Bernoulli(0.5), ()),
        (lambda: Bernoulli(logits=tg.zeros(2)), (2,)),
    ],
)
def test_shapes(make, shape, sample_shape):
    d = make()
    x = d.sample(sample_shape)
    assert not x.requires_grad
    assert tuple(d.batch_shape) == shape and tuple(d.event_shape) == ()
    assert tuple(x.shape) == tuple(d.log_prob(x).shape) == sample_shape + shape
    assert tuple(d.entropy().shape) == tuple(d.mean.shape) == tuple(d.variance.shape) == tuple(d.mode.shape) == shape
    wide = d.expand((6, *shape))
    assert tuple(wide.sample(sample_shape).shape) == (*sample_shape, 6, *shape)
    assert tuple(d.batch_shape) == shape
    assert tuple(Independent(d, len(shape)).log_prob(x).shape) == sample_shape


def test_rsample_carries_gradients_and_sample_does_not():
    loc, scale = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([0.5, 3.0], requires_grad=True)
    x = Normal(loc, scale).rsample((7,))
    x.sum().backward()
    np.testing.assert_allclose(loc.grad.array, [7, 7])
    np.testing.assert_allclose(scale.grad.array, ((x.detach() - loc.detach()) / scale.detach()).sum(0).array, rtol=1e-4)
    low, high = tg.tensor(1.0, requires_grad=True), tg.tensor(3.0, requires_grad=True)
    y = Uniform(low, high).rsample((7,))
    y.sum().backward()
    np.testing.assert_allclose(high.grad.array, ((y.detach() - 1) / 2).sum().array, rtol=1e-5)
    np.testing.assert_allclose((low.grad + high.grad).array, 7, rtol=1e-5)


@pytest.mark.parametrize("d", [Categorical(tg.ones(3)), Bernoulli(0.5)], ids=str)
def test_discrete_draws_have_no_gradient(d):
    assert not d.has_rsample
    with pytest.raises(NotImplementedError, match="has no rsample: .*use sample, and log_prob"):
        d.rsample()


def test_probs_read_without_gradient_first_still_have_it_later():
    logits = tg.tensor([0.1, 0.2, 0.5], requires_grad=True)
    d = Categorical(logits=logits)
    with tg.no_grad():
        d.sample()
    d.probs[0].backward()
    assert np.abs(logits.grad.array).max() > 0.1


WRONG = [
    (lambda: Normal(0.0, -1.0), "Expected parameter scale .* GreaterThan\\(lower_bound=0.0\\)"),
    (lambda: Normal(math.nan, 1.0), "Expected parameter loc .* Real\\(\\)"),
    (lambda: Normal("0", 1.0), "must all be numbers or Tensors, got str"),
    (lambda: Uniform(2.0, 1.0), "Expected parameter low "),
    (lambda: Bernoulli(1.5), "Expected parameter probs .* Interval"),
    (lambda: Bernoulli(), "Either `probs` or `logits` must be specified, but not both"),
    (lambda: Categorical(tg.ones(2), tg.ones(2)), "Either `probs` or `logits` must be specified, but not both"),
    (lambda: Categorical(tg.tensor(1.0)), "`probs` parameter must be at least one-dimensional"),
    (lambda: Categorical(tg.tensor([-0.5, 1.5])), "Expected parameter probs .* Simplex"),
    (lambda: Categorical(logits=tg.tensor([math.nan, 0.0])), "Expected parameter logits"),
    (lambda: Normal(0.0, 1.0).log_prob(0.5), "value argument to log_prob must be a Tensor"),
    (lambda: Normal(tg.zeros(3), 1.0).log_prob(tg.zeros(2)), "not broadcastable with batch_shape"),
    (lambda: Uniform(0.0, 1.0).log_prob(tg.tensor(2.0)), "within the support"),
    (lambda: Bernoulli(0.5).log_prob(tg.tensor(0.5)), "within the support \\(Boolean\\(\\)\\)"),
    (lambda: Categorical(tg.ones(3)).log_prob(tg.tensor(3)), "within the support \\(IntegerInterval\\("),
    (lambda: Independent(Normal(tg.zeros(2), 1.0), 2), "reinterpreted_batch_ndims <= len"),
    (lambda: Pair().log_prob(tg.zeros(2, 3)), "must match event_shape: .*2, 3.* vs .*2"),
    (lambda: Distribution.set_default_validate_args(3), "needs True or False, got 3"),
]


@pytest.mark.parametrize(("code", "words"), WRONG)
def test_refusals(code, words):
    with pytest.raises(ValueError, match=words):
        code()


def test_checks_can_be_switched_off():
    assert Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    assert Uniform(0.0, 1.0, validate_args=False).log_prob(tg.tensor(2.0)).item() == -math.inf
    assert Categorical(tg.ones(3)).expand((2,))._validate_args
    Distribution.set_default_validate_args(False)
    try:
        Normal(0.0, -1.0)
    finally:
        Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="scale"):
        Normal(0.0, -1.0)


def test_a_distribution_of_ones_own():
    np.testing.assert_allclose(Pair().log_prob(tg.ones(3, 2)).array, [-2, -2, -2])
    with pytest.raises(ValueError, match="within the support .*of the distribution Pair"):
        Pair().log_prob(tg.tensor([1.0, math.nan]))
    with pytest.raises(ValueError, match=r"Expected value.dim\(\) >= 1 but got 0"):
        constraints.real_vector.check(tg.tensor(1.0))
    assert constraints.real_vector.event_dim == 1 and not constraints.real_vector.is_discrete


def test_a_class_that_is_no_tensor():
    with pytest.raises(TypeError, match=r"`probs` must be a Tensor, got list; use tensor\(...\)"):
        Categorical([0.5, 0.5])


def test_divergences_are_the_means_of_the_difference_of_logs():
    for p, q in (
        (Categorical(tg.tensor([0.2, 0.3, 0.5])), Categorical(logits=tg.tensor([0.0, 1.0, -1.0]))),
        (Bernoulli(tg.tensor([0.2, 0.9])), Bernoulli(logits=tg.tensor([0.5, -1.0]))),
    ):
        x = p.enumerate_support()
        expected = (p.log_prob(x).exp() * (p.log_prob(x) - q.log_prob(x))).sum(0)
        np.testing.assert_allclose(kl_divergence(p, q).array, expected.array, rtol=1e-5)
    grid = tg.tensor(np.linspace(-30, 30, 60_001))
    narrow = Uniform(tg.tensor(-1.0, dtype=tg.float64), 2.0, validate_args=False)
    wide, q = Normal(tg.tensor(0.3, dtype=tg.float64), 1.5), Normal(tg.tensor(-0.5, dtype=tg.float64), 2.0)
    for p in (narrow, wide):
        log_p = p.log_prob(grid).array
        inside = np.isfinite(log_p)
        integral = (np.exp(log_p) * np.where(inside, log_p - q.log_prob(grid).array, 0))[inside].sum() * 1e-3
        np.testing.assert_allclose(kl_divergence(p, q).item(), integral, rtol=1e-3)


def test_an_unknown_divergence_names_the_ways():
    with pytest.raises(NotImplementedError, match="p type Normal and q type Bernoulli; register one with @register_kl"):
        kl_divergence(Normal(0.0, 1.0), Bernoulli(0.5))
    with pytest.raises(TypeError, match="Expected type_q to be a Distribution subclass but got <class 'int'>"):
        register_kl(Normal, int)


def test_the_most_specific_divergence_is_taken(monkeypatch):
    from tinygrad_edu.distributions import kl

    monkeypatch.setattr(kl, "_DIVERGENCES", dict(kl._DIVERGENCES))

    class Mine(Normal):
        pass

    assert kl_divergence(Mine(0.0, 1.0), Normal(1.0, 1.0)).item() == 0.5
    register_kl(Mine, Normal)(lambda p, q: tg.tensor(1.0))
    assert kl_divergence(Mine(0.0, 1.0), Mine(1.0, 1.0)).item() == 1
    register_kl(Normal, Mine)(lambda p, q: tg.tensor(2.0))
    assert kl_divergence(Mine(0.0, 1.0), Normal(0.0, 1.0)).item() == 1
    with pytest.warns(RuntimeWarning, match=r"Ambiguous .* register_kl\(Mine, Mine\)"):
        kl_divergence(Mine(0.0, 1.0), Mine(1.0, 1.0))
    with pytest.raises(NotImplementedError, match="both Independent must reinterpret as many dims, got 1 and 0"):
        kl_divergence(*(Independent(Normal(tg.zeros(2), 1.0), n) for n in (1, 0)))


def test_what_a_distribution_lacks_is_named():
    class Bare(Distribution):
        pass

    with pytest.raises(NotImplementedError, match="Bare has no arg_constraints; define them"):
        Bare()
    d = Bare(validate_args=False)
    for name in ("mean", "mode", "variance", "stddev", "support"):
        with pytest.raises(NotImplementedError, match="Bare has no"):
            getattr(d, name)
    for name in ("log_prob", "cdf", "icdf", "expand"):
        with pytest.raises(NotImplementedError, match=f"Bare has no {name}"):
            getattr(d, name)(tg.zeros(()))
    with pytest.raises(NotImplementedError, match="Categorical has no cdf"):
        Categorical(tg.ones(2)).cdf(tg.zeros(()))


def test_repr():
    assert repr(Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
    assert repr(Categorical(tg.ones(3))) == "Categorical(probs: tinygrad_edu.Size([3]))"
    assert repr(Independent(Bernoulli(tg.ones(2)), 1)) == "Independent(Bernoulli(probs: tinygrad_edu.Size([2])), 1)"
    assert repr(constraints.unit_interval) == "Interval(lower_bound=0.0, upper_bound=1.0)"


def test_a_policy_learns_by_the_score_function():
    """REINFORCE on three arms: the class that is rewarded becomes the likeliest."""
    tg.manual_seed(1)
    logits = tg.zeros(3, requires_grad=True)
    optimizer = tg.optim.Adam([logits], lr=0.2)
    for _ in range(60):
        policy = Categorical(logits=logits)
        action = policy.sample((16,))
        reward = (action == 2).float() - 0.3
        optimizer.zero_grad()
        (-policy.log_prob(action) * reward).mean().backward()
        optimizer.step()
    assert Categorical(logits=logits).probs[2].item() > 0.9
