"""Matplotlib figures of training: learning curves, filters, confusion matrix, misclassified images."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .files import output_path, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PathLike = str | os.PathLike[str]
SUFFIXES = (".png", ".svg", ".pdf")
# Okabe-Ito, without yellow (too light on white); lines also differ by marker.
COLORS = ("#0072B2", "#D55E00", "#00785A", "#A23E78", "#56B4E9", "#8A5A00", "#5C636F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
TEXT, MUTED, GRID = "#1B1F27", "#4C566A", "#E3E7EC"
CONTRAST = 0.55  # of the darkest shade: white text above, dark text below


def curves(
    history: Mapping[str, Sequence[float]] | Sequence[Mapping[str, float]],
    path: PathLike | None = None,
    title: str | None = None,
) -> Figure:
    """Learning curves, one line per quantity: losses, accuracies and the rest on panels of their own.

    history: {"train loss": [...], "test accuracy": [...]}, or one mapping per epoch. NaN leaves a gap in the line.
    Writes `path` (.png, .svg, .pdf) whole or not at all, and returns the figure.
    Errors: ValueError if there is nothing to plot, or for another suffix; OSError for an unusable folder.
    """
    series = _series(history)
    if path is not None:
        output_path(path, SUFFIXES, "visualize.curves")
    panels: dict[str, list[str]] = {}
    for name in series:
        panels.setdefault(_panel(name), []).append(name)
    figure = _figure(1.2 + 5.2 * len(panels), 3.9)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    styles = _styles(series)
    for ax, (panel, names) in zip(axes, panels.items(), strict=True):
        _curve_panel(ax, panel, {name: series[name] for name in names}, styles)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold", color=TEXT)
    return _finish(figure, path, "visualize.curves")


def filters(weight: Any, path: PathLike | None = None, title: str | None = None) -> Figure:
    """The filters of a convolution (o, c, kh, kw) as a grid on one zero-centred scale: red positive, blue negative.

    A row per input channel for up to 4 channels and 16 filters; with more channels, their mean. Takes the weight as
    a Tensor or array, or a module with a 4-d `weight` of its own or in its first convolution.
    Errors: ValueError for another number of dims or an empty weight, TypeError for a module without filters.
    """
    w = _filter_weight(weight)
    if path is not None:
        output_path(path, SUFFIXES, "visualize.filters")
    o, c, kh, kw = w.shape
    finite = np.abs(w[np.isfinite(w)])
    scale = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    separate = 1 < c <= 4 and o <= 16
    if separate:
        tiles, rows, columns = [w[i, j] for j in range(c) for i in range(o)], c, o
        note = f"{o} filters {kh} × {kw}, one row per input channel"
    else:
        # A mean over channels is smaller than the weights: it gets the scale of what is drawn.
        drawn = w.mean(axis=1)
        if c > 1 and bool(np.isfinite(drawn).all()) and np.abs(drawn).max() > 0:
            scale = float(np.abs(drawn).max())
        columns = min(o, max(8, math.ceil(math.sqrt(o))))
        tiles, rows = list(drawn), math.ceil(o / columns)
        note = f"{o} filters {kh} × {kw}" + (f", mean of {c} input channels" if c > 1 else "")
    figure = _figure(max(4.0, 1.6 + 0.62 * columns), 1.1 + 0.62 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    image = None
    for place, ax in enumerate(axes.reshape(-1)):
        ax.set_xticks([])
        ax.set_yticks([])
        if place >= len(tiles):
            ax.set_axis_off()
            continue
        for spine in ax.spines.values():
            spine.set_color("#C9D1DB")
        image = ax.imshow(tiles[place], cmap="RdBu_r", vmin=-scale, vmax=scale, interpolation="nearest")
        if separate and place % columns == 0:
            ax.set_ylabel(f"c {place // columns}", fontsize=8, color=MUTED)
    assert image is not None  # an empty weight was refused
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.ax.tick_params(labelsize=8, colors=MUTED)
    bar.outline.set_visible(False)
    heading = title or note
    figure.suptitle(heading, x=0.01, ha="left", fontsize=11, fontweight="bold", color=TEXT)
    return _finish(figure, path, "visualize.filters")


def confusion(
    targets: Any, predictions: Any, classes: Sequence[str] | None = None, path: PathLike | None = None
) -> Figure:
    """Confusion matrix: row = true class, column = predicted class, shade = share of the row, number = count.

    targets (n,) and predictions (n,) of class indices, or scores (n, k) whose largest entry is the prediction.
    Errors: ValueError if they are empty, differ in length, or hold an index without a class.
    """
    truth, guess, names = _labels("visualize.confusion", targets, predictions, classes)
    if path is not None:
        output_path(path, SUFFIXES, "visualize.confusion")
    k = len(names)
    counts = np.zeros((k, k), np.int64)
    np.add.at(counts, (truth, guess), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(3.6, 1.9 + 0.47 * k)
    figure = _figure(size, size - 0.2)
    ax = figure.subplots()
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    slanted = max(map(len, names)) > 3
    ax.set_xticks(range(k), names, rotation=45 if slanted else 0, ha="right" if slanted else "center", fontsize=9)
    ax.set_yticks(range(k), names, fontsize=9)
    if k <= 30:
        for i, j in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[i, j] > CONTRAST else TEXT
            ax.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8 if k > 6 else 10, color=color)
    _bare(ax)
    ax.set_xlabel("predicted", color=TEXT)
    ax.set_ylabel("true", color=TEXT)
    right = int(np.trace(counts))
    ax.set_title(
        f"{right} of {len(truth)} right ({right / len(truth):.2%})",
        loc="left",
        fontsize=12,
        fontweight="bold",
        color=TEXT,
    )
    return _finish(figure, path, "visualize.confusion")


def mistakes(
    images: Any,
    targets: Any,
    predictions: Any,
    path: PathLike | None = None,
    classes: Sequence[str] | None = None,
    limit: int = 25,
) -> Figure:
    """The first `limit` misclassified images, each under its true and predicted class.

    images (n, h, w), (n, c, h, w) with 1 or 3 channels, or flat (n, s·s); targets and predictions as in `confusion`.
    Errors: ValueError if the lengths differ or the images have another shape.
    """
    truth, guess, names = _labels("visualize.mistakes", targets, predictions, classes)
    pictures = _pictures(images)
    if len(pictures) != len(truth):
        raise ValueError(f"visualize.mistakes: {len(pictures)} images, but {len(truth)} targets")
    if path is not None:
        output_path(path, SUFFIXES, "visualize.mistakes")
    wrong = np.flatnonzero(truth != guess)
    chosen = wrong[:limit]
    columns = max(1, min(5, len(chosen)))
    rows = max(1, math.ceil(len(chosen) / columns))
    figure = _figure(max(3.6, 1.45 * columns), 0.7 + 1.6 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for ax in axes:
        ax.set_axis_off()
    for ax, i in zip(axes, chosen, strict=False):
        ax.imshow(pictures[i], cmap="gray", interpolation="nearest")
        ax.set_title(f"{names[truth[i]]}  →  {names[guess[i]]}", fontsize=9, color=TEXT)
    shown = f", first {len(chosen)} shown" if len(chosen) < len(wrong) else ""
    figure.suptitle(
        f"{len(wrong)} of {len(truth)} wrong{shown}: true → predicted",
        x=0.01,
        ha="left",
        fontsize=11,
        fontweight="bold",
        color=TEXT,
    )
    return _finish(figure, path, "visualize.mistakes")


def _figure(width: float, height: float) -> Figure:
    # The class itself, not pyplot: no global list of figures, no display needed, nothing to close.
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, 40), min(height, 40)), dpi=144, layout="constrained", facecolor="white")


def _finish(figure: Figure, path: PathLike | None, caller: str) -> Figure:
    if path is not None:
        import matplotlib

        target = output_path(path, SUFFIXES, caller)
        kind = target.suffix[1:].lower()

        def write(file: Path) -> None:
            # Fixed metadata and ids: the same numbers give the same file.
            metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
            with matplotlib.rc_context({"svg.hashsalt": "tinygrad_edu"}):
                figure.savefig(file, format=kind, metadata=metadata)

        write_atomically(target, write)
    return figure


def _series(
    history: Mapping[str, Sequence[float]] | Sequence[Mapping[str, float]],
) -> dict[str, NDArray[np.float64]]:
    columns: dict[str, Any]
    if isinstance(history, Mapping):
        columns = dict(history)
    else:
        epochs = [dict(epoch) for epoch in history]
        names = dict.fromkeys(name for epoch in epochs for name in epoch)
        columns = {name: [epoch.get(name, math.nan) for epoch in epochs] for name in names}
    series: dict[str, NDArray[np.float64]] = {}
    for name, values in columns.items():
        try:
            numbers = np.atleast_1d(np.asarray([float(v) for v in np.atleast_1d(values)], np.float64))
        except (TypeError, ValueError) as error:
            raise ValueError(f"visualize.curves: {name!r} is not a list of numbers: {error}") from error
        if numbers.size and name.lower() not in ("epoch", "step"):
            series[str(name)] = numbers
    if not series:
        raise ValueError(
            "visualize.curves: the history is empty; pass {'train loss': [0.9, 0.5], ...} with one number per epoch"
        )
    return series


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
        styles[name] = splits.setdefault(split, len(splits)) % len(COLORS)
    return styles


def _curve_panel(ax: Axes, panel: str, lines: Mapping[str, NDArray[np.float64]], styles: Mapping[str, int]) -> None:
    from matplotlib.ticker import MaxNLocator

    longest = max(len(values) for values in lines.values())
    ends: list[tuple[float, str, str]] = []
    for name, values in lines.items():
        color, marker = COLORS[styles[name]], MARKERS[styles[name]]
        epochs = np.arange(1, len(values) + 1)
        sparse = max(1, len(values) // 12)
        ax.plot(epochs, values, color=color, marker=marker, markersize=4.5, markevery=sparse, linewidth=1.8, label=name)
        finite = np.flatnonzero(np.isfinite(values))
        last = int(finite[-1]) if finite.size else -1
        if last == len(values) - 1:
            text = f"{name}  {_short(float(values[last]))}"
        else:
            text = f"{name}  {'NaN' if np.isnan(values[-1]) else 'Inf'} from epoch {last + 2}"
        ends.append((float(values[last]) if finite.size else math.nan, text, color))
        for gap in np.flatnonzero(~np.isfinite(values)):
            ax.axvline(int(gap) + 1, color=color, linewidth=0.8, linestyle=":", alpha=0.7)
    ax.set_title(panel, loc="left", fontsize=12, fontweight="bold", color=TEXT)
    ax.set_xlabel("epoch", color=MUTED)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim((0.5, 1.5) if longest == 1 else (1 - 0.02 * longest, longest + 0.02 * longest))
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    _bare(ax)
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


def _short(x: float) -> str:
    return f"{x:.4g}".replace("-", "−")


def _bare(ax: Axes) -> None:
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
    for spine in ("left", "bottom"):
        ax.spines[spine].set_color("#AEB6C2")
    ax.tick_params(colors=MUTED, labelcolor=MUTED)


def _array(x: Any) -> NDArray[Any]:
    """An array, a list, or a tensor, which may require grad."""
    return np.asarray(x.detach() if hasattr(x, "detach") else x)


def _filter_weight(weight: Any) -> NDArray[np.float64]:
    found = weight
    if callable(getattr(weight, "modules", None)):
        weights = [getattr(module, "weight", None) for module in weight.modules()]
        found = next((w for w in weights if w is not None and len(getattr(w, "shape", ())) == 4), None)
        if found is None:
            raise TypeError(f"visualize.filters: {type(weight).__name__} holds no weight of shape (o, c, kh, kw)")
    w = _array(found)
    if w.ndim != 4 or w.size == 0 or w.dtype.kind not in "fiu":
        raise ValueError(f"visualize.filters: the weight is {w.shape} {w.dtype}; it must be (o, c, kh, kw), not empty")
    return w.astype(np.float64)


def _labels(
    caller: str, targets: Any, predictions: Any, classes: Sequence[str] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    truth, guess = _array(targets), _array(predictions)
    if guess.ndim == 2:
        guess = guess.argmax(axis=1)
    if truth.ndim != 1 or guess.shape != truth.shape or truth.size == 0:
        raise ValueError(
            f"{caller}: targets are {truth.shape} and predictions {guess.shape}; "
            "both must be (n,) with n > 0, or predictions (n, k) scores"
        )
    truth, guess = truth.astype(np.int64), guess.astype(np.int64)
    least, most = int(min(truth.min(), guess.min())), int(max(truth.max(), guess.max()))
    names = [str(name) for name in classes] if classes is not None else [str(i) for i in range(most + 1)]
    if least < 0 or most >= len(names):
        raise ValueError(f"{caller}: class indices run from {least} to {most}, but there are {len(names)} classes")
    return truth, guess, names


def _pictures(images: Any) -> NDArray[np.float64]:
    x = _array(images).astype(np.float64)
    if x.ndim == 2 and math.isqrt(x.shape[1]) ** 2 == x.shape[1]:
        side = math.isqrt(x.shape[1])
        x = x.reshape(-1, side, side)
    if x.ndim == 4 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim == 4 and x.shape[1] == 3:
        x = x.transpose(0, 2, 3, 1)
        # Normalised colours may lie outside [0, 1]: stretch each image on its own.
        low, high = x.min(axis=(1, 2, 3), keepdims=True), x.max(axis=(1, 2, 3), keepdims=True)
        return np.asarray((x - low) / np.where(high > low, high - low, 1.0))
    if x.ndim != 3:
        raise ValueError(
            f"visualize.mistakes: images are {x.shape}; give (n, h, w), (n, 1, h, w), (n, 3, h, w) or flat squares"
        )
    return x
