"""visualize.report: what an answer names is marked in the picture and on the page."""

from __future__ import annotations

import pytest

import tinygrad_edu as torch
import visualize
from tinygrad_edu import autograd
from visualize import render

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
    with pytest.raises(TypeError, match=r"expected what gradient_report\(...\) or find_nan\(...\) returned"):
        visualize.report(torch.explain("relu"))
    with pytest.raises(ValueError, match=r"ends in '\.txt'"):
        visualize.report(wrong, tmp_path / "wrong.txt")
