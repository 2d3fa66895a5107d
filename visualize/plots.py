"""Matplotlib figures of a trained model: filters, confusion matrix, misclassified images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .canvas import MUTED, SUFFIXES, TEXT, PathLike, as_array, bare, finish, heading, new_figure
from .files import output_path
from .numbers import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONTRAST = 0.55  # of the darkest shade: white text above, dark text below

RIGHT = "#00785A"  # green of Okabe-Ito, darkened


def filters(weight: Any, path: PathLike | None = None, title: str | None = None) -> Figure:
    """The filters of a convolution (o, c, kh, kw) as a grid on one zero-centred scale: red positive, blue negative.

    A row per input channel for up to 4 channels and 16 filters; with more channels, their mean. Takes the weight as
    a Tensor or array, or a module with a 4-d `weight` of its own or in its first convolution.
    Errors: ValueError for another number of dims or an empty weight; TypeError for a module without filters or
    for what is no array.
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
        note = f"{counted(o, 'filter')} {kh} × {kw}, one row per input channel"
    else:
        # A mean over channels is smaller than the weights: it gets the scale of what is drawn.
        drawn = w.mean(axis=1)
        if c > 1 and bool(np.isfinite(drawn).all()) and np.abs(drawn).max() > 0:
            scale = float(np.abs(drawn).max())
        columns = min(o, max(8, math.ceil(math.sqrt(o))))
        tiles, rows = list(drawn), math.ceil(o / columns)
        note = f"{counted(o, 'filter')} {kh} × {kw}" + (f", mean of {c} input channels" if c > 1 else "")
    figure = new_figure(max(4.0, 1.6 + 0.62 * columns), 1.1 + 0.62 * rows)
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
    heading(figure, title or note, 11)
    return finish(figure, path, "visualize.filters")


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
    figure = new_figure(size, size - 0.2)
    ax = figure.subplots()
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    slanted = max(map(len, names)) > 3
    ax.set_xticks(range(k), names, rotation=45 if slanted else 0, ha="right" if slanted else "center", fontsize=9)
    ax.set_yticks(range(k), names, fontsize=9)
    if k <= 30:
        for i, j in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[i, j] > CONTRAST else TEXT
            ax.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8 if k > 6 else 10, color=color)
    bare(ax)
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
    return finish(figure, path, "visualize.confusion")


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
        raise ValueError(f"visualize.mistakes: {counted(len(pictures), 'image')}, but {counted(len(truth), 'target')}")
    if path is not None:
        output_path(path, SUFFIXES, "visualize.mistakes")
    wrong = np.flatnonzero(truth != guess)
    chosen = wrong[:limit]
    columns = max(1, min(5, len(chosen)))
    rows = max(1, math.ceil(len(chosen) / columns))
    figure = new_figure(max(3.6, 1.45 * columns), 0.7 + 1.6 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for ax in axes:
        ax.set_axis_off()
    for ax, i in zip(axes, chosen, strict=False):
        ax.imshow(pictures[i], cmap="gray", interpolation="nearest")
        ax.set_title(f"{names[truth[i]]}  →  {names[guess[i]]}", fontsize=9, color=TEXT)
    shown = f", first {len(chosen)} shown" if len(chosen) < len(wrong) else ""
    heading(figure, f"{len(wrong)} of {len(truth)} wrong{shown}" + (": true → predicted" if len(chosen) else ""), 11)
    if not len(wrong):
        axes[0].text(0.5, 0.5, f"all {len(truth)} right", ha="center", va="center", fontsize=18, color=RIGHT)
    return finish(figure, path, "visualize.mistakes")


def _filter_weight(weight: Any) -> NDArray[np.float64]:
    found = weight
    if callable(getattr(weight, "modules", None)):
        weights = [getattr(module, "weight", None) for module in weight.modules()]
        found = next((w for w in weights if w is not None and len(getattr(w, "shape", ())) == 4), None)
        if found is None:
            raise TypeError(f"visualize.filters: {type(weight).__name__} holds no weight of shape (o, c, kh, kw)")
    if not hasattr(found, "shape") and not isinstance(found, (list, tuple)):
        raise TypeError(
            f"visualize.filters: got {type(found).__name__}; pass the weight (o, c, kh, kw) of a convolution as a "
            "Tensor or array, or a module that holds one"
        )
    w = as_array(found)
    if w.ndim != 4 or w.size == 0 or w.dtype.kind not in "fiu":
        raise ValueError(f"visualize.filters: the weight is {w.shape} {w.dtype}; it must be (o, c, kh, kw), not empty")
    return w.astype(np.float64)


def _labels(
    caller: str, targets: Any, predictions: Any, classes: Sequence[str] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    truth, guess = as_array(targets), as_array(predictions)
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
    x = as_array(images).astype(np.float64)
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
