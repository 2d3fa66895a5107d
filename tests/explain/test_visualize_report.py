"""visualize.report: what an answer names is marked in the picture and on the page."""

from __future__ import annotations

import re

import pytest

import tinygrad_edu as torch
import visualize
from tinygrad_edu import autograd
from tinygrad_edu.derivation import Derivation
from visualize import marks, render
from visualize.report import page_of

needs_renderer = pytest.mark.skipif(not render.renderers(), reason="neither dot nor pygraphviz is installed")


class Halved(autograd.Function):
    """x², with half of its gradient."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * x


@pytest.fixture
def wrong():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    return torch.gradient_report(torch.tanh(Halved.apply(torch.exp(x))).sum())


@pytest.fixture
def nan():
    x = torch.tensor([1.0, 100.0], requires_grad=True)
    e = torch.exp(x)
    return torch.find_nan((e / e.sum()).sum())


def test_the_wrong_op_is_marked_and_no_other(wrong):
    made = visualize.report(wrong)
    graph = wrong.graph()
    marked = wrong.marked(graph)
    assert [v.op for v in graph.vertices if v.id in marked] == ["Halved"]
    assert made.drawing.source.count("wrong rule") == 2, "at the op and in the legend"
    assert "the rule of Halved for x is wrong" in made.drawing.source


def test_a_right_report_marks_nothing():
    report = torch.gradient_report(torch.tensor([1.0], requires_grad=True).exp().sum())
    assert report.marked(report.graph()) == []
    assert "wrong rule" not in visualize.report(report).drawing.source


def test_the_way_of_a_nan_begins_at_its_op(nan):
    graph = nan.graph()
    ops = {v.id: v.op for v in graph.vertices}
    assert [ops[i] for i in nan.marked(graph)] == ["exp", "div", "sum"]
    assert "first here" in visualize.report(nan).drawing.source


@needs_renderer
def test_files(wrong, nan, tmp_path):
    picture = visualize.report(wrong).render(tmp_path / "wrong.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    visualize.report(nan, tmp_path / "nan.svg")
    assert "first here" in (tmp_path / "nan.svg").read_text(encoding="utf-8")
    page = visualize.report(wrong, tmp_path / "wrong.html").html
    assert page == (tmp_path / "wrong.html").read_text(encoding="utf-8")
    assert "<svg" in page and "WRONG" in page and "wrong rule" in page
    assert "http-equiv" in page and "<script" not in page and "src=" not in page


def test_other_answers_have_no_picture(tmp_path, wrong):
    with pytest.raises(
        TypeError, match=r"expected what gradient_report\(...\), find_nan\(...\) or Derivation.check\(...\)"
    ):
        visualize.report(torch.explain("relu"))
    with pytest.raises(ValueError, match=r"ends in '\.txt'"):
        visualize.report(wrong, tmp_path / "wrong.txt")


# -- derivations ------------------------------------------------------------------------------------------------------


def forward(x):
    s = x.sum()
    q = s * s
    return {"s": s, "q": q, "y": q.exp()}


@pytest.fixture
def derivation():
    """One right and one wrong formula at s, a right one at q, and two wrong derivatives by x."""
    found = Derivation("Squares", forward, inputs={"x": ((2,), lambda rng, shape: rng.normal(0, 0.1, shape))}, loss="y")
    found.formula("good", "dy/dq = y")
    found.formula("twice", "dy/ds = 2 s y")
    found.formula("once", "dy/ds = s y")
    found.formula("root", "dq/dx_i = s")
    found.formula("inner", "d(s^2)/dx_i = s")
    return found.check()


def nodes_and_edges(found, **options):
    """The DOT line of each named value, and of each solid edge by its two ends."""
    lines = [line.strip() for line in visualize.report(found, **options).drawing.source.splitlines()]
    places = found.vertices(found.graph())
    names = {vertex: name for name, vertex in places.items()}
    nodes = {name: line for name in places for line in lines if line.startswith(f"{places[name]} [label")}
    edges = {}
    for line in lines:
        ends = re.match(r"(\w+) -> (\w+) \[(?!label)", line)
        if ends is not None:
            edges[names[ends[1]], names[ends[2]]] = line
    return nodes, edges


def test_the_values_with_wrong_formulas_are_marked_and_say_what_is_wrong(derivation):
    nodes, _ = nodes_and_edges(derivation)
    assert {name for name, line in nodes.items() if "wrong formula" in line} == {"s", "q"}
    assert all(words in nodes["s"] for words in ("✗ once: factor 2 missing", "✗ inner: factor 2 missing", "✓ twice"))
    assert all(words in nodes["q"] for words in ("✗ root: factor 2 missing", "✓ good"))
    assert "✗" not in nodes["x"] + nodes["y"] and "✓" not in nodes["x"] + nodes["y"]


def test_a_wrong_derivative_of_a_value_reddens_the_way_to_it(derivation):
    _, edges = nodes_and_edges(derivation)
    assert {ends for ends, line in edges.items() if "wrong formula" in line} == {("x", "s"), ("s", "q")}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_wrong_verdict_is_red_and_a_right_one_green(derivation, theme):
    nodes, _ = nodes_and_edges(derivation, theme=theme)
    inks = dict(re.findall(r'COLOR="(#\w+)"><B>(✓|✗)', nodes["q"]))
    assert inks == {marks.role_of("wrong", theme).tag: "✗", marks.role_of("added", theme).tag: "✓"}


def test_long_words_are_wrapped_and_cut():
    found = Derivation("Sum", lambda x: {"y": x.sum()}, inputs={"x": (2,)}, loss="y")
    label = "a label that is much longer than anything that fits into one node of a picture, however wide it may be"
    nodes, _ = nodes_and_edges(found.formula(label, "dy/dx_i = x_i").check())
    rows = re.findall(r"<B>([^<]*)</B>", nodes["x"])
    assert rows[-1].endswith("…") and max(map(len, rows)) <= 36 and len(rows) <= 6


def test_a_right_derivation_is_drawn_without_red(derivation):
    found = Derivation("Sum", lambda x: {"y": x.sum()}, inputs={"x": (2,)}, loss="y").formula("a", "dy/dx_i = 1")
    source = visualize.report(found.check()).drawing.source
    assert "wrong" not in source and "✓ a" in source


@needs_renderer
def test_sections_of_several_answers_make_one_page(derivation, wrong):
    body = "".join(visualize.report(found, theme="dark").section for found in (derivation, wrong))
    page = page_of("Both <b>", body, "dark")
    assert page.count("<svg") == 2 and page.count("<html") == 1 and "<title>Both &lt;b&gt;</title>" in page
    assert "background: #10141A" in page


def test_bad_options(derivation):
    with pytest.raises(ValueError, match="direction is 'RL'; choose 'TB', 'LR' or None"):
        visualize.report(derivation, direction="RL")
    assert "rankdir=TB" in visualize.report(derivation, direction="TB").drawing.source
