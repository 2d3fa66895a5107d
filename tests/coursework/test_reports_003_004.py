"""The experiments of reports 003 and 004, small: they run, their tables are whole, their nets are as told."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

import tinygrad_edu as torch

pytest.importorskip("scipy", reason="the paired tests use scipy")
import conv_nets
import report003_gradient_checks as checks
import report003_two_layer as two_layer
import report004_fully_connected as fully_connected
from running import main

NUMBERS = {  # how many of a report's numbers each table has, and how many rows in the quick run
    "report003_overfit": (4, 6),
    "report003_momentum": (2, 8),
    "report003_convnet": (1, 8),
    "report004_fully_connected": (6, 6),
    "report004_optimizers": (6, 6),
    "report004_depth": (6, 6),
    "report004_learning_rate": (3, 4),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_quick_run(name, tmp_path, capsys):
    experiment = importlib.import_module(name).EXPERIMENT
    assert main(experiment, ["--quick", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path)]) == 0
    told = json.loads((tmp_path / name / "results.json").read_text())
    assert (sum(row["report"] is not None for row in told["rows"]), len(told["rows"])) == NUMBERS[name]
    assert told["data in use"].startswith("data: Digits") and told["data"][0]["name"] == "digits"
    assert (tmp_path / name / "figure.png").exists()
    capsys.readouterr()


def test_the_three_tables_of_report_004_share_cells(tmp_path, capsys):
    for name in ("optimizers", "depth"):
        experiment = importlib.import_module(f"report004_{name}").EXPERIMENT
        main(experiment, ["--quick", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path)])
    assert "6 cells: 2 finished before, 4 to compute" in capsys.readouterr().out
    assert len(list((tmp_path / conv_nets.FAMILY / "cells").glob("*.json"))) == 10


def test_the_loop_by_hand_is_the_trainer_bit_for_bit(tmp_path, capsys):
    assert two_layer.command(["--by-hand", "--quick", "--seeds", "2", "--jobs", "1", "--out", str(tmp_path)]) == 0
    read = [json.loads(p.read_text()) for p in (tmp_path / "report003_two_layer" / "cells").glob("*.json")]
    for seed in (0, 1):
        a, b = (cell for cell in read if cell["seed"] == seed)
        assert {a["config"]["loop"], b["config"]["loop"]} == {"Trainer", "by hand"}
        assert all(a[part] == b[part] for part in ("history", "metrics", "predictions", "parameters"))
        assert len(a["history"]["train loss"]) == 2
    assert read[0]["history"] != next(cell for cell in read if cell["seed"] != read[0]["seed"])["history"]
    assert "bit for bit" in capsys.readouterr().out


def test_a_difference_between_the_loops_would_be_said():
    cell = {"history": {"train loss": [0.5]}, "metrics": {"a": 1.0}, "predictions": "12"}
    other = {**cell, "history": {"train loss": [0.5000001]}}
    assert two_layer.remarks({two_layer.LABEL: {0: cell}, two_layer.BY_HAND: {0: other}}) == [
        "the two loops differ at seeds 0"
    ]


def test_the_eight_layers_have_the_widths_of_the_report():
    for norm in (False, True):
        model = fully_connected.net(784, norm)
        shapes = [tuple(p.shape) for name, p in model.named_parameters() if p.ndim == 2]
        assert shapes == [(256, 784), (128, 256), (64, 128), (32, 64), (16, 32), (8, 16), (4, 8), (10, 4)]
        assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize("size", [8, 28])
@pytest.mark.parametrize("depth", [3, 5, 7])
def test_the_conv_nets(depth, size):
    for norm in (False, True):
        model = conv_nets.net(depth, norm, 1, size)
        assert sum(p.ndim == 4 for p in model.parameters()) == depth
        assert sum(type(layer).__name__ == "BatchNorm2d" for layer in model) == (depth if norm else 0)
        assert model(torch.randn(2, 1, size, size)).shape == (2, 10)


def test_every_gradient_check_is_at_or_below_the_report(tmp_path, capsys):
    assert checks.command(["--seeds", "1", "--jobs", "1", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "all 12 errors are at or below the report's" in out and "BatchNorm dx" in out


def test_a_wrong_layer_is_seen_and_the_command_fails(monkeypatch, tmp_path, capsys):
    """The dx of another layer than the oracle's: 1 per thousand off."""
    oracle, engine, *rest = checks.LAYERS["affine"]
    monkeypatch.setitem(checks.LAYERS, "affine", (oracle, lambda x, w, b: engine(x * 1.001, w, b), *rest))
    assert checks.command(["--seeds", "1", "--jobs", "1", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "affine dx, seed 0" in out and "is above the report's" in out


def test_the_oracles_are_the_layers():
    """The loops against NumPy's own operations."""
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(4, 3)), rng.normal(size=(2, 3)), rng.normal(size=2)
    assert np.allclose(checks.affine(x, w, b), x @ w.T + b)
    image, kernel = rng.normal(size=(1, 2, 4, 4)), rng.normal(size=(3, 2, 3, 3))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3))
    assert np.allclose(checks.conv(image, kernel, np.zeros(3)), np.einsum("nchwij,ocij->nohw", windows, kernel))
    assert np.allclose(checks.max_pool(image), image.reshape(1, 2, 2, 2, 2, 2).max(axis=(3, 5)))
    normal = checks.batch_norm(x, np.ones(3), np.zeros(3))
    assert np.allclose(normal, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5))


def test_the_relative_error_is_the_courses():
    a, b = np.array([1.0, 1e-12, 0.0]), np.array([1.1, 0.0, 0.0])
    assert checks.relative_error(a, b) == pytest.approx(0.1 / 2.1)
    assert checks.relative_error(a[1:], b[1:]) == pytest.approx(1e-4)
