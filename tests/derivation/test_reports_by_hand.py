"""The expected verdicts on layers, networks, shapes hold: each formula in plain NumPy against central differences.

As in test_reports_by_hand_batchnorm.py: as written first, then corrected where that is wrong; no tinygrad_edu.
"""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import agrees, delta, entries, jacobian
from verdicts import COUNTS, VERDICTS

# -- layers of one sample: 001 (1) to (11), 003, and batches: 1.1c ----------------------------------------------------


def softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


def relu(z):
    return np.maximum(z, 0)


@pytest.mark.parametrize("seed", range(3))
def test_report_001_layers(seed):
    rng = np.random.default_rng(seed)
    d, k = 4, 3
    x, w, bias = rng.normal(size=d), rng.normal(size=(k, d)), rng.normal(size=k)
    z, t, up = w @ x + bias, np.eye(k)[seed], rng.normal(size=k)
    s = softmax(z)
    by_z, by_w = jacobian(lambda v: up @ np.tanh(v), z), jacobian(lambda v: up @ np.tanh(v @ x + bias), w)
    claims = {
        "1": (lambda: -t / s, jacobian(lambda v: -np.sum(t * np.log(v)), s)),
        "2": (lambda: entries((k, k), lambda i, j: s[i] * (delta(i, j) - s[j])), jacobian(softmax, z)),
        "3": (lambda: np.diag(z > 0), jacobian(relu, z)),  # of the entry with the same index
        "4": (lambda: w, jacobian(lambda v: w @ v + bias, x)),
        "5": (lambda: entries((k, k, d), lambda j, i, n: delta(i, j) * x[n]), jacobian(lambda v: v @ x + bias, w)),
        "6": (lambda: entries((k, k), lambda j, i: delta(i, j)), jacobian(lambda v: w @ x + v, bias)),
        "7": (lambda: up * s - s * (s @ up), jacobian(lambda v: up @ softmax(v), z)),
        "8": (lambda: up * (z > 0), jacobian(lambda v: up @ relu(v), z)),
        "9": (lambda: w.T @ by_z, jacobian(lambda v: up @ np.tanh(w @ v + bias), x)),
        "10": (lambda: by_z[:, None] @ x[None, :], by_w),
        "11": (lambda: by_z, jacobian(lambda v: up @ np.tanh(w @ x + v), bias)),
    }
    for label, (claim, truth) in claims.items():
        assert agrees(claim, truth) == VERDICTS["001", label].right, label


def test_report_001_batches():
    """1.1c: L_total = 1/B Σ L_s; of one sample's activation the gradient carries 1/B, of a parameter it is the mean."""
    rng = np.random.default_rng(0)
    x, w, bias, labels = rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), rng.normal(size=3), [0, 2, 1, 1, 0]

    def loss(z, t):
        return -np.log(softmax(z)[t])

    def total(z):
        return np.mean([loss(z[s], t) for s, t in enumerate(labels)])

    z = x @ w.T + bias
    per_z = np.array([jacobian(lambda v: loss(v, t), z[s]) for s, t in enumerate(labels)])  # noqa: B023
    per_w = np.array([jacobian(lambda v: loss(v @ x[s] + bias, t), w) for s, t in enumerate(labels)])  # noqa: B023
    assert agrees(lambda: per_z / 5, jacobian(total, z)) == VERDICTS["001", "1.1c activations"].right
    assert (
        agrees(lambda: per_w.mean(0), jacobian(lambda v: total(x @ v.T + bias), w)) == VERDICTS["001", "1.1c W"].right
    )
    by_b = jacobian(lambda v: total(x @ w.T + v), bias)
    assert agrees(lambda: per_z.mean(0), by_b) == VERDICTS["001", "1.1c b"].right


@pytest.mark.parametrize("seed", range(3))
def test_report_003_layers(seed):
    rng = np.random.default_rng(seed)
    w, x, b, up = rng.normal(size=4)
    claims = {
        "affine dx": (lambda: w * up, jacobian(lambda v: up * (w * v + b), x)),
        "affine dw": (lambda: x * up, jacobian(lambda v: up * (v * x + b), w)),
        "affine db": (lambda: up, jacobian(lambda v: up * (w * x + v), b)),
    }
    entry, upstream = np.array([-1.2, 0.7, 2.0]), rng.normal(size=3)
    truth = jacobian(lambda v: upstream @ relu(v), entry)
    claims["relu"] = (lambda: np.where(entry > 0, entry, 0), truth)
    for label, (claim, true) in claims.items():
        assert agrees(claim, np.asarray(true)) == VERDICTS["003", label].right, label
    assert agrees(lambda: np.where(entry > 0, upstream, 0), truth)


def test_report_003_slope_of_the_sigmoid():
    """σ' = σ (1 - σ), and u (1 - u) is largest at u = 1/2."""
    slopes = jacobian(lambda v: 1 / (1 + np.exp(-v)), np.linspace(-3, 3, 61)).diagonal()
    assert slopes.argmax() == 30 and abs(slopes.max() - 0.25) < 1e-9
    assert VERDICTS["003", "largest slope of the sigmoid"].right


# -- the network of 004 -----------------------------------------------------------------------------------------------

W_NAMES = ("W1", "b1", "W2", "b2", "W3", "b3")


def network(seed, sizes=(5, 4, 3, 2), samples=3):
    """The weights, the columns of X and Y, and what one sample makes of them: a1, a2, o, p."""
    rng = np.random.default_rng(seed)
    weights = {}
    for layer in (1, 2, 3):
        weights[f"W{layer}"] = rng.normal(size=(sizes[layer], sizes[layer - 1]))
        weights[f"b{layer}"] = rng.normal(size=(sizes[layer], 1))
    xs = [rng.normal(size=(sizes[0], 1)) for _ in range(samples)]
    ys = [np.eye(sizes[3])[:, [rng.integers(sizes[3])]] for _ in range(samples)]

    def forward(x, weights):
        a1 = 1 / (1 + np.exp(-(weights["W1"] @ x + weights["b1"])))
        a2 = np.tanh(weights["W2"] @ a1 + weights["b2"])
        o = weights["W3"] @ a2 + weights["b3"]
        return a1, a2, o, softmax(o)

    def loss(weights):
        return sum(-np.sum(y * np.log(forward(x, weights)[3])) for x, y in zip(xs, ys, strict=True))

    truth = {n: jacobian(lambda v, n=n: loss({**weights, n: v}), weights[n]) for n in W_NAMES}
    return weights, xs, ys, forward, truth


def chain(*factors):
    """Factors side by side as matrix products, from the left; ValueError where two do not fit."""
    product = factors[0]
    for factor in factors[1:]:
        product = product @ factor
    return product


def claims_of_004(weights, xs, ys, forward):
    """label -> (as written, corrected): sums over the samples."""
    w2, w3 = weights["W2"], weights["W3"]

    def total(term):
        return sum(term(*forward(x, weights), x, y) for x, y in zip(xs, ys, strict=True))

    def second(a2, p, y):
        return (w3.T @ (p - y)) * (1 - a2**2)

    def first(a1, a2, p, y):
        return (w2.T @ second(a2, p, y)) * a1 * (1 - a1)

    def written1(*last):
        return chain(
            w2.T,
            w3.T,
            total(lambda a1, a2, o, p, x, y: chain(p - y, 1 - a2**2, a1, 1 - a1, *([x.T] if last else []))),
        )

    return {
        "dW3": (lambda: total(lambda a1, a2, o, p, x, y: chain(p - y, a2.T)), None),
        "db3": (lambda: total(lambda a1, a2, o, p, x, y: p - y), None),
        "dW2": (
            lambda: chain(w3.T, total(lambda a1, a2, o, p, x, y: chain(p - y, 1 - a2**2, a1.T))),
            lambda: total(lambda a1, a2, o, p, x, y: second(a2, p, y) @ a1.T),
        ),
        "db2": (
            lambda: chain(w3.T, total(lambda a1, a2, o, p, x, y: chain(p - y, 1 - a2**2))),
            lambda: total(lambda a1, a2, o, p, x, y: second(a2, p, y)),
        ),
        "dW1": (
            lambda: written1("X^T"),
            lambda: total(lambda a1, a2, o, p, x, y: first(a1, a2, p, y) @ x.T),
        ),
        "db1": (written1, lambda: total(lambda a1, a2, o, p, x, y: first(a1, a2, p, y))),
    }


# with as many units everywhere the letters as numbers fit more often, and the formulas are still wrong
@pytest.mark.parametrize("sizes", [(5, 4, 3, 2), (3, 3, 3, 3), (4, 2, 2, 3)], ids=str)
def test_report_004_network(sizes):
    weights, xs, ys, forward, truth = network(0, sizes)
    for label, (written, corrected) in claims_of_004(weights, xs, ys, forward).items():
        assert agrees(written, truth[label[1:]]) == VERDICTS["004", label].right, label
        if corrected is not None:
            assert agrees(corrected, truth[label[1:]]), label


def test_report_004_is_right_where_every_hidden_layer_has_one_unit():
    """Then numbers commute: only the place of p - y, a column of two classes, has to be right."""
    weights, xs, ys, forward, truth = network(1, (1, 1, 1, 2))
    w2, w3 = float(weights["W2"].item()), weights["W3"]
    hers = 0.0
    for x, y in zip(xs, ys, strict=True):
        a1, a2, _, p = forward(x, weights)
        hers += w2 * float((w3.T @ (p - y)).item()) * float(((1 - a2**2) * a1 * (1 - a1) * x).item())
    assert agrees(lambda: [[hers]], truth["W1"])


def test_report_004_softmax():
    rng = np.random.default_rng(0)
    o, y = rng.normal(size=4), np.eye(4)[1]
    p = softmax(o)
    written = entries((4, 4), lambda c, i: p[c] * (1 - p[i]) if i == c else -p[c] * p[i])
    assert agrees(lambda: written, jacobian(softmax, o)) == VERDICTS["004", "dp"].right
    by_o = jacobian(lambda v: -np.sum(y * np.log(softmax(v))), o)
    assert agrees(lambda: p - y, by_o) == VERDICTS["004", "do"].right


# -- shapes and numbers of parameters: 000 and 002 --------------------------------------------------------------------


def test_shapes_and_counts():
    """A 3x3 convolution has 9 weights per pair of channels and a bias per channel that comes out."""
    for label, (claimed, count) in COUNTS.items():
        assert (claimed == count) == VERDICTS["000", label].right

    m, x = 7, np.zeros((7, 10))
    w_h, b_h, w_o, b_o = np.zeros((10, 50)), np.zeros(50), np.zeros((50, 3)), np.zeros(3)
    assert (relu(x @ w_h + b_h) @ w_o + b_o).shape == (m, 3)
    assert (relu(x @ w_h + b_h[None]) @ w_o + b_o[None]).shape == (m, 3)
    for name in ("W_h", "b_h", "W_o", "b_o", "Y"):
        assert VERDICTS["000", f"shape of {name}"].right
    with pytest.raises(ValueError, match="matmul"):  # the equation of 002: W_h X
        w_h @ x
    assert not VERDICTS["002", "shape of W_o a(W_h X + b_h) + b_o"].right
