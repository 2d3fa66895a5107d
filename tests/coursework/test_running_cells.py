"""A cell's file: whole or not there, never believed when it is damaged or of another setting."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from running.cells import Task, _locked, digits, read_cell, read_targets, source, work, write_cell, write_text
from running.data import DataOptions, announcement, resolve

FOLDER = Path(__file__).parents[2] / "demos" / "coursework"


def cell(config, seed, data, checkpoint):
    """The function of the cells here."""
    if config.get("fails"):
        raise RuntimeError("this cell was told to fail")
    if "returns" in config:
        return config["returns"]
    history = {"train loss": [1.0, math.nan, math.inf], "step": [1, 2, 3]}
    return {
        "metrics": {"test accuracy": np.float32(0.5), "loss": math.nan},
        "history": history,
        "predictions": np.array([1, 2, seed]),
        "targets": "120",
        "parameters": 7,
    }


def task(folder, seed=0, label="A cell, 1", **config) -> Task:
    script, function = source(cell)
    return Task(script, function, label, config, seed, DataOptions("digits"), 1, str(folder))


def test_a_cell_comes_back_as_it_was_written(tmp_path):
    made = task(tmp_path, width=(3, 4))
    outcome = work(made)
    assert outcome.error == "" and outcome.computed
    read, reason = read_cell(made)
    assert reason == "" and read is not None
    assert read["metrics"]["test accuracy"] == 0.5 and math.isnan(read["metrics"]["loss"])
    assert read["history"]["train loss"][0] == 1.0 and math.isnan(read["history"]["train loss"][2])
    assert read["predictions"] == "120" and read_targets(tmp_path, read["targets"]) == "120"
    assert read["config"] == {"width": [3, 4]} and read["seed"] == 0 and read["machine"]["threads per cell"] == 1
    assert {p.name for p in tmp_path.iterdir()} == {made.path.name, f"targets_{read['targets']}.txt"}
    assert json.loads(made.path.read_text())["metrics"]["loss"] is None  # JSON has no NaN


def test_a_finished_cell_is_not_computed_again(tmp_path):
    work(task(tmp_path))
    before = task(tmp_path).path.read_bytes()
    again = work(task(tmp_path))
    assert not again.computed and again.cell is not None
    assert task(tmp_path).path.read_bytes() == before


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda text: text[: len(text) // 2], "cut off or damaged"),
        (lambda text: text.replace("0.5", "0.9"), "checksum"),
        (lambda text: "", "cut off or damaged"),
        (lambda text: "[]", "checksum"),
    ],
)
def test_a_damaged_cell_is_seen_and_redone(tmp_path, harm, reason):
    made = task(tmp_path)
    work(made)
    whole = json.loads(made.path.read_text())
    made.path.write_text(harm(made.path.read_text()))
    read, why = read_cell(made)
    assert read is None and reason in why
    assert work(made).computed
    again = json.loads(made.path.read_text())
    assert all(again[key] == whole[key] for key in ("metrics", "history", "predictions", "config"))


def test_a_cell_of_another_setting_is_not_taken(tmp_path):
    one, other = task(tmp_path, lr=0.1), task(tmp_path, lr=0.2)
    assert one.path != other.path
    work(one)
    one.path.rename(other.path)
    assert read_cell(other) == (None, "is of another config")
    for changed in (replace(one, seed=1), replace(one, version=2), replace(one, data=DataOptions("mnist"))):
        assert changed.path != one.path
    assert replace(one, data=DataOptions("digits", root="elsewhere", progress=True)).path == one.path


def test_cells_with_a_name_are_shared_between_labels(tmp_path):
    assert task(tmp_path, label="SGD", name="7conv").path == task(tmp_path, label="lr 0.001", name="7conv").path
    assert task(tmp_path, label="SGD").path.name.startswith("sgd_seed0_")


def test_a_failure_is_told_with_its_traceback_and_leaves_nothing(tmp_path):
    outcome = work(task(tmp_path, fails=True))
    assert outcome.cell is None and "this cell was told to fail" in outcome.error and "Traceback" in outcome.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "must return a dict with 'metrics'"),
        ({"metrics": {}}, "must return a dict with 'metrics'"),
        ({"metrics": {"a": 1}, "predictions": "123"}, "'predictions' and 'targets' both, or neither"),
        ({"metrics": {"a": 1}, "predictions": "123", "targets": "12"}, "3 predictions for 2 targets"),
    ],
)
def test_a_result_that_the_tables_cannot_use_is_refused(tmp_path, returned, words):
    assert words in work(task(tmp_path, returns=returned)).error


def test_a_function_inside_another_is_refused():
    with pytest.raises(TypeError, match="must stand at module level"):
        source(lambda config, seed, data, checkpoint: {})


def test_digits():
    assert digits(np.array([0, 9, 3])) == "093"
    for wrong in ([[1]], [10], [-1]):
        with pytest.raises(ValueError, match="values 0 to 9"):
            digits(np.array(wrong))


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    path = tmp_path / "cell.json"
    write_text(path, "old")
    with pytest.raises(TypeError):
        write_cell(path, {"metrics": {"a": object()}})
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_changed_targets_are_seen(tmp_path):
    made = work(task(tmp_path)).cell
    (tmp_path / f"targets_{made['targets']}.txt").write_text("121\n")
    with pytest.raises(ValueError, match="was changed after it was written"):
        read_targets(tmp_path, made["targets"])


HOLD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from running.cells import _locked
folder = Path(sys.argv[2])
with _locked(folder / "a.lock"):
    (folder / sys.argv[3]).touch()
    time.sleep(float(sys.argv[4]))
"""


def test_a_lock_is_held_by_one_process_and_free_when_it_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLD, str(FOLDER), str(tmp_path)]
    other = subprocess.Popen([*command, "first", "60"])
    try:
        for _ in range(600):
            if (tmp_path / "first").exists():
                break
            time.sleep(0.05)
        assert (tmp_path / "first").exists()
        waiting = subprocess.Popen([*command, "second", "0"])
        time.sleep(1.0)
        assert waiting.poll() is None and not (tmp_path / "second").exists()  # it waits
    finally:
        other.kill()
        other.wait()
    assert waiting.wait(timeout=30) == 0 and (tmp_path / "second").exists()
    with _locked(tmp_path / "a.lock"):
        pass
    assert not (tmp_path / "a.lock").exists()


def test_digits_stands_in_and_says_so(tmp_path):
    data = resolve("auto", "mnist", str(tmp_path))
    assert (data.name, data.standin_for) == ("digits", "mnist")
    assert announcement(data).startswith(f"no MNIST under {tmp_path}: Digits (1,797 8x8 scans) stands in")
    with pytest.raises(SystemExit, match="Dataset not found"):
        resolve("mnist", "mnist", str(tmp_path))


def test_damaged_files_are_not_passed_over(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(b"no images")
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"no labels")
    with pytest.raises(SystemExit):
        resolve("auto", "mnist", str(tmp_path))


def test_the_split_is_fixed_and_its_parts_are_apart():
    data = DataOptions("digits").load()
    assert (len(data.train), len(data.validation), len(data.test)) == (1_294, 143, 360)
    assert (data.channels, data.size, data.features) == (1, 8, 64)
    seen = [image.tobytes() for part in (data.train, data.validation) for image in part.tensors[0].numpy()]
    from tinygrad_edu import datasets

    assert sorted(seen) == sorted(image.tobytes() for image in datasets.Digits().tensors()[0].numpy())
    scaled = DataOptions("digits", standardize=True).load().train.tensors[0].numpy()
    assert abs(scaled.mean()) < 1e-5 and abs(scaled.std() - 1) < 1e-5
