"""How pictures write what was computed: names of leaves, formulas of ops, labels of what flows back."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np

from tinygrad_edu.autograd.modes import Scope as OpenScope
from tinygrad_edu.autograd.node import Constant, Leaf, Node

PREFIX = 1.5  # the precedence of log, Σ, max and their like, which stand before their operand
NOT_ASSOCIATIVE = ("sub", "div", "floor_divide", "remainder")
LONGEST = 22  # a formula longer than this is not written out again inside another one
_SUPERSCRIPT = str.maketrans("0123456789-+.", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺·")
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Formulas:
    """Names and formulas over a collected graph; graph.py, which collects it, adds the records."""

    roots: list[Node]
    names: dict[Any, str]
    order: list[Any]
    users: dict[Any, list[tuple[Node, int]]]
    folded: set[Any]
    has_data: bool
    letters: int
    text: dict[Any, tuple[str, float]]  # how later formulas write a vertex, and its precedence

    def sources(self, node: Node) -> list[Any]:
        """What a node computed from; graph.py says how."""
        raise NotImplementedError

    def _source(self, item: Any) -> Any:
        """What is drawn in place of an input: the leaf behind a folded view, the op behind a detached constant."""
        while True:
            if item in self.folded:
                item = self.sources(item)[0]
            elif isinstance(item, Constant) and item.origin is not None:
                item = item.origin
            else:
                return item

    def _fed_by_data(self) -> dict[Any, bool]:
        """Which nodes depend on something that is no parameter."""
        fed: dict[Any, bool] = {}
        for item in self.order:
            if isinstance(item, Leaf):
                fed[item] = not self._is_parameter(item)
            elif isinstance(item, Constant):
                fed[item] = True
            else:
                fed[item] = any(fed.get(s, False) for s in self.sources(item) if isinstance(s, (Node, Constant)))
        return fed

    def _is_parameter(self, leaf: Leaf) -> bool:
        """Named by the caller, an nn.Parameter, or, beside data without grad, any tensor that is trained."""
        if leaf in self.names or getattr(leaf.tensor(), "_is_param", False):
            return True
        return not self.names and self.has_data

    def _leaf_role(self, item: Any, fed: dict[Any, bool]) -> str:
        if isinstance(item, Leaf):
            return "parameter" if self._is_parameter(item) else "input"
        if item.dtype.kind != "f":
            return "constant"
        user, place = self.users[item][0]
        others = [
            s
            for i, s in enumerate(self.sources(user))
            if i != place and isinstance(s, (Node, Constant)) and s is not item
        ]
        return "constant" if any(fed[s] for s in others) else "input"

    def _inner_scope(self, item: Any) -> OpenScope | None:
        """The scope of the first op that uses a leaf."""
        user = self.users[item][0][0] if item in self.users else None
        if user is not None and user in self.folded:
            user = self.users[user][0][0]
        return user.scope if user is not None else None

    def _given_name(self, item: Any) -> str:
        """A name from `params` or of the tensor itself; inside the box of conv1, conv1.weight is just weight."""
        name = self.names.get(item, "")
        if "." in name and self._inner_scope(item) is not None:
            return item.name or name.rpartition(".")[2]
        return name or item.name or ""

    def _name_leaves(self, roles: dict[Any, str]) -> None:
        given = {"input": "x", "parameter": "w", "constant": "c"}
        groups: dict[str, list[Any]] = {}
        for item, role in roles.items():
            name = self._given_name(item)
            if name:
                self.text[item] = (name, 4)
                continue
            letter = "y" if isinstance(item, Constant) and item.dtype.kind in "iu" else given[role]
            groups.setdefault(letter, []).append(item)
        given_names = {name for name, _ in self.text.values()} | {n.name for n in self.order if n.name}
        for letter, items in groups.items():
            alone = len(items) == 1 and letter not in given_names
            free = (f"{letter}{str(k).translate(_SUBSCRIPT)}" for k in itertools.count(1))
            unused = (name for name in free if name not in given_names)
            for item in items:
                self.text[item] = (letter if alone else next(unused), 4)

    def _operand(self, node: Node, i: int, precedence: float) -> str:
        """How the i-th input is written inside a formula of the given precedence, of `node`."""
        source = self.sources(node)[i]
        if source is None:
            return "·"
        if not isinstance(source, (Node, Constant)):
            return number_text(source)
        if isinstance(source, Node) and source in self.folded:
            leaf, own = self.text[self._source(source)]
            assert source.op is not None
            return leaf + "ᵀ" if source.op.name in ("transpose", "permute") else leaf
        text, own = self.text[self._source(source)]
        text += which_result(node.inputs[i])
        assert node.op is not None
        if precedence == PREFIX:
            needed = own < 2.5 and own != PREFIX  # log Σ x, but log (a · b)
        elif i == 1 and node.op.name in NOT_ASSOCIATIVE:
            needed = own <= precedence  # a − (b + c)
        else:
            needed = own < precedence
        return f"({text})" if needed else text

    def _formula(self, node: Node) -> tuple[str, str]:
        """The op's formula with its inputs written in, and how later formulas refer to the result."""
        op = node.op
        assert op is not None
        values = {k: number_text(v) for k, v in node.params.items()}
        if not op.variadic:
            for i, name in enumerate(op.inputs):
                values[name] = self._operand(node, i, op.precedence if op.precedence < 4 else 0)
        text = raised(op.formula.format(**values)) if op.formula else ""
        if node.name:
            self.text[node] = (node.name, 4)
            return (f"{node.name} = {text}" if text else node.name), node.name
        made_by = self._module_output(node)
        if made_by:
            self.text[node] = (made_by, 4)
        elif op.formula == "{x}" and isinstance(self.sources(node)[0], (Node, Constant)):
            self.text[node] = self.text[self._source(self.sources(node)[0])]  # a view is written as what it views
        elif text and len(text) <= LONGEST:
            self.text[node] = (text, op.precedence)
        else:
            # too long to be written out again: later formulas call it by a letter
            self.letters += 1
            letter = "h" + str(self.letters).translate(_SUBSCRIPT)
            self.text[node] = (letter, 4)
            return f"{letter} = {text}" if text else letter, letter
        return text, self.text[node][0]

    def _module_output(self, node: Node) -> str:
        """The name of the module that this op's result leaves, by which later formulas call it."""
        scope = node.scope
        if scope is None or scope.is_loss or scope.kind == scope.name or node in self.roots:
            return ""
        users = [user for user, _ in self.users.get(node, ())]
        if any(_within(user.scope, scope) for user in users):
            return ""
        # the third child of a Sequential is called 2: in a formula that would read as a number
        return scope.kind.lower() + scope.name.translate(_SUBSCRIPT) if scope.name.isdigit() else scope.name

    def _own(self, node: Node) -> str:
        """How backward labels call the result: its name, its formula if that is short, or its symbol."""
        op = node.op
        assert op is not None
        text = self.text[node][0].replace(" ", "")
        if not node.name and (len(text) > 7 or "[" in text):
            text = symbol_of(node)
        return f"({text})" if text in "+−×÷^" or any(c in "+−·/∗@[" for c in text[1:]) else text

    def _label(self, node: Node, i: int) -> str:
        """What flows back to the i-th input."""
        op = node.op
        assert op is not None
        name = op.inputs[0 if op.variadic else i]
        template = op.gradients.get(name, "")
        if not template:
            return ""
        own = self._own(node)
        values = {k: number_text(v) for k, v in node.params.items()} | {"grad": f"d{own}", "out": own}
        if not op.variadic:
            for k, other in enumerate(op.inputs):
                values[other] = self._operand(node, k, 3)
        source = self.sources(node)[i]
        text = raised(template.format(**values))
        return f"Σ {text}" if op.elementwise and tuple(source.shape) != tuple(node.shape) else text


def raised(text: str) -> str:
    """Exponents as superscripts: x^2 and x^(3−1) become x², a power of 1 goes without."""

    def power(match: re.Match[str]) -> str:
        exponent = float(match.group(1).replace("−", "-")) - (1 if match.group(2) else 0)
        return "" if exponent == 1 else f"{exponent:g}".translate(_SUPERSCRIPT)

    return re.sub(r"\^\(?([-−]?\d[\d.]*)(−1)?\)?", power, text)


def call_of(item: Any) -> Any:
    """The call of an autograd.Function in place of one of its several results; anything else is itself."""
    is_result = isinstance(item, Node) and item.op is not None and item.op.name.endswith(".result")
    return item.inputs[0] if is_result else item


def which_result(item: Any) -> str:
    """[k] for the k-th of several results of an autograd.Function."""
    return "" if call_of(item) is item else f"[{item.params['index']}]"


def symbol_of(node: Node) -> str:
    """The op's symbol, with the exponent of a power in its place: ( )²."""
    op = node.op
    assert op is not None
    if not op.symbol:
        return op.title
    return raised(op.symbol.format(**{k: number_text(v) for k, v in node.params.items()}))


def _within(scope: OpenScope | None, outer: OpenScope) -> bool:
    while scope is not None:
        if scope is outer:
            return True
        scope = scope.parent
    return False


def number_text(value: Any) -> str:
    """A parameter or a number as a formula shows it."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, float):
        exponent = math.log10(value) if 0 < value <= 1e-3 else 0.5
        if abs(exponent - round(exponent)) < 1e-6:  # 1e-5, also as float32 stores it
            return "10" + str(round(exponent)).translate(_SUPERSCRIPT)
        return f"{value:.4g}".replace("-", "−")
    return str(value).replace("-", "−") if isinstance(value, (int, tuple)) else str(value)
