"""Times tinygrad_edu against PyTorch, where it is installed: medians of interleaved runs.        python -m benchmarks

Each side runs in a process of its own, in short blocks that alternate: in one process the waiting threads of two
libraries disturb each other.  Writes out/benchmark.json and out/benchmark.png; prints the table of ratios.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import startup
from benchmarks.cases import CASES, Case

WORKER = Path(__file__).with_name("worker.py")
OURS, THEIRS = "tinygrad_edu", "torch"


class Side:
    """A worker process for one module."""

    def __init__(self, module: str) -> None:
        self.module = module
        command = [sys.executable, str(WORKER), module]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *request: Any) -> Any:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker of {self.module} stopped at {request}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait()


def time_case(case: Case, sides: list[Side], rounds: int) -> dict[str, Any]:
    """Blocks of runs, in turn; a block takes about 50 ms."""
    times: dict[str, list[float]] = {side.module: [] for side in sides}
    repeats = {}
    for side in sides:
        side.ask("time", case.name, 2)  # compile and warm up
        once = min(side.ask("time", case.name, 3))
        repeats[side.module] = max(1, min(50, int(0.05 / once)))
    for _ in range(rounds):
        for side in sides:
            times[side.module] += side.ask("time", case.name, repeats[side.module])
    row: dict[str, Any] = {"case": case.name, "what": case.what, "target": case.target, "flops": case.flops}
    for module, values in times.items():
        quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
        row[module] = {"median": quartiles[1], "quartiles": [quartiles[0], quartiles[2]], "runs": len(values)}
    if THEIRS in times:
        row["ratio"] = row[OURS]["median"] / row[THEIRS]["median"]
    return row


def show(row: dict[str, Any], peak: float) -> str:
    """A row of the table."""
    ours = row[OURS]
    low, high = (q / ours["median"] - 1 for q in ours["quartiles"])
    text = f"{row['what']:<62} {ours['median'] * 1e3:9.3f} ms {low:+5.0%} {high:+5.0%}"
    share = f"{row['flops'] / ours['median'] / peak:6.0%}" if row["flops"] else "      "
    text += f" {share}"
    if "ratio" in row:
        verdict = "" if row["ratio"] <= row["target"] else "  above the target"
        text += (
            f" {row[THEIRS]['median'] * 1e3:9.3f} ms   ratio {row['ratio']:5.2f} (target {row['target']:.1f}){verdict}"
        )
    return text


def memory_of_a_step(module: str) -> float:
    """Peak memory of a process that runs CNN steps, less that of one that only imports, in bytes."""
    side = Side(module)
    try:
        before = float(side.ask("memory"))
        side.ask("time", "cnn", 5)
        return float(side.ask("memory")) - before
    finally:
        side.close()


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Bars of the ratios, with a tick at each target."""
    from matplotlib.figure import Figure

    shown = [row for row in rows if "ratio" in row][::-1]
    figure = Figure(figsize=(8, 0.32 * len(shown) + 1.2), layout="constrained")
    axes = figure.subplots()
    axes.barh([row["case"] for row in shown], [row["ratio"] for row in shown], color="#0072B2")
    for place, row in enumerate(shown):
        axes.plot([row["target"]] * 2, [place - 0.4, place + 0.4], color="#D55E00", linewidth=2)
        axes.annotate(f"{row['ratio']:.2f}", (row["ratio"], place), (4, 0), textcoords="offset points", va="center")
    axes.margins(x=0.1)
    axes.axvline(1.0, color="#5B6472", linewidth=1, linestyle="--")
    axes.set_xlabel("our time / PyTorch's time, medians of interleaved runs (orange: the target)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def machine() -> dict[str, str]:
    """Where and with what the numbers were measured."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    versions = {"python": platform.python_version(), "date": datetime.date.today().isoformat()}
    for package in ("numpy", "numba", "torch"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {"processor": model, "system": platform.system(), **versions}


def main() -> None:
    """Run the cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="alternating blocks per side")
    parser.add_argument("--only", help="run only the cases whose name contains this")
    parser.add_argument("--no-startup", action="store_true", help="leave out import time and first steps")
    parser.add_argument("--out", default="out", help="folder for benchmark.json and benchmark.png")
    options = parser.parse_args()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    modules = [OURS]
    if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True, check=False).returncode == 0:
        modules.append(THEIRS)
    else:
        print("PyTorch is not installed, so there is nothing to compare with; our own times:")
    sides = [Side(module) for module in modules]
    rows = []
    try:
        peak = float(sides[0].ask("peak", 1.0))
        print(f"fastest matrix product: {peak / 1e9:.0f} GFLOP/s; columns: median, quartiles, share of that rate")
        for case in CASES:
            if not options.only or options.only in case.name:
                rows.append(time_case(case, sides, options.rounds))
                print(show(rows[-1], peak), flush=True)
    finally:
        for side in sides:
            side.close()
    result: dict[str, Any] = {"machine": machine(), "peak_flops": peak, "rows": rows}
    if not options.only:
        result["memory of CNN steps"] = {module: memory_of_a_step(module) for module in modules}
        print_pairs("memory of CNN steps", result["memory of CNN steps"], 1e-6, "MB", 1.2)
    if not options.only and not options.no_startup:
        result["startup"] = startup.measure(modules, 5)
        for name, values in result["startup"].items():
            print_pairs(name, values, 1.0, "s ", 0.4 if name == "import" else None)
    (out / "benchmark.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if THEIRS in modules:
        plot(rows, out / "benchmark.png")
    print(f"written: {out / 'benchmark.json'}")


def print_pairs(name: str, values: dict[str, float], scale: float, unit: str, target: float | None) -> None:
    """A row of a figure that is no interleaved time."""
    text = f"{name:<62} {values[OURS] * scale:9.3f} {unit}"
    if THEIRS in values:
        goal = f" (target {target})" if target else ""
        text += f" {values[THEIRS] * scale:9.3f} {unit}   ratio {values[OURS] / values[THEIRS]:5.2f}{goal}"
    print(text)


if __name__ == "__main__":
    main()
