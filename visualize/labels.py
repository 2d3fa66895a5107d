"""HTML-like labels of Graphviz: one table per node, escaped, with no empty element (that would be a syntax error)."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tinygrad_edu.autograd.graph import Scope, Vertex

from .marks import DASHED, WORDS, Marks, role_of
from .numbers import (
    PRINTED_IN_FULL,
    bad_word,
    bytes_text,
    counted,
    gradient_text,
    grouped,
    scalar,
    shape_text,
    time_text,
    value_text,
)
from .theme import MINUS, Role, Theme
from .view import Box, gradient_norm

TITLE_LIMIT, FORMULA_LIMIT, NAME_LIMIT, LABEL_LIMIT, HEADING_LIMIT = 28, 44, 24, 40, 90
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # Unicode categories that have no glyph or break the XML


@dataclass(frozen=True)
class Style:
    """What the labels of one picture contain."""

    theme: Theme
    figure: bool  # the left-to-right style: symbol and name large, one quantity per row
    values: bool
    grads: bool
    marks: Marks = field(default_factory=Marks)


def clean(text: str) -> str:
    """One line of printable characters: control characters become a space or the replacement character."""
    characters = []
    for c in text:
        if c in "\n\r\t\v\f":
            characters.append(" ")
        elif unicodedata.category(c) in INVISIBLE and c != "\u200d":  # U+200D joins emoji
            characters.append("\ufffd")
        else:
            characters.append(c)
    return "".join(characters).strip()


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, the last of them … if something was cut."""
    text = clean(text)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def font(
    text: str, size: float | None = None, color: str = "", *, bold: bool = False, italic: bool = False, limit: int = 200
) -> str:
    """The escaped text inside its FONT, B and I elements; "" if there is no text, so that no element is empty."""
    # Graphviz replaces \\N and \\G even in HTML-like text, by the names of node and graph.
    text = html.escape(shorten(text, limit), quote=True).replace("\\", "\\\\")
    if not text:
        return ""
    if italic:
        text = f"<I>{text}</I>"
    if bold:
        text = f"<B>{text}</B>"
    attributes = (f' POINT-SIZE="{size:g}"' if size else "") + (f' COLOR="{color}"' if color else "")
    return f"<FONT{attributes}>{text}</FONT>" if attributes else text


def box_label(box: Box, style: Style, operand: str = "") -> str:
    """The whole label of one box; `operand` completes the symbol of a figure: "×" becomes "× γ"."""
    if box.gap:
        return _gap_label(box, style)
    if box.module is not None:
        return _module_label(box, box.module, style)
    return _figure_label(box, style, operand) if style.figure else _node_label(box, style)


def look(box: Box, theme: Theme) -> tuple[Role, bool, int, bool]:
    """Colours, whether the border is rounded, its width in points, and whether the node takes part in the gradient."""
    vertex = box.members[0]
    bad = worst(box) if box.vertex is not None else ""
    if box.role == "output":
        role, rounded, border, active = theme.output, True, 2, True
    elif vertex.op and not vertex.detached:
        role, rounded, border, active = theme.op, True, 1, True
    elif vertex.role == "input" and not is_target(vertex):
        role, rounded, border, active = theme.input, False, 2, True
    elif vertex.role == "parameter":
        role, rounded, border, active = theme.parameter, False, 2, True
    else:
        role, rounded, border, active = theme.constant, False, 1, False
    return (theme.bad, rounded, 3, active) if bad else (role, rounded, border, active)


def worst(box: Box) -> str:
    """ "NaN" or "Inf" if a value or a gradient inside holds one."""
    return next(filter(None, (bad_word(v.value, v.grad) for v in box.members)), "")


def times_text(members: Iterable[Vertex]) -> str:
    """ "35 µs / 20 µs", forward and backward; "" if nothing was timed."""
    forward = [v.seconds for v in members if v.seconds is not None]
    backward = [v.backward_seconds for v in members if v.backward_seconds is not None]
    parts = [time_text(sum(each)) if each else "–" for each in (forward, backward)]
    return " / ".join(parts) if backward else parts[0] if forward else ""


def is_loss(vertex: Vertex) -> bool:
    """Whether an output reads as a loss: one number that has no other name."""
    return vertex.shape == () and (vertex.name.lower() in ("", "l") or "loss" in vertex.name.lower())


def is_target(vertex: Vertex) -> bool:
    """Whether a leaf holds whole numbers that carry no gradient: class indices, masks."""
    whole = vertex.dtype.startswith(("int", "uint", "bool")) and vertex.shape != ()
    return whole and vertex.role in ("input", "constant")


def is_plain_number(vertex: Vertex) -> bool:
    """Whether a constant is titled by its own number, so that a row with its value would say it twice."""
    try:
        float(vertex.title.replace(MINUS, "-"))
    except ValueError:
        return False
    return vertex.role == "constant" and vertex.shape == ()


def tag(vertex: Vertex) -> str:
    """The role in words, "" for an ordinary operation."""
    if vertex.role == "output":
        return "gradient" if vertex.order else "loss" if is_loss(vertex) else "output"
    if vertex.detached:
        return "detached"
    if is_target(vertex):
        return "indices" if vertex.dtype != "bool" else "mask"
    return {"input": "input", "parameter": "param", "constant": "const"}.get(vertex.role, "")


def gradient_state(vertex: Vertex, style: Style) -> tuple[str, str]:
    """The text of the gradient and its colour: computed, not yet, not at all and not kept all read differently."""
    theme = style.theme
    if vertex.grad is not None:
        return gradient_text(vertex.grad, 3 if style.figure else 4, not style.figure), theme.gradient
    words = {"pending": "no gradient yet", "none": "no gradient", "not kept": "∇ not kept", "computed": "∇ not kept"}
    return words[vertex.grad_state], theme.absent


def scope_label(scope: Scope, theme: Theme) -> str:
    """Heading of a cluster: its name, then its kind."""
    heading = font(scope.name, 11, theme.text, bold=True, limit=NAME_LIMIT)
    detail = font(scope_detail(scope), 11, theme.muted, limit=HEADING_LIMIT // 2)
    return f"<{'  '.join(filter(None, (heading, detail)))}>" if heading or detail else ""


def scope_detail(scope: Scope) -> str:
    """What stands behind the name of a scope; nothing that would only repeat it."""
    detail = scope.detail or scope.kind
    return "" if detail == scope.name else detail


def edge_label(text: str, theme: Theme) -> str:
    """A formula on a cell of the background colour, so that the line does not cross it."""
    inner = font(text, 10, theme.gradient, limit=LABEL_LIMIT)
    if not inner:
        return ""
    # The empty row keeps the text off its own line, which Graphviz leads along the lower edge of the label.
    return (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
        f'<TR><TD BGCOLOR="{theme.background}">{inner}</TD></TR><TR><TD HEIGHT="4"></TD></TR></TABLE>>'
    )


def _table(rows: Sequence[str], role: Role, rounded: bool, border: int, padding: int, dashed: bool = False) -> str:
    # The tint fills the whole table and the rows below the header are covered again: this way it follows the round
    # corners at the top, where a tinted cell would stick out.
    words = ",".join(word for word, given in (("ROUNDED", rounded), ("DASHED", dashed)) if given)
    style = f' STYLE="{words}"' if words else ""
    return (
        f'<<TABLE BORDER="{border}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="{padding}" BGCOLOR="{role.tint}" '
        f'COLOR="{role.line}"{style}>{"".join(rows)}</TABLE>>'
    )


def _header(left: str, right: str, role: Role, ruled: bool = True) -> str:
    line = f' SIDES="B" BORDER="1" COLOR="{role.line}"' if ruled else ""
    if not right:
        return f'<TR><TD COLSPAN="2" ALIGN="LEFT"{line}>{left or " "}</TD></TR>'
    return f'<TR><TD ALIGN="LEFT"{line}>{left or " "}</TD><TD ALIGN="RIGHT"{line}>{right}</TD></TR>'


def _pair(left: str, right: str, fill: str) -> str:
    return (
        f'<TR><TD ALIGN="LEFT" BGCOLOR="{fill}">{left or " "}</TD>'
        f'<TD ALIGN="RIGHT" BGCOLOR="{fill}">{right or " "}</TD></TR>'
    )


def _wide(text: str, fill: str) -> str:
    return f'<TR><TD COLSPAN="2" ALIGN="CENTER" BGCOLOR="{fill}">{text}</TD></TR>'


def _spaced(parts: Iterable[str], gap: str = "  ") -> str:
    return gap.join(filter(None, parts))


def _value(box: Box, style: Style) -> str:
    """The value; of repeats, that of the first and of the last."""
    texts = []
    for v in dict.fromkeys((0, len(box.members) - 1) if box.module is None else (0,)):
        value = box.members[v].value
        if value is None:
            return font("value not kept", 9, style.theme.absent)
        texts.append(value_text(value, 3 if style.figure else 4, not style.figure))
    return font(" … ".join(texts), 10 if style.figure else 9, style.theme.value)


def _gradient(box: Box, style: Style) -> tuple[str, str]:
    """The gradient and its colour; of repeats, that of the first and of the last."""
    text, color = gradient_state(box.members[0], style)
    if len(box.members) == 1:
        return text, color
    last, _ = gradient_state(box.members[-1], style)
    return text if last == text else f"{text} … {last}", color


def _frame(box: Box, style: Style) -> tuple[Role, bool, int, bool, str]:
    """What `look` says, and the mark of the box, which has the last word on colour and border."""
    role, rounded, border, active = look(box, style.theme)
    mark = style.marks.vertices.get(box.members[0].id, "") if box.vertex is not None else ""
    if mark:
        role, border = role_of(mark, style.theme.name), 3
    return role, rounded, border, active, mark


def _node_label(box: Box, style: Style) -> str:
    v, theme = box.members[0], style.theme
    role, rounded, border, active, mark = _frame(box, style)
    bad = worst(box)
    yellow = bad and mark in ("", "first")
    ink, quiet = (theme.bad_text, theme.bad_text) if yellow else (theme.text, theme.muted)
    formula = v.formula if v.formula not in ("", v.title) else ""
    if not formula and v.op:
        formula = v.name or ", ".join(f"{key} {value}" for key, value in v.details.items())
    if box.copies > 1:
        formula = "" if v.op else f"… {box.members[-1].title}" if box.members[-1].title != v.title else ""
    left = (
        font(v.title or v.symbol or v.op or v.id, 11, ink, bold=True, limit=TITLE_LIMIT),
        font(formula, 10, quiet, italic=True, limit=FORMULA_LIMIT),
        font(f"× {grouped(box.times)}" if box.times > 1 else "", 11, ink, bold=True),
    )
    kept = any(member.saved for member in box.members)
    right = (
        font(bad, 10, ink, bold=True),
        font(WORDS.get(mark, mark), 9, role.tag, bold=True),
        font(tag(box.members[-1]), 8, ink if yellow else role.tag),
        font("◆" if kept else "", 8, ink if yellow else theme.saved),
        font(times_text(box.members), 8, quiet),
        font(shape_text(v.shape), 9, quiet),
    )
    value = _value(box, style) if style.values else ""
    text, color = _gradient(box, style)
    silent = v.order and v.grad is None  # a gradient whose own gradient nobody asked for
    grad = font(text + ("  ⊕" if v.paths > 1 else ""), 9, color) if style.grads and not silent else ""
    ruled = bool(value or grad) and not is_plain_number(v)
    fill = theme.paper if active else theme.faded
    rows = [_header(_spaced(left), "  " + _spaced(right), role, ruled)]
    if ruled:
        rows.append(_pair(value, grad, fill))
    rows += _note(box, style, role, fill)
    return _table(rows, role, rounded, border, 4, mark in DASHED)


def _note(box: Box, style: Style, role: Role, fill: str) -> list[str]:
    """A row per line of the note; verdicts, which begin with ✓ or ✗, in green or red."""
    note = style.marks.notes.get(box.members[0].id, "") if box.vertex is not None else ""
    plain = role.tag if role.tag != style.theme.bad_text else style.theme.text
    rows, ink = [], plain
    for line in note.split("\n") if note else ():
        verdict = {"✓": "added", "✗": "wrong"}.get(line[:1])
        ink = role_of(verdict, style.theme.name).tag if verdict else ink  # a wrapped line keeps the colour
        rows.append(_wide(font(line, 9, ink, bold=True), fill))
    return rows


def _figure_label(box: Box, style: Style, operand: str) -> str:
    v, theme = box.members[0], style.theme
    role, rounded, border, active, mark = _frame(box, style)
    bad = worst(box)
    yellow = bad and mark in ("", "first")
    fill = theme.paper if active else theme.faded
    ink, quiet = (theme.bad_text, theme.bad_text) if yellow else (theme.text, theme.muted)
    large = bool(v.op and v.name)
    name = font(v.name, 13, ink, bold=True, italic=True, limit=NAME_LIMIT) if large else ""
    formula = font(v.formula if v.op and not large else "", 10.5, quiet, italic=True, limit=FORMULA_LIMIT)
    repeats = font(f"× {grouped(box.times)}" if box.times > 1 else "", 11, ink, bold=True)
    kept = font("◆" if any(member.saved for member in box.members) else "", 9, ink if yellow else theme.saved)
    summarised = v.value is None or v.value.size > PRINTED_IN_FULL
    right = (
        font(bad, 10, ink, bold=True),
        kept,
        repeats or name or formula,
        font(WORDS.get(mark, mark), 9, role.tag, bold=True),
        font(tag(box.members[-1]), 8, ink if yellow else role.tag),
        font(times_text(box.members), 8, quiet),
        font(shape_text(v.shape) if summarised else "", 9, quiet),
    )
    symbol = f"{v.symbol} {operand}" if v.symbol and operand else v.symbol
    left = font(symbol or v.title or v.op or v.id, 14, ink, bold=True, limit=TITLE_LIMIT)
    rows = []
    if style.values and not is_plain_number(v):
        rows.append(_wide(_value(box, style), fill))
    if style.grads and not is_plain_number(v):
        text, color = _gradient(box, style)
        if v.paths > 1:
            text = text.replace("∇", "∇⊕", 1) if "∇" in text else f"{text}  ⊕"
        rows.append(_wide(font(text, 10, color), fill))
    rows += _note(box, style, role, fill)
    head = _header(left, _spaced(right, " "), role, bool(rows))
    return _table([head, *rows], role, rounded, border, 3, mark in DASHED)


def _module_label(box: Box, scope: Scope, style: Style) -> str:
    theme = style.theme
    output = next((v for v in box.members if v.role == "output"), None)
    bad = worst(box)
    role = theme.bad if bad else theme.output if output is not None or scope.is_loss else theme.op
    marked = sorted({style.marks.vertices[v.id] for v in box.members if v.id in style.marks.vertices})
    ink, quiet = (theme.bad_text, theme.bad_text) if bad else (theme.text, theme.muted)
    left = (
        font(scope.name or scope.id, 11, ink, bold=True, limit=NAME_LIMIT),
        font(scope_detail(scope), 10, quiet, italic=True, limit=FORMULA_LIMIT),
        font(f"× {grouped(box.times)}" if box.times > 1 else "", 11, ink, bold=True),
    )
    # Counted where they are drawn: a module inside brings its own, and one called twice is counted once.
    parameters = sum(math.prod(v.shape) for v in box.members if v.role == "parameter")
    inside = counted(box.operations, "op")
    right = (
        font(bad, 10, ink, bold=True),
        font(", ".join(WORDS.get(mark, mark) for mark in marked), 9, ink, bold=True),
        font(counted(parameters, "parameter") if parameters else "", 9, ink if bad else theme.parameter.tag),
        font(f"loss, {inside}" if scope.is_loss else inside, 8, role.tag),
    )
    shapes = font(" → ".join(shape_text(s) for s in (box.inputs, box.result) if s is not None), 9, theme.muted)
    if output is not None:
        text, color = gradient_state(output, style)
        value = _value(Box(box.id, box.scope, (output,)), style) if style.values else ""
        shapes = _spaced((shapes, value), "   ")
    else:
        norm = gradient_norm(box.members)
        states = {v.grad_state for v in box.members if v.role == "parameter"}
        waiting = "no gradient yet" if "pending" in states else "∇ not kept" if "not kept" in states else ""
        text, color = (waiting, theme.absent) if norm is None else (f"‖∇‖ {scalar(norm, 4)}", theme.gradient)
    rows = [
        _header(_spaced(left), "  " + _spaced(right), role),
        _pair(shapes, font(text, 9, color) if style.grads else "", theme.paper),
    ]
    kept, times = sum(v.kept_bytes for v in box.members), times_text(box.members)
    if kept or times:
        held = font(f"◆ {bytes_text(kept)} kept for backward" if kept else "", 9, theme.saved)
        rows.append(_pair(held, font(times, 9, theme.muted), theme.paper))
    return _table(rows, role, True, 3 if bad else 2, 4)


def _gap_label(box: Box, style: Style) -> str:
    theme = style.theme
    text = f"… {counted(box.operations, 'op')}"
    bad = worst(box)
    role = theme.bad if bad else theme.constant
    left = font(f"{bad} in {text}" if bad else text, 12, theme.bad_text if bad else theme.text, bold=True)
    rows = [_header(left, "", role), _wide(font("not drawn", 9, theme.absent), theme.faded)]
    return _table(rows, role, True, 3 if bad else 1, 6)
