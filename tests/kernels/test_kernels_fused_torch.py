"""Normalisation, softmax and cross-entropy, forward and backward, as PyTorch has them."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases import DTYPES, numba_everywhere, numpy_everywhere, random

from tinygrad_edu import kernels

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
SCOPES = pytest.mark.parametrize("scope", [numpy_everywhere, numba_everywhere])
EPS = 1e-5


def near(actual, expected, dtype, ulps=64):
    unit = np.finfo(dtype).eps * ulps
    expected = expected.detach().numpy()
    np.testing.assert_allclose(actual, expected, rtol=unit, atol=unit * max(1.0, np.abs(expected).max(initial=0.0)))


def leaf(x):
    return torch.tensor(x, requires_grad=True)


@SCOPES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(8, 3, 5, 4), (16, 6), (64, 16, 7, 7)])
def test_batch_norm(scope, dtype, shape):
    x, grad = random(shape, dtype) + dtype(3), random(shape, dtype, 1)
    weight, bias = random(shape[1:2], dtype, 2), random(shape[1:2], dtype, 3)
    tensors = [leaf(x), leaf(weight), leaf(bias)]
    expected = torch.nn.functional.batch_norm(tensors[0], None, None, *tensors[1:], training=True, eps=EPS)
    expected.backward(torch.tensor(grad))
    with scope():
        y, mean, inv_std, var, _ = kernels.batch_norm(x, weight, bias, EPS)
        gradients = kernels.batch_norm_backward(grad, x, weight, mean, inv_std)
        evaluated = kernels.batch_norm_eval(x, mean, var, weight, bias, EPS)
    near(y, expected, dtype)
    near(evaluated, expected, dtype)
    for actual, tensor in zip(gradients, tensors, strict=True):
        near(actual, tensor.grad, dtype, 256)


@SCOPES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(8, 5), (3, 1), (700, 64)])
def test_layer_norm(scope, dtype, shape):
    x, grad = random(shape, dtype) + dtype(3), random(shape, dtype, 1)
    weight, bias = random(shape[1:], dtype, 2), random(shape[1:], dtype, 3)
    tensors = [leaf(x), leaf(weight), leaf(bias)]
    expected = torch.nn.functional.layer_norm(tensors[0], shape[1:], *tensors[1:], eps=EPS)
    expected.backward(torch.tensor(grad))
    with scope():
        y, mean, inv_std = kernels.layer_norm(x, weight, bias, EPS)
        gradients = kernels.layer_norm_backward(grad, x, weight, mean, inv_std)
    near(y, expected, dtype)
    for actual, tensor in zip(gradients, tensors, strict=True):
        near(actual, tensor.grad, dtype, 256)


@SCOPES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(scope, dtype, name):
    x, grad = 3 * random((30, 17), dtype), random((30, 17), dtype, 1)
    tensor = leaf(x)
    expected = getattr(torch, name)(tensor, -1)
    expected.backward(torch.tensor(grad))
    with scope():
        out = getattr(kernels, name)(x)
        dx = getattr(kernels, f"{name}_backward")(grad, out)
    near(out, expected, dtype)
    near(dx, tensor.grad, dtype)


@SCOPES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(30, 17), (300, 100)])
def test_mean_cross_entropy(scope, dtype, smoothing, weighted, shape):
    rng = np.random.default_rng(0)
    x, labels = 3 * random(shape, dtype), rng.integers(0, shape[1], shape[0])
    labels[::4] = -1
    weights = rng.random(shape[1]).astype(dtype) + dtype(0.1) if weighted else None
    tensor = leaf(x)
    expected = torch.nn.functional.cross_entropy(
        tensor,
        torch.tensor(labels),
        None if weights is None else torch.tensor(weights),
        ignore_index=-1,
        label_smoothing=smoothing,
    )
    expected.backward()
    with scope():
        losses, row_weights, logsumexp = kernels.cross_entropy(x, labels, weights, -1, smoothing)
        total = row_weights.sum()
        row_gradients = np.full(shape[0], 1 / total, dtype)
        dx = kernels.cross_entropy_backward(row_gradients, x, labels, weights, -1, smoothing, logsumexp)
    near(losses.sum() / total, expected, dtype)
    near(dx, tensor.grad, dtype)
