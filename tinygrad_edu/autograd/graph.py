"""The recorded graph as plain data: frozen records that pictures and explanations read, and nothing else.

Parameters that only pass through a view on their way to one op (a transposed weight, a reshaped bias) are shown at that
op directly, and a tensor that was detached is shown as the op it came from, on a dotted path.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.autograd.modes import Scope as OpenScope
from tinygrad_edu.autograd.node import FREED, Constant, Leaf, Node
from tinygrad_edu.errors import GraphError
from tinygrad_edu.ops.registry import INPUT, INPUTS, OUT, Array
from tinygrad_edu.recording import live_node
from tinygrad_edu.tensor import Tensor

FOLDED = ("transpose", "reshape", "unsqueeze", "expand", "squeeze", "permute")
LONGEST = 22  # a formula longer than this is not written out again inside another one
_HIDDEN_PARAMS = ("index", "steps", "source", "dtype", "shape", "value")
_SUPERSCRIPT = str.maketrans("0123456789-+.", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺·")
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class Vertex:
    """One op and its output, or a leaf."""

    id: str
    role: str  # "input", "parameter", "constant", "op", "output"
    op: str  # registry name; "" for leaves
    title: str
    symbol: str
    name: str
    formula: str
    shape: tuple[int, ...]
    dtype: str
    value: Array | None
    grad: Array | None
    grad_state: str  # "computed", "pending", "none", "not kept"
    saved: bool  # kept for backward
    paths: int  # consumers that send a gradient
    scope: str
    detached: bool
    location: str
    position: int
    details: dict[str, str]


@dataclass(frozen=True)
class Edge:
    """Data flowing from source to target, and perhaps a gradient back."""

    source: str
    target: str
    input: str
    shape: tuple[int, ...]
    gradient: bool
    label: str
    detached: bool


@dataclass(frozen=True)
class Scope:
    """One call of a module or of a composite function."""

    id: str
    name: str
    kind: str
    detail: str
    parent: str
    is_loss: bool
    parameters: int


@dataclass(frozen=True)
class Graph:
    """Vertices in execution order with leaves before their first use, edges, and scopes with parents first."""

    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    scopes: tuple[Scope, ...]
    outputs: tuple[str, ...]
    parameters: int


def graph_of(*tensors: Tensor, params: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None = None) -> Graph:
    """The graph that leads to `tensors`.

    params: names for the leaves, as from `dict(model.named_parameters())`.
    Raises GraphError for a tensor without a graph.
    """
    roots = []
    for x in tensors:
        if not isinstance(x, Tensor):
            raise TypeError(f"graph: expected tensors, got {type(x).__name__}")
        node = live_node(x)
        if node is None:
            raise GraphError(
                "graph: this tensor has no recorded graph; it must come from operations on a tensor with "
                "requires_grad=True, outside no_grad() and without detach()"
            )
        roots.append(node)
    if not roots:
        raise TypeError("graph: give at least one tensor")
    names = dict(params.items() if isinstance(params, Mapping) else params or ())
    return _Builder(roots, {live_node(t): name for name, t in names.items() if live_node(t) is not None}).build()


class _Builder:
    """Turns nodes into records; everything iterative, in O(V + E)."""

    def __init__(self, roots: list[Node], names: dict[Any, str]) -> None:
        self.roots, self.names = roots, names
        self.order, self.detached = self._collect()
        self.users: dict[Any, list[tuple[Node, int]]] = {}
        for node in self.order:
            for i, source in enumerate(node.inputs if isinstance(node, Node) else ()):
                if isinstance(source, (Node, Constant)):
                    self.users.setdefault(source, []).append((node, i))
        self.folded = {n for n in self.order if self._folds(n)}
        self.has_data = any(isinstance(n, Constant) and n.origin is None and n.dtype.kind == "f" for n in self.order)
        self.ran = any(isinstance(n, Node) and (n.grad is not None or n.saved is FREED) for n in self.order)
        self.text: dict[Any, tuple[str, int]] = {}  # how later formulas write a vertex, and its precedence
        self.ids: dict[Any, str] = {}
        self.ops = 0
        self.letters = 0
        self.taken: set[str] = set()
        self.scope_ids: dict[OpenScope, str] = {}
        self.scopes: list[Scope] = []

    def _collect(self) -> tuple[list[Any], set[Any]]:
        main = self._ancestors(self.roots, set())
        origins = [c.origin for c in main if isinstance(c, Constant) and c.origin is not None]
        detached = self._ancestors([o for o in origins if o not in main], main)
        # a detached op stands for its constant
        return sorted(main | detached, key=lambda n: n.position), detached

    @staticmethod
    def _ancestors(starts: list[Any], known: set[Any]) -> set[Any]:
        found: set[Any] = set()
        stack = list(starts)
        while stack:
            node = stack.pop()
            if node in found or node in known:
                continue
            found.add(node)
            if isinstance(node, Node):
                stack += [s for s in node.inputs if isinstance(s, (Node, Constant))]
        return found

    def _folds(self, node: Any) -> bool:
        """A view of a leaf, used once, is drawn as the leaf."""
        if not isinstance(node, Node) or node.op is None or node.op.name not in FOLDED or node.name:
            return False
        return (
            isinstance(node.inputs[0], (Leaf, Constant))
            and len(self.users.get(node, ())) == 1
            and node not in self.roots
        )

    def _source(self, item: Any) -> Any:
        """What is drawn in place of an input: the leaf behind a folded view, the op behind a detached constant."""
        while True:
            if item in self.folded:
                item = item.inputs[0]
            elif isinstance(item, Constant) and item.origin is not None:
                item = item.origin
            else:
                return item

    # -- leaves, names and formulas -----------------------------------------------------------------------------------

    def _fed_by_data(self) -> dict[Any, bool]:
        """Which nodes depend on something that is no parameter."""
        fed: dict[Any, bool] = {}
        for item in self.order:
            if isinstance(item, Leaf):
                fed[item] = not self._is_parameter(item)
            elif isinstance(item, Constant):
                fed[item] = True
            else:
                fed[item] = any(fed.get(s, False) for s in item.inputs if isinstance(s, (Node, Constant)))
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
            s for i, s in enumerate(user.inputs) if i != place and isinstance(s, (Node, Constant)) and s is not item
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
        for letter, items in groups.items():
            for k, item in enumerate(items, 1):
                self.text[item] = (letter + (str(k).translate(_SUBSCRIPT) if len(items) > 1 else ""), 4)

    def _operand(self, node: Node, i: int, precedence: int) -> str:
        """How the i-th input is written inside the formula of `node`."""
        source = node.inputs[i]
        if source is None:
            return "·"
        if not isinstance(source, (Node, Constant)):
            return _number(source)
        if isinstance(source, Node) and source in self.folded:
            leaf, own = self.text[self._source(source)]
            assert source.op is not None
            return leaf + "ᵀ" if source.op.name in ("transpose", "permute") else leaf
        text, own = self.text[self._source(source)]
        return f"({text})" if own < precedence else text

    def _formula(self, node: Node) -> tuple[str, str]:
        """The op's formula with its inputs written in, and how later formulas refer to the result."""
        op = node.op
        assert op is not None
        values = {k: _number(v) for k, v in node.params.items()}
        if not op.variadic:
            for i, name in enumerate(op.inputs):
                values[name] = self._operand(node, i, op.precedence if op.precedence < 4 else 0)
        text = op.formula.format(**values) if op.formula else ""
        text = re.sub(r"\^\(?(-?\d[\d.]*)\)?", lambda m: m.group(1).translate(_SUPERSCRIPT), text)
        if node.name:
            self.text[node] = (node.name, 4)
            return (f"{node.name} = {text}" if text else node.name), node.name
        made_by = self._module_output(node)
        if made_by:
            self.text[node] = (made_by, 4)
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
        return "" if any(_within(user.scope, scope) for user in users) else scope.name

    def _own(self, node: Node) -> str:
        """How backward labels call the result: its name, its formula if that is short, or its symbol."""
        op = node.op
        assert op is not None
        text = self.text[node][0].replace(" ", "")
        if not node.name and len(text) > 7:
            text = op.symbol or op.title
        return f"({text})" if any(c in "+−·/∗@[" for c in text[1:]) else text

    def _label(self, node: Node, i: int) -> str:
        """What flows back to the i-th input."""
        op = node.op
        assert op is not None
        name = op.inputs[0 if op.variadic else i]
        template = op.gradients.get(name, "")
        if not template:
            return ""
        own = self._own(node)
        values = {k: _number(v) for k, v in node.params.items()} | {"grad": f"d{own}", "out": own}
        if not op.variadic:
            for k, other in enumerate(op.inputs):
                values[other] = self._operand(node, k, 3)
        source = node.inputs[i]
        text = template.format(**values)
        return f"Σ {text}" if op.elementwise and tuple(source.shape) != tuple(node.shape) else text

    # -- records ------------------------------------------------------------------------------------------------------

    def _id(self, item: Any, wish: str) -> str:
        self.ids[item] = self._unique(wish)
        return self.ids[item]

    def _unique(self, wish: str) -> str:
        base = _ascii(wish) or "v"
        unique, k = base, 2
        while unique in self.taken:
            unique, k = f"{base}_{k}", k + 1
        self.taken.add(unique)
        return unique

    def _scope(self, scope: OpenScope | None) -> str:
        """The id of a scope, its parents registered first."""
        chain = []
        while scope is not None and scope not in self.scope_ids:
            chain.append(scope)
            scope = scope.parent
        for item in reversed(chain):
            unique = self._unique(item.name)
            parent = self.scope_ids[item.parent] if item.parent is not None else ""
            self.scope_ids[item] = unique
            self.scopes.append(Scope(unique, item.name, item.kind, item.detail, parent, item.is_loss, item.parameters))
        found = chain[0] if chain else scope
        return self.scope_ids[found] if found is not None else ""

    def _kept(self) -> set[Any]:
        """What is kept for backward, by its consumer or by itself."""
        kept: set[Any] = set()
        for node in self.order:
            if not isinstance(node, Node) or node.plan is None or node in self.detached:
                continue
            for kind, key in node.plan.saves:
                if kind == OUT:
                    kept.add(node)
                elif kind == INPUT and isinstance(node.inputs[key], (Node, Constant)):
                    kept.add(self._source(node.inputs[key]))
                elif kind == INPUTS:
                    kept.update(self._source(s) for s in node.inputs if isinstance(s, (Node, Constant)))
        return kept

    def build(self) -> Graph:
        fed = self._fed_by_data()
        drawn = [
            n for n in self.order if n not in self.folded and not (isinstance(n, Constant) and n.origin is not None)
        ]
        leaves = [n for n in drawn if not isinstance(n, Node) or n.op is None]
        roles = {leaf: self._leaf_role(leaf, fed) for leaf in leaves if leaf in self.users or leaf in self.roots}
        self._name_leaves(roles)
        kept = self._kept()
        edges: list[tuple[Any, Any, int, bool]] = []
        formulas: dict[Any, str] = {}
        labels: dict[tuple[Any, int], str] = {}
        paths: dict[Any, int] = {}
        for node in drawn:
            if not isinstance(node, Node) or node.op is None:
                continue
            formulas[node], _ = self._formula(node)
            for i, source in enumerate(node.inputs):
                if not isinstance(source, (Node, Constant)):
                    continue
                flows = node.plan is not None and i in node.plan.active and node not in self.detached
                edges.append((self._source(source), node, i, flows))
                if flows:
                    labels[node, i] = self._label(node, i)
                    paths[self._source(source)] = paths.get(self._source(source), 0) + 1
        vertices = [self._vertex(item, roles, formulas, kept, paths) for item in self._leaves_first(drawn, edges)]
        records = [self._edge(*edge, labels=labels) for edge in edges]
        total = sum(int(np.prod(leaf.shape)) for leaf, role in roles.items() if role == "parameter")
        return Graph(
            tuple(vertices), tuple(records), tuple(self.scopes), tuple(self.ids[root] for root in self.roots), total
        )

    def _leaves_first(self, drawn: list[Any], edges: list[tuple[Any, Any, int, bool]]) -> list[Any]:
        """Ops in execution order, each leaf just before its first use: a parameter is older than the data it meets."""
        leaf_of: dict[Any, list[Any]] = {}
        placed: set[Any] = set()
        for source, target, _, _ in edges:
            if (not isinstance(source, Node) or source.op is None) and source not in placed:
                placed.add(source)
                leaf_of.setdefault(target, []).append(source)
        ordered: list[Any] = []
        for item in drawn:
            if isinstance(item, Node) and item.op is not None:
                ordered += leaf_of.get(item, [])
                ordered.append(item)
            elif item not in placed and item in self.roots:
                ordered.append(item)
        return ordered

    def _vertex(
        self, item: Any, roles: dict[Any, str], formulas: dict[Any, str], kept: set[Any], paths: dict[Any, int]
    ) -> Vertex:
        value = item.value()
        if isinstance(item, Node) and item.op is not None:
            return self._op_vertex(item, value, formulas[item], item in kept, paths.get(item, 0))
        role = roles[item]
        name = self.text[item][0]
        grad: Array | None = None
        state = "none"
        if isinstance(item, Leaf):
            tensor = item.tensor()
            held = tensor.grad if tensor is not None else None
            grad = held.array if held is not None else None
            state = "computed" if grad is not None else "not kept" if self.ran and tensor is None else "pending"
        inner = None if role == "input" else self._inner_scope(item)
        wish = f"{role}_{name}"
        if role == "parameter":
            wish = self.names.get(item) or (f"{inner.name}_{name}" if inner is not None else name)
        return Vertex(
            id=self._id(item, wish),
            role=role,
            op="",
            title=name,
            symbol="",
            name=name,
            formula="",
            shape=tuple(item.shape),
            dtype=str(value.dtype) if value is not None else "",
            value=value,
            grad=grad,
            grad_state=state,
            saved=item in kept,
            paths=paths.get(item, 0),
            scope=self._scope(inner),
            detached=item in self.detached,
            location="",
            position=item.position,
            details={},
        )

    def _op_vertex(self, node: Node, value: Array | None, formula: str, saved: bool, paths: int) -> Vertex:
        op = node.op
        assert op is not None
        self.ops += 1
        detached = node in self.detached
        grad = None if node.grad is None else np.asarray(getattr(node.grad, "array", node.grad))
        state = "computed" if grad is not None else "not kept" if self.ran else "pending"
        shown = {
            k: _number(v)
            for k, v in node.params.items()
            if k not in _HIDDEN_PARAMS and v is not None and v != op.defaults.get(k)
        }
        return Vertex(
            id=self._id(node, f"op{self.ops}"),
            role="output" if node in self.roots else "op",
            op=op.name,
            title=op.title,
            symbol=op.symbol,
            name=node.name,
            formula=formula,
            shape=tuple(node.shape),
            dtype=str(value.dtype) if value is not None else "",
            value=value,
            grad=None if detached else grad,
            grad_state="none" if detached else state,
            saved=saved,
            paths=paths,
            scope=self._scope(node.scope),
            detached=detached,
            location=node.location,
            position=node.position,
            details=shown,
        )

    def _edge(self, source: Any, target: Any, i: int, flows: bool, *, labels: dict[tuple[Any, int], str]) -> Edge:
        op = target.op
        via_detach = isinstance(target.inputs[i], Constant) and target.inputs[i].origin is not None
        return Edge(
            source=self.ids[source],
            target=self.ids[target],
            input=op.inputs[0 if op.variadic else i],
            shape=tuple(target.inputs[i].shape),
            gradient=flows,
            label=labels.get((target, i), ""),
            detached=via_detach or target in self.detached,
        )


def _within(scope: OpenScope | None, outer: OpenScope) -> bool:
    while scope is not None:
        if scope is outer:
            return True
        scope = scope.parent
    return False


def _ascii(text: str) -> str:
    """`text` in ASCII letters, digits and _: "γ" becomes gamma and "W₁" W1."""
    parts = []
    for c in unicodedata.normalize("NFKD", text):
        if c.isascii():
            parts.append(c if c.isalnum() else "_")
        elif not unicodedata.combining(c):
            parts.append(unicodedata.name(c, "").rpartition(" ")[2].lower())
    return re.sub("_+", "_", "".join(parts)).strip("_")


def _number(value: Any) -> str:
    """A parameter or a number as a formula shows it."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, float):
        exponent = math.log10(value) if 0 < value <= 1e-3 else 0.5
        if abs(exponent - round(exponent)) < 1e-6:  # 1e-5, also as float32 stores it
            return "10" + str(round(exponent)).translate(_SUPERSCRIPT)
        return f"{value:.4g}".replace("-", "−")
    return str(value).replace("-", "−") if isinstance(value, (int, tuple)) else str(value)
