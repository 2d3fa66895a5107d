"""How long a new process takes: to import the package, and to its first LeNet training step, kernels cached or not."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
STEP = "import sys; sys.path.insert(0, {here!r}); import {module}; from cases import build; build({module}, 'lenet')()"


def seconds(code: str, environment: dict[str, str] | None = None) -> float:
    """Wall time of a new interpreter that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **(environment or {})})
    return time.perf_counter() - start


def measure(sides: list[str], repeats: int) -> dict[str, dict[str, float]]:
    """Median seconds by row and side; the time of a bare interpreter is taken off."""
    bare = statistics.median(seconds("pass") for _ in range(repeats))
    rows: dict[str, dict[str, list[float]]] = {
        "import": {},
        "first step, warm cache": {},
        "first step, empty cache": {},
    }
    with tempfile.TemporaryDirectory() as kept:
        for k in range(repeats):
            for side in sides:
                step = STEP.format(here=str(HERE), module=side)
                rows["import"].setdefault(side, []).append(seconds(f"import {side}") - bare)
                with tempfile.TemporaryDirectory() as empty:
                    cold = seconds(step, {"NUMBA_CACHE_DIR": empty}) - bare
                rows["first step, empty cache"].setdefault(side, []).append(cold)
                if k == 0:
                    seconds(step, {"NUMBA_CACHE_DIR": kept})  # fills the cache
                rows["first step, warm cache"].setdefault(side, []).append(
                    seconds(step, {"NUMBA_CACHE_DIR": kept}) - bare
                )
    return {row: {side: statistics.median(times) for side, times in by.items()} for row, by in rows.items()}
