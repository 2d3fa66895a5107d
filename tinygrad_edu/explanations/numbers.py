"""Formulas with the numbers of one call written in: the first entry of a result, and the gradients that flow back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd.formulas import number_text, raised
from tinygrad_edu.autograd.node import Node
from tinygrad_edu.explanations.tape import Gone, Tape, compute, rules
from tinygrad_edu.explanations.text import Place, array_text, input_names, number, place_text
from tinygrad_edu.ops.registry import Array, Op
from tinygrad_edu.tensor import Tensor

TERMS = 4  # products or summands that are written out


def fill(template: str, known: dict[str, str]) -> str:
    """A formula with names or numbers written in; (−1) in parentheses of its own loses the inner ones."""
    return raised(re.sub(r"\(\((−[\d.e−]+)\)\)", r"(\1)", template.format(**known)))


def equation(left: str, value: Any) -> str:
    """left = value, or the value alone where both read the same."""
    right = number(value)
    return right if left.strip("()") == right else f"{left} = {right}"


def in_formula(value: Any) -> str:
    """A number as a formula takes it: a negative one in parentheses."""
    text = number(value)
    return f"({text})" if text.startswith("−") else text


def worked_numbers(tensor: Tensor, node: Node, names: Sequence[str], out_name: str) -> list[str]:
    """The values of this call written into the formula and into the rules."""
    tape = Tape(tensor)
    op = node.op
    assert op is not None
    try:
        arrays = tape.inputs(node)
        out = tape.value(node)
        if out is None:
            out = compute(node, arrays)[0]
        grad = node.grad if isinstance(node.grad, np.ndarray) and node.grad.shape == out.shape else None
        word = f"with dL/d{out_name} = " + (
            array_text(grad) if grad is not None else "1" + (" everywhere" if out.ndim else "")
        )
        given = np.ones_like(out) if grad is None else grad
        several = node.function is not None and "results" in node.params
        shares = [] if several else rules(node, given, tape.saved(node))
    except Gone as gone:
        return [str(gone)]
    if not out.size:
        return ["the result is empty"]
    place = tuple(0 for _ in out.shape)
    lines = _forward_numbers(op, node, arrays, out, place, out_name)
    for i, share in shares:
        values = np.asarray(share)
        label = f"dL/d{names[i]}"
        template = op.gradients.get(op.inputs[0 if op.variadic else i], "")
        if op.elementwise and template and values.shape == out.shape:
            known = _entries(op, node, arrays, out, place) | {"grad": in_formula(given[place])}
            lines.append(f"{word}: {label}{place_text(place)} = {equation(fill(template, known), values[place])}")
        else:
            lines.append(f"{word}: {label} = {array_text(values)}")
    return lines


def _entries(op: Op, node: Node, arrays: Sequence[Any], out: Array, place: Place) -> dict[str, str]:
    known = {k: number_text(v) for k, v in node.params.items()} | {"out": in_formula(out[place])}
    for name, array in zip(op.inputs, arrays, strict=False):
        if array is not None:
            known[name] = in_formula(np.broadcast_to(array, out.shape)[place])
    return known


def _forward_numbers(op: Op, node: Node, arrays: Sequence[Any], out: Array, place: Place, out_name: str) -> list[str]:
    left = f"{out_name}{place_text(place)}"
    if op.elementwise and op.formula and not op.variadic:
        return [f"{left} = {equation(fill(op.formula, _entries(op, node, arrays, out, place)), out[place])}"]
    terms = _terms(op, node, arrays, place)
    if terms is not None:
        before, joint, after, entries = terms
        shown = joint.join(entries[:TERMS])
        if len(entries) > TERMS:
            shown += f"{joint}… ({len(entries)} in all)"
        return [f"{left} = {before}{shown}{after} = {number(out[place])}"]
    lines = [
        f"{name} = {array_text(array)}"
        for name, array in zip(input_names(node), arrays, strict=False)
        if array is not None
    ]
    return [*lines, f"{out_name} = {array_text(out)}"]


def _terms(op: Op, node: Node, arrays: Sequence[Any], place: Place) -> tuple[str, str, str, list[str]] | None:
    """What the first entry of a product or of a reduction is made of."""
    x = arrays[0]
    if op.name == "matmul" and x.ndim == 2 and arrays[1].ndim == 2:
        return "", " + ", "", [f"{in_formula(a)}·{in_formula(b)}" for a, b in zip(x[0], arrays[1][:, 0], strict=True)]
    if op.name in ("linear", "linear_relu") and x.ndim == 2:
        products = [f"{in_formula(a)}·{in_formula(b)}" for a, b in zip(x[0], arrays[1][0], strict=True)]
        ends = ("max(0, ", ")") if op.name == "linear_relu" else ("", "")
        bias = "" if arrays[2] is None else f" + {in_formula(arrays[2][0])}"
        return ends[0], " + ", bias + ends[1], products
    if op.name not in ("sum", "mean", "prod", "amax", "amin") or not x.size:
        return None
    dim = node.params.get("dim")
    dims = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    dims = tuple(d % x.ndim for d in dims) if x.ndim else ()
    entries = [in_formula(v) for v in x[tuple(slice(None) if d in dims else 0 for d in range(x.ndim))].reshape(-1)]
    if op.name == "mean":
        return "(", " + ", f") / {len(entries)}", entries
    if op.name in ("amax", "amin"):
        return f"{op.name[1:]}(", ", ", ")", entries
    return "", " + " if op.name == "sum" else " · ", "", entries
