"""Report 004: softmax with cross-entropy, a network of three layers, batch normalization.

        python demos/derivations/report004.py

The network's formulas are matrix products where letters stand side by side, summed over the samples s, each a column.
The formulas of batch normalization are given in LaTeX, as they would be copied out of a report.
"""

from __future__ import annotations

import sys
from typing import Any

from report000 import EPS, batchnorm

from tinygrad_edu.derivation import Derivation, one_hot


def softmax(o: Any) -> Any:
    """Along the second-last axis: o (..., k, 1) or (k,)."""
    e = o.exp()
    return e / (e.sum(-2, keepdim=True) if o.ndim > 1 else e.sum())


def cross_entropy(o: Any, y: Any) -> dict[str, Any]:
    """L = -Σ y log softmax(o)."""
    p = softmax(o)
    return {"p": p, "L": -(y * p.log()).sum()}


def network(X: Any, y: Any, W1: Any, b1: Any, W2: Any, b2: Any, W3: Any, b3: Any) -> dict[str, Any]:
    """Sigmoid, tanh and softmax with cross-entropy, summed over the samples."""
    h1 = W1 @ X + b1
    a1 = h1.sigmoid()
    h2 = W2 @ a1 + b2
    a2 = h2.tanh()
    o = W3 @ a2 + b3
    p = softmax(o)
    return {"h1": h1, "a1": a1, "h2": h2, "a2": a2, "o": o, "p": p, "L": -(y * p.log()).sum()}


def output() -> Derivation:
    """Cross-entropy through softmax."""
    found = Derivation(
        "Softmax and cross-entropy",
        cross_entropy,
        inputs={"o": ("k",), "y": (("k",), one_hot)},
        sizes={"k": 3},
        loss="L",
    )
    found.formula("dp", "dp_c/do_i = p_c (1 - p_i) if i = c else -p_c p_i")
    found.formula("do", "dL/do_i = p_i - y_i")
    return found


def three_layers() -> Derivation:
    """The gradients by the weights and biases; a column (k, 1) for each of n samples."""
    found = Derivation(
        "Network",
        network,
        inputs={
            "X": ("n", "d", 1),
            "y": (("n", "k", 1), one_hot),
            "W1": ("h", "d"),
            "b1": ("h", 1),
            "W2": ("q", "h"),
            "b2": ("q", 1),
            "W3": ("k", "q"),
            "b3": ("k", 1),
        },
        parameters=("W1", "b1", "W2", "b2", "W3", "b3"),
        sizes={"n": 2, "d": 3, "h": 4, "q": 5, "k": 2},
        loss="L",
        products="matrices",
    )
    found.formula("dW3", "dL/dW3 = sum_s (p_s - y_s) a2_s^T")
    found.formula("db3", "dL/db3 = sum_s (p_s - y_s)")
    found.formula("dW2", "dL/dW2 = W3^T sum_s (p_s - y_s) (1 - a2_s^2) a1_s^T")
    found.formula("db2", "dL/db2 = W3^T sum_s (p_s - y_s) (1 - a2_s^2)")
    found.formula("dW1", "dL/dW1 = W2^T W3^T sum_s (p_s - y_s) (1 - a2_s^2) a1_s (1 - a1_s) X_s^T")
    found.formula("db1", "dL/db1 = W2^T W3^T sum_s (p_s - y_s) (1 - a2_s^2) a1_s (1 - a1_s)")
    return found


def batch_normalization() -> Derivation:
    """From dF/dgamma to dF/dx_i."""
    norm = Derivation(
        "Batch normalization",
        batchnorm,
        inputs={"x": ("m",), "gamma": (), "beta": ()},
        parameters=("gamma", "beta"),
        sizes={"m": 4},
        constants={"eps": EPS},
        loss="F",
        upstream="g",
    )
    norm.formula("dgamma", latex=r"\frac{\partial F}{\partial \gamma} = \sum_{i=1}^{m} g_i \hat{x}_i")
    norm.formula("dbeta", latex=r"\frac{\partial F}{\partial \beta} = \sum_{i=1}^{m} g_i")
    norm.formula("dxhat", latex=r"\frac{\partial F}{\partial \hat{x}_i} = g_i \gamma")
    norm.formula(
        "dvar",
        latex=r"\frac{\partial F}{\partial \sigma^2} = \sum_{i=1}^{m} \frac{\partial F}{\partial \hat{x}_i}"
        r" (x_i - \mu) \left(-\frac{1}{2}\right) (\sigma^2 + \epsilon)^{-2/3}",
    )
    norm.formula(
        "dmu",
        latex=r"\frac{\partial F}{\partial \mu} = \sum_{i=1}^{m} \frac{\partial F}{\partial \hat{x}_i}"
        r" \frac{-1}{\sqrt{\sigma^2 + \epsilon}}",
    )
    norm.formula(
        "dx",
        latex=r"\frac{\partial F}{\partial x_i} = \frac{\partial F}{\partial \hat{x}_i}"
        r" \frac{1}{\sqrt{\sigma^2 + \epsilon}} + \frac{\partial F}{\partial \sigma^2} \frac{2 (x_i - \mu)}{m}"
        r" + \frac{\partial F}{\partial \mu} \frac{1}{m}",
    )
    return norm


def derivations() -> list[Derivation]:
    """All that the report claims."""
    return [output(), three_layers(), batch_normalization()]


if __name__ == "__main__":
    import check

    check.main(["--report", "004", *sys.argv[1:]])
