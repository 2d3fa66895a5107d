"""demos/derivations runs, for all reports and for one, and leaves its pages, tables and pictures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DEMOS = Path(__file__).parents[2] / "demos" / "derivations"
pytest.importorskip("pylatexenc", reason="report 004 is written in LaTeX, which pylatexenc reads")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(DEMOS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("derivations")
    return run("check.py", "--out", str(out)), out


def test_wrong_formulas_are_no_failure_of_the_tool(done):
    ran, _ = done
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr


def test_the_verdicts_are_printed_and_counted(done):
    ran, _ = done
    each = re.findall(r"^report (\d+): (\d+) checked, (\d+) wrong$", ran.stdout, re.MULTILINE)
    assert [number for number, *_ in each] == ["000", "001", "002", "003", "004"]
    total = re.search(r"in all: (\d+) checked, (\d+) right, (\d+) wrong", ran.stdout)
    assert total is not None
    assert int(total[1]) == sum(int(n) for _, n, _ in each) == int(total[2]) + int(total[3])
    assert int(total[3]) == sum(int(n) for *_, n in each) > 0


def test_every_report_leaves_a_page_a_table_and_pictures(done):
    _, out = done
    for number in ("000", "001", "002", "003", "004"):
        page = (out / f"report{number}.html").read_text(encoding="utf-8")
        assert "<svg" in page and "<script" not in page and "http-equiv" in page
        assert "WRONG" in page and "✓" in page
        assert "WRONG" in (out / f"report{number}.md").read_text(encoding="utf-8")
        pictures = sorted(out.glob(f"report{number}_*.png"))
        assert any(path.stem.endswith("batch_normalization") for path in pictures)
        for path in pictures:
            with Image.open(path) as image:
                assert np.asarray(image.convert("L")).std() > 5, f"{path.name} is blank"


def test_a_report_runs_alone(tmp_path):
    ran = run("report003.py", "--out", str(tmp_path), "--theme", "dark")
    assert ran.returncode == 0, ran.stderr
    assert "report 003" in ran.stdout and "report 002" not in ran.stdout
    assert {path.name[:9] for path in tmp_path.iterdir()} == {"report003"}


def test_help():
    ran = run("check.py", "--help")
    assert ran.returncode == 0 and "--report" in ran.stdout and "--out" in ran.stdout
