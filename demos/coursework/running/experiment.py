"""An experiment of a report: its cells, the report's numbers, and the command that brings the two together."""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import figures, summary
from .cells import Config, Run, Task, read_cell, read_targets, source, write_text
from .data import NAMES, DataOptions, announcement, resolve
from .execution import Progress, compute
from .options import DEFAULT_OUT, parser
from .statistics import compare

Configs = Callable[[argparse.Namespace], Mapping[str, Config]]
Draw = Callable[[summary.Cells, Path], None]


@dataclass(frozen=True)
class Experiment:
    """One command.

    name: the folder of its results.  about: the docstring of the script, shown by --help.  run: computes one cell.
    configs: options -> {label: config}; a config is plain data, and all that decides a cell but its seed and its data.
    data: the set that the report used.  reported: {label: {metric: number}}.  metrics: what the table shows, names of
    a cell's `metrics`.  family: the folder of the cells, the same for experiments that share cells.  version: raise it
    when the same configuration means something else.  draw: the figure; None for `figures.lines` of `panels`.
    pairs: which labels are compared, "all" or a list of pairs.  lower_is_better: of errors.
    needs_data: False for cells whose seed makes their inputs.  remarks: lines below
    the table, from the cells.
    """

    name: str
    about: str
    run: Run
    configs: Configs
    data: str = "mnist"
    reported: summary.Reported = field(default_factory=dict)
    metrics: Sequence[str] = ("test accuracy",)
    family: str | None = None
    version: int = 1
    standardize: bool = False
    title: str = ""
    panels: Sequence[str] = ("train loss",)
    draw: Draw | None = None
    pairs: str | Sequence[tuple[str, str]] = "all"
    lower_is_better: bool = False
    needs_data: bool = True
    remarks: Callable[[summary.Cells], Sequence[str]] | None = None
    epochs: bool = True
    steps: bool = False

    def parser(self) -> argparse.ArgumentParser:
        """The command's parser; add options to it and pass what they came to on to `main`."""
        return parser(self.about, self.epochs, self.steps)


def main(experiment: Experiment, arguments: Sequence[str] | argparse.Namespace) -> int:
    """Compute the cells that are missing, write results, table, figure and tests; returns the exit status.

    0: all cells are there.  1: a cell failed (its traceback is printed; the others are kept), or none is there.
    """
    options = arguments if isinstance(arguments, argparse.Namespace) else experiment.parser().parse_args(arguments)
    out = _folder(options)
    data = DataOptions("none")
    if experiment.needs_data:
        data = resolve(options.data, experiment.data, options.root, options.quick, experiment.standardize)
    print(announcement(data), flush=True)
    tasks = _tasks(experiment, options, out, data)
    status = 0 if options.table_only else _compute(experiment, tasks, options)
    cells: dict[str, dict[int, dict[str, Any]]] = {}
    for task in tasks:
        cell, _ = read_cell(task)
        if cell is not None:
            cells.setdefault(task.label, {})[task.seed] = cell
    if not cells:
        print("no finished cell: nothing to tell", file=sys.stderr)
        return 1
    there = sum(map(len, cells.values()))
    if there < len(tasks):
        print(f"the table has {there} of {len(tasks)} cells; the others are not finished")
    _report(experiment, cells, out / experiment.name, data, len(tasks))
    return status


def command_line() -> str:
    """The command as it would be typed."""
    script = Path(sys.argv[0])
    shown = script.relative_to(Path.cwd()) if script.is_absolute() and script.is_relative_to(Path.cwd()) else script
    return shlex.join(["python", shown.as_posix(), *sys.argv[1:]])


def commit() -> str | None:
    """The commit that is checked out, with a + where files differ from it; None outside a repository or without git."""
    folder = Path(__file__).parent
    try:
        answers = [
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10).stdout
            for words in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return answers[0].strip() + ("+" if answers[1].strip() else "")


def _folder(options: argparse.Namespace) -> Path:
    """The folder of all results, made and tried."""
    out = Path(options.out or (f"{DEFAULT_OUT}/quick" if options.quick else DEFAULT_OUT))
    try:
        write_text(out / ".writable", "")
        (out / ".writable").unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise SystemExit(f"cannot write to the output folder {out}: {reason}; choose another with --out") from None
    return out


def _tasks(experiment: Experiment, options: argparse.Namespace, out: Path, data: DataOptions) -> list[Task]:
    """Every cell of the experiment, all configurations of the first seed first: a table is soon there."""
    script, function = source(experiment.run)
    folder = str((out / (experiment.family or experiment.name) / "cells").resolve())
    labelled, command, state = experiment.configs(options), command_line(), commit()
    return [
        Task(script, function, label, config, seed, data, experiment.version, folder, command, state)
        for seed in options.seeds
        for label, config in labelled.items()
    ]


def _compute(experiment: Experiment, tasks: Sequence[Task], options: argparse.Namespace) -> int:
    """Compute what is missing; returns the exit status."""
    wanted = [task for task in tasks if options.only is None or options.only.lower() in task.label.lower()]
    if not wanted:
        raise SystemExit(
            f"--only {options.only}: no label contains it; there are {', '.join({t.label: 0 for t in tasks})}"
        )
    missing: dict[Path, Task] = {}
    for task in wanted:
        cell, reason = read_cell(task)
        if cell is None:
            missing[task.path] = task  # by its file: two labels may stand for the same cell
            if reason:
                print(f"{task.path} {reason}: computed again", flush=True)
    print(f"{len(wanted)} cells: {len(wanted) - len(missing)} finished before, {len(missing)} to compute", flush=True)
    if not missing:
        return 0
    jobs = min(options.jobs, len(missing))
    alone = jobs == 1 and options.dask is None
    todo = [_with_progress(task, alone and sys.stdout.isatty()) for task in missing.values()]
    metric = experiment.metrics[0]
    report = Progress(len(todo), jobs, lambda cell: f"{metric} {summary.shown(metric, cell['metrics'][metric])}")
    failed = []
    try:
        for outcome in compute(todo, jobs, options.dask):
            report(outcome)
            if outcome.cell is None:
                failed.append(outcome)
    except KeyboardInterrupt:
        raise SystemExit("interrupted: finished cells are kept, and the same command goes on from here") from None
    for error in dict.fromkeys(outcome.error for outcome in failed):  # the same mistake often fails many cells
        names = "; ".join(str(outcome.task) for outcome in failed if outcome.error == error)
        print(f"\n{names} failed:\n{error}", file=sys.stderr)
    if failed:
        print(
            f"{len(failed)} of {len(todo)} cells failed; the others are kept. Run again to redo them", file=sys.stderr
        )
    return 1 if failed else 0


def _with_progress(task: Task, progress: bool) -> Task:
    return replace(task, data=replace(task.data, progress=progress))


def _report(experiment: Experiment, cells: summary.Cells, folder: Path, data: DataOptions, total: int) -> None:
    """Write everything that is told of the cells, and print the table."""
    lines = summary.rows(cells, experiment.metrics, experiment.reported, experiment.lower_is_better)
    grid = summary.table(lines)
    there = sum(map(len, cells.values()))
    about = {
        "experiment": experiment.name,
        "title": experiment.title,
        "command": command_line(),
        "data in use": announcement(data),
        "cells finished": there,
        "cells in all": total,
    }
    told = summary.results(cells, lines, about)
    write_text(folder / "results.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    write_text(folder / "results.csv", summary.as_csv(cells))
    remarks = list(experiment.remarks(cells)) if experiment.remarks is not None else []
    notes = [announcement(data), *remarks, _facts(cells, about)]
    text = f"# {experiment.title or experiment.name}\n\n{summary.markdown(grid)}\n\n" + "\n\n".join(notes) + "\n"
    print("", summary.plain(grid), "", *remarks, sep="\n")
    compared = _paired(experiment, cells, folder.parent / (experiment.family or experiment.name) / "cells")
    if compared:
        table = summary.paired_table(compared)
        write_text(folder / "paired.json", json.dumps(compared, indent=1, ensure_ascii=False) + "\n")
        text += f"\n## Paired tests on the test predictions\n\n{summary.markdown(table)}\n\n{PAIRED}\n"
        print("", summary.plain(table), "", sep="\n")
    write_text(folder / "table.md", text)
    figure = folder / "figure.png"
    if experiment.draw is not None:
        experiment.draw(cells, figure)
    elif any("history" in cell for seeds in cells.values() for cell in seeds.values()):
        note = "" if data.name in (experiment.data, "none") else f"computed on {NAMES[data.name]} instead"
        figures.lines(cells, figure, experiment.title or experiment.name, experiment.panels, note)
    print(f"in {folder}: table.md, results.json, results.csv" + (", figure.png" if figure.exists() else ""), flush=True)


PAIRED = (
    "Differences are in points of accuracy, first less second, over the seeds that both have. The interval is a "
    "bootstrap over test samples and seeds (10,000 replicates); p is corrected by Holm over the pairs of this table. "
    "McNemar's exact test is on the predictions of each seed. 'better' is named where the "
    "corrected bootstrap p is below 0.05."
)


def _facts(cells: summary.Cells, about: Mapping[str, Any]) -> str:
    """Seeds, duration, machine and versions in one paragraph."""
    flat = [cell for seeds in cells.values() for cell in seeds.values()]
    seeds = sorted({cell["seed"] for cell in flat})
    # the processor's time: on a busy machine the clock tells more
    seconds = sum(float(cell["cpu seconds" if "cpu seconds" in cell else "seconds"]) for cell in flat)
    machine, made = flat[0]["machine"], flat[0]["versions"]
    with_what = ", ".join(f"{name} {value}" for name, value in made.items() if value is not None)
    count = f"{about['cells finished']} of {about['cells in all']} cells"
    return (
        f"{count}, seeds {', '.join(map(str, seeds))}; {seconds / 60:.1f} core-minutes "
        f"on {machine['cpu']} ({machine['cores']} cores, one thread per cell), from {flat[0]['started']}; "
        f"{with_what}. Made with `{flat[0]['command']}`."
    )


def _paired(experiment: Experiment, cells: summary.Cells, cells_folder: Path) -> list[Any]:
    """The paired tests, where the cells hold test predictions."""
    right: dict[str, dict[int, Any]] = {}
    for label, seeds in cells.items():
        for seed, cell in seeds.items():
            if "predictions" in cell:
                targets = read_targets(cells_folder, cell["targets"])
                same = np.frombuffer(cell["predictions"].encode(), "u1") == np.frombuffer(targets.encode(), "u1")
                right.setdefault(label, {})[seed] = same
    pairs = list(itertools.combinations(right, 2)) if experiment.pairs == "all" else list(experiment.pairs)
    return compare([(str(a), str(b)) for a, b in pairs], right)
