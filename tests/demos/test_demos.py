"""The demos run, small, and leave what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DEMOS = Path(__file__).parents[2] / "demos"
PICTURES = ("cnn", "network", "batchnorm", "curves", "filters", "confusion", "mistakes")


def run(script: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, str(DEMOS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300, **options)


def test_the_tour_leaves_its_pictures_and_the_table(tmp_path):
    done = run("tour.py", "--epochs", "3", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for name in PICTURES:
        with Image.open(tmp_path / f"{name}.png") as image:
            assert np.asarray(image.convert("L")).std() > 5, f"{name}.png is blank"
    table = (tmp_path / "gradients.txt").read_text(encoding="utf-8")
    assert "conv2d" in table and "WRONG" not in table
    last = done.stdout.strip().splitlines()[-10:]
    assert str(tmp_path) in last[0]
    assert all((tmp_path / line.split()[0]).exists() for line in last[1:])
    page = tmp_path / "net.html"
    assert done.stdout.splitlines()[1].strip() == str(page)  # not opened: nobody sits here
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    accuracy = float(done.stdout.split("test accuracy ")[-1].split("%")[0])
    assert accuracy > 90.0


def test_training_writes_the_curves(tmp_path):
    done = run("train.py", "--epochs", "1", "--out", str(tmp_path / "new" / "folder"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "folder" / "curves_digits.png").exists()


def test_the_same_seed_trains_the_same_network(tmp_path):
    outputs = [run("train.py", "--epochs", "1", "--out", str(tmp_path)).stdout.split("test accuracy")[1] for _ in "ab"]
    assert outputs[0].split("%")[0] == outputs[1].split("%")[0]


@pytest.mark.parametrize("script", ["tour.py", "train.py"])
def test_an_output_folder_that_cannot_be_written_is_named(tmp_path, script):
    (tmp_path / "out").write_text("a file, not a folder")
    done = run(script, "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "cannot write to the output folder" in done.stderr and "--out" in done.stderr
    assert "Traceback" not in done.stderr


def test_data_that_is_not_there_is_said_in_words(tmp_path):
    done = run("train.py", "--dataset", "mnist", "--root", str(tmp_path), "--out", str(tmp_path))
    assert done.returncode == 1
    assert "train-images-idx3-ubyte" in done.stderr and "download" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--epochs", "0"),
        ("--epochs", "1.5"),
        ("--batch-size", "0"),
        ("--batch-size", "-3"),
        ("--lr", "-1"),
        ("--lr", "x"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_in_one_line(tmp_path, option, value):
    done = run("train.py", f"{option}={value}", "--out", str(tmp_path / "out"))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert f"argument {option}" in last and repr(value) in last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("script", ["tour.py", "train.py", "figures.py"])
def test_help(script):
    done = run(script, "--help")
    assert done.returncode == 0 and "--out" in done.stdout


def test_the_two_figures(tmp_path):
    done = run("figures.py", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for name in ("network", "batchnorm"):
        shapes = []
        for folder in (tmp_path, DEMOS.parent / "docs"):
            with Image.open(folder / f"{name}.png") as image:
                shapes.append(image.width / image.height)
        assert shapes[0] == pytest.approx(shapes[1], rel=0.2)  # fonts differ between machines, the layout does not
