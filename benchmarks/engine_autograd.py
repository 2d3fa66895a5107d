"""The cases in HIPS autograd: plain NumPy functions, written as in its own examples (convnet.py, neural_net.py).

Its convolution is scipy's: it flips the kernel and wants it as (in, out, height, width), so the kernels are given so.
"""

# mypy: disable-error-code="import-not-found, import-untyped, misc"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import make_vjp, value_and_grad
from autograd.scipy.signal import convolve
from autograd.scipy.special import logsumexp

from benchmarks import cases
from benchmarks.cases import Array, Run


def build(name: str) -> Run:
    """A function that runs the case once."""
    if name in cases.STEPS:
        return _training_step(name)
    leaves = cases.leaves(name)
    if name in cases.CONVOLUTIONS:
        leaves[1] = _kernel(leaves[1])
    forward, seed = _operation(name), cases.seed_of(name)
    every = tuple(range(len(leaves)))

    def operation() -> list[Any]:
        vjp, _ = make_vjp(forward, argnum=every)(*leaves)
        return list(vjp(seed))

    return operation


def _kernel(array: Array) -> Array:
    """A kernel (out, in, height, width) as scipy's convolution wants it."""
    flipped: Array = np.ascontiguousarray(array.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])
    return flipped


def _relu(x: Any) -> Any:
    return np.maximum(0, x)


def _conv2d(x: Any, w: Any, bias: Any, padding: int) -> Any:
    if padding:
        x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)], "constant")
    return convolve(x, w, axes=([2, 3], [2, 3]), dot_axes=([1], [0]), mode="valid") + bias.reshape(1, -1, 1, 1)


def _max_pool(x: Any) -> Any:
    n, c, height, width = x.shape
    return np.max(np.max(x.reshape(n, c, height // 2, 2, width // 2, 2), axis=3), axis=4)


def _batch_norm(x: Any, gamma: Any, beta: Any) -> Any:
    mean = np.mean(x, axis=(0, 2, 3), keepdims=True)
    var = np.var(x, axis=(0, 2, 3), keepdims=True)
    x_hat = (x - mean) / np.sqrt(var + cases.EPS)
    return gamma.reshape(1, -1, 1, 1) * x_hat + beta.reshape(1, -1, 1, 1)


def _cross_entropy(logits: Any, targets: Array) -> Any:
    log_p = logits - logsumexp(logits, axis=1, keepdims=True)
    return -np.sum(log_p * targets) / len(targets)


def _operation(name: str) -> Callable[..., Any]:
    if name.startswith("matmul"):
        return lambda a, b: np.dot(a, b)
    if name in cases.CONVOLUTIONS:
        padding = cases.CONVOLUTIONS[name][-1]
        return lambda x, w, bias: _conv2d(x, w, bias, padding)
    if name == "max-pool":
        return _max_pool
    if name == "batch-norm":
        return _batch_norm
    if name == "cross-entropy":
        targets = np.eye(1000, dtype=np.float32)[cases.class_labels()]
        return lambda x: _cross_entropy(x, targets)
    if name == "pointwise":
        return lambda x, w, b: _relu(x * w + b)

    def chain(x: Any) -> Any:
        for _ in range(cases.CHAIN_LINKS):
            x = x * cases.CHAIN_SCALE + cases.CHAIN_SHIFT
        return x

    return chain


def _logits(name: str, p: dict[str, Any], x: Any) -> Any:
    if name == "lenet":
        x = _max_pool(_relu(_conv2d(x, p["conv1"], p["conv1_bias"], 2)))
        x = _max_pool(_relu(_conv2d(x, p["conv2"], p["conv2_bias"], 0))).reshape(len(x), -1)
    if name == "cnn":
        for k in ("1", "2"):
            x = _conv2d(x, p["conv" + k], p[f"conv{k}_bias"], 1)
            x = _max_pool(_relu(_batch_norm(x, p["gamma" + k], p["beta" + k])))
        return np.dot(x.reshape(len(x), -1), p["fc"].T) + p["fc_bias"]
    x = _relu(np.dot(x, p["fc1"].T) + p["fc1_bias"])
    x = _relu(np.dot(x, p["fc2"].T) + p["fc2_bias"])
    return np.dot(x, p["fc3"].T) + p["fc3_bias"]


def _training_step(name: str) -> Run:
    parameters = {key: _kernel(p) if p.ndim == 4 else p for key, p in cases.parameters(name).items()}
    velocity = {key: np.zeros_like(p) for key, p in parameters.items()}
    x, labels = cases.batch(name)
    targets = np.eye(10, dtype=np.float32)[labels]
    loss_and_gradients = value_and_grad(lambda p: _cross_entropy(_logits(name, p, x), targets))

    def step() -> list[Any]:
        loss, gradients = loss_and_gradients(parameters)
        for key, grad in gradients.items():
            velocity[key] = cases.MOMENTUM * velocity[key] + grad
            parameters[key] = parameters[key] - cases.LEARNING_RATE * velocity[key]
        return [loss]

    return step
