"""How answers are written: a title and headed parts, for terminal, Markdown and HTML; numbers and places in words."""

from __future__ import annotations

import html
import linecache
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd.node import Constant, Node

WIDTH = 100
FULL = 16  # entries that are printed as numbers
CODE = 60  # characters of a line of code
Place = tuple[int, ...]


class Answer:
    """A title and parts, each a heading and lines; prints itself in a terminal and in a notebook."""

    def __init__(self, title: str, parts: Sequence[tuple[str, Sequence[str]]]) -> None:
        self.title = title
        self.parts = [(heading, list(lines)) for heading, lines in parts if lines]

    def __str__(self) -> str:
        indent = max((len(heading) for heading, _ in self.parts), default=0) + 4
        out = textwrap.wrap(self.title, WIDTH) or [""]
        for heading, lines in self.parts:
            label = f"  {heading}"
            for line in lines:
                room = " " * indent
                out += textwrap.wrap(
                    line,
                    WIDTH,
                    initial_indent=label.ljust(indent),
                    subsequent_indent=room + "  ",
                    break_on_hyphens=False,
                    drop_whitespace=True,
                ) or [label]
                label = ""
        return "\n".join(out)

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        rows = [f"**{_marked(self.title)}**", "", "| | |", "|:--|:--|"]
        rows += [f"| {h} | {'<br>'.join(_marked(line) for line in lines)} |" for h, lines in self.parts]
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left;vertical-align:top">{html.escape(heading)}</th>'
            f'<td style="text-align:left">{"<br>".join(html.escape(line) for line in lines)}</td></tr>'
            for heading, lines in self.parts
        )
        return f"<p><b>{html.escape(self.title)}</b></p><table>{rows}</table>"


def _marked(text: str) -> str:
    """Text that Markdown prints as it stands, also inside a table."""
    for sign in "\\*_|`[]<>$":
        text = text.replace(sign, "\\" + sign)
    return text


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), width: int = WIDTH) -> str:
    """A table as plain text, drawn by rich; `right` are the columns of numbers."""
    import io

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for k, column in enumerate(columns):
        table.add_column(
            column, justify="right" if k in right else "left", overflow="fold", no_wrap=k == 0 or k in right
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, force_terminal=False, legacy_windows=False).print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines() if line.strip())


def grid_html(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """The same table as HTML."""

    def cell(tag: str, k: int, text: str) -> str:
        side = "right" if k in right else "left"
        space = "pre" if side == "right" else "pre-wrap"  # 9e-17 must not break at its minus
        return f'<{tag} style="text-align:{side};white-space:{space}">{html.escape(text)}</{tag}>'

    head = "".join(cell("th", k, column) for k, column in enumerate(columns))
    body = "".join("<tr>" + "".join(cell("td", k, text) for k, text in enumerate(row)) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


# -- numbers and places -----------------------------------------------------------------------------------------------


def number(x: Any) -> str:
    """One number with four digits, a true minus sign, no exponent where none is needed."""
    value = np.asarray(x).item()
    if isinstance(value, (bool, int)):
        return str(value).replace("-", "−")
    if value != value:
        return "NaN"
    text = f"{value:.4g}"
    if "e" in text:
        digits, _, exponent = text.partition("e")
        text = f"{digits}e{int(exponent)}"
    return text.replace("-", "−")


def array_text(array: Any) -> str:
    """A small array in full, a large one by its shape, mean and spread."""
    a = np.asarray(array)
    if a.ndim == 0:
        return number(a)
    if a.size <= FULL and a.ndim <= 2:
        if a.ndim == 1:
            return "[" + ", ".join(number(v) for v in a) + "]"
        return "[" + ", ".join(array_text(row) for row in a) + "]"
    if a.dtype.kind != "f":
        return f"{shape_text(a.shape)} {a.dtype}"
    bad = int(a.size - np.isfinite(a).sum())
    if bad:
        return f"{shape_text(a.shape)} with {bad} of {a.size} not finite"
    wide = a.astype(np.float64)
    return f"{shape_text(a.shape)}, mean {number(wide.mean())} ± {number(wide.std())}" if a.size else "empty"


def shape_text(shape: Sequence[int]) -> str:
    """(4, 3), or "scalar"."""
    return str(tuple(int(n) for n in shape)) if len(shape) else "scalar"


def size_text(count: float) -> str:
    """Bytes with a unit of 1,024."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def share_text(part: float) -> str:
    """A share as a percentage; only all of it is 100 %, only nothing 0 %."""
    if part in (0, 1):
        return f"{100 * part:.0f} %"
    return f"{min(max(100 * part, 0.1), 99.9):.1f} %"


def place_text(place: Place) -> str:
    """[2, 0], or nothing for a scalar."""
    return "[" + ", ".join(map(str, place)) + "]" if place else ""


def line_of(node: Any) -> str:
    """Where the user's code ran this op, with the line itself; "" if it was not recorded."""
    location = getattr(node, "location", "")
    if not location:
        return ""
    file, _, line = location.rpartition(":")
    text = linecache.getline(file, int(line)).strip()
    if len(text) > CODE:
        text = text[: CODE - 1].rstrip() + "…"
    return location + (f" ({text})" if text else "")


def at(node: Any) -> str:
    """ " at file:line (code)", or nothing."""
    found = line_of(node)
    return f" at {found}" if found else ""


NO_LINE = "not recorded; run the forward inside `with autograd.keep_values():`"


def input_names(node: Node) -> list[str]:
    """The given names of an op's inputs, else those of its parameters."""
    op = node.op
    assert op is not None
    names = [f"{op.inputs[0]}[{i}]" for i in range(len(node.inputs))] if op.variadic else list(op.inputs)
    found = [
        (source.name if isinstance(source, (Node, Constant)) else "") or name
        for name, source in zip(names, node.inputs, strict=False)
    ]
    return found if len(set(found)) == len(found) else names[: len(found)]


def called(node: Any) -> str:
    """How a sentence names a node: its op, and its given name."""
    if isinstance(node, Node) and node.op is not None:
        name = node.op.name.removesuffix(".result")
        return f"{name} ({node.name})" if node.name else name
    return node.name or ("a leaf" if isinstance(node, Node) else "a constant")
