"""The figure of an experiment: a line per configuration against the training step, mean over seeds with a band."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visualize.canvas import bare, finish, heading, label_ends, new_figure, panel_title
from visualize.palette import palette_named

from .summary import Cells


def lines(
    cells: Cells, path: Path, title: str, panels: Sequence[str] = ("train loss",), note: str = "", log: bool = False
) -> None:
    """Draw the histories of all cells: a panel per quantity of `panels`, a line per label.

    Each history has the quantities, and may have "step" (else the rows are counted).  The band is least to greatest
    over the seeds; a row that is NaN or Inf in any seed is a gap.
    """
    from matplotlib.ticker import MaxNLocator

    palette = palette_named("light")
    labels = [label for label, seeds in cells.items() if any("history" in cell for cell in seeds.values())]
    figure = new_figure(1.2 + 6.2 * len(panels), max(4.2, 0.34 * len(labels) + 1.5), palette, margin=0.12)
    for ax, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        ends, counted = [], False
        for k, label in enumerate(labels):
            histories = [cell["history"] for cell in cells[label].values() if name in cell.get("history", {})]
            if not histories:
                continue
            counted = counted or "step" in histories[0]
            x, each = stacked(histories, name)
            color, marker, dash = palette.look(k)
            whole = np.isfinite(each).all(axis=0)
            mean, low, high = (np.where(whole, f(each, axis=0), np.nan) for f in (np.mean, np.min, np.max))
            if len(each) > 1:
                ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
            every = max(1, len(x) // 8)
            ax.plot(x, mean, color=color, marker=marker, linestyle=dash, markersize=4, linewidth=1.6, markevery=every)
            last = float(mean[whole][-1]) if whole.any() else math.nan
            ends.append((last, f"{label}  {last:.3g}", color))
        panel_title(ax, name, palette)
        ax.set_xlabel("training step" if counted else "epoch", color=palette.muted)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if log:
            ax.set_yscale("log")
        ax.grid(axis="y", color=palette.grid, linewidth=0.8)
        ax.set_axisbelow(True)
        bare(ax, palette)
        label_ends(ax, ends)
    heading(figure, title, 13, palette)
    counts = sorted({len(s) for s in cells.values()})
    seeds = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "1"
    words = [f"line: mean of {seeds} seeds, band: least to greatest"] if seeds != "1" else []
    figure.supxlabel(
        ",  ".join([*words, *([note] if note else [])]), x=0.01, ha="left", fontsize=9, color=palette.muted
    )
    finish(figure, path, "coursework")


def stacked(histories: Sequence[Mapping[str, Any]], name: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Steps (rows,) and values (seeds, rows) of one quantity; runs that ended early are filled with NaN."""
    rows = max(len(history[name]) for history in histories)
    longest = next(history for history in histories if len(history[name]) == rows)
    x = np.asarray(longest.get("step", range(1, rows + 1))[:rows])
    each = np.full((len(histories), rows), np.nan)
    for k, history in enumerate(histories):
        each[k, : len(history[name])] = history[name]
    return x, each
