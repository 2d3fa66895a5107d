"""The MLP of report 001 in NumPy alone: every module with a backward pass written by hand from the report's formulas.

x~ is what a layer gets to activate, x what it gives out, t the one-hot labels.  The formulas are for one sample; here
the samples of a batch are rows, and by 1.1c the gradients of activations carry the 1/B of the mean loss, so that those
of the parameters are sums over rows.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Module(Protocol):
    """What a layer can do: forward keeps what backward needs."""

    def forward(self, x: Array) -> Array: ...

    def backward(self, dout: Array) -> Array: ...


class Linear:
    """x~ = x Wᵀ + b for x (B, m), W (n, m), b (n,) -> (B, n); formulas 4 to 6 and 9 to 11."""

    def __init__(self, weight: Array, bias: Array) -> None:
        self.weight, self.bias = weight.copy(), bias.copy()

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.weight.T + self.bias

    def backward(self, dout: Array) -> Array:
        self.dweight = dout.T @ self.x  # 10: dL/dW = dL/dx~ xᵀ, summed over the samples
        self.dbias = dout.sum(axis=0)  # 11: dL/db = dL/dx~
        return dout @ self.weight  # 9: dL/dx = Wᵀ dL/dx~


class ReLU:
    """x = max(x~, 0); formulas 3 and 8."""

    def forward(self, x: Array) -> Array:
        self.positive = x > 0
        return np.maximum(x, 0)

    def backward(self, dout: Array) -> Array:
        return dout * self.positive  # 8: dL/dx~ = dL/dx * 1[x~ > 0]


class Softmax:
    """s = exp(x~ - max) / sum exp(x~ - max), row by row; formulas 2 and 7."""

    def forward(self, x: Array) -> Array:
        e = np.exp(x - x.max(axis=1, keepdims=True))  # less the maximum: exp cannot overflow
        self.s = e / e.sum(axis=1, keepdims=True)
        return self.s

    def backward(self, dout: Array) -> Array:
        inner = (self.s * dout).sum(axis=1, keepdims=True)
        return dout * self.s - self.s * inner  # 7: dL/dx~ = dL/dx * s - s (sᵀ dL/dx)


class CrossEntropy:
    """L = -1/B sum_s sum_j t_j log x_j for probabilities x (B, k), one-hot t; formula 1 with the 1/B of 1.1c.

    A probability that underflows to 0 makes L infinite: the engine's cross_entropy takes scores, and cannot.
    """

    def forward(self, x: Array, labels: NDArray[np.int64]) -> float:
        self.x, self.rows, self.labels = x, np.arange(len(x)), labels
        return float(-np.log(x[self.rows, labels]).mean())

    def backward(self) -> Array:
        dx = np.zeros_like(self.x)
        dx[self.rows, self.labels] = -1 / self.x[self.rows, self.labels]  # 1: dL/dx_i = -t_i / x_i
        return dx / self.x.dtype.type(len(self.x))  # 1.1c


class NumPyMLP:
    """Linear layers with a ReLU between them and a softmax at the end, trained by plain SGD.

    weights: (W, b) of each layer, which are copied; the same type of number is used throughout.
    """

    def __init__(self, weights: list[tuple[Array, Array]], lr: float) -> None:
        self.linears = [Linear(weight, bias) for weight, bias in weights]
        self.modules: list[Module] = [self.linears[0]]
        for linear in self.linears[1:]:
            self.modules += [ReLU(), linear]
        self.softmax, self.loss, self.lr = Softmax(), CrossEntropy(), lr

    def scores(self, x: Array) -> Array:
        """Images as rows (B, m) -> scores (B, k), before the softmax."""
        for module in self.modules:
            x = module.forward(x)
        return x

    def gradients(self, x: Array, labels: NDArray[np.int64]) -> tuple[float, Array]:
        """Loss and scores; leaves dweight and dbias in the linear layers."""
        scores = self.scores(x)
        loss = self.loss.forward(self.softmax.forward(scores), labels)
        dout = self.softmax.backward(self.loss.backward())
        for module in reversed(self.modules):
            dout = module.backward(dout)
        return loss, scores

    def step(self, x: Array, labels: NDArray[np.int64]) -> tuple[float, Array]:
        """One step of SGD; the loss and the scores before it."""
        loss, scores = self.gradients(x, labels)
        for linear in self.linears:
            linear.weight -= self.lr * linear.dweight
            linear.bias -= self.lr * linear.dbias
        return loss, scores
