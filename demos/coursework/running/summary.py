"""What is told of an experiment's cells: results.json and results.csv, and the table beside the report's numbers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .statistics import Spread, spread

Cells = Mapping[str, Mapping[int, dict[str, Any]]]  # label -> seed -> cell
Reported = Mapping[str, Mapping[str, float]]  # label -> metric -> the report's number
LEFT_OUT = ("history", "predictions", "targets", "config", "metrics", "versions", "machine", "data")


@dataclass(frozen=True)
class Row:
    """One line of the table: a label's metric over the seeds, and the report's number if it gave one."""

    label: str
    metric: str
    ours: Spread
    report: float | None
    lower_is_better: bool = False

    @property
    def verdict(self) -> str:
        """How ours stands to the report's single run."""
        if self.report is None:
            return ""
        sign = -1 if self.lower_is_better else 1
        if sign * self.ours.mean >= sign * self.report:
            return "reached"
        best = self.ours.low if self.lower_is_better else self.ours.high
        if sign * best >= sign * self.report:
            return "reached by the best seed"
        return "above" if self.lower_is_better else "below"


def rows(cells: Cells, metrics: Sequence[str], reported: Reported, lower_is_better: bool = False) -> list[Row]:
    """The table's lines, label by label."""
    out = []
    for label, seeds in cells.items():
        for metric in metrics:
            values = [cell["metrics"][metric] for cell in seeds.values() if metric in cell["metrics"]]
            if values:
                out.append(Row(label, metric, spread(values), reported.get(label, {}).get(metric), lower_is_better))
    return out


def shown(metric: str, value: float, signed: bool = False) -> str:
    """A number of a metric: accuracies in percent, others with four digits."""
    if math.isnan(value):
        return "NaN"
    plus = "+" if signed else ""
    if "accuracy" in metric:
        return f"{100 * value:{plus}.2f}" + ("" if signed else " %")
    return f"{value:{plus}.4g}"


def ours(row: Row) -> str:
    """Mean ± standard deviation over the seeds."""
    if row.ours.n == 1 or math.isnan(row.ours.mean):
        return shown(row.metric, row.ours.mean)
    mean, std = shown(row.metric, row.ours.mean), shown(row.metric, row.ours.std)
    return f"{mean.removesuffix(' %')} ± {std}"


def table(lines: Sequence[Row]) -> list[list[str]]:
    """Header and cells of the table as text."""
    several = len({row.metric for row in lines}) > 1
    head = ["", *(["metric"] if several else []), "ours", "least to greatest", "seeds", "report", "difference", ""]
    body = []
    for row in lines:
        low, high = shown(row.metric, row.ours.low), shown(row.metric, row.ours.high)
        report = "not given" if row.report is None else shown(row.metric, row.report)
        difference = "" if row.report is None else shown(row.metric, row.ours.mean - row.report, signed=True)
        numbers = [ours(row), f"{low.removesuffix(' %')} to {high}", str(row.ours.n), report, difference, row.verdict]
        body.append([row.label, *([row.metric] if several else []), *numbers])
    return [head, *body]


def markdown(grid: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    head, *body = grid
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])


def plain(grid: Sequence[Sequence[str]]) -> str:
    """A table for the console, columns aligned."""
    widths = [max(len(row[k]) for row in grid) for k in range(len(grid[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in grid]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def results(cells: Cells, lines: Sequence[Row], about: Mapping[str, Any]) -> dict[str, Any]:
    """All of it as plain data, without histories and predictions."""
    by_row = [{**asdict(row), "difference": _minus(row), "verdict": row.verdict} for row in lines]
    each = [
        {**{k: v for k, v in cell.items() if k not in LEFT_OUT}, "label": label, "metrics": cell["metrics"]}
        for label, seeds in cells.items()
        for cell in seeds.values()
    ]
    flat = [cell for seeds in cells.values() for cell in seeds.values()]
    same = {name: _distinct([cell[name] for cell in flat]) for name in ("data", "versions", "machine")}
    configs = {label: next(iter(seeds.values()))["config"] for label, seeds in cells.items() if seeds}
    seconds = round(sum(cell["seconds"] for cell in flat), 1)
    return {**about, "rows": by_row, "cells": each, "configs": configs, **same, "seconds of all cells": seconds}


def _minus(row: Row) -> float | None:
    return None if row.report is None else row.ours.mean - row.report


def _distinct(values: Sequence[Any]) -> list[Any]:
    out: list[Any] = []
    for value in values:
        if value not in out:
            out.append(value)
    return out


def as_csv(cells: Cells) -> str:
    """One line per cell: label, seed, metrics, parameters, seconds, and the configuration."""
    flat = [(label, cell) for label, seeds in cells.items() for cell in seeds.values()]
    metrics = list(dict.fromkeys(name for _, cell in flat for name in cell["metrics"]))
    settings = list(dict.fromkeys(name for _, cell in flat for name in cell["config"]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ["label", "seed", "data", *metrics, "parameters", "seconds", "started"]
    writer.writerow([*names, *(f"config {s}" for s in settings)])
    for label, cell in flat:
        values = [cell["metrics"].get(name, "") for name in metrics]
        facts = [cell.get("parameters", ""), cell["seconds"], cell["started"]]
        config = [cell["config"].get(name, "") for name in settings]
        writer.writerow([label, cell["seed"], cell["data"]["name"], *values, *facts, *config])
    return text.getvalue()


def paired_table(compared: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The paired tests as a table: differences in points of accuracy."""
    head = [
        "first",
        "second",
        "difference",
        "95 % interval",
        "p (bootstrap)",
        "p per seed (McNemar)",
        "better",
    ]
    body = []
    for row in compared:
        low, high = row["interval"]
        each = ", ".join(_p(test["p, Holm"]) for test in row["mcnemar"])
        interval = f"{100 * low:+.2f} to {100 * high:+.2f}"
        names = [row["first"], row["second"], f"{100 * row['difference']:+.2f}", interval]
        body.append([*names, _p(row["bootstrap p, Holm"]), each, row["better"] or "not told apart"])
    return [head, *body]


def _p(p: float) -> str:
    if p < 1e-300:
        return "< 1e-300"
    return f"{p:.1e}" if p < 0.001 else f"{p:.3f}"
