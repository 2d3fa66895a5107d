"""The worker processes: one for each engine, in the interpreter that has it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS, THEIRS = "tinygrad_edu", "torch"
ENGINES = (OURS, THEIRS, "mygrad", "autograd", "dezero")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def environment(threads: int) -> dict[str, str]:
    """Ours, with the number of threads that every library may use."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}


class Side:
    """A worker process for one engine; `missing` says why it is not there, else it is None."""

    def __init__(self, name: str, python: str, threads: int) -> None:
        self.name, self.python, self.threads = name, python, threads
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", name, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(threads),
        )  # fmt: skip
        self.versions = self._read("import")
        self.missing: str | None = self.versions.get("missing")

    def ask(self, *request: Any) -> Any:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read(str(list(request)))

    def again(self) -> Side:
        """A new process of the same kind."""
        return Side(self.name, self.python, self.threads)

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.communicate()

    def _read(self, request: str) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker of {self.name} ({self.python}) stopped at {request}; its error is above")
        return json.loads(line)
