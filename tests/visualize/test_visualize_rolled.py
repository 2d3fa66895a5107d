"""Repeats drawn once: what counts as a run, what it says, and what must stay apart."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import visualize_records as records

import tinygrad_edu as torch
import visualize
from tinygrad_edu import nn
from tinygrad_edu.autograd.graph import Graph, graph_of
from visualize.collapse import LIMIT, view_of


class Block(nn.Module):
    """A residual block with two layers."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.a = nn.Linear(width, width)
        self.b = nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        """x + b(relu(a(x)))."""
        return x + self.b(self.a(x).relu())


def record(*layers: nn.Module) -> Graph:
    model = nn.Sequential(*layers)
    loss = model(torch.ones(2, 4)).sum()
    loss.backward(retain_graph=True)
    return graph_of(loss, params=dict(model.named_parameters()))


def one_path(graph: Graph, **options: Any) -> list[tuple[str, str]]:
    view = view_of(graph, **options)
    return [(edge.source, edge.target) for edge in view.edges]


def test_twelve_equal_blocks_are_one_with_a_count() -> None:
    graph = record(*[Block() for _ in range(12)], nn.Linear(4, 3))
    drawing = visualize.graph(graph, rolled=True)
    single = visualize.graph(record(Block(), nn.Linear(4, 3)))
    assert drawing.shown == single.shown
    assert drawing.summary == f"showing {single.shown} of {len(graph.vertices)} nodes, repeats drawn once"
    assert "<B>0 … 11</B>" in drawing.source and "Block  × 12" in drawing.source
    assert "drawn once: first … last" in drawing.source
    assert {(a, b) for a, b in one_path(graph, repeats=True)} >= {("input_x", "op1"), ("op6", "op73")}


def test_a_repeat_says_its_first_and_its_last_numbers() -> None:
    graph = record(*[Block() for _ in range(3)])
    values = {v.id: v.value for v in graph.vertices}
    source = visualize.graph(graph, rolled=True).source
    line = next(line for line in source.splitlines() if "id=node_op2 " in line)
    first, last = (f"{float(np.mean(values[name])):.3f}".replace("-", "−") for name in ("op2", "op14"))
    assert f">{first} ±" in line and f"… {last} ±" in line
    assert "one of 3 alike" in line


def test_closed_repeats_count_all_parameters() -> None:
    source = visualize.graph(record(*[Block() for _ in range(12)]), rolled=True, depth=1).source
    assert "<B>0 … 11</B>" in source and "<B>× 12</B>" in source and "480 parameters" in source


def test_another_shape_is_another_run() -> None:
    layers = [nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)]
    source = visualize.graph(record(*layers), rolled=True).source
    assert "<B>0 … 1</B>" in source and "<B>2</B>" in source and "<B>3 … 5</B>" in source
    assert "Linear(4 → 4)  × 2" in source and "Linear(6 → 6)  × 3" in source


def test_another_option_is_another_op() -> None:
    x = torch.ones(4, requires_grad=True)
    y = x
    for _ in range(3):
        y = y.clamp(-1, 1)
    for _ in range(2):
        y = y.clamp(-2, 1)
    boxes = view_of(graph_of(y.sum()), repeats=True).boxes
    assert [box.times for box in boxes if box.operations and box.copies > 1] == [3, 2]


def test_a_shared_weight_enters_the_run_once() -> None:
    w = torch.ones(1, requires_grad=True)
    y = torch.ones(2, requires_grad=True)
    for _ in range(5):
        y = (y * w).tanh()
    view = view_of(graph_of(y.sum()), repeats=True)
    assert [(box.members[0].title, box.times) for box in view.boxes if box.operations] == [
        ("Mul", 5),
        ("Tanh", 5),
        ("Sum", 1),
    ]
    edges = sorted((e.source, e.target) for e in view.edges)
    assert edges == [("input_x1", "op1"), ("input_x2", "op1"), ("op1", "op2"), ("op2", "op11")]


def test_own_weights_are_counted_with_their_ops() -> None:
    weights = [torch.full((4, 4), float(i), requires_grad=True) for i in range(4)]
    y = torch.ones(2, 4)
    for w in weights:
        y = (y @ w).tanh()
    view = view_of(graph_of(y.sum(), params={f"w{i}": w for i, w in enumerate(weights)}), repeats=True)
    assert {box.id: box.times for box in view.boxes} == {"input_x": 1, "w0": 4, "op1": 4, "op2": 4, "op9": 1}


def test_a_result_in_the_middle_that_is_used_elsewhere_ends_the_run() -> None:
    y = torch.ones(2, requires_grad=True)
    seen = []
    for _ in range(6):
        y = y.sin()
        seen.append(y)
    graph = graph_of((y + seen[2].exp()).sum())  # the third sine is needed again
    times = [box.times for box in view_of(graph, repeats=True).boxes if box.members[0].op == "sin"]
    assert times == [3, 3]


def test_all_states_read_by_one_op_are_still_a_run() -> None:
    y = torch.ones(2, requires_grad=True)
    states = []
    for _ in range(6):
        y = y.sin()
        states.append(y)
    view = view_of(graph_of(torch.cat(states).sum()), repeats=True)
    assert [(b.members[0].title, b.times) for b in view.boxes if b.members[0].op] == [
        ("Sin", 6),
        ("Cat", 1),
        ("Sum", 1),
    ]


def test_a_run_inside_a_repeated_module() -> None:
    tape = records.Tape()
    here = tape.leaf("x", np.ones(3))
    for i in range(40):
        scope = tape.scope(f"m{i}", "Block")
        for k in range(5):
            here = tape.op(f"a{i}_{k}", "Mul", np.ones(3), (here, lambda g: g), scope=scope)
    drawing = visualize.graph(tape.graph(here))  # 201 ranks: rolled without being asked
    assert drawing.shown == 2 and "Block  × 40" in drawing.source and "<B>× 5</B>" in drawing.source
    (box,) = (box for box in drawing.view.boxes if box.members[0].op)
    assert (box.copies, box.times, len(drawing.view.edges)) == (200, 5, 1)


def test_parallel_branches_are_no_run() -> None:
    x = torch.ones(2, requires_grad=True)
    graph = graph_of(torch.cat([x.sin() for _ in range(6)]).sum())
    assert all(box.members[0].op != "sin" or box.times == 1 for box in view_of(graph, repeats=True).boxes)


def test_small_graphs_are_not_rolled_by_themselves_and_never_with_false() -> None:
    graph = record(*[Block() for _ in range(3)])
    assert visualize.graph(graph).summary == ""
    assert "× " not in visualize.graph(records.chain(2_000), rolled=False).source
    assert "<B>× 2 000</B>" in visualize.graph(records.chain(2_000)).source


def test_a_bad_value_in_a_hidden_repeat_shows() -> None:
    y = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([1e-30, 1.0], requires_grad=True)
    for _ in range(4):
        y = y / w  # overflows in the second repeat
    source = visualize.graph(y, rolled=True).source
    assert re.search(r"id=node_op1 .*|.*<B>Inf</B>", source) and "#F0E442" in source


@pytest.mark.parametrize("size", [100, 1_000, 10_000, 100_000])
def test_dot_never_gets_more_than_its_limit(size: int) -> None:
    tape = records.Tape()
    here = tape.leaf("x", np.ones(()))
    kinds = ("Sin", "Cos", "Exp")
    rng = np.random.default_rng(0)
    for i in range(size):  # without a pattern: nothing repeats
        here = tape.op(f"op{i}", kinds[rng.integers(3)], np.ones(()), (here, lambda g: g))
    assert visualize.graph(tape.graph(here, backward=False)).shown <= LIMIT


def test_rolled_must_be_a_bool() -> None:
    with pytest.raises(ValueError, match="rolled is 3; choose True, False or None"):
        visualize.graph(records.network(), rolled=3)  # type: ignore[arg-type]
