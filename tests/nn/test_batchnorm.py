"""BatchNorm: the textbook's steps in the graph, the formulas in NumPy, running statistics, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from nn_checks import check_layer_gradients

import tinygrad_edu as tg
from tinygrad_edu import nn


def by_hand(x, gamma, beta, eps):
    """Algorithm 1 of Ioffe and Szegedy, channel by channel."""
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        values = x[:, c]
        mu = values.sum() / values.size
        var = ((values - mu) ** 2).sum() / values.size
        y[:, c] = gamma[c] * (values - mu) / np.sqrt(var + eps) + beta[c]
    return y


@pytest.mark.parametrize(
    ("layer", "shape"), [("BatchNorm1d", (6, 3)), ("BatchNorm1d", (4, 3, 5)), ("BatchNorm2d", (3, 3, 2, 4))]
)
def test_formula(layer, shape):
    rng = np.random.default_rng(0)
    bn = getattr(nn, layer)(3).double()
    gamma, beta = rng.standard_normal(3), rng.standard_normal(3)
    bn.load_state_dict({"weight": tg.tensor(gamma), "bias": tg.tensor(beta)}, strict=False)
    x = rng.standard_normal(shape) * 3 + 1
    np.testing.assert_allclose(bn(tg.tensor(x)).array, by_hand(x, gamma, beta, 1e-5), 1e-10)


@pytest.mark.parametrize("affine", [True, False])
def test_gradients(affine):
    check_layer_gradients(nn.BatchNorm1d(3, affine=affine), (5, 3))
    check_layer_gradients(nn.BatchNorm2d(2, affine=affine), (2, 2, 3, 2))
    check_layer_gradients(nn.BatchNorm2d(2, affine=affine).eval(), (2, 2, 3, 2))


@pytest.mark.parametrize("shape", [(3, 1), (3, 2, 4, 4)], ids=str)
def test_the_graph_is_the_textbooks(shape):
    """The nodes of the reference picture, named as there; γ and β beside them without a reshape in between."""
    bn = nn.BatchNorm1d(1) if len(shape) == 2 else nn.BatchNorm2d(2)
    x = tg.randn(*shape, requires_grad=True)
    graph = tg.autograd.graph_of(bn(x))
    steps = [(v.symbol, v.name) for v in graph.vertices if v.role in ("op", "output")]
    expected = ["mean", "−", "( )²", "mean", "+", "√", "1/·", "×", "×", "+"]
    assert [symbol for symbol, _ in steps] == expected
    assert [name for _, name in steps if name] == ["μ", "σ²", "x̂"]
    assert [v.title for v in graph.vertices if v.role == "parameter"] == ["γ", "β"]
    assert [(s.kind, bool(s.parent)) for s in graph.scopes] == [(type(bn).__name__, False), ("batch statistics", True)]
    boxed = [v.symbol for v in graph.vertices if v.scope == graph.scopes[1].id]
    assert boxed == ["mean", "( )²", "mean", "+", "√", "1/·"]


def test_running_statistics():
    bn = nn.BatchNorm1d(2, momentum=0.25).double()
    x = np.random.default_rng(0).standard_normal((5, 2)) + 3
    bn(tg.tensor(x))
    np.testing.assert_allclose(bn.running_mean.array, 0.25 * x.mean(0))
    np.testing.assert_allclose(bn.running_var.array, 0.75 + 0.25 * x.var(0, ddof=1))
    assert bn.num_batches_tracked.item() == 1
    bn.eval()
    mean = bn.running_mean.array.copy()
    y = bn(tg.tensor(x))
    np.testing.assert_array_equal(bn.running_mean.array, mean)
    np.testing.assert_allclose(y.array, (x - mean) / np.sqrt(bn.running_var.array + 1e-5))
    assert bn(tg.ones(1, 2, dtype=tg.float64)).shape == (1, 2)  # one sample is fine in evaluation


def test_momentum_none_is_the_plain_average():
    bn = nn.BatchNorm1d(1, momentum=None).double()
    batches = [np.random.default_rng(i).standard_normal((4, 1)) for i in range(5)]
    for x in batches:
        bn(tg.tensor(x))
    np.testing.assert_allclose(bn.running_mean.array, np.mean([x.mean() for x in batches]))
    bn.reset_running_stats()
    assert (bn.running_mean.item(), bn.running_var.item(), bn.num_batches_tracked.item()) == (0, 1, 0)


def test_forward_twice_before_backward():
    """The running statistics change between the two, which no gradient depends on."""
    bn = nn.BatchNorm1d(2)
    first, second = bn(tg.randn(4, 2)), bn(tg.randn(4, 2))
    (first.sum() + second.square().sum()).backward()
    assert bn.bias.grad is not None


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, r"Expected more than 1 value per channel when training, got input size \[1, 3\]",
         lambda: nn.BatchNorm1d(3)(tg.ones(1, 3))),
        (ValueError, "Expected more than 1 value per channel", lambda: nn.BatchNorm2d(3)(tg.ones(1, 3, 1, 1))),
        (ValueError, r"BatchNorm1d\(3\): expected 2D or 3D input \(got 4D input",
         lambda: nn.BatchNorm1d(3)(tg.ones(2, 3, 1, 1))),
        (ValueError, "expected 4D input .got 2D input", lambda: nn.BatchNorm2d(3)(tg.ones(2, 3))),
        (tg.errors.ShapeError, r"its dim 1 must be num_features=3 .running_mean should contain 4 elements not 3",
         lambda: nn.BatchNorm1d(3)(tg.ones(2, 4))),
        (tg.errors.DTypeError, "the input is tinygrad_edu.float64 but weight is tinygrad_edu.float32",
         lambda: nn.BatchNorm1d(3)(tg.ones(2, 3, dtype=tg.float64))),
        (tg.errors.DTypeError, "must be floating point", lambda: nn.BatchNorm1d(3)(tg.ones(2, 3, dtype=tg.int64))),
        (RuntimeError, "Expected running_mean and running_var to be defined when training=False",
         lambda: nn.functional.batch_norm(tg.ones(2, 3), None, None)),
        (tg.errors.ShapeError, "has 3 channels, but running_var is .2,.",
         lambda: nn.functional.batch_norm(tg.ones(2, 3), tg.ones(3), tg.ones(2))),
        (ValueError, "expected at least 2 dims", lambda: nn.functional.batch_norm(tg.ones(2), None, None)),
    ],
)  # fmt: skip
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()
