"""LaTeX as a flat row of items: characters, macros with their arguments, groups.  pylatexenc does the reading."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinygrad_edu.derivation.expressions import FormulaError
from tinygrad_edu.derivation.tokens import GREEK, LONGEST, problem

_NESTED = 40

__all__ = [
    *("DISPLAYS", "FONTS", "FRACTIONS", "MARKS", "NOTHING", "SIGNS", "SIZES", "SYMBOLS", "WORDS"),
    *("Item", "cases_of", "is_sum", "items_of", "nodes_of", "opposite", "rows_of", "tidy"),
]

SIGNS = {
    **dict.fromkeys(("cdot", "times"), " · "),
    **dict.fromkeys(("odot", "circ", "ast"), " * "),
    **dict.fromkeys(("le", "leq", "leqslant"), " <= "),
    **dict.fromkeys(("ge", "geq", "geqslant"), " >= "),
    **dict.fromkeys(("ne", "neq"), " != "),
    **{"lt": " < ", "gt": " > ", "div": "/", "lbrace": "{", "rbrace": "}", "{": "{", "}": "}"},
    **dict.fromkeys(("lbrack", "lgroup"), "["),
    **dict.fromkeys(("rbrack", "rgroup"), "]"),
}
NOTHING = {"limits", "nolimits", "displaystyle", "textstyle", "nonumber", "notag", "mathstrut", "strut"}
NOTHING |= {",", ";", ":", "!", " ", ">", "quad", "qquad", "thinspace", "enspace", "space", "hspace", "label"}
SIZES = {"left", "right", "middle", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr"}
SIZES |= {"Biggl", "Biggr"}
FONTS = {
    "mathbf",
    "boldsymbol",
    "bm",
    "vec",
    "mathit",
    "mathsf",
    "mathcal",
    "mathbb",
    "mathds",
    "mathfrak",
    "underline",
}
WORDS = {"mathrm", "text", "textrm", "textit", "textbf", "operatorname", "mbox", "mathop", "textnormal", "mathtt"}
FRACTIONS = {"frac", "dfrac", "tfrac", "cfrac"}
MARKS = {"hat": "hat", "widehat": "hat", "tilde": "~", "widetilde": "~", "bar": "bar", "overline": "bar"}
SYMBOLS = {word: word for word in GREEK.values()} | {
    "epsilon": "eps",
    "varepsilon": "eps",
    "varphi": "phi",
    "vartheta": "theta",
    "varrho": "rho",
    "ell": "l",
}
DISPLAYS = {"equation", "equation*", "displaymath", "math", "align", "align*", "aligned", "split", "gather", "gather*"}
OPPOSITE = {"=": "!=", "!=": "=", ">": "<=", "<=": ">", "<": ">=", ">=": "<"}


def nodes_of(text: str) -> Sequence[Any]:
    """pylatexenc's nodes of a text in math mode."""
    try:
        from pylatexenc.latexwalker import LatexWalker, LatexWalkerParseError
    except ImportError:
        raise ImportError(
            "formulas in LaTeX are read with pylatexenc, which is not installed: pip install 'tinygrad_edu[latex]'"
        ) from None
    if len(text) > LONGEST:
        raise FormulaError(f"the formula has {len(text):,} characters; at most {LONGEST:,} are read. Name its parts")
    depth = 0
    for position, c in enumerate(text):
        depth += (c in "{(") - (c in "})")
        if depth > _NESTED or text.count("\\begin") > _NESTED or text.count("\\left") > 10 * _NESTED:
            raise problem(text, position, f"nested more than {_NESTED} deep; name its parts")
    try:
        nodes, _, _ = LatexWalker(text, tolerant_parsing=False).get_latex_nodes()
    except LatexWalkerParseError as error:
        raise problem(text, getattr(error, "pos", None) or 0, f"this is not LaTeX: {error.msg}") from None
    except RecursionError:
        raise FormulaError("this LaTeX is nested too deep; name its parts") from None
    return list(nodes)


@dataclass
class Item:
    """A character, a macro with its arguments, or a group; `at` is its place in the LaTeX."""

    kind: str  # "char", "macro", "group", "environment"
    text: str
    at: int
    args: list[list[Item]] = field(default_factory=list)


def items_of(nodes: Sequence[Any]) -> list[Item]:
    """The nodes one by one, characters apart."""
    out: list[Item] = []
    for node in nodes:
        kind = type(node).__name__
        if kind == "LatexCharsNode":
            out += [Item("char", c, node.pos + k) for k, c in enumerate(node.chars)]
        elif kind == "LatexSpecialsNode":
            out += [Item("char", c, node.pos) for c in node.specials_chars]
        elif kind == "LatexGroupNode":
            inner = items_of(node.nodelist)
            if node.delimiters == ("{", "}"):
                out.append(Item("group", "", node.pos, [inner]))
            else:
                opening, closing = node.delimiters
                out += [Item("char", opening, node.pos), *inner, Item("char", closing, node.pos + node.len - 1)]
        elif kind == "LatexMathNode":
            out += items_of(node.nodelist)
        elif kind == "LatexMacroNode":
            given = [] if node.nodeargd is None else (node.nodeargd.argnlist or [])
            args = [[] if arg is None else _argument(arg) for arg in given]
            out.append(Item("macro", node.macroname, node.pos, args))
        elif kind == "LatexEnvironmentNode":
            out.append(Item("environment", node.environmentname, node.pos, [items_of(node.nodelist)]))
    return _with_arguments(out)


def _with_arguments(items: list[Item]) -> list[Item]:
    """Macros that pylatexenc does not know take the items after them as their arguments: \\tfrac, \\boldsymbol."""
    out: list[Item] = []
    waiting = deque(items)
    while waiting:
        item = waiting.popleft()
        out.append(item)
        count = 2 if item.text in FRACTIONS else 1 if item.text in FONTS | WORDS | {*MARKS} else 0
        while item.kind == "macro" and len(item.args) < count:
            while waiting and waiting[0].kind == "char" and waiting[0].text.isspace():
                waiting.popleft()
            if not waiting:
                break
            part = waiting.popleft()
            item.args.append(part.args[0] if part.kind == "group" else [part])
    return out


def _argument(node: Any) -> list[Item]:
    return items_of(node.nodelist) if type(node).__name__ == "LatexGroupNode" else items_of([node])


def rows_of(items: list[Item]) -> list[list[Item]]:
    r"""The rows of an environment, between its \\\\, without empty ones."""
    rows: list[list[Item]] = [[]]
    for item in items:
        if item.kind == "macro" and item.text == "\\":
            rows.append([])
        else:
            rows[-1].append(item)
    return [row for row in rows if any(item.text.strip() or item.args for item in row)]


def cases_of(item: Item, translate: Callable[[list[Item]], str], fail: Callable[[Item, str], FormulaError]) -> str:
    """cases: \\begin{cases} a & i = c \\\\ b & i \\neq c \\end{cases} is (a if i = c else b)."""
    if item.text not in ("cases", "cases*", "dcases"):
        raise fail(item, f"the environment {item.text} is not read")
    read: list[tuple[str, str]] = []
    for row in rows_of(item.args[0]):
        bar = next((k for k, part in enumerate(row) if part.kind == "char" and part.text == "&"), None)
        if bar is None:
            raise fail(row[0], "a row of cases reads value & condition")
        value = translate(row[:bar]).strip().rstrip(",")
        condition = re.sub(r"\s+", " ", translate(row[bar + 1 :])).strip().rstrip(".,")
        read.append((value, re.sub(r"^(if|for|where|when)\b", "", condition).strip()))
    if len(read) < 2:
        raise fail(item, "cases need two rows at least")
    out, last = read[-1]
    if last not in ("otherwise", "else", "") and not opposite(last, read[-2][1]):
        raise fail(item, "the last of the cases must be otherwise, or the opposite of the one before")
    for value, condition in reversed(read[:-1]):
        out = f"{value} if {condition} else {out}"
    return f" ({out}) "


def opposite(one: str, other: str) -> bool:
    """True for i = c and i != c, x > 0 and x <= 0 (and x < 0: nothing is said about 0 then)."""
    parts = [re.split(r"\s*(>=|<=|!=|=|>|<)\s*", text) for text in (one, other)]
    if any(len(part) != 3 for part in parts) or parts[0][0] != parts[1][0] or parts[0][2] != parts[1][2]:
        return False
    signs = parts[0][1], parts[1][1]
    return OPPOSITE[signs[0]] == signs[1] or set(signs) == {"<", ">"}


def is_sum(text: str) -> bool:
    """True when it has a + or - outside of brackets, not counting a sign in front, or a sum or a case distinction."""
    depth = 0
    for k, c in enumerate(text):
        depth += (c in "([{") - (c in ")]}")
        if depth == 0 and k and c in "+-":
            return True
    return re.search(r"\b(sum|if)", text) is not None


def tidy(text: str) -> str:
    """Without the spaces that nobody needs."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ?/ ?", "/", text)
    text = re.sub(r"(?<=[(\[{]) | (?=[)\]},^])", "", text)
    return re.sub(r"(^|[(\[{=*,·]\s?)- (?=\S)", r"\1-", text)
