"""What is timed: training steps and single operations, the same code for tinygrad_edu and PyTorch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Run = Callable[[], None]


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


CONVOLUTIONS = {
    "conv 1-6": (128, 1, 28, 6, 5, 2),
    "conv 6-16": (128, 6, 14, 16, 5, 0),
    "conv 3-32": (64, 3, 32, 32, 3, 1),
    "conv 32-64": (64, 32, 16, 64, 3, 1),
}
_MLP = 3 * _gemm(128, 784, 256) - _gemm(128, 784, 256) + 3 * (_gemm(128, 256, 128) + _gemm(128, 128, 10))
_LENET = 2 * _conv(128, 1, 6, 5, 28) + 3 * _conv(128, 6, 16, 5, 10) + 3 * _gemm(128, 1, 400 * 120 + 120 * 84 + 840)
_CNN = 2 * _conv(64, 3, 32, 3, 32) + 3 * _conv(64, 32, 64, 3, 16) + 3 * _gemm(64, 4096, 10)

CASES = (
    Case("mlp", "training step: MLP 784-256-128-10, batch 128", 0.9, _MLP),
    Case("lenet", "training step: LeNet-5, ReLU and max-pool, 128x1x28x28", 0.4, _LENET),
    Case("cnn", "training step: conv-BN-ReLU-pool twice, linear, 64x3x32x32", 0.6, _CNN),
    Case("matmul 64", "matmul 64x64, forward and backward", 1.0, 3 * _gemm(64, 64, 64)),
    Case("matmul 256", "matmul 256x256, forward and backward", 1.0, 3 * _gemm(256, 256, 256)),
    Case("matmul 1024", "matmul 1024x1024, forward and backward", 1.0, 3 * _gemm(1024, 1024, 1024)),
    *(
        Case(name, f"conv2d {c}->{o} {k}x{k} on {n}x{c}x{s}x{s}, forward and backward", 0.8,
             3 * _conv(n, c, o, k, s + 2 * p - k + 1))
        for name, (n, c, s, o, k, p) in CONVOLUTIONS.items()
    ),
    Case("max-pool", "max_pool2d 2x2 on 128x6x28x28, forward and backward", 0.8),
    Case("batch-norm", "BatchNorm2d on 64x32x14x14, forward and backward", 0.8),
    Case("cross-entropy", "cross_entropy on 1024x1000, forward and backward", 0.8),
    Case("pointwise", "relu(x * w + b) on 1e6 entries, forward and backward", 1.0),
    Case("chain", "2,000 scalar operations, forward and backward", 0.6),
)  # fmt: skip


def build(torch: Any, name: str) -> Run:
    """A function that runs the case once."""
    functional = importlib.import_module(f"{torch.__name__}.nn.functional")
    rng = np.random.default_rng(0)

    def tensor(*shape: int, grad: bool = True) -> Any:
        return torch.tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=grad)

    if name in ("mlp", "lenet", "cnn"):
        return _training_step(torch, functional, name, tensor, rng)
    if name == "chain":
        start = torch.tensor(1.0, requires_grad=True)

        def chain() -> None:
            x = start
            for _ in range(1000):
                x = x * 1.0001 + 0.001
            x.backward()

        return chain
    leaves, forward = _operation(torch, functional, name, tensor, rng)
    seed = torch.ones_like(forward().detach())

    def operation() -> None:
        for leaf in leaves:
            leaf.grad = None
        forward().backward(seed)

    return operation


def _operation(torch: Any, functional: Any, name: str, tensor: Any, rng: Any) -> tuple[list[Any], Callable[[], Any]]:
    if name.startswith("matmul"):
        n = int(name.split()[1])
        a, b = tensor(n, n), tensor(n, n)
        return [a, b], lambda: a @ b
    if name in CONVOLUTIONS:
        n, c, size, o, kernel, padding = CONVOLUTIONS[name]
        x, w, bias = tensor(n, c, size, size), tensor(o, c, kernel, kernel), tensor(o)
        return [x, w, bias], lambda: functional.conv2d(x, w, bias, padding=padding)
    if name == "max-pool":
        x = tensor(128, 6, 28, 28)
        return [x], lambda: functional.max_pool2d(x, 2)
    if name == "batch-norm":
        x, layer = tensor(64, 32, 14, 14), torch.nn.BatchNorm2d(32)
        return [x, *layer.parameters()], lambda: layer(x)
    if name == "cross-entropy":
        x, labels = tensor(1024, 1000), torch.tensor(rng.integers(0, 1000, 1024))
        return [x], lambda: functional.cross_entropy(x, labels)
    x, w, b = (tensor(1_000_000) for _ in range(3))
    return [x, w, b], lambda: torch.relu(x * w + b)


def _training_step(torch: Any, functional: Any, name: str, tensor: Any, rng: Any) -> Run:
    nn = torch.nn
    if name == "mlp":
        model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
        x = tensor(128, 784, grad=False)
    elif name == "lenet":
        model = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        x = tensor(128, 1, 28, 28, grad=False)
    else:
        model = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(4096, 10),
        )  # fmt: skip
        x = tensor(64, 3, 32, 32, grad=False)
    labels = torch.tensor(rng.integers(0, 10, len(x)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        loss = functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
