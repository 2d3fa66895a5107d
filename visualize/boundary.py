"""What a classifier of points in the plane has learned: its probability everywhere, and the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .canvas import SUFFIXES, PathLike, as_array, bare, finish, new_figure, panel_title
from .files import output_path
from .model import evaluated
from .palette import MARKERS, Palette, palette_named
from .plots import probabilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRID = 220  # points along each side
TINT = 0.62  # how much of its colour a certain class gives the paper


def decision_boundary(
    model: Any,
    x: Any,
    y: Any,
    path: PathLike | None = None,
    classes: Sequence[str] | None = None,
    title: str | None = None,
    theme: str = "light",
) -> Figure:
    """The plane as the model sees it: each place in the colour of its likeliest class, paler where it is unsure.

    x (n, 2) points, y (n,) or (n, 1) class indices, for two classes also −1 and 1.  model(points (m, 2)) returns
    (m, k) logits or probabilities of k classes, or (m,) or (m, 1): the probability of class 1 if all lie in [0, 1],
    else its logit.  Lines are where two classes are equally likely; a point ringed in the text's colour lies on the
    wrong side.  The model is left as it was.
    Errors: ValueError if shapes or labels do not fit, or the model returns another shape or NaN.
    """
    palette = palette_named(theme)
    points, labels = _points(x, y)
    if path is not None:
        output_path(path, SUFFIXES, "visualize.decision_boundary")
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * np.where(high > low, high - low, 1.0)
    (left, bottom), (right, top) = low - margin, high + margin
    across, up = np.meshgrid(np.linspace(left, right, GRID), np.linspace(bottom, top, GRID))
    grid = np.stack([across.reshape(-1), up.reshape(-1)], axis=1)
    # grid and points at once, so that one rule decides whether a single output is a probability
    everywhere = _class_probabilities(evaluated(model, np.concatenate([grid, points])))
    p, of_points = everywhere[: len(grid)].reshape(GRID, GRID, -1), everywhere[len(grid) :]
    k = p.shape[-1]
    if int(labels.max()) >= k:
        raise ValueError(f"visualize.decision_boundary: y goes up to {labels.max()}, but the model knows {k} classes")
    names = [str(name) for name in classes] if classes is not None else [f"class {i}" for i in range(k)]
    if len(names) != k:
        raise ValueError(f"visualize.decision_boundary: {len(names)} class names for a model of {k} classes")
    figure = new_figure(6.4, 5.0, palette)
    ax = figure.subplots()
    box = (left, right, bottom, top)
    ax.imshow(_shaded(p, palette), extent=box, origin="lower", aspect="auto", interpolation="bilinear")
    for c in range(k if k > 2 else 1):
        lead = p[..., c] - np.delete(p, c, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            ax.contour(across, up, lead, levels=[0.0], colors=palette.muted, linewidths=1.2)
    wrong = of_points.argmax(axis=1) != labels
    _draw_points(ax, points, labels, wrong, names, palette)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.set_xlabel("x₀", color=palette.muted)
    ax.set_ylabel("x₁", color=palette.muted)
    bare(ax, palette)
    hits = int((~wrong).sum())
    panel_title(ax, title or f"{hits} of {len(points)} points right ({hits / len(points):.1%})", palette)
    return finish(figure, path, "visualize.decision_boundary")


def _points(x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    points, labels = as_array(x).astype(np.float64), as_array(y)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"visualize.decision_boundary: x is {points.shape}; it must be (n, 2), finite and not empty")
    if labels.shape not in ((len(points),), (len(points), 1)):
        raise ValueError(
            f"visualize.decision_boundary: y is {labels.shape}; it must be ({len(points)},), as x has rows"
        )
    whole = labels.reshape(-1).astype(np.int64)
    if bool((whole != labels.reshape(-1)).any()):
        raise ValueError("visualize.decision_boundary: y holds fractions; it must hold class indices")
    if set(np.unique(whole)) <= {-1, 1} and bool((whole == -1).any()):
        whole = (whole + 1) // 2
    if whole.min() < 0:
        raise ValueError(f"visualize.decision_boundary: y goes down to {whole.min()}; class indices start at 0")
    return points, whole


def _class_probabilities(out: NDArray[Any]) -> NDArray[np.float64]:
    """(m, k) probabilities from what the model returned for m points."""
    if out.ndim > 2 or (out.ndim == 2 and out.shape[1] == 0):
        raise ValueError(
            f"visualize.decision_boundary: the model returns {out.shape}; it must be (m,), (m, 1) or (m, k)"
        )
    wide = out.astype(np.float64)
    if not np.isfinite(wide).all():
        raise ValueError("visualize.decision_boundary: the model returns NaN or Inf for some points")
    if wide.ndim == 2 and wide.shape[1] > 1:
        return probabilities(wide)
    one = wide.reshape(-1)
    if one.min() < 0 or one.max() > 1:
        one = 0.5 * (1.0 + np.tanh(0.5 * one))  # the sigmoid, without overflow
    return np.stack([1.0 - one, one], axis=1)


def _shaded(p: NDArray[np.float64], palette: Palette) -> NDArray[np.float64]:
    """(h, w, k) probabilities as colours: the paper, tinted by the likeliest class as far as it leads a mere guess."""
    from matplotlib.colors import to_rgb

    k = p.shape[-1]
    colors = np.array([to_rgb(palette.look(i)[0]) for i in range(k)])
    best = p.argmax(axis=-1)
    sure = ((p.max(axis=-1) - 1 / k) / (1 - 1 / k))[..., None] * TINT
    return np.asarray((1 - sure) * np.array(to_rgb(palette.paper)) + sure * colors[best])


def _draw_points(
    ax: Axes,
    points: NDArray[np.float64],
    labels: NDArray[np.int64],
    wrong: NDArray[np.bool_],
    names: Sequence[str],
    palette: Palette,
) -> None:
    size = 34 if len(points) <= 400 else 14
    for c, name in enumerate(names):
        here = labels == c
        if not here.any():
            continue
        for which, edge, width in ((here & ~wrong, palette.paper, 0.8), (here & wrong, palette.text, 1.7)):
            look: dict[str, Any] = {"marker": MARKERS[c % len(MARKERS)], "color": palette.look(c)[0], "s": size}
            ax.scatter(*points[which].T, edgecolors=edge, linewidths=width, zorder=3, **look)
        ax.scatter([], [], label=name, edgecolors=palette.paper, linewidths=0.8, **look)
    if wrong.any():
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": palette.text, "linewidths": 1.7, "s": size}
        ax.scatter([], [], marker="o", label="wrong side", **ring)
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, labelcolor=palette.text, fontsize=9.5,
        handletextpad=0.3, borderaxespad=0.0,
    )  # fmt: skip
