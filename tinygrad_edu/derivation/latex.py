r"""Formulas in LaTeX: `\frac{\partial f}{\partial x_i} = \ldots` becomes text in the notation of docs/notation.md.

pylatexenc reads the LaTeX (macros, groups, environments); here its nodes are written in our notation.
Tried on the same formulas, sympy's Lark grammar stops at partial derivatives, and latex2sympy2 drops the transpose.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from tinygrad_edu.derivation.expressions import FUNCTIONS, FormulaError
from tinygrad_edu.derivation.latex_items import (
    DISPLAYS,
    FONTS,
    FRACTIONS,
    MARKS,
    NOTHING,
    SIGNS,
    SIZES,
    SYMBOLS,
    WORDS,
    Item,
    cases_of,
    is_sum,
    items_of,
    nodes_of,
    tidy,
)
from tinygrad_edu.derivation.notation import parse
from tinygrad_edu.derivation.statements import Names, Statement
from tinygrad_edu.derivation.tokens import problem

__all__ = ["from_latex", "parse_latex"]


def from_latex(text: str, known: Collection[str] | None = None) -> str:
    r"""The formula or statement in our notation: `\frac{\partial f}{\partial \hat{x}_i}` is df/dxhat_i.

    known: the names that may occur.  Letters side by side are a product, unless together they are a known name; W_3 is
    the name W3, \hat x is xhat, \tilde x is x~, \sigma^2 is var, \top or T as an exponent is the transpose, and e^x is
    exp(x) unless e is a name.
    Raises FormulaError, with the place, for what has no counterpart; ImportError when pylatexenc is not installed.
    """
    return _Translator(text, known).whole()


def parse_latex(
    text: str, *, products: str = "entries", known: Collection[str] | None = None, loss: str | None = None
) -> Statement:
    """The statement that a LaTeX equation makes; see `from_latex` and `notation.parse`."""
    written = from_latex(text, known)
    try:
        return parse(written, products=products, known=known, loss=loss)
    except FormulaError as error:
        raise FormulaError(f"{error}\n(read from the LaTeX {text.strip()})") from None


class _Translator:
    def __init__(self, text: str, known: Collection[str] | None) -> None:
        self.text, self.names = text, Names(known)

    def fail(self, item: Item, words: str) -> FormulaError:
        return problem(self.text, item.at, words)

    def whole(self) -> str:
        items = items_of(nodes_of(self.text))
        while True:  # \[ ... \], equation, align of one line
            solid = [item for item in items if not (item.kind == "char" and item.text.isspace())]
            if len(solid) == 1 and solid[0].kind == "environment" and solid[0].text in DISPLAYS:
                items = [item for item in solid[0].args[0] if not (item.kind == "char" and item.text == "&")]
            elif solid and solid[-1].kind == "char" and solid[-1].text in ".,;":
                items = solid[:-1] if len(solid) == len(items) else items[: items.index(solid[-1])]
            else:
                break
        out = self.translate(items)
        return tidy(out)

    # -- one item after another --------------------------------------------------------------------------------------

    def translate(self, items: list[Item]) -> str:
        out: list[str] = []
        k = 0
        while k < len(items):
            item = items[k]
            if item.kind == "char" and item.text.isalpha() and item.text.isascii():
                piece, k = self.letters(items, k)
            elif item.kind == "char" and (item.text.isdigit() or item.text == "."):
                piece, k = self.digits(items, k)
            elif item.kind == "char":
                piece, k = self.sign(items, k)
            elif item.kind == "group":
                piece, k = self.scripts(f"({self.translate(item.args[0])})", items, k + 1)
            elif item.kind == "environment":
                piece, k = cases_of(item, self.translate, self.fail), k + 1
            else:
                piece, k = self.macro(items, k, "".join(out[-2:]))
            if k and item.kind == "char" and item.text.isalpha() and out and out[-1][-1:].isdigit():
                piece = piece if re.match(r" *e\d", piece) else piece.lstrip()  # 1/2m stays in one piece: it is unclear
            out.append(piece)
        return "".join(out)

    def digits(self, items: list[Item], k: int) -> tuple[str, int]:
        end = k
        while end < len(items) and items[end].kind == "char" and (items[end].text.isdigit() or items[end].text == "."):
            end += 1
        number = "".join(item.text for item in items[k:end])
        before = items[k - 1] if k else None
        apart = before is not None and (before.kind != "char" or before.text.isalpha())
        return self.scripts((" " if apart else "") + number, items, end)

    def letters(self, items: list[Item], k: int) -> tuple[str, int]:
        """A run of letters: known names, dx with a known x, or one letter each."""
        end = k
        while (
            end < len(items) and items[end].kind == "char" and items[end].text.isascii() and items[end].text.isalnum()
        ):
            end += 1
        run = "".join(item.text for item in items[k:end])
        if run == "d" and end < len(items) and items[end].kind == "macro" and self.is_symbol(items[end]):  # d\\gamma
            return self.differential(items, end)
        pieces: list[str] = []
        start = 0
        while start < len(run):
            stop = next((s for s in range(len(run), start, -1) if self.is_word(run[start:s])), start + 1)
            if run[start].isdigit():
                stop = next((s for s in range(start, len(run)) if not run[s].isdigit()), len(run))
            pieces.append(run[start:stop])
            start = stop
        last, after = self.symbol(pieces[-1], items, end)
        return " " + " ".join([*pieces[:-1], last]) + " ", after

    def is_word(self, word: str) -> bool:
        if self.names.known and word in self.names.known:
            return True
        if word in FUNCTIONS or word in ("if", "else"):
            return True
        if word[:1] == "d" and len(word) > 1:
            inside = word[1:]
            return len(inside) == 1 or self.names.has(inside) or inside in self.names.losses
        return False

    def is_symbol(self, item: Item) -> bool:
        return item.text in SYMBOLS or item.text in MARKS or item.text in FONTS

    def differential(self, items: list[Item], k: int) -> tuple[str, int]:
        """What stands after d or a curly d: a name, with its scripts, or a formula in brackets."""
        while k < len(items) and (items[k].text.isspace() or (items[k].kind == "macro" and items[k].text in NOTHING)):
            k += 1
        if k == len(items):
            return " d", k
        item = items[k]
        if item.kind == "char" and item.text == "^":
            raise self.fail(item, "second derivatives are not read")
        if item.kind == "char" and item.text.isalpha():
            end = k
            while (
                end < len(items)
                and items[end].kind == "char"
                and items[end].text.isascii()
                and items[end].text.isalnum()
            ):
                end += 1
            run = "".join(i.text for i in items[k:end])
            stop = next((s for s in range(len(run), 0, -1) if self.is_word(run[:s]) and run[:s] not in FUNCTIONS), 1)
            if self.names.has(run):
                stop = len(run)
            piece, after = self.symbol("d" + run[:stop], items, k + stop)
            return f" {piece} ", after
        if item.kind == "macro":
            piece, after = self.macro(items, k)
            return f" d{piece.strip()} ", after
        if item.kind == "group":
            return self.scripts(f" d{self.translate(item.args[0]).strip()}", items, k + 1)
        return " d", k

    def symbol(self, name: str, items: list[Item], k: int) -> tuple[str, int]:
        """A name with what stands below and above it."""
        bare = name[1:] if name[0] == "d" and len(name) > 1 and not self.names.has(name) else name
        if bare == "e" and name == "e" and not self.names.has("e"):
            above = self.script(items, k, "^")
            if above is not None:
                return f"exp({self.translate(above[0])})", above[1]
        return self.scripts(name, items, k)

    def script(self, items: list[Item], k: int, sign: str) -> tuple[list[Item], int] | None:
        """The sub- or superscript that starts at the k-th item, and the place after it."""
        while k < len(items) and items[k].kind == "char" and items[k].text.isspace():
            k += 1
        if k >= len(items) or items[k].kind != "char" or items[k].text != sign:
            return None
        at = k
        k += 1
        while k < len(items) and items[k].kind == "char" and items[k].text.isspace():
            k += 1
        if k == len(items):
            raise self.fail(items[at], f"nothing stands after {sign}")
        item = items[k]
        if item.kind == "group":
            return item.args[0], k + 1
        if item.kind == "macro" and not item.args and item.text in FONTS | WORDS and k + 1 < len(items):
            return [item, items[k + 1]], k + 2
        return [item], k + 1

    def scripts(self, base: str, items: list[Item], k: int) -> tuple[str, int]:
        """The base with all sub- and superscripts in the order in which they stand."""
        tail = ""
        while True:
            below = self.script(items, k, "_")
            above = self.script(items, k, "^")
            if below is not None:
                inner, k = below
                digits, label = self.numbered(base.strip(), self.plain(inner))
                base += digits
                if label:
                    tail += f"_{label}" if re.fullmatch(r"[A-Za-z]+'*|\d+|[A-Za-z]+~", label) else f"_{{{label}}}"
            elif above is not None:
                inner, k = above
                label = self.plain(inner) if self.is_plain(inner) else ""
                bare = label[1:-1] if label.startswith("(") and label.endswith(")") else label
                if label in ("T", "top", "intercal"):
                    tail += "^T"
                elif bare != label and bare.isdigit():  # a^{(2)} is the name a2
                    base += bare
                elif re.fullmatch(r"[A-Za-z]|\d+", bare):
                    tail += f"^{bare}"
                else:
                    tail += f"^({self.translate(inner).strip()})"
            elif k < len(items) and items[k].kind == "char" and items[k].text == "'":
                if base.strip() in ("sigma", *FUNCTIONS):
                    return f"{base}'", k + 1
                raise self.fail(
                    items[k], "a prime has no meaning here; a transpose is ^T, a second index another letter"
                )
            else:
                return base + tail, k

    def numbered(self, name: str, label: str) -> tuple[str, str]:
        """W_3 is the name W3, and a_{2,s} the name a2 with an index: the digits, and what is left of the subscript."""
        found = re.fullmatch(r"(\d+)(?:,?([A-Za-z].*))?", label)
        if found is None:
            return "", label
        numbered = f"{name}{found.group(1)}"
        known = self.names.known is None or self.names.has(numbered)
        if known or (name[:1] == "d" and self.names.has(numbered[1:])):
            return found.group(1), found.group(2) or ""
        return "", label

    def is_plain(self, items: list[Item]) -> bool:
        """True when `plain` can read it: letters and digits, in any font."""
        return all(
            item.kind == "char" or item.text in FONTS | WORDS | NOTHING | SIZES or item.text in ("top", "intercal")
            for item in items
        )

    def plain(self, items: list[Item]) -> str:
        """A script as it stands: ij, i=1, j != i, (r), T, h."""
        out = ""
        for item in items:
            if item.kind == "char":
                out += "" if item.text.isspace() else item.text
            elif item.kind == "group" or item.text in FONTS or item.text in WORDS:
                out += self.plain([i for arg in item.args for i in arg])
            elif item.text == "in":
                return out  # s \in B: over all of them
            elif item.text in SIGNS:
                out += SIGNS[item.text].strip() if item.text not in ("{", "}") else ""
            elif item.text in ("top", "intercal"):
                out += item.text
            elif item.text in SYMBOLS:
                out += SYMBOLS[item.text]
            elif item.text not in NOTHING and item.text not in SIZES:
                raise self.fail(item, f"\\{item.text} is not read in a sub- or superscript")
        return out

    def sign(self, items: list[Item], k: int) -> tuple[str, int]:
        item = items[k]
        if item.text.isspace() or item.text == "~":
            return " ", k + 1
        if item.text in ")]}":
            return self.scripts(item.text, items, k + 1)
        if item.text in "_^":
            raise self.fail(item, f"nothing stands before {item.text}")
        if item.text == "&":
            raise self.fail(item, "& is read in cases and in an align of one line only")
        if item.text not in "+-*/=<>()[],|":
            if not item.text.isalpha():
                raise self.fail(item, f"{item.text!r} has no meaning here")
            return self.scripts(f" {item.text}", items, k + 1)
        return f" {item.text} " if item.text in "+-=<>*" else item.text, k + 1

    # -- macros ------------------------------------------------------------------------------------------------------

    def macro(self, items: list[Item], k: int, before: str = "/") -> tuple[str, int]:
        item = items[k]
        name, args, after = item.text, item.args, k + 1
        if name in FRACTIONS:
            return self.fraction(item, items, after, before)
        if name == "sqrt":
            root, inside = args[0], self.translate(args[1])
            if root:
                return self.scripts(f" ({inside})^(1/({self.translate(root)}))", items, after)
            return self.scripts(f" sqrt({inside})", items, after)
        if name == "partial":
            return self.differential(items, after)
        if name == "nabla":
            return self.gradient(item, items, after)
        if name == "sum":
            return self.total(items, after)
        if name in MARKS:
            base = self.plain([i for arg in args for i in arg])
            if not base or not base.isalnum():
                raise self.fail(item, f"\\{name} stands on one letter")
            return self.symbol(f" {base}{MARKS[name]}", items, after)
        if name in SYMBOLS:
            return self.scripts(f" {SYMBOLS[name]}", items, after)
        if name in FONTS | WORDS:
            return self.word(item, items, after)
        if name in SIGNS:
            if name in ("}", "rbrace", "rbrack", "rgroup"):
                return self.scripts(SIGNS[name], items, after)
            return SIGNS[name], after
        if name in SIZES:  # \left. has no bracket of its own
            dot = after < len(items) and items[after].kind == "char" and items[after].text == "."
            return "", after + dot
        if name in NOTHING:
            return " ", after
        if name in FUNCTIONS or name in ("ln", "max", "min"):
            if self.script(items, after, "_") is not None:
                raise self.fail(item, f"\\{name} over an index is not read")
            applied, after = self.scripts(f" {name}", items, after)
            return f"{applied} ", after
        if name == "\\":
            raise self.fail(item, "one formula at a time: \\\\ is read in cases only")
        if name in ("top", "intercal"):
            raise self.fail(item, f"\\{name} is read as an exponent: W^\\{name}")
        raise self.fail(item, f"\\{name} has no counterpart in the notation")

    def fraction(self, item: Item, items: list[Item], after: int, before: str) -> tuple[str, int]:
        if len(item.args) < 2:
            raise self.fail(item, f"\\{item.text} needs what stands above the bar and what stands below")
        above, below = (self.translate(self.without_space(arg)).strip() for arg in item.args)
        if not above or not below:
            raise self.fail(item, f"nothing stands {'above' if not above else 'below'} the bar")
        if above == "d" and below.startswith("d"):
            raise self.fail(item, "write what is differentiated above the bar")
        if self.is_differential(item.args[0]) and self.is_differential(item.args[1]):
            return self.scripts(f" {above}/{below}", items, after)
        top = f"({above})" if is_sum(above) else above
        bottom = below if re.fullmatch(r"[A-Za-z][A-Za-z0-9_~]*|[0-9.]+|[a-z]+\([^()]*\)", below) else f"({below})"
        inner, end = self.scripts("", items, after)
        bare = not inner and before.rstrip()[-1:] in ("", *"=+-*·([{")
        return (f" {top}/{bottom} " if bare else f" ({top}/{bottom}){inner}"), end

    def without_space(self, items: list[Item]) -> list[Item]:
        """d w is dw above and below a bar."""
        if len(items) > 2 and items[0].text == "d" and items[1].text.isspace() and self.is_differential(items):
            return [items[0], *items[2:]]
        return items

    def is_differential(self, items: list[Item]) -> bool:
        """True when it starts with \\partial, \\mathrm{d} or d."""
        first = next((item for item in items if not (item.kind == "char" and item.text.isspace())), None)
        if first is None:
            return False
        upright = first.text in WORDS | FONTS and self.plain([i for arg in first.args for i in arg]) == "d"
        plain_d = first.kind == "char" and first.text == "d" and len(items) > 1 and not self.names.has("d")
        return first.text == "partial" or upright or plain_d

    def gradient(self, nabla: Item, items: list[Item], k: int) -> tuple[str, int]:
        """\\nabla_W L is dL/dW."""
        below = self.script(items, k, "_")
        if below is None:
            raise self.fail(nabla, "by what? Write \\nabla_w L, or \\frac{\\partial L}{\\partial w}")
        by = self.translate(below[0]).strip()
        piece, after = self.differential(items, below[1])
        return f"{piece.rstrip()}/d{by} ", after

    def total(self, items: list[Item], k: int) -> tuple[str, int]:
        """\\sum_{i=1}^{m}."""
        while k < len(items) and items[k].text in ("limits", "nolimits"):
            k += 1
        below = self.script(items, k, "_")
        under = ""
        if below is not None:
            inner, k = below
            label = self.plain(inner)
            under = f"_{label}" if label.isalpha() else f"_{{{label}}}"
        above = self.script(items, k, "^")
        if above is None:
            return f" sum{under} ", k
        inner, k = above
        label = self.plain(inner)
        return f" sum{under}^{label} " if label.isalnum() else f" sum{under}^{{{label}}} ", k

    def word(self, item: Item, items: list[Item], k: int) -> tuple[str, int]:
        """\\mathbf{x}, \\mathrm{softmax}, \\text{if}, and the indicator \\mathbf{1}_{x > 0}."""
        content = [i for arg in item.args for i in arg]
        inner = self.plain(content)
        if inner == "d":
            return self.differential(items, k)
        if item.text in FONTS and inner in ("1", "I") and not self.names.has(inner):
            if self.script(items, k, "^") is not None:
                raise self.fail(item, "a row of ones is not read: write the sum, \\sum_i")
            below = self.script(items, k, "_")
            if below is not None:
                condition = self.translate([i for i in below[0] if i.text not in ("{", "}")])
                return f" 1[{condition.strip()}]", below[1]
            return " 1", k
        if item.text in FONTS and not inner.isalnum():
            return self.scripts(f" ({self.translate(content)})", items, k)
        words = re.sub(r"[^A-Za-z0-9~]+", " ", "".join(i.text for i in content)) if item.text in WORDS else inner
        if item.text in WORDS and (" " in words.strip() or words.strip() in ("if", "else", "otherwise", "and", "for")):
            return f" {words.strip()} ", k
        if not inner:
            return " ", k
        return self.symbol(f" {inner}", items, k)
