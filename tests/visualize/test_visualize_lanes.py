"""The backward graph in its own lane: who recorded what, what stands level, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

import tinygrad_edu as torch
import visualize
from tinygrad_edu import autograd, nn
from tinygrad_edu.autograd.graph import graph_of
from tinygrad_edu.errors import GraphError


def tanh_graph() -> tuple[Any, Any, Any]:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([0.5, 0.2], requires_grad=True)
    return (x * w).tanh().sum(), x, w


def test_every_op_of_the_backward_knows_where_it_came_from() -> None:
    loss, x, w = tanh_graph()
    graph = graph_of(loss, params={"x": x, "w": w}, backward=True)
    titles = {v.id: v.title for v in graph.vertices}
    lane = [(v.title, titles[v.origin]) for v in graph.vertices if v.order == 1 and v.op]
    assert lane == [
        ("Expand", "Sum"),
        ("Mul", "Tanh"),
        ("Sub", "Tanh"),
        ("Mul", "Tanh"),
        ("Mul", "Mul"),
        ("Mul", "Mul"),
    ]
    assert [v.title for v in graph.vertices if v.order == 0 and v.op] == ["Mul", "Tanh", "Sum"]
    assert {v.name for v in graph.vertices if v.role == "output"} == {"", "dx", "dw"}


def test_the_gradients_in_the_lane_are_those_of_backward() -> None:
    loss, x, w = tanh_graph()
    graph = graph_of(loss, params={"x": x, "w": w}, backward=True)
    loss.backward()
    for name, leaf in (("dx", x), ("dw", w)):
        (vertex,) = (v for v in graph.vertices if v.name == name)
        assert vertex.value is not None and vertex.value.tolist() == leaf.grad.tolist()


def test_looking_changes_nothing() -> None:
    loss, x, w = tanh_graph()
    before = visualize.graph(loss).source
    first = visualize.graph(loss, backward=True).source
    assert x.grad is None and w.grad is None
    assert visualize.graph(loss).source == before
    assert visualize.graph(loss, backward=True).source == first


def test_backward_with_create_graph_is_drawn_as_it_was_recorded() -> None:
    loss, x, w = tanh_graph()
    loss.backward(create_graph=True)
    graph = graph_of(loss, params={"x": x, "w": w}, backward=True)
    assert "dL" not in {v.name for v in graph.vertices}  # the seed was a plain one
    assert {"dx", "dw"} <= {v.name for v in graph.vertices if v.order == 1}
    source = visualize.graph(loss, params={"x": x, "w": w}, backward=True).source
    assert "dx = " in source and ">gradient</FONT>" in source
    x.grad = w.grad = None


def test_the_second_derivative_gets_a_lane_of_its_own() -> None:
    x = torch.tensor([0.3], requires_grad=True)
    y = (x**3).sum()
    (g,) = autograd.grad(y, x, create_graph=True)
    (h,) = autograd.grad(g.sum(), x, create_graph=True)
    graph = graph_of(y, g, h, backward=True)
    assert {v.order for v in graph.vertices} == {0, 1, 2}
    orders = {v.id: v.order for v in graph.vertices}
    assert all(orders[v.origin] < v.order for v in graph.vertices if v.origin)
    source = visualize.graph(y, g, h, backward=True).source
    assert "the first derivative" in source and "the second derivative" in source
    assert source.count('subgraph "cluster_lane') == 2


def test_lanes_ties_and_ranks_in_dot() -> None:
    loss, x, w = tanh_graph()
    source = visualize.graph(loss, params={"x": x, "w": w}, backward=True).source
    assert 'subgraph "cluster_lane 1"' in source and "rankdir=TB" in source
    ties = [line for line in source.splitlines() if "class=tie" in line]
    assert len(ties) == 6 and all("style=dotted" in line and "dir=none" in line for line in ties)
    assert sum("constraint=false" in line for line in ties) == 3  # the others stand level with their op
    ranks = re.findall(r"rank=same\n((?:\t\t[^}]*\n)+?)\t\}", source)
    rows = [{word.strip() for word in rank.splitlines()} for rank in ranks]
    assert any({"op2", "op5"} <= row for row in rows)
    used = [line for line in source.splitlines() if 'class="forward used"' in line]
    assert used and all("constraint=false" in line for line in used)
    assert "op and what its backward recorded" in source


def test_without_backward_second_order_ops_are_like_any_other() -> None:
    x = torch.tensor([0.3], requires_grad=True)
    (g,) = autograd.grad((x**3).sum(), x, create_graph=True)
    source = visualize.graph(g).source
    assert "cluster_lane" not in source and "class=tie" not in source and "order1" not in source


def test_a_fused_layer_has_a_backward_too() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 1))
    loss = (model(torch.randn(60, 40)) ** 2).mean()
    graph = graph_of(loss, params=dict(model.named_parameters()), backward=True)
    ids = {v.id for v in graph.vertices}
    lane = [v for v in graph.vertices if v.order]
    assert lane and all(v.origin in ids for v in lane if v.op)
    assert {"dweight", "dbias"} <= {v.name for v in lane}


def test_what_cannot_be_walked_is_refused_with_the_way_out() -> None:
    loss, _, _ = tanh_graph()
    loss.backward()
    with pytest.raises(GraphError, match=r"backward has freed it; call backward\(create_graph=True\)"):
        visualize.graph(loss, backward=True)
    loss, x, _ = tanh_graph()
    x.register_hook(lambda g: g)
    with pytest.raises(GraphError, match="would run the hooks"):
        visualize.graph(loss, backward=True)
    _, x, w = tanh_graph()
    with pytest.raises(GraphError, match=r"an output has shape \(2,\); reduce it first"):
        visualize.graph(x * w, backward=True)
    with pytest.raises(ValueError, match="this Graph has no backward"):
        visualize.graph(graph_of((x * w).sum()), backward=True)


def test_scopes_of_modules_survive_a_recorded_backward() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    loss = model(torch.ones(3, 2)).sum()
    before = graph_of(loss).scopes
    loss.backward(create_graph=True)
    assert graph_of(loss).scopes == before
    from tinygrad_edu.autograd.modes import mode

    assert mode.scope is None
    for p in model.parameters():
        p.grad = None
