"""Python functions as formulas: what can be traced gives the same as calling it, what cannot is called."""

from __future__ import annotations

import numpy as np
import pytest
from core_cases import activation_derivation, batchnorm_derivation, softmax_derivation

import tinygrad_edu as torch
from tinygrad_edu.derivation.expressions import evaluate, name
from tinygrad_edu.derivation.tracing import Label, Traced, Untraceable, traced

ARRAYS = {"x": np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]]), "w": np.array([[2.0, 1.0, 4.0], [0.5, 3.0, 1.0]])}

FUNCTIONS = {
    "operators": lambda x, w: 2 - x * w / 3 + (-x) ** 2 - 1 / w,
    "reflected": lambda x, w: 2.0**w + 1 - x,
    "matmul": lambda x, w: x @ w.T + (w @ x.T).T,
    "mT": lambda x, w: x.mT @ w,
    "numpy": lambda x, w: np.exp(x) + np.log(w) - np.sqrt(w) * np.tanh(x) + np.abs(x) + np.square(x) + np.sign(x),
    "numpy on the left": lambda x, w: np.float64(2) * x + np.float64(1) / w,
    "sums": lambda x, w: x.sum(axis=0) + w.mean(axis=0) + np.sum(x * w),
    "kept": lambda x, w: x / w.sum(axis=1, keepdims=True) - np.mean(x, axis=0, keepdims=True),
    "last axis": lambda x, w: x.sum(-1) + np.sum(w, axis=-1),
    "both axes": lambda x, w: x.sum(axis=(0, 1)) + w.mean(axis=(-1, -2)),
    "where": lambda x, w: np.where(x > 0, w, -w) + 1.0 * (x > 0) + (x <= 0.25) * w,
    "entries": lambda x, w: x[0, 1] * w[1] + x[-1][2],
    "maximum": lambda x, w: np.maximum(x, 0) + np.minimum(w, 1.0),
    "transpose": lambda x, w: np.transpose(x) @ w + x.transpose() @ w,
    "astype": lambda x, w: (x > 0).astype(float) * w,
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_a_traced_function_gives_what_it_gives_on_arrays(case):
    function = FUNCTIONS[case]
    tree = traced(function, {key: Traced(name(key)) for key in ARRAYS})
    found = evaluate(tree, ARRAYS, {})
    assert found.labels == ()
    assert np.allclose(found.array, function(**_arrays()), rtol=1e-13)


class _MT(np.ndarray):
    @property
    def mT(self):
        return self.T


def _arrays():
    return {key: x.view(_MT) for key, x in ARRAYS.items()}


TENSORS = {
    "methods": lambda x, w: x.exp() + w.log() - w.sqrt() * x.tanh() + x.sigmoid() + x.relu() + x.abs() + w.rsqrt(),
    "dims": lambda x, w: x.sum(dim=0) + w.mean(dim=1).sum() + x.sum(dim=1, keepdim=True),
    "functions": lambda x, w: torch.exp(x) + torch.where(x > 0, w, x) + torch.sigmoid(w) - torch.tanh(x),
    "sums": lambda x, w: torch.sum(x, dim=0) + torch.mean(w, dim=0),
    "matmul": lambda x, w: torch.matmul(x, w.T) + x.square() @ w.t(),
    "mul": lambda x, w: x.mul(w).add(1).sub(x).div(w).neg(),
}


@pytest.mark.parametrize("case", TENSORS)
def test_a_traced_function_gives_what_it_gives_on_tensors(case):
    function = TENSORS[case]
    tree = traced(function, {key: Traced(name(key)) for key in ARRAYS})
    expected = function(**{key: torch.tensor(x) for key, x in ARRAYS.items()})
    assert np.allclose(evaluate(tree, ARRAYS, {}).array, expected.numpy(), rtol=1e-12)


UNTRACEABLE = {
    "branches": lambda x: x if x.sum() > 0 else -x,
    "loops": lambda x: sum(row.sum() for row in x),
    "length": lambda x: x / len(x),
    "float": lambda x: float(x),
    "reshape": lambda x: x.reshape(-1),
    "slice": lambda x: x[1:],
    "array": lambda x: np.asarray(x),
    "in place": lambda x: np.add(x, 1, out=np.zeros(3)),
    "reduce": lambda x: np.add.reduce(x),
    "array constant": lambda x: x * np.ones(3),
}


@pytest.mark.parametrize("case", UNTRACEABLE)
def test_what_looks_at_values_says_so(case):
    with pytest.raises((Untraceable, TypeError)):
        traced(UNTRACEABLE[case], {"x": Traced(name("x"))})


def test_labels():
    tree = traced(
        lambda x, i, j: (i == j) - x[i] * x[j] + (i != j), {"x": Traced(name("x")), "i": Label("i"), "j": Label("j")}
    )
    found = evaluate(tree, {"x": np.array([1.0, 2.0])}, {"i": 2, "j": 2})
    expected = np.eye(2) - np.outer([1, 2], [1, 2]) + 1 - np.eye(2)
    assert np.allclose(found.over(("i", "j"), {"i": 2, "j": 2}), expected)


def loop(g, xhat):
    total = 0.0
    for i in range(len(g)):
        total += g[i] * xhat[i]
    return total


def branch(g, gamma, i):
    return gamma * g[i] if float(g[i]) > 0 else g[i] * gamma


def test_functions_that_cannot_be_traced_are_called():
    made = batchnorm_derivation()
    made.formula("loop", "df/dgamma", loop)
    made.formula("branch", "df/dxhat_i", branch)
    made.formula("wrong", "df/dgamma", lambda g, xhat: -loop(g, xhat))
    made.formula("mean", "df/dgamma", lambda g, xhat: loop(g, xhat) / len(g))
    made.formula("einsum", "df/dgamma", lambda g, xhat: np.einsum("i,i->", np.asarray(g), np.asarray(xhat)))
    found = made.check()
    assert found["loop"].right and found["branch"].right and found["einsum"].right
    assert not found["wrong"].right and found["wrong"].slip == "sign"
    assert found["wrong"].note, "it says why only the result as a whole was repaired"
    assert found["mean"].slip == "missing factor" and "m" in found["mean"].repair.words


def test_shapes_are_letters():
    made = batchnorm_derivation()
    made.formula("shape", "dmu/dx", lambda x: 1 / x.shape[0])
    made.formula("size", "dvar/dx", lambda x, mu: 2 / x.size(0) * (x - mu))
    made.formula("ones", "dmu/dx", lambda x: np.ones_like(x) / len(x))
    found = made.check()
    assert found.right, str(found)
    assert found["shape"].shown == "dmu/dx = 1/m"


def test_names_of_gradients_as_parameters():
    made = batchnorm_derivation()
    made.formula(
        "short", "df/dvar", lambda dxhat, x, mu, var, eps: -0.5 * (dxhat * (x - mu) * (var + eps) ** -1.5).sum()
    )
    made.formula("long", "df/dvar", lambda df_dxhat, dxhat_dvar: (df_dxhat * dxhat_dvar).sum())
    made.formula("output", "df/dxhat", lambda dy, gamma: gamma * dy)
    made.formula("default", "df/dxhat", lambda g, gamma, other=1.0: gamma * g * other)
    assert made.check().right


def test_formulas_of_matrices():
    made = softmax_derivation()
    made.formula("W", "dL/dW", lambda p, t, x, m: (p - t).T @ x / m)
    made.formula("W entries", "dL/dW_ij", lambda dz, x, i, j: (dz[:, i] * x[:, j]).sum())
    made.formula("b", "dL/db", lambda dz: dz.sum(dim=0))
    made.formula("x", "dL/dx", lambda dz, W: dz @ W)
    made.formula("z", "dL/dz", lambda p, t: (p - t) / p.shape[0])
    made.formula("transposed", "dL/dW", lambda p, t, x, m: x.T @ (p - t) / m)
    made.formula("order", "dL/dx", lambda dz, W: W @ dz)
    made.formula("axis", "dL/db", lambda dz: dz.sum(axis=1))
    found = made.check()
    wrong = {verdict.label for verdict in found if not verdict.right}
    assert wrong == {"order", "transposed", "axis"}, str(found)
    assert found["transposed"].slip == "wrong transpose"
    assert found["order"].slip == "order of product"
    assert found["axis"].slip == "wrong index"


def test_masks():
    made = activation_derivation()
    made.formula("product", "dr/dx", lambda x: 1.0 * (x > 0))
    made.formula("where", "dr/dx", lambda x: np.where(x > 0, 1, 0))
    made.formula(
        "tensor",
        "dL/dx",
        lambda dr, x, ds, s, dh, h, a: torch.where(x > 0, dr, 0 * dr) + ds * s * (1 - s) + dh * (1 - h**2) * a,
    )
    made.formula("relu", "dL/dr", lambda x, g, c: np.where(x > 0, x, 0))
    found = made.check()
    assert found["product"].right and found["where"].right and found["tensor"].right
    assert not found["relu"].right
