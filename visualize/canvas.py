"""What every Matplotlib figure here shares: its paper, its heading, and how it gets into a file."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .files import output_path, write_atomically
from .palette import Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PathLike = str | os.PathLike[str]
SUFFIXES = (".png", ".svg", ".pdf")


def new_figure(width: float, height: float, palette: Palette, margin: float = 0.04) -> Figure:
    """An empty figure of so many inches, 40 at most, with a margin left and right of each panel."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # A class of its own, not pyplot: no global list of figures, no display needed, nothing to close.
    from .picture import Picture

    size = (min(width, 40), min(height, 40))
    layout = ConstrainedLayoutEngine(w_pad=margin, h_pad=0.08)
    return Picture(figsize=size, dpi=144, layout=layout, facecolor=palette.paper)


def finish(figure: Figure, path: PathLike | None, caller: str) -> Figure:
    """Write the figure to `path` if there is one, whole or not at all."""
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


def heading(figure: Figure, text: str, size: float, palette: Palette) -> None:
    """A bold title at the left edge, broken into lines that fit the width of the figure."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font, measure = FontProperties(size=size, weight="bold"), TextToPath().get_text_width_height_descent
    room = figure.get_figwidth() * 72 * 0.97  # points
    letters = max(map(len, text.splitlines()), default=1)
    while True:
        lines = [line for part in text.splitlines() for line in textwrap.wrap(part, letters)]
        widest = max((measure(line, font, False)[0] for line in lines), default=0.0)
        if widest <= room or letters <= 8:
            break
        letters = max(8, min(letters - 1, int(letters * room / widest)))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=size, fontweight="bold", color=palette.text)


def bare(ax: Axes, palette: Palette) -> None:
    """Axes on the paper of the theme, without the upper and the right line."""
    ax.set_facecolor(palette.paper)
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
    for spine in ("left", "bottom"):
        ax.spines[spine].set_color(palette.spine)
    ax.tick_params(which="both", colors=palette.muted, labelcolor=palette.muted)


def panel_title(ax: Axes, text: str, palette: Palette, size: float = 12) -> None:
    """The bold name of a panel, above its left edge."""
    ax.set_title(text, loc="left", fontsize=size, fontweight="bold", color=palette.text)


def framed(ax: Axes, palette: Palette) -> None:
    """Axes around an image: no ticks, a thin frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color(palette.frame)


def scale_bar(figure: Figure, image: Any, axes: Any, palette: Palette) -> Any:
    """The colour bar of `image` right of `axes`."""
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.ax.tick_params(which="both", labelsize=8, colors=palette.muted)
    bar.outline.set_visible(False)
    return bar


def label_ends(ax: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Texts right of a panel, at the height of their lines, moved apart until none overlaps.

    ends: (the last value of a line, what to write, colour); the limits and the scale of `ax` must be final.
    """
    if not ends:
        return
    low, high = ax.get_ylim()
    to_axes = (ax.transScale + ax.transLimits).transform
    figure: Any = ax.get_figure(root=True)
    step = 0.075 * 3.9 / figure.get_figheight()  # of the panel's height: one line of text and a little air
    inside = [low if not np.isfinite(v) else min(max(v, low), high) for v, _, _ in ends]
    heights = [float(to_axes((0.0, v))[1]) if high > low else 0.0 for v in inside]
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


def as_array(x: Any) -> NDArray[Any]:
    """An array, a list, or a tensor, which may require grad."""
    return np.asarray(x.detach() if hasattr(x, "detach") else x)
