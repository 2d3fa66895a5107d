"""What is timed, as numbers only: the cases, their inputs and parameters, the same for every engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Run = Callable[[], list[Any]]  # runs a case once; returns the loss of a training step, or the gradients of an operation
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    what: str
    target: float  # the ratio to PyTorch that we promise
    flops: float = 0.0  # floating-point operations of one run, where they are a matter of products


def _gemm(n: int, k: int, m: int) -> float:
    return 2.0 * n * k * m


def _conv(n: int, c: int, o: int, kernel: int, out: int) -> float:
    return 2.0 * n * o * out * out * c * kernel * kernel


CONVOLUTIONS = {  # batch, channels, size, out-channels, kernel, padding
    "conv 1-6": (128, 1, 28, 6, 5, 2),
    "conv 6-16": (128, 6, 14, 16, 5, 0),
    "conv 3-32": (64, 3, 32, 32, 3, 1),
    "conv 32-64": (64, 32, 16, 64, 3, 1),
}
STEPS = {  # shapes of the parameters, in PyTorch's order, and of the input
    "mlp": (
        {"fc1": (256, 784), "fc1_bias": (256,), "fc2": (128, 256), "fc2_bias": (128,), "fc3": (10, 128),
         "fc3_bias": (10,)},
        (128, 784),
    ),
    "lenet": (
        {"conv1": (6, 1, 5, 5), "conv1_bias": (6,), "conv2": (16, 6, 5, 5), "conv2_bias": (16,), "fc1": (120, 400),
         "fc1_bias": (120,), "fc2": (84, 120), "fc2_bias": (84,), "fc3": (10, 84), "fc3_bias": (10,)},
        (128, 1, 28, 28),
    ),
    "cnn": (
        {"conv1": (32, 3, 3, 3), "conv1_bias": (32,), "gamma1": (32,), "beta1": (32,), "conv2": (64, 32, 3, 3),
         "conv2_bias": (64,), "gamma2": (64,), "beta2": (64,), "fc": (10, 4096), "fc_bias": (10,)},
        (64, 3, 32, 32),
    ),
}  # fmt: skip
LEARNING_RATE, MOMENTUM, EPS = 0.01, 0.9, 1e-5
CHAIN_SCALE, CHAIN_SHIFT, CHAIN_LINKS = 1.0001, 0.001, 1000

_MLP = 3 * _gemm(128, 784, 256) - _gemm(128, 784, 256) + 3 * (_gemm(128, 256, 128) + _gemm(128, 128, 10))
_LENET = 2 * _conv(128, 1, 6, 5, 28) + 3 * _conv(128, 6, 16, 5, 10) + 3 * _gemm(128, 1, 400 * 120 + 120 * 84 + 840)
_CNN = 2 * _conv(64, 3, 32, 3, 32) + 3 * _conv(64, 32, 64, 3, 16) + 3 * _gemm(64, 4096, 10)

CASES = (
    Case("mlp", "step: MLP 784-256-128-10, batch 128", 0.9, _MLP),
    Case("lenet", "step: LeNet-5 with ReLU, 128x1x28x28", 0.4, _LENET),
    Case("cnn", "step: conv-BN-ReLU-pool x2, 64x3x32x32", 0.6, _CNN),
    Case("matmul 64", "matmul 64x64", 1.0, 3 * _gemm(64, 64, 64)),
    Case("matmul 256", "matmul 256x256", 1.0, 3 * _gemm(256, 256, 256)),
    Case("matmul 1024", "matmul 1024x1024", 1.0, 3 * _gemm(1024, 1024, 1024)),
    *(
        Case(name, f"conv2d {c}->{o} {k}x{k} on {n}x{c}x{s}x{s}", 0.8, 3 * _conv(n, c, o, k, s + 2 * p - k + 1))
        for name, (n, c, s, o, k, p) in CONVOLUTIONS.items()
    ),
    Case("max-pool", "max_pool2d 2x2 on 128x6x28x28", 0.8),
    Case("batch-norm", "BatchNorm2d on 64x32x14x14", 0.8),
    Case("cross-entropy", "cross_entropy on 1024x1000", 0.8),
    Case("pointwise", "relu(x * w + b) on 1e6 entries", 1.0),
    Case("chain", "2,000 scalar operations", 0.6),
)


def _draw(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def parameters(name: str) -> dict[str, Array]:
    """What a training step learns, in PyTorch's order and shapes: He's weights, zero biases, unit gammas."""
    out = {}
    for seed, (key, shape) in enumerate(STEPS[name][0].items(), start=1):
        if len(shape) == 1:
            out[key] = np.full(shape, float(key.startswith("gamma")), np.float32)
        else:
            out[key] = _draw(*shape, seed=seed) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    return out


def batch(name: str) -> tuple[Array, Array]:
    """The images (n, ...) and labels (n,) of a training step."""
    shape = STEPS[name][1]
    return _draw(*shape), np.random.default_rng(0).integers(0, 10, shape[0])


def leaves(name: str) -> list[Array]:
    """The inputs of an operation, of each of which the gradient is asked."""
    if name.startswith("matmul"):
        n = int(name.split()[1])
        shapes: list[tuple[int, ...]] = [(n, n), (n, n)]
    elif name in CONVOLUTIONS:
        n, c, size, o, kernel, _ = CONVOLUTIONS[name]
        shapes = [(n, c, size, size), (o, c, kernel, kernel), (o,)]
    else:
        fixed: dict[str, list[tuple[int, ...]]] = {
            "max-pool": [(128, 6, 28, 28)],
            "batch-norm": [(64, 32, 14, 14), (32,), (32,)],
            "cross-entropy": [(1024, 1000)],
            "pointwise": [(1_000_000,)] * 3,
            "chain": [()],
        }
        shapes = fixed[name]
    return [_draw(*shape, seed=seed) for seed, shape in enumerate(shapes)]


def seed_of(name: str) -> Array:
    """The gradient that backward starts from, of the shape of the operation's output."""
    if name in CONVOLUTIONS:
        n, _, size, o, kernel, padding = CONVOLUTIONS[name]
        out = size + 2 * padding - kernel + 1
        return _draw(n, o, out, out, seed=9)
    shape = leaves(name)[0].shape
    if name == "max-pool":
        shape = (128, 6, 14, 14)
    return np.ones((), np.float32) if name == "cross-entropy" else _draw(*shape, seed=9)


def class_labels() -> Array:
    """The labels of the cross-entropy case."""
    return np.random.default_rng(0).integers(0, 1000, 1024)
