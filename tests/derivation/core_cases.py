"""Derivations with formulas that are known to be right, for the tests of the checker."""

from __future__ import annotations

from typing import Any

import tinygrad_edu.nn.functional as F
from tinygrad_edu.derivation import Derivation, one_hot, positive

EPS = 1e-3


def batchnorm(x: Any, gamma: Any, beta: Any, *, eps: float) -> dict[str, Any]:
    mu = x.mean()
    var = ((x - mu) ** 2).mean()
    xhat = (x - mu) / (var + eps).sqrt()
    y = gamma * xhat + beta
    return {"mu": mu, "var": var, "xhat": xhat, "y": y}


def batchnorm_derivation(**options: Any) -> Derivation:
    return Derivation(
        "BatchNorm",
        batchnorm,
        inputs={"x": ("m",), "gamma": (), "beta": ()},
        sizes={"m": 4},
        constants={"eps": EPS},
        loss="f",
        upstream="g",
        **options,
    )


BATCHNORM = {
    "df/dgamma": "sum_i g_i xhat_i",
    "df/dbeta": "sum_i g_i",
    "df/dxhat_i": "g_i gamma",
    "df/dvar": "-1/2 sum_i df/dxhat_i (x_i - mu) (var + eps)^(-3/2)",
    "df/dmu": "-sum_i df/dxhat_i / sqrt(var + eps)",
    "dvar/dx_i": "2/m (x_i - mu)",
    "dmu/dx_i": "1/m",
    "dxhat_i/dmu": "-1/sqrt(var + eps)",
    "dxhat_i/dvar": "-1/2 (x_i - mu) (var + eps)^(-3/2)",
    "df/dx_i": "df/dxhat_i / sqrt(var + eps) + df/dvar * 2/m (x_i - mu) + df/dmu / m",
    "dxhat_i/dx_j": "(delta_ij - 1/m)/sqrt(var + eps) - 1/m (x_i - mu) (x_j - mu) (var + eps)^(-3/2)",
}


def softmax_layer(x: Any, W: Any, b: Any, t: Any) -> dict[str, Any]:
    z = x @ W.T + b
    p = F.softmax(z, dim=-1)
    return {"z": z, "p": p, "L": -(t * p.log()).sum(-1).mean()}


def softmax_derivation() -> Derivation:
    return Derivation(
        "softmax layer",
        softmax_layer,
        inputs={"x": ("m", "d"), "W": ("k", "d"), "b": ("k",), "t": (("m", "k"), one_hot)},
        sizes={"m": 3, "d": 2, "k": 4},
        loss="L",
        products="matrices",
    )


SOFTMAX = {
    "dL/dz_si": "1/m (p_si - t_si)",
    "dL/dz": "(p - t)/m",
    "dL/dW": "1/m (p - t)^T x",
    "dL/dW_ij": "1/m sum_s (p_si - t_si) x_sj",
    "dL/db_i": "1/m sum_s (p_si - t_si)",
    "dL/dx": "1/m (p - t) W",
    "dL/dx_sj": "sum_i dL/dz_si W_ij",
    "dL/dp_si": "-t_si / (m p_si)",
    "dz_si/dW_jk": "delta_ij x_sk",
}


def activations(x: Any, a: Any, *, c: float) -> dict[str, Any]:
    s = x.sigmoid()
    h = (a * x).tanh()
    r = x.relu()
    q = a.log() * s
    return {"s": s, "h": h, "r": r, "q": q, "y": s * h + c * r + q}


def activation_derivation() -> Derivation:
    return Derivation(
        "activations",
        activations,
        inputs={"x": ("n",), "a": (("n",), positive)},
        sizes={"n": 4},
        constants={"c": 0.75},
        loss="L",
        upstream="g",
    )


ACTIVATIONS = {
    "dL/ds_i": "g_i (h_i + log(a_i))",
    "dL/dh_i": "g_i s_i",
    "dL/dr_i": "c g_i",
    "dL/da_i": "g_i (s_i (1 - h_i^2) x_i + s_i / a_i)",
    "ds_i/dx_j": "delta_ij s_i (1 - s_i)",
    "dr/dx": "1[x > 0]",
    "dL/dx_i": "g_i ((h_i + log(a_i)) s_i (1 - s_i) + s_i a_i (1 - h_i^2) + c 1[x_i > 0])",
}

CASES = [
    (batchnorm_derivation, BATCHNORM),
    (softmax_derivation, SOFTMAX),
    (activation_derivation, ACTIVATIONS),
]
EVERY = [(make, left, right) for make, formulas in CASES for left, right in formulas.items()]
