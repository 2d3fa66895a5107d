"""Graph records made by hand with real numbers: a small tape in NumPy, apart from the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_edu.autograd.graph import Edge, Graph, Scope, Vertex

Pull = Callable[[np.ndarray], np.ndarray]


class Tape:
    """Records vertices and edges, and walks them backward."""

    def __init__(self) -> None:
        self.vertices: dict[str, Vertex] = {}
        self.edges: list[Edge] = []
        self.scopes: list[Scope] = []
        self.pulls: list[tuple[str, str, Pull]] = []  # source, target, upstream -> contribution

    def scope(self, id: str, kind: str = "", detail: str = "", parent: str = "", loss: bool = False, n: int = 0) -> str:
        self.scopes.append(Scope(id, id.rsplit("_", 1)[-1], kind or detail, detail, parent, loss, n))
        return id

    def leaf(
        self, id: str, value: Any, role: str = "input", name: str = "", scope: str = "", saved: bool = False
    ) -> str:
        array = np.asarray(value)
        self.vertices[id] = Vertex(
            id,
            role,
            "",
            name or id,
            "",
            name or id,
            "",
            array.shape,
            str(array.dtype),
            array,
            None,
            "pending" if role == "parameter" else "none",
            saved,
            0,
            scope,
            False,
            "",
            len(self.vertices),
            {},
        )
        return id

    def op(
        self,
        id: str,
        title: str,
        value: Any,
        *inputs: tuple[str, Pull | None] | tuple[str, Pull | None, str],
        symbol: str = "",
        name: str = "",
        formula: str = "",
        scope: str = "",
        saved: bool = False,
        detached: bool = False,
        details: dict[str, str] | None = None,
    ) -> str:
        array = np.asarray(value)
        active = any(given[1] is not None for given in inputs)
        self.vertices[id] = Vertex(
            id,
            "op",
            title.lower(),
            title,
            symbol,
            name,
            formula,
            array.shape,
            str(array.dtype),
            array,
            None,
            "pending" if active else "none",
            saved,
            0,
            scope,
            detached,
            "train.py:31",
            len(self.vertices),
            details or {},
        )
        for place, given in enumerate(inputs):
            source, pull = given[0], given[1]
            dotted = detached or self.vertices[source].detached
            label = given[2] if len(given) > 2 else ""
            self.edges.append(
                Edge(source, id, "xyz"[place], self.vertices[source].shape, pull is not None, label, dotted)
            )
            if pull is not None:
                self.pulls.append((source, id, pull))
        return id

    def graph(self, output: str, seed: Any = 1.0, backward: bool = True) -> Graph:
        vertices = dict(self.vertices)
        vertices[output] = replace(vertices[output], role="output")
        paths: dict[str, int] = {}
        for source, _, _ in self.pulls:
            paths[source] = paths.get(source, 0) + 1
        grads: dict[str, np.ndarray] = {}
        if backward:
            grads[output] = np.broadcast_to(np.asarray(seed, float), vertices[output].shape)
            for source, target, pull in sorted(self.pulls, key=lambda p: -vertices[p[1]].position):
                if target in grads:
                    grads[source] = grads.get(source, 0.0) + pull(grads[target])
        for key, vertex in vertices.items():
            grad = grads.get(key)
            state = "computed" if grad is not None else vertex.grad_state
            vertices[key] = replace(vertex, paths=paths.get(key, 0), grad=grad, grad_state=state)
        count = sum(int(np.prod(v.shape)) for v in vertices.values() if v.role == "parameter")
        return Graph(tuple(vertices.values()), tuple(self.edges), tuple(self.scopes), (output,), count)


def network(backward: bool = True) -> Graph:
    """MLP 3-4-4-3: sigmoid, tanh, softmax cross-entropy from primitives with a detached max."""
    rng = np.random.default_rng(7)
    t = Tape()
    x = rng.normal(size=(4, 3))
    t.leaf("input1", x, name="x", saved=True)
    h, hid = x, "input1"
    for i, (n, m, act) in enumerate([(3, 4, "Sigmoid"), (4, 4, "Tanh"), (4, 3, "")], 1):
        sub = "₁₂₃"[i - 1]
        s = t.scope(f"layer{i}", "Linear", f"Linear({n} → {m})", n=n * m + m)
        w, b = rng.normal(scale=0.6, size=(n, m)), np.full(m, 0.1 if i == 1 else 0.0)
        t.leaf(f"layer{i}_weight", w, "parameter", f"W{sub}", s, saved=True)
        t.leaf(f"layer{i}_bias", b, "parameter", f"b{sub}", s)
        prev = "x" if i == 1 else f"h{'₁₂'[i - 2]}"
        z = h @ w
        t.op(
            f"op{3 * i}",
            "MatMul",
            z,
            (hid, None if i == 1 else (lambda g, w=w: g @ w.T)),
            (f"layer{i}_weight", lambda g, h=h: h.T @ g),
            symbol="@",
            formula=f"{prev}W{sub}",
            scope=s,
        )
        z = z + b
        t.op(
            f"op{3 * i + 1}",
            "Add",
            z,
            (f"op{3 * i}", lambda g: g),
            (f"layer{i}_bias", lambda g: g.sum(0)),
            symbol="+",
            formula=f"z{sub} = {prev}W{sub} + b{sub}",
            scope=s,
            name=f"z{sub}",
        )
        hid, h = f"op{3 * i + 1}", z
        if act == "Sigmoid":
            h = 1 / (1 + np.exp(-z))
            hid = t.op(
                "op5",
                act,
                h,
                (hid, lambda g, h=h: g * h * (1 - h)),
                symbol="σ",
                name="h₁",
                formula="h₁ = σ(z₁)",
                saved=True,
            )
        elif act:
            h = np.tanh(z)
            hid = t.op(
                "op8",
                act,
                h,
                (hid, lambda g, h=h: g * (1 - h * h)),
                symbol="tanh",
                name="h₂",
                formula="h₂ = tanh(z₂)",
                saved=True,
            )
    s = t.scope("loss", "softmax cross-entropy", "softmax cross-entropy, from primitive ops", loss=True)
    y = np.array([0, 2, 1, 2])
    mx = h.max(1, keepdims=True)
    t.op("op11", "Max", mx, (hid, None), formula="max z₃", scope=s, detached=True)
    sh = h - mx
    t.op(
        "op12", "Sub", sh, (hid, lambda g: g), ("op11", None), symbol="−", name="s", formula="s = z₃ − max z₃", scope=s
    )
    e = np.exp(sh)
    t.op("op13", "Exp", e, ("op12", lambda g: g * e), formula="eˢ", scope=s, saved=True)
    total = e.sum(1, keepdims=True)
    t.op(
        "op14",
        "Sum",
        total,
        ("op13", lambda g: np.broadcast_to(g, e.shape)),
        symbol="Σ",
        formula="Σ eˢ",
        scope=s,
        saved=True,
    )
    log = np.log(total)
    t.op("op15", "Log", log, ("op14", lambda g: g / total), formula="log Σ eˢ", scope=s)
    lp = sh - log
    t.op(
        "op16",
        "Sub",
        lp,
        ("op12", lambda g: g),
        ("op15", lambda g: -g.sum(1, keepdims=True)),
        symbol="−",
        name="log p",
        formula="log p = s − log Σ eˢ",
        scope=s,
    )
    t.leaf("input2", y, name="y", scope=s, saved=True)

    def unpick(g: np.ndarray) -> np.ndarray:
        out: np.ndarray = np.zeros_like(lp)
        out[np.arange(4), y] = g
        return out

    t.op("op17", "Pick", lp[np.arange(4), y], ("op16", unpick), ("input2", None), formula="log p[i, yᵢ]", scope=s)
    mean = lp[np.arange(4), y].mean()
    t.op("op18", "Mean", mean, ("op17", lambda g: np.full(4, g / 4)), formula="mean log p[i, yᵢ]", scope=s)
    t.op("op19", "Neg", -mean, ("op18", lambda g: -g), symbol="−", name="L", formula="L = − mean log p[i, yᵢ]", scope=s)
    return t.graph("op19", backward=backward)


def batchnorm() -> Graph:
    """BatchNorm of x = 1, 2, 6 with γ = 1.5, β = 0.5, upstream 0.2, −0.6, 1.0: all numbers checkable by hand."""
    t = Tape()
    s = t.scope("batch statistics")
    x, g, b, eps = np.array([1.0, 2, 6]), 1.5, 0.5, 1e-5
    t.leaf("x", x)
    mu = x.mean()
    t.op("op1", "mean", mu, ("x", lambda d: np.full(3, d / 3), "dμ / N"), name="μ", scope=s)
    xc = x - mu
    t.op(
        "op2",
        "Sub",
        xc,
        ("x", lambda d: d, "d(x−μ)"),
        ("op1", lambda d: -d.sum(), "−Σ d(x−μ)"),
        symbol="−",
        formula="x − μ",
        saved=True,
    )
    sq = xc**2
    t.op(
        "op3", "Square", sq, ("op2", lambda d: 2 * xc * d, "2(x−μ) · d( )²"), symbol="( )²", formula="(x − μ)²", scope=s
    )
    var = sq.mean()
    t.op("op4", "mean", var, ("op3", lambda d: np.full(3, d / 3), "dσ² / N"), name="σ²", scope=s)
    t.op("op5", "Add", var + eps, ("op4", lambda d: d, "1 · d(+)"), symbol="+ ε", formula="σ² + ε", scope=s)
    sd = np.sqrt(var + eps)
    t.op(
        "op6",
        "Sqrt",
        sd,
        ("op5", lambda d: d / (2 * sd), "d√ / (2√)"),
        symbol="√",
        formula="√(σ² + ε)",
        scope=s,
        saved=True,
    )
    inv = 1 / sd
    t.op(
        "op7",
        "Reciprocal",
        inv,
        ("op6", lambda d: -d * inv**2, "−d(1/√) / (σ²+ε)"),
        symbol="1/·",
        formula="1/√(σ²+ε)",
        scope=s,
        saved=True,
    )
    xh = xc * inv
    t.op(
        "op8",
        "Mul",
        xh,
        ("op2", lambda d: d * inv, "dx̂ / √(σ²+ε)"),
        ("op7", lambda d: (d * xc).sum(), "Σ dx̂ · (x−μ)"),
        symbol="×",
        name="x̂",
        saved=True,
    )
    t.leaf("gamma", g, "parameter", "γ", saved=True)
    t.leaf("beta", b, "parameter", "β")
    t.op(
        "op9",
        "Mul",
        g * xh,
        ("gamma", lambda d: (d * xh).sum(), "Σ dy · x̂"),
        ("op8", lambda d: d * g, "γ · dy"),
        symbol="×",
        formula="γ · x̂",
    )
    t.op(
        "op10", "Add", g * xh + b, ("op9", lambda d: d, "dy"), ("beta", lambda d: d.sum(), "Σ dy"), symbol="+", name="y"
    )
    graph = t.graph("op10", seed=[0.2, -0.6, 1.0])
    return replace(
        graph,
        vertices=tuple(
            replace(v, grad_state="computed", dtype="float64") if v.id == "x" else v for v in graph.vertices
        ),
    )


def conv_blocks(blocks: int = 2, layers: int = 2, skip: bool = True, broken: bool = False) -> Graph:
    """Nested Sequential of conv blocks with shortcuts and a fused loss; arrays are kept small."""
    rng = np.random.default_rng(1)
    t = Tape()
    net = t.scope("net", "Sequential", "Sequential")
    x = rng.normal(size=(2, 3, 4, 4)).astype(np.float32)
    here, h = t.leaf("input1", x, name="x"), x
    k = 0
    for b in range(blocks):
        block = t.scope(f"net_block{b + 1}", "ConvBlock", "ConvBlock(3 → 3)", net)
        start = here
        for i in range(layers):
            k += 1
            conv = t.scope(f"{block}_conv{i + 1}", "Conv2d", "Conv2d(3 → 3, kernel 3)", block, n=84)
            w = rng.normal(scale=0.3, size=(3, 3, 3, 3)).astype(np.float32)
            t.leaf(f"{conv}_weight", w, "parameter", "weight", conv, saved=True)
            t.leaf(f"{conv}_bias", np.zeros(3, np.float32), "parameter", "bias", conv)
            out = h * 0.8 + rng.normal(scale=0.2, size=h.shape)
            here = t.op(
                f"conv{k}",
                "Conv2d",
                out,
                (here, lambda g: g * 0.8),
                (f"{conv}_weight", lambda g: np.full((3, 3, 3, 3), g.mean())),
                (f"{conv}_bias", lambda g: g.sum((0, 2, 3))),
                scope=conv,
                saved=True,
                details={"stride": "(1, 1)", "padding": "(1, 1)"},
            )
            h = np.maximum(out, 0)
            if broken and k == 2:
                h[0, 0, 0, 0] = np.nan
            here = t.op(
                f"relu{k}",
                "ReLU",
                h,
                (here, lambda g, o=out: g * (o > 0)),
                scope=block,
                saved=True,
                formula="max(0, x)",
            )
        if skip:
            here = t.op(
                f"add{k}",
                "Add",
                h,
                (here, lambda g: g),
                (start, lambda g: g),
                symbol="+",
                scope=block,
                formula="block(x) + x",
            )
    here = t.op("flatten", "Reshape", h.reshape(2, -1), (here, lambda g: g.reshape(2, 3, 4, 4)), scope=net)
    loss = t.scope("loss", "CrossEntropyLoss", "cross-entropy", loss=True)
    t.leaf("input2", np.array([3, 1]), name="y", scope=loss)
    t.op(
        "ce",
        "CrossEntropy",
        np.array(1.234),
        (here, lambda g: np.full((2, 48), g * 0.01)),
        ("input2", None),
        scope=loss,
        name="L",
        formula="L = −mean log p[i, yᵢ]",
        saved=True,
    )
    return t.graph("ce")


def chain(length: int) -> Graph:
    """x, then `length` operations in a row."""
    value = np.float32(1.0)
    array = np.asarray(value)
    vertices = [Vertex("input1", "input", "", "x", "", "x", "", (), "float32", array, array, "computed", False, 1, "",
                       False, "", 0, {})]  # fmt: skip
    edges = []
    for i in range(1, length + 1):
        role = "output" if i == length else "op"
        vertices.append(
            Vertex(
                f"op{i}",
                role,
                "mul",
                "Mul",
                "×",
                "",
                "",
                (),
                "float32",
                array,
                array,
                "computed",
                True,
                1,
                "",
                False,
                "",
                i,
                {},
            )
        )
        edges.append(Edge(vertices[i - 1].id, f"op{i}", "x", (), True, "", False))
    return Graph(tuple(vertices), tuple(edges), (), (f"op{length}",), 0)


def odd_names() -> Graph:
    """Names with markup, quotes, backslashes, control characters and emoji; a NaN; every state of a gradient."""
    t = Tape()
    t.leaf("input1", np.array([1.0, 2.0]), name="<b>&\"x'")
    t.leaf("p1", np.array([0.5, np.nan]), "parameter", "γ 🚀\x00\n\\N\\G")
    t.leaf("p2", np.zeros(2), "parameter", "a very long parameter name that never ends " * 3)
    t.scope("s<1>", detail="Strange<&>(→)")
    t.op(
        "op1",
        "Mul<T>",
        np.array([0.5, np.inf]),
        ("input1", None),
        ("p1", lambda g: g),
        formula='a<b && c>"d"',
        scope="s<1>",
    )
    t.op("op2", "Add", np.array([1.0, 2.0]), ("op1", lambda g: g), ("p2", lambda g: g * 0), scope="s<1>")
    graph = t.graph("op2", seed=[0.1, 0.0])
    scopes = tuple(replace(s, id="s1") for s in graph.scopes)
    return replace(
        graph, scopes=scopes, vertices=tuple(replace(v, scope="s1" if v.scope else "") for v in graph.vertices)
    )
