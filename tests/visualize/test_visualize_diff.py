"""Two graphs in one: matched by structure, told by colour, border and word, and as text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import visualize_records as records

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
import visualize
from tinygrad_edu import autograd, nn
from tinygrad_edu.autograd.graph import graph_of
from visualize.match import matched


def bn(z: Any, right: bool) -> Any:
    mu = z.mean(0, keepdim=True)
    var = ((z - mu) ** 2).mean(0, keepdim=True)
    return ((z - mu) / ((var + 1e-5).sqrt() if right else var.sqrt() + 1e-5) ** 1).sum()


def data() -> Any:
    return torch.tensor([[1.0, 2.0], [2.0, 0.0], [6.0, 1.0]], requires_grad=True)


def test_a_graph_equals_itself_recorded_again() -> None:
    z = data()
    d = visualize.diff(bn(z, True), bn(z, True))
    assert d.identical and d.summary == f"no difference, {d.same} the same" and str(d) == d.summary
    assert not d.added and not d.removed and not d.changed
    assert "no difference" in d.source


def test_an_op_moved_is_one_removed_and_one_added() -> None:
    z = data()
    d = visualize.diff(bn(z, False), bn(z, True))
    assert [v.title for v in d.added] == ["Add"] and [v.title for v in d.removed] == ["Add"]
    assert "Sqrt" not in {v.title for v in (*d.added, *d.removed)}
    lines = str(d).splitlines()
    assert lines[0].startswith("1 added, 1 removed") and lines[1].startswith("  + op") and lines[2].startswith("  - op")


def test_marks_in_dot_are_colour_border_and_word() -> None:
    z = data()
    source = visualize.diff(bn(z, False), bn(z, True)).source
    added = [line for line in source.splitlines() if "<B>added</B>" in line]
    removed = [line for line in source.splitlines() if "<B>removed</B>" in line]
    assert len(added) == len(removed) == 1
    assert "#1B7A2F" in added[0] and 'BORDER="3"' in added[0] and "DASHED" not in added[0]
    assert "#B3261E" in removed[0] and 'STYLE="ROUNDED,DASHED"' in removed[0] and "id=node_removed_" in removed[0]
    edges = [line for line in source.splitlines() if '"forward removed"' in line]
    assert len(edges) == 3 and all("style=dashed" in line and "#B3261E" in line for line in edges)
    for word in ("added", "removed", "changed"):
        assert f">{word}</FONT>" in source[: source.index("node [")]


def test_a_changed_value_says_what_it_was() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch.tensor([1.0, 3.0], requires_grad=True)
    d = visualize.diff(x.sin().sum(), y.sin().sum())
    assert not d.added and not d.removed
    assert [c.after.title for c in d.changed] == ["x", "Sin", "Sum"]
    assert d.changed[0].what == "was [1.00  2.00]" and "<B>was [1.00  2.00]</B>" in d.source
    assert d.source.count("<B>changed</B>") == 3


def test_tolerance() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch.tensor([1.0, 2.01], requires_grad=True)
    assert visualize.diff(x.sin(), y.sin(), rtol=0.1, atol=0.0).identical
    assert not visualize.diff(x.sin(), y.sin()).identical
    with pytest.raises(ValueError, match="both rtol and atol, or neither"):
        visualize.diff(x.sin(), y.sin(), rtol=0.1)


def test_nan_equals_nan_and_a_new_shape_is_a_change() -> None:
    x = torch.tensor([-1.0], requires_grad=True)
    assert visualize.diff(x.log(), x.log()).identical
    wide = torch.tensor([-1.0, -1.0], requires_grad=True)
    assert visualize.diff(x.log(), wide.log()).changed[0].what == "was (1,)"


def test_a_changed_gradient_is_told_apart() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    a, b = x.sin().sum(), x.sin().sum()
    a.backward(torch.tensor(1.0), retain_graph=True)
    old = graph_of(a)
    x.grad = None
    b.backward(torch.tensor(2.0), retain_graph=True)
    d = visualize.diff(old, graph_of(b))
    assert {c.after.title for c in d.changed} == {"x", "Sin", "Sum"}
    assert all(c.what.startswith("∇ was ") for c in d.changed)


def test_composition_against_fused() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    x = torch.randn(32, 1, 8, 8)
    with autograd.fused(False):
        composed = model(x).sum()
    assert visualize.diff(composed, model(x).sum(), params=model, rtol=1e-3, atol=1e-3).identical


def test_stable_cross_entropy_against_the_naive_one() -> None:
    z, t = data(), torch.tensor([0, 1, 1])
    p = z.exp() / z.exp().sum(1, keepdim=True)
    naive = -(p.log()[torch.arange(3), t]).mean()
    d = visualize.diff(naive, F.cross_entropy(z, t))
    assert {v.title for v in d.added} >= {"Max", "Sub", "Pick"} and "Div" in {v.title for v in d.removed}
    assert not {"Mean", "Neg"} & {v.title for v in (*d.added, *d.removed)}


def test_renamed_leaves_and_swapped_operands() -> None:
    x, y = data(), data()
    a = graph_of((x @ y.T).sum(), params={"p": x, "q": y})
    b = graph_of((x @ y.T).sum(), params={"r": x, "s": y})
    assert visualize.diff(a, b).identical
    u, v = torch.tensor([3.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)
    swapped = visualize.diff(graph_of(u - v, params={"u": u, "v": v}), graph_of(v - u, params={"u": u, "v": v}))
    assert swapped.rewired == 2 and not swapped.added and "2 edges rewired" in swapped.summary


def test_matching_is_one_to_one_and_keeps_kinds() -> None:
    a, b = records.network(), records.batchnorm()
    pairs = matched(a, b)
    ops_a, ops_b = ({v.id: v.op for v in g.vertices} for g in (a, b))
    assert len(set(pairs.values())) == len(pairs)
    assert all(ops_b[mine] == ops_a[theirs] for mine, theirs in pairs.items())


def test_removed_ids_never_clash() -> None:
    graph = records.network()
    kept = tuple(v for v in graph.vertices if v.id != "op13")
    less = replace(graph, vertices=kept, edges=tuple(e for e in graph.edges if "op13" not in (e.source, e.target)))
    named = replace(
        less,
        vertices=tuple(replace(v, id="removed_op13") if v.id == "op14" else v for v in less.vertices),
        edges=tuple(
            replace(
                e,
                source="removed_op13" if e.source == "op14" else e.source,
                target="removed_op13" if e.target == "op14" else e.target,
            )
            for e in less.edges
        ),
    )
    d = visualize.diff(graph, named)
    assert [v.id for v in d.removed] == ["op13"]
    assert "id=node_removed_op13_2" in d.source and "id=node_removed_op13 " in d.source


def test_large_graphs_show_only_what_differs() -> None:
    def deep(k: int) -> Any:
        y = torch.tensor([0.5], requires_grad=True)
        for i in range(5_000):
            y = y.cos() if i == k else y.sin()
        return y.sum()

    d = visualize.diff(deep(-1), deep(2_500))
    assert len(d.added) == len(d.removed) == 1
    assert d.drawing.shown <= 1_500


def test_deterministic_themes_and_notebook() -> None:
    z = data()
    a, b = bn(z, False), bn(z, True)
    assert visualize.diff(a, b, theme="dark").source == visualize.diff(a, b, theme="dark").source
    assert "#5BD07A" in visualize.diff(a, b, theme="dark").source
    bundle = visualize.diff(a, b)._repr_mimebundle_()
    assert bundle["text/plain"].startswith("1 added, 1 removed")
    assert "<svg" in bundle.get("image/svg+xml", "<svg")
    assert repr(visualize.diff(a, b)).startswith("<Difference: 1 added")


def test_errors() -> None:
    z = data()
    with pytest.raises(TypeError, match="b is a ndarray; give a tensor, or a Graph"):
        visualize.diff(z.sum(), np.ones(3))
    with pytest.raises(ValueError, match="visualize.diff: direction is 'up'"):
        visualize.diff(z.sum(), z.sum(), direction="up")
    with pytest.raises(ValueError, match="theme is 'blue'"):
        visualize.diff(z.sum(), z.sum(), theme="blue")
