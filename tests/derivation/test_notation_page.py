"""The examples of docs/notation.md do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tinygrad_edu.derivation.expressions import FormulaError
from tinygrad_edu.derivation.latex import from_latex
from tinygrad_edu.derivation.notation import parse, parse_formula
from tinygrad_edu.derivation.statements import parse_target

PAGE = (Path(__file__).parents[2] / "docs" / "notation.md").read_text(encoding="utf-8")
NAMES = ["W_h", "a2", "x~", "xhat", "gamma", "var", "eps", "mu", "W3", *"abcfgmpxyzABW"]
INTRODUCTION, BINDING, LATEX = re.split(r"^Brackets|^## LaTeX", PAGE, flags=re.MULTILINE)
ROWS = {
    part: re.findall(r"^\| (`.*) \| (.*) \|$", text, re.MULTILINE)
    for part, text in {"introduction": INTRODUCTION, "binding": BINDING, "latex": LATEX}.items()
}


def test_the_page_has_its_tables() -> None:
    assert [len(rows) for rows in ROWS.values()] == [19, 11, 7]


EXAMPLES = [code for cell, _ in ROWS["introduction"] for code in re.findall(r"`([^`]+)`", cell.replace("\\|", "|"))]


@pytest.mark.parametrize("text", EXAMPLES)
def test_what_the_page_shows_is_read(text: str) -> None:
    if text in ("sum_{i=1}^m", "sum_{j != i}", "Σᵢ"):
        text += " x_i"
    elif text in ("√", "−"):
        text += "x"
    if text == "∂f/∂x_i":
        assert parse_target(text, NAMES).by_indices == ("i",)
    tree = parse_formula(text, known=NAMES, labels=("i", "c"))
    assert tree.source in text


@pytest.mark.parametrize(("text", "meant"), ROWS["binding"])
def test_what_binds_first(text: str, meant: str) -> None:
    text = text.strip("`")
    if meant.startswith("refused"):
        with pytest.raises(FormulaError):
            parse_formula(text, known=NAMES)
    else:
        for products in ("entries", "matrices"):
            kinds = {"products": products, "known": NAMES}
            assert parse_formula(text, **kinds) == parse_formula(meant.strip("`"), **kinds)  # type: ignore[arg-type]


def test_the_statements_in_the_text() -> None:
    for text in re.findall(r"`(?:[^`]*\")?(d[^`\"]* = [^`\"]*)[`\"]", PAGE):
        assert parse(text, known=[*NAMES, "m"]).left.of == "f"


@pytest.mark.parametrize(("latex", "text"), ROWS["latex"])
def test_latex(latex: str, text: str) -> None:
    pytest.importorskip("pylatexenc")
    assert from_latex(latex.strip("`"), NAMES) == text.strip("`")
