r"""Formulas in LaTeX are the formulas in text that they stand for."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinygrad_edu.derivation.expressions import Expression, FormulaError
from tinygrad_edu.derivation.latex import from_latex, parse_latex
from tinygrad_edu.derivation.notation import parse

pytest.importorskip("pylatexenc", reason="LaTeX is read with pylatexenc, which is not installed")

KNOWN = [
    *("x", "gamma", "beta", "mu", "var", "xhat", "y", "m", "eps", "g", "B", "t", "s", "softmax", "relu", "x~", "X"),
    *("W", "b", "b1", "p", "o", "a1", "a2", "W1", "W2", "W3", "L", "f", "F", "l"),
]

# LaTeX, the same in text
REPORTS = [
    # 000
    (r"\frac{\partial f}{\partial \gamma} = \sum_{i=1}^m g_i \hat{x}_i", "df/dgamma = sum_i g_i xhat_i"),
    (r"\frac{\partial f}{\partial \beta} = \sum_i g_i", "df/dbeta = sum_i g_i"),
    (r"\frac{\partial f}{\partial \hat{x}_i} = g_i \cdot \gamma", "df/dxhat_i = g_i gamma"),
    (r"\frac{\partial f}{\partial \sigma_B^2} = g_i\gamma", "df/dvar = g_i gamma"),
    (
        r"\frac{\partial f}{\partial \sigma^2} = -\frac{1}{2} \sum_{i=1}^{m} \frac{\partial f}{\partial \hat{x}_i}"
        r" (x_i - \mu) (\sigma^2 + \epsilon)^{-3/2}",
        "df/dvar = -1/2 sum_i df/dxhat_i (x_i - mu) (var + eps)^(-3/2)",
    ),
    (
        r"\frac{\partial f}{\partial \mu} = \sum_{i=1}^{m} \frac{\partial f}{\partial \hat{x}_i} * \left("
        r"-\frac{1}{\sqrt{\sigma_B^2 + \epsilon}}\right) + \frac{\partial f}{\partial\sigma_B^2} *"
        r" \left(-\frac{2}{m}\right) \sum_i (x_i - \mu_B)",
        "df/dmu = sum_i df/dxhat_i * (-1/sqrt(var + eps)) + df/dvar * (-2/m) sum_i (x_i - mu)",
    ),
    (r"\frac{\partial \sigma^2}{\partial x_i} = \frac{2}{m} (x_i - \mu)", "dvar/dx_i = 2/m (x_i - mu)"),
    (r"\frac{\partial \mu}{\partial x_i} = \frac{1}{\sqrt{\sigma^2 + \varepsilon}}", "dmu/dx_i = 1/sqrt(var + eps)"),
    (r"\frac{\partial\mu}{\partial x_i} = \frac1m", "dmu/dx_i = 1/m"),
    (
        r"\frac{\partial f}{\partial x_i} = \frac{1}{\sqrt{\sigma^2 + \epsilon}} * \left[ \frac{\partial f}{\partial "
        r"\hat x_i} - \frac{1}{m} \sum_{j=1}^m \frac{\partial f}{\partial \hat x_j} - \frac{\hat{x}_i}{m} \sum_{j=1}^m"
        r" \hat{x}_j \frac{\partial f}{\partial \hat{x}_j} \right]",
        "df/dx_i = 1/sqrt(var + eps) * [df/dxhat_i - 1/m sum_j df/dxhat_j - xhat_i/m sum_j xhat_j df/dxhat_j]",
    ),
    # 001
    (r"\frac{\partial L}{\partial x_i} = -\frac{t_i}{x_i}", "dL/dx_i = -t_i / x_i"),
    (
        r"\frac{\partial\,\mathrm{softmax}_i}{\partial \tilde{x}_j} = s_i (\delta_{ij} - s_j)",
        "dsoftmax_i/dx~_j = s_i (delta_ij - s_j)",
    ),
    (r"\frac{\partial \operatorname{relu}}{\partial \tilde x} = \mathbf{1}[\tilde{x} > 0]", "drelu/dx~ = 1[x~ > 0]"),
    (r"\frac{\partial \tilde{x}_i}{\partial x_j} = W_{ij}", "dx~_i/dx_j = W_ij"),
    (r"\frac{\partial \tilde{x}_j}{\partial W_{ik}} = \delta_{ij} x_k", "dx~_j/dW_ik = delta_ij x_k"),
    (r"\frac{\partial \widetilde{x}_j}{\partial b_i} = \delta_{ij}", "dx~_j/db_i = delta_ij"),
    (
        r"\frac{\partial L}{\partial \tilde{x}} = \frac{\partial L}{\partial x} \odot s"
        r" - s \left(s^{\top} \frac{\partial L}{\partial x}\right)",
        "dL/dx~ = dL/dx * s - s (s^T dL/dx)",
    ),
    (
        r"\frac{\partial L}{\partial\tilde{x}} = \frac{\partial L}{\partial x} \circ \mathbb{1}_{\tilde{x} > 0}",
        "dL/dx~ = dL/dx * 1[x~ > 0]",
    ),
    (r"\frac{\partial L}{\partial x} = W^T \frac{\partial L}{\partial \tilde{x}}", "dL/dx = W^T dL/dx~"),
    (r"\frac{\partial L}{\partial W} = \frac{\partial L}{\partial \tilde{x}} x^{\mathsf{T}}", "dL/dW = dL/dx~ x^T"),
    (r"\frac{\partial L}{\partial b} = \frac{\partial L}{\partial \tilde{x}}", "dL/db = dL/dx~"),
    (r"\frac{\partial L}{\partial \gamma_j} = \sum_s g_j^s \hat{x}_j^s", "dL/dgamma_j = sum_s g_j^s xhat_j^s"),
    (r"\frac{\partial L}{\partial \beta_j} = \sum_{s=1}^{B} g_j^{(s)}", "dL/dbeta_j = sum_s g_j^s"),
    (r"\frac{\partial \mu_i}{\partial x_j^r} = \frac{\delta_{ij}}{B}", "dmu_i/dx_j^r = delta_ij / B"),
    (
        r"\frac{\partial \sigma_i^2}{\partial x_j^r} = \frac{2}{B} \sum_s (x_i^s - \mu_i)"
        r"\left(\delta_{ij}\delta_{rs} - \frac{\delta_{ij}}{B}\right)",
        "dvar_i/dx_j^r = 2/B sum_s (x_i^s - mu_i)(delta_ij delta_rs - delta_ij/B)",
    ),
    (
        r"\frac{\partial \frac{1}{\sqrt{\sigma_i^2 + \epsilon}}}{\partial x_j^r} ="
        r" -\frac{(\sigma_i^2 + \epsilon)^{-2/3}}{B} (x_i^r - \mu_i) \delta_{ij}",
        "d(1/sqrt(var_i + eps))/dx_j^r = -(var_i + eps)^(-2/3)/B (x_i^r - mu_i) delta_ij",
    ),
    (
        r"\frac{\partial \hat{x}_i^s}{\partial x_j^r} = \frac{\delta_{ij}}{\sqrt{\sigma_i^2 + \epsilon}} \left("
        r"\delta_{rs} - \frac{1}{B}\right) - \frac{1}{B} (x_i^s - \mu_i)(x_i^r - \mu_i)\, \delta_{ij}\,"
        r" (\sigma_i^2 + \epsilon)^{-\frac{2}{3}}",
        "dxhat_i^s/dx_j^r = delta_ij/sqrt(var_i + eps) (delta_rs - 1/B)"
        " - 1/B (x_i^s - mu_i)(x_i^r - mu_i) delta_ij (var_i + eps)^(-(2/3))",
    ),
    (
        r"\frac{\partial L}{\partial x_j^r} = \frac{\gamma_j}{\sqrt{\sigma_j^2 + \epsilon}} \Bigl( g_j^r - \frac1B"
        r" \sum_s g_j^s - \frac{\hat{x}_j^r}{B} \sum_s \hat{x}_j^s g_j^s \Bigr)",
        "dL/dx_j^r = gamma_j/sqrt(var_j + eps) ( g_j^r - 1/B sum_s g_j^s - xhat_j^r/B sum_s xhat_j^s g_j^s )",
    ),
    # 002
    (
        r"\frac{\partial f}{\partial \sigma^2} = \sum_i g_i \gamma \left(-\frac12\right)"
        r" \frac{x_i - \mu}{\sqrt{(\sigma^2 + \epsilon)^3}}",
        "df/dvar = sum_i g_i gamma (-1/2) ((x_i - mu)/sqrt((var + eps)^3))",
    ),
    (
        r"\frac{\partial f}{\partial \mu} = \sum_i g_i \gamma \frac{-1}{\sqrt{\sigma^2 + \epsilon}} + \sum_i g_i \gamma"
        r" (-\tfrac{1}{2}) (x_i - \mu)/\sqrt{(\sigma^2 + \epsilon)^3} * (-\dfrac{2}{m}) \sum_i (x_i - \mu)",
        "df/dmu = sum_i g_i gamma ((-1)/sqrt(var + eps))"
        " + sum_i g_i gamma (-1/2) (x_i - mu)/sqrt((var + eps)^3) * (-2/m) sum_i (x_i - mu)",
    ),
    # 003
    (r"\frac{dl}{dx} = w \frac{dl}{dy}".replace("w", "W"), "dl/dx = W dl/dy"),
    (
        r"\frac{\partial l}{\partial x} = \begin{cases} g & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}",
        "dl/dx = g where x > 0, else 0",
    ),
    (
        r"\frac{\partial l}{\partial x_i} = g_i \gamma \left( -\frac{1}{\sqrt{\sigma^2 + \epsilon}} - \frac{1}{2}"
        r" (\sigma^2 + \epsilon)^{-\frac32} (x_i - \mu) \left( \frac{2(x_i - \mu)}{m} +"
        r" \frac{\sum_j [-2(x_j - \mu)]}{m} * \frac{1}{m} \right)"
        r" - \frac{1}{\sqrt{\sigma^2 + \epsilon}} * \frac{1}{m} \right)",
        "dl/dx_i = g_i gamma ( -1/sqrt(var + eps) - 1/2 (var + eps)^(-(3/2)) (x_i - mu) ( 2(x_i - mu)/m"
        " + (sum_j[-2(x_j - mu)])/m * (1/m) ) - 1/sqrt(var + eps) * (1/m) )",
    ),
    # 004
    (
        r"\frac{\partial p_c}{\partial o_i} = \begin{cases} p_c (1 - p_i) & i = c \\ -p_c\, p_i & i \neq c \end{cases}",
        "dp_c/do_i = p_c (1 - p_i) if i = c else -p_c p_i",
    ),
    (r"\partial L / \partial o_i = p_i - y_i", "dL/do_i = p_i - y_i"),
    (
        r"\frac{\partial L}{\partial W_2} = W_3^T \sum_s (p_s - y_s) (1 - a_{2,s}^2) a_{1,s}^T",
        "dL/dW2 = W3^T sum_s (p_s - y_s) (1 - a2_s^2) a1_s^T",
    ),
    (
        r"\frac{\partial L}{\partial W_1} = W_2^T W_3^T \sum_s (p_s - y_s)(1 - {a_2}_s^2) {a_1}_s (1 - {a_1}_s) X_s^T",
        "dL/dW1 = W2^T W3^T sum_s (p_s - y_s) (1 - a2_s^2) a1_s (1 - a1_s) X_s^T",
    ),
    (
        r"\frac{\partial F}{\partial \sigma^2} = \sum \frac{\partial F}{\partial \hat{x}_i} (x_i - \mu)"
        r" (-\frac{1}{2}) (\sigma^2 + \epsilon)^{-2/3}",
        "dF/dvar = sum dF/dxhat_i (x_i - mu) (-1/2) (var + eps)^(-2/3)",
    ),
    (
        r"\frac{\partial F}{\partial x_i} = \frac{\partial F}{\partial \hat{x}_i} / \sqrt{\sigma^2 + \epsilon}"
        r" + \frac{\partial F}{\partial \sigma^2} 2(x_i - \mu)/m + \frac{\partial F}{\partial \mu} 1/m",
        "dF/dx_i = dF/dxhat_i /sqrt(var + eps) + dF/dvar 2(x_i - mu)/m + dF/dmu 1/m",
    ),
]


def flat(tree: Expression) -> Any:
    """The tree with -(a b) as (-a) b and a (b c) as (a b) c: LaTeX's groups bracket what text leaves open.

    Every factor comes with the operation that joins it to the one before.
    """
    if tree.op == "neg":
        negative, factors = _factors(flat(tree.args[0]))
        return "product", not negative, factors
    if tree.op in ("mul", "matmul", "div"):
        (negative, left), (other, right) = (_factors(flat(arg)) for arg in tree.args)
        if tree.op == "div":
            right = (("", ("product", False, right)),)
        elif left == (("", ("number", 1.0, ())),):  # 1 a
            return "product", negative != other, right
        return "product", negative != other, (*left, (tree.op, right[0][1]), *right[1:])
    return tree.op, tree.data, tuple(flat(arg) for arg in tree.args)


def _factors(part: Any) -> tuple[bool, Any]:
    """Whether it is negative, and its factors."""
    return (part[1], part[2]) if part[0] == "product" else (False, (("", part),))


@pytest.mark.parametrize("products", ["entries", "matrices"])
@pytest.mark.parametrize(("latex", "text"), REPORTS, ids=[text for _, text in REPORTS])
def test_the_formulas_of_the_reports(latex: str, text: str, products: str) -> None:
    found = parse_latex(latex, products=products, known=KNOWN)
    expected = parse(text, products=products, known=KNOWN)
    for one, other in ((found.left, expected.left),):
        assert (one.of_indices, one.by, one.by_indices) == (other.of_indices, other.by, other.by_indices)
        assert one.of == other.of or one.expression == other.expression
    assert flat(found.right) == flat(expected.right)


SAME = [
    (r"$$x_i$$", "x_i"),
    (r"\[ x_i. \]", "x_i"),
    (r"\begin{equation} x_i \end{equation}", "x_i"),
    (r"\begin{align*} g &= x_i \end{align*}", "g = x_i"),
    (r"\hat x", "xhat"),
    (r"\bar{x}", "xbar"),
    (r"\mathbf{W}\mathbf{x}", "W x"),
    (r"\boldsymbol{\gamma}", "gamma"),
    (r"mx", "m x"),
    (r"W_3", "W3"),
    (r"a^{(2)}_s", "a2_s"),
    (r"e^{x_i}", "exp(x_i)"),
    (r"\exp\left(x_i\right)", "exp (x_i)"),
    (r"\sqrt[3]{x}", "(x)^(1/(3))"),
    (r"\log x", "log x"),
    (r"\log\frac{x}{y}", "log (x/y)"),
    (r"x/\frac{1}{m}", "x/(1/m)"),
    (r"\frac{1}{m}^2", "(1/m)^2"),
    (r"\frac{x + y}{2m}", "(x + y)/(2m)"),
    (r"\frac{\sum_i x_i}{m}", "(sum_i x_i)/m"),
    (r"\sigma(x)", "sigma(x)"),
    (r"\max(0, x)", "max (0, x)"),
    (r"\sum_{j \neq i} x_j", "sum_{j!=i} x_j"),
    (r"\sum_{s \in \mathcal{B}} x_s", "sum_s x_s"),
    (r"\sum\limits_{i=1}^{m} x_i", "sum_{i=1}^m x_i"),
    (r"\mathbf{1}_{\{x > 0\}}", "1[x > 0]"),
    (r"x \ge 0", "x >= 0"),
    (r"\{x\}", "{x}"),
]


@pytest.mark.parametrize(("latex", "text"), SAME, ids=[latex for latex, _ in SAME])
def test_other_spellings(latex: str, text: str) -> None:
    assert from_latex(latex, KNOWN) == text


REFUSED = {
    r"x = \foo": (r"\\foo has no counterpart", r"\foo"),
    r"\frac{1}{2": ("not LaTeX", ""),
    r"\frac{\partial^2 f}{\partial x^2} = 1": ("second derivatives", "^"),
    r"x & y": ("& is read in cases", "&"),
    r"x'": ("a prime", "'"),
    r"a \\ b": ("one formula at a time", "\\"),
    r"\begin{matrix} a \end{matrix}": ("matrix is not read", r"\begin"),
    r"\begin{cases} a & x > 0 \\ b & y > 0 \end{cases}": ("the opposite", r"\begin"),
    r"\max_j x_j": ("over an index", r"\max"),
    r"x!": ("has no meaning", "!"),
    r"_i": ("nothing stands before", "_"),
    r"x_": ("nothing stands after", "_"),
}


@pytest.mark.parametrize("latex", REFUSED)
def test_what_has_no_counterpart_is_refused_with_its_place(latex: str) -> None:
    words, place = REFUSED[latex]
    with pytest.raises(FormulaError, match=words) as caught:
        from_latex(latex, KNOWN)
    *_, shown, carets = str(caught.value).splitlines()
    assert shown[carets.index("^") :].startswith(place)


def test_an_error_in_the_formula_shows_the_latex_too() -> None:
    with pytest.raises(FormulaError, match=r"unknown name 'q'(.|\n)*read from the LaTeX"):
        parse_latex(r"\frac{\partial f}{\partial x_i} = \sqrt{q}", known=KNOWN)


PIECES = [
    r"\frac",
    r"\frac{1}{2}",
    r"\partial",
    "f",
    "x_i",
    "{",
    "}",
    "(",
    ")",
    r"\left",
    r"\right",
    ".",
    "[",
    "]",
    "^",
    "_",
]
PIECES += [
    r"\sum",
    r"\hat",
    r"\hat{x}",
    r"\sqrt",
    "T",
    "&",
    r"\\",
    r"\begin{cases}",
    r"\end{cases}",
    "$",
    "%",
    "2",
    "d",
]
PIECES += [
    r"\mathbf",
    r"\text{if}",
    "=",
    "-",
    r"\gamma",
    r"\delta_{ij}",
    " ",
    "~",
    "'",
    "é",
    r"\mathrm{d}",
    r"\tilde",
    "\n",
]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=10), known=st.booleans())
@example(pieces=[r"\frac{\partial}{\partial}"], known=True)
@example(pieces=[r"\hat", "{", "}"], known=True)
@example(pieces=[r"\sqrt", "[", "2", "]"], known=True)
def test_any_latex_is_read_or_refused_with_words(pieces: list[str], known: bool) -> None:
    for text in ("".join(pieces), r"\frac{\partial f}{\partial x} = " + "".join(pieces)):
        try:
            parse_latex(text, known=KNOWN if known else None)
        except FormulaError as error:
            assert str(error)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 5000,
        r"\sqrt{" * 3000 + "}" * 3000,
        r"\left(" * 3000,
        r"\sqrt" * 2000 + "x",
        r"\begin{cases}" * 500,
        "^" * 5000,
    ],
    ids=lambda text: text[:8],
)
def test_long_and_deep_latex_is_refused_with_words(text: str) -> None:
    with pytest.raises(FormulaError):
        from_latex(text)


def test_without_pylatexenc_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    true_import = builtins.__import__

    def no_pylatexenc(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pylatexenc"):
            raise ImportError(name)
        return true_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_pylatexenc)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad_edu\[latex\]'"):
        from_latex("x")
