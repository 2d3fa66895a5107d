"""Report 000: shapes, numbers of parameters, batch normalization.        python demos/derivations/report000.py

Every formula stands here as its author wrote it, right or wrong: which is which is for the tool to find.
"""

from __future__ import annotations

import sys
from typing import Any

import tinygrad_edu as torch
from tinygrad_edu import nn
from tinygrad_edu.derivation import Derivation

EPS = 1e-5


def batchnorm(x: Any, gamma: Any, beta: Any, *, eps: float) -> dict[str, Any]:
    """One feature of m samples, from primitive operations."""
    mu = x.mean()
    centred = x - mu
    var = (centred**2).mean()
    xhat = centred / (var + eps).sqrt()
    y = gamma * xhat + beta
    return {"mu": mu, "var": var, "xhat": xhat, "y": y}


def network(X: Any, W_h: Any, b_h: Any, W_o: Any, b_o: Any) -> dict[str, Any]:
    """Ten inputs, fifty hidden units with ReLU, three outputs."""
    hidden = (X @ W_h + b_h).relu()
    return {"hidden": hidden, "Y": hidden @ W_o + b_o}


def convolutions() -> nn.Sequential:
    """Three 3x3 convolutions, 3 to 100 to 200 to 400 channels."""
    return nn.Sequential(nn.Conv2d(3, 100, 3), nn.Conv2d(100, 200, 3), nn.Conv2d(200, 400, 3))


def parameters(model: nn.Module, channels: int) -> int:
    """Weights and biases, as `tinygrad_edu.summary` counts them."""
    return int(torch.summary(model, input_size=(1, channels, 7, 7), verbose=0).total_params)


def questions() -> Derivation:
    """The shapes of the network, and how many parameters three convolutions have."""
    asked = Derivation(
        "Shapes and parameters",
        network,
        inputs={"X": ("m", 10), "W_h": (10, 50), "b_h": (50,), "W_o": (50, 3), "b_o": (3,)},
        parameters=("W_h", "b_h", "W_o", "b_o"),
        sizes={"m": 4},
        upstream="G",
    )
    asked.shape("W_h", (10, 50))
    asked.shape("b_h", (50,))
    asked.shape("W_o", (50, 3))
    asked.shape("b_o", (3,))
    asked.shape("Y", ("m", 3))
    layers = convolutions()
    asked.claim("parameters, 3 to 100 channels", lambda: parameters(layers[0], 3), 2_800)
    asked.claim("parameters, 100 to 200 channels", lambda: parameters(layers[1], 100), 180_200)
    asked.claim("parameters, 200 to 400 channels", lambda: parameters(layers[2], 200), 720_400)
    asked.claim("parameters in all", lambda: parameters(layers, 3), 903_400)
    return asked


def batch_normalization() -> Derivation:
    """Parts a to f. Two answers are given for df/dvar and two for dmu/dx_i."""
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
    norm.formula("d", "df/dvar = g_i gamma")
    norm.formula("d in e", "df/dvar = -1/2 sum_i df/dxhat_i (x_i - mu) (var + eps)^(-3/2)")
    norm.formula("e", "df/dmu = sum_i df/dxhat_i * (-1/sqrt(var + eps)) + df/dvar * (-2/m) sum_i (x_i - mu)")
    norm.formula("e simplified", "df/dmu = sum_i df/dxhat_i * (-1/sqrt(var + eps))")
    norm.formula("f dvar", "dvar/dx_i = 2/m (x_i - mu)")
    norm.formula("f dmu first", "dmu/dx_i = 1/sqrt(var + eps)")
    norm.formula("f dmu second", "dmu/dx_i = 1/m")
    norm.formula(
        "f",
        "df/dx_i = 1/sqrt(var + eps) * [ df/dxhat_i - 1/m sum_j df/dxhat_j - xhat_i/m sum_j xhat_j df/dxhat_j ]",
    )
    return norm


def derivations() -> list[Derivation]:
    """All that the report claims."""
    return [questions(), batch_normalization()]


def remarks() -> list[str]:
    """The three convolutions as a table."""
    return [str(torch.summary(convolutions(), input_size=(1, 3, 7, 7), verbose=0))]


if __name__ == "__main__":
    import check

    check.main(["--report", "000", *sys.argv[1:]])
