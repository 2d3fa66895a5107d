"""Every method of every distribution gives PyTorch's values and gradients, in float64."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_edu as tg

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

RNG = np.random.default_rng(3)
A, B = RNG.uniform(-1, 1, (2, 1, 3)), RNG.uniform(0.3, 2, (4, 3))  # of batch shape (2, 4, 3)
P, Z = RNG.uniform(0.05, 1, (2, 3, 5)), RNG.uniform(-2, 2, (2, 3, 5))
HARD = np.array([[0.0, 1.0, 3.0, 0.0, 0.5]])
IMPOSSIBLE = np.array([[-np.inf, 0.0, 1.0]])
UNIT = RNG.uniform(0.1, 0.9, (2, 3))

# the arguments, and a value of the support
CASES = {
    "normal": ("Normal", (A, B), {}, RNG.uniform(-2, 2, (5, 2, 4, 3))),
    "normal of a number": ("Normal", (A, 2.0), {}, RNG.uniform(-2, 2, (2, 1, 3))),
    "normal, one value": ("Normal", (A, B), {}, np.array(0.3)),
    "uniform": ("Uniform", (A, A + B), {}, A + B * RNG.uniform(0, 0.9, (5, 2, 4, 3))),
    "uniform at its ends": ("Uniform", (np.zeros(1), np.ones(1)), {}, np.array([0.0, 0.5, 1.0])),
    "categorical": ("Categorical", (P,), {}, RNG.integers(0, 5, (4, 2, 3))),
    "categorical of logits": ("Categorical", (), {"logits": Z}, RNG.integers(0, 5, (4, 2, 3))),
    "categorical of zeros": ("Categorical", (HARD,), {}, RNG.integers(0, 5, (4, 1))),
    "categorical of impossible classes": ("Categorical", (), {"logits": IMPOSSIBLE}, np.array([1, 2])),
    "bernoulli": ("Bernoulli", (UNIT,), {}, RNG.integers(0, 2, (4, 2, 3)).astype(float)),
    "bernoulli of logits": ("Bernoulli", (), {"logits": Z}, RNG.integers(0, 2, (4, 2, 3, 5)).astype(float)),
    "certain bernoulli": ("Bernoulli", (np.array([0.0, 0.5, 1.0]),), {}, RNG.integers(0, 2, (4, 3)).astype(float)),
}
METHODS = ["mean", "mode", "variance", "stddev", "log_prob", "cdf", "icdf", "entropy", "perplexity"]
METHODS += ["enumerate_support", "enumerate_support one", "probs", "logits", "param_shape", "has_rsample"]
METHODS += ["has_enumerate_support", "expand", "independent", "independent entropy", "independent mean"]


def made(lib, case):
    """The distribution, its leaves, and the value."""
    name, args, options, value = CASES[case]
    leaves = []

    def leaf(x):
        if not isinstance(x, np.ndarray):
            return x
        leaves.append(lib.tensor(x.copy(), requires_grad=True))
        return leaves[-1]

    args, options = [leaf(x) for x in args], {k: leaf(x) for k, x in options.items()}
    return getattr(lib.distributions, name)(*args, **options), leaves, lib.tensor(value)


def called(lib, case, method):
    """The value of the method and the gradients that reach the leaves, or the error."""
    d, leaves, value = made(lib, case)
    try:
        if method in ("log_prob", "cdf"):
            out = getattr(d, method)(value)
        elif method == "icdf":
            out = d.icdf(lib.tensor(RNG_QUANTILES))
        elif method.startswith("enumerate_support"):
            out = d.enumerate_support(expand=method == "enumerate_support")
        elif method == "expand":
            wide = d.expand((7, *d.batch_shape))
            assert tuple(wide.batch_shape) == (7, *d.batch_shape)
            out = wide.entropy()
        elif method.startswith("independent"):
            joint = lib.distributions.Independent(d, 1)
            assert tuple(joint.event_shape) == tuple(d.batch_shape[-1:])
            if method == "independent mean":
                out = joint.mean
            else:
                out = joint.entropy() if method == "independent entropy" else joint.log_prob(value)
        else:
            out = getattr(d, method)
            out = out() if callable(out) else out
    except (NotImplementedError, AttributeError, ValueError) as error:
        return type(error), None
    if not isinstance(out, lib.Tensor):
        return tuple(out) if isinstance(out, tuple) else out, None
    if not out.requires_grad:
        return out, None
    weights = np.cos(np.arange(out.numel())).reshape(tuple(out.shape))
    (out * lib.tensor(weights)).sum().backward()
    return out.detach(), [p.grad for p in leaves]


RNG_QUANTILES = np.linspace(0.05, 0.95, 3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES)
def test_method(case, method):
    ours, grads = called(tg, case, method)
    theirs, expected = called(torch, case, method)
    if not isinstance(theirs, torch.Tensor):
        assert ours == theirs
        return
    assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.array, theirs.numpy(), 1e-9, 1e-12)
    assert (grads is None) == (expected is None)
    for mine, other in zip(grads or [], expected or [], strict=True):
        assert (mine is None) == (other is None)
        if other is not None:
            np.testing.assert_allclose(mine.array, other.numpy(), 1e-8, 1e-10)


PAIRS = [
    ("normal", "normal of a number"),
    ("categorical", "categorical of logits"),
    ("categorical of zeros", "categorical"),
    ("categorical", "categorical of logits"),
    ("bernoulli", "certain bernoulli"),
    ("certain bernoulli", "bernoulli"),
    ("certain bernoulli", "certain bernoulli"),
    ("uniform", "uniform"),
    ("uniform", "normal"),
    ("normal", "uniform"),
    ("normal", "bernoulli"),
]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("joint", [False, True])
def test_divergence(pair, joint):
    """p is moved a little, so that a distribution differs from itself."""
    results = []
    for lib in (tg, torch):
        (p, p_leaves, _), (q, q_leaves, _) = made(lib, pair[0]), made(lib, pair[1])
        if "zeros" in pair[0]:
            p = p.expand((2, 3))
        if {"bernoulli", "certain bernoulli"} == set(pair):  # PyTorch's assignment does not broadcast
            p, q = p.expand((2, 3)), q.expand((2, 3))
        if joint:
            p, q = lib.distributions.Independent(p, 1), lib.distributions.Independent(q, 1)
        try:
            out = lib.distributions.kl_divergence(p, q)
        except NotImplementedError as error:
            results.append((type(error), None))
            continue
        if out.requires_grad and np.isfinite(out.detach().numpy()).all():
            (out * lib.tensor(np.cos(np.arange(out.numel())).reshape(tuple(out.shape)))).sum().backward()
        results.append((out.detach().numpy(), [leaf.grad for leaf in p_leaves + q_leaves]))
    (ours, grads), (theirs, expected) = results
    if isinstance(theirs, type):
        assert ours is theirs
        return
    np.testing.assert_allclose(ours, theirs, 1e-9, 1e-12)
    for mine, other in zip(grads, expected, strict=True):
        assert (mine is None) == (other is None)
        if other is not None:
            np.testing.assert_allclose(mine.array, other.numpy(), 1e-8, 1e-10)


REFUSED = [
    "Normal(0.0, -1.0)",
    "Normal([0.0], 1.0)",
    "Uniform(1.0, 1.0)",
    "Uniform(0.0, 1.0).log_prob(lib.tensor(-0.1))",
    "Bernoulli(-0.1)",
    "Bernoulli(0.5, 0.5)",
    "Bernoulli(0.5).log_prob(lib.tensor(2.0))",
    "Categorical()",
    "Categorical(lib.tensor([0.5, -0.5]))",
    "Categorical(lib.ones(3)).log_prob(lib.tensor(-1))",
    "Categorical(lib.ones(3)).log_prob(lib.tensor(0.5))",
    "Categorical(lib.ones(3)).log_prob(1)",
    "Categorical(lib.ones(2, 3)).log_prob(lib.zeros(5))",
    "Categorical(lib.ones(2, 3)).rsample()",
    "Categorical(lib.ones(2, 3)).cdf(lib.zeros(2))",
    "Normal(lib.zeros(2), lib.ones(3))",
    "Independent(Normal(0.0, 1.0), 1)",
    "kl_divergence(Normal(0.0, 1.0), Categorical(lib.ones(2)))",
]


@pytest.mark.parametrize("code", REFUSED)
def test_errors_are_of_pytorchs_type(code):
    caught = []
    for lib in (tg, torch):
        with warnings.catch_warnings(), pytest.raises(Exception) as error:
            warnings.simplefilter("ignore")
            eval(code, {**vars(lib.distributions), "lib": lib})
        caught.append(error.type)
    assert issubclass(*caught), caught
