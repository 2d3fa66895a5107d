"""Why a gradient is exactly zero: the ops on the way from the loss that let nothing through, and why."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.autograd.node import Node
from tinygrad_edu.explanations.tape import Gone, Step, Tape
from tinygrad_edu.explanations.text import at, called, share_text
from tinygrad_edu.ops.movement import sum_to
from tinygrad_edu.ops.registry import Array

Reason = tuple[str, str, str, Node]  # kind, what happened, the fix, the op

STEPS = ("sign", "floor", "ceil", "round", "trunc", "floor_divide", "fill")
PICKS = ("index", "gather", "where", "clamp", "maximum", "minimum", "amax", "amin", "max_pool2d", "index_put")


def blocked(tape: Tape, target: Any, steps: dict[Node, Step]) -> list[Reason]:
    """The ops through which a gradient that was not zero stopped on its way to `target`, latest first."""
    towards = _leading_to(tape, target)
    found: list[Reason] = []
    stack, seen = [tape.roots[0]], set()
    while stack:
        node = stack.pop()
        if node in seen or node not in steps:
            continue
        seen.add(node)
        step = steps[node]
        if node is not target and not _any(step.grad):
            found.append(_cancelled_at(tape, node))
            continue
        for i, share in step.shares:
            child = node.inputs[i]
            if child not in towards:
                continue
            if _any(share):
                stack.append(child)
            else:
                found.append(_reason(tape, node, step, i))
    unique = {reason[3]: reason for reason in found}
    return sorted(unique.values(), key=lambda reason: -reason[3].position)


def _cancelled_at(tape: Tape, node: Node) -> Reason:
    """What arrived at `node` was not zero, but its sum is."""
    where, inside = f"{called(node)}{at(node)}", within(node)
    if "cross" in inside or "nll" in inside:
        line = f"at {where}, inside the loss, the gradients cancel: the loss is at its end, p = y to rounding"
        return "at its end", line, "nothing is left to learn from this batch", node
    if "softmax" in inside:
        line = (
            f"at {where}, inside a softmax, the gradients cancel: its results add up to 1 whatever its input is, or "
            + ("one of them is 1 to rounding")
        )
        return (
            "saturated",
            line,
            "use log_softmax or CrossEntropyLoss on the logits; do not add up all probabilities",
            node,
        )
    line = f"the gradients that arrive at {where} cancel: their sum is exactly 0"
    return "cancelled", line, "nothing is wrong if the loss cannot depend on it", node


def _leading_to(tape: Tape, target: Any) -> set[Any]:
    """`target` and every op that was computed from it."""
    reached, stack = {target}, [target]
    while stack:
        for user, i in tape.users.get(stack.pop(), ()):
            if user not in reached and user.plan is not None and i in user.plan.active:
                reached.add(user)
                stack.append(user)
    return reached


def _any(grad: Any) -> bool:
    """Whether anything of a gradient, or of a bundle of them, differs from zero."""
    parts = getattr(grad, "parts", (grad,))
    return any(bool(np.any(np.asarray(p))) for p in parts if p is not None)


def _reason(tape: Tape, node: Node, step: Step, i: int) -> Reason:
    """What the op did with a gradient that was not zero."""
    op = node.op
    assert op is not None
    name, where = op.name, f"{called(node)}{at(node)}"
    try:
        arrays, out = tape.inputs(node), tape.value(node)
    except Gone:
        arrays, out = [], None
    inside = within(node)
    if name in ("relu", "linear_relu", "conv2d_relu", "relu_gate") and out is not None:
        return (
            "dead ReLU",
            f"{where}: the ReLU is dead for {share_text(float(np.mean(out <= 0)))} of its entries (input ≤ 0), and for "
            f"all that the gradient needs; its slope there is 0",
            "a smaller learning rate, another initialisation (nn.init.kaiming_normal_, bias ≥ 0), or LeakyReLU",
            node,
        )
    if name in ("sigmoid", "tanh") and out is not None:
        ends = np.abs(out) == 1 if name == "tanh" else (out == 0) | (out == 1)
        size = "" if not arrays or arrays[0] is None else f", |input| up to {float(np.abs(arrays[0]).max()):.3g}"
        return (
            "saturated",
            f"{where}: the {name} is saturated for {share_text(float(np.mean(ends)))} of its entries{size}; its slope "
            f"there rounds to 0",
            "normalise the input (divide by its spread, BatchNorm), initialise with nn.init.xavier_normal_, or give "
            "the logits to BCEWithLogitsLoss",
            node,
        )
    if name in ("softmax", "log_softmax") or "softmax" in inside:
        return (
            "saturated",
            f"{where}, inside a softmax: one probability is 1 to rounding, so the slope of all of them is 0",
            "use log_softmax or CrossEntropyLoss on the logits; scale the logits down",
            node,
        )
    if name == "mul":
        other = arrays[1 - i] if len(arrays) == 2 else None
        if other is not None and not np.any(other):
            dropout = "dropout" in inside
            return (
                "masked",
                f"{where}: the other factor is 0 in every entry" + (" (dropout dropped all)" if dropout else ""),
                "a smaller p of dropout, or eval()" if dropout else "look at the factor: a mask, a weight that is 0",
                node,
            )
        return (
            "masked",
            f"{where}: the other factor is 0 wherever a gradient arrives",
            "look at the factor: a mask (dropout, a weight that is 0)",
            node,
        )
    if name in ("matmul", "linear", "conv2d", "conv2d_bias", "contract"):
        return (
            "zero factor",
            f"{where}: what the gradient is multiplied with, the other factor of the product, is 0",
            "a layer initialised with zeros passes no gradient on; use nn.init.kaiming_uniform_ for its weight",
            node,
        )
    if name in STEPS:
        return (
            "step function",
            f"{where}: {name} is flat between its steps, so its slope is 0",
            "leave it out of the training path, or pass the gradient straight through: x + (f(x) - x).detach()",
            node,
        )
    if name == "cat":
        return (
            "masked",
            f"{where}: of what was joined there, later ops (a pick, a maximum) used other pieces only",
            "nothing is wrong if other inputs use it; else look at the index or the mask after it",
            node,
        )
    if name in PICKS:
        return (
            "masked",
            f"{where}: {name} picked other entries, so none of these had a part in the result",
            "nothing is wrong if other inputs pick them; else look at the mask, the index, or the bounds of clamp",
            node,
        )
    if name == "cross_entropy" or "cross" in inside:
        return ("at its end", f"{where}: the loss is 0 to rounding, p = y", "nothing left to learn here", node)
    return (
        "slope 0",
        f"{where}: its rule gives exactly 0 for a gradient that is not 0; the slope is 0 at these inputs",
        f"look at the numbers: explain(result of {name})",
        node,
    )


def within(node: Any) -> str:
    """The kinds of the modules and composite functions around an op, innermost first, in small letters."""
    kinds, scope = [], getattr(node, "scope", None)
    while scope is not None:
        kinds.append(scope.kind.lower())
        scope = scope.parent
    return " ".join(kinds)


def cancelled(tape: Tape, target: Any, steps: dict[Node, Step]) -> tuple[float, float]:
    """(largest entry of the gradient at `target`, what would be there if nothing cancelled)."""
    total: Array | None = None
    loud: Array | None = None
    for user, i in tape.users.get(target, ()):
        for j, share in steps[user].shares if user in steps else ():
            if i != j or hasattr(share, "parts"):
                continue
            array = np.asarray(share, np.float64)
            summed = np.asarray(sum_to(array, shape=target.shape))
            size = np.asarray(sum_to(np.abs(array), shape=target.shape))
            total = summed if total is None else total + summed
            loud = size if loud is None else loud + size
    if total is None or loud is None or not total.size:
        return 0.0, 0.0
    return float(np.abs(total).max()), float(loud.max())


def feeds_batch_norm(tape: Tape, target: Any) -> Node | None:
    """The normalisation by batch statistics right after the layer whose bias `target` is; None if there is none."""
    stack = [user for user, _ in tape.users.get(target, ())]
    for _ in range(4):  # the addition of the bias, through a view or a ReLU that is not there
        following: list[Node] = []
        for node in stack:
            op = node.op
            assert op is not None
            kinds = within(node)
            if op.name == "batch_norm" or "batch statistics" in kinds or "instancenorm" in kinds:
                return node
            if op.name in ("add", "linear", "conv2d_bias", "reshape", "expand", "unsqueeze", "transpose", "permute"):
                following += [user for user, _ in tape.users.get(node, ())]
        stack = following
    return None
