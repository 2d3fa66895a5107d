"""Any text is read or refused with words; any tree comes back from its text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinygrad_edu.derivation.expressions import Expression, FormulaError, evaluate, number
from tinygrad_edu.derivation.notation import parse, parse_formula
from tinygrad_edu.derivation.text import text_of

E = Expression
KNOWN = ("x", "g", "xhat", "gamma", "m", "eps", "var", "W", "W2", "b_h", "x~", "y")
LABELS = ("i", "j", "k")
SIZE = 3
VALUES = {
    name: np.random.default_rng(k).choice([0.5, 0.75, 1.25, 1.5, 2.0], shape)
    for k, (name, shape) in enumerate(
        {
            **dict.fromkeys(("x", "g", "xhat", "b_h", "x~", "y"), (SIZE,)),
            **dict.fromkeys(("gamma", "m", "eps", "var"), ()),
            **dict.fromkeys(("W", "W2"), (SIZE, SIZE)),
            **dict.fromkeys(("df/dx", "df/dxhat"), (SIZE,)),
            "dxhat/dx": (SIZE, SIZE),
        }.items()
    )
}
RANGES = dict.fromkeys((*LABELS, "row", "col"), SIZE)


def leaves() -> st.SearchStrategy[Expression]:
    label = st.sampled_from((*LABELS, "row", "col"))
    vector = st.sampled_from(("x", "g", "xhat", "b_h", "x~", "df/dx", "df/dxhat"))
    matrix = st.sampled_from(("W", "W2", "dxhat/dx"))
    return st.one_of(
        st.sampled_from((0.0, 1.0, 2.0, 0.5, -3.0, 1e-5, 1e20, -0.0, 2.5e-7)).map(number),
        st.sampled_from(tuple(VALUES)).map(lambda name: E("name", (), name)),
        st.tuples(vector, label).map(lambda p: E("index", (E("name", (), p[0]),), (p[1],))),
        st.tuples(matrix, label, label).map(lambda p: E("index", (E("name", (), p[0]),), p[1:])),
        st.tuples(matrix, label).map(lambda p: E("index", (E("name", (), p[0]),), (p[1], 0))),
        st.just(E("index", (E("name", (), "x"),), (2,))),
        st.tuples(label, label).map(lambda p: E("delta", (), p)),
    )


def grown(part: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    two = st.tuples(part, part)
    reduce = st.one_of(
        st.sampled_from((("i",), ("i", "j"), ("row",), None, 0, -1, (0, True), (None, True))),
    )
    compare = st.tuples(two, st.sampled_from((">", ">=", "<", "<=", "=", "!="))).map(lambda p: E("compare", *p))
    return st.one_of(
        st.tuples(st.sampled_from(("add", "sub", "mul", "div", "pow", "matmul")), two).map(lambda p: E(*p)),
        st.tuples(st.sampled_from(("mul", "div", "sub", "neg")), two).map(
            lambda p: E(p[0], p[1][:1] if p[0] == "neg" else p[1])
        ),
        part.map(lambda x: E("neg", (x,))),
        part.map(lambda x: E("transpose", (x,))),
        st.tuples(st.sampled_from(("sum", "mean")), part, reduce).map(lambda p: E(p[0], (p[1],), p[2])),
        st.tuples(st.sampled_from(("sqrt", "exp", "sigmoid", "softmax")), part).map(lambda p: E("call", p[1:], p[0])),
        two.map(lambda p: E("call", p, "maximum")),
        compare,
        st.tuples(compare | part, part, part).map(lambda p: E("where", p)),
        st.tuples(part, st.sampled_from(LABELS)).map(lambda p: E("index", (p[0],), (p[1],))),
    )


trees = st.recursive(leaves(), grown, max_leaves=14)


def canonical(tree: Expression, products: str) -> Any:
    """The tree up to rewrites that keep its value: a + -b is a - b, -2 the negative of 2, a(bc) = (ab)c for entries."""
    args = tuple(canonical(arg, products) for arg in tree.args)
    data = tree.data
    if tree.op == "number":
        return ("neg", None, (("number", abs(data), ()),)) if np.signbit(data) else ("number", data, ())
    if tree.op == "add" and args[1][0] == "neg":
        return "sub", None, (args[0], args[1][2][0])
    if tree.op == "mul" and products == "entries":
        factors = tuple(f for arg in args for f in (arg[2] if arg[0] == "mul" else (arg,)))
        return "mul", None, factors
    if tree.op == "index" and args[0][0] == "index":  # x_i_j is x_ij
        return "index", args[0][1] + data, args[0][2]
    if tree.op == "where":
        condition = tree.args[0]
        if not (condition.op == "compare" or (condition.op == "delta" and len(set(condition.data)) == 2)):
            args = (("compare", "!=", (args[0], ("number", 0.0, ()))), *args[1:])
    return tree.op, data, args


@pytest.mark.parametrize("products", ["entries", "matrices"])
@pytest.mark.parametrize("unicode", [False, True])
@given(tree=trees)
@example(tree=E("mul", (E("sum", (E("name", (), "x"),)), E("name", (), "g"))))
@example(tree=E("mul", (number(2), E("compare", (E("name", (), "x"), number(0)), ">"))))
@example(tree=E("pow", (E("pow", (E("name", (), "x"), number(2))), E("name", (), "m"))))
@example(tree=E("pow", (E("neg", (E("name", (), "x"),)), number(2))))
@example(tree=E("sub", (E("name", (), "x"), E("neg", (E("neg", (E("name", (), "x"),)),)))))
@example(tree=E("div", (number(1), E("mul", (number(2), E("name", (), "m"))))))
@example(tree=E("div", (E("sum", (E("name", (), "x"),), ("i",)), E("sum", (E("name", (), "x"),), ("i",)))))
def test_a_tree_comes_back_from_its_text(tree: Expression, products: str, unicode: bool) -> None:
    try:
        text = text_of(tree, products, unicode=unicode)
    except FormulaError as error:
        assert "has no text" in str(error)
        return
    back = parse_formula(text, products=products, known=KNOWN, loss="f", labels=tuple(RANGES))
    assert canonical(back, products) == canonical(tree, products), text


@pytest.mark.parametrize("products", ["entries", "matrices"])
@given(tree=trees)
def test_the_text_has_the_values_of_the_tree(tree: Expression, products: str) -> None:
    labels = tuple(RANGES)
    try:
        text = text_of(tree, products)
        expected = evaluate(tree, VALUES, RANGES).over(labels, RANGES)
    except FormulaError:
        return
    back = evaluate(parse_formula(text, products=products, known=KNOWN, loss="f", labels=labels), VALUES, RANGES)
    sane = np.isfinite(expected) & (np.abs(expected) < 1e6)  # elsewhere the order of a product shows
    found = back.over(labels, RANGES)
    assert found.shape == expected.shape
    close = np.isclose(found, expected, rtol=1e-6, atol=1e-6) | ~sane
    assert close.mean() > 0.5 if "1[" in text or " if " in text else close.all(), text


SIGNS = [
    "x",
    "xhat_i",
    "W_ij",
    "df/dx_i",
    "sum_i",
    "sum",
    "mean",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "+",
    "-",
    "*",
    "/",
    "^",
]
SIGNS += [
    "T",
    "_",
    "=",
    ">",
    "1",
    "2.5",
    "i",
    "if",
    "else",
    "where",
    "and",
    ",",
    "sqrt",
    "delta_ij",
    "γ",
    "σ²",
    "√",
    "−",
]
SIGNS += [
    "~",
    "^T",
    "@",
    "·",
    "d",
    "∂",
    "1[",
    "axis",
    "x_",
    "x_{",
    "x_1",
    "'",
    "\\",
    "$",
    "é",
    "\n",
    "ᵢ",
    "²",
    "̂",
    "dx",
    "/dx",
]


@given(pieces=st.lists(st.sampled_from(SIGNS), max_size=12), glue=st.sampled_from(["", " "]), known=st.booleans())
@example(pieces=["df/dx_i", "=", "delta_ij"], glue=" ", known=True)
@example(pieces=["sum_{j=}", "x"], glue=" ", known=True)
@example(pieces=["sum_{ != i}", "x"], glue=" ", known=True)
def test_any_text_is_read_or_refused_with_words(pieces: list[str], glue: str, known: bool) -> None:
    text = glue.join(pieces)
    for read in (parse, parse_formula):
        for start in ("", "df/dx = "):
            try:
                read(start + text, known=KNOWN if known else None, loss="f" if known else None)
            except FormulaError as error:
                assert str(error)


@given(text=st.text(max_size=30))
def test_any_characters_are_read_or_refused_with_words(text: str) -> None:
    try:
        parse(text, known=KNOWN)
    except FormulaError as error:
        assert str(error)
    try:
        parse_formula(text)
    except FormulaError as error:
        assert str(error)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "x" + ")" * 5000,
        "(" * 100_000,
        "-" * 5000 + "x",
        "^".join("x" * 2000),
        " + ".join(["x"] * 3000),
        " ".join(["x"] * 3000),
        "sum_i " * 1500 + "x_i",
        "sqrt " * 1500 + "x",
        "sum(" * 1000 + "x" + ", axis=0)" * 1000,
        "x" + " if x > 0 else x" * 600,
        "x" + "^T" * 4000,
        "x" * 20_000,
    ],
    ids=lambda text: text[:12],
)
def test_long_and_deep_texts_are_refused_with_words(text: str) -> None:
    with pytest.raises(FormulaError, match=r"nested more than|inside one another|at most 10,000"):
        parse_formula(text, known=KNOWN)


def test_a_deep_tree_has_no_text() -> None:
    tree = E("name", (), "x")
    for _ in range(3000):
        tree = E("add", (tree, number(1)))
    with pytest.raises(FormulaError, match="inside one another"):
        text_of(tree)
