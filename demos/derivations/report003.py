"""Report 003: affine layer, ReLU, the slope of the sigmoid, batch normalization.

        python demos/derivations/report003.py

Its formulas are given as Python functions of the named values: the arguments say what they need, dy is dl/dy.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from report000 import EPS, batchnorm

import tinygrad_edu as torch
from tinygrad_edu.derivation import Derivation


def affine(x: Any, w: Any, b: Any) -> dict[str, Any]:
    """y = w x + b for one entry of each."""
    return {"y": w * x + b}


def rectifier(x: Any) -> dict[str, Any]:
    """y = max(0, x), entry by entry."""
    return {"y": x.relu()}


def largest_slope() -> float:
    """The largest derivative of the sigmoid that the engine finds on a fine grid of -8 ... 8."""
    x = torch.tensor(np.linspace(-8, 8, 1601), requires_grad=True)
    x.sigmoid().sum().backward()
    assert x.grad is not None
    return float(x.grad.max())


def bn_dx(g: Any, gamma: Any, var: Any, eps: Any, x: Any, mu: Any, m: Any) -> Any:
    """dl/dx_i as the report has it, with all that depends on i as whole arrays."""
    inner = 2 * (x - mu) / m + (-2 * (x - mu)).sum() / m * 1 / m
    return (
        g
        * gamma
        * (
            -1 / np.sqrt(var + eps)
            - 1 / 2 * (var + eps) ** (-3 / 2) * (x - mu) * inner
            - 1 / np.sqrt(var + eps) * 1 / m
        )
    )


def layers() -> list[Derivation]:
    """The affine layer, the ReLU and the slope of the sigmoid."""
    line = Derivation(
        "Affine, per element",
        affine,
        inputs={"x": (), "w": (), "b": ()},
        parameters=("w", "b"),
        loss="l",
        upstream="g",
    )
    line.formula("affine dx", "dl/dx", lambda w, dy: w * dy)
    line.formula("affine dw", "dl/dw", lambda x, dy: x * dy)
    line.formula("affine db", "dl/db", lambda dy: dy)
    bend = Derivation("ReLU", rectifier, inputs={"x": ("n",)}, sizes={"n": 3}, loss="l", upstream="g")
    bend.formula("relu", "dl/dx", lambda x: np.where(x > 0, x, 0))
    bend.claim("largest slope of the sigmoid", largest_slope, 0.25)
    return [line, bend]


def batch_normalization() -> Derivation:
    """The gradients by gamma, beta and x."""
    norm = Derivation(
        "Batch normalization",
        batchnorm,
        inputs={"x": ("m",), "gamma": (), "beta": ()},
        parameters=("gamma", "beta"),
        sizes={"m": 4},
        constants={"eps": EPS},
        loss="l",
        upstream="g",
    )
    norm.formula("dgamma", "dl/dgamma", lambda xhat, g: (xhat * g).sum())
    norm.formula("dbeta", "dl/dbeta", lambda g: g.sum())
    norm.formula("dx", "dl/dx", bn_dx)
    return norm


def derivations() -> list[Derivation]:
    """All that the report claims."""
    return [*layers(), batch_normalization()]


if __name__ == "__main__":
    import check

    check.main(["--report", "003", *sys.argv[1:]])
