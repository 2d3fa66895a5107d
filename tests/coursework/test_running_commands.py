"""The commands: killed and started again, on joblib and on Dask, with cells that fail, with wrong options."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="the paired tests use scipy")
FOLDER = Path(__file__).parents[2] / "demos" / "coursework"
SCRIPT = "report004_fully_connected.py"
CELLS = Path("report004_fully_connected", "cells")


def command(script: str, out: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(FOLDER / script), "--quick", "--jobs", "1", *arguments, "--out", str(out)]


def run(script: str, out: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(script, out, *arguments), capture_output=True, text=True, encoding="utf-8", timeout=300
    )


def here(out: Path, *arguments: str) -> int:
    """The command in this process."""
    from report004_fully_connected import EXPERIMENT
    from running import main

    return main(EXPERIMENT, ["--quick", "--jobs", "1", *arguments, "--out", str(out)])


def cells(out: Path) -> dict[str, dict]:
    """Name of the file -> what decides and what was computed, without times and commands."""
    apart = ("seconds", "cpu seconds", "started", "command", "sha256", "resumed")
    read = {path.name: json.loads(path.read_text()) for path in sorted((out / CELLS).glob("*.json"))}
    for cell in read.values():
        cell["versions"].pop("commit")  # somebody may commit while this runs
    return {name: {k: v for k, v in cell.items() if k not in apart} for name, cell in read.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The results of an uninterrupted run, one cell after the other."""
    out = tmp_path_factory.mktemp("whole")
    done = run(SCRIPT, out, "--seeds", "2")
    assert done.returncode == 0, done.stderr
    return out


def test_a_run_leaves_all_its_results(whole):
    folder = whole / "report004_fully_connected"
    told = json.loads((folder / "results.json").read_text())
    assert told["cells finished"] == told["cells in all"] == 12 and len(told["rows"]) == 6
    row = told["rows"][0]
    values = [c["metrics"]["test accuracy"] for c in told["cells"] if c["label"] == row["label"]]
    assert row["ours"]["n"] == 2 and row["ours"]["mean"] == pytest.approx(sum(values) / 2)
    assert row["report"] == 0.0958 and row["difference"] == pytest.approx(sum(values) / 2 - 0.0958)
    with open(folder / "results.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 12 and {line["seed"] for line in lines} == {"0", "1"}
    assert [float(line["test accuracy"]) for line in lines if line["label"] == row["label"]] == values
    table = (folder / "table.md").read_text(encoding="utf-8")
    assert "| SGD, BatchNorm |" in table and "17.60 %" in table and "quick run, whose numbers mean nothing" in table
    assert json.loads((folder / "paired.json").read_text())[0]["samples"] == 100
    assert (folder / "figure.png").stat().st_size > 10_000
    one = next(iter(cells(whole).values()))
    assert len(one["predictions"]) == 100 and one["versions"]["numpy"] and one["machine"]["cpu"]


def test_a_second_run_computes_nothing(whole, capsys):
    before = {path: path.stat().st_mtime_ns for path in (whole / CELLS).iterdir()}
    assert here(whole, "--seeds", "2") == 0
    assert "12 cells: 12 finished before, 0 to compute" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (whole / CELLS).iterdir()} == before


def test_killed_between_cells_nothing_is_lost_or_repeated(whole, tmp_path):
    with subprocess.Popen(command(SCRIPT, tmp_path, "--seeds", "2"), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("[4/"):
                process.kill()
                break
    finished = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / CELLS).glob("*.json")}
    assert 4 <= len(finished) < 12
    done = run(SCRIPT, tmp_path, "--seeds", "2")
    assert done.returncode == 0, done.stderr
    assert f"{len(finished)} finished before, {12 - len(finished)} to compute" in done.stdout
    assert all((path.read_bytes(), path.stat().st_mtime_ns) == was for path, was in finished.items())
    assert cells(tmp_path) == cells(whole)
    assert {path.suffix for path in (tmp_path / CELLS).iterdir()} == {".json", ".txt"}  # no checkpoint, no lock


def test_killed_inside_a_cell_it_goes_on_from_its_checkpoint(tmp_path):
    only = ("--seeds", "1", "--only", "Adam, BatchNorm", "--epochs", "60")
    straight = tmp_path / "straight"
    assert run(SCRIPT, straight, *only).returncode == 0
    broken = tmp_path / "broken"
    process = subprocess.Popen(command(SCRIPT, broken, *only), stdout=subprocess.DEVNULL, start_new_session=True)
    for _ in range(3_000):
        if list((broken / CELLS).glob("*.checkpoint")) or process.poll() is not None:
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list((broken / CELLS).glob("*.checkpoint")) and not list((broken / CELLS).glob("*.json"))
    assert run(SCRIPT, broken, *only).returncode == 0
    (cell,) = (broken / CELLS).glob("*.json")
    assert json.loads(cell.read_text())["resumed"] is True
    assert cells(broken) == cells(straight)
    assert not list((broken / CELLS).glob("*.checkpoint"))


def test_side_by_side_gives_the_same_cells(whole, tmp_path):
    pytest.importorskip("joblib", reason="cells side by side go through joblib")
    done = run(SCRIPT, tmp_path, "--seeds", "1", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert cells(tmp_path) == {name: cell for name, cell in cells(whole).items() if cell["seed"] == 0}


def test_a_dask_cluster_of_two_workers_gives_the_same_cells(whole, tmp_path):
    pytest.importorskip("distributed", reason="clusters go through Dask")
    done = run(SCRIPT, tmp_path, "--seeds", "1", "--dask", "local:2")
    assert done.returncode == 0, done.stderr
    assert cells(tmp_path) == {name: cell for name, cell in cells(whole).items() if cell["seed"] == 0}


def test_a_damaged_cell_is_said_and_redone(whole, tmp_path, capsys):
    out = tmp_path / "copy"
    shutil.copytree(whole, out)
    path = sorted((out / CELLS).glob("*.json"))[3]
    path.write_text(path.read_text()[:-40])
    assert here(out, "--seeds", "2") == 0
    told = capsys.readouterr().out
    assert f"{path.name} is no JSON: cut off or damaged: computed again" in told
    assert "11 finished before, 1 to compute" in told
    assert cells(out) == cells(whole)


def test_the_table_alone(whole, tmp_path, capsys):
    out = tmp_path / "copy"
    shutil.copytree(whole / CELLS, out / CELLS)
    for path in sorted((out / CELLS).glob("*seed1*"))[:2]:
        path.unlink()
    assert here(out, "--seeds", "2", "--table-only") == 0
    assert "the table has 10 of 12 cells" in capsys.readouterr().out
    assert (out / "report004_fully_connected" / "table.md").exists()
    assert len(list((out / CELLS).glob("*.json"))) == 10
    assert here(tmp_path / "nothing", "--table-only") == 1
    assert "no finished cell" in capsys.readouterr().err


FAILING = """
import sys
sys.path.insert(0, {folder!r})
from running import Experiment, main
from pathlib import Path

def run(config, seed, data, checkpoint):
    if config["n"] == 1:
        raise RuntimeError("cell number one is broken")
    return {{"metrics": {{"test accuracy": config["n"] / 10}}}}

def configs(options):
    return {{f"number {{n}}": {{"n": n}} for n in range(3)}}

if __name__ == "__main__":
    sys.exit(main(Experiment("failing", "A cell fails.", run, configs, data="digits"), sys.argv[1:]))
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_cell_that_fails_leaves_the_others(tmp_path, jobs):
    script = tmp_path / "failing.py"
    script.write_text(FAILING.format(folder=str(FOLDER)))
    done = subprocess.run(
        [sys.executable, str(script), "--seeds", "2", "--jobs", jobs, "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1
    assert re.search(r"number 1, seed [01]; number 1, seed [01] failed:", done.stderr)
    assert done.stderr.count("Traceback") == 1 and "cell number one is broken" in done.stderr
    assert "2 of 6 cells failed; the others are kept" in done.stderr
    assert len(list((tmp_path / "out" / "failing" / "cells").glob("*.json"))) == 4
    assert re.search(r"number 2 +20\.00 ± 0\.00 %", done.stdout)


@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("report*.py")))
def test_help(script):
    done = subprocess.run([sys.executable, str(FOLDER / script), "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for option in ("--seeds", "--jobs", "--dask", "--data", "--root", "--quick", "--out", "--table-only"):
        assert option in done.stdout


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seeds", "0"), ("--seeds", "1,1"), ("--seeds", "a"), ("--jobs", "-1"), ("--epochs", "0"), ("--dask", "here")]
    + [("--data", "imagenet")],
)
def test_options_that_make_no_sense_are_refused_in_one_line(tmp_path, option, value, capsys):
    from report004_fully_connected import EXPERIMENT
    from running import main

    with pytest.raises(SystemExit) as end:
        main(EXPERIMENT, [f"{option}={value}", "--out", str(tmp_path / "out")])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert end.value.code == 2 and f"argument {option}" in last and repr(value) in last
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written_is_named(tmp_path):
    from report004_fully_connected import EXPERIMENT
    from running import main

    (tmp_path / "out").write_text("a file, not a folder")
    with pytest.raises(SystemExit, match="cannot write to the output folder .*; choose another with --out"):
        main(EXPERIMENT, ["--out", str(tmp_path / "out")])


def test_an_absent_package_is_named_with_its_command():
    from running.execution import optional

    with pytest.raises(SystemExit, match=re.escape("this needs no_such_package: pip install 'tinygrad_edu[cluster]'")):
        optional("no_such_package", "cluster")


def test_ctrl_c_is_answered_in_one_line(tmp_path):
    only = ("--seeds", "1", "--only", "Adam, BatchNorm", "--epochs", "5000")
    with subprocess.Popen(command(SCRIPT, tmp_path, *only), stderr=subprocess.PIPE, text=True) as process:
        while not list((tmp_path / CELLS).glob("*.checkpoint")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 1 and "the same command goes on from here" in told and "Traceback" not in told
    assert list((tmp_path / CELLS).glob("*.checkpoint"))


def test_a_word_that_no_label_has(tmp_path):
    from report004_fully_connected import EXPERIMENT
    from running import main

    with pytest.raises(SystemExit, match="no label contains it; there are SGD, RMSprop"):
        main(EXPERIMENT, ["--quick", "--only", "AdaBound", "--out", str(tmp_path)])
