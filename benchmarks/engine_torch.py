"""The cases in PyTorch's language, which tinygrad_edu speaks too: one code for both."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from benchmarks import cases
from benchmarks.cases import Run


def build(torch: Any, name: str) -> Run:
    """A function that runs the case once, in the module `torch`."""
    functional = importlib.import_module(f"{torch.__name__}.nn.functional")
    if name in cases.STEPS:
        return _training_step(torch, functional, name)
    leaves, forward = _operation(torch, functional, name)
    seed = torch.tensor(cases.seed_of(name))

    def operation() -> list[Any]:
        for leaf in leaves:
            leaf.grad = None
        forward().backward(seed)
        return [leaf.grad for leaf in leaves]

    return operation


def _operation(torch: Any, functional: Any, name: str) -> tuple[list[Any], Callable[[], Any]]:
    leaves = [torch.tensor(array, requires_grad=True) for array in cases.leaves(name)]
    if name.startswith("matmul"):
        a, b = leaves
        return leaves, lambda: a @ b
    if name in cases.CONVOLUTIONS:
        x, w, bias = leaves
        padding = cases.CONVOLUTIONS[name][-1]
        return leaves, lambda: functional.conv2d(x, w, bias, padding=padding)
    if name == "max-pool":
        return leaves, lambda: functional.max_pool2d(leaves[0], 2)
    if name == "batch-norm":
        x, gamma, beta = leaves
        layer = torch.nn.BatchNorm2d(32)
        with torch.no_grad():
            layer.weight.copy_(gamma)
            layer.bias.copy_(beta)
        return [x, layer.weight, layer.bias], lambda: layer(x)
    if name == "cross-entropy":
        labels = torch.tensor(cases.class_labels())
        return leaves, lambda: functional.cross_entropy(leaves[0], labels)
    if name == "pointwise":
        x, w, b = leaves
        return leaves, lambda: torch.relu(x * w + b)

    def chain() -> Any:
        x = leaves[0]
        for _ in range(cases.CHAIN_LINKS):
            x = x * cases.CHAIN_SCALE + cases.CHAIN_SHIFT
        return x

    return leaves, chain


def _model(nn: Any, name: str) -> Any:
    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    if name == "lenet":
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4096, 10),
    )  # fmt: skip


def _training_step(torch: Any, functional: Any, name: str) -> Run:
    model = _model(torch.nn, name)
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), cases.parameters(name).values(), strict=True):
            parameter.copy_(torch.tensor(array))
    x, labels = map(torch.tensor, cases.batch(name))
    optimizer = torch.optim.SGD(model.parameters(), lr=cases.LEARNING_RATE, momentum=cases.MOMENTUM)

    def step() -> list[Any]:
        loss = functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return [loss]

    return step
