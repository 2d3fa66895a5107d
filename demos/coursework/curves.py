"""Figures of training curves in which a panel holds several quantities, and the number that the report gave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from running.data import NAMES
from running.figures import stacked
from running.summary import Cells

from visualize.canvas import bare, finish, heading, label_ends, new_figure, panel_title
from visualize.palette import palette_named


@dataclass(frozen=True)
class Line:
    """One line: the quantity of the histories of one label's cells, and its place among the colours."""

    text: str
    label: str
    quantity: str
    color: int
    faint: bool = False  # thin and dotted, for what stands behind another line


@dataclass(frozen=True)
class Panel:
    """One panel: its lines, and a dashed level with a name, such as what the report reached."""

    title: str
    lines: Sequence[Line]
    level: tuple[str, float] | None = None


def train_and_test(cells: Cells, path: Path, title: str, reported: float | None = None) -> None:
    """Loss and accuracy of the training and of the test set, the labels side by side; a line at the report's number."""
    several = len(cells) > 1

    def lines(what: str) -> list[Line]:
        return [
            Line(f"{label}, {part}" if several else part, label, f"{part} {what}", 2 * i + k)
            for i, label in enumerate(cells)
            for k, part in enumerate(("train", "test"))
        ]

    level = None if reported is None else (f"report  {reported:.4g}", reported)
    draw(cells, path, title, [Panel("loss", lines("loss")), Panel("accuracy", lines("accuracy"), level)])


def draw(cells: Cells, path: Path, title: str, panels: Sequence[Panel]) -> None:
    """Draw the panels side by side: mean over the seeds, with a band from least to greatest.

    A row that is NaN or Inf in any seed is a gap; lines whose quantity no cell has are left out.
    """
    from matplotlib.ticker import MaxNLocator

    palette = palette_named("light")
    height = max(4.2, 0.3 * max(len(panel.lines) for panel in panels) + 1.6)
    figure = new_figure(1.2 + 6.4 * len(panels), height, palette, margin=0.12)
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        ends, counted = [], False
        for line in panel.lines:
            histories = [cell.get("history", {}) for cell in cells.get(line.label, {}).values()]
            histories = [history for history in histories if history.get(line.quantity)]
            if not histories:
                continue
            counted = counted or "step" in histories[0]
            x, each = stacked(histories, line.quantity)
            color, marker, _ = palette.look(line.color)
            whole = np.isfinite(each).all(axis=0)
            mean, low, high = (np.where(whole, f(each, axis=0), np.nan) for f in (np.mean, np.min, np.max))
            if len(each) > 1 and not line.faint:
                ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
            every = max(1, len(x) // 8)
            style = {"linestyle": ":", "linewidth": 1.2} if line.faint else {"linestyle": "-", "linewidth": 1.6}
            ax.plot(x, mean, color=color, marker=marker, markersize=4, markevery=every, **style)
            last = float(mean[whole][-1]) if whole.any() else math.nan
            ends.append((last, f"{line.text}  {last:.3g}", color))
        if panel.level is not None:
            name, value = panel.level
            ax.axhline(value, color=palette.muted, linestyle="--", linewidth=1.2)
            ends.append((value, name, palette.muted))
        panel_title(ax, panel.title, palette)
        ax.set_xlabel("training step" if counted else "epoch", color=palette.muted)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(axis="y", color=palette.grid, linewidth=0.8)
        ax.set_axisbelow(True)
        bare(ax, palette)
        label_ends(ax, ends)
    heading(figure, title, 13, palette)
    figure.supxlabel(_note(cells), x=0.01, ha="left", fontsize=9, color=palette.muted)
    finish(figure, path, "coursework")


def _note(cells: Cells) -> str:
    """How many seeds, and the data set that was used."""
    seeds = max((len(each) for each in cells.values()), default=1)
    used = {cell["data"]["name"] for each in cells.values() for cell in each.values()}
    words = [f"line: mean of {seeds} seeds, band: least to greatest"] if seeds > 1 else []
    return ",  ".join([*words, "data: " + ", ".join(NAMES[name] for name in sorted(used))])
