"""Colours of the pictures: Okabe-Ito hues, darkened until text reads at 4.5:1 or better on its own background."""

from __future__ import annotations

from dataclasses import dataclass

# Graphviz takes the first one there is. DejaVu is what Matplotlib carries (see render.py), its italics included.
FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"
MINUS = "\u2212"


@dataclass(frozen=True)
class Role:
    """How one kind of node looks: border, header tint, text of its tag."""

    line: str
    tint: str
    tag: str


@dataclass(frozen=True)
class Theme:
    """One set of colours; every text colour is readable on `paper` and on the tints it meets."""

    name: str
    background: str
    paper: str  # inside of a node
    faded: str  # inside of a node that takes no part in the gradient
    text: str
    muted: str
    value: str
    gradient: str
    absent: str  # "no gradient"
    saved: str
    forward: str
    backward: str
    input: Role
    parameter: Role
    op: Role
    output: Role
    constant: Role
    bad: Role  # NaN or Inf
    bad_text: str
    scope_fill: str
    scope_line: str
    loss_fill: str
    loss_line: str

    def role(self, name: str) -> Role:
        """Colours of the role `name`."""
        roles = {
            "input": self.input,
            "parameter": self.parameter,
            "op": self.op,
            "output": self.output,
            "constant": self.constant,
            "bad": self.bad,
        }
        return roles[name]


LIGHT = Theme(
    name="light",
    background="#FFFFFF",
    paper="#FFFFFF",
    faded="#FAFAFA",
    text="#1B1F27",
    muted="#4C566A",
    value="#1F4E79",
    gradient="#B34A00",
    absent="#5C636F",
    saved="#8A5A00",
    forward="#2E3440",
    backward="#D55E00",
    input=Role("#00785A", "#DDF1EA", "#006B50"),
    parameter=Role("#0072B2", "#DCEBF6", "#005A8F"),
    op=Role("#5B6472", "#EEF0F3", "#4C566A"),
    output=Role("#A23E78", "#F8E4EF", "#963268"),
    constant=Role("#5C636F", "#F0F1F3", "#555C68"),
    bad=Role("#000000", "#F0E442", "#000000"),
    bad_text="#000000",
    scope_fill="#F7F9FB",
    scope_line="#C9D1DB",
    loss_fill="#FDF8FB",
    loss_line="#DDBBD0",
)

DARK = Theme(
    name="dark",
    background="#10141A",
    paper="#161B23",
    faded="#13181F",
    text="#ECEFF4",
    muted="#AEB6C2",
    value="#9CC9F5",
    gradient="#FF9E57",
    absent="#AEB6C2",
    saved="#E6B84D",
    forward="#D3D9E3",
    backward="#FF9E57",
    input=Role("#3DDBB0", "#10352E", "#3DDBB0"),
    parameter=Role("#56B4E9", "#12304A", "#7CC6F0"),
    op=Role("#AEB6C2", "#262D38", "#AEB6C2"),
    output=Role("#E58ABF", "#3D1F33", "#F0A6CF"),
    constant=Role("#AEB6C2", "#20262F", "#AEB6C2"),
    # A black border would vanish on the dark page, so the border is yellow too; header and word are those of LIGHT.
    bad=Role("#F0E442", "#F0E442", "#000000"),
    bad_text="#000000",
    scope_fill="#141921",
    scope_line="#3B4656",
    loss_fill="#1D151C",
    loss_line="#6B3F5A",
)

THEMES = {"light": LIGHT, "dark": DARK}


def theme_named(name: str) -> Theme:
    """The theme called `name`; ValueError lists the names there are."""
    if name not in THEMES:
        raise ValueError(f"visualize: theme is {name!r}; choose one of {', '.join(map(repr, THEMES))}")
    return THEMES[name]
