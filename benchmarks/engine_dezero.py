"""The cases in DeZero: variables over NumPy arrays, its functions, its Model and MomentumSGD.

DeZero 0.0.13 needs NumPy older than 1.24 (it uses `np.int`), so usually an interpreter of its own.
"""

# mypy: disable-error-code="import-not-found, import-untyped, misc"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dezero.functions as F
import numpy as np
from dezero import Model, Parameter, Variable, optimizers

from benchmarks import cases
from benchmarks.cases import Run


def build(name: str) -> Run:
    """A function that runs the case once."""
    if name in cases.STEPS:
        return _training_step(name)
    leaves = [Variable(np.asarray(array)) for array in cases.leaves(name)]
    forward, seed = _operation(name), Variable(cases.seed_of(name))

    def operation() -> list[Any]:
        for leaf in leaves:
            leaf.cleargrad()
        out = forward(*leaves)
        out.grad = seed
        out.backward()
        return [leaf.grad.data for leaf in leaves]

    return operation


def _batch_norm(x: Any, gamma: Any, beta: Any, mean: Any, var: Any) -> Any:
    return F.batch_nrom(x, gamma, beta, mean, var, eps=cases.EPS)


def _operation(name: str) -> Callable[..., Any]:
    if name.startswith("matmul"):
        return lambda a, b: F.matmul(a, b)
    if name in cases.CONVOLUTIONS:
        padding = cases.CONVOLUTIONS[name][-1]
        return lambda x, w, bias: F.conv2d(x, w, bias, 1, padding)
    if name == "max-pool":
        return lambda x: F.pooling(x, 2, 2)
    if name == "batch-norm":
        mean, var = np.zeros(32, np.float32), np.ones(32, np.float32)
        return lambda x, gamma, beta: _batch_norm(x, gamma, beta, mean, var)
    if name == "cross-entropy":
        labels = cases.class_labels()
        return lambda x: F.softmax_cross_entropy(x, labels)
    if name == "pointwise":
        return lambda x, w, b: F.relu(x * w + b)

    def chain(x: Any) -> Any:
        for _ in range(cases.CHAIN_LINKS):
            x = x * cases.CHAIN_SCALE + cases.CHAIN_SHIFT
        return x

    return chain


class Network(Model):
    """One of the three models, its parameters set from the case's."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.case = name
        for key, array in cases.parameters(name).items():
            # DeZero's linear layer keeps its weight as (in, out)
            setattr(self, key, Parameter(np.ascontiguousarray(array.T) if array.ndim == 2 else array))
        self.statistics = [(np.zeros(c, np.float32), np.ones(c, np.float32)) for c in (32, 64)]

    def forward(self, x: Any) -> Any:
        """The logits."""
        if self.case == "lenet":
            x = F.pooling(F.relu(F.conv2d(x, self.conv1, self.conv1_bias, 1, 2)), 2, 2)
            x = F.pooling(F.relu(F.conv2d(x, self.conv2, self.conv2_bias, 1, 0)), 2, 2)
            x = F.flatten(x)
        if self.case == "cnn":
            x = F.conv2d(x, self.conv1, self.conv1_bias, 1, 1)
            x = F.pooling(F.relu(_batch_norm(x, self.gamma1, self.beta1, *self.statistics[0])), 2, 2)
            x = F.conv2d(x, self.conv2, self.conv2_bias, 1, 1)
            x = F.pooling(F.relu(_batch_norm(x, self.gamma2, self.beta2, *self.statistics[1])), 2, 2)
            return F.linear(F.flatten(x), self.fc, self.fc_bias)
        x = F.relu(F.linear(x, self.fc1, self.fc1_bias))
        x = F.relu(F.linear(x, self.fc2, self.fc2_bias))
        return F.linear(x, self.fc3, self.fc3_bias)


def _training_step(name: str) -> Run:
    model = Network(name)
    optimizer = optimizers.MomentumSGD(cases.LEARNING_RATE, cases.MOMENTUM).setup(model)
    x, labels = cases.batch(name)
    x = Variable(x)

    def step() -> list[Any]:
        loss = F.softmax_cross_entropy(model(x), labels)
        model.cleargrads()
        x.cleargrad()  # DeZero computes the gradient of every variable, the images too
        loss.backward()
        optimizer.update()
        return [loss.data]

    return step
