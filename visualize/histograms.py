"""Distributions of weights and gradients, a panel per parameter: now, or over training as a ridge of histograms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .canvas import SUFFIXES, PathLike, as_array, bare, finish, heading, new_figure
from .files import output_path
from .flow import GradientFlow, Snapshot, evenly
from .numbers import counted
from .palette import Palette, palette_named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIDGES = 12  # histograms in one panel
OVERLAP = 2.2  # height of the tallest histogram, in steps from one to the next
KINDS = ("weight", "gradient")


def histograms(
    source: Any,
    path: PathLike | None = None,
    title: str | None = None,
    theme: str = "light",
    of: str = "weight",
    names: list[str] | None = None,
) -> Figure:
    """Histograms of the weights or the gradients, one panel per parameter of two or more dims.

    source: a module (what it holds now), or a GradientFlow: then each panel is a ridge, the first step on top, the last
    in front.  All histograms of a panel share their scale, so a distribution that narrows grows taller.
    of: "weight" or "gradient"      names: these parameters, of any dims, instead
    Errors: TypeError for another source, ValueError for another `of`, an unknown name, and for nothing to show.
    """
    palette = palette_named(theme)
    if of not in KINDS:
        raise ValueError(f"visualize.histograms: of is {of!r}; choose 'weight' or 'gradient'")
    steps, shots = _snapshots(source, of, names)
    if path is not None:
        output_path(path, SUFFIXES, "visualize.histograms")
    columns = min(4, len(shots))
    rows = math.ceil(len(shots) / columns)
    height = 3.0 if len(steps) > 1 else 2.0
    figure = new_figure(max(4.6, 0.4 + 2.7 * columns), 0.6 + height * rows, palette, margin=0.08)
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for place, (ax, (name, ridge)) in enumerate(zip(axes, shots.items(), strict=False)):
        _ridge(ax, ridge, palette)
        ax.set_title(name, loc="left", fontsize=9.5, fontweight="bold", color=palette.text)
        if len(steps) > 1 and place % columns == 0:
            ax.set_ylabel("step", color=palette.muted, fontsize=9)
            ax.set_yticks(-np.arange(len(steps)), [str(s) for s in steps], fontsize=8)
        else:
            ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    for ax in axes[len(shots) :]:
        ax.set_axis_off()
    what = "Weights" if of == "weight" else "Gradients"
    when = f" at {counted(len(steps), 'step')} of training" if len(steps) > 1 else ""
    heading(figure, title or f"{what} of each layer{when}", 12, palette)
    return finish(figure, path, "visualize.histograms")


def _snapshots(source: Any, of: str, names: list[str] | None) -> tuple[list[int], dict[str, list[Snapshot]]]:
    """The steps that are shown, and for each parameter its distribution at each of them."""
    if isinstance(source, GradientFlow):
        parameters = {key: p for layer in source.layers for key, p in layer.parameters.items()}
        if not source.snapshot_steps:
            raise ValueError("visualize.histograms: nothing recorded yet; call flow.step() in each iteration")
        places = evenly(len(source.snapshot_steps), RIDGES)
        kept = source.weights if of == "weight" else source.gradients
        chosen = _chosen(parameters, names)
        return [source.snapshot_steps[i] for i in places], {key: [kept[key][i] for i in places] for key in chosen}
    if not callable(getattr(source, "named_parameters", None)):
        raise TypeError(f"visualize.histograms: got {type(source).__name__}; pass a module or a GradientFlow")
    parameters = dict(source.named_parameters())
    arrays: dict[str, NDArray[Any]] = {}
    for key in _chosen(parameters, names):
        tensor = parameters[key] if of == "weight" else parameters[key].grad
        if tensor is not None:
            arrays[key] = as_array(tensor)
    if not arrays:
        raise ValueError("visualize.histograms: no parameter has a gradient; call backward() first")
    return [0], {key: [Snapshot.of(x)] for key, x in arrays.items()}


def _chosen(parameters: dict[str, Any], names: list[str] | None) -> list[str]:
    if names is not None:
        unknown = [name for name in names if name not in parameters]
        if unknown or not names:
            raise ValueError(f"visualize.histograms: no parameter {unknown}; there are {', '.join(parameters)}")
        return list(names)
    found = [key for key, p in parameters.items() if p.ndim >= 2]
    if not found:
        raise ValueError(
            f"visualize.histograms: no parameter has two or more dims; name some: names={list(parameters)[:2]}"
        )
    return found


def _ridge(ax: Axes, ridge: list[Snapshot], palette: Palette) -> None:
    """The densities of the snapshots on one grid, each a step below the one before and in front of it."""
    reach = max((float(s.edges[-1]) for s in ridge if s.counts.any()), default=1.0)
    reach *= 1.0 + 1.0 / min(len(s.counts) for s in ridge)  # the outermost bins fall to zero half a bin outside
    grid = np.linspace(-reach, reach, 161)
    densities = [_density(s, grid) for s in ridge]
    tallest = max(float(d.max()) for d in densities) or 1.0
    scale = (OVERLAP if len(ridge) > 1 else 1.0) / tallest
    colors = palette.amounts()
    for k, density in enumerate(densities):
        shade = 0.35 + 0.45 * (k / max(1, len(ridge) - 1)) if len(ridge) > 1 else 0.6
        ax.fill_between(grid, -k, -k + density * scale, color=colors(shade), linewidth=0, zorder=k)
        edge = palette.paper if len(ridge) > 1 else palette.text
        ax.plot(grid, -k + density * scale, color=edge, linewidth=0.8, zorder=k + 0.5)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(-len(ridge) + 0.9 if len(ridge) > 1 else 0.0, OVERLAP * 1.05 if len(ridge) > 1 else 1.08)
    ax.locator_params(axis="x", nbins=3)
    ax.ticklabel_format(axis="x", style="sci", scilimits=(-3, 3))
    bare(ax, palette)
    ax.tick_params(axis="x", labelsize=8)
    ax.xaxis.get_offset_text().set(fontsize=8, color=palette.muted)


def _density(shot: Snapshot, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the numbers per unit, read off the histogram at the points of the grid."""
    total = int(shot.counts.sum())
    if not total:
        return np.zeros(grid.shape)
    width = shot.edges[1] - shot.edges[0]
    places = np.concatenate(
        [[shot.edges[0] - width / 2], shot.edges + width / 2]
    )  # the middles of the bins, one more outside
    heights = np.concatenate([[0.0], shot.counts, [0.0]]) / (total * width)
    return np.asarray(np.interp(grid, places, heights, left=0.0, right=0.0))
