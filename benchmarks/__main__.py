"""Times tinygrad_edu against PyTorch, MyGrad, autograd and DeZero, where they are installed.     python -m benchmarks

Each engine runs in a process of its own, in short blocks that take turns: in one process the waiting threads of two
libraries disturb each other.  All compute the same numbers (checked before timing) with the same number of threads.
Operations are timed forward and backward; a step is forward, loss, backward, SGD with momentum.  Prints a table: our
median with quartiles, its share of the measured FMA peak, and ours / theirs, the median of paired rounds.

Writes OUT/benchmark.png, and OUT/benchmark.json:
    machine    processor, cores, system, python, date, time;  threads  of every engine
    peak       measured FMA peak in FLOP/s, by number of threads
    engines    by name: version, python, numpy (and numba); or missing, the reason
    busy       before: cores that others used before the run, null where unknown; rows: names of those marked `*`
    rows       case, what, unit (seconds, bytes); target: ratio to PyTorch, or limit: absolute, or null; flops and
               share of the peak, or null; others: cores that other processes used meanwhile, or null; and
      sides    by engine: median, quartiles of all runs, runs, rounds; but for ours ratio, ratio_quartiles (ours over
               theirs, paired by round); or blank, why the engine does not do it
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, report, startup
from benchmarks.cases import CASES, Case
from benchmarks.sides import ENGINES, OURS, ROOT, Side, environment

Blanks = dict[str, dict[str, str]]
SLOW, SLOW_ROUNDS = 0.3, 3  # seconds of one run above which a side takes part in the first rounds only


def time_case(case: Case, sides: list[Side], rounds: int) -> tuple[report.Rounds, Blanks]:
    """Times by side and round, in blocks of about 50 ms that take turns; and the sides that cannot, with the reason."""
    built = {side.name: side.ask("build", case.name) for side in sides}
    blanks = {name: answer for name, answer in built.items() if "blank" in answer}
    sides = [side for side in sides if side.name not in blanks]
    differs = report.disagreement({side.name: built[side.name]["outcome"] for side in sides})
    if differs:
        raise RuntimeError(f"{case.name}: the engines do not compute the same: {differs}")
    repeats, last, wake = {}, {}, {}
    for side in sides:
        once = min(side.ask("time", case.name, 1, True)["seconds"])
        repeats[side.name] = max(1, min(50, int(0.05 / once)))
        last[side.name] = SLOW_ROUNDS if once > SLOW and side.name != OURS else rounds
        wake[side.name] = once < SLOW
    times: report.Rounds = {side.name: [] for side in sides}
    for k in range(rounds):
        for side in sides:
            if k < last[side.name]:
                times[side.name].append(side.ask("time", case.name, repeats[side.name], wake[side.name])["seconds"])
    return times, blanks


def measure_peak(threads: int) -> dict[str, float]:
    """FMA peak in FLOP/s, by number of threads."""
    command = [sys.executable, "-m", "benchmarks.peak", str(threads)]
    answer = subprocess.run(command, cwd=ROOT, env=environment(threads), check=True, capture_output=True, text=True)
    peak: dict[str, float] = json.loads(answer.stdout)
    return peak


def start(pythons: dict[str, str], threads: int) -> tuple[list[Side], dict[str, Any]]:
    """The sides that can be imported, and what is known of each."""
    sides, engines = [], {}
    for name in ENGINES:
        side = Side(name, pythons.get(name, sys.executable), threads)
        engines[name] = side.versions
        if side.missing is None:
            sides.append(side)
            continue
        side.close()
        if name == OURS:
            raise SystemExit(f"{OURS} cannot be imported: {side.missing}")
        hint = "" if name in pythons else f"; `--python {name}=PATH` names an interpreter that has it"
        print(f"{report.SHORT[name]} is left out ({side.missing}){hint}")
    return sides, engines


def measure(item: Case | startup.Row, sides: list[Side], rounds: int) -> tuple[report.Rounds, Blanks]:
    """Times, or bytes, by side and round; and the sides that cannot, with the reason."""
    if isinstance(item, Case):
        return time_case(item, sides, rounds)
    if item is startup.MEMORY:
        return startup.measure_memory(sides, 3)
    return startup.measure(item, sides, 5), {}


def row_of(item: Case | startup.Row, times: report.Rounds, blanks: Blanks, peak: float) -> dict[str, Any]:
    """A row as the JSON file holds it."""
    sides = {**report.summary(times), **blanks}
    flops = item.flops if isinstance(item, Case) and item.flops else None
    return {
        "case": item.name,
        "what": item.what,
        "unit": "bytes" if item is startup.MEMORY else "seconds",
        "target": item.target,
        "limit": item.limit if isinstance(item, startup.Row) else None,
        "flops": flops,
        "share": flops / sides[OURS]["median"] / peak if flops else None,
        "sides": sides,
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what was asked for, print it line by line, and return what the JSON file holds."""
    before = machine.others_now()
    if before is not None and before > machine.BUSY:
        print(f"warning: other processes use {before:.1f} cores of this machine; the times below are not to be trusted")
    sides, engines = start(options.python, options.threads)
    names, watch = [side.name for side in sides], machine.Watch()
    rows: list[dict[str, Any]] = []
    try:
        peak = measure_peak(options.threads)
        print(f"FMA peak: {', '.join(f'{flops / 1e9:.0f} GFLOP/s on {n} thread(s)' for n, flops in peak.items())}")
        print(report.heading(names), flush=True)
        watch.follow(side.process.pid for side in sides)

        for item in chosen(options):
            times, blanks = measure(item, sides, options.rounds)
            rows.append(row_of(item, times, blanks, peak[str(options.threads)]) | {"others": watch.others()})
            print(report.line(rows[-1], names), flush=True)
    finally:
        for side in sides:
            side.close()
    marked = [row["case"] for row in rows if (row["others"] or 0.0) > machine.BUSY]
    if marked:
        print(f"* other processes used more than {machine.BUSY} cores meanwhile: {', '.join(marked)}")
    for row in rows:
        for name, entry in row["sides"].items():
            if "blank" in entry:
                print(f"- {report.SHORT[name]} has no time for {row['case']}: {entry['blank']}")
    return {
        "machine": machine.describe(),
        "threads": options.threads,
        "peak": peak,
        "engines": engines,
        "busy": {"before": before, "rows": marked},
        "rows": rows,
    }


def chosen(options: argparse.Namespace) -> list[Case | startup.Row]:
    """The rows to measure: those whose name contains `--only`, or all."""
    rows: list[Case | startup.Row] = [*CASES, *(() if options.no_startup else startup.ROWS)]
    found = [row for row in rows if not options.only or options.only in row.name]
    if not found:
        raise SystemExit(f"--only {options.only!r} is in no row's name; --list shows them")
    return found


def interpreter(text: str) -> tuple[str, str]:
    """ENGINE=PATH -> the engine and the path."""
    name, equals, path = text.partition("=")
    if name not in ENGINES or not equals or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"{text!r} must be ENGINE=PATH, of {', '.join(ENGINES)} and a Python program")
    return name, str(Path(path).absolute())


def main() -> None:
    """Read the options, run, write the files."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=12, help="blocks per side and case (default 12)")
    parser.add_argument("--only", metavar="TEXT", help="only the rows whose name contains this")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and end")
    parser.add_argument("--no-startup", action="store_true", help="leave out memory, import time and first steps")
    parser.add_argument("--threads", type=int, default=2, help="threads of every engine (default 2)")
    parser.add_argument(
        "--python", type=interpreter, action="append", default=[], metavar="ENGINE=PATH",
        help="the interpreter that has this engine; may be given more than once",
    )  # fmt: skip
    parser.add_argument("--out", default="out", help="folder for benchmark.json and benchmark.png")
    options = parser.parse_args()
    options.python = dict(options.python)
    if options.list:
        rows: tuple[Case | startup.Row, ...] = (*CASES, *startup.ROWS)
        for row in rows:
            print(f"{row.name:<26}{row.what}")
        return
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    chosen(options)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    result = run(options)
    (out / "benchmark.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    written = [out / "benchmark.json"]
    if report.plot(result["rows"], out / "benchmark.png"):
        written.append(out / "benchmark.png")
    print(f"written: {' and '.join(map(str, written))}")


if __name__ == "__main__":
    main()
