"""Why an op made a NaN or an infinity, in words, and the form that does not."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.autograd.node import Node
from tinygrad_edu.explanations.text import number

Entries = dict[str, float]  # the entry of each input behind the bad one

CLAMP = "keep it away from 0: x.clamp(min=1e-12)"
LOGS = "take the logarithm and what is inside it in one step"
SHIFT = "subtract the maximum first, as torch.softmax, log_softmax and logsumexp do; or clamp(max=...) the input"


def overflow_at(name: str, dtype: np.dtype[Any]) -> float:
    """The largest x for which exp, exp2, expm1, sinh or cosh of x is finite: 88.7 for exp in float32."""
    largest = float(np.log(float(np.finfo(dtype).max)))
    return largest / float(np.log(2.0)) if name == "exp2" else largest


def forward_reason(node: Node, entries: Entries, dtype: np.dtype[Any], word: str) -> tuple[str, str]:
    """(reason, stable form) for a bad entry of a result, from the entries of the inputs behind it."""
    op = node.op
    assert op is not None
    x, y = entries.get("x", 0.5), entries.get("y", 0.5)
    made = maker(node)
    if op.name in ("log", "log2", "log10", "log1p"):
        zero = -1.0 if op.name == "log1p" else 0.0
        reason = f"the logarithm of {number(x)} is −inf" if x == zero else f"the logarithm of {number(x)} is not real"
        return reason, _stable_log(made)
    if op.name in ("exp", "exp2", "expm1", "sinh", "cosh") and word == "inf":
        limit = overflow_at(op.name, dtype)
        return f"{op.name}({number(x)}) overflows: {dtype} ends at an input of {limit:.1f}", SHIFT
    if op.name in ("div", "remainder", "fmod"):
        if np.isinf(x) and np.isinf(y):
            return "inf / inf has no value", SHIFT
        reason = "0 / 0 has no value" if x == 0 or np.isnan(x) else f"{number(x)} / 0 is infinite"
        return reason, "add an eps to the divisor, x / (y + 1e-8), or clamp(min=1e-8) it"
    if op.name in ("reciprocal", "rsqrt"):
        reason = f"1/{'√' if op.name == 'rsqrt' else ''}{number(x)} " + ("is infinite" if x == 0 else "is not real")
        return reason, "add an eps first, (x + 1e-8), as BatchNorm does under its root"
    if op.name == "sqrt":
        return f"the root of {number(x)} is not real", "clamp(min=0) first; a variance below 0 is rounding"
    if op.name in ("pow", "power"):
        y = entries.get("y", float(node.params.get("exponent", y)))
        if x < 0:
            return f"({number(x)}) to the power of {number(y)} is not real", "clamp(min=0) the base, or use abs()"
        reason = f"{number(x)} to the power of {number(y)} " + ("is infinite" if x == 0 else "overflows")
        return reason, CLAMP
    if op.name == "sub" and x == y == -np.inf:
        return "−inf − (−inf) has no value", "leave something: a row that is masked everywhere has no maximum"
    if op.name in ("sub", "add") and np.isinf(x) and np.isinf(y):
        return "inf − inf has no value", SHIFT
    if op.name == "mul" and 0 in (x, y) and (np.isinf(x) or np.isinf(y)):
        return "0 · inf has no value", "choose with torch.where(mask, x, 0), which does not multiply what it leaves out"
    if op.name in ("asin", "acos", "atanh", "erfinv"):
        return f"{op.name} has no finite value at {number(x)}", "keep |x| below 1: x.clamp(-1 + 1e-6, 1 - 1e-6)"
    if op.name == "acosh":
        return f"acosh has no value at {number(x)}", "keep x above 1: x.clamp(min=1)"
    if any(np.isinf(v) for v in entries.values()):
        return "it computes with an infinity, and inf − inf, 0 · inf and inf / inf have no value", SHIFT
    if word == "inf":
        largest = float(np.finfo(dtype).max)
        return f"the result is larger than the largest {dtype}, {largest:.1e}", (
            "smaller numbers: normalise the input, a smaller learning rate, clip_grad_norm_, or float64"
        )
    return f"{op.name} has no finite value for these inputs", "keep the input away from this point"


def _stable_log(made: str) -> str:
    """What to write for log(f(x)), by f."""
    if made in ("softmax", "div"):
        return f"{LOGS}: F.log_softmax(x), or nn.CrossEntropyLoss on the logits"
    if made == "sigmoid":
        return f"{LOGS}: F.logsigmoid(x), or nn.BCEWithLogitsLoss on the logits"
    if made == "sum":
        return f"{LOGS}: torch.logsumexp(x), if exponentials are summed"
    return f"{CLAMP}; of a softmax use log_softmax, of a sum of exponentials logsumexp, of a sigmoid BCEWithLogitsLoss"


def backward_reason(node: Node, entries: Entries, arrived: float | None, infinite: bool) -> tuple[str, str]:
    """(reason, stable form) for a bad gradient.

    arrived: the entry of the incoming gradient.  infinite: a value that the rule may read is not finite.
    """
    op = node.op
    assert op is not None
    x, y = entries.get("x", 0.5), entries.get("y", 0.5)
    slope, stable = "", "keep the input away from this point: clamp it, or add an eps"
    if op.name in ("sqrt", "rsqrt") and x == 0:
        slope, stable = "the slope of the root at 0 is infinite, 1/(2√0)", "put an eps under it: (x + 1e-12).sqrt()"
    elif op.name in ("log", "log2", "log10", "log1p"):
        slope, stable = f"the slope of the logarithm at {number(x)} is infinite", _stable_log(maker(node))
    elif op.name in ("pow", "power") and x == 0:
        y = entries.get("y", float(node.params.get("exponent", y)))
        slope, stable = f"the slope of x^{number(y)} at 0 is infinite", CLAMP
    elif op.name in ("div", "reciprocal"):
        bottom = y if op.name == "div" else x
        if bottom == 0:
            slope, stable = "the slope of a quotient at a divisor of 0 is infinite", "add an eps: x / (y + 1e-8)"
    elif op.name in ("asin", "acos", "atanh", "acosh", "erfinv"):
        slope, stable = f"the slope of {op.name} at {number(x)} is infinite", "clamp the input inside its ends"
    if slope and arrived == 0:
        return (
            f"{slope}, and the gradient that arrives is 0 (a mask or `where` after it): 0 · inf is NaN",
            f"mask the input before the op, not its result: {op.name}(torch.where(mask, x, 1.0)); or {stable}",
        )
    if slope:
        return slope, stable
    if infinite:
        return "the rule computes with an infinity of the forward pass: 0 · inf or inf − inf", SHIFT
    if arrived is not None and not np.isfinite(arrived):
        return "the gradient that arrives is not finite already", "look at the ops after this one"
    return "the product of gradient and slope has no finite value", (
        f"{stable}; or make gradients smaller: a smaller loss, clip_grad_norm_ between layers, or float64"
    )


def maker(node: Node) -> str:
    """The op that made the first input, through views and casts; "softmax" for anything inside a softmax."""
    source = node.inputs[0]
    while (
        isinstance(source, Node) and source.op is not None and source.op.name in ("reshape", "cast", "clone", "index")
    ):
        source = source.inputs[0]
    if not isinstance(source, Node) or source.op is None:
        return ""
    if source.scope is not None and "softmax" in source.scope.kind.lower():
        return "softmax"
    return source.op.name
