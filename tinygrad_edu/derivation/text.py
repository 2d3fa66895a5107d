"""Trees as text that the notation reads back: x_i, sum_i, fractions, powers; no more brackets than needed."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.derivation.expressions import Expression, FormulaError, places
from tinygrad_edu.derivation.notation import DEEPEST
from tinygrad_edu.derivation.reader import free_labels
from tinygrad_edu.derivation.statements import LOSSES
from tinygrad_edu.derivation.tokens import GREEK

__all__ = ["pretty", "text_of"]

# How tightly the outermost operation of a text holds: the level of the grammar in notation.py that yields it.
_FORMULA, _SUM, _PRODUCT, _CHAIN, _FACTOR, _POWER, _ATOM = range(7)


@dataclass(frozen=True)
class _Text:
    text: str
    level: int
    open: bool = False  # it ends in a sum sign's term, which would take in any factor put after it
    minus: bool = False  # it starts with a sign


def text_of(tree: Expression, products: str = "entries", *, unicode: bool = False, loss: str | None = None) -> str:
    """The formula in the notation: parsed with the same `products` and its names known, it has the same values.

    unicode: γ, x̂, Σᵢ, √ and − for gamma, xhat, sum_i, sqrt and -; that text can be parsed as well.
    loss: what the loss is called, if it has an unusual name.
    Raises FormulaError for a tree that is too deep, or with an operation that has no text.
    """
    if max(len(path) for path, _ in places(tree)) > DEEPEST + 1:
        raise FormulaError(f"the tree has more than {DEEPEST} operations inside one another")
    text = _Writer(products == "matrices", (loss,) if loss else LOSSES).write(tree).text
    return pretty(text) if unicode else text


class _Writer:
    def __init__(self, matrices: bool, losses: Collection[str]) -> None:
        self.matrices, self.losses = matrices, losses

    def write(self, tree: Expression) -> _Text:
        written: _Text = getattr(self, f"_{tree.op}", self._unknown)(tree)
        return written

    def at(self, tree: Expression, level: int, *, last: bool = True, sign: bool = False) -> str:
        """The text of a part, in brackets unless it holds at least this tightly.

        last: nothing of the same product follows it.  sign: it may start with a minus.
        """
        written = self.write(tree)
        if written.level < level or (written.open and not last) or (written.minus and not sign):
            return f"({written.text})"
        return written.text

    def _unknown(self, tree: Expression) -> _Text:
        raise FormulaError(f"the operation {tree.op!r} has no text")

    def _number(self, tree: Expression) -> _Text:
        value = float(tree.data)
        if math.isnan(value) or math.isinf(value):
            return _Text("(0/0)" if math.isnan(value) else "(1/0)" if value > 0 else "(-1/0)", _ATOM)
        text = str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        if math.copysign(1, value) < 0:
            return _Text(f"-{text.lstrip('-')}", _PRODUCT, minus=True)
        return _Text(text, _ATOM)

    def _name(self, tree: Expression) -> _Text:
        return _Text(str(tree.data), _ATOM)

    def _delta(self, tree: Expression) -> _Text:
        return _Text(f"delta{_subscript(tree.data)}", _ATOM)

    def _index(self, tree: Expression) -> _Text:
        array, indices = tree.args[0], tuple(tree.data)
        if array.op != "name":
            if not _letters(indices):
                raise FormulaError(f"the entry {list(indices)} of a formula has no text; give the formula a name")
            return _Text(f"({self.write(array).text}){_subscript(indices)}", _POWER)
        name = str(array.data)
        if not _letters(indices):
            return _Text(f"{name}[{', '.join(map(str, indices))}]", _ATOM)
        if "/" in name:
            above, below = name.split("/", 1)
            half = 0 if above[1:] in self.losses else len(indices) // 2
            top = f"{above}{_subscript(indices[:half])}" if half else above
            return _Text(f"{top}/{below}{_subscript(indices[half:])}", _ATOM)
        return _Text(f"{name}{_subscript(indices)}", _ATOM)

    def _neg(self, tree: Expression) -> _Text:
        inner = self.write(tree.args[0])
        text = f"({inner.text})" if inner.level < _PRODUCT or inner.minus else inner.text
        return _Text(f"-{text}", _PRODUCT, inner.open, minus=True)

    def _add(self, tree: Expression) -> _Text:
        left, right = tree.args
        if right.op == "neg":  # a + -b is a - b
            return self._sub(Expression("sub", (left, right.args[0])))
        return _Text(f"{self.at(left, _SUM, sign=True)} + {self.at(right, _PRODUCT)}", _SUM)

    def _sub(self, tree: Expression) -> _Text:
        left, right = tree.args
        return _Text(f"{self.at(left, _SUM, sign=True)} - {self.at(right, _PRODUCT)}", _SUM)

    def _mul(self, tree: Expression) -> _Text:
        return self._starred(tree) if self.matrices else self._side_by_side(tree)

    def _matmul(self, tree: Expression) -> _Text:
        if self.matrices:
            return self._side_by_side(tree)
        left, right = tree.args
        ends = self.write(right)
        return _Text(f"{self.at(left, _PRODUCT, last=False)} @ {self.at(right, _FACTOR)}", _PRODUCT, ends.open)

    def _starred(self, tree: Expression) -> _Text:
        left, right = tree.args
        ends = self.write(right)
        return _Text(f"{self.at(left, _PRODUCT, last=False)} * {self.at(right, _CHAIN)}", _PRODUCT, ends.open)

    def _side_by_side(self, tree: Expression) -> _Text:
        """Factors in a row.  The product of entries is associative, so its brackets go; then / and numbers need *."""
        factors = [tree.args[0], tree.args[1]] if self.matrices else _factors(tree)
        text = self.at(factors[0], _CHAIN, last=False)
        level, ends = _CHAIN, False
        for k, factor in enumerate(factors[1:], 2):
            last = k == len(factors)
            if not self.matrices and factor.op in ("div", "number"):
                text, level = f"{text} * {self.at(factor, _CHAIN, last=last)}", _PRODUCT
            else:
                right = self.at(factor, _FACTOR, last=last)
                apart = text[-1].isdigit() and right[0].isdigit()  # two numbers must not meet
                text = f"{text} * {right}" if apart and not self.matrices else f"{text}{' · ' if apart else ' '}{right}"
                level = _PRODUCT if apart and not self.matrices else level
            ends = last and self.write(factor).open and not text.endswith(f"({self.write(factor).text})")
        return _Text(text, level, ends)

    def _div(self, tree: Expression) -> _Text:
        above, below = tree.args
        return _Text(f"{self.at(above, _CHAIN, last=False)}/{self.at(below, _FACTOR, last=False)}", _CHAIN)

    def _pow(self, tree: Expression) -> _Text:
        base, exponent = tree.args
        written = self.write(exponent)
        plain = exponent.op == "number" and not written.minus
        held = self.write(base)
        text = held.text if held.level == _ATOM and not held.minus and base.op != "pow" else f"({held.text})"
        if base.op in ("index", "transpose") and held.level >= _POWER:
            text = held.text
        # a name in the exponent stands in brackets: x^n could be an index
        power = written.text if plain else f"({written.text})"
        return _Text(f"{text}^{power}", _FACTOR)

    def _transpose(self, tree: Expression) -> _Text:
        return _Text(f"{self.at(tree.args[0], _POWER)}^T", _POWER)

    def _sum(self, tree: Expression) -> _Text:
        return self._reduced(tree, "sum")

    def _mean(self, tree: Expression) -> _Text:
        return self._reduced(tree, "mean")

    def _reduced(self, tree: Expression, word: str) -> _Text:
        body, data = tree.args[0], tree.data
        if isinstance(data, tuple) and data and all(isinstance(label, str) for label in data):
            return _Text(f"{word}{_subscript(data)} {self.at(body, _PRODUCT)}", _FACTOR, open=True)
        axis, keep = data if isinstance(data, tuple) and data else (data, False)
        if axis is None and not keep and not free_labels(body):
            return _Text(f"{word} {self.at(body, _PRODUCT)}", _FACTOR, open=True)
        options = f"axis={'all' if axis is None else axis}" + (", keep" if keep else "")
        return _Text(f"{word}({self.write(body).text}, {options})", _ATOM)

    def _call(self, tree: Expression) -> _Text:
        return _Text(f"{tree.data}({', '.join(self.write(arg).text for arg in tree.args)})", _ATOM)

    def _compare(self, tree: Expression) -> _Text:
        return _Text(f"1[{self._condition(tree)}]", _ATOM)

    def _where(self, tree: Expression) -> _Text:
        condition, yes, no = tree.args
        return _Text(
            f"{self.at(yes, _SUM, sign=True)} if {self._condition(condition)} else {self.write(no).text}", _FORMULA
        )

    def _condition(self, tree: Expression) -> str:
        if tree.op == "delta" and tree.data[0] != tree.data[1]:
            return " = ".join(tree.data)
        if tree.op == "compare":
            left, right = tree.args
            return f"{self.at(left, _SUM, sign=True)} {tree.data} {self.at(right, _SUM, sign=True)}"
        return f"{self.at(tree, _SUM, sign=True)} != 0"


def _factors(tree: Expression) -> list[Expression]:
    """The factors of nested products, from left to right."""
    return [f for arg in tree.args for f in _factors(arg)] if tree.op == "mul" else [tree]


def _letters(indices: tuple[Any, ...]) -> bool:
    return all(isinstance(i, str) and re.fullmatch(r"[A-Za-z]'*", i) for i in indices)


def _subscript(indices: tuple[Any, ...]) -> str:
    """_i, _ij, or _{row,col} and _{row,} for indices of several letters."""
    if _letters(indices):
        return f"_{''.join(indices)}" if indices else ""
    return f"_{{{','.join(map(str, indices))}{',' * (len(indices) == 1)}}}"


_LOW = dict(zip("aehijklmnoprstuvx", "ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
_SMALL = dict(zip("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))


def pretty(text: str) -> str:
    """The same formula with letters of mathematics: γ for gamma, x̂ᵢ for xhat_i, Σᵢ for sum_i, √ for sqrt, − for -."""
    greek: dict[str, str] = {}
    for letter, word in GREEK.items():
        greek.setdefault(word, letter)
    greek |= {"eps": "ε", "mu": "μ", "phi": "φ", "var": "σ²"}

    def symbol(name: str) -> str:
        if name in greek:
            return greek[name]
        if len(name) == 4 and name.endswith("hat"):
            return name[0] + "\u0302"
        if len(name) == 4 and name.endswith("bar"):
            return name[0] + "\u0304"
        if len(name) == 2 and name.endswith("~"):
            return name[0] + "\u0303"
        return name

    def low(indices: str) -> str:
        inner = indices[1:]
        return "".join(_LOW[c] for c in inner) if inner and all(c in _LOW for c in inner) else indices

    def spelled(found: re.Match[str]) -> str:
        above, its, below, theirs = found.group("above", "its", "below", "theirs")
        if above:
            return f"∂{symbol(above)}{low(its or '')}/∂{symbol(below)}{low(theirs or '')}"
        name, indices = found.group("name"), found.group("indices") or ""
        return {"sum": "Σ", "sqrt": "√"}.get(name, symbol(name)) + low(indices)

    name, indices = "[A-Za-z][A-Za-z0-9]*~?", "_[A-Za-z]+"
    derivative = f"d(?P<above>{name})(?P<its>{indices})?/d(?P<below>{name})(?P<theirs>{indices})?"
    word = f"(?P<name>{name})(?P<indices>{indices})?(?![A-Za-z0-9_{{])"
    out = re.sub(f"{derivative}|{word}", spelled, text)
    out = out.replace("^T", "ᵀ").replace("-", "−").replace(" * ", " ∘ ")
    return re.sub(r"\^(\d+)(?![\d.e])", lambda m: "".join(_SMALL[c] for c in m.group(1)), out)
