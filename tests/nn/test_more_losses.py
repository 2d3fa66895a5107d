"""Losses of pairs, triplets, margins and distributions against PyTorch; what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.testing import check_gradients

RNG = np.random.default_rng(0)
X, Y, Z = (RNG.standard_normal((6, 4)) for _ in range(3))
SIGNS = np.where(RNG.random((6, 4)) < 0.5, 1.0, -1.0)
ROWS = SIGNS[:, 0].copy()
LABELS = RNG.integers(0, 4, 6)
MANY = np.array([[0, 2, -1, 1], [3, -1, 0, 0], [-1, 1, 2, 3], [1, 0, 3, 2], [2, -1, -1, -1], [0, 1, -1, 2]])
COUNTS = RNG.integers(0, 5, (6, 4)).astype(float)
WEIGHT = np.array([1.0, 2.0, 0.5, 0.0])
POSITIVE = np.abs(Y) + 0.1

LOSSES = [
    ("MarginRankingLoss", {}, [X, Y, SIGNS]),
    ("MarginRankingLoss", {"margin": 0.5}, [X[:, 0], Y[:, 0], ROWS]),
    ("HingeEmbeddingLoss", {}, [X, SIGNS]),
    ("HingeEmbeddingLoss", {"margin": 0.3}, [X, SIGNS]),
    ("HingeEmbeddingLoss", {}, [X, np.round(Z)]),
    ("CosineEmbeddingLoss", {}, [X, Y, ROWS]),
    ("CosineEmbeddingLoss", {"margin": -0.4}, [X, Y, ROWS]),
    ("CosineEmbeddingLoss", {}, [X[0], Y[0], np.array(-1.0)]),
    ("TripletMarginLoss", {}, [X, Y, Z]),
    ("TripletMarginLoss", {"margin": 0.5, "p": 1.0, "swap": True}, [X, Y, Z]),
    ("TripletMarginLoss", {"eps": 0.1}, [X[0], Y[0], Z[0]]),
    ("SoftMarginLoss", {}, [X, SIGNS]),
    ("MultiLabelSoftMarginLoss", {}, [X, (SIGNS + 1) / 2]),
    ("MultiLabelSoftMarginLoss", {"weight": WEIGHT}, [X, (SIGNS + 1) / 2]),
    ("MultiMarginLoss", {}, [X, LABELS]),
    ("MultiMarginLoss", {"p": 2, "margin": 0.7, "weight": WEIGHT}, [X, LABELS]),
    ("MultiMarginLoss", {}, [X[0], LABELS[0]]),
    ("MultiLabelMarginLoss", {}, [X, MANY]),
    ("MultiLabelMarginLoss", {}, [X[0], MANY[0]]),
    ("PoissonNLLLoss", {}, [X, COUNTS]),
    ("PoissonNLLLoss", {"full": True}, [X, COUNTS]),
    ("PoissonNLLLoss", {"log_input": False, "full": True, "eps": 0.1}, [POSITIVE, COUNTS]),
    ("GaussianNLLLoss", {}, [X, Z, POSITIVE]),
    ("GaussianNLLLoss", {"full": True, "eps": 0.5}, [X, Z, POSITIVE]),
    ("GaussianNLLLoss", {}, [X, Z, POSITIVE[:, :1]]),
    ("GaussianNLLLoss", {}, [X, Z, POSITIVE[:, 0]]),
    ("KLDivLoss", {"log_target": True}, [X, Y]),
    ("CosineSimilarity", {"dim": 0}, [X, Y]),
]


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:.*'batchmean' divides only by the batch size")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", LOSSES, ids=lambda c: f"{c[0]}-{c[1]}")
def test_like_pytorch(case, reduction):
    torch = pytest.importorskip("torch")
    name, options, arrays = case
    results, texts = [], []
    for lib in (tg, torch):
        given = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        if name != "CosineSimilarity":
            given["reduction"] = reduction
        loss = getattr(lib.nn, name)(**given)
        texts.append(repr(loss))
        inputs = [lib.tensor(np.asarray(a)) for a in arrays]
        for x, a in zip(inputs, arrays, strict=True):
            x.requires_grad_(any(np.shares_memory(np.asarray(a), known) for known in (X, Y, POSITIVE)))
        out = loss(*inputs)
        (out * out).sum().backward()
        results.append([out.detach(), *(x.grad for x in inputs if x.requires_grad)])
    assert texts[0] == texts[1]
    for mine, other in zip(*results, strict=True):
        assert tuple(mine.shape) == tuple(other.shape)
        np.testing.assert_allclose(mine.numpy(), other.numpy(), 1e-8, 1e-12)


def test_cosine_similarity_is_the_cosine():
    assert F.cosine_similarity(tg.tensor([1.0, 0.0]), tg.tensor([1.0, 1.0]), dim=0).item() == pytest.approx(0.5**0.5)


@pytest.mark.parametrize(
    ("function", "inputs", "params"),
    [
        (F.cosine_embedding_loss, [X, Y], {"target": tg.tensor(ROWS)}),
        (F.triplet_margin_loss, [X, Y, Z], {"swap": True}),
        (F.soft_margin_loss, [X], {"target": tg.tensor(SIGNS)}),
        (F.poisson_nll_loss, [X], {"target": tg.tensor(COUNTS)}),
        (F.gaussian_nll_loss, [X, Z, POSITIVE], {}),
        (F.multi_margin_loss, [X], {"target": tg.tensor(LABELS), "p": 2}),
        (F.pairwise_distance, [X, Y], {}),
        (F.pdist, [X], {}),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_gradients_to_second_order(function, inputs, params):
    check_gradients(function, inputs, params)


@pytest.mark.torch
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_pdist(p):
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(F.pdist(tg.tensor(X), p).array, torch.nn.functional.pdist(torch.tensor(X), p), 1e-10)


def test_a_variance_below_eps_keeps_a_gradient():
    var = tg.tensor([1e-9], requires_grad=True, dtype=tg.float64)
    F.gaussian_nll_loss(tg.zeros(1).double(), tg.zeros(1).double(), var, eps=1e-2).backward()
    assert var.grad.item() == pytest.approx(50.0)


x, labels = tg.ones(2, 3), tg.tensor([0, 1])


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (RuntimeError, "same dimension", lambda: F.margin_ranking_loss(x, x, tg.ones(2))),
        (ValueError, "is not a valid value for reduction", lambda: F.soft_margin_loss(x, x, reduction="average")),
        (ValueError, "must be the same as input size", lambda: F.multilabel_soft_margin_loss(x, tg.ones(2))),
        (RuntimeError, "0D target", lambda: F.cosine_embedding_loss(x, x, tg.ones(2, 1))),
        (ValueError, "margin to be greater than 0", lambda: nn.TripletMarginLoss(margin=0)),
        (RuntimeError, "same number of dimensions", lambda: F.triplet_margin_loss(x, x, tg.ones(3))),
        (ValueError, "only p == 1 and p == 2", lambda: F.multi_margin_loss(x, labels, p=3)),
        (IndexError, "target out of range", lambda: F.multi_margin_loss(x, labels + 2)),
        (RuntimeError, "inconsistent target size", lambda: F.multi_margin_loss(x, tg.tensor([0]))),
        (RuntimeError, "-1 ends them", lambda: F.multilabel_margin_loss(x, tg.tensor([[0, 3, 0], [0, 1, 2]]))),
        (ValueError, "var has negative entry", lambda: F.gaussian_nll_loss(x, x, -x)),
        (ValueError, "var is of incorrect size", lambda: F.gaussian_nll_loss(x, x, tg.ones(3, 2))),
        (RuntimeError, "must be floating point", lambda: F.poisson_nll_loss(labels, labels)),
        (RuntimeError, "only supports 2D", lambda: F.pdist(tg.ones(3))),
    ],
)
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()
