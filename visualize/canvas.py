"""What every Matplotlib figure here shares: its paper, its heading, and how it gets into a file."""

from __future__ import annotations

import os
import textwrap
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
TEXT, MUTED, GRID = "#1B1F27", "#4C566A", "#E3E7EC"


def new_figure(width: float, height: float, margin: float = 0.04) -> Figure:
    """An empty figure of so many inches, 40 at most, with a margin left and right of each panel."""
    # The class itself, not pyplot: no global list of figures, no display needed, nothing to close.
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = (min(width, 40), min(height, 40))
    return Figure(figsize=size, dpi=144, layout=ConstrainedLayoutEngine(w_pad=margin), facecolor="white")


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


def heading(figure: Figure, text: str, size: float) -> None:
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
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=size, fontweight="bold", color=TEXT)


def bare(ax: Axes) -> None:
    """Axes without the upper and the right line."""
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
    for spine in ("left", "bottom"):
        ax.spines[spine].set_color("#AEB6C2")
    ax.tick_params(colors=MUTED, labelcolor=MUTED)


def as_array(x: Any) -> NDArray[Any]:
    """An array, a list, or a tensor, which may require grad."""
    return np.asarray(x.detach() if hasattr(x, "detach") else x)
