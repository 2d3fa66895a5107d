"""Formulas with numbers: one entry of an op's result, and one of a gradient, written out as a student would."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.autograd.formulas import Formulas, number_text, raised
from tinygrad_edu.autograd.node import Constant, Node
from tinygrad_edu.ops.registry import Array

SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
TERMS = 6  # a sum of more than so many products is not written out


def digits(x: Any) -> str:
    """One number with four significant digits, a real minus and a real power of ten."""
    text, _, exponent = f"{float(x):.4g}".replace("-", "−").partition("e")
    if not exponent:
        return text
    power = "10" + str(int(exponent.replace("−", "-"))).translate(SUPERSCRIPT)
    return {"1": power, "−1": f"−{power}"}.get(text, f"{text}·{power}")


def _factor(x: Any) -> str:
    """A number inside a formula: negative ones stand in parentheses."""
    text = digits(x)
    return f"({text})" if text.startswith("−") or "·" in text else text


def _value(x: Any) -> Any:
    return x.value() if isinstance(x, (Node, Constant)) else x


def _at(value: Any, index: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """The entry of an operand that meets the entry `index` of the result, by the rules of broadcasting."""
    return np.broadcast_to(np.asarray(value), shape)[index]


def _entry(index: tuple[int, ...]) -> str:
    return f"entry [{', '.join(map(str, index))}]:  " if index else ""


def _largest(a: Array) -> tuple[int, ...]:
    """The index of the entry that shows most: the largest finite one."""
    if a.ndim == 0 or a.size == 0:
        return ()
    size = np.where(np.isfinite(a), np.abs(a), -1.0)
    return tuple(int(k) for k in np.unravel_index(int(size.argmax()), a.shape))


def _product(x: Array, y: Array, row: int, column: int) -> str:
    """Row · column of a matrix product, as a sum of products."""
    return " + ".join(f"{_factor(a)}·{_factor(b)}" for a, b in zip(x[row], y[:, column], strict=True))


def _is_product(node: Node, x: Any, y: Any) -> bool:
    return node.op is not None and node.op.name == "matmul" and np.ndim(x) == 2 and np.ndim(y) == 2 and not node.params


def worked_forward(builder: Formulas, node: Node) -> str:
    """One entry of the result with its numbers: "entry [0, 1]:  σ(0.25) = 0.5622"; "" where nothing short can be."""
    op, out = node.op, node.value()
    inputs = [_value(x) for x in node.inputs]
    if op is None or out is None or out.size == 0 or out.dtype.kind != "f" or any(x is None for x in inputs):
        return ""
    if op.elementwise and op.formula and not op.variadic:
        index = _largest(out)
        values = {k: number_text(v) for k, v in node.params.items()}
        values |= {n: _factor(_at(v, index, out.shape)) for n, v in zip(op.inputs, inputs, strict=False)}
        if len(values) < len(op.inputs):
            return ""
        return f"{_entry(index)}{_equation(raised(op.formula.format(**values)), out[index])}"
    if len(inputs) == 2 and _is_product(node, *inputs) and inputs[0].shape[1] <= TERMS:
        index = _largest(out)
        return f"{_entry(index)}{_product(*inputs, *index)} = {digits(out[index])}"
    if op.name in ("sum", "mean") and out.size == 1 and inputs[0].size <= TERMS:
        terms = " + ".join(_factor(x) for x in inputs[0].reshape(-1))
        total = f"({terms}) / {inputs[0].size}" if op.name == "mean" else terms
        return f"{total} = {digits(out.reshape(-1)[0])}"
    return ""


def worked_backward(builder: Formulas, node: Node, i: int, grad: Array, share: Array) -> str:
    """One entry of the i-th input's share with its numbers, before it is summed over broadcast dims."""
    op, out = node.op, node.value()
    inputs = [_value(x) for x in node.inputs]
    share = np.asarray(share)
    if op is None or share.size == 0 or grad.size == 0 or any(x is None for x in inputs):
        return ""
    template = op.gradients.get(op.inputs[0 if op.variadic else i], "")
    if op.elementwise and template and not op.variadic and share.shape == grad.shape:
        if "{out}" in template and out is None:
            return ""
        index = _largest(share)
        values = {k: number_text(v) for k, v in node.params.items()}
        values |= {n: _factor(_at(v, index, share.shape)) for n, v in zip(op.inputs, inputs, strict=False)}
        values |= {"grad": _factor(grad[index]), "out": _factor(out[index]) if out is not None else ""}
        summed = tuple(node.inputs[i].shape) != share.shape
        terms = share.size // max(int(np.prod(node.inputs[i].shape)), 1)
        tail = f"   (one of {terms} terms that are added)" if summed else ""
        return f"{_entry(index)}{_equation(raised(template.format(**values)), share[index])}{tail}"
    if len(inputs) == 2 and _is_product(node, *inputs):
        left, right = (grad, inputs[1].T) if i == 0 else (inputs[0].T, grad)
        if left.shape[1] <= TERMS:
            index = _largest(share)
            return f"{_entry(index)}{_product(left, right, *index)} = {digits(share[index])}"
    if op.name in ("sum", "mean") and grad.size == 1 and grad.ndim == 0:
        if op.name == "mean":
            return f"every entry:  {_factor(grad)} / {share.size} = {digits(share.reshape(-1)[0])}"
        return f"every entry:  {digits(grad)}"
    return ""


def _equation(text: str, result: Any) -> str:
    """ "0.5 · 3 = 1.5"; a number that is handed on as it is stands alone."""
    value = digits(result)
    return value if text.strip("()") == value else f"{text} = {value}"
