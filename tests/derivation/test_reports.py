"""The tool's verdict on every formula of the five reports is the one worked out by hand (verdicts.py)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from verdicts import VERDICTS

import visualize
from visualize import render

DEMOS = Path(__file__).parents[2] / "demos" / "derivations"
NUMBERS = ("000", "001", "002", "003", "004")
needs_renderer = pytest.mark.skipif(not render.renderers(), reason="neither dot nor pygraphviz is installed")


@pytest.fixture(scope="module")
def reports():
    """What the demo finds, by report; each is checked once."""
    pytest.importorskip("pylatexenc", reason="report 004 is written in LaTeX, which pylatexenc reads")
    sys.path.insert(0, str(DEMOS))
    try:
        import check

        yield {number: check.check(number) for number in NUMBERS}
    finally:
        sys.path.remove(str(DEMOS))


@pytest.fixture(scope="module")
def verdicts(reports):
    return {(number, v.label): v for number, found in reports.items() for checked in found for v in checked.verdicts}


def test_every_formula_is_judged_and_expected(verdicts):
    assert verdicts.keys() == VERDICTS.keys()


@pytest.mark.parametrize("key", VERDICTS, ids=" ".join)
def test_the_verdict_is_the_one_worked_out_by_hand(verdicts, key):
    found, expected = verdicts[key], VERDICTS[key]
    assert found.right == expected.right, found
    assert set(found.slip.split(" + ")) == set(expected.slip.split(" + ")), found.words
    assert bool(found.carried) == expected.carried, found.carried
    if not found.right:
        assert found.counterexample is not None or found.problem, "a wrong formula comes with numbers or a reason"
        assert found.words


@pytest.mark.parametrize(
    ("number", "name", "wrong"),
    [
        ("000", "Batch normalization", ["mu", "var"]),
        ("001", "Batch normalization", ["var", "xhat"]),
        ("002", "Batch normalization", ["x"]),
        ("003", "Batch normalization", ["x"]),
        ("003", "ReLU", ["x"]),
        ("004", "Batch normalization", ["var"]),
        ("004", "Network", ["W1", "W2", "b1", "b2"]),
        ("001", "Softmax", []),
    ],
)
@needs_renderer
def test_the_wrong_steps_are_red(reports, number, name, wrong, tmp_path):
    (found,) = (checked for checked in reports[number] if checked.name == name)
    picture = visualize.report(found)
    places = {vertex: key for key, vertex in found.vertices(found.graph()).items()}
    svg = picture.render(tmp_path / "graph.svg").read_text(encoding="utf-8")
    classes = dict(re.findall(r'<g id="node_(\w+)" class="([^"]*)"', svg))
    assert sorted(places[vertex] for vertex, names in classes.items() if "wrong formula" in names) == wrong
    assert ("✗" in svg) == bool(wrong)


def test_a_wrong_step_reddens_the_way_that_it_is_about(reports):
    (found,) = (checked for checked in reports["000"] if checked.name == "Batch normalization")
    source = visualize.report(found).drawing.source
    red = [line for line in source.splitlines() if "->" in line and "wrong formula" in line]
    graph = found.graph()
    places = found.vertices(graph)
    assert len(red) == 1 and red[0].strip().startswith(f"{places['x']} -> {places['mu']}"), "dmu/dx_i: one edge"


def test_the_same_seed_gives_the_same_words(reports):
    import check

    again = check.check("000")
    assert [str(checked) for checked in again] == [str(checked) for checked in reports["000"]]
    assert [v.right for c in check.check("000", seed=7) for v in c.verdicts] == [
        v.right for c in again for v in c.verdicts
    ]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_repaired_formula_is_right_when_it_is_read_back(number, reports):
    import importlib

    given = importlib.import_module(f"report{number}").derivations()
    for derivation, found in zip(given, reports[number], strict=True):
        for v in found.verdicts:
            if v.repair is not None and "Σ" not in v.repair.formula:  # a missing step is told in words
                left = v.statement.split("=")[0] if not v.statement.startswith("dF/dsigma") else "dF/dvar"
                derivation.formula(f"{v.label}, repaired", f"{left} = {v.repair.formula}")
        again = {v.label: v for v in derivation.check(seed=3).verdicts}
        assert all(v.right for label, v in again.items() if label.endswith(", repaired")), again
