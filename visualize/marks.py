"""What a picture points at beyond the roles of its nodes: a focus, the way of a NaN, what changed between two graphs.

Every mark is told three times: by colour, by the border (solid or dashed, its width) and by a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .theme import Role

Key = tuple[str, str, str]  # source, target and input of an edge

MARKS = {
    "light": {
        "added": Role("#1B7A2F", "#DFF3E2", "#146324"),
        "removed": Role("#B3261E", "#FBE3E1", "#9A1F18"),
        "changed": Role("#B07A00", "#FFF1CF", "#7A5200"),
        "focus": Role("#5B3FA8", "#E9E3F8", "#4B3391"),
        "first": Role("#000000", "#F0E442", "#000000"),
        "wrong": Role("#B3261E", "#FBE3E1", "#9A1F18"),
        "wrong formula": Role("#B3261E", "#FBE3E1", "#9A1F18"),
    },
    "dark": {
        "added": Role("#5BD07A", "#143520", "#7FE099"),
        "removed": Role("#FF7B72", "#3F1D1B", "#FF9C95"),
        "changed": Role("#F0C04A", "#3A2E10", "#F5CF74"),
        "focus": Role("#B9A3F5", "#2A2247", "#CBB9FA"),
        "first": Role("#F0E442", "#F0E442", "#000000"),
        "wrong": Role("#FF7B72", "#3F1D1B", "#FF9C95"),
        "wrong formula": Role("#FF7B72", "#3F1D1B", "#FF9C95"),
    },
}
WORDS = {"first": "first here", "focus": "focus", "wrong": "wrong rule"}
DASHED = ("removed",)


@dataclass(frozen=True)
class Marks:
    """Marks by vertex id and by edge, and a line of text to add to a node, as "was 0.5"."""

    vertices: Mapping[str, str] = field(default_factory=dict)
    edges: Mapping[Key, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    legend: tuple[str, ...] = ()  # marks the legend explains even where none occurs


def role_of(mark: str, theme: str) -> Role:
    """The colours of a mark."""
    return MARKS[theme][mark]
