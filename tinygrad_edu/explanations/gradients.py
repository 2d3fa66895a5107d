"""`why_grad`: why the gradient of a tensor is None, zero or NaN, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd.modes import is_grad_enabled
from tinygrad_edu.autograd.node import FREED, Constant, Leaf, Node
from tinygrad_edu.explanations.nans import find_nan
from tinygrad_edu.explanations.tape import Gone, Step, Tape, behind
from tinygrad_edu.explanations.text import Answer, array_text, at, called, number, shape_text, share_text
from tinygrad_edu.explanations.zeros import blocked, cancelled, feeds_batch_norm
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import live_node
from tinygrad_edu.tensor import Tensor

ROUNDING = 1e-4  # a gradient this much smaller than its summands is zero but for rounding


class GradientReason(Answer):
    """What `why_grad` found.

    state: "None", "zero", "NaN", "rounding" (zero but for rounding) or "there".  reason: the case in a few words.
    op: the op that is to blame, if one is.  location: its file:line, "" if it was not recorded.  fix: what to do.
    """

    def __init__(
        self, name: str, state: str, reason: str, lines: Sequence[str], fix: str, node: Any = None, more: Any = ()
    ) -> None:
        words = {
            "None": f"the gradient of {name} is None",
            "zero": f"the gradient of {name} is exactly zero",
            "NaN": f"the gradient of {name} is not finite",
            "rounding": f"the gradient of {name} is zero up to rounding",
            "there": f"{name} has a gradient",
        }
        super().__init__(f"{words[state]}: {reason}", [("because", lines), *more, ("fix", [fix] if fix else [])])
        self.state, self.reason, self.fix = state, reason, fix
        recorded = isinstance(node, Node) and node.op is not None
        self.op = node.op.name.removesuffix(".result") if recorded else ""
        self.location = node.location if recorded else ""


def why_grad(tensor: Tensor, loss: Tensor | None = None) -> GradientReason:
    """Say why the gradient of `tensor` is None, zero or NaN: the reason, the op, its line if known, and the fix.

    loss: the tensor that backward was, or will be, called on; without it the graph between the two is not known, and
    only what the tensor itself tells can be said.  Ask before an optimizer step changes the parameters.
    Raises TypeError for what is no tensor.
    """
    for name, value in (("tensor", tensor), ("loss", loss)):
        if not isinstance(value, Tensor) and not (name == "loss" and value is None):
            raise TypeError(f"why_grad: {name} must be a tensor, got {type(value).__name__}")
    name = tensor.name or "this tensor"
    node = live_node(tensor)
    grad = _gradient(tensor, node)
    if grad is not None:
        return _of_gradient(name, tensor, grad, loss)
    if node is None:
        return _not_recorded(name, tensor)
    if loss is not None:
        problem = _not_reached(name, node, loss)
        if problem is not None:
            return problem
    if not isinstance(node, Leaf):
        return _no_leaf(name, tensor, node, loss)
    if loss is None:
        return GradientReason(
            name,
            "None",
            "no backward has reached it",
            [
                "it is a leaf that requires grad, so backward was not called yet, or .grad was cleared (zero_grad) "
                "since, or the loss does not depend on it"
            ],
            "call loss.backward(); to find out whether the loss depends on it: why_grad(tensor, loss)",
        )
    if any(n.saved is FREED for n in Tape(loss).ops()):
        return GradientReason(
            name,
            "None",
            "cleared after backward",
            [
                "the loss depends on it and backward has run through the graph (its saved values are freed), so .grad "
                "was set to None since (zero_grad), or backward(inputs=...) or autograd.grad asked for other gradients"
            ],
            "read .grad before optimizer.zero_grad(); for another backward run the forward again",
        )
    return GradientReason(
        name,
        "None",
        "backward was not called",
        ["the loss depends on it, and nothing that the graph saved has been used yet"],
        "call loss.backward()",
    )


def _gradient(tensor: Tensor, node: Any) -> Array | None:
    if node is not None and not isinstance(node, Leaf) and node.retains is None:
        return None  # without the warning that reading .grad gives
    held = tensor.grad
    return None if held is None else held.array


def _zero_size(name: str) -> GradientReason:
    return GradientReason(name, "there", "it is empty", ["the tensor has no entries"], "")


# -- None -------------------------------------------------------------------------------------------------------------


def _not_recorded(name: str, tensor: Tensor) -> GradientReason:
    """A tensor that requires no grad."""
    origin = tensor.__dict__.get("_origin")
    if origin is not None:
        return GradientReason(
            name,
            "None",
            f"detached after {called(origin)}",
            [f"detach() cut it off from {called(origin)}{at(origin)}, whose result it was"],
            "use the tensor before detach(), or requires_grad_() to make this one a new start",
            origin,
        )
    if tensor.array.dtype.kind != "f":
        return GradientReason(
            name,
            "None",
            f"its dtype is {tensor.dtype.name}",
            ["only floating-point tensors have gradients: a whole number cannot change a little"],
            "convert it before anything is computed: x.float().requires_grad_()",
        )
    lines = ["requires_grad is False, so nothing computed from it is recorded for its sake"]
    if not is_grad_enabled():
        lines.append("gradients are switched off right now: this is inside no_grad() or inference_mode()")
    lines.append(
        "that is so for data and for what was computed inside no_grad() or from such tensors alone, or through "
        ".data, .numpy(), .item() or a comparison"
    )
    frozen = bool(getattr(tensor, "_is_param", False))
    return GradientReason(
        name,
        "None",
        "a frozen parameter: requires_grad is False" if frozen else "requires_grad is False",
        lines,
        "parameter.requires_grad_()"
        if frozen
        else "requires_grad_() before the forward, which must run outside no_grad()",
    )


def _no_leaf(name: str, tensor: Tensor, node: Node, loss: Tensor | None) -> GradientReason:
    """The result of an op: backward passes through it and keeps nothing."""
    lines = [f"it is the result of {called(node)}{at(node)}: backward keeps .grad of leaves only"]
    flowed = node.grad
    if isinstance(flowed, np.ndarray):
        lines.append(f"the gradient that flowed through it was {array_text(flowed)}")
    leaf = next((s for s in node.inputs if isinstance(s, Leaf) and getattr(s.tensor(), "_is_param", False)), None)
    moved = node.op is not None and node.op.name in ("add", "sub", "mul", "div", "cast", "reshape")
    if moved and (leaf is not None or (tensor.shape == node.shape and any(isinstance(s, Leaf) for s in node.inputs))):
        lines.append(
            "if it was meant to be the parameter itself, the name was overwritten: w = w - lr * g (or w.to(...), "
            "w * 0.01) makes a new tensor that is no leaf"
        )
    return GradientReason(
        name,
        "None",
        "it is no leaf",
        lines,
        "call retain_grad() on it before backward; to change a parameter, do so in place: with no_grad(): w -= lr * g",
        node,
    )


def _not_reached(name: str, node: Node, loss: Tensor) -> GradientReason | None:
    """Why no gradient of `loss` can get to `node`; None if it can."""
    root = live_node(loss)
    if root is None:
        origin = loss.__dict__.get("_origin")
        if origin is not None:
            return GradientReason(
                name,
                "None",
                "the loss is detached",
                [f"the loss was detached from the result of {called(origin)}{at(origin)}"],
                "call backward on the loss before detach() or .data",
                origin,
            )
        return GradientReason(
            name,
            "None",
            "the loss has no graph",
            [
                "the loss requires no grad: it was computed inside no_grad() or inference_mode(), or made from numbers "
                "(.item(), .numpy(), torch.tensor(...)), a comparison or argmax"
            ],
            "compute the loss outside no_grad(), from the outputs of the model itself",
        )
    if node.position > root.position:
        return GradientReason(
            name,
            "None",
            "made after the loss",
            [f"{name} came into the graph after the loss was computed, so the loss cannot depend on it"],
            "compute the loss again from this tensor",
        )
    tape = Tape(loss)
    active = _active(tape)
    if node in active:
        return None
    for constant in (item for item in tape.order if isinstance(item, Constant) and item.origin is not None):
        origin = constant.origin
        if origin is not None and node in behind([origin]):
            user = tape.users[constant][0][0]
            return GradientReason(
                name,
                "None",
                f"detached after {called(origin)}",
                [
                    f"its way to the loss leads through {called(origin)}{at(origin)}, whose result was detached before "
                    f"{called(user)}{at(user)} used it"
                ],
                "leave out detach() (or .data) there, if this gradient is wanted",
                origin,
            )
    if node in tape.users or node in tape.order:
        user = next(user for user, _ in tape.users[node])
        return GradientReason(
            name,
            "None",
            f"{called(user)} passes no gradient on",
            [f"{called(user)}{at(user)} uses it, but has no gradient with respect to this input"],
            "use an op that is differentiable in it",
            user,
        )
    plain = [
        f"{shape_text(item.shape)} in {called(user)}{at(user)}"
        for item in tape.order
        if isinstance(item, Constant) and item.dtype.kind == "f" and item.origin is None
        for user, _ in tape.users[item][:1]
    ]
    lines = ["no op on the way to this loss used it"]
    if plain:
        lines.append(
            "unless by a detour that is not recorded: the loss was computed from tensors without history, "
            f"{'; '.join(plain[:3])}{'; …' if len(plain) > 3 else ''}. If one of them was computed from {name}, that "
            "happened inside no_grad(), or through .data, .numpy() or .item()"
        )
    return GradientReason(
        name,
        "None",
        "not on a path to this loss",
        lines,
        "use it in forward; or ask about the loss that does depend on it; draw the graph: visualize.graph(loss)",
    )


def _active(tape: Tape) -> set[Any]:
    """What a gradient can reach from the loss."""
    reached: set[Any] = set()
    stack: list[Any] = list(tape.roots)
    while stack:
        node = stack.pop()
        if node in reached:
            continue
        reached.add(node)
        if node.plan is not None:
            stack += [node.inputs[i] for i in node.plan.active]
    return reached


# -- a gradient -------------------------------------------------------------------------------------------------------


def _of_gradient(name: str, tensor: Tensor, grad: Array, loss: Tensor | None) -> GradientReason:
    if not grad.size:
        return _zero_size(name)
    finite = np.isfinite(grad)
    if not finite.all():
        lines = [f"{share_text(float(1 - finite.mean()))} of its {grad.size} entries are NaN or infinite"]
        if loss is None:
            return GradientReason(name, "NaN", "an op made a NaN or infinity", lines, "find_nan(loss) names the op")
        found = find_nan(loss)
        if not found:
            lines.append(
                "this loss and its gradients are finite: it comes from an earlier backward that .grad still holds"
            )
            return GradientReason(
                name, "NaN", "left from an earlier backward", lines, "zero_grad() before each backward"
            )
        more = [(heading, part) for heading, part in found.parts if heading != "instead"]
        return GradientReason(name, "NaN", found.title, lines, found.stable, found.node, more)
    node = live_node(tensor)
    zero = not grad.any()
    if loss is None or live_node(loss) is None or node is None:
        if not zero:
            return _there(name, grad)
        line = "without the loss the ops between are not known"
        return GradientReason(
            name, "zero", "exactly 0 arrived, or zero_grad(set_to_none=False)", [line], "ask why_grad(tensor, loss)"
        )
    tape = Tape(loss)
    try:
        steps = {step.node: step for step in tape.backward()}
    except Gone as gone:
        line = f"the way from the loss cannot be walked again: {gone}"
        if not zero:
            return _there(name, grad, line)
        return GradientReason(name, "zero", "exactly 0 arrived", [line], "ask before the optimizer steps")
    if zero:
        return _of_zero(name, node, tape, steps, loss)
    norm = feeds_batch_norm(tape, node)
    left, loud = cancelled(tape, node, steps)
    if norm is not None and (left <= ROUNDING * loud or _quiet(grad, node, tape, steps)):
        return GradientReason(
            name,
            "rounding",
            "a bias before BatchNorm",
            [
                f"its largest entry is {number(np.abs(grad).max())}: BatchNorm{at(norm)} subtracts the mean of the "
                f"batch, so a constant added before it changes nothing, and the gradient is zero but for rounding"
            ],
            "nothing is wrong; leave the bias out to save it: nn.Linear(..., bias=False) before BatchNorm",
            norm,
        )
    if loud and left <= ROUNDING * loud:
        return GradientReason(
            name,
            "rounding",
            "its summands cancel",
            [f"gradients of size {number(loud)} arrive and add up to {number(left)}"],
            "nothing is wrong if the loss cannot depend on it, as on a shift before a softmax",
        )
    return _there(name, grad)


def _quiet(grad: Array, node: Any, tape: Tape, steps: dict[Node, Step]) -> bool:
    """Whether the gradient is tiny beside what arrives at the op that adds the bias (for fused ops)."""
    for user, _ in tape.users.get(node, ()):
        if user in steps and not hasattr(steps[user].grad, "parts"):
            arrived = np.abs(np.asarray(steps[user].grad, np.float64)).sum() / max(grad.size, 1)
            return bool(np.abs(grad).max() <= ROUNDING * arrived)
    return False


def _there(name: str, grad: Array, note: str = "") -> GradientReason:
    zeros = float(np.mean(grad == 0))
    lines = [f"its norm is {number(np.linalg.norm(grad.astype(np.float64).reshape(-1)))}"]
    if zeros:
        lines.append(f"{share_text(zeros)} of its {grad.size} entries are exactly 0")
    return GradientReason(name, "there", "it is finite and not zero", [*lines, note] if note else lines, "")


def _of_zero(name: str, node: Any, tape: Tape, steps: dict[Node, Step], loss: Tensor) -> GradientReason:
    if node not in steps:
        problem = _not_reached(name, node, loss)
        reason = f"this loss gave it none ({problem.reason})" if problem is not None else "no gradient arrives"
        lines = ["what .grad holds was left by zero_grad(set_to_none=False) or by another loss"]
        if problem is not None:
            lines += [line for heading, part in problem.parts if heading == "because" for line in part]
        return GradientReason(name, "zero", reason, lines, problem.fix if problem is not None else "")
    found = blocked(tape, node, steps)
    if not found:
        left, loud = cancelled(tape, node, steps)
        if loud and not left:
            line = f"gradients of size up to {number(loud)} arrive on several ways and cancel exactly"
            return GradientReason(
                name, "zero", "its summands cancel", [line], "nothing is wrong if the loss cannot depend on it"
            )
        line = "a gradient that is not 0 arrives from this loss: .grad was cleared (zero_grad(set_to_none=False)) since"
        return GradientReason(name, "zero", "cleared after backward", [line], "read .grad before zero_grad()")
    kind, _, fix, op = found[0]
    return GradientReason(name, "zero", f"{kind} at {called(op)}", [what for _, what, _, _ in found[:4]], fix, op)
