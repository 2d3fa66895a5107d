"""Arrays as a few characters of text: small ones in full, large ones as mean ± standard deviation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .theme import MINUS

Array = NDArray[np.generic]
PRINTED_IN_FULL = 4


def grouped(count: int) -> str:
    """1204 -> "1 204"."""
    return f"{count:,}".replace(",", " ")


def counted(count: int, thing: str) -> str:
    """ "1 204 operations", "1 operation"."""
    return f"{grouped(count)} {thing}{'s' if count != 1 else ''}"


def number(x: float, decimals: int) -> str:
    """One number with `decimals` places; in powers of ten where these would hide it; exactly zero is "0"."""
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "Inf" if x > 0 else f"{MINUS}Inf"
    if x == 0:
        return "0"
    plain = abs(x) < 10**5 and abs(x) >= 0.5 * 10.0 ** (1 - decimals)
    text = f"{x:.{decimals}f}" if plain else f"{x:.1e}"
    return text.replace("-", MINUS)


def scalar(x: float, digits: int) -> str:
    """One number with `digits` decimals below 10, fewer above, so that its width stays about the same."""
    size = abs(x)
    whole = math.floor(math.log10(size)) if math.isfinite(size) and size >= 1 else 0
    return number(x, max(digits - whole, 0))


def elements(a: Array) -> str:
    """The numbers of a small array, all with the decimals that give the largest one three digits."""
    flat = [float(v) for v in a.reshape(-1)]
    largest = max((abs(v) for v in flat if math.isfinite(v)), default=0.0)
    whole = math.floor(math.log10(largest)) if largest > 0 else 0
    decimals = min(max(2 - whole, 0), 4)
    if decimals > 2 and all(round(v, 2) == round(v, decimals) for v in flat if math.isfinite(v)):
        decimals = 2  # 0.10, not 0.100

    def text(v: float) -> str:
        if v == 0 or not math.isfinite(v):
            return number(v, decimals)
        if largest >= 10**5 or largest < 0.005:
            return _power(v)
        if abs(v) < 0.5 * 10.0**-decimals:  # would print as 0.00
            return f"{v:.0e}".replace("-", MINUS)
        return f"{v:.{decimals}f}".replace("-", MINUS)

    return "  ".join(map(text, flat))


def bad_word(*arrays: Array | None) -> str:
    """ "NaN" or "Inf" if one of the arrays holds such an element, "" if none does."""
    word = ""
    for a in arrays:
        if a is None or a.dtype.kind not in "fc" or bool(np.isfinite(a).all()):
            continue
        if bool(np.isnan(a).any()):
            return "NaN"
        word = "Inf"
    return word


def bad_count(a: Array) -> str:
    """ "NaN in 3 of 400"."""
    nan, inf = int(np.isnan(a).sum()), int(np.isinf(a).sum())
    word, count = ("NaN", nan) if nan else ("Inf", inf)
    return f"{word} in {grouped(count)} of {grouped(a.size)}"


def is_scalar(a: Array) -> bool:
    """Whether the array is one number without dimensions."""
    return a.ndim == 0


def value_text(a: Array, digits: int = 4, brackets: bool = True) -> str:
    """A value: one number, up to four in full, else mean ± standard deviation (integers: least … greatest)."""
    if a.size == 0:
        return "empty"
    if a.dtype.kind in "iub":
        return _whole_numbers(a, brackets)
    if a.dtype.kind not in "f":
        return str(a.dtype)
    if is_scalar(a):
        return scalar(float(a), digits)
    if a.size <= PRINTED_IN_FULL:
        return f"[{elements(a)}]" if brackets else elements(a)
    if bad_word(a):
        return bad_count(a)
    if not a.any():
        return "0 everywhere"
    wide = a.astype(np.float64)
    mean, std = float(wide.mean()), float(wide.std())
    size = max(abs(mean), std)
    if 0.01 <= size < 1000:
        return f"{_plain(mean)} ± {_plain(std)}"
    return f"{number(mean, 3) if 0.01 <= abs(mean) < 1000 else _power(mean)} ± {_power(std)}"


def gradient_text(a: Array, digits: int = 4, brackets: bool = True, sign: str = "∇") -> str:
    """A gradient: "∇ 0.3", up to four numbers in full, else its Euclidean norm "‖∇‖ 0.1109"; all zero is "∇ 0"."""
    if a.size == 0:
        return f"{sign} empty"
    if a.size > PRINTED_IN_FULL:
        if bad_word(a):
            return f"{sign} {bad_count(a)}"
        norm = float(np.linalg.norm(a.astype(np.float64).reshape(-1)))
        return f"‖{sign}‖ {scalar(norm, digits)}" if norm else f"{sign} 0"
    return f"{sign} {value_text(a, digits, brackets)}"


def bytes_text(count: int) -> str:
    """ "512 B", "16.4 kB", "1.2 MB"."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{count} B" if unit == "B" else f"{size:.3g} {unit}"


def time_text(seconds: float) -> str:
    """ "35 µs", "1.2 ms", "3.4 s"."""
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.3g} {unit}" if seconds < 999.5 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e6:.0f} µs"


def shape_text(shape: tuple[int, ...]) -> str:
    """ "(4, 3)", or "scalar" for ()."""
    return str(tuple(int(n) for n in shape)) if shape else "scalar"


def _plain(x: float) -> str:
    if x and abs(x) < 0.0005:
        return "0.000"  # rounding noise has no sign
    return f"{x:.3f}".replace("-", MINUS) if x else "0"


def _power(x: float) -> str:
    return f"{x:.1e}".replace("-", MINUS) if x else "0"


def _whole_numbers(a: Array, brackets: bool) -> str:
    flat = a.reshape(-1)
    if a.size <= PRINTED_IN_FULL:
        text = "  ".join(str(v).replace("-", MINUS) for v in flat.tolist())
        return f"[{text}]" if brackets and a.ndim else text
    if a.dtype.kind == "b":
        return f"{grouped(int(np.count_nonzero(flat)))} of {grouped(a.size)} true"
    return f"{int(flat.min())} … {int(flat.max())}".replace("-", MINUS)
