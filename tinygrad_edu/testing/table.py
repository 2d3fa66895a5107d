"""The table of every op's gradients, checked at seeded random inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinygrad_edu.ops.registry import Op, differentiable_ops
from tinygrad_edu.testing.choosers import RandomChooser
from tinygrad_edu.testing.domains import draw_inputs
from tinygrad_edu.testing.gradients import GradientError, check_gradients


@dataclass(frozen=True)
class OpCheck:
    """The verdict on one op."""

    op: str
    symbol: str
    gradients: str
    right: bool
    errors: tuple[float, ...]  # largest relative error at each order
    message: str  # what is wrong


def check_ops(ops: Iterable[Op] | None = None, *, examples: int = 5, order: int = 2, seed: int = 0) -> list[OpCheck]:
    """Check the gradients of every registered op (or of `ops`) at `examples` random inputs each."""
    results = []
    for op in differentiable_ops() if ops is None else ops:
        worst = (0.0,) * order
        message = ""
        for k in range(examples):
            inputs, params = draw_inputs(op, RandomChooser(seed + k))
            try:
                found = check_gradients(_called(op), inputs, params, order=order, seed=seed + k)
            except GradientError as error:
                message = str(error)
                break
            worst = tuple(max(a, b) for a, b in zip(worst, found.errors, strict=True))
        text = "   ".join(f"d{name}: {_plain(op, rule)}" for name, rule in op.gradients.items())
        results.append(OpCheck(op.name, op.symbol, text, not message, worst, message))
    return results


def _called(op: Op) -> Op:
    """Variadic ops take one sequence, so they are called through a small adapter of the same name."""
    if not op.variadic:
        return op

    def call(*inputs: object, **params: object) -> object:
        return op(list(inputs), **params)

    call.__name__ = op.name
    return call  # type: ignore[return-value]


def _plain(op: Op, rule: str) -> str:
    names = {name: name for name in (*op.inputs, *op.params)}
    return rule.format(**names, grad="g", out="out")


def format_checks(checks: Iterable[OpCheck]) -> str:
    """The table as text: op, verdict, relative errors of first and second order, rule."""
    rows = [f"{'op':<22} {'verdict':<8} {'1st order':>10} {'2nd order':>10}   rule (g is the incoming gradient)"]
    for c in checks:
        errors = [f"{e:10.1e}" for e in c.errors] if c.right else [" " * 10] * len(c.errors)
        rows.append(f"{c.op:<22} {'right' if c.right else 'WRONG':<8} {' '.join(errors)}   {c.gradients}")
        if c.message:
            rows.append(f"    {c.message}")
    return "\n".join(rows)
