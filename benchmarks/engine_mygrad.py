"""The cases in MyGrad: tensors over NumPy arrays, mygrad.nnet's layers; it has no optimizer, so SGD is two lines.

Memory guarding, a debugging aid, is off, as MyGrad's documentation advises where speed matters.
"""

# mypy: disable-error-code="import-not-found, import-untyped, misc"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet import batchnorm, conv_nd, max_pool, softmax_crossentropy
from mygrad.nnet.activations import relu

from benchmarks import cases
from benchmarks.cases import Run

mg.turn_memory_guarding_off()


def build(name: str) -> Run:
    """A function that runs the case once."""
    if name in cases.STEPS:
        return _training_step(name)
    leaves = [mg.tensor(array) for array in cases.leaves(name)]
    forward, seed = _operation(name), cases.seed_of(name)

    def operation() -> list[Any]:
        forward(*leaves).backward(seed)  # a leaf drops its gradient when it is used again
        return [leaf.grad for leaf in leaves]

    return operation


def _conv2d(x: Any, w: Any, bias: Any, padding: int) -> Any:
    return conv_nd(x, w, stride=1, padding=padding) + bias.reshape(1, -1, 1, 1)


def _operation(name: str) -> Callable[..., Any]:
    if name.startswith("matmul"):
        return lambda a, b: a @ b
    if name in cases.CONVOLUTIONS:
        padding = cases.CONVOLUTIONS[name][-1]
        return lambda x, w, bias: _conv2d(x, w, bias, padding)
    if name == "max-pool":
        return lambda x: max_pool(x, (2, 2), 2)
    if name == "batch-norm":
        return lambda x, gamma, beta: batchnorm(x, gamma=gamma, beta=beta, eps=cases.EPS)
    if name == "cross-entropy":
        labels = cases.class_labels()
        return lambda x: softmax_crossentropy(x, labels)
    if name == "pointwise":
        return lambda x, w, b: relu(x * w + b)

    def chain(x: Any) -> Any:
        for _ in range(cases.CHAIN_LINKS):
            x = x * cases.CHAIN_SCALE + cases.CHAIN_SHIFT
        return x

    return chain


def _logits(name: str, p: dict[str, Any], x: Any) -> Any:
    if name == "lenet":
        x = max_pool(relu(_conv2d(x, p["conv1"], p["conv1_bias"], 2)), (2, 2), 2)
        x = max_pool(relu(_conv2d(x, p["conv2"], p["conv2_bias"], 0)), (2, 2), 2).reshape(len(x), -1)
    if name == "cnn":
        for k in ("1", "2"):
            x = _conv2d(x, p["conv" + k], p[f"conv{k}_bias"], 1)
            x = batchnorm(x, gamma=p["gamma" + k], beta=p["beta" + k], eps=cases.EPS)
            x = max_pool(relu(x), (2, 2), 2)
        return x.reshape(len(x), -1) @ p["fc"].T + p["fc_bias"]
    x = relu(x @ p["fc1"].T + p["fc1_bias"])
    x = relu(x @ p["fc2"].T + p["fc2_bias"])
    return x @ p["fc3"].T + p["fc3_bias"]


def _training_step(name: str) -> Run:
    parameters = {key: mg.tensor(array) for key, array in cases.parameters(name).items()}
    velocity = {key: np.zeros_like(p.data) for key, p in parameters.items()}
    x, labels = cases.batch(name)
    x = mg.tensor(x, constant=True)

    def step() -> list[Any]:
        loss = softmax_crossentropy(_logits(name, parameters, x), labels)
        loss.backward()
        for key, p in parameters.items():
            velocity[key] = cases.MOMENTUM * velocity[key] + p.grad
            p.data -= cases.LEARNING_RATE * velocity[key]
        return [loss.data]

    return step
