"""Normalisation, softmax, cross-entropy and biases: against plain Python in float64, and twin against reference."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_cases import DTYPES, check_result, close, layouts, numba_everywhere, numpy_everywhere, on_both, random
from test_kernels_backend import run

from tinygrad_edu import kernels
from tinygrad_edu.kernels.backend import twins

CHANNELS = [(4, 3, 5, 7), (2, 1, 1), (1, 3, 4), (5, 3), (1, 2), (9, 1), (3, 2, 1, 1), (6, 17, 3)]
ROWS = [(5, 7), (1, 1), (3, 1), (1, 9), (17, 10), (4, 129)]
LARGE = [(64, 16, 7, 7), (600, 80)]  # several tasks each
EPS = 1e-5


@pytest.fixture(autouse=True, params=["one thread", "all threads"])
def threads(request, monkeypatch):
    """The twins have a serial and a parallel form, for small arrays and large ones."""
    pytest.importorskip("numba")
    for family in ("batch_norm", "layer_norm", "logits"):
        monkeypatch.setattr(twins(family), "PARALLEL", sys.maxsize if request.param == "one thread" else 0)


def equal_for_both(function, *args, ulps=8.0, scale=0.0):
    """Both backends give fresh arrays of x's dtype that agree; returns those of the twin."""
    expected, actual = on_both(function, *args)
    arrays = [arg for arg in args if isinstance(arg, np.ndarray)]
    single = isinstance(actual, np.ndarray)
    for one, other in zip([expected] if single else expected, [actual] if single else actual, strict=True):
        assert one.dtype == other.dtype
        check_result(one, one.dtype, *arrays)
        check_result(other, one.dtype, *arrays)
        close(other, one, ulps, scale)
    return actual


def normalised(groups, eps):
    """x_hat, mean, 1 / sqrt(var + eps) and var of lists of numbers, by exact sums."""
    for values in groups:
        mean = math.fsum(values) / len(values)
        var = math.fsum((v - mean) ** 2 for v in values) / len(values)
        rstd = 1 / math.sqrt(var + eps)
        yield [(v - mean) * rstd for v in values], mean, rstd, var


def gradient(grad, x_hat, rstd):
    """dx of one group, where grad is that of x_hat."""
    first = math.fsum(grad) / len(grad)
    second = math.fsum(g * v for g, v in zip(grad, x_hat, strict=True)) / len(grad)
    return [rstd * (g - first - v * second) for g, v in zip(grad, x_hat, strict=True)]


def channels_of(x):
    return [np.moveaxis(x, 1, 0)[c].ravel().tolist() for c in range(x.shape[1])]


def from_channels(lists, shape):
    moved = (shape[1], shape[0], *shape[2:])
    return np.moveaxis(np.array(lists).reshape(moved), 0, 1)


@pytest.mark.parametrize("shape", CHANNELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_batch_norm_is_the_formula(shape, dtype, offset):
    x, grad = random(shape, dtype) + dtype(offset), random(shape, dtype, 1)
    weight, bias = random(shape[1:2], dtype, 2), random(shape[1:2], dtype, 3)
    groups = list(normalised(channels_of(x), EPS))
    ulps = 8 * (1 + offset)  # of float64, whose mean is off by that much in deviations; float32 is summed in float64
    ulps = ulps if dtype == np.float64 else 8
    y, mean, inv_std, var, _ = equal_for_both(kernels.batch_norm, x, weight, bias, EPS, ulps=ulps, scale=1.0)
    x_hat = from_channels([group[0] for group in groups], shape)
    along = (slice(None), *(np.newaxis for _ in shape[2:]))
    close(y, x_hat * weight[along] + bias[along], ulps, 1.0)
    for out, index in ((mean, 1), (inv_std, 2), (var, 3)):
        close(out, np.array([group[index] for group in groups]), ulps, 1.0)
    scale = float(np.abs(inv_std).max())  # dx is a difference of terms of this size
    dx, dweight, dbias = equal_for_both(
        kernels.batch_norm_backward, grad, x, weight, mean, inv_std, ulps=4 * ulps, scale=10 * scale
    )
    lists = zip(channels_of(grad * weight[along]), groups, strict=True)
    close(dx, from_channels([gradient(g, group[0], group[2]) for g, group in lists], shape), 4 * ulps, 10 * scale)
    close(dweight, (grad * x_hat).sum(axis=(0, *range(2, x.ndim)), dtype=np.float64), 4 * ulps, 10.0)
    close(dbias, np.array([math.fsum(values) for values in channels_of(grad)]))
    expected = x_hat * weight[along] + bias[along]
    out = equal_for_both(kernels.batch_norm_eval, x, mean, var, weight, bias, EPS, ulps=4 * ulps * (1 + offset))
    close(out, expected, 8 * ulps * (1 + offset), 1.0)


@pytest.mark.parametrize("shape", ROWS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_layer_norm_is_the_formula(shape, dtype, offset):
    x, grad = random(shape, dtype) + dtype(offset), random(shape, dtype, 1)
    weight, bias = random(shape[1:], dtype, 2), random(shape[1:], dtype, 3)
    ulps = 8 * (1 + offset) if dtype == np.float64 else 8
    y, mean, inv_std = equal_for_both(kernels.layer_norm, x, weight, bias, EPS, ulps=ulps, scale=1.0)
    groups = list(normalised(x.tolist(), EPS))
    x_hat = np.array([group[0] for group in groups])
    close(y, x_hat * weight + bias, ulps, 1.0)
    close(mean, np.array([group[1] for group in groups]), ulps, 1.0)
    close(inv_std, np.array([group[2] for group in groups]), ulps)
    scale = 10 * float(np.abs(inv_std).max())
    dx, dweight, dbias = equal_for_both(
        kernels.layer_norm_backward, grad, x, weight, mean, inv_std, ulps=4 * ulps, scale=scale
    )
    lists = zip((grad * weight).astype(np.float64).tolist(), groups, strict=True)
    close(dx, np.array([gradient(g, group[0], group[2]) for g, group in lists]), 4 * ulps, scale)
    close(dweight, (grad * x_hat).sum(axis=0, dtype=np.float64), 4 * ulps, 10.0)
    close(dbias, grad.sum(axis=0, dtype=np.float64), 8, 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 4, 5), (5, 4), *LARGE])
def test_normalisation_of_any_layout(dtype, shape):
    x, grad = random(shape, dtype), random(shape, dtype, 1)
    for x_layout, g_layout in zip(layouts(x), layouts(grad), strict=True):
        mean, inv_std, var = equal_for_both(kernels.batch_norm, x_layout, None, None, EPS, ulps=64, scale=1.0)[1:4]
        equal_for_both(kernels.batch_norm_backward, g_layout, x_layout, None, mean, inv_std, ulps=64, scale=5.0)
        equal_for_both(kernels.batch_norm_eval, x_layout, mean, var, None, None, EPS)
        if x.ndim == 2:
            mean, inv_std = equal_for_both(kernels.layer_norm, x_layout, None, None, EPS, scale=1.0)[1:]
            equal_for_both(kernels.layer_norm_backward, g_layout, x_layout, None, mean, inv_std, ulps=64, scale=5.0)


def test_a_mean_far_above_the_deviations():
    """At 1e6 times the deviations, float32 keeps four bits of them; not one may be lost on the way."""
    x = (random((64, 3, 9), np.float32) + np.float32(1e6)).astype(np.float32)
    grad = random(x.shape, np.float32, 1)
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(axis=(0, 2), keepdims=True)) / exact.std(axis=(0, 2), keepdims=True)
    y, mean, inv_std, *_ = equal_for_both(kernels.batch_norm, x, None, None, 0.0)
    close(y, exact)
    dweight = equal_for_both(kernels.batch_norm_backward, grad, x, None, mean, inv_std, scale=10.0)[1]
    close(dweight, (grad * exact).sum(axis=(0, 2)), 8, 10.0)


@pytest.mark.parametrize("shape", [(3, 4, 5), (5, 4)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 2])
def test_nan_and_infinity_spoil_their_channel_only(shape, value, row):
    x, grad = random(shape, np.float32), random(shape, np.float32, 1)
    x[row, 1] = value
    y, mean, inv_std, *_ = equal_for_both(kernels.batch_norm, x, None, None, EPS, scale=1.0)
    dx = equal_for_both(kernels.batch_norm_backward, grad, x, None, mean, inv_std, scale=5.0)[0]
    for out in (y, dx):
        assert np.isnan(out[:, 1]).all()
        assert np.isfinite(out[:, [0, 2, 3]]).all()
    if x.ndim == 2:
        y, mean, inv_std = equal_for_both(kernels.layer_norm, x, None, None, EPS, scale=1.0)
        assert np.isnan(y).all(axis=1).tolist() == [i == row for i in range(len(x))]


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_elements(dtype):
    """Their variance is 0, not a rounding error below it."""
    x = np.full((3, 2, 7), 0.1, dtype)
    y, _, inv_std, var, _ = equal_for_both(kernels.batch_norm, x, None, None, EPS, ulps=64, scale=1e3)
    assert (var == 0).all()
    np.testing.assert_allclose(inv_std, EPS**-0.5, rtol=1e-6)
    np.testing.assert_allclose(y, 0, atol=1e-4)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 3), (3, 0)])
def test_normalisation_of_nothing(shape):
    x = np.empty(shape, np.float32)
    y, mean, inv_std, *_ = equal_for_both(kernels.batch_norm, x, None, None, EPS)
    assert y.shape == shape
    dweight = equal_for_both(kernels.batch_norm_backward, x, x, None, mean, inv_std)[1]
    assert not dweight.any()
    equal_for_both(kernels.batch_norm_eval, x, mean, mean, None, None, EPS)
    if x.ndim == 2:
        y, mean, inv_std = equal_for_both(kernels.layer_norm, x, None, None, EPS)
        equal_for_both(kernels.layer_norm_backward, x, x, None, mean, inv_std)


def log_softmax_of(row):
    top = max(row)
    total = math.log(math.fsum(math.exp(v - top) for v in row))
    return [v - top - total for v in row]


@pytest.mark.parametrize("shape", [*ROWS, (300, 77)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_is_the_formula(shape, dtype):
    base, gradients = 3 * random(shape, dtype), random(shape, dtype, 1)
    expected = np.array([log_softmax_of(row) for row in base.tolist()])
    p = np.exp(expected)
    for x, grad in zip(layouts(base), layouts(gradients), strict=True):
        log_p = equal_for_both(kernels.log_softmax, x)
        close(log_p, expected)
        close(equal_for_both(kernels.softmax, x), p)
        total = gradients.sum(axis=1, keepdims=True, dtype=np.float64)
        close(equal_for_both(kernels.log_softmax_backward, grad, log_p, scale=1.0), gradients - p * total, 16, 1.0)
        inner = (gradients * p).sum(axis=1, keepdims=True)
        close(
            equal_for_both(kernels.softmax_backward, grad, p.astype(dtype), scale=1.0), (gradients - inner) * p, 8, 1.0
        )


def losses_of(logits, labels, weights, ignore_index, smoothing):
    for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
        if y == ignore_index:
            yield 0.0, 0.0, [0.0] * len(row)
            continue
        log_p, k = log_softmax_of(row), len(row)
        terms = [smoothing / k * weights[j] + (1 - smoothing) * weights[y] * (j == y) for j in range(k)]
        loss = -math.fsum(t * v for t, v in zip(terms, log_p, strict=True))
        yield loss, weights[y], [math.exp(v) * math.fsum(terms) - t for t, v in zip(terms, log_p, strict=True)]


@pytest.mark.parametrize("shape", [*ROWS, (300, 77)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_the_formula(shape, dtype, smoothing, weighted):
    rng = np.random.default_rng(0)
    logits, labels = 3 * random(shape, dtype), rng.integers(0, shape[1], shape[0])
    labels[::3] = -7
    weights = rng.random(shape[1]).astype(dtype) if weighted else None
    grad = random(shape[:1], dtype, 1)
    table = [1.0] * shape[1] if weights is None else weights.tolist()
    rows = list(losses_of(logits, labels, table, -7, smoothing))
    options = (labels, weights, -7, smoothing)
    for x in layouts(logits):
        losses, row_weights, logsumexp = on_both(kernels.cross_entropy, x, *options)[1]
        equal_for_both(lambda *args: kernels.cross_entropy(*args)[0], x, *options)
        check_result(losses, dtype, logits)
        close(losses, np.array([row[0] for row in rows]))
        assert row_weights.tolist() == [row[1] for row in rows]
        dlogits = equal_for_both(kernels.cross_entropy_backward, grad, x, *options, logsumexp, scale=1.0)
        close(dlogits, np.array([row[2] for row in rows]) * grad[:, np.newaxis].astype(np.float64), 8, 1.0)


@settings(deadline=None)
@given(st.lists(st.floats(width=32), min_size=1, max_size=9), st.data())
@example([3.4e38, -3.4e38], None)
@example([np.inf, 1.0], None)
@example([-np.inf, -np.inf], None)
@example([1.0, np.nan, -np.nan], None)
def test_softmax_of_anything(values, data):
    """Where a row holds NaN or +inf, or -inf alone, all of it is NaN; else probabilities."""
    x = np.array([values, [0.0] * len(values)], np.float32)
    log_p, p = equal_for_both(kernels.log_softmax, x), equal_for_both(kernels.softmax, x, scale=1.0)
    spoilt = any(math.isnan(v) or v == math.inf for v in values) or all(v == -math.inf for v in values)
    assert np.isnan(p[0]).all() == np.isnan(log_p[0]).all() == spoilt
    assert spoilt or abs(p[0].sum() - 1) < 1e-6
    assert np.isfinite(log_p[1]).all()
    losses = equal_for_both(lambda *args: kernels.cross_entropy(*args)[0], x, np.array([0, 0]))
    assert math.isnan(losses[0]) == spoilt


@pytest.mark.parametrize("label", [3, -1, -(2**63), 2**62])
def test_a_label_outside_is_named(label):
    logits, labels = random((4, 3), np.float32), np.array([0, -100, label, 2])
    good = np.array([0, 1, 2, -100])
    for scope in (numpy_everywhere, numba_everywhere):
        with scope():
            _, _, logsumexp = kernels.cross_entropy(logits, good, None, -100, 0.0)
            with pytest.raises(IndexError, match=rf"label {label} of row 2 is no class; labels run from 0 to 2"):
                kernels.cross_entropy(logits, labels, None, -100, 0.0)
            with pytest.raises(IndexError, match=rf"cross_entropy_backward: label {label}"):
                kernels.cross_entropy_backward(logsumexp, logits, labels, None, -100, 0.0, logsumexp)
            with pytest.raises(IndexError, match="labels are float64"):
                kernels.cross_entropy(logits, labels.astype(np.float64), None, -100, 0.0)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_softmax_of_nothing(shape):
    x, labels = np.empty(shape, np.float32), np.full(shape[0], -100)
    for function in (kernels.log_softmax, kernels.softmax):
        assert equal_for_both(function, x).shape == shape
    for function in (kernels.log_softmax_backward, kernels.softmax_backward):
        assert equal_for_both(function, x, x).shape == shape
    losses, _, logsumexp = on_both(kernels.cross_entropy, x, labels)[1]
    assert losses.tolist() == [0] * shape[0]
    equal_for_both(kernels.cross_entropy_backward, losses, x, labels, None, -100, 0.0, logsumexp)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*CHANNELS, *LARGE, (0, 3, 2), (2, 0)])
@pytest.mark.parametrize("relu", [False, True])
def test_add_channel_bias(dtype, shape, relu):
    bias = random(shape[1:2], dtype, 1)
    for x in layouts(random(shape, dtype)):
        if x.size:
            x = np.where(x == x.max(), dtype(np.nan), x)
        expected = x + bias.reshape(-1, *(1 for _ in shape[2:]))
        expected = np.maximum(expected, 0) if relu else expected
        np.testing.assert_array_equal(equal_for_both(kernels.add_channel_bias, x, bias, relu), expected)
        for scope in (numpy_everywhere, numba_everywhere):
            with scope():
                own = x.copy()
                assert kernels.add_channel_bias(own, bias, relu, own) is own
                np.testing.assert_array_equal(own, expected)
                other = np.array(x, order="F")
                kernels.add_channel_bias(x, bias, relu, other)
                np.testing.assert_array_equal(other, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*CHANNELS, *LARGE, (0, 3, 2)])
def test_channel_sum(dtype, shape):
    for x in layouts(random(shape, dtype)):
        out = equal_for_both(kernels.channel_sum, x, scale=1.0)
        close(out, np.array([math.fsum(values) for values in channels_of(x)]), 8, 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (5, 7), (3, 4, 5)])
def test_accumulate(dtype, shape):
    x, start = random(shape, dtype), random(shape, dtype, 1)
    for x_layout, out_layout in zip(layouts(x), layouts(start), strict=True):
        for scope in (numpy_everywhere, numba_everywhere):
            out = out_layout if out_layout.flags.writeable else out_layout.copy()
            before = out.copy()
            with scope():
                kernels.accumulate(out, x_layout)
            np.testing.assert_array_equal(out, before + x)
            out[...] = start
    with numba_everywhere():
        line = np.arange(9, dtype=dtype)
        kernels.accumulate(line[1:], line[:-1])  # over itself: as if x were read first
        assert line.tolist() == [0, 1, 3, 5, 7, 9, 11, 13, 15]


def test_shapes_are_checked():
    x, c = np.ones((2, 3, 4)), np.ones(3)
    wrong = [
        lambda: kernels.batch_norm(x, np.ones(2), None, EPS),
        lambda: kernels.batch_norm(c, None, None, EPS),
        lambda: kernels.batch_norm_backward(x[:1], x, None, c, c),
        lambda: kernels.batch_norm_backward(x, x, None, c, np.ones(4)),
        lambda: kernels.batch_norm_eval(x, c, c, c, np.ones(4), EPS),
        lambda: kernels.layer_norm(x[0], c, None, EPS),
        lambda: kernels.layer_norm_backward(x[0], x[0], None, np.ones(4), c),
        lambda: kernels.layer_norm(x, None, None, EPS),
        lambda: kernels.softmax(x),
        lambda: kernels.log_softmax_backward(x[0], x[0, 0]),
        lambda: kernels.cross_entropy(x[0], np.array([0, 1])),
        lambda: kernels.cross_entropy(x[0], np.array([0, 1, 2]), np.ones(3)),
        lambda: kernels.add_channel_bias(x, np.ones(4)),
        lambda: kernels.channel_sum(c),
        lambda: kernels.accumulate(x, x[0]),
    ]
    for call in wrong:
        with pytest.raises(RuntimeError, match=r"must (be|have)"):
            call()


def test_any_number_of_threads_gives_the_same_bits():
    said = run(
        """
        import hashlib, numpy as np
        from tinygrad_edu import kernels
        from tinygrad_edu.kernels.backend import twins
        for family in ("batch_norm", "layer_norm", "logits"):
            twins(family).PARALLEL = 0
        rng = np.random.default_rng(0)
        x, g, z = (rng.standard_normal((500, 8, 40)).astype(np.float32) for _ in range(3))
        m, h, labels = x.reshape(-1, 160), g.reshape(-1, 160), rng.integers(0, 160, 1000)
        kernels.use_backend("numba", threshold=0)
        for threads in (1, 2):
            kernels.set_num_threads(threads)
            y, mean, inv_std, var, _ = kernels.batch_norm(x, None, None, 1e-5)
            out = [y, *kernels.batch_norm_backward(g, x, None, mean, inv_std)]
            y, mean, inv_std = kernels.layer_norm(m, None, None, 1e-5)
            out += [y, *kernels.layer_norm_backward(h, m, None, mean, inv_std)]
            losses, _, lse = kernels.cross_entropy(m, labels, None, -1, 0.1)
            out += [losses, kernels.cross_entropy_backward(losses, m, labels, None, -1, 0.1, lse)]
            out += [kernels.softmax(m), kernels.tanh(x), kernels.channel_sum(x)]
            print(hashlib.sha256(b"".join(part.tobytes() for part in out)).hexdigest())
        """
    )
    first, second = said.split()
    assert first == second


@pytest.mark.parametrize("shape", CHANNELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_norm_with_its_relu_is_the_two_one_after_the_other(shape, dtype):
    x, grad = random(shape, dtype), random(shape, dtype, 1)
    weight, bias = random(shape[1:2], dtype, 2), random(shape[1:2], dtype, 3)
    y, mean, inv_std, _, shift = kernels.batch_norm(x, weight, bias, EPS)
    both = equal_for_both(kernels.batch_norm, x, weight, bias, EPS, True, ulps=8, scale=1.0)
    close(both[0], np.maximum(y, 0), 8, 1.0)
    close(both[1], mean, 8, 1.0)
    open_ = np.abs(y) > 1e-5  # the kink itself is rounding's
    grad[~open_] = 0
    expected = kernels.batch_norm_backward(np.where(y <= 0, 0, grad).astype(dtype), x, weight, mean, inv_std)
    actual = equal_for_both(
        kernels.batch_norm_backward, grad, x, weight, mean, inv_std, shift, ulps=64, scale=float(np.abs(inv_std).max())
    )
    for one, other in zip(actual, expected, strict=True):
        close(one, other, 64, 10 * float(np.abs(inv_std).max()))
