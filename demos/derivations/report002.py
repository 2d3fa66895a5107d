"""Report 002: the equation of a network, batch normalization.        python demos/derivations/report002.py

The equation is run on tensors as it is written; the engine's shape error says what is wrong with it.
"""

from __future__ import annotations

import sys
from typing import Any

from report000 import EPS, batchnorm

import tinygrad_edu as torch
from tinygrad_edu.derivation import Derivation

M = 4  # samples


def tensors(m: int = M) -> dict[str, torch.Tensor]:
    """The five arrays with the shapes that the report gives them."""
    torch.manual_seed(0)
    shapes = {"X": (m, 10), "W_h": (10, 50), "b_h": (1, 50), "W_o": (50, 3), "b_o": (1, 3)}
    return {name: torch.randn(*shape) for name, shape in shapes.items()}


def as_written(X: Any, W_h: Any, b_h: Any, W_o: Any, b_o: Any) -> Any:
    """Y = W_o a(W_h X + b_h) + b_o."""
    return W_o @ (W_h @ X + b_h).relu() + b_o


def corrected(X: Any, W_h: Any, b_h: Any, W_o: Any, b_o: Any) -> Any:
    """Y = a(X W_h + b_h) W_o + b_o: samples are the rows of X, so they stay on the left."""
    return (X @ W_h + b_h).relu() @ W_o + b_o


def network(X: Any, W_h: Any, b_h: Any, W_o: Any, b_o: Any) -> dict[str, Any]:
    """The corrected network."""
    return {"Y": corrected(X, W_h, b_h, W_o, b_o)}


def questions() -> Derivation:
    """The shapes, and the equation."""
    asked = Derivation(
        "Shapes and the network",
        network,
        inputs={"X": ("m", 10), "W_h": (10, 50), "b_h": (1, 50), "W_o": (50, 3), "b_o": (1, 3)},
        parameters=("W_h", "b_h", "W_o", "b_o"),
        sizes={"m": M},
        upstream="G",
    )
    asked.shape("W_h", (10, 50))
    asked.shape("b_h", (1, 50))
    asked.shape("W_o", (50, 3))
    asked.shape("b_o", (1, 3))
    asked.claim("shape of W_o a(W_h X + b_h) + b_o", lambda: tuple(as_written(**tensors()).shape), (M, 3))
    return asked


def batch_normalization() -> Derivation:
    """Parts a to f."""
    norm = Derivation(
        "Batch normalization",
        batchnorm,
        inputs={"x": ("m",), "gamma": (), "beta": ()},
        parameters=("gamma", "beta"),
        sizes={"m": 4},
        constants={"eps": EPS},
        loss="f",
        upstream="g",
    )
    norm.formula("a", "df/dgamma = sum_i g_i xhat_i")
    norm.formula("b", "df/dbeta = sum_i g_i")
    norm.formula("c", "df/dxhat_i = g_i gamma")
    norm.formula("d", "df/dvar = sum_i g_i gamma (-1/2) (x_i - mu)/sqrt((var + eps)^3)")
    norm.formula(
        "e",
        "df/dmu = sum_i g_i gamma (-1)/sqrt(var + eps)"
        " + sum_i g_i gamma (-1/2) (x_i - mu)/sqrt((var + eps)^3) * (-2/m) sum_i (x_i - mu)",
    )
    norm.formula(
        "f",
        "df/dx_i = g_i gamma 1/sqrt((var + eps)^3)"
        " + g_i gamma (-1/2)(x_i - mu)/sqrt((var + eps)^3) * 2/m (x_i - mu)"
        " + 1/m ( g_i gamma (-1)/sqrt((var + eps)^3)"
        " + g_i gamma (-1/2)(x_i - mu)/sqrt((var + eps)^3) * (-2/m) sum_i (x_i - mu) )",
    )
    return norm


def derivations() -> list[Derivation]:
    """All that the report claims."""
    return [questions(), batch_normalization()]


def remarks() -> list[str]:
    """The shapes of the corrected equation, and its parameters."""
    given = tensors()
    hidden = given["X"] @ given["W_h"] + given["b_h"]
    shapes = {name: tuple(tensor.shape) for name, tensor in given.items()}
    count = sum(tensor.numel() for name, tensor in given.items() if name != "X")
    return [
        "Corrected, samples being the rows of X: Y = a(X W_h + b_h) W_o + b_o",
        f"    {shapes['X']} {shapes['W_h']} + {shapes['b_h']} is {tuple(hidden.shape)}; "
        f"times {shapes['W_o']}, + {shapes['b_o']} is {tuple(corrected(**given).shape)}; {count:,} parameters",
    ]


if __name__ == "__main__":
    import check

    check.main(["--report", "002", *sys.argv[1:]])
