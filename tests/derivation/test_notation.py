"""What formulas in text mean: against loops written out, against fully bracketed forms, and what is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu.derivation.expressions import FormulaError, evaluate
from tinygrad_edu.derivation.notation import parse, parse_formula
from tinygrad_edu.derivation.statements import parse_target

M, B, C = 4, 3, 2
RNG = np.random.default_rng(7)
V: dict[str, Any] = {
    **{name: RNG.uniform(0.5, 2, M) for name in ("x", "g", "xhat", "df/dxhat", "s", "dL/dx", "x~", "t")},
    **{name: np.float64(RNG.uniform(0.5, 2)) for name in ("gamma", "mu", "var", "df/dvar")},
    **{"m": np.float64(M), "B": np.float64(B), "eps": np.float64(0.1), "W": RNG.uniform(-1, 1, (M, M))},
}
KNOWN = [name for name in V if "/" not in name] + ["f", "L", "softmax", "relu", "y", "beta"]


def value(text: str, values: Mapping[str, Any] = V, known: list[str] | None = None, **ranges: int) -> tuple[Any, Any]:
    statement = parse(text, known=KNOWN if known is None else known)
    sizes = dict.fromkeys("ijk", M) | ranges
    left = statement.left.indices
    return evaluate(statement.right, values, sizes).over(left, sizes), statement


def loop(shape: tuple[int, ...], entry: Callable[..., Any]) -> Any:
    out = np.empty(shape)
    for place in itertools.product(*map(range, shape)):
        out[place] = entry(*place)
    return out


def total(entry: Callable[[int], Any], size: int = M) -> Any:
    return sum(entry(i) for i in range(size))


x, g, xhat, s, W = (V[name] for name in ("x", "g", "xhat", "s", "W"))
mu, var, eps, gamma, dvar, dxhat = V["mu"], V["var"], V["eps"], V["gamma"], V["df/dvar"], V["df/dxhat"]

# the formulas of the reports, beside the loop that each stands for
REPORTS: dict[str, Any] = {
    "df/dgamma = sum_i g_i xhat_i": lambda: total(lambda i: g[i] * xhat[i]),
    "df/dxhat_i = g_i gamma": lambda: loop((M,), lambda i: g[i] * gamma),
    "df/dvar = -1/2 sum_i df/dxhat_i (x_i - mu) (var + eps)^(-3/2)": lambda: (
        -0.5 * total(lambda i: dxhat[i] * (x[i] - mu) * (var + eps) ** -1.5)
    ),
    "df/dmu = sum_i df/dxhat_i * (-1/sqrt(var + eps)) + df/dvar * (-2/m) sum_i (x_i - mu)": lambda: (
        total(lambda i: dxhat[i] * (-1 / math.sqrt(var + eps))) + dvar * (-2 / M) * total(lambda i: x[i] - mu)
    ),
    "dvar/dx_i = 2/m (x_i - mu)": lambda: loop((M,), lambda i: 2 / M * (x[i] - mu)),
    "df/dx_i = 1/sqrt(var + eps) * [ df/dxhat_i - 1/m sum_j df/dxhat_j - xhat_i/m sum_j xhat_j df/dxhat_j ]": lambda: (
        loop(
            (M,),
            lambda i: (
                (1 / math.sqrt(var + eps))
                * (dxhat[i] - total(lambda j: dxhat[j]) / M - xhat[i] / M * total(lambda j: xhat[j] * dxhat[j]))
            ),
        )
    ),
    "dL/dx_i = -t_i / x_i": lambda: loop((M,), lambda i: -V["t"][i] / x[i]),
    "dsoftmax_i/dx~_j = s_i (delta_ij - s_j)": lambda: loop((M, M), lambda i, j: s[i] * ((i == j) - s[j])),
    "drelu/dx~ = 1[x~ > 1]": lambda: (V["x~"] > 1) * 1.0,
    "dx~_i/dx_j = W_ij": lambda: W,
    "dx~_j/dW_ik = delta_ij x_k": lambda: loop((M, M, M), lambda j, i, k: (i == j) * x[k]),
    "dL/dx~ = dL/dx * s - s dL/dx": lambda: np.zeros(M),
    "df/dvar = sum_i g_i gamma (-1/2) (x_i - mu)/sqrt((var + eps)^3)": lambda: total(
        lambda i: g[i] * gamma * -0.5 * (x[i] - mu) / math.sqrt((var + eps) ** 3)
    ),
    "df/dmu = sum_i g_i gamma (-1)/sqrt(var + eps)"
    " + sum_i g_i gamma (-1/2) (x_i - mu)/sqrt((var + eps)^3) * (-2/m) sum_i (x_i - mu)": lambda: (
        total(lambda i: g[i] * gamma * -1 / math.sqrt(var + eps))
        + total(lambda i: g[i] * gamma * -0.5 * (x[i] - mu) / math.sqrt((var + eps) ** 3))
        * (-2 / M)
        * total(lambda i: x[i] - mu)
    ),
    "df/dx_i = g_i gamma ( -1/sqrt(var + eps) - 1/2 (var + eps)^(-3/2) (x_i - mu) "
    "( 2(x_i - mu)/m + sum_j[-2(x_j - mu)]/m * 1/m ) - 1/sqrt(var + eps) * 1/m )": lambda: loop(
        (M,),
        lambda i: (
            g[i]
            * gamma
            * (
                -1 / math.sqrt(var + eps)
                - 0.5
                * (var + eps) ** -1.5
                * (x[i] - mu)
                * (2 * (x[i] - mu) / M + total(lambda j: -2 * (x[j] - mu)) / M / M)
                - 1 / math.sqrt(var + eps) / M
            )
        ),
    ),
    "ds_i/dx_j = s_j (1 - s_i) if i = j else -s_j s_i": lambda: loop(
        (M, M), lambda i, j: s[j] * (1 - s[i]) if i == j else -s[j] * s[i]
    ),
    "df/dx = x where x > 1, else 0": lambda: np.where(x > 1, x, 0),
    "df/dvar = sum df/dxhat_i (x_i - mu) (-1/2) (var + eps)^(-2/3)": lambda: total(
        lambda i: dxhat[i] * (x[i] - mu) * -0.5 * (var + eps) ** (-2 / 3)
    ),
}


@pytest.mark.parametrize("text", REPORTS)
def test_the_formulas_of_the_reports_are_the_loops_they_stand_for(text: str) -> None:
    found, _ = value(text)
    np.testing.assert_allclose(found, REPORTS[text](), rtol=1e-12, atol=1e-14)


def test_features_and_samples() -> None:
    """x_i^s has the feature first and the sample second."""
    values: dict[str, Any] = {name: RNG.uniform(0.5, 2, (C, B)) for name in ("x", "xhat", "g")}
    values |= {name: RNG.uniform(0.5, 2, C) for name in ("mu", "var", "gamma")}
    values |= {"B": np.float64(B), "eps": np.float64(0.1)}
    known = [*values, "L"]
    sizes = {"i": C, "j": C, "s": B, "r": B}
    x, mu, var = values["x"], values["mu"], values["var"]
    found, statement = value(
        "dxhat_i^s/dx_j^r = delta_ij/sqrt(var_i + eps) (delta_rs - 1/B)"
        " - 1/B (x_i^s - mu_i)(x_i^r - mu_i) delta_ij (var_i + eps)^(-2/3)",
        values,
        known,
        **sizes,
    )
    assert (statement.left.of_indices, statement.left.by_indices) == (("i", "s"), ("j", "r"))
    expected = loop(
        (C, B, C, B),
        lambda i, s, j, r: (
            (i == j) / math.sqrt(var[i] + 0.1) * ((r == s) - 1 / B)
            - 1 / B * (x[i, s] - mu[i]) * (x[i, r] - mu[i]) * (i == j) * (var[i] + 0.1) ** (-2 / 3)
        ),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    g, xhat, gamma = values["g"], values["xhat"], values["gamma"]
    found, _ = value(
        "dL/dx_j^r = gamma_j/sqrt(var_j + eps) ( g_j^r - 1/B sum_s g_j^s - xhat_j^r/B sum_s xhat_j^s g_j^s )",
        values,
        known,
        **sizes,
    )
    expected = loop(
        (C, B),
        lambda j, r: (
            gamma[j]
            / math.sqrt(var[j] + 0.1)
            * (g[j, r] - total(lambda s: g[j, s], B) / B - xhat[j, r] / B * total(lambda s: xhat[j, s] * g[j, s], B))
        ),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_matrix_products_of_columns_summed_over_samples() -> None:
    shapes = {"W3": (2, 5), "p": (B, 2, 1), "y": (B, 2, 1), "a2": (B, 5, 1), "a1": (B, 4, 1)}
    values = {name: RNG.uniform(-1, 1, shape) for name, shape in shapes.items()}
    tree = parse_formula("sum_s (W3^T (p_s - y_s) * (1 - a2_s^2)) a1_s^T", products="matrices", known=shapes)
    expected = sum(
        ((values["W3"].T @ (values["p"][n] - values["y"][n])) * (1 - values["a2"][n] ** 2)) @ values["a1"][n].T
        for n in range(B)
    )
    np.testing.assert_allclose(evaluate(tree, values, {"s": B}).array, expected, rtol=1e-12)
    vectors = {"s": RNG.uniform(0, 1, 3), "dL/dx": RNG.uniform(0, 1, 3)}
    tree = parse_formula("dL/dx * s - s (s^T dL/dx)", products="matrices", known=["s", "x", "L"])
    u, d = vectors["s"], vectors["dL/dx"]
    np.testing.assert_allclose(evaluate(tree, vectors, {}).array, d * u - u * (u @ d), rtol=1e-12)


# -- any formula, its text and its loop written side by side ----------------------------------------------------------

Entry = Callable[[dict[str, int]], float]


@st.composite
def written(draw: Any, depth: int = 3, labels: tuple[str, ...] = ("i", "j")) -> tuple[str, Entry]:
    """sum = product {(+|-) product}, as a text and as a function of its indices."""
    text, entry = draw(products(depth, labels))
    for _ in range(draw(st.integers(0, 1))):
        sign = draw(st.sampled_from("+-"))
        more, other = draw(products(depth, labels))
        text = f"{text} {sign} {more}"
        entry = (lambda a, b, c: lambda at: a(at) + c * b(at))(entry, other, 1 if sign == "+" else -1)
    return text, entry


@st.composite
def products(draw: Any, depth: int, labels: tuple[str, ...]) -> tuple[str, Entry]:
    """["-"] chain {"*" chain} ["sum_k" product]."""
    text, entry = draw(chains(depth, labels))
    for _ in range(draw(st.integers(0, 1))):
        more, other = draw(chains(depth, labels))
        text, entry = f"{text} * {more}", (lambda a, b: lambda at: a(at) * b(at))(entry, other)
    if depth and draw(st.booleans()):
        label = draw(st.sampled_from("ijk"))  # one that is taken as well: the inner sum has its own
        more, other = draw(products(depth - 1, tuple({*labels, label})))
        text = f"{text} sum_{label} {more}"
        entry = (lambda a, b, k: lambda at: a(at) * sum(b({**at, k: n}) for n in range(M)))(entry, other, label)
    if draw(st.booleans()):
        text, entry = f"-{text}", (lambda a: lambda at: -a(at))(entry)
    return text, entry


@st.composite
def chains(draw: Any, depth: int, labels: tuple[str, ...]) -> tuple[str, Entry]:
    """Factors side by side or under a bar, from left to right."""
    text, entry = draw(atoms(depth, labels))
    for _ in range(draw(st.integers(0, 2))):
        more, other = draw(atoms(depth, labels))
        if draw(st.booleans()):
            text = f"{text}/(3 + {more}^2)"
            entry = (lambda a, b: lambda at: a(at) / (3 + b(at) ** 2))(entry, other)
        else:
            glue = " · " if text[-1].isdigit() and more[0].isdigit() else " "
            text, entry = f"{text}{glue}{more}", (lambda a, b: lambda at: a(at) * b(at))(entry, other)
    return text, entry


@st.composite
def atoms(draw: Any, depth: int, labels: tuple[str, ...]) -> tuple[str, Entry]:
    label = st.sampled_from(sorted(labels))
    kind = draw(
        st.sampled_from(("number", "name", "x", "W", "delta", *(("bracket", "call", "if", "1[") * (depth > 0))))
    )
    if kind == "number":
        n = draw(st.sampled_from((0.5, 2, 3)))
        return f"{n}", lambda at: n
    if kind == "name":
        name = draw(st.sampled_from(("gamma", "mu", "m")))
        return name, lambda at: float(V[name])
    if kind == "x":
        name, one = draw(st.sampled_from(("x", "g", "xhat", "df/dxhat"))), draw(label)
        return f"{name}_{one}", lambda at: V[name][at[one]]
    if kind in ("W", "delta"):
        one, two = draw(label), draw(label)
        if kind == "W":
            return f"W_{one}{two}", lambda at: W[at[one], at[two]]
        return f"delta_{one}{two}", lambda at: float(at[one] == at[two])
    text, entry = draw(written(depth - 1, labels))
    if kind == "bracket":
        opening, closing = draw(st.sampled_from(("()", "[]", "{}")))
        power = draw(st.sampled_from(("", "^2", "^T")))
        return f"{opening}{text}{closing}{power}", lambda at: entry(at) ** (2 if power == "^2" else 1)
    if kind == "call":
        return f"tanh({text})", lambda at: math.tanh(entry(at))
    more, other = draw(written(depth - 1, labels))
    if kind == "1[":
        return f"1[{text} > 0.3]", lambda at: float(entry(at) > 0.3)
    one, two = draw(label), draw(label)
    return f"({text} if {one} = {two} else {more})", lambda at: entry(at) if at[one] == at[two] else other(at)


@given(pair=written())
def test_any_formula_is_the_loop_it_stands_for(pair: tuple[str, Entry]) -> None:
    text, entry = pair
    tree = parse_formula(text, known=KNOWN, labels=("i", "j"))
    found = evaluate(tree, V, dict.fromkeys("ijk", M)).over(("i", "j"), dict.fromkeys("ij", M))
    expected = loop((M, M), lambda i, j: entry({"i": i, "j": j}))
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * scale, err_msg=text)


# -- how texts are read ----------------------------------------------------------------------------------------------

SAME = [
    ("entries", "1/m x", "(1/m) x"),
    ("entries", "x/m/gamma", "(x/m)/gamma"),
    ("entries", "x - g - y", "(x - g) - y"),
    ("entries", "-x^2", "-(x^2)"),
    ("entries", "x^2^m", "x^(2^(m))"),
    ("entries", "x**2", "x^2"),
    ("entries", "2x g", "(2 x) g"),
    ("entries", "sum_i x_i g_i + m", "(sum_i (x_i g_i)) + m"),
    ("entries", "x sum_i g_i/m * y_i - m", "(x (sum_i ((g_i/m) * y_i))) - m"),
    ("entries", "sqrt x y", "(sqrt(x)) y"),
    ("entries", "x log x", "x (log(x))"),
    ("entries", "x if x > 0 else g if g > 0 else 1", "x if x > 0 else (g if g > 0 else 1)"),
    ("entries", "1[0 < x < m]", "1[0 < x] * 1[x < m]"),
    ("entries", "x where x > 0, else 0", "x if x > 0 else 0"),
    ("entries", "sum_{i=1}^m x_i", "sum_i x_i"),
    ("entries", "sum_{i,j} W_ij", "sum_ij W_ij"),
    ("entries", "sum_{j != i} x_j", "sum_j (1 - delta_ji) x_j"),
    ("entries", "W_{ij} + x_{i}", "W_ij + x_i"),
    ("entries", "(W^T)_ij", "W^T_ij"),
    ("entries", "W.T @ x", "W^T @ x"),
    ("entries", "x_hat + xhat", "xhat + xhat"),
    ("entries", "sigma^2 + sigma_i^2", "var + var_i"),
    ("entries", "mu_B", "mu"),
    ("entries", "σ(x) σ²", "sigmoid(x) var"),
    ("entries", "γ x̂ᵢ + 2ε", "gamma xhat_i + 2 eps"),
    ("entries", "−∂f/∂x̂ᵢ (σ² + ε)^(−3/2)", "-df/dxhat_i (var + eps)^(-3/2)"),
    ("entries", "Σᵢ √(x_i)²", "sum_i sqrt(x_i)^2"),
    ("entries", "γx", "gamma x"),
    ("entries", "xᵀ W⁻¹", "x^T W^(-1)"),
    ("entries", "max(x, 0)", "maximum(x, 0)"),
    ("entries", "{x - [g - (y)]}", "(x - (g - y))"),
    ("matrices", "W x * y", "(W x) * y"),
    ("matrices", "y * W x", "y * (W x)"),
    ("matrices", "W @ x y", "(W @ x) y"),
    ("matrices", "W · x", "W x"),
    ("matrices", "W/m x", "(W/m) x"),
]  # fmt: skip


@pytest.mark.parametrize(("products", "text", "meant"), SAME)
def test_precedence_and_other_spellings(products: str, text: str, meant: str) -> None:
    known = [*KNOWN, "f"]
    assert parse_formula(text, products=products, known=known) == parse_formula(meant, products=products, known=known)


def test_known_names_win_over_indices() -> None:
    known = ["W_h", "W", "b_h", "b", "a2", "L"]
    assert parse_formula("W_h", known=known).data == "W_h"
    assert parse_formula("W_h_ij", known=known).data == ("i", "j")
    assert parse_formula("W_hi", known=known).data == ("h", "i")
    assert parse_formula("a2_s", known=known).args[0].data == "a2"
    assert parse_target("dL/dW_h_ij", known).by == "W_h"
    assert parse_formula("delta_ij", known=["delta_ij"]).op == "name"


def test_targets() -> None:
    known = ["x", "xhat", "x~", "W", "f"]
    target = parse_target("dxhat_i^s/dx_j^r", known)
    assert (target.of, target.of_indices, target.by, target.by_indices) == ("xhat", ("i", "s"), "x", ("j", "r"))
    assert target.name == "dxhat/dx"
    assert parse_target("dx~_j/dW_ik", known).name == "dx~/dW"
    assert parse_target("dx", known, loss="l") == parse_target("dx", known, loss="l")
    assert parse_target("dx_i", known, loss="l").name == "dl/dx"
    assert parse_target("∂f/∂x̂_i", known).by == "xhat"
    left = parse("d(1/sqrt(x_i + W_ii))/dx_j = delta_ij", known=known).left
    assert left.expression == parse_formula("1/sqrt(x_i + W_ii)", known=known)
    assert (left.of_indices, left.by_indices) == (("i",), ("j",))


def test_integers_in_brackets_are_entries() -> None:
    tree = parse_formula("x[0] + W[i, -1]", known=KNOWN)
    found = evaluate(tree, V, {"i": M})
    np.testing.assert_array_equal(found.array, x[0] + W[:, -1])
    assert parse_formula("x [m]", known=KNOWN).op == "mul"


def test_sums_over_axes() -> None:
    values = {"W": W}
    for text, expected in {
        "sum W": W.sum(),
        "1 + sum(W * W) + 1": (W * W).sum() + 2,
        "(sum(W)) W": W.sum() * W,
        "sum (W - 1) W": ((W - 1) * W).sum(),
        "Σ(W - 1)^2 W": ((W - 1) ** 2 * W).sum(),
        "sum(W, axis=0)": W.sum(0),
        "mean(W, axis=-1, keep)": W.mean(-1, keepdims=True),
        "sum(W, axis=all) W": W.sum() * W,
    }.items():
        np.testing.assert_allclose(evaluate(parse_formula(text, known=["W"]), values, {}).array, expected)


def test_the_limits_of_a_sum_are_noted() -> None:
    assert parse("df/dgamma = sum_{i=1}^m g_i", known=KNOWN).limits == (("i", "m"),)
    assert parse("df/dgamma = sum_{i=0}^{m-1} g_i", known=KNOWN).limits == (("i", "m"),)


REFUSED = {
    "df/dx_i = g_i gama": ("did you mean gamma", "gama"),
    "df/dx_i = g_i xgamma": ("did you mean x gamma", "xgamma"),
    "df/dx_i = df/dxht_i": ("did you mean xhat", "dxht_i"),
    "df/dxht_i = g_i": ("did you mean xhat", "dxht_i"),
    "df/dx_1 = 0": ("from 1", "dx_1"),
    "df/dx_i = g_1": (r"The first entry is g\[0\]", "g_1"),
    "df/dx_i = (x_i": (r"\) is missing", " "),
    "df/dx_i = x_i) + 1": ("not expected", ")"),
    "df/dx_i = x_i = g_i": ("a second =", "="),
    "df/dx_i = 2 3": ("two numbers", "3"),
    "df/dx_i = var^-3/2": (r"write \^\(-3/2\)", "^"),
    "df/dx_i = 1/2m": (r"/\(2m\)", "2"),
    "df/dx_i = 1/sum_j x_j y_j": ("under the fraction bar", "sum_j"),
    "df/dx_i = sum_{j=1}^{m-1} g_j": ("the whole index", "{"),
    "df/dx_i = sum_{j=2}^m g_j": ("the whole index", "m"),
    "df/dx_i = sum_{j<i} g_j": ("a part of the indices", "sum_{j<i}"),
    "df/dx_i = i g_i": ("has no value", "i"),
    "df/dx_i = x_i if x_i > 0": ("and else", " "),
    "df/dx = sum(g) * x": (r"Write \(sum\(\.\.\.\)\) or", "*"),
    "df/dx = mean(g) x": (r"Write \(mean\(\.\.\.\)\) or", "x"),
    "df/dx_i = sqrt(x_i, 2)": ("takes 1 argument, not 2", "sqrt"),
    "df/dx_i = x_i +": ("a factor is missing", " "),
    "df/dx_i = ": ("empty", " "),
    "df/dx_i": ("needs a left side", "df/dx_i"),
    "g_i = 3": ("must be a derivative", "g_i"),
    "df/dx_i dx = 3": ("one derivative", "dx"),
    "df/dx = ||x||": (r"write abs\(x\)", "|"),
    r"\frac{1}{2} = x": ("latex=", "\\"),
    "df/dx = W'": ("transpose", "'"),
    "df/dx_i = delta_i": ("two indices", "delta_i"),
    "df/dx = import os": ("unknown name 'import'", "import"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_unclear_is_refused_with_its_place(text: str) -> None:
    words, place = REFUSED[text]
    with pytest.raises(FormulaError, match=words) as caught:
        parse(text, known=KNOWN, loss="f")
    *_, shown, carets = str(caught.value).splitlines()
    start = carets.index("^")
    assert shown[start : start + carets.count("^")].ljust(1) == place


def test_products_must_be_one_of_two() -> None:
    with pytest.raises(ValueError, match="'entries' or 'matrices'"):
        parse_formula("x", products="both")
