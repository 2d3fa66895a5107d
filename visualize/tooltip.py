"""What a node says when the pointer rests on it: everything, and nothing cut."""

from __future__ import annotations

from tinygrad_edu.autograd.graph import Scope

from .labels import clean, times_text
from .numbers import bytes_text, counted, shape_text
from .view import Box


def tooltip(box: Box, scopes: dict[str, Scope]) -> str:
    """Everything about a box in plain text, nothing cut."""
    if box.vertex is None:
        lines = [f"{clean(box.module.name)}: {clean(box.module.detail or box.module.kind)}"] if box.module else []
        return "\n".join([*lines, counted(box.operations, "operation"), *_costs(box)])
    v = box.vertex
    lines = [" ".join(filter(None, (clean(v.title), f"({clean(v.name)})" if v.name not in ("", v.title) else "")))]
    lines += [clean(v.formula)] if v.formula else []
    lines.append(f"{v.dtype} {shape_text(v.shape)}")
    lines += [f"{clean(key)}: {clean(value)}" for key, value in v.details.items()]
    if v.scope in scopes:
        lines.append(f"in {clean(scopes[v.scope].name)}")
    if v.saved:
        lines.append("kept for backward")
    if v.paths > 1:
        lines.append(f"{v.paths} paths, gradients added")
    if v.origin:
        lines.append(f"recorded by the backward of {v.origin}")
    lines += _costs(box)
    lines += [f"one of {box.copies} alike"] if box.copies > 1 else []
    lines += [clean(v.location)] if v.location else []
    return "\n".join(lines)


def _costs(box: Box) -> list[str]:
    kept, times = sum(v.kept_bytes for v in box.members), times_text(box.members)
    return ([f"{bytes_text(kept)} kept for backward"] if kept else []) + ([f"time {times}"] if times else [])
