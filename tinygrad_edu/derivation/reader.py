"""What reading a formula needs besides its grammar: tokens one by one, subscripts, errors that point at their place."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NoReturn

from tinygrad_edu.derivation.expressions import FUNCTIONS, Expression
from tinygrad_edu.derivation.statements import Names, labels_of, with_variance
from tinygrad_edu.derivation.tokens import Token, problem, tokens_of

__all__ = ["CLOSING", "RESERVED", "Reader", "equals_sign", "free_labels"]

CLOSING = {"(": ")", "[": "]", "{": "}"}
RESERVED = ("if", "where", "else", "otherwise", "and")
_NESTED = 40  # brackets, signs, exponents and sums inside one another


def equals_sign(text: str) -> int:
    """Where the = of the statement is."""
    tokens = tokens_of(text)
    depth = 0
    for token in tokens:
        depth += (token.text in CLOSING) - (token.text in CLOSING.values())
        if token.text == "=" and depth == 0:
            return token.start
    raise problem(text, 0, "a statement needs a left side and =, as in df/dx_i = g_i gamma", tokens[-1].start)


def free_labels(tree: Expression) -> tuple[str, ...]:
    """The indices of a formula that no sum or mean in it runs over, in order of appearance."""
    if tree.op == "index":
        own = [label for label in tree.data if isinstance(label, str)]
    else:
        own = list(tree.data) if tree.op == "delta" else []
    for arg in tree.args:
        own += free_labels(arg)
    if tree.op in ("sum", "mean") and isinstance(tree.data, tuple):
        own = [label for label in own if label not in tree.data]
    return tuple(dict.fromkeys(own))


class Reader:
    """The tokens of a text and a place among them."""

    def __init__(
        self,
        text: str,
        known: Collection[str] | None,
        loss: str | None,
        labels: Collection[str],
        after: int = 0,
    ) -> None:
        self.text = text
        self.names = Names(known, loss)
        tokens = with_variance(tokens_of(text), self.names)
        self.tokens = [token for token in tokens if token.start >= after or token.kind == "end"]
        self.k = 0
        self.depth = 0
        self.limits: list[tuple[str, str]] = []
        self.left = tuple(labels)
        self.labels = {*labels, *self._labels_used()}

    # -- tokens --------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Token:
        """The token to be read next."""
        return self.tokens[self.k]

    def peek(self, ahead: int = 1) -> Token:
        """A token further on."""
        return self.tokens[min(self.k + ahead, len(self.tokens) - 1)]

    def take(self, *texts: str) -> bool:
        """Step over the next token if it is one of these signs."""
        if self.now.text in texts and self.now.kind != "end":
            self.k += 1
            return True
        return False

    def fail(self, words: str, token: Token | None = None) -> NoReturn:
        """Raise the error that shows this token, or the one to be read next."""
        token = self.now if token is None else token
        raise problem(self.text, token.start, words, token.end)

    def expect(self, sign: str, words: str) -> None:
        """Take this sign; without it, fail with these words."""
        if not self.take(sign):
            self.fail(f"{words}: {sign!r} is missing before {self.now.text or 'the end'!r}")

    def node(self, start: Token, op: str, args: tuple[Expression, ...] = (), data: Any = None) -> Expression:
        """A part of the tree, with the text from `start` to here as its source."""
        end = self.tokens[self.k - 1].end if self.k else start.end
        return Expression(op, args, data, source=self.text[start.start : end].strip())

    def _labels_used(self) -> set[str]:
        used: set[str] = set()
        for token in self.tokens:
            if token.kind == "word" and "_" in token.text:
                for word in (token.text, token.text[1:] if token.text[0] == "d" else ""):
                    if word.startswith(("sum_{", "mean_{", "sum_(", "mean_(")):
                        used.update(c for c in word.split("_", 1)[1].split("=")[0] if c.isalpha())
                        break
                    found = self.names.split(token, self.text, word)
                    numbered = any(c.isdigit() for c in word.partition("_")[2])
                    if found is None and not numbered and word.split("_")[0] in ("sum", "mean", "delta", *FUNCTIONS):
                        found = Names(None).split(token, self.text, word)
                    if found is not None:
                        used.update(found.indices)
                        break
        return used

    def deeper(self, read: Callable[[], Expression]) -> Expression:
        """What `read` gives, refused when too many of these are inside one another."""
        self.depth += 1
        if self.depth > _NESTED:
            self.fail(f"nested more than {_NESTED} deep; name its parts")
        tree = read()
        self.depth -= 1
        return tree

    def unclear_exponent(self, sign: Token) -> None:
        """x^-3/2 is refused: it would be (x^-3)/2."""
        minus, top, bar, bottom = (self.peek(k) for k in range(4))
        glued = all(t.glued for t in (top, bar, bottom))
        if minus.text == "-" and top.kind == "number" and bar.text == "/" and bottom.kind == "number" and glued:
            text = f"-{top.text}/{bottom.text}"
            self.fail(f"is {text} the exponent? Then write ^({text})", sign)

    def subscript(self) -> tuple[str, ...]:
        """The indices after _ on a bracket: (W x)_i."""
        token = self.now
        if token.text in ("{", "("):
            end = self.k
            while self.tokens[end].kind != "end" and self.tokens[end].text not in ("}", ")"):
                end += 1
            inner = self.text[token.end : self.tokens[end].start]
            self.k = end + 1
            return labels_of(inner, token, self.text)
        if token.kind != "word":
            self.fail("an index is expected after _")
        self.k += 1
        return labels_of(token.text, token, self.text)

    def bracket_indices(self) -> tuple[Any, ...]:
        """x[0], x[i, 0]: integers count from 0, as in Python.  () when the bracket is a factor: x[a + b]."""
        found: list[Any] = []
        k = self.k + 1
        while True:
            minus = self.tokens[k].text == "-"
            token = self.tokens[k + minus]
            if token.kind == "number" and token.text.isdigit():
                found.append(-int(token.text) if minus else int(token.text))
            elif token.kind == "word" and not minus and not self.names.has(token.text) and "_" not in token.text:
                found.append(token.text)
            else:
                return ()
            k += 2 + minus
            if self.tokens[k - 1].text == "]":
                break
            if self.tokens[k - 1].text != ",":
                return ()
        self.k = k
        return tuple(found)

    def superscript(self) -> tuple[str, ...]:
        """The indices in x_i^r; nothing when ^ is a power."""
        token = self.peek()
        if self.now.text != "^":
            return ()
        braces = token.text == "{" and self.peek(2).kind == "word" and self.peek(3).text == "}"
        token = self.peek(2) if braces else token
        if token.kind != "word" or token.text.split("_")[0] == "T":
            return ()
        word = token.text.split("_")
        for letter in word[0]:
            unknown = self.names.known is not None and not self.names.has(letter)
            if not (letter.isalpha() and (letter in self.labels or unknown)):
                return ()
        self.k += 4 if braces else 2
        below = labels_of(word[1], token, self.text) if len(word) > 1 else ()
        return below + labels_of(word[0], token, self.text)

    def unknown(self, token: Token) -> NoReturn:
        """Raise the error for a word that is no name."""
        bottom = self.peek(2)
        if token.text in self.labels:
            self.fail(
                f"{token.text} is an index here, it has no value; delta_{token.text}j compares two of them", token
            )
        if token.text[0] == "d" and self.peek().text == "/" and bottom.kind == "word" and bottom.text[0] == "d":
            wrong = token if self.names.above(token, self.text) is None else bottom
            self.fail(
                f"unknown name {wrong.text[1:]!r} in {token.text}/{bottom.text}{self.names.suggestion(wrong.text[1:])}",
                wrong,
            )
        if token.text in RESERVED:
            self.fail(f"{token.text!r} is not expected here", token)
        if token.text == "I":
            self.fail("the identity I is not read: its entries are delta_ij, and lam I w is lam w", token)
        self.fail(f"unknown name {token.text!r}{self.names.suggestion(token.text)}", token)

    def delta(self) -> Expression:
        """delta_ij."""
        token = self.now
        self.k += 1
        below = token.text.split("_", 1)[1].replace("_", "")
        if any(c.isdigit() for c in below):
            self.fail(f"{token.text} is no name here: write the derivative that it stands for, as dL/dz", token)
        labels = labels_of(below, token, self.text)
        if len(labels) != 2:
            self.fail("delta stands on two indices, as in delta_ij", token)
        return self.node(token, "delta", (), labels)

    def has_options(self) -> bool:
        """True before sum(x, axis=0), which is complete; sum (x) y is a sum of products."""
        return "_" not in self.now.text and self.peek().text == "(" and self.bracket_has(",", ahead=1)

    def compares_indices(self) -> bool:
        """True before i = j or i != j, of two indices; one of them may occur nowhere else."""
        one, sign, other = self.now, self.peek(), self.peek(2)
        if sign.text not in ("=", "!=") or one.kind != "word" or other.kind != "word":
            return False
        used = [token.text in self.labels for token in (one, other)]
        return any(used) and all(
            known or (token.text.isalpha() and self.names.known is not None and not self.names.has(token.text))
            for token, known in zip((one, other), used, strict=True)
        )

    def summed(self, start: Token, below: str) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
        """The indices under the sum sign, and the pairs that must differ: {j != i}."""
        if "!=" in below or "≠" in below:
            one, other = (side.strip() for side in below.replace("≠", "!=").split("!=", 1))
            return (one,), [(one, other)]
        if any(sign in below for sign in "<>"):
            self.fail("a sum over a part of the indices is not read; multiply by 1[...] instead", start)
        first = below.split("=")[0]
        return (labels_of(first, start, self.text) if first.strip() else ()), []

    def upper_limit(self, start: Token, labels: tuple[str, ...], below: str) -> None:
        """^m after sum_{i=1}: the size is noted in `limits`; a sum over a part of the range is refused."""
        token = self.now
        first = [*below.split("="), ""][1].strip() or "1"
        if self.take("{", "("):
            tokens = []
            while self.now.text not in ("}", ")") and self.now.kind != "end":
                tokens.append(self.now.text)
                self.k += 1
            self.k += 1
        else:
            tokens = [token.text]
            self.k += 1
        size = tokens[0] if tokens else ""
        whole = (first == "1" and len(tokens) == 1) or (first == "0" and tokens[1:] == ["-", "1"])
        if not whole or not (size.isdigit() or self.names.find(size)):
            self.fail("a sum must run over the whole index: from 1 to its size, a name such as m", token)
        if labels:
            self.limits.append((labels[0], size))

    def bracket_has(self, *signs: str, ahead: int = 0) -> bool:
        """True when one of the signs stands in the bracket that opens here, and in no bracket inside it."""
        depth = 0
        for token in self.tokens[self.k + ahead :]:
            depth += (token.text in CLOSING) - (token.text in CLOSING.values())
            if depth == 0:
                return False
            if depth == 1 and token.text in signs:
                return True
        return False
