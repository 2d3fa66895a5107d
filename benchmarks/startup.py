"""What a new process costs: time to import, time to the end of its first LeNet step, memory of CNN steps."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass

from benchmarks.sides import OURS, ROOT, Side, environment

Rounds = dict[str, list[list[float]]]  # by side: the times of each round


@dataclass(frozen=True)
class Row:
    """A row that is no case: its target is a ratio to PyTorch, its limit an absolute number of seconds."""

    name: str
    what: str
    target: float | None = None
    limit: float | None = None


MEMORY = Row("memory", "peak memory of CNN steps, over import", target=1.2)
IMPORT = Row("import", "import, new process", target=0.4)
WARM = Row("first step, warm cache", "import, LeNet step, kernels cached", limit=0.6)
EMPTY = Row("first step, empty cache", "import, LeNet step, nothing cached", limit=2.0)
ROWS = (MEMORY, IMPORT, WARM, EMPTY)


def run(side: Side, code: str, **variables: str) -> float:
    """Wall seconds of a new interpreter that runs `code`."""
    start = time.perf_counter()
    subprocess.run(
        [side.python, "-c", code], check=True, cwd=ROOT, env={**environment(side.threads), **variables},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - start


def first_step(side: Side) -> str:
    """Code that imports the engine and runs a training step."""
    return f"from benchmarks.worker import build; build({side.name!r}, 'lenet')()"


def measure(row: Row, sides: list[Side], rounds: int) -> Rounds:
    """The sides in turn, `rounds` times; a bare interpreter's time is taken off. Only ours has an empty cache."""
    times: Rounds = {side.name: [] for side in sides if side.name == OURS or row is not EMPTY}
    sides = [side for side in sides if side.name in times]
    bare = {side.name: statistics.median(run(side, "pass") for _ in range(rounds)) for side in sides}
    with tempfile.TemporaryDirectory() as kept:
        if row is WARM:
            for side in sides:
                run(side, first_step(side), NUMBA_CACHE_DIR=kept)
        for _ in range(rounds):
            for side in sides:
                with tempfile.TemporaryDirectory() as fresh:
                    cache = kept if row is WARM else fresh
                    code = f"import {side.name}" if row is IMPORT else first_step(side)
                    times[side.name].append([run(side, code, NUMBA_CACHE_DIR=cache) - bare[side.name]])
    return times


def measure_memory(sides: list[Side], rounds: int) -> tuple[Rounds, dict[str, dict[str, str]]]:
    """Peak bytes of a process that runs CNN steps, less those of its import; and the sides that cannot, and why."""
    peaks: Rounds = {side.name: [] for side in sides}
    blanks: dict[str, dict[str, str]] = {}
    for _ in range(rounds):
        for side in sides:
            worker = side.again()
            try:
                before = worker.ask("memory")["bytes"]
                answer = worker.ask("build", "cnn")
                if "blank" in answer:
                    blanks[side.name] = answer
                else:
                    peaks[side.name].append([float(worker.ask("memory")["bytes"] - before)])
            finally:
                worker.close()
    return {name: values for name, values in peaks.items() if values}, blanks
