"""What stands above a picture: its title, a line of facts, what is hidden, and the signs that occur in it."""

from __future__ import annotations

from dataclasses import dataclass

from .labels import Style, clean, font, is_loss, worst
from .marks import DASHED, MARKS, WORDS, role_of
from .numbers import bytes_text, counted, time_text, value_text
from .view import View


@dataclass(frozen=True)
class Options:
    """What the caller asked for, defaults decided."""

    title: str
    subtitle: str
    direction: str
    style: Style
    labels: bool
    note: str = ""


def heading(view: View, options: Options) -> str:
    """Title, one-line summary and legend as one HTML table, so that they never disturb the layout."""
    theme = options.style.theme
    rows = [font(options.title, 18, theme.text, bold=True, limit=90)]
    rows.append(font("  |  ".join(filter(None, (options.subtitle, _advice(view, options.style)))), 11, theme.muted))
    rows.append(font(view.hidden, 11, theme.gradient, bold=True))
    rows.append(font(options.note, 11, theme.text, bold=True))
    rows += _legend(view, options)
    cells = "".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in rows if row)
    return (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">'
        f'{cells}<TR><TD HEIGHT="8"></TD></TR></TABLE>>'
    )


def _advice(view: View, style: Style) -> str:
    """How to see the numbers that this picture lacks."""
    vertices = [box.members[0] for box in view.boxes if box.vertex is not None]
    missing = [
        word
        for word, lacking in (
            ("values", style.values and any(v.value is None for v in vertices)),
            ("gradients", style.grads and any(v.grad_state == "not kept" for v in vertices)),
        )
        if lacking
    ]
    return f"{' and '.join(missing)} not kept: record under autograd.keep_values()" if missing else ""


def _legend(view: View, options: Options) -> list[str]:
    """The signs that occur in this picture, as one or two lines."""
    theme, style = options.style.theme, options.style
    roles = {box.role for box in view.boxes}
    vertices = [box.members[0] for box in view.boxes if box.vertex is not None]
    outputs = [v for box in view.boxes for v in box.members if v.role == "output"]
    loss = all(is_loss(v) for v in outputs if not v.order)

    def entry(sign: str, sign_color: str, words: str, color: str = "") -> str:
        return f"{font(sign, 10, sign_color)} {font(words, 10, color or theme.text)}"

    first, second = [], []
    if "input" in roles:
        first.append(entry("■", theme.input.line, "input"))
    if "parameter" in roles:
        first.append(entry("■", theme.parameter.line, "parameter"))
    if "constant" in roles:
        first.append(entry("□", theme.constant.line, "constant"))
    if "op" in roles:
        first.append(entry("▢", theme.op.line, "operation"))
    if "module" in roles:
        first.append(entry("▣", theme.op.line, "module, closed"))
    if outputs:
        name = "loss" if loss else "output"
        first.append(entry("■", theme.output.line, f"{name}, gradients" if any(v.order for v in outputs) else name))
    first.append(entry("━▶", theme.value, "value", theme.value))
    if any(edge.gradient for edge in view.edges):
        words = "gradient ∇, label = what flows along this edge" if options.labels else "gradient ∇"
        second.append(entry("◁┄┄", theme.gradient, words, theme.gradient))
    if any(v.detached for v in vertices):
        second.append(entry("┈▷", theme.muted, "detached, no gradient"))
    if any(v.saved for v in vertices):
        second.append(entry("◆", theme.saved, "kept for backward"))
    if style.grads and any(v.paths > 1 for v in vertices):
        several = "two" if max(v.paths for v in vertices) == 2 else "several"
        second.append(entry("∇⊕" if style.figure else "⊕", theme.gradient, f"{several} paths, gradients added"))
    if any(box.copies > 1 for box in view.boxes):
        second.append(entry("× n", theme.text, "drawn once: first … last"))
    if any(v.seconds is not None or v.backward_seconds is not None for box in view.boxes for v in box.members):
        second.append(entry("µs / µs", theme.muted, "time forward / backward"))
    if any(box.members[0].order for box in view.boxes):
        second.append(entry("┈┈", theme.gradient, "op and what its backward recorded"))
    marked = [style.marks.vertices.get(v.id, "") for box in view.boxes for v in box.members]
    for mark in MARKS[theme.name]:
        if mark in style.marks.legend or (mark in marked and mark != "first"):
            role = role_of(mark, theme.name)
            second.append(entry("┅┅" if mark in DASHED else "━━", role.line, WORDS.get(mark, mark), role.tag))
    if "first" in style.marks.edges.values():
        second.append(entry("━▶", theme.bad.line, "the way it spread"))
    bad = {worst(box) for box in view.boxes} - {""}
    if bad:
        second.append(
            f'<FONT POINT-SIZE="10" COLOR="{theme.text}"><B>{" and ".join(sorted(bad))}</B> black on yellow</FONT>'
        )
    gap = "   "
    wide = options.direction == "LR" or len(first) + len(second) <= 6
    return [gap.join(first + second)] if wide else [gap.join(first), gap.join(second)]


def default_subtitle(view: View) -> str:
    """ "16 operations  |  51 parameters  |  loss 1.0961"."""
    graph = view.graph
    operations = sum(v.op != "" for v in graph.vertices)
    parts = [counted(operations, "operation")]
    if graph.parameters:
        parts.append(counted(graph.parameters, "parameter"))
    kept = sum(v.kept_bytes for v in graph.vertices)
    if kept:
        parts.append(f"{bytes_text(kept)} kept for backward")
    for word, times in (
        ("forward", [v.seconds for v in graph.vertices if v.seconds is not None]),
        ("backward", [v.backward_seconds for v in graph.vertices if v.backward_seconds is not None]),
    ):
        parts += [f"{word} {time_text(sum(times))}"] if times else []
    ends = set(graph.outputs)
    outputs = {v.id for v in graph.vertices if v.id in ends and not v.order}
    for v in graph.vertices:
        if v.id in outputs and v.shape == () and v.value is not None and len(outputs) == 1:
            parts.append(f"{'loss' if is_loss(v) else clean(v.name)} {value_text(v.value)}")
    return "  |  ".join(parts)
