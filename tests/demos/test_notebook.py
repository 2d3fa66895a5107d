"""The notebook is what its builder writes, holds no outputs, and runs from top to bottom."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).parents[2] / "demos"
NOTEBOOK = DEMOS / "tour.ipynb"
# In a process of its own: a kernel client may warn about its event loop, which is not ours to mend.
RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
resources = {"metadata": {"path": sys.argv[2]}}
nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
nbformat.write(notebook, sys.argv[3])
"""


def cells() -> list[dict]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_the_notebook_is_what_its_builder_writes(tmp_path):
    pytest.importorskip("nbformat", reason="nbformat is in the extra 'dev'")
    command = [sys.executable, str(DEMOS / "make_notebook.py"), "--out", str(tmp_path / "tour.ipynb")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "tour.ipynb").read_text(encoding="utf-8") == NOTEBOOK.read_text(encoding="utf-8")


def test_the_notebook_holds_no_outputs():
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert len(code) > 8
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_notebook_runs_and_shows_its_pictures(tmp_path):
    for name in ("nbformat", "nbclient", "ipykernel"):
        pytest.importorskip(name, reason=f"{name} is in the extra 'dev'")
    out = tmp_path / "done.ipynb"
    command = [sys.executable, "-c", RUN, str(NOTEBOOK), str(tmp_path), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    shown: dict[str, set[str]] = {}
    for cell in json.loads(out.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            last = "".join(cell["source"]).strip().splitlines()[-1]
            shown.setdefault(last.split("(")[0], set()).update(output.get("data", {}))
    assert "image/svg+xml" in shown["visualize.graph"] and "text/html" in shown["visualize.page"]
    assert "image/png" in shown["visualize.curves"] and "image/png" in shown["visualize.gradient_flow"]
    assert {"torch.explain", "torch.summary", "torch.gradient_report"} <= set(shown)
