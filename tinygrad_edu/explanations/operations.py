"""`explain`: what an op computes and hands back, and, for a tensor, the numbers of the very call that made it."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd.calls import FunctionOp
from tinygrad_edu.autograd.formulas import number_text
from tinygrad_edu.autograd.node import FREED, Constant, Leaf, Node
from tinygrad_edu.explanations.numbers import equation, fill, in_formula, worked_numbers
from tinygrad_edu.explanations.text import (
    NO_LINE,
    Answer,
    array_text,
    called,
    input_names,
    line_of,
    shape_text,
    size_text,
)
from tinygrad_edu.ops.registry import CACHE, INPUT, INPUTS, KEPT, OUT, SHAPE, Array, Op, registry
from tinygrad_edu.recording import live_node
from tinygrad_edu.tensor import Tensor

SAME_BUT_NAMED = {"multiply": "mul", "divide": "div", "subtract": "sub", "negative": "neg", "mm": "matmul"}


class Explanation(Answer):
    """What `explain` found; prints itself."""


def explain(what: Any) -> Explanation:
    """Explain an op, or the call of an op that made a tensor.

    what: an op (`torch.relu`), its name ("relu"), a function, or a tensor.  For a tensor: the formula, the backward
    rule, how shapes were broadcast, the numbers of this call plugged in, what is kept for backward and why, and the
    line of user code (if the forward ran under `autograd.keep_values()`).
    Raises ValueError for an unknown name, TypeError for what is neither op nor tensor.
    """
    if isinstance(what, Tensor):
        return _of_tensor(what)
    op = _op_of(what)
    if op is not None:
        return Explanation(_heading(op), _parts_of(op))
    if callable(what) and not inspect.isclass(what) and inspect.getdoc(what):
        return _of_composition(what)
    raise TypeError(
        f"explain: expected an op, its name, a function or a tensor, got {type(what).__name__}; for a module, "
        f"explain its output, explain(model(x)), or see summary(model, input_size)"
    )


def _op_of(what: Any) -> Op | None:
    if isinstance(what, Op):
        return what
    if isinstance(what, str):
        name = SAME_BUT_NAMED.get(what, what)
        if name in registry:
            return registry[name]
        close = difflib.get_close_matches(what, registry, 3)
        raise ValueError(
            f"explain: no op is called {what!r}"
            + (f"; did you mean {' or '.join(map(repr, close))}?" if close else "")
            + " A function made of several ops is explained by its result: explain(f(x))"
        )
    name = getattr(what, "__name__", "")
    module = getattr(what, "__module__", None) or ""
    known = registry.get(SAME_BUT_NAMED.get(name, name))
    if callable(what) and known is not None and module.startswith("tinygrad_edu") and ".nn" not in module:
        return known
    return None


def _of_composition(function: Callable[..., Any]) -> Explanation:
    name = getattr(function, "__name__", "a function")
    lines = [line.strip() for line in (inspect.getdoc(function) or "").splitlines()]
    return Explanation(
        f"{name}: made of other ops",
        [
            ("what it does", [line for line in lines if line]),
            ("its ops", [f"call it and ask for the result, explain({name}(x)), or draw it: visualize.graph(...)"]),
        ],
    )


# -- an op ------------------------------------------------------------------------------------------------------------


def _heading(op: Op) -> str:
    first = op._summary.strip().partition("\n")[0]
    return f"{op.name}: {first}" if first else op.name


def _written(op: Op, names: dict[str, str], params: dict[str, Any], out: str = "out") -> list[tuple[str, list[str]]]:
    """The formula and the backward rules with names, or numbers, written in."""
    known = {p: p for p in op.params} | {k: number_text(v) for k, v in params.items()} | names
    formula = [f"{out} = {fill(op.formula, known)}"] if op.formula else []
    known |= {"grad": f"dL/d{out}", "out": out}
    backward = [
        f"dL/d{names.get(name, name)} = {fill(text.replace('{grad}{', '{grad} {'), known)}"
        for name, text in op.gradients.items()
    ]
    if not backward and not op.rules and op.joint is None and not isinstance(op, FunctionOp):
        backward = ["none: nothing differentiable comes out, so no gradient flows back through it"]
    return [("formula", formula), ("backward", backward)]


def _parts_of(op: Op) -> list[tuple[str, list[str]]]:
    names = {name: name for name in op.inputs}
    details = [line.strip() for line in op._summary.strip().splitlines()[1:] if line.strip()]
    notes = [line for line in details if line.startswith(("Raises", "Source"))]
    parts = [*_written(op, names, {}), ("shapes", [line for line in details if line not in notes])]
    if op.elementwise and len(op.inputs) > 1:
        parts.append(
            (
                "broadcasting",
                [
                    "inputs of different shapes are stretched to one shape; the gradient of a stretched input is "
                    "summed over the dims along which it was stretched"
                ],
            )
        )
    parts.append(("example", _example(op)))
    kept = []
    for name, rule in op.rules.items():
        needs = [n for n in _arguments(rule) if n != "grad"]
        kept.append(f"for dL/d{name}: {', '.join(needs) if needs else 'nothing'}")
    if op.joint is not None:
        needs = [n for n in _arguments(op.joint) if n not in ("grad", "needs")]
        kept.append(f"for all gradients together: {', '.join(dict.fromkeys((*op.inputs, *needs)))}")
    return [*parts, ("kept", kept), ("composition", _stands_for(op)), ("notes", notes)]


def _stands_for(op: Op) -> list[str]:
    if op.composition is None:
        return []
    return ["a fused op: one kernel for several primitives, which pictures and higher derivatives open again"]


def _arguments(rule: Callable[..., Any]) -> tuple[str, ...]:
    return rule.__code__.co_varnames[: rule.__code__.co_argcount]


def _example(op: Op) -> list[str]:
    """An elementwise op at one point of its domain."""
    if (
        not op.elementwise
        or op.required
        or not op.formula
        or None in op.defaults.values()
        or op.inputs[0] == "condition"
    ):
        return []
    values: dict[str, Array] = {}
    for k, name in enumerate(op.inputs):
        where: Any = op.domain.get(name, (-3.0, 3.0))
        low, high = where if np.isscalar(where[0]) else where[-1]
        inside = (2.0, 3.0)[k % 2]
        values[name] = np.asarray(inside if low <= inside <= high else (low + high) / 2)
    with np.errstate(all="ignore"):
        found = op(*values.values())
        out = np.asarray(found)
        shares = {
            name: np.asarray(_rule_value(op, rule, values, out)) for name, rule in op.rules.items() if _plain(op, rule)
        }
    names = {k: in_formula(v) for k, v in values.items()}
    known = {p: number_text(v) for p, v in op.defaults.items()} | names
    lines = [equation(fill(op.formula, known), out)]
    known |= {"grad": "1", "out": in_formula(out)}
    for name, share in shares.items():
        if name in op.gradients:
            lines.append(f"with dL/dout = 1: dL/d{name} = {equation(fill(op.gradients[name], known), share)}")
    return lines


def _plain(op: Op, rule: Callable[..., Any]) -> bool:
    return all(n in ("grad", "out", *op.inputs, *op.params) or n.endswith("_shape") for n in _arguments(rule))


def _rule_value(op: Op, rule: Callable[..., Any], values: dict[str, Array], out: Array) -> Any:
    known: dict[str, Any] = {"grad": np.ones_like(out), "out": out} | op.defaults | values
    known |= {f"{name}_shape": value.shape for name, value in values.items()}
    return rule(**{name: known[name] for name in _arguments(rule)})


# -- a tensor ---------------------------------------------------------------------------------------------------------


def _of_tensor(tensor: Tensor) -> Explanation:
    node = live_node(tensor)
    name = tensor.name or "this tensor"
    if node is None or isinstance(node, Leaf):
        return Explanation(
            f"{name}: {shape_text(tensor.shape)} {tensor.dtype.name}, no op made it", _plain_parts(tensor)
        )
    if node.op is not None and node.op.name.endswith(".result"):
        node = node.inputs[0]
    op = node.op
    assert op is not None
    names = input_names(node)
    out = node.name or "out"
    written = dict(zip(op.inputs, names, strict=False)) if not op.variadic else {op.inputs[0]: ", ".join(names)}
    shapes = [
        f"{n} {shape_text(np.shape(s) if not hasattr(s, 'shape') else s.shape)}"
        for n, s in zip(names, node.inputs, strict=False)
        if s is not None
    ]
    params = [
        f"{k} = {number_text(v)}"
        for k, v in node.params.items()
        if k in op.params and v is not None and (k not in op.defaults or v is not op.defaults[k])
    ]
    parts: list[tuple[str, Sequence[str]]] = [
        *_written(op, written, node.params, out),
        ("shapes", [f"{', '.join(shapes)} → {out} {shape_text(node.shape)}"]),
        ("parameters", [", ".join(params)] if params else []),
        ("broadcasting", _broadcasting(node, names)),
        ("numbers", worked_numbers(tensor, node, names, out)),
        ("kept", _kept(node, names, out)),
        ("composition", _stands_for(op)),
        ("line", [line_of(node) or NO_LINE]),
    ]
    if node.function is not None:
        parts.insert(1, ("backward", [f"the backward that class {op.title} defines"]))
    return Explanation(_heading(op) if op._summary else f"{op.title}: an autograd.Function", parts)


def _plain_parts(tensor: Tensor) -> list[tuple[str, list[str]]]:
    node = live_node(tensor)
    parts = [("value", [array_text(tensor.array)])]
    if isinstance(node, Leaf):
        parts.append(("gradient", ["it requires grad: backward adds its gradient to .grad"]))
        held = tensor.grad
        parts.append((".grad", [array_text(held.array) if held is not None else "None; ask why_grad(tensor, loss)"]))
        return parts
    origin = tensor.__dict__.get("_origin")
    if origin is not None:
        return [*parts, ("detached", [f"from the result of {called(origin)}: no gradient flows back through it"])]
    text = "it requires no grad: made by hand, from data, or inside no_grad(); nothing is recorded of how"
    return [*parts, ("gradient", [text])]


def _broadcasting(node: Node, names: Sequence[str]) -> list[str]:
    assert node.op is not None
    if not node.op.elementwise or len(node.inputs) < 2:
        return []
    lines = []
    for name, source in zip(names, node.inputs, strict=False):
        shape = np.shape(source) if not hasattr(source, "shape") else tuple(source.shape)
        if shape == node.shape or not isinstance(source, (Node, Constant)):
            continue  # a plain number is stretched too, but has no gradient
        lead = len(node.shape) - len(shape)
        dims = [d for d, n in enumerate(node.shape) if d < lead or (shape[d - lead] == 1 and n != 1)]
        over = f"dim {dims[0]}" if len(dims) == 1 else f"dims {', '.join(map(str, dims))}"
        lines.append(
            f"{name} {shape_text(shape)} is stretched to {shape_text(node.shape)}; its gradient is summed over {over}"
        )
    tensors = sum(isinstance(source, (Node, Constant)) for source in node.inputs)
    return lines or (["none: all inputs have the shape of the result"] if tensors > 1 else [])


def _kept(node: Node, names: Sequence[str], out: str) -> list[str]:
    """What stays alive until backward, how large it is, and which rule asked for it."""
    op, plan = node.op, node.plan
    assert op is not None
    if plan is None or not plan.saves:
        return ["nothing: no rule needs a value"]
    freed = node.saved is FREED
    values = [None] * len(plan.saves) if freed else node.saved
    lines = []
    for (kind, key), value in zip(plan.saves, values, strict=True):
        if kind == INPUT:
            name, wanted = names[key], op.inputs[key]
        elif kind == OUT:
            name, wanted = out, "out"
        elif kind == INPUTS:
            name, wanted = "all inputs", op.inputs[0]
        elif kind == SHAPE:
            name, wanted = f"the shape of {names[key]}", f"{op.inputs[key]}_shape"
        elif kind in (CACHE, KEPT) and node.function is None:
            name = wanted = (*op.caches, *op.kept)[key]
        else:
            name, wanted = "a value that forward saved" if node.function is not None else "the shapes", ""
        array = getattr(value, "array", value)
        size = f", {size_text(array.nbytes)}" if isinstance(array, np.ndarray) else ""
        if isinstance(array, tuple) and any(isinstance(a, np.ndarray) for a in array):
            size = f", {size_text(sum(a.nbytes for a in array))}"
        lines.append(f"{name}{size}: {_why(op, node, names, wanted)}")
    if freed:
        lines.append("backward has run and released all of it")
    return lines


def _why(op: Op, node: Node, names: Sequence[str], wanted: str) -> str:
    assert node.plan is not None
    if node.function is not None:
        return "by ctx.save_for_backward"
    if op.joint is not None:
        return (
            "the joint rule reads it" if wanted in _arguments(op.joint) else "to open the fused op into its primitives"
        )
    users = []
    for i in node.plan.active:
        rule = op.rule_of(i)
        if rule is not None and wanted in _arguments(rule):
            users.append(f"dL/d{names[i]}")
    return f"{' and '.join(users)} need{'s' if len(users) == 1 else ''} it"
