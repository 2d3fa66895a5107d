"""The colours of the Matplotlib figures in both themes: Okabe-Ito hues, as the graphs have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .theme import Theme, theme_named

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Palette:
    """Paper, text and lines of one theme; every text colour reads at 4.5:1 or better on the paper."""

    theme: Theme
    grid: str
    spine: str
    frame: str
    right: str  # the word for a success
    lines: tuple[str, ...]
    ramp: tuple[str, ...]  # from nothing (the paper) to most
    signed: tuple[str, ...]  # from most negative over nothing to most positive

    @property
    def paper(self) -> str:
        """The background of figure and axes."""
        return self.theme.background

    @property
    def text(self) -> str:
        """Titles and numbers."""
        return self.theme.text

    @property
    def muted(self) -> str:
        """Axes and remarks."""
        return self.theme.muted

    def look(self, n: int) -> tuple[str, str, str]:
        """Colour, marker and dash of the n-th line: after seven colours the next round has others of both."""
        turn, place = divmod(n, len(self.lines))
        return self.lines[place], MARKERS[(place + turn) % len(MARKERS)], DASHES[turn % len(DASHES)]

    def amounts(self) -> Colormap:
        """A colour map from the paper to the strongest blue, for what is never negative."""
        return _colormap("amounts", self.ramp, self.grid)

    def signs(self) -> Colormap:
        """A colour map from blue over the paper to red, for numbers around zero."""
        return _colormap("signs", self.signed, self.grid)

    def on(self, shade: float) -> str:
        """The colour of text on the `amounts` map at `shade` in [0, 1]."""
        strong = shade > 0.55
        return ("#10141A" if strong else self.text) if self.theme.name == "dark" else "white" if strong else self.text


def palette_named(name: str) -> Palette:
    """The palette of the theme called `name`; ValueError lists the themes there are."""
    return PALETTES[theme_named(name).name]


def _colormap(name: str, colors: tuple[str, ...], missing: str) -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, colors).with_extremes(bad=missing)


PALETTES = {
    "light": Palette(
        theme=theme_named("light"),
        grid="#E3E7EC",
        spine="#AEB6C2",
        frame="#C9D1DB",
        right="#00785A",
        # texts have these colours too: orange is darker than Okabe-Ito's, indigo stands for sky blue, no yellow
        lines=("#0072B2", "#B34A00", "#00785A", "#A23E78", "#5B4FC4", "#8A5A00", "#5C636F"),
        ramp=("#FFFFFF", "#D6E6F4", "#9DC6E0", "#4F9BCB", "#1D6CB1", "#08306B"),
        signed=("#08417A", "#2F79B5", "#7BB3D6", "#F7F7F7", "#F3A27F", "#CC4C44", "#7A0A22"),
    ),
    "dark": Palette(
        theme=theme_named("dark"),
        grid="#262D38",
        spine="#4C566A",
        frame="#3B4656",
        right="#3DDBB0",
        lines=("#56B4E9", "#FF9E57", "#3DDBB0", "#E58ABF", "#F0E442", "#D2A36B", "#AEB6C2"),
        ramp=("#141A22", "#163A5C", "#1D6398", "#3C97CF", "#86C6EE", "#D8EFFD"),
        signed=("#BFE3FA", "#56B4E9", "#1F6595", "#1B222C", "#9A4A1C", "#FF9E57", "#FFE0C7"),
    ),
}
