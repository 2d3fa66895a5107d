"""Matplotlib figures of a trained model: filters, confusion matrix, misclassified images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .canvas import SUFFIXES, PathLike, as_array, bare, finish, framed, heading, new_figure, panel_title, scale_bar
from .files import output_path
from .numbers import counted
from .palette import palette_named

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def filters(weight: Any, path: PathLike | None = None, title: str | None = None, theme: str = "light") -> Figure:
    """The filters of a convolution (o, c, kh, kw) as a grid on one zero-centred scale: red positive, blue negative.

    A row per input channel for up to 4 channels and 16 filters; with more channels, their mean. Takes the weight as
    a Tensor or array, or a module with a 4-d `weight` of its own or in its first convolution.
    Errors: ValueError for another number of dims or an empty weight; TypeError for a module without filters or
    for what is no array.
    """
    palette = palette_named(theme)
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
    figure = new_figure(max(4.0, 1.6 + 0.62 * columns), 1.1 + 0.62 * rows, palette)
    axes = figure.subplots(rows, columns, squeeze=False)
    image = None
    for place, ax in enumerate(axes.reshape(-1)):
        if place >= len(tiles):
            ax.set_axis_off()
            continue
        framed(ax, palette)
        image = ax.imshow(tiles[place], cmap=palette.signs(), vmin=-scale, vmax=scale, interpolation="nearest")
        if separate and place % columns == 0:
            ax.set_ylabel(f"c {place // columns}", fontsize=8, color=palette.muted)
    assert image is not None  # an empty weight was refused
    scale_bar(figure, image, axes, palette)
    heading(figure, title or note, 11, palette)
    return finish(figure, path, "visualize.filters")


def confusion(
    targets: Any,
    predictions: Any,
    classes: Sequence[str] | None = None,
    path: PathLike | None = None,
    theme: str = "light",
) -> Figure:
    """Confusion matrix: row = true class, column = predicted class, shade = share of the row, number = count.

    targets (n,) and predictions (n,) of class indices, or scores (n, k) whose largest entry is the prediction.
    Errors: ValueError if they are empty, differ in length, or hold an index without a class.
    """
    palette = palette_named(theme)
    truth, guess, names = _labels("visualize.confusion", targets, predictions, classes)
    if path is not None:
        output_path(path, SUFFIXES, "visualize.confusion")
    k = len(names)
    counts = np.zeros((k, k), np.int64)
    np.add.at(counts, (truth, guess), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(3.6, 1.9 + 0.47 * k)
    figure = new_figure(size, size - 0.2, palette)
    ax = figure.subplots()
    ax.imshow(shares, cmap=palette.amounts(), vmin=0, vmax=1)
    slanted = max(map(len, names)) > 3
    ax.set_xticks(range(k), names, rotation=45 if slanted else 0, ha="right" if slanted else "center", fontsize=9)
    ax.set_yticks(range(k), names, fontsize=9)
    if k <= 30:
        for i, j in zip(*np.nonzero(counts), strict=True):
            color = palette.on(shares[i, j])
            ax.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8 if k > 6 else 10, color=color)
    bare(ax, palette)
    ax.set_xlabel("predicted", color=palette.text)
    ax.set_ylabel("true", color=palette.text)
    right = int(np.trace(counts))
    panel_title(ax, f"{right} of {len(truth)} right ({right / len(truth):.2%})", palette)
    return finish(figure, path, "visualize.confusion")


def mistakes(
    images: Any,
    targets: Any,
    predictions: Any,
    path: PathLike | None = None,
    classes: Sequence[str] | None = None,
    limit: int = 25,
    theme: str = "light",
) -> Figure:
    """The `limit` worst misclassified images, each under its true and its predicted class.

    images (n, h, w), (n, c, h, w) with 1 or 3 channels, or flat (n, s·s); targets and predictions as in `confusion`.
    From scores (n, k) the surest mistakes come first, with softmax's probability of the wrong class; class indices
    say nothing of that, so those mistakes stay in their order.
    Errors: ValueError if the lengths differ, the images have another shape, or `limit` is below 1.
    """
    palette = palette_named(theme)
    truth, guess, names = _labels("visualize.mistakes", targets, predictions, classes)
    pictures = _pictures(images)
    if len(pictures) != len(truth):
        raise ValueError(f"visualize.mistakes: {counted(len(pictures), 'image')}, but {counted(len(truth), 'target')}")
    if limit < 1:
        raise ValueError(f"visualize.mistakes: limit is {limit}; it must be at least 1")
    if path is not None:
        output_path(path, SUFFIXES, "visualize.mistakes")
    wrong = np.flatnonzero(truth != guess)
    sure = _certainties(predictions, guess)
    if sure is not None:
        wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    chosen = wrong[:limit]
    columns = max(1, min(5, len(chosen)))
    rows = max(1, math.ceil(len(chosen) / columns))
    words = [
        f"{names[truth[i]]}  →  {names[guess[i]]}" + (f"\n{sure[i]:.0%}" if sure is not None else "") for i in chosen
    ]
    longest = max((len(line) for text in words for line in text.splitlines()), default=0)
    figure = new_figure(
        max(3.6, max(1.45, 0.09 * longest) * columns), 0.7 + (1.8 if sure is not None else 1.6) * rows, palette
    )
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for ax in axes:
        ax.set_axis_off()
    for ax, i, text in zip(axes, chosen, words, strict=False):
        ax.imshow(pictures[i], cmap="gray", interpolation="nearest")
        ax.set_title(text, fontsize=9, color=palette.text)
    order = "surest" if sure is not None else "first"
    shown = f", {order} {len(chosen)} shown" if len(chosen) < len(wrong) else ""
    meaning = ": true → predicted" + (", its probability" if sure is not None else "") if len(chosen) else ""
    heading(figure, f"{len(wrong)} of {len(truth)} wrong{shown}{meaning}", 11, palette)
    if not len(wrong):
        axes[0].text(0.5, 0.5, f"all {len(truth)} right", ha="center", va="center", fontsize=18, color=palette.right)
    return finish(figure, path, "visualize.mistakes")


def _certainties(predictions: Any, guess: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The probability of each prediction, if `predictions` are scores (n, k): by softmax, unless they are already."""
    scores = as_array(predictions)
    if scores.ndim != 2:
        return None
    return probabilities(scores)[np.arange(len(scores)), guess]


def probabilities(scores: NDArray[Any]) -> NDArray[np.float64]:
    """(n, k) scores as probabilities: themselves if each row is non-negative and sums to 1, else their softmax."""
    wide = scores.astype(np.float64)
    if bool((wide >= 0).all()) and np.allclose(wide.sum(axis=1), 1.0, atol=1e-4):
        return wide
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


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
