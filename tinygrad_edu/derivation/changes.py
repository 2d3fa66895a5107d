"""What a repair is made of: a changed tree with its slip, its plausibility and its words; and numbers as trees."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tinygrad_edu.derivation.expressions import Expression, Path, number
from tinygrad_edu.derivation.situation import Place

__all__ = ["Change", "Said", "constant", "fraction", "is_term", "said", "shown", "written"]

ADDING = ("add", "sub")
PRODUCTS = ("mul", "div", "matmul")


def shown(tree: Expression, products: str = "entries") -> str:
    """A formula as text; products: what factors side by side mean in it."""
    from tinygrad_edu.derivation.text import text_of

    return text_of(tree, products=products)


@dataclass(frozen=True)
class Said:
    """A sentence about parts of a formula, written out only when somebody reads it: few of all changes are right."""

    template: str
    parts: tuple[object, ...] = ()

    def text(self, products: str) -> str:
        """The sentence, with formulas in the notation in which factors side by side mean `products`."""
        return self.template.format(*(_text(x, products) for x in self.parts))


def _text(x: object, products: str) -> object:
    if isinstance(x, Expression):
        return shown(x, products)
    return x.text(products) if isinstance(x, Said) else x


def said(template: str, *parts: object) -> Said:
    """A sentence with {} for each part, a tree or text."""
    return Said(template, parts)


@dataclass(frozen=True)
class Change:
    """A changed tree: the kind of slip it undoes, and how plausible that slip is (a small cost is likely).

    words: a sentence.  short: a few words for a picture.  path: the place.
    """

    slip: str
    cost: float
    tree: Expression
    words: Said
    short: Said
    path: Path = ()


def is_term(place: Place) -> bool:
    """The whole, a summand, or what is summed."""
    return not place.exponent and (place.parent is None or place.parent.op in (*ADDING, "sum", "mean", "neg", "where"))


def constant(tree: Expression) -> Fraction | None:
    """The value of a number, of −p or of p/q; None for anything else."""
    if tree.op == "number":
        return Fraction(tree.data).limit_denominator(1000)
    if tree.op == "neg":
        inner = constant(tree.args[0])
        return None if inner is None else -inner
    if tree.op not in ("div", "mul", *ADDING):
        return None
    x, y = (constant(arg) for arg in tree.args)
    if x is None or y is None:
        return None
    if tree.op == "div":
        return x / y if y else None
    return x * y if tree.op == "mul" else x + y if tree.op == "add" else x - y


def fraction(value: Fraction) -> Expression:
    """A fraction as a tree."""
    size = number(abs(value.numerator))
    tree = size if value.denominator == 1 else Expression("div", (size, number(value.denominator)))
    return Expression("neg", (tree,)) if value < 0 else tree


def written(value: Fraction) -> str:
    """−3/2."""
    sign = "−" if value < 0 else ""
    size = abs(value)
    return f"{sign}{size.numerator}" + ("" if size.denominator == 1 else f"/{size.denominator}")
