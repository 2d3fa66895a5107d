"""What formulas as text mean once shapes are known, and the names that pages and programs spell differently."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_edu.derivation import Derivation, FormulaError, check

SIZES = {"n": 3, "m": 2}


def bilinear(x, W, y):
    return {"s": x @ W @ y}


BILINEAR = {"inputs": {"x": ("n",), "W": ("n", "m"), "y": ("m",)}, "sizes": SIZES}


def rows(x, w):
    """The mean of each row, kept as (n, 1), and a weight (1, m)."""
    mu = x.mean(dim=1, keepdim=True)
    return {"mu": mu, "y": w * (x - mu)}


ROWS = {"inputs": {"x": ("n", "m"), "w": (1, "m")}, "sizes": SIZES, "loss": "L", "upstream": "g"}


# -- vectors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("products", ["entries", "matrices"])
@pytest.mark.parametrize(("formula", "right"), [("x y^T", True), ("outer(x, y)", True), ("x @ y^T", True)])
def test_a_vector_times_a_transposed_vector_is_a_matrix(products, formula, right):
    assert check(bilinear, {"ds/dW": formula}, products=products, **BILINEAR).right is right


def test_the_outer_product_of_the_wrong_vectors_is_wrong():
    found = check(bilinear, {"ds/dW": "y x^T"}, products="matrices", **BILINEAR)
    assert not found.right and "transposed" in found.first_wrong.words


def test_a_transposed_vector_times_a_vector_is_a_number():
    def unit(x):
        r = (x * x).sum().sqrt()
        return {"r": r, "u": x / r}

    options = {"inputs": {"x": ("n",)}, "sizes": {"n": 3}, "loss": "L", "upstream": "g"}
    for products in ("entries", "matrices"):
        assert check(unit, {"dL/dx": "(g - u (u^T g))/r"}, products=products, **options).right
    assert check(unit, {"dL/dx": "(g - u u^T g)/r"}, products="matrices", **options).right
    assert not check(unit, {"dL/dx": "(g - u * u^T * g)/r"}, products="entries", **options).right


def test_a_star_stays_entry_by_entry():
    found = check(lambda x: {"y": x * x}, {"dy/dx": "x * x^T / x + x"}, inputs={"x": ("n",)}, sizes={"n": 3})
    assert found.right


def test_a_row_of_ones_is_refused():
    made = Derivation("bilinear", bilinear, **BILINEAR)
    with pytest.raises(FormulaError, match="row of ones"):
        made.formula("a", "ds/dy = 1^T W")


# -- axes of one entry -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "formula", "right"),
    [
        ("dL/dx_ij", "dL/dy_ij w_j - 1/m sum_k dL/dy_ik w_k", True),
        ("dL/dw_j", "sum_i g_ij (x_ij - mu_i)", True),
        ("dL/dmu_i", "-sum_j g_ij w_j", True),
        ("dL/dmu_i", "-sum_j g_ij", False),
        ("dL/dmu_ij", "-sum_k g_ik w_jk", True),
        ("dmu_i/dx_kl", "1/m delta_ik", True),
    ],
)
def test_an_axis_that_always_has_one_entry_takes_no_index(left, formula, right):
    assert check(rows, {left: formula}, **ROWS).right is right


def test_a_size_that_happens_to_be_one_is_not_meant():
    def total(x):
        return {"y": (x * x).sum()}

    found = check(total, {"dy/dx_i": "2 x_i"}, inputs={"x": ("n", "k")}, sizes={"n": 3, "k": 1})
    assert found.right  # a row of x: its axis of length k stays


# -- names -----------------------------------------------------------------------------------------------------------


def test_dx_is_the_gradient_when_the_loss_has_no_name_but_its_own():
    def forward(logits, y):
        probs = logits.softmax(dim=1)
        return {"probs": probs, "loss": -(y * probs.log()).sum()}

    options = {"inputs": {"logits": ("n", "k"), "y": ("n", "k")}, "sizes": {"n": 3, "k": 4}}
    made = Derivation("makemore", forward, **options)
    made.formula("a", "dprobs = -y/probs")
    made.formula("b", "dlogits", lambda probs, dprobs: probs * (dprobs - (probs * dprobs).sum(1, keepdims=True)))
    made.formula("c", "dL/dlogits_ij = sum_k dprobs_ik dprobs_ik/dlogits_ij")
    made.formula("d", "dprobs = y/probs")
    found = made.check()
    assert [found[label].right for label in "abcd"] == [True, True, True, False]


def test_a_gradient_by_its_short_name_can_be_divided():
    def forward(x):
        std = (x * x).mean().sqrt()
        return {"std": std, "ivar": 1 / std}

    made = Derivation("std", forward, inputs={"x": ("n",)}, sizes={"n": 3}, loss="L", upstream="g")
    assert made.formula("a", "dstd = -divar/std^2").formula("b", "dx_i = x_i dstd/n/std").check().right


def test_the_derivative_of_out_by_x_when_the_gradient_at_out_is_called_dout():
    options = {"inputs": {"x": ("n",), "m": ("n",)}, "sizes": {"n": 3}, "upstream": "dout"}
    made = Derivation("mask", lambda x, m: {"out": x * m}, **options)
    made.formula("a", "dout_i/dx_i = m_i").formula("b", "dx_i = dout_i dout_i/dx_i").formula("c", "dx = dout * m")
    assert made.check().right


@pytest.mark.parametrize("text", ["dC/dW_2 = dC/dz_2 a_1", "dC/dW2 = dC/dz2 a1", "dC/dW_2 = lambda dC/dz_2 a_1/lam"])
@pytest.mark.parametrize("numbered", ["{}_{}", "{}{}"])
def test_w2_and_w_2_are_one_name_and_lambda_is_lam(text, numbered):
    a, w, z = (numbered.format(*pair) for pair in ("a1", "W2", "z2"))

    def forward(lam, **named):
        product = named[w] * named[a]
        return {z: product, "C": product**2}

    found = check(forward, {text.split(" = ")[0]: text.split(" = ")[1]}, inputs={a: (), w: ()}, constants={"lam": 0.5})
    assert found.right


def test_indices_after_a_number_in_one_subscript():
    options = {"inputs": {"a_1": ("n",)}, "sizes": {"n": 3}}
    assert check(lambda a_1: {"y": (a_1 * a_1).sum()}, {"dy/da_{1,i}": "2 a_{1,i}"}, **options).right


def test_entries_of_a_gradient_in_brackets():
    found = check(bilinear, {"[ds/dW]_{ij}": "x_i y_j"}, **BILINEAR)
    assert found.right


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("delta_2 = x", "delta_2 is no derivative"),
        ("ds/dx = delta_2 y", "write the derivative that it stands for"),
        ("ds/dx_i = sum_k W_ik y_{k+1}", "indices are not added"),
        ("ds/dx = I x", "its entries are delta_ij"),
        ("d s / d x = y", "as one word: ds"),
        ("ds/dx := y", "write ="),
    ],
)
def test_what_is_refused_says_what_to_write(text, words):
    with pytest.raises(FormulaError, match=words):
        Derivation("bilinear", bilinear, **BILINEAR).formula("a", text)


# -- LaTeX -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "latex",
    [
        r"\nabla_w L = 2 \lambda w",
        r"\frac{d L}{d w} = 2 \lambda w",
        r"\frac{\mathrm{d} L}{\mathrm{d} w} = \lambda w + \lambda |w| \operatorname{sgn}(w)",
    ],
)
def test_gradients_in_latex(latex):
    pytest.importorskip("pylatexenc")
    options = {"inputs": {"w": ("n",)}, "sizes": {"n": 3}, "constants": {"lam": 0.1}}
    made = Derivation("ridge", lambda w, *, lam: {"L": lam * (w * w).sum()}, **options)
    assert made.formula("a", latex=latex).check().right


def test_the_square_of_sigma_with_its_index_after_it():
    pytest.importorskip("pylatexenc")

    def forward(x):
        return {"var": (x * x).mean(dim=1, keepdim=True)}

    made = Derivation("var", forward, inputs={"x": ("n", "m")}, sizes=SIZES, loss="L", upstream="g")
    made.formula("a", latex=r"\frac{\partial L}{\partial \sigma^2_i} = g_i")
    assert made.formula("b", latex=r"\frac{\partial \sigma^2_i}{\partial x_{ij}} = \frac{2}{m} x_{ij}").check().right


def test_slopes_powers_and_the_exponential():
    def forward(x):
        return {"s": x.sigmoid(), "t": x.tanh(), "y": x.exp()}

    made = Derivation("slopes", forward, inputs={"x": ("n",)}, sizes={"n": 3}, loss="L", upstream="g")
    made.formula("a", "ds/dx = σ'(x)").formula("b", "dt/dx = tanh'(x)").formula("c", "dt/dx = 1 - tanh^2(x)")
    made.formula("d", "dy_i/dx_i = e^x_i").formula("e", "ds/dx = tanh'(x)")
    found = made.check()
    assert [found[label].right for label in "abcde"] == [True, True, True, True, False]
    x = np.linspace(-2, 2, 5)
    step = 1e-6
    assert np.allclose((np.tanh(x + step) - np.tanh(x - step)) / (2 * step), 1 - np.tanh(x) ** 2)


def test_slopes_in_latex():
    pytest.importorskip("pylatexenc")
    made = Derivation("tanh", lambda x: {"t": x.tanh()}, inputs={"x": ("n",)}, sizes={"n": 3}, loss="L", upstream="g")
    made.formula("a", latex=r"\frac{\partial L}{\partial x} = g \odot \tanh'(x)")
    made.formula("b", latex=r"\frac{\partial L}{\partial x} = g \odot (1 - \tanh^2(x))")
    assert made.check().right


# -- Python functions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "right"),
    [
        (lambda A, G: A.transpose(0, 2, 1) @ G, True),
        (lambda A, G: A.swapaxes(-1, -2) @ G, True),
        (lambda A, G: A.mT @ G, True),
        (lambda A, G: A.T @ G, False),
        (lambda A, G: A.transpose(0, 1) @ G, False),
    ],
)
def test_a_transpose_of_three_axes_is_not_that_of_the_last_two(function, right):
    options = {"inputs": {"A": ("b", "n", "m"), "V": ("b", "m", "e")}, "sizes": {"b": 2, "n": 3, "m": 4, "e": 2}}
    found = check(lambda A, V: {"O": A @ V}, {"dL/dV": function}, loss="L", upstream="G", **options)
    assert found.right is right


def test_one_number_for_an_elementwise_derivative():
    options = {"inputs": {"x": ("n",)}, "sizes": {"n": 3}}
    found = check(lambda x: {"y": 2 * x}, {"dy/dx": "2", "dy_i/dx_j": "2 delta_ij"}, **options)
    assert found.right
    assert not check(lambda x: {"y": 2 * x}, {"dy/dx": "3"}, **options).right
    assert not check(lambda x: {"y": 2 * x + x.sum()}, {"dy/dx": "3"}, **options).right
