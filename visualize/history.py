"""Learning curves: the history of a training run, or of several, as lines; one panel per kind of quantity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .canvas import SUFFIXES, PathLike, bare, finish, heading, label_ends, new_figure, panel_title
from .files import output_path
from .palette import Palette, palette_named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[float]] | Sequence[Mapping[str, float]] | Sequence[float]
Runs = Sequence[Mapping[str, Sequence[float]]]
Series = dict[str, NDArray[np.float64]]  # (runs, epochs) each

BANDS = {"range": "band: least to greatest", "std": "band: ± 1 standard deviation"}


def curves(
    history: History | Runs | Mapping[str, Runs],
    path: PathLike | None = None,
    title: str | None = None,
    theme: str = "light",
    band: str = "range",
) -> Figure:
    """Learning curves, one line per quantity: losses, accuracies and the rest on panels of their own.

    history: {"train loss": [...], "test accuracy": [...]}, one mapping per epoch, or the losses alone;
    numbers may be tensors. NaN and Inf leave a gap in the line.
    Several runs, say one per seed, are a list of such mappings of lists, or {"SGD": [run, run], "Adam": [run, run]}:
    the line is their mean, the band their "range" (least to greatest) or their "std" (mean ± standard deviation,
    n - 1 below). Runs of one kind must be equally long.
    Writes `path` (.png, .svg, .pdf) whole or not at all, and returns the figure.
    Errors: TypeError for another history, ValueError if there is nothing to plot, for another suffix, theme or band
    and for runs that differ in names or length, OSError for an unusable folder.
    """
    palette = palette_named(theme)
    if band not in BANDS:
        raise ValueError(f"visualize.curves: band is {band!r}; choose one of {', '.join(map(repr, BANDS))}")
    series = _all_series(history)
    if path is not None:
        output_path(path, SUFFIXES, "visualize.curves")
    panels: dict[str, list[str]] = {}
    for name in series:
        panels.setdefault(_panel(name), []).append(name)
    most = max(map(len, panels.values()))
    runs = max(map(len, series.values()))
    width = 5.2 if runs == 1 else 5.6 + 0.075 * max(map(len, series))  # of a panel, with the words right of it
    # the margin keeps them clear of the next panel
    figure = new_figure(1.2 + width * len(panels), max(3.9, 0.3 * most), palette, margin=0.12)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    styles = _styles(series)
    for ax, (panel, names) in zip(axes, panels.items(), strict=True):
        _curve_panel(ax, panel, {name: series[name] for name in names}, styles, palette, band)
    if title:
        heading(figure, title, 14, palette)
    if runs > 1:
        note = f"line: mean of {runs} runs,  {BANDS[band]}"
        figure.supxlabel(note, x=0.01, ha="left", fontsize=9.5, color=palette.muted)
    return finish(figure, path, "visualize.curves")


def _all_series(history: Any) -> Series:
    """Name -> (runs, epochs), one run for a plain history."""
    if _is_runs(history):
        return _stacked(history, "")
    if isinstance(history, Mapping) and history and any(map(_is_runs, history.values())):
        wrong = [name for name, runs in history.items() if not _is_runs(runs)]
        if wrong:
            raise TypeError(f"visualize.curves: {wrong[0]!r} is not a list of runs, as the others are")
        return {name: v for label, runs in history.items() for name, v in _stacked(runs, f"{label} ").items()}
    return {name: values[None] for name, values in _series(history).items()}


def _is_runs(history: Any) -> bool:
    """Whether this is a list of histories, each a mapping of lists: not one mapping per epoch, of numbers."""
    return (
        isinstance(history, (list, tuple))
        and len(history) > 0
        and all(isinstance(run, Mapping) for run in history)
        and any(np.ndim(_plain(values)) == 1 for run in history for values in run.values())
    )


def _stacked(runs: Any, label: str) -> Series:
    each = [_series(run) for run in runs]
    names = list(each[0])
    for k, run in enumerate(each):
        if list(run) != names:
            raise ValueError(f"visualize.curves: run {k} of {label or 'the list '}has {list(run)}, run 0 has {names}")
        for name in names:
            if len(run[name]) != len(each[0][name]):
                raise ValueError(
                    f"visualize.curves: {label}{name!r} has {len(each[0][name])} epochs in run 0 and {len(run[name])} "
                    f"in run {k}; cut them to one length, or pass the runs apart: {{'a': [run], 'b': [run]}}"
                )
    return {f"{label}{name}": np.stack([run[name] for run in each]) for name in names}


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


def _curve_panel(ax: Axes, panel: str, lines: Series, styles: Mapping[str, int], palette: Palette, band: str) -> None:
    from matplotlib.ticker import MaxNLocator

    longest = max(values.shape[1] for values in lines.values())
    ends: list[tuple[float, str, str]] = []
    for name, each in lines.items():
        color, marker, dash = palette.look(styles[name])
        values, low, high = _band(each, band)
        epochs = np.arange(1, len(values) + 1)
        sparse = max(1, len(values) // 12)
        line: dict[str, Any] = {"color": color, "marker": marker, "linestyle": dash, "markevery": sparse}
        if len(each) > 1:
            ax.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0)
        ax.plot(epochs, values, markersize=4.5, linewidth=1.8, label=name, **line)
        finite = np.flatnonzero(np.isfinite(values))
        last = int(finite[-1]) if finite.size else -1
        text = f"{name}  {_end(values, last)}"
        if len(each) > 1 and last == len(values) - 1:
            text += "  " + _spread(float(values[last]), float(low[last]), float(high[last]), band)
        ends.append((float(values[last]) if finite.size else math.nan, text, color))
        for gap in np.flatnonzero(~np.isfinite(values)):
            ax.axvline(int(gap) + 1, color=color, linewidth=0.8, linestyle=":", alpha=0.7)
    panel_title(ax, panel, palette)
    ax.set_xlabel("epoch", color=palette.muted)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim((0.5, 1.5) if longest == 1 else (1 - 0.02 * longest, longest + 0.02 * longest))
    ax.grid(axis="y", color=palette.grid, linewidth=0.8)
    ax.set_axisbelow(True)
    bare(ax, palette)
    label_ends(ax, ends)


def _band(each: NDArray[np.float64], band: str) -> tuple[NDArray[np.float64], ...]:
    """Mean, lower and upper edge over the runs (runs, epochs); an epoch with NaN or Inf in any run is a gap."""
    if len(each) == 1:
        return each[0], each[0], each[0]
    mean, low, high = np.array(each[0]), each.min(axis=0), each.max(axis=0)
    whole = np.isfinite(each).all(axis=0)
    mean[whole] = each[:, whole].mean(axis=0)
    mean[~whole] = np.where(np.isnan(each[:, ~whole]).any(axis=0), np.nan, np.inf)
    if band == "std":
        spread = np.full(mean.shape, np.nan)
        spread[whole] = each[:, whole].std(axis=0, ddof=1)
        low, high = mean - spread, mean + spread
    return mean, np.where(whole, low, np.nan), np.where(whole, high, np.nan)


def _spread(middle: float, low: float, high: float, band: str) -> str:
    """The band at the end of a line, in words."""
    if band == "std":
        return f"± {_short(high - middle, 2)}"
    return f"({_short(low, 3)} to {_short(high, 3)})"


def _end(values: NDArray[np.float64], last: int) -> str:
    """The last value of a line whose last finite one is at `last`, or since when it is none, and what was first."""
    if last == len(values) - 1:
        return _short(float(values[last]))
    since = f"{_bad(values[last + 1])} from epoch {last + 2}"
    first = int(np.flatnonzero(~np.isfinite(values))[0])
    return since if first == last + 1 else f"{_bad(values[first])} at epoch {first + 1}, {since}"


def _bad(x: float) -> str:
    return "NaN" if math.isnan(x) else "Inf"


def _short(x: float, digits: int = 4) -> str:
    return f"{x:.{digits}g}".replace("-", "−")
