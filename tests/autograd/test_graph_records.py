"""graph_of: plain, deterministic records of the recorded graph."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu import autograd
from tinygrad_edu.autograd.graph import graph_of
from tinygrad_edu.errors import GraphError


def network():
    t.manual_seed(0)
    weight, bias = t.randn(3, 4, requires_grad=True), t.zeros(3, requires_grad=True)
    x = t.randn(5, 4)
    z = x @ weight.T + bias
    z.name = "z"
    loss = (z.relu() ** 2).sum()
    return loss, {"weight": weight, "bias": bias}, x


def vertex(graph, **wanted):
    found = [v for v in graph.vertices if all(getattr(v, k) == value for k, value in wanted.items())]
    assert len(found) == 1, [v.id for v in found]
    return found[0]


def as_text(graph):
    plain = [dataclasses.replace(v, value=None, grad=None, position=0) for v in graph.vertices]
    return repr((plain, graph.edges, graph.scopes, graph.outputs, graph.parameters))


def test_the_same_program_gives_the_same_records():
    graphs = [graph_of(loss, params=params) for loss, params, _ in (network(), network())]
    assert as_text(graphs[0]) == as_text(graphs[1])
    loss, params, _ = network()
    assert as_text(graph_of(loss, params=params)) == as_text(graph_of(loss, params=params))


def test_vertices_edges_and_order():
    loss, params, _ = network()
    graph = graph_of(loss, params=params)
    ids = [v.id for v in graph.vertices]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[A-Za-z0-9_]+", i) for i in ids)
    place = {i: k for k, i in enumerate(ids)}
    for edge in graph.edges:
        assert place[edge.source] < place[edge.target], "a vertex stands before its users"
    positions = [v.position for v in graph.vertices if v.op]
    assert positions == sorted(positions)
    assert [v.op for v in graph.vertices if v.op] == ["matmul", "add", "relu", "power", "sum"]
    assert graph.outputs == (ids[-1],) and vertex(graph, role="output").op == "sum"
    assert graph.parameters == 15
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.parameters = 1


def test_leaves():
    loss, params, x = network()
    graph = graph_of(loss, params=params)
    weight = vertex(graph, name="weight")
    assert weight.role == "parameter" and weight.id == "weight" and weight.grad_state == "pending"
    data = vertex(graph, role="input")
    assert data.name == "x" and data.grad_state == "none" and data.saved
    np.testing.assert_array_equal(data.value, x.array)


def test_a_transposed_weight_is_folded_into_its_product():
    loss, params, _ = network()
    graph = graph_of(loss, params=params)
    product = vertex(graph, op="matmul")
    assert not [v for v in graph.vertices if v.op == "transpose"]
    assert product.formula == "x weightᵀ"
    edge = next(e for e in graph.edges if e.source == "weight")
    assert edge.target == product.id and edge.gradient and edge.shape == (4, 3)


def test_a_view_used_twice_is_drawn():
    w = t.ones(2, 3, requires_grad=True)
    v = w.T
    graph = graph_of((v @ w + (w.T @ w) * v.sum()).sum())
    assert [x.op for x in graph.vertices].count("permute") == 1


def test_names_and_formulas():
    loss, params, _ = network()
    graph = graph_of(loss, params=params)
    z = vertex(graph, op="add")
    assert z.name == "z" and z.formula == "z = x weightᵀ + bias"
    assert vertex(graph, op="relu").formula == "relu(z)"
    bias = next(e for e in graph.edges if e.source == "bias")
    assert bias.label == "Σ dz", "the bias was broadcast, so its gradient is summed"
    assert next(e for e in graph.edges if e.source == "input_x" or e.source.startswith("input")).label == ""


def test_gradients_before_and_after_backward():
    loss, params, _ = network()
    before = graph_of(loss, params=params)
    assert {v.grad_state for v in before.vertices} == {"none", "pending"}
    loss.backward(retain_graph=True)  # else nothing is kept any more
    after = graph_of(loss, params=params)
    assert {v.grad_state for v in after.vertices} == {"none", "computed"}
    np.testing.assert_array_equal(vertex(after, name="weight").grad, params["weight"].grad.array)
    assert vertex(after, op="sum").grad == 1.0
    assert as_text(before).replace("pending", "computed") == as_text(after)


def test_what_is_saved_has_a_mark():
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()  # saved by itself
    z = y + 1  # add saves nothing
    graph = graph_of((z * x).sum())  # mul saves z and x
    assert vertex(graph, op="exp").saved and vertex(graph, op="add").saved and vertex(graph, role="input").saved
    assert not vertex(graph, op="mul").saved and not vertex(graph, op="sum").saved


def test_paths_count_the_consumers_that_send_gradient():
    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    graph = graph_of((y.exp() + y.sin() + y.detach()).sum())
    assert vertex(graph, op="mul").paths == 2
    assert vertex(graph, op="exp").paths == 1
    assert vertex(graph, op="sum").paths == 0


def test_a_detached_path_is_dotted():
    x = t.tensor([1.0, 2.0], requires_grad=True)
    shift = (x * 2).max()
    y = (x - shift.detach()).exp().sum()
    graph = graph_of(y)
    assert vertex(graph, op="amax").detached and vertex(graph, op="mul").detached
    assert vertex(graph, op="amax").grad_state == "none"
    assert not vertex(graph, op="sub").detached
    dotted = next(e for e in graph.edges if e.source == vertex(graph, op="amax").id)
    assert dotted.detached and not dotted.gradient


def test_constants_and_numbers():
    x = t.tensor([1.0, 2.0], requires_grad=True)
    labels = t.tensor([0, 1])
    graph = graph_of((x * t.tensor([3.0, 4.0]) + 2.0).gather(0, labels).sum())
    assert vertex(graph, dtype="int64").role == "constant"
    assert "2" in vertex(graph, op="add").formula, "a number is printed in the formula, not drawn"


def test_scopes():
    x = t.tensor([[1.0, 2.0]], requires_grad=True)
    with autograd.scope("outer", "Block", "Block(2)"):
        y = t.softmax(x * 2, 1)
    graph = graph_of(y.sum())
    outer, inner = graph.scopes
    assert (outer.name, outer.kind, outer.parent) == ("outer", "Block", "")
    assert inner.parent == outer.id and inner.kind == "softmax" and not inner.is_loss
    assert vertex(graph, op="mul").scope == outer.id and vertex(graph, op="exp").scope == inner.id
    assert vertex(graph, op="exp").location == ""


def test_large_values_are_kept_only_on_request():
    w = t.ones(100, 100, requires_grad=True)

    def build():
        return ((w * 2).exp()).sum()

    loss = build()
    loss.backward()
    graph = graph_of(loss)
    assert vertex(graph, op="mul").value is None and vertex(graph, op="mul").grad is None
    assert vertex(graph, op="mul").grad_state == "not kept"
    with autograd.keep_values():
        loss = build()
        loss.backward()
    graph = graph_of(loss)
    kept = vertex(graph, op="mul")
    assert kept.value.shape == (100, 100) and kept.grad.shape == (100, 100)
    assert re.fullmatch(r".*test_graph_records\.py:\d+", kept.location)


def test_several_outputs_and_an_output_used_by_another():
    x = t.tensor(2.0, requires_grad=True)
    y = x * x
    z = y.exp()
    graph = graph_of(y, z)
    assert len(graph.outputs) == 2
    assert {v.op for v in graph.vertices if v.role == "output"} == {"mul", "exp"}


def test_views_and_in_place_history():
    x = t.zeros(2, 2, requires_grad=True)
    y = x * 1
    y[0].add_(1)
    graph = graph_of(y.sum())
    assert {"view_put", "index"} <= {v.op for v in graph.vertices}


def test_a_leaf_alone():
    graph = graph_of(t.ones(2, requires_grad=True))
    assert len(graph.vertices) == 1 and not graph.edges


def test_errors():
    with pytest.raises(GraphError, match="no recorded graph.*requires_grad=True"):
        graph_of(t.ones(2))
    with pytest.raises(TypeError, match="at least one"):
        graph_of()
    with pytest.raises(TypeError, match="got float"):
        graph_of(1.0)


def test_a_hundred_thousand_ops():
    y = x = t.tensor(1.0, requires_grad=True)
    for _ in range(50_000):
        y = y * 1.0001 + x
    graph = graph_of(y)
    assert len(graph.vertices) == 100_001


def formulas_of(*tensors, **options):
    return [v.formula for v in autograd.graph_of(*tensors, **options).vertices if v.op]


def test_children_of_a_sequential_are_not_written_as_numbers():
    model = t.nn.Sequential(t.nn.Linear(2, 4), t.nn.ReLU(), t.nn.Linear(4, 1))
    found = formulas_of(model(t.randn(3, 2)).sum())
    assert "relu(linear₀)" in found and "relu₁ weightᵀ" in found and "Σ linear₂" in found


def test_parentheses_keep_the_meaning():
    a, b, c = (t.tensor([2.0], requires_grad=True) for _ in range(3))
    names = {"a": a, "b": b, "c": c}

    def last(x):
        return formulas_of(x, params=names)[-1]

    assert last(a - (b + c)) == "a − (b + c)"
    assert last((a - b) + c) == "a − b + c"
    assert last(a / (b * c)) == "a / (b · c)"
    assert last((a * b).log()) == "log (a · b)"
    assert last(a.exp().sum().log()) == "log Σ exp(a)"
    assert last(a.log().sum() * b) == "(Σ log a) · b"
    assert last(-(a * b)) == "−(a · b)"
    assert last((a * b) ** 3) == "(a · b)³"
    assert last(t.where(a > 0, a, b) - c) == "(a if c₁ else b) − c"
    assert last((a + b).reshape(1, 1) * c) == "(a + b) · c"
    assert last((a.unsqueeze(0) / b) @ c.unsqueeze(1)).startswith("(a / b) c")


def test_the_label_of_a_square_is_twice_x():
    w = t.tensor(3.0, requires_grad=True)
    graph = autograd.graph_of(w**2, params={"w": w})
    assert graph.vertices[-1].symbol == "( )²"
    assert graph.edges[-1].label == "2w · dw²" or graph.edges[-1].label.startswith("2w · d")


def test_names_in_a_graph_of_second_order_are_distinct():
    x = t.tensor(2.0, requires_grad=True)
    (slope,) = autograd.grad(x**3, x, create_graph=True)
    names = [v.name for v in autograd.graph_of(slope, params={"x": x}).vertices if not v.op]
    assert len(set(names)) == len(names)
