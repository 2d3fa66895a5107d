"""The recorded graph as plain data: `graph_of` turns nodes into the frozen records of records.py, in O(V + E).

Parameters that only pass through a view on their way to one op (a transposed weight, a reshaped bias) are shown at that
op directly, and a tensor that was detached is shown as the op it came from, on a dotted path.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_edu.autograd.engine import replay, walk
from tinygrad_edu.autograd.formulas import Formulas, call_of, number_text, symbol_of
from tinygrad_edu.autograd.lanes import completed, gradient_roots
from tinygrad_edu.autograd.modes import Scope as OpenScope
from tinygrad_edu.autograd.node import FREED, Constant, Leaf, Node
from tinygrad_edu.autograd.records import Edge, Graph, Scope, Vertex
from tinygrad_edu.autograd.versions import clock
from tinygrad_edu.errors import GraphError
from tinygrad_edu.ops.registry import INPUT, INPUTS, OUT, Array
from tinygrad_edu.recording import lift, live_node
from tinygrad_edu.tensor import Tensor

__all__ = ["Edge", "Graph", "Scope", "Vertex", "graph_of", "vertex_of"]

FOLDED = ("transpose", "reshape", "unsqueeze", "expand", "squeeze", "permute")
_HIDDEN_PARAMS = ("index", "steps", "source", "dtype", "shape", "value")


def graph_of(
    *tensors: Tensor,
    params: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None = None,
    backward: bool = False,
) -> Graph:
    """The graph that leads to `tensors`.

    params: names for the leaves, as from `dict(model.named_parameters())`.
    backward: with the graph of their gradients, which `backward(create_graph=True)` has recorded, or which is recorded
    now; its vertices have `order` 1 (and more, if it was differentiated again) and an `origin`.
    Raises GraphError for a tensor without a graph; with `backward`, as `lanes.gradient_roots` says.
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
    gradients, leaf_of = gradient_roots(roots) if backward else ([], {})
    builder = _Builder(
        roots + [g.node for g in gradients],
        {live_node(t): name for name, t in names.items() if live_node(t) is not None},
    )
    builder.gradients = leaf_of
    return builder.build()


def vertex_of(graph: Graph, tensor: Tensor) -> str:
    """The id of the vertex that shows `tensor`; "" if the graph does not contain it."""
    node = live_node(tensor) or tensor.__dict__.get("_constant") or tensor.__dict__.get("_origin")
    return "" if node is None else graph.places.get(node.position, "")


class _Builder(Formulas):
    """Turns nodes into records; everything iterative, in O(V + E)."""

    def __init__(self, roots: list[Node], names: dict[Any, str]) -> None:
        self.open: dict[Node, Node] = {}
        self.inside: dict[Any, tuple[int, int]] = {}
        self.seen: dict[Node, list[Any]] = {}
        self.roots, self.names = [self.opened(root) for root in roots], names
        self.order, self.detached = self._collect()
        self.users: dict[Any, list[tuple[Node, int]]] = {}
        for node in self.order:
            for i, source in enumerate(self.sources(node) if isinstance(node, Node) else ()):
                if isinstance(source, (Node, Constant)):
                    self.users.setdefault(source, []).append((node, i))
        self.folded = {n for n in self.order if self._folds(n)}
        self.has_data = any(isinstance(n, Constant) and n.origin is None and n.dtype.kind == "f" for n in self.order)
        self.ran = any(isinstance(n, Node) and (n.grad is not None or n.saved is FREED) for n in self.order)
        self.text = {}
        self.ids: dict[Any, str] = {}
        self.ops = 0
        self.letters = 0
        self.taken: set[str] = set()
        self.tried: dict[str, int] = {}
        self.scope_ids: dict[OpenScope, str] = {}
        self.scopes: list[Scope] = []
        self.gradients: dict[Any, Any] = {}  # node of a gradient -> the leaf it belongs to

    def _collect(self) -> tuple[list[Any], set[Any]]:
        main = self._ancestors(self.roots, set())
        origins = [c.origin for c in main if isinstance(c, Constant) and c.origin is not None]
        detached = self._ancestors([o for o in origins if o not in main], main)
        # a detached op stands for its constant
        return sorted(main | detached, key=self._when), detached

    def _when(self, item: Any) -> tuple[int, int]:
        """Execution order; the primitives of an opened op come where the op was."""
        return self.inside.get(item, (item.position, 0))

    def opened(self, node: Any) -> Any:
        """The primitives that a fused node stands for, by the node of their result, while its inputs are kept."""
        node = call_of(node)
        if not isinstance(node, Node) or node.plan is None or node.plan.joint is None or node.saved is FREED:
            return node
        if node.op is None or node.op.composition is None:
            return node  # an autograd.Function is drawn as one op
        if node not in self.open:
            replayed = next(clock)
            out, starts = replay(node, lift)
            if node.grad is not None:
                seed = np.asarray(getattr(node.grad, "array", node.grad))
                ends = [start.node for i, start in enumerate(starts) if i in node.plan.active]
                walk([(out.node, seed)], retain_graph=True, create_graph=False, lift=lift, targets=ends)
            if node.name:
                out.node.name = node.name
            self.open[node] = out.node
            stack: list[Any] = [out.node]
            while stack:
                inner = stack.pop()
                if isinstance(inner, (Node, Constant)) and inner.position > replayed and inner not in self.inside:
                    self.inside[inner] = (node.position, inner.position)
                    stack += inner.inputs if isinstance(inner, Node) else [inner.origin]
        return self.open[node]

    def sources(self, node: Node) -> list[Any]:
        """What a node computed from, fused ops opened and the aliases where a replay began left out."""
        found = self.seen.get(node)
        if found is None:
            found = []
            for source in node.inputs:
                while isinstance(source, Node) and source.op is not None and source.op.name == "alias":
                    source = source.inputs[0]
                found.append(self.opened(source))
            self.seen[node] = found
        return found

    def _ancestors(self, starts: list[Any], known: set[Any]) -> set[Any]:
        found: set[Any] = set()
        stack = list(starts)
        while stack:
            node = stack.pop()
            if node in found or node in known:
                continue
            found.add(node)
            if isinstance(node, Node):
                stack += [s for s in self.sources(node) if isinstance(s, (Node, Constant))]
        return found

    def _folds(self, node: Any) -> bool:
        """A view of a leaf, used once, is drawn as the leaf."""
        if not isinstance(node, Node) or node.op is None or node.op.name not in FOLDED or node.name:
            return False
        return (
            isinstance(self.sources(node)[0], (Leaf, Constant))
            and len(self.users.get(node, ())) == 1
            and node not in self.roots
        )

    # -- records ------------------------------------------------------------------------------------------------------

    def _id(self, item: Any, wish: str) -> str:
        self.ids[item] = self._unique(wish)
        return self.ids[item]

    def _unique(self, wish: str) -> str:
        base = _ascii(wish) or "v"
        unique, k = base, self.tried.get(base, 2)  # from the last number on: thousands of layers share a name
        while unique in self.taken:
            unique, k = f"{base}_{k}", k + 1
        self.tried[base] = k
        self.taken.add(unique)
        return unique

    def _scope(self, scope: OpenScope | None) -> str:
        """The id of a scope, its parents registered first; what a backward recorded lies outside its scope."""
        chain = []
        while scope is not None and scope.origin is not None:
            scope = scope.parent
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
                elif kind == INPUT and isinstance(self.sources(node)[key], (Node, Constant)):
                    kept.add(self._source(self.sources(node)[key]))
                elif kind == INPUTS:
                    kept.update(self._source(s) for s in self.sources(node) if isinstance(s, (Node, Constant)))
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
            for i, source in enumerate(self.sources(node)):
                if not isinstance(source, (Node, Constant)):
                    continue
                flows = node.plan is not None and i in node.plan.active and node not in self.detached
                edges.append((self._source(source), node, i, flows))
                if flows:
                    labels[node, i] = self._label(node, i)
                    paths[self._source(source)] = paths.get(self._source(source), 0) + 1
        vertices = [self._vertex(item, roles, formulas, kept, paths) for item in self._leaves_first(drawn, edges)]
        records = [self._edge(*edge, labels=labels) for edge in edges]
        places = {
            item.position: self.ids[shown]
            for item in [*self.order, *self.open]
            if (shown := self.drawn_for(item)) in self.ids
        }
        shown = completed(self, vertices, drawn)
        total = sum(int(np.prod(leaf.shape)) for leaf, role in roles.items() if role == "parameter")
        return Graph(
            tuple(shown),
            tuple(records),
            tuple(self.scopes),
            tuple(self.ids[root] for root in self.roots),
            total,
            places,
        )

    def drawn_for(self, item: Any) -> Any:
        """The item that a picture shows for a node as it was recorded."""
        return self._source(self.opened(item))

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
            k: number_text(v)
            for k, v in node.params.items()
            if k not in _HIDDEN_PARAMS and v is not None and v != op.defaults.get(k)
        }
        return Vertex(
            id=self._id(node, f"op{self.ops}"),
            role="output" if node in self.roots else "op",
            op=op.name,
            title=op.title,
            symbol=symbol_of(node),
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
        via_detach = isinstance(self.sources(target)[i], Constant) and self.sources(target)[i].origin is not None
        return Edge(
            source=self.ids[source],
            target=self.ids[target],
            input=op.inputs[0 if op.variadic else i],
            shape=tuple(target.inputs[i].shape),
            gradient=flows,
            label=labels.get((target, i), ""),
            detached=via_detach or target in self.detached,
        )


def _ascii(text: str) -> str:
    """`text` in ASCII letters, digits and _: "γ" becomes gamma and "W₁" W1."""
    parts = []
    for c in unicodedata.normalize("NFKD", text):
        if c.isascii():
            parts.append(c if c.isalnum() else "_")
        elif not unicodedata.combining(c):
            parts.append(unicodedata.name(c, "").rpartition(" ")[2].lower())
    return re.sub("_+", "_", "".join(parts)).strip("_")
