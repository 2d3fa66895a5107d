"""What a fit shows while it runs: a bar on a terminal, one line per row elsewhere, nothing if asked."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

REFRESH = 0.1  # seconds between two looks at the bar; it is redrawn from the loop, by no thread of its own


def progress_for(shown: bool, name: str) -> Progress:
    """A bar if `shown` and the output is a terminal, lines if it is not."""
    if not shown:
        return Progress()
    draws = hasattr(sys.stdout, "isatty") and sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    return Bar(name) if draws else Lines(name)


class Progress:
    """Shows nothing; what the others share."""

    def start(self, text: str, done: int, total: int | None) -> None:
        """An epoch, or a fit that counts steps, begins or goes on."""

    def step(self, done: int, loss: float) -> None:
        """A step was taken."""

    def row(self, label: str, values: Mapping[str, float], seconds: float) -> None:
        """A row was added to the history."""

    def close(self) -> None:
        """The fit is over."""


def summary(values: Mapping[str, float]) -> str:
    """train loss 0.1234  train accuracy 97.31%."""
    return "  ".join(
        f"{name} {value:.2%}" if name.endswith("accuracy") else f"{name} {value:.4f}" for name, value in values.items()
    )


class Lines(Progress):
    """One line per row, without control codes: for files, pipes and notebooks."""

    def __init__(self, name: str) -> None:
        self.name = f"{name}: " if name else ""

    def row(self, label: str, values: Mapping[str, float], seconds: float) -> None:
        """Print it."""
        print(f"{self.name}{label}  {summary(values)}  ({seconds:.1f} s)", flush=True)


class Bar(Progress):
    """A bar per epoch, and the row's numbers above it when it is done."""

    def __init__(self, name: str) -> None:
        from rich import progress

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
        )
        self.name = f"{name} " if name else ""
        self.bar = progress.Progress(
            *columns,
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[note]}", markup=False),
            auto_refresh=False,
        )
        self.task: Any = None
        self.drawn = 0.0
        self.done = 0
        self.bar.start()

    def start(self, text: str, done: int, total: int | None) -> None:
        """A fresh bar."""
        self._remove()
        self.done = done
        self.task = self.bar.add_task(f"{self.name}{text}", total=total, completed=done, note="")

    def step(self, done: int, loss: float) -> None:
        """Move the bar, a few times a second."""
        now, self.done = time.perf_counter(), done
        if now - self.drawn > REFRESH:
            self.drawn = now
            self.bar.update(self.task, completed=done, note=f"loss {loss:.4f}", refresh=True)

    def row(self, label: str, values: Mapping[str, float], seconds: float) -> None:
        """Print it above the bar."""
        if self.task is not None:
            self.bar.update(self.task, completed=self.done)
        self.bar.console.print(
            f"{self.name}{label}  {summary(values)}  ({seconds:.1f} s)", highlight=False, markup=False
        )

    def _remove(self) -> None:
        if self.task is not None:
            self.bar.remove_task(self.task)
            self.task = None

    def close(self) -> None:
        """Leave the rows and take the bar away."""
        self._remove()
        self.bar.stop()
