"""What kernels call: functions that are compiled, and inlined, with each of them.

Numba's cache does not notice a change of one that stands in another file than the kernel: keep the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .jit import runtime

CONTRACT = frozenset({"contract"})  # fused multiply-adds, but no reordering: for what is built on rounding


def inner(*, fastmath: frozenset[str] = CONTRACT) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator for a function that kernels call."""
    decorate: Callable[[Callable[..., Any]], Callable[..., Any]] = runtime.extending.register_jitable(
        error_model="numpy", fastmath=set(fastmath)
    )
    return decorate


def by_width(narrow: Callable[[Any], Any], wide: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function for kernels to call: `narrow` on numbers of 32 bits, `wide` on numbers of 64."""

    def function(v: Any) -> Any:
        return narrow(v) if v.itemsize == 4 else wide(v)

    def choose(v: Any) -> Any:
        return narrow if v.bitwidth == 32 else wide

    runtime.extending.overload(function, jit_options={"error_model": "numpy", "fastmath": set(CONTRACT)})(choose)
    return function
