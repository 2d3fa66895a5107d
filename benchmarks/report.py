"""From times to medians, paired ratios and quartiles; the table's lines; the plot."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.machine import BUSY
from benchmarks.sides import OURS, THEIRS

Rounds = dict[str, list[list[float]]]
SHORT = {OURS: "ours", THEIRS: "PyTorch", "mygrad": "MyGrad", "autograd": "autograd", "dezero": "DeZero"}
COLOURS = {THEIRS: "#0072B2", "mygrad": "#CC79A7", "autograd": "#E69F00", "dezero": "#009E73"}
ORANGE, GREY = "#D55E00", "#5B6472"


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """The first quartile, the median, the third; of one value, that value."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def summary(rounds: Rounds) -> dict[str, dict[str, Any]]:
    """By side: the median and quartiles of all its runs; and ours over it: medians of a round, paired, their quartiles.

    Two sides of a round ran within a fraction of a second, so a slower spell of the machine slows both.
    """
    out: dict[str, dict[str, Any]] = {}
    for side, blocks in rounds.items():
        low, median, high = quartiles([value for block in blocks for value in block])
        out[side] = {"median": median, "quartiles": [low, high], "runs": sum(map(len, blocks)), "rounds": len(blocks)}
        if side != OURS:
            pairs = zip(rounds[OURS], blocks, strict=False)  # a slow engine runs in the first rounds only
            low, median, high = quartiles([statistics.median(a) / statistics.median(b) for a, b in pairs])
            out[side] |= {"ratio": median, "ratio_quartiles": [low, high]}
    return out


def _number(value: float, row: dict[str, Any]) -> str:
    scaled = value * (1e-6 if row["unit"] == "bytes" else 1e3)
    return f"{scaled:.{3 if scaled < 100 else 1 if scaled < 1e5 else 0}f}"


def _ratio(value: float) -> str:
    return f"{value:.{2 if value >= 0.1 else 3}f}"


def heading(sides: list[str]) -> str:
    """The names of the columns."""
    text = f"{'ms (MB for memory)':<40}{'ours':>10}{'quartiles':>12}{'FMA':>6}"
    if THEIRS in sides:
        text += f" |{'PyTorch':>9}{'ratio':>7} {'quartiles':>11} {'target':>7}"
    return text + "".join(f" |{SHORT[side]:>8}{'ratio':>7}" for side in sides if side not in (OURS, THEIRS))


def line(row: dict[str, Any], sides: list[str]) -> str:
    """A row of the table, of at most 160 columns; `!` is above the target or limit, `*` a machine that was busy."""
    ours = row["sides"][OURS]
    mark = "*" if (row["others"] or 0.0) > BUSY else " "
    spread = " ".join(f"{quartile / ours['median'] - 1:+.0%}" for quartile in ours["quartiles"])
    text = f"{row['what']:<39}{mark}{_number(ours['median'], row):>10}{spread:>12}"
    if row["limit"] is not None:
        return text + _beside_a_limit(row)
    text += f"{row['share']:>6.0%}" if row["share"] else " " * 6
    for side in sides:
        if side == OURS:
            continue
        entry, width = row["sides"].get(side, {}), 36 if side == THEIRS else 15
        if "ratio" not in entry:
            cell = f"{'-':>9}"
        elif side == THEIRS:
            cell = _theirs(entry, row)
        else:
            cell = f"{_number(entry['median'], row):>8}{_ratio(entry['ratio']):>7}"
        text += f" |{cell:<{width}}"
    return text.rstrip()


def _beside_a_limit(row: dict[str, Any]) -> str:
    """What follows our time where the promise is a number of seconds: the limit, the others' times."""
    verdict = "!" if row["sides"][OURS]["median"] > row["limit"] else " "
    others = [side for side, entry in row["sides"].items() if side != OURS and "ratio" in entry]
    times = "".join(f" | {SHORT[side]} {_number(row['sides'][side]['median'], row)}" for side in others)
    return f"  limit {_number(row['limit'], row)}{verdict}{times}"


def _theirs(entry: dict[str, Any], row: dict[str, Any]) -> str:
    low, high = entry["ratio_quartiles"]
    spread = f"{_ratio(low)}-{_ratio(high)}"
    verdict = "!" if row["target"] is not None and entry["ratio"] > row["target"] else " "
    goal = "" if row["target"] is None else f"{row['target']:.1f}"
    return f"{_number(entry['median'], row):>9}{_ratio(entry['ratio']):>7} {spread:>11} {goal:>6}{verdict}"


def disagreement(outcomes: dict[str, list[float]]) -> str | None:
    """What differs, where an engine's losses or gradients are not ours: it would be timing something else."""
    ours = outcomes[OURS]
    for side, theirs in outcomes.items():
        if any(abs(a - b) > 2e-3 * max(abs(a), 1e-6) for a, b in zip(ours, theirs, strict=True)):
            return f"{SHORT[side]} gives {theirs}, ours {ours}"
    return None


def plot(rows: list[dict[str, Any]], path: Path) -> bool:
    """Ratios as points with their quartiles, a tick at each target; False when there is nothing to compare with."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    shown = [row for row in rows if any("ratio" in entry for entry in row["sides"].values())][::-1]
    if not shown:
        return False
    figure = Figure(figsize=(9, 0.36 * len(shown) + 1.6), layout="constrained")
    axes = figure.subplots()
    present = [side for side in COLOURS if any("ratio" in row["sides"].get(side, {}) for row in shown)]
    for offset, side in enumerate(present):
        drawn = [
            (place, row["sides"][side]) for place, row in enumerate(shown) if "ratio" in row["sides"].get(side, {})
        ]
        places = [place + 0.16 * ((len(present) - 1) / 2 - offset) for place, _ in drawn]
        middles = [entry["ratio"] for _, entry in drawn]
        lows, highs = zip(*(entry["ratio_quartiles"] for _, entry in drawn), strict=True)
        axes.hlines(places, lows, highs, color=COLOURS[side], linewidth=3, alpha=0.45)
        axes.plot(middles, places, "o", color=COLOURS[side], markersize=5, label=f"ours / {SHORT[side]}")
    label = "our target against PyTorch"
    for place, row in enumerate(shown):
        if row["target"] is not None and THEIRS in present:
            axes.plot([row["target"]] * 2, [place - 0.4, place + 0.4], color=ORANGE, linewidth=2, zorder=1, label=label)
            label = "_nolegend_"
    axes.axvline(1.0, color=GREY, linewidth=1, linestyle="--")
    axes.set_xscale("log")
    left, right = axes.get_xlim()
    axes.set_xlim(min(left, 0.45), max(right, 2.2))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(shown)), [row["case"] for row in shown])
    axes.grid(axis="x", color=GREY, alpha=0.15)
    axes.set_xlabel("our time (memory) / theirs: median and quartiles of paired rounds; left of 1 we are faster")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(present) + 1, frameon=False)
    figure.savefig(path, dpi=120)
    return True
