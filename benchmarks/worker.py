"""One side of the benchmark, `python -m benchmarks.worker SIDE`: answers requests on stdin, a line of JSON each.

Its first line says {"version", "python", "numpy"}, or {"missing": why} where the engine cannot be imported.

    ["build", case]            -> {"outcome": means of the first runs' results}, or {"blank": why it cannot do it}
    ["time", case, n, wake]    -> {"seconds": of each of n runs}; wake: after one not counted, which wakes the threads
    ["memory"]                 -> {"bytes": peak resident memory of this process so far}
"""

from __future__ import annotations

import importlib
import json
import platform
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import STEPS, Run

SAME_LANGUAGE = ("tinygrad_edu", "torch")


def build(side: str, case: str) -> Run:
    """A function that runs the case once on that side."""
    if side in SAME_LANGUAGE:
        from benchmarks import engine_torch

        return engine_torch.build(importlib.import_module(side), case)
    run: Run = importlib.import_module(f"benchmarks.engine_{side}").build(case)
    return run


def outcome(values: list[Any]) -> list[float]:
    """The mean magnitude of each value, a tensor of PyTorch's kind or anything NumPy reads."""
    arrays = (np.asarray(value.detach() if hasattr(value, "detach") else value) for value in values)
    return [float(np.abs(array).mean()) for array in arrays]


def first_runs(run: Run, case: str) -> list[float]:
    """Compiles and warms up; three losses of a training step show forward, backward and momentum."""
    return [number for _ in range(3 if case in STEPS else 1) for number in outcome(run())]


def seconds(run: Run, repeats: int, wake: bool) -> list[float]:
    """Wall time of each run."""
    if wake:
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def reason(error: Exception) -> str:
    """The error in one line."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def versions(module: Any) -> dict[str, str]:
    """Of the engine and of what it runs on."""
    found = {"version": getattr(module, "__version__", None) or version(module.__name__)}
    found |= {"python": platform.python_version(), "numpy": np.__version__}
    return found | ({"numba": version("numba")} if module.__name__ == "tinygrad_edu" else {})


def rest() -> None:
    """Wait until this process's threads have stopped spinning, so that they do not disturb the next side."""
    for _ in range(50):
        before = time.process_time()
        time.sleep(0.002)
        if time.process_time() - before < 0.0004:
            return


def peak_memory() -> int:
    """Bytes; Linux's ru_maxrss would include the parent's, from before exec."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Serve the side named on the command line."""
    side, threads = sys.argv[1], int(sys.argv[2])
    try:
        module = importlib.import_module(side)
    except Exception as error:  # an engine too old for its NumPy raises anything
        print(json.dumps({"missing": reason(error)}), flush=True)
        return
    if side in SAME_LANGUAGE:
        module.set_num_threads(threads)
    print(json.dumps(versions(module)), flush=True)
    runs: dict[str, Run] = {}
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        answer: dict[str, Any]
        if verb == "build":
            try:
                runs[arguments[0]] = build(side, arguments[0])
                answer = {"outcome": first_runs(runs[arguments[0]], arguments[0])}
            except Exception as error:
                if side in SAME_LANGUAGE:
                    raise
                answer = {"blank": reason(error)}  # another engine, or its version, cannot do it
        elif verb == "time":
            answer = {"seconds": seconds(runs[arguments[0]], *arguments[1:])}
        elif verb == "memory":
            answer = {"bytes": peak_memory()}
        else:
            raise ValueError(f"a worker does not know {verb!r}; it knows build, time and memory")
        rest()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
