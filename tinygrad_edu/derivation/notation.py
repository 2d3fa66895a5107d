"""Formulas as text: `df/dgamma = sum_i g_i xhat_i` becomes a tree.  The notation is described in docs/notation.md.

formula  = sum [("if" | "where") condition [","] "else" formula]
condition= sum (">" | ">=" | "<" | "<=" | "=" | "!=") sum {"and" condition}
sum      = ["-"] product {("+" | "-") ["-"] product}
product  = chain {"*" chain | "@" factor | "/" factor | factor}          from left to right
chain    = factor {factor | "/" factor}                                  side by side binds tighter than *
factor   = "-" factor | ("sum" | "mean") product | function factor | power
power    = atom {"_" indices | "^T"} ["^" factor]
atom     = number | name | d name / d name | delta | "(" formula ")" | function "(" formulas ")"
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from tinygrad_edu.derivation.expressions import ELEMENTWISE, FUNCTIONS, Expression, places
from tinygrad_edu.derivation.reader import CLOSING, RESERVED, Reader, equals_sign, free_labels
from tinygrad_edu.derivation.slopes import SLOPES
from tinygrad_edu.derivation.statements import Names, Statement, Word, parse_target
from tinygrad_edu.derivation.tokens import Token, problem

__all__ = ["DEEPEST", "free_labels", "parse", "parse_formula"]

DEEPEST = 200  # a tree deeper than this is refused: what evaluates it calls itself once per level
_ALIASES = {"ln": "log", "sgn": "sign", "max": "maximum", "min": "minimum"}
_COMPARISONS = (">", ">=", "<", "<=", "=", "!=")
_PRODUCTS = {"entries": "mul", "matrices": "matmul"}


def parse(
    text: str, *, products: str = "entries", known: Collection[str] | None = None, loss: str | None = None
) -> Statement:
    """The statement "left = right": `df/dx_i = 1/m sum_j df/dxhat_j`.

    products: what factors side by side mean: "entries" (numbers, or entry by entry) or "matrices" (the matrix product).
    known: the names that may occur, of values, sizes and constants; None accepts any.  loss: what the loss is called.
    Raises FormulaError that shows the place when the text is no such statement.
    """
    at = equals_sign(text)
    left = parse_target(text[:at], known, loss=loss)
    labels: Collection[str] = left.indices
    if left.of and not left.of.isidentifier() and any(c in left.of for c in "(+-*/^ "):
        formula = _Parser(left.of, products, known, loss, labels).whole()
        of_indices = tuple(label for label in free_labels(formula) if label not in left.by_indices)
        of_indices = tuple(dict.fromkeys(of_indices))
        left = replace(left, expression=formula, of_indices=of_indices)
    parser = _Parser(text, products, known, loss, left.indices, after=at + 1)
    right = parser.whole()
    return Statement(left, right, text.strip(), tuple(parser.limits))


def parse_formula(
    text: str,
    *,
    products: str = "entries",
    known: Collection[str] | None = None,
    loss: str | None = None,
    labels: Collection[str] = (),
) -> Expression:
    """The tree of a formula without a left side.  labels: the indices that the left side would have."""
    return _Parser(text, products, known, loss, labels).whole()


class _Parser(Reader):
    """Reads one formula from left to right, one method per line of the grammar above."""

    def __init__(
        self,
        text: str,
        products: str,
        known: Collection[str] | None,
        loss: str | None,
        labels: Collection[str],
        after: int = 0,
    ) -> None:
        if products not in _PRODUCTS:
            raise ValueError(f"products is {products!r}; it must be 'entries' or 'matrices'")
        super().__init__(text, known, loss, labels, after)
        self.side_by_side = _PRODUCTS[products]

    # -- the grammar ---------------------------------------------------------------------------------------------------

    def whole(self) -> Expression:
        if self.now.kind == "end":
            self.fail("the formula is empty")
        tree = self.formula()
        if self.now.text == "=":
            self.fail("a second =; give each equality a label of its own")
        if self.now.kind != "end":
            self.fail(f"{self.now.text!r} is not expected here")
        deepest = max(len(path) for path, _ in places(tree))
        if deepest > DEEPEST:
            raise problem(self.text, 0, f"{deepest} operations inside one another, more than {DEEPEST}; name its parts")
        return tree

    def formula(self) -> Expression:
        start = self.now
        tree = self.sum()
        if self.take("if", "where"):
            condition, negated = self.condition()
            self.take(",")
            if not self.take("else", "otherwise"):
                self.fail("and else? Write x if x > 0 else 0")
            other = self.formula()
            tree = self.node(start, "where", (condition, other, tree) if negated else (condition, tree, other))
        return tree

    def condition(self) -> tuple[Expression, bool]:
        """A comparison, and whether its opposite is meant (i != j is not delta_ij)."""
        start = self.now
        one, other = self.now, self.peek(2)
        if self.compares_indices():
            self.k += 3
            delta = self.node(start, "delta", (), (one.text, other.text))
            if self.tokens[self.k - 2].text == "=":
                tree, negated = delta, False
            elif self.now.text == "and":
                tree, negated = self._not(start, delta), False
            else:
                return delta, True
        else:
            tree, negated = self.comparison(start, self.sum()), False
        while self.take("and"):
            more, opposite = self.condition()
            tree = self.node(start, "mul", (tree, self._not(start, more) if opposite else more))
        return tree, negated

    def comparison(self, start: Token, tree: Expression) -> Expression:
        if self.now.text not in _COMPARISONS:
            self.fail("a comparison is expected, as in x > 0 or i = j")
        out: Expression | None = None
        while self.now.text in _COMPARISONS:  # 0 < x < 1 holds when both do
            sign = self.now.text
            self.k += 1
            right = self.sum()
            compared = self.node(start, "compare", (tree, right), sign)
            out = compared if out is None else self.node(start, "mul", (out, compared))
            tree = right
        assert out is not None
        return out

    def _not(self, start: Token, condition: Expression) -> Expression:
        return self.node(start, "sub", (Expression("number", (), 1.0), condition))

    def sum(self) -> Expression:
        start = self.now
        self.take("+")
        tree = self.product()
        while self.now.text in ("+", "-"):
            op = "add" if self.now.text == "+" else "sub"
            self.k += 1
            tree = self.node(start, op, (tree, self.product()))
        return tree

    def product(self) -> Expression:
        start = self.now
        if self.take("-"):
            return self.deeper(lambda: self.node(start, "neg", (self.product(),)))
        tree = self.chain()
        while True:
            if self.take("*"):
                tree = self.node(start, "mul", (tree, self.chain()))
            elif self.take("@"):
                tree = self.node(start, "matmul", (tree, self.factor()))
            elif self.take("/"):
                tree = self.node(start, "div", (tree, self.denominator()))
            elif self.take("·") or self.starts_factor():
                tree = self.node(start, self.side_by_side, (tree, self.factor()))
            else:
                return tree

    def chain(self) -> Expression:
        start = self.now
        tree = self.factor()
        while True:
            if self.take("/"):
                tree = self.node(start, "div", (tree, self.denominator()))
            elif self.take("·") or self.starts_factor():
                tree = self.node(start, self.side_by_side, (tree, self.factor()))
            else:
                return tree

    def starts_factor(self) -> bool:
        token = self.now
        if token.kind == "number" and self.tokens[self.k - 1].kind == "number":
            self.fail("two numbers side by side; write * between them")
        return token.kind == "number" or token.text in CLOSING or (token.kind == "word" and token.text not in RESERVED)

    def denominator(self) -> Expression:
        token = self.now
        if token.kind == "number" and self.peek().kind == "word" and self.peek().glued:
            below = f"{token.text}{self.peek().text}"
            self.fail(
                f"what stands under the bar in /{below}? Put it in parentheses: /({below}), or write a space", token
            )
        tree = self.factor()
        if (
            tree.op in ("sum", "mean")
            and token.text.split("_")[0] in ("sum", "mean")
            and tree.args[0].op
            in (
                "mul",
                "div",
                "matmul",
            )
        ):
            self.fail("what of this stands under the fraction bar? Put the sum in parentheses", token)
        return tree

    def factor(self) -> Expression:
        start = self.now
        if self.take("-"):
            return self.deeper(lambda: self.node(start, "neg", (self.factor(),)))
        base = start.text.split("_")[0]
        if start.kind == "word" and not self.names.has(base) and not self.names.has(start.text):
            if base in ("sum", "mean") and not self.has_options():
                return self.deeper(lambda: self.reduction(base))
            function = _ALIASES.get(base, base)
            if base == "sigma" and self.peek().text == "(":
                function = "sigmoid"
            if start.text in SLOPES or (start.text in ELEMENTWISE and self.peek().text == "^"):
                return self.deeper(lambda: self.applied(start))
            if function in FUNCTIONS and start.text == base and self.peek().text != "(":
                self.k += 1
                return self.deeper(lambda: self.node(start, "call", (self.factor(),), function))
        return self.power()

    def power(self) -> Expression:
        start = self.now
        tree = self.atom()
        while True:
            if self.now.text == "_":
                self.k += 1
                tree = self.node(start, "index", (tree,), self.subscript())
            elif self.now.text == "^" and self.peek().text.split("_")[0] == "T":
                transposed = self.peek()
                self.k += 2
                tree = self.node(start, "transpose", (tree,))
                if "_" in transposed.text:
                    word = Names(None).split(transposed, self.text)
                    assert word is not None
                    tree = self.node(start, "index", (tree,), word.indices)
            else:
                break
        if self.now.text == "^":
            sign = self.now
            self.k += 1
            self.unclear_exponent(sign)
            tree = self.node(start, "pow", (tree, self.deeper(self.factor)))
        return tree

    def atom(self) -> Expression:
        token = self.now
        if token.kind == "number":
            self.k += 1
            if token.text == "1" and self.now.glued and self.bracket_has(*_COMPARISONS):  # 1[x > 0]
                return self.deeper(self.group)
            return self.node(token, "number", (), float(token.text))
        if token.text in CLOSING:
            return self.deeper(self.group)
        if token.kind == "word":
            return self.word()
        if token.kind == "end":
            self.fail("the formula stops here; a factor is missing")
        return self.fail(f"a number, a name or a bracket is expected, not {token.text!r}")

    def group(self) -> Expression:
        opening = self.now
        self.k += 1
        start = self.now
        if self.compares_indices():
            tree, negated = self.condition()
            tree = self._not(start, tree) if negated else tree
        else:
            tree = self.formula()
            if self.now.text in _COMPARISONS:
                tree = self.comparison(start, tree)
                while self.take("and"):
                    more, negated = self.condition()
                    tree = self.node(start, "mul", (tree, self._not(start, more) if negated else more))
        if not self.take(CLOSING[opening.text]):
            came = repr(self.now.text) if self.now.text else "the end"
            self.fail(f"the bracket {opening.text} is not closed: {CLOSING[opening.text]} is missing before {came}")
        return tree

    # -- words -------------------------------------------------------------------------------------------------------

    def word(self) -> Expression:
        token = self.now
        base = token.text.split("_")[0]
        if base in ("sum", "mean") and not self.names.has(base) and self.has_options():
            return self.deeper(lambda: self.over_axis(base))
        if self.peek().text == "(":
            function = "sigmoid" if base == "sigma" and not self.names.has("sigma") else _ALIASES.get(base, base)
            if function in FUNCTIONS and token.text == base and not (self.names.has(base) and base not in FUNCTIONS):
                return self.deeper(lambda: self.call(function))
        derivative = self.derivative()
        if derivative is not None:
            return derivative
        word = self.names.split(token, self.text)
        if base == "delta" and "_" in token.text and (word is None or self.names.known is None):
            return self.delta()
        if word is None:
            if token.text == "e" and self.peek().text == "^" and "e" not in self.labels:
                self.k += 2
                return self.node(token, "call", (self.deeper(self.factor),), "exp")
            self.unknown(token)
        self.k += 1
        return self.indexed(token, word.name, word.indices + self.superscript())

    def indexed(self, start: Token, name: str, indices: tuple[Any, ...]) -> Expression:
        tree = self.node(start, "name", (), name)
        if self.now.text == "[" and self.now.glued and not indices:
            indices = self.bracket_indices()
        return self.node(start, "index", (tree,), indices) if indices else tree

    def derivative(self) -> Expression | None:
        """df/dx_i, dxhat_i^s/dx_j^r, and dx for the gradient when the loss has a name."""
        top, start = self.now, self.k
        if top.text[0] != "d" or len(top.text) == 1:
            return None
        divided = self.peek().text == "/" and self.names.derivative(top, self.peek(2), self.text)
        if self.names.known is not None and self.names.split(top, self.text) and not divided:
            return None
        self.k += 1
        above = self.superscript()
        bottom = self.peek()
        below = self.now.text == "/" and bottom.kind == "word"
        if below and bottom.text[0] == "d" and not self.names.has(bottom.text):
            pair = self.names.derivative(top, bottom, self.text)
            if pair is not None:
                of, by = pair
                self.k += 2
                indices = of.indices + above + by.indices + self.superscript()
                return self.indexed(top, f"d{of.name}/d{by.name}", indices)
        else:
            by_alone: Word | None = self.names.split(top, self.text, top.text[1:]) if self.names.known else None
            if by_alone is not None and self.names.loss:
                return self.indexed(top, f"d{self.names.loss}/d{by_alone.name}", by_alone.indices + above)
        self.k = start
        return None

    # -- functions and sums -----------------------------------------------------------------------------------------

    def applied(self, start: Token) -> Expression:
        """tanh'(x), the slope; tanh^2(x), a power of the value."""
        self.k += 1
        exponent: Expression | None = None
        if self.take("^"):
            if self.now.kind != "number":
                self.fail(
                    f"a power of {start.text} is a number, as in {start.text}^2(x); else write ({start.text}(x))^"
                )
            exponent = self.atom()
        x = self.group() if self.now.text == "(" else self.factor()
        if exponent is None:
            return self.node(start, (tree := SLOPES[start.text](x)).op, tree.args, tree.data)
        return self.node(start, "pow", (self.node(start, "call", (x,), start.text), exponent))

    def call(self, function: str) -> Expression:
        start = self.now
        self.k += 2
        args = [self.formula()]
        while self.take(","):
            args.append(self.formula())
        self.expect(")", f"the arguments of {start.text}")
        expected = 2 if function in ("maximum", "minimum", "outer") else 1
        if len(args) != expected:
            self.fail(f"{start.text} takes {expected} argument{'s'[: expected - 1]}, not {len(args)}", start)
        return self.node(start, "call", tuple(args), function)

    def reduction(self, op: str) -> Expression:
        """sum_i, sum_{i=1}^m, sum_{j != i}, or a bare sum over the indices that the left side does not have."""
        start = self.now
        self.k += 1
        below = start.text[len(op) + 1 :].strip("{}()")
        labels, without = self.summed(start, below)
        if self.take("^"):
            self.upper_limit(start, labels, below)
        called = start.text == op and self.now.text == "(" and self.now.glued and start.end == start.start + len(op)
        if called:  # sum(x) y: Python's sum ends at the bracket, that of mathematics does not
            body = self.deeper(self.group)
            if self.now.text in ("*", "/", "@", "^", "·", "_") or self.starts_factor():
                self.fail(f"does the {op} take this in? Write ({op}(...)) or {op} (...) with a space to say so")
        else:
            body = self.product()
        for label, other in without:
            body = self.node(
                start, self.side_by_side, (self._not(start, Expression("delta", (), (label, other))), body)
            )
        if not labels:
            labels = tuple(label for label in free_labels(body) if label not in self.left)
        return self.node(start, op, (body,), labels or None)

    def over_axis(self, op: str) -> Expression:
        """sum(x, axis=0), sum(x, axis=all), sum(x, axis=-1, keep)."""
        start = self.now
        self.k += 2
        body = self.formula()
        self.expect(",", start.text)
        axis: int | None = None
        if self.take("axis"):
            self.expect("=", "axis")
            minus = self.take("-")
            if not self.take("all"):
                if not self.now.text.isdigit():
                    self.fail("axis is a whole number or all")
                axis = -int(self.now.text) if minus else int(self.now.text)
                self.k += 1
            self.take(",")
        elif self.now.text != "keep":
            self.fail(f"after the comma: axis=0, axis=all or keep; {op}_i sums over an index")
        keep = self.take("keep")
        self.expect(")", start.text)
        return self.node(start, op, (body,), (axis, True) if keep else axis)
