"""Large graphs: modules closed, middles left out, everything hidden accounted for."""

from __future__ import annotations

import time

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
    assert "<B>net</B>" in source and "<I>Sequential</I>" in source and "6 000 parameters" in source
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
    drawing = visualize.graph(graph)
    assert drawing.shown <= collapse.BUDGET and "depth=1" in drawing.summary
    assert visualize.graph(records.conv_blocks(20)).summary == ""


def test_many_top_level_modules_stay_closed() -> None:
    tape = records.Tape()
    here = tape.leaf("x", np.ones(3))
    for i in range(400):
        scope = tape.scope(f"m{i}", "Linear")
        here = tape.op(f"a{i}", "Mul", np.ones(3), (here, lambda g: g), scope=scope)
        here = tape.op(f"b{i}", "Add", np.ones(3), (here, lambda g: g), scope=scope)
    drawing = visualize.graph(tape.graph(here))
    assert drawing.shown == 401 and "depth=0" in drawing.summary


def test_modules_that_feed_each_other_do_not_hang() -> None:
    tape = records.Tape()
    for name in ("m", "n"):
        tape.scope(name, "Block")
    here = tape.leaf("x", np.ones(2))
    for i, scope in enumerate(["m", "n", "m", "n"]):
        here = tape.op(f"op{i}", "Add", np.ones(2), (here, lambda g: g), scope=scope)
    assert visualize.graph(tape.graph(here), depth=0).shown == 3


@pytest.mark.parametrize("length", [2_000, 100_000])
def test_a_long_chain_keeps_its_ends(length: int) -> None:
    graph = records.chain(length)
    start = time.perf_counter()
    drawing = visualize.graph(graph)
    assert time.perf_counter() - start < 20  # about 2 s; the bound only catches quadratic work
    assert drawing.shown == 2 * collapse.ENDS + 1
    hidden = f"{length + 1 - 2 * collapse.ENDS:,}".replace(",", " ")
    assert f"… {hidden} ops" in drawing.source
    assert drawing.summary == f"showing 61 of {length + 1:,} nodes".replace(",", " ")
    assert drawing.source.count("id=forward") == 2 * collapse.ENDS
    assert "id=node_input1" in drawing.source and f"id=node_op{length}" in drawing.source


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
