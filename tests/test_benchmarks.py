"""The benchmark's own arithmetic, and one small run of it from end to end. No test here asserts a time."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import cases, engine_torch, machine, report, startup, worker  # noqa: E402
from benchmarks.sides import ENGINES, OURS, THEIRS, Side  # noqa: E402


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True)


def row(**changes):
    rounds = {name: [[0.2, 0.2], [0.1, 0.1]] for name in ENGINES}
    return command.row_of(cases.CASES[0], rounds, {}, 1e9) | {"others": 0.0} | changes


def test_ratios_are_paired_by_round():
    """Round by round ours is half of theirs; medians over all runs would say 0.3 / 0.2."""
    rounds = {OURS: [[1.0], [2.0], [3.0]], THEIRS: [[2.0], [4.0], [6.0]], "mygrad": [[10.0]]}
    found = report.summary(rounds)
    assert found[THEIRS]["ratio"] == 0.5
    assert found[THEIRS]["ratio_quartiles"] == [0.5, 0.5]
    assert found["mygrad"]["ratio"] == pytest.approx(0.1)  # a slow engine is paired with the round it took part in
    assert found[OURS] == {"median": 2.0, "quartiles": [1.5, 2.5], "runs": 3, "rounds": 3}


def test_the_spread_of_the_ratios_is_that_of_the_rounds():
    ratios = [1.0, 2.0, 3.0, 4.0, 5.0]
    found = report.summary({OURS: [[r] for r in ratios], THEIRS: [[1.0]] * 5})[THEIRS]
    assert (found["ratio"], *found["ratio_quartiles"]) == (3.0, *np.quantile(ratios, [0.25, 0.75]))


def test_share_of_the_peak():
    case = cases.Case("c", "a case", 1.0, flops=200.0)
    made = command.row_of(case, {OURS: [[0.5]]}, {}, 1000.0)
    assert made["share"] == pytest.approx(0.4)  # 400 of 1000 FLOP/s
    assert command.row_of(cases.Case("c", "a case", 1.0), {OURS: [[0.5]]}, {}, 1000.0)["share"] is None


def test_lines_fit_and_mark_what_they_should():
    sides = list(ENGINES)
    for case in (*cases.CASES, *startup.ROWS):
        times = {name: [[12.345, 123.456], [9.9]] for name in ENGINES}
        made = command.row_of(case, times, {}, 1e9) | {"others": 0.0}
        assert len(report.line(made, sides)) <= 160
    assert len(report.heading(sides)) <= 160
    assert "!" in report.line(row(target=0.9), sides)  # the ratio is 1
    assert "!" not in report.line(row(target=1.1), sides)
    assert "*" in report.line(row(others=1.0), sides)
    assert "*" not in report.line(row(others=None), sides)
    assert "limit 100.0!" in report.line(row(limit=0.1), sides)
    assert "limit 200.0 " in report.line(row(limit=0.2), sides)


def test_columns_stay_in_place_beside_a_blank():
    full, sides = row(), list(ENGINES)
    blank = row(sides=full["sides"] | {"mygrad": {"blank": "no convolution"}})
    assert [i for i, c in enumerate(report.line(full, sides)) if c == "|"] == [
        i for i, c in enumerate(report.line(blank, sides)) if c == "|"
    ]


def test_engines_that_compute_something_else_are_found():
    assert report.disagreement({OURS: [1.0, 2.0], THEIRS: [1.0001, 2.0]}) is None
    assert "PyTorch gives [1.0, 2.1]" in report.disagreement({OURS: [1.0, 2.0], THEIRS: [1.0, 2.1]})


@pytest.mark.parametrize("values, others", [((5.0, 2.0), 1.5), ((2.0, 2.5), 0.0), ((None, 2.0), None)])
def test_the_watch_counts_what_is_not_ours(monkeypatch, values, others):
    everybody, ours = values
    looks = iter([(0.0, 10.0, 4.0), (2.0, None if everybody is None else 10.0 + everybody, 4.0 + ours)])
    monkeypatch.setattr(machine.Watch, "_look", lambda self: next(looks))
    assert machine.Watch().others() == others


def test_an_engine_that_is_not_there_says_so():
    side = Side("no_such_engine", sys.executable, 1)
    side.close()
    assert side.missing == "ModuleNotFoundError: No module named 'no_such_engine'"


def test_the_peak_kernel_multiplies_and_adds():
    from benchmarks import peak

    scale, shift = np.float32(0.75), np.float32(0.25)
    for rounds in (0, 3):
        expected = 0.0
        for k in range(peak.VECTORS):
            x = 0.5 + 0.25 * k
            for _ in range(rounds):
                x = x * 0.75 + 0.25
            expected += x
        assert math.isclose(peak._work(rounds, np.float32(0.5), scale, shift), expected, rel_tol=1e-6)


def test_the_interpreter_of_an_engine():
    assert command.interpreter(f"mygrad={sys.executable}") == ("mygrad", sys.executable)
    for wrong in ("mygrad", "mygrad=/no/such/python", f"jax={sys.executable}"):
        with pytest.raises(argparse.ArgumentTypeError, match="ENGINE=PATH"):
            command.interpreter(wrong)


def test_outcomes_read_tensors_and_arrays():
    import tinygrad_edu as tg

    assert worker.outcome([tg.tensor([1.0, -3.0], requires_grad=True), np.array(2.0)]) == [2.0, 2.0]


@pytest.mark.torch
@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_every_case_computes_what_pytorch_does(case):
    torch = pytest.importorskip("torch")
    import tinygrad_edu

    outcomes = {
        module.__name__: worker.first_runs(engine_torch.build(module, case.name), case.name)
        for module in (tinygrad_edu, torch)
    }
    assert report.disagreement(outcomes) is None
    assert all(number > 0 for number in outcomes[OURS])


@pytest.mark.parametrize("engine, part", [("mygrad", "nnet"), ("autograd", "numpy")])
def test_the_other_engines_compute_the_same(engine, part):
    pytest.importorskip(f"{engine}.{part}")  # not the bare name: tests/autograd would do for it
    import tinygrad_edu

    for name in ("lenet", "cross-entropy", "max-pool", "conv 1-6"):
        outcomes = {
            OURS: worker.first_runs(engine_torch.build(tinygrad_edu, name), name),
            engine: worker.first_runs(worker.build(engine, name), name),
        }
        assert report.disagreement(outcomes) is None, name


def test_a_small_run_writes_its_files(tmp_path):
    done = run("--only", "matmul 64", "--rounds", "2", "--no-startup", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "benchmark.json").read_text())
    assert set(result) == {"machine", "threads", "peak", "engines", "busy", "rows"}
    assert [made["case"] for made in result["rows"]] == ["matmul 64"]
    assert result["rows"][0]["sides"][OURS]["rounds"] == 2
    assert set(result["engines"]) == set(ENGINES)
    assert {"version", "python", "numpy", "numba"} == set(result["engines"][OURS])
    compared = [name for name, engine in result["engines"].items() if name != OURS and "missing" not in engine]
    assert (tmp_path / "benchmark.png").exists() == bool(compared)


def test_list_and_an_unknown_name():
    listed = run("--list").stdout.splitlines()
    assert [line.split("  ")[0] for line in listed] == [row.name for row in (*cases.CASES, *startup.ROWS)]
    wrong = run("--only", "nothing like this")
    assert wrong.returncode != 0
    assert "--list shows them" in wrong.stderr
