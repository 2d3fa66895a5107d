"""`gradient_report`: the backward rule of every recorded op, checked by itself at the inputs that it ran on."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.autograd.anomaly import set_detect_anomaly
from tinygrad_edu.autograd.calls import Bundle
from tinygrad_edu.autograd.graph import graph_of
from tinygrad_edu.autograd.modes import enable_grad
from tinygrad_edu.autograd.node import Constant, Node
from tinygrad_edu.autograd.records import Graph
from tinygrad_edu.errors import GraphError
from tinygrad_edu.explanations.differences import KINK, RIGHT, WRONG, Differences, EntryCheck, check_input
from tinygrad_edu.explanations.state import unchanged
from tinygrad_edu.explanations.tape import Gone, Tape, compute, function_results, rules
from tinygrad_edu.explanations.text import (
    Answer,
    called,
    grid,
    grid_html,
    input_names,
    line_of,
    number,
    place_text,
    shape_text,
)
from tinygrad_edu.ops.movement import sum_to
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import live_node
from tinygrad_edu.tensor import Tensor

SKIPPED = "skipped"
LISTED = 24  # rows that the text shows
WORST = 5  # entries listed of a wrong rule
COLUMNS = ("op", "result", "input", "entries", "worst error", "verdict", "note")
NUMBERS = (3, 4)


@dataclass(frozen=True)
class RuleCheck:
    """The rule of one recorded op for one of its inputs: the verdict ("right", "wrong", "kink", "skipped") and why."""

    op: str
    name: str  # the op and the given name of its result
    input: str
    shape: tuple[int, ...]
    size: int  # entries of the input
    entries: tuple[EntryCheck, ...]  # those that were looked at one by one
    verdict: str
    note: str
    location: str
    rule: str
    node: Any = None

    @property
    def error(self) -> float:
        """The largest relative error of an entry that is no kink."""
        return max((entry.error for entry in self.entries if entry.verdict != KINK), default=0.0)

    @property
    def wrong(self) -> tuple[EntryCheck, ...]:
        """The entries where the rule is wrong, the worst first."""
        return tuple(sorted((e for e in self.entries if e.verdict == WRONG), key=lambda e: -e.error))


class GradientReport(Answer):
    """What `gradient_report` found: `ok`, `checks` in execution order, the `first_wrong` on the way back."""

    def __init__(self, loss: Tensor, checks: Sequence[RuleCheck], params: Any, seconds: float) -> None:
        self.checks = tuple(checks)
        self._loss, self._params = loss, params
        wrong = [check for check in self.checks if check.verdict == WRONG]
        self.first_wrong: RuleCheck | None = wrong[-1] if wrong else None
        self.ok = not wrong
        counts = {v: sum(c.verdict == v for c in self.checks) for v in (RIGHT, KINK, WRONG, SKIPPED)}
        told = [f"{count} {verdict}" for verdict, count in counts.items() if count]
        ops = len({id(c.node) for c in self.checks})
        summary = f"{len(self.checks)} rules of {ops} ops: {', '.join(told)}; {seconds:.1f} s"
        if self.first_wrong is None:
            done = counts[RIGHT] + counts[KINK]
            title = f"gradient report: every rule that was checked agrees with central differences ({done})"
        else:
            title = f"gradient report: the rule of {self.first_wrong.name} for {self.first_wrong.input} is wrong"
        super().__init__(title, [("checked", [summary]), *_blame(self.first_wrong)])

    def rows(self) -> list[tuple[str, ...]]:
        """The table: a row per rule, as text."""
        return [_row(check) for check in self.checks]

    def _shown(self) -> tuple[list[tuple[str, ...]], str]:
        if len(self.checks) <= LISTED:
            return self.rows(), ""
        rank = {WRONG: 0, KINK: 1, RIGHT: 2, SKIPPED: 2}
        worst = sorted(self.checks, key=lambda c: (rank[c.verdict], -c.error))[:LISTED]
        kept = [_row(check) for check in self.checks if any(check is w for w in worst)]
        return kept, f"the {LISTED} worst of {len(self.checks)} rules; all are in .checks"

    def __str__(self) -> str:
        rows, more = self._shown()
        table = grid(COLUMNS, rows, NUMBERS) if rows else ""
        return "\n".join(filter(None, (super().__str__(), "", table, more)))

    def _repr_html_(self) -> str:
        return super()._repr_html_() + grid_html(COLUMNS, self.rows(), NUMBERS)

    def _repr_markdown_(self) -> str:
        return super()._repr_markdown_() + "\n\n```\n" + grid(COLUMNS, self._shown()[0], NUMBERS) + "\n```"

    def graph(self) -> Graph:
        """The recorded graph as plain data; `visualize.report(report, "net.png")` draws it, the wrong op in red."""
        return graph_of(self._loss, params=self._params)

    def marked(self, graph: Graph) -> list[str]:
        """The vertices of `graph` whose rules are wrong, the first on the way back first."""
        wrong = [graph.places.get(c.node.position, "") for c in reversed(self.checks) if c.verdict == WRONG]
        return list(dict.fromkeys(filter(None, wrong)))

    mark = "wrong"  # how pictures mark them


def _row(check: RuleCheck) -> tuple[str, ...]:
    looked = f"{len(check.entries)} of {check.size}"
    error = "" if check.verdict == SKIPPED else f"{check.error:.1e}" if check.error else "0"
    return (
        check.name,
        shape_text(check.shape),
        check.input,
        looked,
        error,
        check.verdict.upper() if check.verdict == WRONG else check.verdict,
        check.note,
    )


def _blame(check: RuleCheck | None) -> list[tuple[str, list[str]]]:
    """What is wrong with a rule: what it says, where it is furthest off, and a factor if one explains it."""
    if check is None:
        return []
    worst = check.wrong[:WORST]
    lines = [
        f"dL/d{check.input}{place_text(e.place)}: "
        f"the rule gives {number(e.rule)}, the difference {number(e.difference)}"
        for e in worst
    ]
    ratios = [e.rule / e.difference for e in check.wrong if e.difference and np.isfinite(e.difference)]
    slip = []
    if ratios and len(ratios) == len(check.wrong) and np.ptp(ratios) <= 1e-3 * abs(ratios[0]):
        what = "the sign is wrong" if abs(ratios[0] + 1) < 1e-3 else f"it is off by a factor of {number(ratios[0])}"
        slip = [f"{what} in every wrong entry that was looked at" if len(ratios) > 1 else what]
    rule = [f"dL/d{check.input} = {check.rule}"] if check.rule else []
    return [("rule", rule), ("worst", lines), ("slip", slip), ("line", [line_of(check.node)] if check.location else [])]


def gradient_report(
    model: Any,
    loss_fn: Callable[..., Tensor] | None = None,
    *,
    entries: int = 5,
    seconds: float = 30.0,
    seed: int = 0,
) -> GradientReport:
    """Check the backward rule of every op behind a loss against central differences, and name the first wrong one.

    model: a Module, with loss_fn(model), or loss_fn(), returning the loss; or the loss itself, a recorded tensor.
    Each rule is checked by itself, in float64, at the inputs that the op ran on and for a random incoming gradient:
    along one random direction through all entries, and at `entries` single ones of each input, chosen with `seed`.
    Where the left and the right difference stay apart the function has a kink, and any slope between the two is right.
    seconds: no check is begun after this time; what is left is listed as skipped.
    The model's running statistics, flags and gradients and the random generator are left as they were.
    Raises TypeError for what is neither, GraphError for a loss without a graph.
    """
    if entries < 1:
        raise ValueError(f"gradient_report: entries must be >= 1, got {entries}")
    params = None
    if isinstance(model, Tensor):
        if loss_fn is not None:
            raise TypeError("gradient_report: a loss is checked alone; loss_fn goes with a model")
        loss = model
    else:
        loss = _run(model, loss_fn)
        params = dict(model.named_parameters())
    if live_node(loss) is None:
        raise GraphError(
            "gradient_report: the loss has no recorded graph; compute it from tensors that require grad, outside "
            "no_grad() and without detach()"
        )
    started = time.perf_counter()
    tape = Tape(loss)
    checks = list(_checks(tape, entries, seed, started + seconds))
    return GradientReport(loss, checks, params, time.perf_counter() - started)


def _run(model: Any, loss_fn: Any) -> Tensor:
    """The loss of a model, recorded with the lines of user code."""
    if not hasattr(model, "named_parameters"):
        raise TypeError(f"gradient_report: expected a Module or a recorded loss, got {type(model).__name__}")
    if not callable(loss_fn):
        raise TypeError(
            "gradient_report: with a model give loss_fn, a function of the model that returns the loss: "
            "gradient_report(model, lambda model: F.cross_entropy(model(x), y))"
        )
    takes = [
        p for p in inspect.signature(loss_fn).parameters.values() if p.default is p.empty and p.kind != p.VAR_KEYWORD
    ]
    with unchanged(model), enable_grad(), set_detect_anomaly(True, check_nan=False):
        loss = loss_fn(model) if takes else loss_fn()
    if not isinstance(loss, Tensor):
        raise TypeError(f"gradient_report: loss_fn must return a tensor, the loss, got {type(loss).__name__}")
    return loss


def _checks(tape: Tape, entries: int, seed: int, until: float) -> Iterator[RuleCheck]:
    for k, node in enumerate(tape.ops()):
        assert node.op is not None
        if node.plan is None or node.op.name.endswith(".result"):
            continue
        rng = np.random.default_rng((seed, k))
        for i in node.plan.active:
            if time.perf_counter() > until:
                yield _made(node, i, (), SKIPPED, "out of time: give more seconds=")
            else:
                yield _check(tape, node, i, entries, rng, until)


def _check(tape: Tape, node: Node, i: int, entries: int, rng: np.random.Generator, until: float) -> RuleCheck:
    arrays, note = _arrays(tape, node, rng)
    if arrays is None:
        return _made(node, i, (), SKIPPED, note)
    if not all(a is None or a.dtype.kind != "f" or np.isfinite(a).all() for a in arrays):
        return _made(node, i, (), SKIPPED, "its inputs are not finite: see find_nan(loss)")
    wide = [a.astype(np.float64) if a is not None and a.dtype.kind == "f" else a for a in arrays]

    def outputs(point: Array) -> list[Array]:
        found = _outputs(node, [*wide[:i], point, *wide[i + 1 :]])
        return [np.zeros(()) if a is None else a for a in found]

    try:
        results = _outputs(node, wide)
        weights = [None if a is None else np.asarray(rng.standard_normal(a.shape)) for a in results]
        gradient, rule_eps = _gradient(tape, node, i, wide, results, weights)
    except Gone as gone:
        return _made(node, i, (), SKIPPED, str(gone))
    eps = max(float(np.finfo(a.dtype).eps) for a in results if a is not None)
    plain = [np.zeros(()) if u is None else u for u in weights]
    differences = Differences(outputs, wide[i], plain, eps, rule_eps)
    # an entry takes up to four runs of the op: fewer entries where one run takes long
    left = max(until - time.perf_counter(), 0.0)
    fits = max(1, min(entries, int(left / (8 * differences.cost + 1e-9))))
    checked = check_input(differences, gradient, fits, rng)
    verdicts = {entry.verdict for entry in checked}
    verdict = WRONG if WRONG in verdicts else KINK if KINK in verdicts else RIGHT
    kinks = sum(entry.verdict == KINK for entry in checked)
    if kinks:
        note = f"{kinks} on a kink" + (f"; {note}" if note else "")
    return _made(node, i, tuple(checked), verdict, note)


def _made(node: Node, i: int, entries: tuple[EntryCheck, ...], verdict: str, note: str) -> RuleCheck:
    op, source = node.op, node.inputs[i]
    assert op is not None
    names = input_names(node)
    template = op.gradients.get(op.inputs[0 if op.variadic else i], "")
    known = {p: p for p in op.params} | {"grad": "dL/dout", "out": "out"}
    known |= {op.inputs[0]: "x"} if op.variadic else dict(zip(op.inputs, names, strict=False))
    rule = template.replace("{grad}{", "{grad} {").format(**known) if template else ""
    shape = tuple(source.shape)
    size = int(np.prod(shape, dtype=np.int64))
    return RuleCheck(
        op.name, called(node), names[i], tuple(node.shape), size, entries, verdict, note, node.location, rule, node
    )


def _arrays(tape: Tape, node: Node, rng: np.random.Generator) -> tuple[list[Any] | None, str]:
    """The recorded inputs; a lost one whose value no rule asks for is drawn, and said to be."""
    arrays: list[Any] = []
    note = ""
    for source in node.inputs:
        if not isinstance(source, (Node, Constant)):
            arrays.append(None if source is None else np.asarray(source))
            continue
        array = tape.value(source)
        if array is None:
            if isinstance(source, Constant) and source.dtype.kind != "f":
                return None, "its indices or mask are not kept any more; hold on to the data"
            array = rng.standard_normal(source.shape)
            note = "at random values: the recorded ones are not kept"
        arrays.append(array)
    return arrays, note


def _outputs(node: Node, arrays: Sequence[Any]) -> list[Array | None]:
    return function_results(node, arrays) if node.function is not None else [compute(node, arrays)[0]]


def _gradient(
    tape: Tape,
    node: Node,
    i: int,
    wide: Sequence[Any],
    results: Sequence[Array | None],
    weights: Sequence[Array | None],
) -> tuple[Array, float]:
    """What the rule gives for the i-th input, in float64, and the rounding of the numbers that it worked with."""
    plan = node.plan
    assert plan is not None
    grad: Any = weights[0]
    if node.function is not None:  # its backward reads what the recorded call saved, in the recorded dtype
        kept = [a for a in (tape.value(s) for s in node.inputs if isinstance(s, (Node, Constant))) if a is not None]
        dtype = np.result_type(*[a.dtype for a in kept if a.dtype.kind == "f"]) if kept else np.dtype(np.float64)
        parts = [None if u is None else u.astype(dtype) for u in weights]
        grad = parts[0] if len(parts) == 1 else Bundle(parts, node.shape)
        shares = dict(rules(node, grad, tape.saved(node)))
        eps = float(np.finfo(dtype).eps)
    else:
        out, extras = compute(node, wide)
        shares = dict(rules(node, grad.astype(out.dtype), plan.save(wide, out, extras)))
        eps = float(np.finfo(np.float64).eps)
    shape = np.shape(wide[i])
    share = shares.get(i)
    if share is None:
        return np.zeros(shape), eps
    array = np.asarray(share)
    if array.shape != shape:
        array = np.asarray(sum_to(array, shape=shape))
    return array.astype(np.float64), eps
