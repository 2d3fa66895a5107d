"""Learning curves: the history of a training run as lines, one panel per kind of quantity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .canvas import GRID, MUTED, SUFFIXES, TEXT, PathLike, bare, finish, heading, new_figure
from .files import output_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe-Ito, without yellow (too light on white); lines also differ by marker, and after seven of them by dash.
COLORS = ("#0072B2", "#D55E00", "#00785A", "#A23E78", "#56B4E9", "#8A5A00", "#5C636F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")


History = Mapping[str, Sequence[float]] | Sequence[Mapping[str, float]] | Sequence[float]


def curves(
    history: History,
    path: PathLike | None = None,
    title: str | None = None,
) -> Figure:
    """Learning curves, one line per quantity: losses, accuracies and the rest on panels of their own.

    history: {"train loss": [...], "test accuracy": [...]}, one mapping per epoch, or the losses alone;
    numbers may be tensors. NaN and Inf leave a gap in the line.
    Writes `path` (.png, .svg, .pdf) whole or not at all, and returns the figure.
    Errors: TypeError for another history, ValueError if there is nothing to plot or for another suffix, OSError for an
    unusable folder.
    """
    series = _series(history)
    if path is not None:
        output_path(path, SUFFIXES, "visualize.curves")
    panels: dict[str, list[str]] = {}
    for name in series:
        panels.setdefault(_panel(name), []).append(name)
    figure = new_figure(1.2 + 5.2 * len(panels), 3.9, margin=0.12)  # labels clear of the next panel's numbers
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    styles = _styles(series)
    for ax, (panel, names) in zip(axes, panels.items(), strict=True):
        _curve_panel(ax, panel, {name: series[name] for name in names}, styles)
    if title:
        heading(figure, title, 14)
    return finish(figure, path, "visualize.curves")


def _series(history: History) -> dict[str, NDArray[np.float64]]:
    columns: dict[str, Any]
    if isinstance(history, Mapping):
        columns = dict(history)
    else:
        if isinstance(history, str) or not hasattr(history, "__iter__"):
            raise TypeError(f"visualize.curves: got {type(history).__name__}; pass {{'train loss': [0.9, 0.5], ...}}")
        epochs: list[Any] = list(np.atleast_1d(_plain(history)) if hasattr(history, "shape") else history)
        if epochs and not any(isinstance(epoch, Mapping) for epoch in epochs):
            columns = {"loss": epochs}
        else:
            if not all(isinstance(epoch, Mapping) for epoch in epochs):
                raise TypeError("visualize.curves: the list mixes numbers and mappings; pass one or the other")
            names = dict.fromkeys(name for epoch in epochs for name in epoch)
            columns = {name: [epoch.get(name, math.nan) for epoch in epochs] for name in names}
    series: dict[str, NDArray[np.float64]] = {}
    for name, values in columns.items():
        try:
            numbers = np.asarray([float(_plain(v)) for v in np.atleast_1d(_plain(values))], np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"visualize.curves: {name!r} is not a list of numbers: {error}") from error
        if numbers.size and str(name).lower() not in ("epoch", "step"):
            series[str(name)] = numbers
    if not series:
        raise ValueError(
            "visualize.curves: the history is empty; pass {'train loss': [0.9, 0.5], ...} with one number per epoch"
        )
    return series


def _plain(values: Any) -> Any:
    """Numbers without their graph: of a tensor, or of each tensor in a list."""
    if hasattr(values, "detach"):
        return np.asarray(values.detach())
    if isinstance(values, (list, tuple)):
        return [_plain(v) for v in values]
    return values


def _panel(name: str) -> str:
    lower = name.lower()
    if "loss" in lower or "error" in lower:
        return "loss"
    if "acc" in lower:
        return "accuracy"
    return name


def _styles(series: Mapping[str, Any]) -> dict[str, int]:
    """One style per split, the same on every panel: "train loss" and "train accuracy" look alike."""
    splits: dict[str, int] = {}
    styles: dict[str, int] = {}
    for name in series:
        words = name.lower().replace("_", " ").split()
        split = " ".join(w for w in words if w not in ("loss", "error") and not w.startswith("acc")) or name
        styles[name] = splits.setdefault(split, len(splits))
    return styles


def _curve_panel(ax: Axes, panel: str, lines: Mapping[str, NDArray[np.float64]], styles: Mapping[str, int]) -> None:
    from matplotlib.ticker import MaxNLocator

    longest = max(len(values) for values in lines.values())
    ends: list[tuple[float, str, str]] = []
    for name, values in lines.items():
        color, marker, dash = _look(styles[name])
        epochs = np.arange(1, len(values) + 1)
        sparse = max(1, len(values) // 12)
        line: dict[str, Any] = {"color": color, "marker": marker, "linestyle": dash, "markevery": sparse}
        ax.plot(epochs, values, markersize=4.5, linewidth=1.8, label=name, **line)
        finite = np.flatnonzero(np.isfinite(values))
        last = int(finite[-1]) if finite.size else -1
        text = f"{name}  {_end(values, last)}"
        ends.append((float(values[last]) if finite.size else math.nan, text, color))
        for gap in np.flatnonzero(~np.isfinite(values)):
            ax.axvline(int(gap) + 1, color=color, linewidth=0.8, linestyle=":", alpha=0.7)
    ax.set_title(panel, loc="left", fontsize=12, fontweight="bold", color=TEXT)
    ax.set_xlabel("epoch", color=MUTED)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim((0.5, 1.5) if longest == 1 else (1 - 0.02 * longest, longest + 0.02 * longest))
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    bare(ax)
    _label_ends(ax, ends)


def _label_ends(ax: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names and last values right of the panel, at the height of their lines, moved apart until none overlaps."""
    low, high = ax.get_ylim()
    height = (high - low) or 1.0
    step = 0.075  # of the panel's height: one line of text and a little air
    heights = [(value - low) / height if math.isfinite(value) else 0.0 for value, _, _ in ends]
    order = sorted(range(len(ends)), key=lambda i: heights[i])
    places = [heights[i] for i in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + step)
    if places[-1] > 1.0:  # pushed out at the top: move down, lowest moves last
        places[-1] = 1.0
        for i in range(len(places) - 2, -1, -1):
            places[i] = min(places[i], places[i + 1] - step)
    for place, i in zip(places, order, strict=True):
        _, text, color = ends[i]
        ax.annotate(
            text,
            (1.0, place),
            xycoords="axes fraction",
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            ha="left",
            fontsize=9.5,
            color=color,
            annotation_clip=False,
        )


def _look(style: int) -> tuple[str, str, str]:
    """Colour, marker and dash of the n-th line: after seven colours the next round has other markers and dashes."""
    turn, place = divmod(style, len(COLORS))
    return COLORS[place], MARKERS[(place + turn) % len(MARKERS)], DASHES[turn % len(DASHES)]


def _end(values: NDArray[np.float64], last: int) -> str:
    """The last value of a line whose last finite one is at `last`, or since when it is none, and what was first."""
    if last == len(values) - 1:
        return _short(float(values[last]))
    since = f"{_bad(values[last + 1])} from epoch {last + 2}"
    first = int(np.flatnonzero(~np.isfinite(values))[0])
    return since if first == last + 1 else f"{_bad(values[first])} at epoch {first + 1}, {since}"


def _bad(x: float) -> str:
    return "NaN" if math.isnan(x) else "Inf"


def _short(x: float) -> str:
    return f"{x:.4g}".replace("-", "−")
