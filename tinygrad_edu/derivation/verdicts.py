"""What is said about the formulas: one Verdict each, and Checked for all of them."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinygrad_edu.autograd.records import Graph
from tinygrad_edu.derivation.graphs import Recorded

__all__ = ["Checked", "Counterexample", "Repair", "Verdict"]


@dataclass(frozen=True)
class Repair:
    """A change that makes a formula right: the kind of slip, what it is in words, and the formula after it.

    short: a few words for a picture.
    """

    slip: str
    words: str
    formula: str
    short: str = ""


@dataclass(frozen=True)
class Counterexample:
    """The smallest input found at which a formula is wrong: the inputs, and one entry of both values."""

    inputs: dict[str, Any]
    yours: Any
    true: Any
    entry: str = ""  # "i = 1", where both are arrays
    text: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Verdict:
    """What was found out about one formula.

    error: the largest relative error over all draws.  problem: why it cannot be evaluated or compared, "" if it can.
    repair: the simplest change that makes it right, None if none was found; `others` are equally simple ones.
    tried: how many changes were tried.  carried: how an earlier wrong formula of the same author comes out in it.
    terms: what is said about each term.  instead: what other derivative the formula is, if it is one.
    shown: the statement with its right side, which a Python function has after it was traced.
    note: why only repairs of the result as a whole could be tried, where that is so.
    by: the value by which it differentiates, or whose shape it is.  of: what is differentiated, None for the loss.
    kind: "formula", "shape" or "claim".
    """

    label: str
    statement: str
    right: bool
    error: float
    problem: str = ""
    counterexample: Counterexample | None = None
    repair: Repair | None = None
    others: tuple[Repair, ...] = ()
    tried: int = 0
    carried: str | None = None
    terms: tuple[str, ...] = ()
    instead: str = ""
    shown: str = ""
    note: str = ""
    by: str = ""
    of: str | None = None
    kind: str = "formula"

    @property
    def slip(self) -> str:
        """The kind of slip, "" if the formula is right or none was found."""
        return self.repair.slip if self.repair is not None else ""

    @property
    def words(self) -> str:
        """The verdict in one line."""
        if self.right:
            return self.carried or ""
        if self.repair is not None:
            return f"{self.repair.slip}: {self.repair.words}"
        if self.instead:
            return f"it is {self.instead}"
        if self.problem:
            return self.problem
        return f"none of {self.tried:,} repairs makes it right" if self.tried else ""


@dataclass(frozen=True)
class Checked:
    """The verdicts on a derivation, in the order of the backward pass."""

    name: str
    verdicts: tuple[Verdict, ...]
    recorded: Recorded | None = field(default=None, repr=False, compare=False)

    mark = "wrong formula"  # how pictures mark what `marked` returns

    @property
    def right(self) -> bool:
        """Whether all formulas are right."""
        return all(verdict.right for verdict in self.verdicts)

    @property
    def first_wrong(self) -> Verdict | None:
        """The first wrong step on the way back."""
        return next((verdict for verdict in self.verdicts if not verdict.right), None)

    @property
    def title(self) -> str:
        """The result in one line."""
        wrong = [verdict for verdict in self.verdicts if not verdict.right]
        count = len(self.verdicts)
        if not wrong:
            return f"{self.name}: all {count} formulas are right" if count != 1 else f"{self.name}: right"
        first = f"; the first wrong step is {wrong[0].label}, {wrong[0].statement}"
        return f"{self.name}: {len(wrong)} of {count} wrong{first}"

    def __getitem__(self, label: str) -> Verdict:
        for verdict in self.verdicts:
            if verdict.label == label:
                return verdict
        raise KeyError(f"no formula has the label {label!r}; there are {', '.join(v.label for v in self.verdicts)}")

    def __len__(self) -> int:
        return len(self.verdicts)

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def graph(self) -> Graph:
        """One run of the forward pass as plain data; `visualize.report(found, "net.png")` draws it."""
        if self.recorded is None:
            raise ValueError(f"{self.name}: the forward pass was not recorded")
        return self.recorded.graph()

    def marked(self, graph: Graph) -> list[str]:
        """The vertices of `graph` with a wrong formula, the first on the way back first.

        A gradient dL/dB belongs to B, a Jacobian dA/dB to A.
        """
        if self.recorded is None:
            return []
        places = self.recorded.vertices(graph)
        names = [v.of or v.by for v in self.verdicts if not v.right]
        return list(dict.fromkeys(places[key] for key in names if key in places))

    def vertices(self, graph: Graph) -> dict[str, str]:
        """The vertex of `graph` that shows each named value."""
        return {} if self.recorded is None else self.recorded.vertices(graph)

    # -- printing -----------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        from tinygrad_edu.explanations.text import grid

        rows = [_row(verdict) for verdict in self.verdicts]
        parts = [self.title, grid(COLUMNS, rows, right=(3,), width=WIDTH)]
        for verdict in self.verdicts:
            if not verdict.right:
                parts.append("\n".join(_details(verdict)))
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        from tinygrad_edu.explanations.text import grid_html

        table = grid_html(COLUMNS, [_row(verdict) for verdict in self.verdicts], right=(3,))
        wrong = "".join(
            f"<p>{'<br>'.join(html.escape(line) for line in _details(verdict))}</p>"
            for verdict in self.verdicts
            if not verdict.right
        )
        return f"<p><b>{html.escape(self.title)}</b></p>{table}{wrong}"

    def _repr_markdown_(self) -> str:
        def cell(text: str) -> str:
            for sign in "\\*_|`[]<>$":
                text = text.replace(sign, "\\" + sign)
            return text.replace("\n", "<br>")

        lines = [f"**{cell(self.title)}**", "", "| " + " | ".join(COLUMNS) + " |", "|" + ":--|" * len(COLUMNS)]
        lines += ["| " + " | ".join(map(cell, _row(verdict))) + " |" for verdict in self.verdicts]
        return "\n".join(lines)


COLUMNS = ("", "formula", "verdict", "error", "why")
WIDTH = 118


def _row(verdict: Verdict) -> tuple[str, ...]:
    error = "" if verdict.error == float("inf") else f"{verdict.error:.0e}" if verdict.error else "0"
    return (
        verdict.label,
        verdict.shown or verdict.statement,
        "right" if verdict.right else "WRONG",
        error,
        verdict.words,
    )


def _details(verdict: Verdict) -> Sequence[str]:
    lines = [f"{verdict.label}. {verdict.shown or verdict.statement}"]
    if verdict.problem:
        lines.append(f"   {verdict.problem}")
    if verdict.counterexample is not None:
        lines.append(f"   at {verdict.counterexample}")
    for repair in (*((verdict.repair,) if verdict.repair else ()), *verdict.others):
        lines.append(f"   {repair.slip}: {repair.words}")
        if repair.formula:
            lines.append(f"   right would be {repair.formula}")
    if verdict.instead and verdict.repair is None:
        lines.append(f"   it is {verdict.instead}")
    lines += [f"   {line}" for line in verdict.terms]
    if verdict.tried:
        whole = f", of the result as a whole: {verdict.note}" if verdict.note else ""
        count = f"{verdict.tried:,} repairs"
        none = verdict.repair is None
        lines.append(f"   none of {count} makes it right{whole}" if none else f"   ({count} tried{whole})")
    if verdict.carried:
        lines.append(f"   {verdict.carried}")
    return lines
