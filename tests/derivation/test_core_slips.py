"""Slips that a course sees often, each found by its name; a repair that is found is right when it is fed back."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu.derivation import Derivation, positive


def softmax(z):
    e = z.exp()
    return {"s": e / e.sum()}


def hinge(X, w, y):
    m = (1 - y * (X @ w)).relu()
    return {"m": m, "L": m.mean()}


def signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def ridge(X, w, y, *, lam):
    r = X @ w - y
    return {"r": r, "J": 0.5 * (r * r).sum() + 0.5 * lam * (w * w).sum()}


def gate(a, b):
    i, u = a.sigmoid(), b.tanh()
    return {"i": i, "u": u, "c": i * u}


def unbiased(x):
    xc = x - x.mean()
    return {"xc": xc, "v": (xc * xc).sum() / (x.shape[0] - 1)}


MADE = {
    "softmax": (softmax, {"inputs": {"z": ("n",)}, "sizes": {"n": 3}, "loss": "L", "upstream": "g"}),
    "hinge": (hinge, {"inputs": {"X": ("n", "d"), "w": ("d",), "y": (("n",), signs)}, "sizes": {"n": 4, "d": 3}}),
    "ridge": (
        ridge,
        {
            "inputs": {"X": ("n", "d"), "w": ("d",), "y": ("n",)},
            "sizes": {"n": 4, "d": 3},
            "constants": {"lam": 0.3},
            "products": "matrices",
        },
    ),
    "gate": (gate, {"inputs": {"a": ("n",), "b": ("n",)}, "sizes": {"n": 3}, "loss": "L", "upstream": "g"}),
    "square": (
        lambda x, A: {"q": x @ A @ x},
        {"inputs": {"x": ("n",), "A": ("n", "n")}, "sizes": {"n": 3}, "products": "matrices"},
    ),
    "outer": (
        lambda x, W, y: {"s": x @ W @ y},
        {"inputs": {"x": ("n",), "W": ("n", "m"), "y": ("m",)}, "sizes": {"n": 3, "m": 2}},
    ),
    "unbiased": (unbiased, {"inputs": {"x": ("n",)}, "sizes": {"n": 4}, "loss": "L", "upstream": "g"}),
}


def judged(which, statement):
    forward, options = MADE[which]
    return Derivation(which, forward, **options).formula("a", statement).check()["a"]


@pytest.mark.parametrize(
    ("which", "statement", "slip", "words"),
    [
        ("hinge", "dL/dw_j = -1/n^2 sum_i 1[m_i > 0] y_i X_ij", "exponent", "should be 1"),
        ("hinge", "dL/dm_i = 1/n", "", ""),
        ("hinge", "dL/dw_j = -1/n sum_i m_i y_i X_ij", "wrong factor", "m_i should be 1[m_i > 0]"),
        ("hinge", "dL/dw_j = -1/n sum_i y_i X_ij", "missing factor", "1[m_i > 0]"),
        ("ridge", "dJ/dw = X^T (X w - y) + 2 lam w", "extra factor", "the factor 2 is too much"),
        ("gate", "dL/db = g * i * (1 - u)^2", "exponent", "the exponent belongs to u alone"),
        ("gate", "dL/db = g * i * u * (1 - u)", "wrong slope", "slope of a sigmoid; that of tanh is 1 - u^2"),
        ("gate", "dL/da = g * u * (1 - i^2)", "wrong slope", "slope of tanh"),
        ("square", "dq/dx = 2 A x", "wrong transpose", "A is not symmetric"),
        ("outer", "ds/dW_ij = x_j y_i", "wrong transpose", "i and j should change places"),
        ("unbiased", "dv/dx_i = 2/n xc_i", "missing factor", "n/(n - 1)"),
    ],
)
def test_the_slip_is_named_and_its_repair_is_right(which, statement, slip, words):
    verdict = judged(which, statement)
    assert verdict.right is (slip == "") and verdict.slip == slip and words in verdict.words
    if verdict.repair is not None:
        left = statement.split(" = ")[0]
        assert judged(which, f"{left} = {verdict.repair.formula}").right


def test_the_direct_way_is_called_so():
    verdict = judged("ridge", "dJ/dw = X^T (X w - y)")
    assert verdict.slip == "forgotten path" and "the direct way from w to J is missing" in verdict.words


def test_a_softmax_taken_entry_by_entry():
    verdict = judged("softmax", "dL/dz = s * (1 - s) * g")
    assert not verdict.right and "only what comes through the diagonal of ds/dz" in verdict.words
    verdict = judged("softmax", "ds_i/dz_j = s_i (1 - s_j)")
    assert not verdict.right and "where i = j; the other entries are wrong" in verdict.words
    assert judged("softmax", "ds/dz = diag(s) - s s^T").right


def test_the_diagonal_of_an_elementwise_step_is_all_of_it():
    verdict = judged("gate", "dL/da = g * i * (1 - i)")
    assert not verdict.right and "diagonal of" not in verdict.instead


def test_a_derivative_that_is_zero_is_no_missing_factor():
    """Any term times 0 is 0: d(xc)/d(mean) summed is no factor that anybody forgot."""

    def forward(x):
        mu = x.mean()
        return {"mu": mu, "var": ((x - mu) ** 2).mean(), "y": x - mu}

    options = {"inputs": {"x": ("n",)}, "sizes": {"n": 4}, "loss": "L", "upstream": "g"}
    verdict = Derivation("zero", forward, **options).formula("a", "dL/dx = g - sum(g) + 1").check()["a"]
    assert not verdict.right and "dvar/dmu" not in "\n".join((verdict.words, *verdict.terms))


def test_no_minus_zero_and_no_empty_input_in_a_counterexample():
    def forward(z, y):
        p = torch.softmax(z, dim=0)
        return {"p": p, "L": -(y * p.log()).sum()}

    options = {"inputs": {"z": ("n",), "y": (("n",), lambda rng, shape: np.eye(*shape)[0])}, "sizes": {"n": 3}}
    made = Derivation("ce", forward, **options)
    found = made.formula("a", "dL/dp_i = -1/p_i").formula("b", "dL/dz = p").check()
    assert "−0 " not in f"{found['a'].counterexample} " and "truly 0" in str(found["a"].counterexample)
    assert not str(found["b"].counterexample).startswith(":")


def test_the_error_of_what_is_zero_is_its_size():
    def forward(x):
        mu = x.mean()
        return {"mu": mu, "var": ((x - mu) ** 2).mean()}

    made = Derivation("var", forward, inputs={"x": ("m",)}, sizes={"m": 4}, loss="L", upstream="g")
    found = made.formula("a", "dvar/dmu = 0").formula("b", "dvar/dmu = -2/m sum_i (x_i - mu)").check()
    assert found.right and max(verdict.error for verdict in found) < 1e-12


@pytest.mark.parametrize("eps", [1e-5, 1e-8, 1e-12])
def test_a_forgotten_eps_is_found_however_small_it_is(eps):
    def adam(m, v, *, lr, eps):
        return {"step": lr * m / (v.sqrt() + eps)}

    options = {"inputs": {"m": (), "v": ((), positive)}, "constants": {"lr": 0.1, "eps": eps}}
    made = Derivation("adam", adam, **options)
    made.formula("a", "dstep/dm = lr/(sqrt(v) + eps)").formula("b", "dstep/dm = lr/sqrt(v)")
    made.formula("c", "dstep/dm", lambda v, lr: lr / (v**0.5 + eps))
    found = made.check()
    assert found["a"].right and found["c"].right and not found["b"].right
    assert "eps" in found["b"].words and found["b"].counterexample is not None
