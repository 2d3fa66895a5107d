"""Report 001: the modules of an MLP, and batch normalization of features.        python demos/derivations/report001.py

x~ is what a layer makes of its input before the non-linearity, x what comes out of it, t a one-hot target. Equations 1
to 11 are about one sample, from 12 on x_j^r is feature j of sample r of a batch of B.
"""

from __future__ import annotations

import sys
from typing import Any

from tinygrad_edu.derivation import Derivation, one_hot, probabilities

EPS = 1e-5


def cross_entropy(x: Any, t: Any) -> dict[str, Any]:
    """L = -Σ tⱼ log xⱼ."""
    return {"L": -(t * x.log()).sum()}


def softmax_layer(**given: Any) -> dict[str, Any]:
    """x = softmax(x~), which the report also calls s."""
    e = given["x~"].exp()
    s = e / e.sum()
    return {"softmax": s, "s": s, "x": s}


def relu_layer(**given: Any) -> dict[str, Any]:
    """x = relu(x~), for each entry alone."""
    x = given["x~"].relu()
    return {"relu": x, "x": x}


def linear(x: Any, W: Any, b: Any) -> dict[str, Any]:
    """x~ = W x + b, of one sample."""
    return {"x~": W @ x + b}


def batch_loss(x: Any, W: Any, b: Any, t: Any) -> dict[str, Any]:
    """Rows of x are samples: L_total = 1/B Σₛ Lₛ, each Lₛ the cross-entropy of softmax(W xₛ + b)."""
    z = x @ W.mT + b
    e = z.exp()
    p = e / e.sum(-1, keepdim=True)
    losses = -(t * p.log()).sum(-1)
    return {"z": z, "p": p, "losses": losses, "L": losses.mean()}


def batchnorm(x: Any, gamma: Any, beta: Any, *, eps: float) -> dict[str, Any]:
    """Every feature (row) over the samples (columns)."""
    mu = x.mean(1)
    centred = x - mu[:, None]
    var = (centred**2).mean(1)
    xhat = centred / (var + eps).sqrt()[:, None]
    y = gamma[:, None] * xhat + beta[:, None]
    return {"mu": mu, "var": var, "xhat": xhat, "y": y}


def loss() -> Derivation:
    """Equation 1."""
    found = Derivation(
        "Cross-entropy",
        cross_entropy,
        inputs={"x": (("n",), probabilities), "t": (("n",), one_hot)},
        sizes={"n": 4},
        loss="L",
    )
    found.formula("1", "dL/dx_i = -t_i / x_i")
    return found


def softmax() -> Derivation:
    """Equations 2 and 7."""
    found = Derivation(
        "Softmax",
        softmax_layer,
        inputs={"x~": ("n",)},
        sizes={"n": 3},
        loss="L",
        upstream="g",
        products="matrices",
    )
    found.formula("2", "dsoftmax_i/dx~_j = s_i (delta_ij - s_j)")
    found.formula("7", "dL/dx~ = dL/dx * s - s (s^T dL/dx)")
    return found


def relu() -> Derivation:
    """Equations 3 and 8, entry by entry."""
    found = Derivation("ReLU", relu_layer, inputs={"x~": ()}, loss="L", upstream="g")
    found.formula("3", "drelu/dx~ = 1[x~ > 0]")
    found.formula("8", "dL/dx~ = dL/dx * 1[x~ > 0]")
    return found


def linear_entries() -> Derivation:
    """Equations 4 to 6: single entries."""
    found = Derivation(
        "Linear, entry by entry",
        linear,
        inputs={"x": ("d",), "W": ("k", "d"), "b": ("k",)},
        parameters=("W", "b"),
        sizes={"d": 3, "k": 2},
        loss="L",
        upstream="g",
    )
    found.formula("4", "dx~_i/dx_j = W_ij")
    found.formula("5", "dx~_j/dW_ik = delta_ij x_k")
    found.formula("6", "dx~_j/db_i = delta_ij")
    return found


def linear_columns() -> Derivation:
    """Equations 9 to 11: x, x~ and b are columns, and letters side by side are matrix products."""
    found = Derivation(
        "Linear",
        linear,
        inputs={"x": ("d", 1), "W": ("k", "d"), "b": ("k", 1)},
        parameters=("W", "b"),
        sizes={"d": 3, "k": 2},
        loss="L",
        upstream="g",
        products="matrices",
    )
    found.formula("9", "dL/dx = W^T dL/dx~")
    found.formula("10", "dL/dW = dL/dx~ x^T")
    found.formula("11", "dL/db = dL/dx~")
    return found


def batches() -> Derivation:
    """1.1c in formulas: (p - t) is the gradient of one sample's loss, so 1/B of it comes to each activation."""
    found = Derivation(
        "A batch",
        batch_loss,
        inputs={"x": ("B", "d"), "W": ("k", "d"), "b": ("k",), "t": (("B", "k"), one_hot)},
        parameters=("W", "b"),
        sizes={"B": 3, "d": 2, "k": 3},
        loss="L",
    )
    found.formula("1.1c activations", "dL/dz_si = 1/B (p_si - t_si)")
    found.formula("1.1c W", "dL/dW", lambda p, t, x, B: 1 / B * (p - t).T @ x)
    found.formula("1.1c b", "dL/db_i = 1/B sum_s (p_si - t_si)")
    return found


def batch_normalization() -> Derivation:
    """Equations 12 to 25."""
    found = Derivation(
        "Batch normalization",
        batchnorm,
        inputs={"x": ("c", "B"), "gamma": ("c",), "beta": ("c",)},
        parameters=("gamma", "beta"),
        sizes={"c": 2, "B": 3},
        constants={"eps": EPS},
        loss="L",
        upstream="g",
    )
    found.formula("12", "dL/dgamma_j = sum_s g_j^s xhat_j^s")
    found.formula("13", "dL/dbeta_j = sum_s g_j^s")
    found.formula("14", "dmu_i/dx_j^r = delta_ij / B")
    found.formula("16", "dvar_i/dx_j^r = 2/B sum_s (x_i^s - mu_i)(delta_ij delta_rs - delta_ij/B)")
    found.formula("18", "d(1/sqrt(var_i + eps))/dx_j^r = -(var_i + eps)^(-2/3)/B (x_i^r - mu_i) delta_ij")
    found.formula(
        "22",
        "dxhat_i^s/dx_j^r = delta_ij/sqrt(var_i + eps) (delta_rs - 1/B)"
        " - 1/B (x_i^s - mu_i)(x_i^r - mu_i) delta_ij (var_i + eps)^(-2/3)",
    )
    found.formula(
        "25",
        "dL/dx_j^r = gamma_j/sqrt(var_j + eps) ( g_j^r - 1/B sum_s g_j^s - xhat_j^r/B sum_s xhat_j^s g_j^s )",
    )
    return found


def derivations() -> list[Derivation]:
    """All that the report claims."""
    return [
        loss(),
        softmax(),
        relu(),
        linear_entries(),
        linear_columns(),
        batches(),
        batch_normalization(),
    ]


if __name__ == "__main__":
    import check

    check.main(["--report", "001", *sys.argv[1:]])
