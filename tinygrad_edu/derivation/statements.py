"""What a statement is about: `df/dx_i` on its left side, and how a word such as `W_ij` is taken apart."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass

from tinygrad_edu.derivation.expressions import FUNCTIONS, Expression
from tinygrad_edu.derivation.tokens import Token, problem, tokens_of

__all__ = ["LOSSES", "Names", "Statement", "Target", "Word", "parse_target"]

LOSSES = ("L", "f", "F", "l", "J", "E", "loss", "Loss")  # what a loss is called where nobody says


@dataclass(frozen=True)
class Target:
    """The left side of a statement: the derivative d<of>/d<by>, with the indices of its entries.

    dx_i^r has the indices ("i", "r"): first the subscripts, then the superscripts, in the order of the axes.
    of is "" in a bare `dx` when the name of the loss is not known.  In d(1/sqrt(var_i + eps))/dx_j, `of` is the text
    between the parentheses, and `expression` that formula as a tree when `notation.parse` made the target.
    """

    of: str
    of_indices: tuple[str, ...]
    by: str
    by_indices: tuple[str, ...]
    text: str
    expression: Expression | None = None

    @property
    def name(self) -> str:
        """The name of the whole derivative in trees and on right sides: "df/dx"."""
        return f"d{self.of}/d{self.by}" if self.of else f"d{self.by}"

    @property
    def indices(self) -> tuple[str, ...]:
        """All indices, those of the value first."""
        return self.of_indices + self.by_indices


@dataclass(frozen=True)
class Statement:
    """`left` = `right`.  limits: (index, size) where a sum says how far it runs: sum_{i=1}^m gives ("i", "m")."""

    left: Target
    right: Expression
    text: str
    limits: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Word:
    """A word taken apart: the name and the indices that stand on it."""

    name: str
    indices: tuple[str, ...] = ()


_PART = re.compile(r"_(\{[^{}]*\}|\([^()]*\)|[A-Za-z0-9]+~?'*)")
_SPELLINGS = {
    "eps": ["epsilon"],
    "epsilon": ["eps"],
    "var": ["sigma2", "sigma_2"],
    "lambda": ["lam", "lambda_", "lmbda", "lambd"],  # no name in Python can be lambda
}
_ENTRY = re.compile(r"[\[(]\s*([^\s\[\]()]+)\s*[\])]\s*_\s*(\w+|\{[^{}]*\})")
_LABELS = re.compile(r"[A-Za-z]'*")


class Names:
    """The names that a formula may use.  A name that is known wins over every other reading of a word.

    known=None: every name is accepted, and everything after its first underscore is read as indices.
    """

    def __init__(self, known: Collection[str] | None, loss: str | None = None) -> None:
        self.known = None if known is None else frozenset(known)
        self.loss = loss

    @property
    def losses(self) -> tuple[str, ...]:
        """What the loss may be called."""
        return (self.loss,) if self.loss else LOSSES

    def find(self, name: str) -> str | None:
        """The known name that is meant: the same, or another common spelling of it (xhat, x_hat; x~, x_tilde)."""
        if self.known is None or name in self.known:
            return name
        spellings = []
        for ending, others in (("hat", ("_hat",)), ("~", ("tilde", "_tilde", "_t")), ("bar", ("_bar",))):
            if name.endswith(f"_{ending.replace('~', 'tilde')}"):
                spellings.append(name[: name.rindex("_")] + ending)
            elif name.endswith(ending) and len(name) > len(ending):
                spellings += [name[: -len(ending)] + other for other in others]
        spellings += _SPELLINGS.get(name, [])
        base, _, below = name.partition("_")
        if below.isdigit() or (len(below) == 1 and base not in self.known):
            spellings.append(base + below)  # W_2 of a page is W2 in Python, W_h is Wh unless there is a W
        elif numbered := re.fullmatch(r"([A-Za-z]+)(\d+)", name):
            spellings.append("_".join(numbered.groups()))
        return next((s for s in spellings if s in self.known), None)

    def has(self, name: str) -> bool:
        """True when the name is known for certain."""
        return self.known is not None and self.find(name) is not None

    def split(self, token: Token, text: str, word: str | None = None) -> Word | None:
        """The longest known name that the word starts with, and its indices.  None: it starts with no known name."""
        word = token.text if word is None else word
        if not word:
            return None
        base = re.match(r"[A-Za-z][A-Za-z0-9]*~?", word)
        if base is None:
            return None
        parts = _PART.findall(word, base.end())
        head, comma, rest_of_it = parts[0].strip("{}").partition(",") if parts else ("", "", "")
        if comma and self.known is not None and (named := self.find(f"{base.group()}_{head.strip()}")) is not None:
            later = [f"{{{rest_of_it}}}", *parts[1:]]  # a_{1,i}: entry i of a_1
            return Word(named, tuple(label for part in later for label in labels_of(part, token, text)))
        for count in range(len(parts) if self.known is not None else 0, -1, -1):
            name = self.find("_".join([base.group(), *(part.strip("{}") for part in parts[:count])]))
            if name is not None:
                rest = parts[count:]
                if rest in (["B"], ["{B}"]) and name in ("mu", "var", "sigma", "mean"):
                    rest = []  # mu_B, "of the batch", in the paper on batch normalisation
                return Word(name, tuple(label for part in rest for label in labels_of(part, token, text)))
        return None

    def derivative(self, top: Token, bottom: Token, text: str) -> tuple[Word, Word] | None:
        """d<A>/d<B> when A is the loss or a known name and B a known name; None when it is a division.

        dout/dx is a derivative even where dL/d(out) is called dout: nobody divides by dL/dx.
        """
        if top.text[:1] != "d" or bottom.text[:1] != "d" or (self.has(top.text) and self.has(bottom.text)):
            return None
        of, by = self.above(top, text), self.split(bottom, text, bottom.text[1:])
        return (of, by) if of is not None and by is not None else None

    def above(self, top: Token, text: str) -> Word | None:
        """What is differentiated in a numerator d<A>: the loss, or a known name."""
        word = top.text[1:]
        for loss in self.losses:
            if word == loss or word.startswith(f"{loss}_"):
                found = None if self.has(word) else Names({loss}).split(top, text, word)
                if found is not None:
                    return found
        return self.split(top, text, word)

    def suggestion(self, word: str) -> str:
        """ "; did you mean xhat?" and the like, or what is known."""
        if self.known is None:
            return ""
        base = word.split("_")[0]
        near = difflib.get_close_matches(word, self.known, 1, 0.7) or difflib.get_close_matches(
            base, self.known, 1, 0.6
        )
        for k in range(1, len(base)):
            if self.has(base[:k]) and (self.has(base[k:]) or base[k:] in FUNCTIONS):
                return f"; did you mean {base[:k]} {word[k:]}? Names side by side need a space between them"
        if near:
            return f"; did you mean {near[0]}?"
        return f"; known are {', '.join(sorted(self.known))}" if self.known else ""


def labels_of(part: str, token: Token, text: str) -> tuple[str, ...]:
    """The indices of a subscript: ij, {ij}, {i,j} or {i j}.  Between commas a name of several letters is one index."""
    inner = part.strip("{}()").strip()
    if "+" in inner or "-" in inner:
        words = f"indices are not added: {part} is not read; give this formula as a Python function of the arrays"
        raise problem(text, token.start, words, token.end)
    if any(c.isdigit() for c in inner):
        base = token.text.split("_")[0]
        raise problem(
            text,
            token.start,
            f"{token.text}: does mathematics count here (from 1) or Python (from 0)? The first entry is {base}[0]",
            token.end,
        )
    if "," in inner:
        labels = tuple(label.strip() for label in inner.split(",") if label.strip())
    else:
        labels = tuple(_LABELS.findall(inner))
    rest = inner.replace(",", "").replace(" ", "")
    if not labels or "".join(labels) != rest or not all(label.rstrip("'").isalpha() for label in labels):
        words = f"{part} is no subscript; indices are letters, as in x_i or W_ij"
        raise problem(text, token.start, words, token.end)
    if len(labels) > 4 and "," not in inner:
        raise problem(
            text,
            token.start,
            f"{token.text}: {inner} would be {len(labels)} indices, and this name is unknown",
            token.end,
        )
    return labels


def with_variance(tokens: list[Token], names: Names) -> list[Token]:
    """sigma^2 is another spelling of var, unless there is a value called sigma."""
    if names.has("sigma"):
        return tokens
    out: list[Token] = []
    k = 0
    while k < len(tokens):
        token = tokens[k]
        after = [t.text for t in tokens[k + 1 : k + 5]]
        length = 2 if after[:2] == ["^", "2"] else 4 if after == ["^", "{", "2", "}"] else 0
        if length and token.kind == "word" and re.fullmatch(r"d?sigma(_.*)?", token.text):
            word = token.text.replace("sigma", "var", 1)
            k += length
            if [t.text for t in tokens[k + 1 : k + 2]] == ["_"] and tokens[k + 2].kind == "word":  # sigma^2_i
                k += 2
                word += f"_{tokens[k].text}"
            token = Token("word", word, token.start, tokens[k].end, token.glued)
        out.append(token)
        k += 1
    return out


def parse_target(text: str, known: Collection[str] | None = None, *, loss: str | None = None) -> Target:
    """The left side of a statement: df/dx_i, dxhat_i^s/dx_j^r, dx~_j/dW_ik, or dx for d<loss>/dx.

    known: the names of the values, known names with an underscore among them (W_h).  loss: what the loss is called.
    Raises FormulaError, with the place, for anything else.
    """
    names = Names(known, loss)
    tokens = with_variance(tokens_of(text), names)
    first = tokens[0]
    if first.kind == "end":
        raise problem(text, 0, "the left side is empty; it says what the formula is: df/dx_i, or dvar/dx_i")
    if first.text == "d" and tokens[1].text in "([{":
        return _of_formula(text, tokens, names)
    if re.fullmatch(r"delta\d*(_.*)?", first.text) and not names.has(first.text[1:]):
        words = f"{first.text} is no derivative; write the one that it stands for, as in dL/dz{_nearest(names)}"
        raise problem(text, first.start, words, first.end)
    if first.text in ("[", "(") and (inside := _ENTRY.fullmatch(text.strip())) is not None:  # [dL/dW]_ij
        found = parse_target(inside[1], known, loss=loss)
        if not found.indices and found.of in names.losses:
            labels = labels_of(inside[2], first, text)
            return Target(found.of, (), found.by, labels, text.strip())
    if first.text == "d" and tokens[1].kind == "word":
        words = f"write d and the name as one word: d{tokens[1].text}"
        raise problem(text, first.start, words, tokens[1].end)
    if first.kind != "word" or first.text[0] != "d" or len(first.text) == 1:
        raise problem(
            text,
            first.start,
            f"the left side must be a derivative, as in df/dx_i or dvar/dx_i{_nearest(names)}",
            first.end,
        )
    k, above = _superscript(tokens, 1, text)
    if tokens[k].kind == "end":
        by = names.split(first, text, first.text[1:])
        if by is None:
            raise _unknown(first, text, names)
        return Target(loss or "", (), by.name, by.indices + above, text.strip())
    if tokens[k].text != "/" or tokens[k + 1].kind != "word":
        raise problem(text, tokens[k].start, "the left side must be one derivative, as in df/dx_i", tokens[-2].end)
    bottom = tokens[k + 1]
    k, below = _superscript(tokens, k + 2, text)
    if tokens[k].kind != "end":
        raise problem(text, tokens[k].start, "the left side must be one derivative, as in df/dx_i", tokens[-2].end)
    pair = names.derivative(first, bottom, text)
    if pair is None:
        wrong = bottom if names.above(first, text) is not None or bottom.text[0] != "d" else first
        raise _unknown(wrong, text, names)
    of, by = pair
    return Target(of.name, of.indices + above, by.name, by.indices + below, text.strip())


def _nearest(names: Names) -> str:
    return f"; known are {', '.join(sorted(names.known))}" if names.known else ""


def _unknown(token: Token, text: str, names: Names) -> Exception:
    word = token.text[1:] if token.text[0] == "d" else token.text
    if token.text[0] != "d":
        return problem(text, token.start, f"{token.text} is no d<name>; a derivative reads df/dx", token.end)
    return problem(text, token.start, f"unknown name {word!r} in {token.text}{names.suggestion(word)}", token.end)


def _superscript(tokens: list[Token], k: int, text: str) -> tuple[int, tuple[str, ...]]:
    """The indices in ^r, ^{r} or ^(r) from the k-th token on, and the position after them."""
    if tokens[k].text != "^":
        return k, ()
    braces = tokens[k + 1].text in ("{", "(")
    token = tokens[k + 1 + braces]
    if token.kind != "word":
        raise problem(text, token.start, "on the left side a superscript is an index, as in dx_j^r", token.end)
    labels = labels_of(token.text, token, text)
    k += 2 + braces
    if braces and tokens[k].text not in ("}", ")"):
        raise problem(text, tokens[k].start, "the bracket of this superscript is not closed", tokens[k].end)
    return k + braces, labels


def _of_formula(text: str, tokens: list[Token], names: Names) -> Target:
    """d(1/sqrt(var_i + eps))/dx_j^r: `of` is the text between the parentheses."""
    depth, k = 0, 1
    while tokens[k].kind != "end":
        depth += (tokens[k].text in "([{") - (tokens[k].text in ")]}")
        k += 1
        if depth == 0:
            break
    if depth or tokens[k].text != "/" or tokens[k + 1].text[:1] != "d":
        raise problem(text, tokens[min(k, len(tokens) - 1)].start, "expected d( ... )/dx, with every bracket closed")
    bottom = tokens[k + 1]
    by = names.split(bottom, text, bottom.text[1:])
    if by is None:
        raise _unknown(bottom, text, names)
    inside = text[tokens[1].end : tokens[k - 1].start].strip()
    k, below = _superscript(tokens, k + 2, text)
    if tokens[k].kind != "end":
        raise problem(text, tokens[k].start, "the left side must be one derivative", tokens[-2].end)
    return Target(inside, (), by.name, by.indices + below, text.strip())
