"""Large graphs: modules closed, middles left out, everything hidden accounted for."""

from __future__ import annotations

import numpy as np
import pytest
import visualize_records as records

import visualize
from tinygrad_edu.autograd.graph import Edge
from visualize import collapse


def test_depth_zero_is_one_box_per_top_level_module() -> None:
    drawing = visualize.graph(records.conv_blocks(3), depth=0)
    assert drawing.shown == 3 and drawing.summary == "showing 3 of 31 nodes, depth=0"
    source = drawing.source
    assert "<B>net</B>" in source and "<I>Sequential</I>" in source and "504 parameters" in source
    assert "(2, 3, 4, 4) → (2, 48)" in source and "‖∇‖" in source and "16 ops" in source
    assert "showing 3 of 31 nodes, depth=0" in source and "module, closed" in source
    assert source.count("id=forward") == 2 and source.count("id=backward") == 2


def test_depth_opens_level_by_level() -> None:
    shown = [visualize.graph(records.conv_blocks(3), depth=depth).shown for depth in (0, 1, 2, 3)]
    assert shown == [3, 7, 19, 31]
    assert visualize.graph(records.conv_blocks(3), depth=3).summary == ""


def test_norm_of_a_closed_module_is_that_of_all_its_parameters() -> None:
    graph = records.conv_blocks(1)
    squares = sum(float((v.grad**2).sum()) for v in graph.vertices if v.role == "parameter" and v.grad is not None)
    assert f"‖∇‖ {np.sqrt(squares):.4f}" in visualize.graph(graph, depth=0).source


def test_large_graphs_close_modules_by_themselves() -> None:
    graph = records.conv_blocks(40)
    assert len(graph.vertices) > collapse.FULL_DETAIL
    drawing = visualize.graph(graph, rolled=False)
    assert drawing.shown <= collapse.BUDGET and "depth=1" in drawing.summary
    assert visualize.graph(records.conv_blocks(20)).summary == ""


def test_many_top_level_modules_stay_closed() -> None:
    tape = records.Tape()
    here = tape.leaf("x", np.ones(3))
    for i in range(400):
        scope = tape.scope(f"m{i}", "Linear")
        here = tape.op(f"a{i}", "Mul", np.ones(3), (here, lambda g: g), scope=scope)
        here = tape.op(f"b{i}", "Add", np.ones(3), (here, lambda g: g), scope=scope)
    drawing = visualize.graph(tape.graph(here), rolled=False)
    assert drawing.summary == "showing 61 of 801 nodes, depth=0, the middle left out"
    assert "<B>m0</B>" in drawing.source and "<B>m399</B>" in drawing.source
    assert visualize.graph(tape.graph(here), depth=0).shown == 401


def test_a_tall_graph_closes_its_modules_although_it_is_not_large() -> None:
    """40 blocks of 5 operations in a row are only 201 nodes, but on 201 ranks."""
    tape = records.Tape()
    here = tape.leaf("x", np.ones(3))
    for i in range(40):
        scope = tape.scope(f"m{i}", "Block")
        for k in range(5):
            here = tape.op(f"a{i}_{k}", "Mul", np.ones(3), (here, lambda g: g), scope=scope)
    drawing = visualize.graph(tape.graph(here), rolled=False)
    assert drawing.total == 201 < collapse.FULL_DETAIL
    assert drawing.shown == 41 and drawing.summary == "showing 41 of 201 nodes, depth=0"
    assert visualize.graph(tape.graph(here), depth=1).summary == ""


def test_headings_of_modules_count_as_height() -> None:
    """40 times Sequential(Linear, ReLU) were 202 nodes, 82 of them one below the other, and 19,421 pixels."""
    tape = records.Tape()
    here = tape.leaf("x", np.ones(3))
    for i in range(40):
        block = tape.scope(f"m{i}", "Sequential")
        for kind in ("Linear", "ReLU"):
            scope = tape.scope(f"m{i}_{kind}", kind, parent=block)
            here = tape.op(f"{kind}{i}", kind, np.ones(3), (here, lambda g: g), scope=scope)
    drawing = visualize.graph(tape.graph(here), rolled=False)
    assert drawing.shown == 81 and drawing.summary == "showing 81 of 81 nodes, depth=1"


def test_modules_that_feed_each_other_do_not_hang() -> None:
    tape = records.Tape()
    for name in ("m", "n"):
        tape.scope(name, "Block")
    here = tape.leaf("x", np.ones(2))
    for i, scope in enumerate(["m", "n", "m", "n"]):
        here = tape.op(f"op{i}", "Add", np.ones(2), (here, lambda g: g), scope=scope)
    assert visualize.graph(tape.graph(here), depth=0).shown == 3


@pytest.mark.parametrize("length", [180, 400, 2_000, 100_000])
def test_a_long_chain_keeps_its_ends(length: int) -> None:
    graph = records.chain(length)
    drawing = visualize.graph(graph, rolled=False)
    assert drawing.shown == 2 * collapse.ENDS + 1
    hidden = f"{length + 1 - 2 * collapse.ENDS:,}".replace(",", " ")
    assert f"… {hidden} ops" in drawing.source
    assert drawing.summary == f"showing 61 of {length + 1:,} nodes".replace(",", " ") + ", the middle left out"
    assert drawing.source.count("id=forward") == 2 * collapse.ENDS
    assert "id=node_input1" in drawing.source and f"id=node_op{length}" in drawing.source


def test_a_chain_of_a_hundred_is_drawn_whole_and_a_longer_one_on_request() -> None:
    assert visualize.graph(records.chain(100)).summary == ""
    assert visualize.graph(records.chain(400), depth=0).summary == ""


def test_a_wide_graph_is_cut_too() -> None:
    tape = records.Tape()
    leaves = [tape.leaf(f"x{i}", np.ones(())) for i in range(3_000)]
    tape.op("op1", "Stack", np.ones(3_000), *[(leaf, lambda g: g[0]) for leaf in leaves[:3]])
    tape.edges.extend(Edge(leaf, "op1", "x", (), True, "", False) for leaf in leaves[3:])
    assert visualize.graph(tape.graph("op1")).shown == 61


def test_topological_order_places_leaves_at_their_first_use() -> None:
    graph = records.network()
    order = [box.id for box in collapse.in_order(collapse.view_of(graph).boxes, graph.edges)]
    assert sorted(order) == sorted(v.id for v in graph.vertices)
    place = {name: i for i, name in enumerate(order)}
    assert all(place[e.source] < place[e.target] for e in graph.edges)
    assert place["layer3_weight"] > place["op8"]


def test_nan_inside_a_closed_module_shows() -> None:
    source = visualize.graph(records.conv_blocks(1, broken=True), depth=0).source
    assert "<B>NaN</B>" in source and "#F0E442" in source


def test_a_closed_module_with_one_parameter_and_one_operation() -> None:
    tape = records.Tape()
    outer = tape.scope("scale", "Scale")
    inner = tape.scope("scale_inner", "Inner", parent=outer)
    x, w = tape.leaf("x", np.ones(3)), tape.leaf("w", np.array(2.0), "parameter", scope=inner)
    tape.op("op1", "Mul", np.ones(3), (x, None), (w, lambda g: g.sum()), scope=inner)
    drawing = visualize.graph(tape.graph("op1", seed=np.ones(3)), depth=0)
    assert ">1 parameter<" in drawing.source and ">1 op<" in drawing.source
    assert "1 operation  |  1 parameter" in drawing.source
