"""How a tensor prints: four digits, one common format, long tensors summarised, as students know it from PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.ops.registry import Array

if TYPE_CHECKING:
    from tinygrad_edu.tensor import Tensor


@dataclass(frozen=True)
class Options:
    """What `set_printoptions` sets."""

    precision: int = 4
    threshold: int = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = Options()


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set digits, the size from which tensors are summarised, items at each edge, line width and notation."""
    global _options
    profiles = {
        "default": Options(),
        "short": Options(precision=2, edgeitems=2),
        "full": Options(threshold=2**62),
    }
    if profile is not None:
        _options = profiles[profile]
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    _options = replace(_options, **{k: v for k, v in given.items() if v is not None}, sci_mode=sci_mode)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """`set_printoptions` for the length of a block."""
    global _options
    before = _options
    set_printoptions(**options)
    try:
        yield
    finally:
        _options = before


class _Format:
    """One notation for all the entries of a tensor."""

    def __init__(self, values: Array) -> None:
        self.floating = values.dtype.kind == "f"
        self.whole = self.scientific = False
        self.width = 1
        if not self.floating:
            self.width = max((len(str(v)) for v in values.ravel().tolist()), default=1)
            return
        finite = values[np.isfinite(values) & (values != 0)]
        if finite.size:
            size = np.abs(finite.astype(np.float64))
            low, high = size.min(), size.max()
            self.whole = bool((finite == np.ceil(finite)).all())
            self.scientific = bool(high / low > 1000.0 or high > 1.0e8 or (low < 1.0e-4 and not self.whole))
            if self.whole:
                self.scientific = bool(high / low > 1000.0 or high > 1.0e8)
        else:
            self.whole = True
        if _options.sci_mode is not None:
            self.scientific = _options.sci_mode
        # as in PyTorch, zeros, nan and inf do not widen the columns
        self.width = max((len(self.bare(v)) for v in finite.ravel().tolist()), default=1)

    def bare(self, value: Any) -> str:
        if not self.floating:
            return str(value)
        if self.scientific:
            return f"{value:.{_options.precision}e}"
        if self.whole:
            text = f"{value:.0f}"
            return text + "." if np.isfinite(value) else text
        return f"{value:.{_options.precision}f}"

    def __call__(self, value: Any) -> str:
        return self.bare(value).rjust(self.width)


def _summary(values: Array) -> Array:
    """The entries that a summarised print shows."""
    edge = _options.edgeitems
    for axis, n in enumerate(values.shape):
        if n > 2 * edge:
            values = np.take(values, [*range(edge), *range(n - edge, n)], axis)
    return values


def _body(values: Array, form: _Format, indent: int, summarise: bool) -> str:
    if values.ndim == 0:
        return form(values.item())
    edge = _options.edgeitems
    cut = summarise and values.shape[0] > 2 * edge
    if values.ndim == 1:
        per_line = max(1, (_options.linewidth - indent) // (form.width + 2))
        if cut:
            items = [form(v) for v in values[:edge].tolist()] + [" ..."] + [form(v) for v in values[-edge:].tolist()]
        else:
            items = [form(v) for v in values.tolist()]
        lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    rows = [_body(row, form, indent + 1, summarise) for row in (values[:edge] if cut else values)]
    if cut:
        rows.append("...")
        rows += [_body(row, form, indent + 1, summarise) for row in values[-edge:]]
    return "[" + ("," + "\n" * (values.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def text(values: Array, prefix: str = "tensor(") -> str:
    """The entries alone, indented to stand behind `prefix`."""
    if values.size == 0:
        return "[]"
    summarise = values.size > _options.threshold
    form = _Format(_summary(values) if summarise else values)
    return _body(values, form, len(prefix), summarise)


def represent(tensor: Tensor) -> str:
    """tensor([1., 2.], grad_fn=<MulBackward0>)."""
    array = tensor.array
    suffixes = []
    if array.size == 0 and array.shape != (0,):
        suffixes.append(f"size={tuple(array.shape)}")
    own = dtypes.of_array(array)
    implied = (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_)
    if own not in implied or (array.size == 0 and own is not dtypes.get_default_dtype()):
        suffixes.append(f"dtype={own!r}")
    if tensor.grad_fn is not None:
        op = tensor.grad_fn.op
        suffixes.append(f"grad_fn=<{op.title if op is not None else ''}Backward0>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    out = "tensor(" + text(array)
    length = len(out) - out.rfind("\n") + 1
    for suffix in suffixes:
        if length + len(suffix) + 2 > _options.linewidth:
            out, length = f"{out},\n{' ' * len('tensor(')}{suffix}", len("tensor(") + len(suffix)
        else:
            out, length = f"{out}, {suffix}", length + len(suffix) + 2
    return out + ")"
