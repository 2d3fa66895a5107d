"""A part of a graph: focus and radius, paths, the way of a NaN; and the words when something is not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import visualize_records as records

import tinygrad_edu as torch
import visualize
from tinygrad_edu import autograd, nn
from tinygrad_edu.autograd.graph import graph_of, vertex_of


@pytest.fixture
def chain() -> tuple[Any, list[Any], Any]:
    """x -> sin six times -> sum, each step kept; a weight enters at the fourth."""
    x = torch.tensor([0.5, 0.25], requires_grad=True)
    w = torch.tensor([2.0], requires_grad=True)
    steps = [x]
    for k in range(6):
        steps.append((steps[-1] * w if k == 3 else steps[-1]).sin())
    return steps[-1].sum(), steps, w


def shown(drawing: visualize.Drawing) -> set[str]:
    return {v.id for box in drawing.view.boxes for v in box.members}


def test_vertex_of_finds_tensors_leaves_constants_and_fused_results() -> None:
    torch.manual_seed(0)
    layer = nn.BatchNorm1d(8)
    x, y = torch.randn(200, 8).requires_grad_(), torch.zeros(1)
    h = layer(x)
    graph = graph_of((h + y).sum(), params=dict(layer.named_parameters()))
    named = {v.id: v for v in graph.vertices}
    assert named[vertex_of(graph, x)].role == "input"
    assert named[vertex_of(graph, layer.weight)].id == "weight"
    assert named[vertex_of(graph, h)].shape == (200, 8) and named[vertex_of(graph, h)].op == "add"
    assert vertex_of(graph, torch.ones(2, requires_grad=True)) == ""


def test_focus_on_a_tensor(chain: tuple[Any, list[Any], Any]) -> None:
    loss, steps, _ = chain
    assert shown(visualize.graph(loss, focus=steps[2], radius=1)) == {"op1", "op2", "op3"}
    assert shown(visualize.graph(loss, focus=steps[2], radius=0)) == {"op2"}
    drawing = visualize.graph(loss, focus=steps[2])
    assert len(shown(drawing)) == 5  # two steps unless told otherwise
    assert "within 2 steps of Sin sin(sin(x₁))  (5 of 10 nodes)" in drawing.source
    assert "<B>focus</B>" in drawing.source and "#5B3FA8" in drawing.source


def test_focus_by_name(chain: tuple[Any, list[Any], Any]) -> None:
    loss, _, w = chain
    drawing = visualize.graph(loss, params={"gain": w}, focus="gain", radius=1)
    assert shown(drawing) == {"gain", "op4"}
    assert "within 1 step of gain" in drawing.source


def test_only_the_paths_to_a_name(chain: tuple[Any, list[Any], Any]) -> None:
    loss, _, w = chain
    drawing = visualize.graph(loss, params={"gain": w}, only="path to gain")
    assert shown(drawing) == {"gain", "op4", "op5", "op6", "op7", "op8"}
    assert "only the paths from the output to gain  (6 of 10 nodes)" in drawing.source


def test_a_module_can_be_named_and_a_parameter_by_its_full_name() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    loss = model(torch.ones(5, 3)).sum()
    paths = shown(visualize.graph(loss, params=model, only="path to 2"))
    assert "2_weight" in paths and "0_weight" not in paths
    assert "0_weight" in shown(visualize.graph(loss, params=model, only="path to 0.weight"))
    assert "0_weight" not in shown(visualize.graph(loss, params=model, only="path to 2.weight"))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"focus": "layer1.wieght"}, ValueError, r"called 'layer1.wieght'; did you mean 'layer1"),
        ({"focus": "zzz"}, ValueError, r"nothing in this graph is called 'zzz'; give params="),
        ({"focus": 3}, TypeError, "focus is a int; give a tensor of the graph, or its name"),
        ({"focus": "x", "radius": -1}, ValueError, "radius is -1; it must be a whole number, 0 or more"),
        ({"radius": 2}, ValueError, "give focus=tensor too"),
        ({"focus": "x", "only": "path to x"}, ValueError, "give one of them"),
        ({"only": "W1"}, ValueError, 'write only="path to NAME"'),
        ({"only": "path to "}, ValueError, 'write only="path to NAME"'),
        ({"only": "path to layer9"}, ValueError, "only: nothing .* did you mean 'layer"),
        ({"highlight": "inf"}, ValueError, "highlight is 'inf'; choose 'nan' or None"),
        ({"theme": "blue"}, ValueError, "theme is 'blue'; choose one of 'light', 'dark'"),
    ],
)
def test_errors(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        visualize.graph(records.network(), **options)


def test_a_name_that_several_have_is_not_guessed() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    loss = model(torch.ones(1, 2)).sum()
    with pytest.raises(ValueError, match="2 tensors are called 'weight'; choose one: '0_weight', '1_weight'"):
        visualize.graph(loss, params=model, focus="weight")


def test_focus_on_a_stranger(chain: tuple[Any, list[Any], Any]) -> None:
    with pytest.raises(ValueError, match=r"tensor of shape \(3,\) that is not part of this graph"):
        visualize.graph(chain[0], focus=torch.ones(3))


def nan_graph() -> Any:
    x = torch.tensor([1.0, 0.0, -2.0], requires_grad=True)
    s = x.log()
    return ((s * 2) + x.exp()).sum()


def test_highlight_names_the_first_bad_op_and_marks_its_way() -> None:
    drawing = visualize.graph(nan_graph(), highlight="nan")
    assert "NaN first in Log log x; it spread forward to 3 nodes" in drawing.source
    line = next(line for line in drawing.source.splitlines() if "id=node_op1 " in line)
    assert "<B>first here</B>" in line and "<B>NaN</B>" in line and "#F0E442" in line and 'BORDER="3"' in line
    bold = [line for line in drawing.source.splitlines() if "penwidth=3" in line]
    assert len(bold) == 3 and all('color="#000000"' in line and "first" in line for line in bold)
    assert "the way it spread" in drawing.source
    assert "the way it spread" not in visualize.graph(nan_graph()).source


def test_a_bad_gradient_is_followed_backward() -> None:
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    y = (x * 1.0).sqrt().sum()
    y.backward(retain_graph=True)
    assert "Inf first in Mul x · 1; it spread backward to 1 node" in visualize.graph(y, highlight="nan").source


def test_nothing_bad_is_said_and_lost_values_too() -> None:
    assert "no NaN and no Inf here" in visualize.graph(records.network(), highlight="nan").source
    x = torch.ones(2000, requires_grad=True)
    loss = x.sin().exp().sum()  # nobody keeps the sine
    assert "here, but 1 value not kept: record under" in visualize.graph(loss, highlight="nan").source


def test_a_large_graph_is_cut_down_to_where_it_began() -> None:
    x = torch.tensor([0.5], requires_grad=True)
    y = x
    for k in range(1000):
        y = y.sin() if k != 900 else (y - 5).log()
    drawing = visualize.graph(y.sum(), highlight="nan")
    assert drawing.shown < 150 and "<B>first here</B>" in drawing.source
    assert "NaN first in Log" in drawing.source


def test_the_nan_of_a_graph_record_without_values() -> None:
    graph = graph_of((torch.ones(2, requires_grad=True) * np.nan).sum())
    assert "first in" in visualize.graph(graph, highlight="nan").source


def test_parts_are_deterministic(chain: tuple[Any, list[Any], Any]) -> None:
    sources = {visualize.graph(chain[0], focus=chain[1][3], radius=2, theme="dark").source for _ in range(3)}
    assert len(sources) == 1


def test_profile_stamps_what_it_sees_and_nothing_else() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with autograd.profile():
        y = x.sin().exp()
        z = y.sum()
        z.backward(retain_graph=True)
    graph = graph_of(z)
    assert all(
        v.seconds is not None and v.seconds > 0 and v.backward_seconds is not None for v in graph.vertices if v.op
    )
    source = visualize.graph(z).source
    assert "µs / " in source and "time forward / backward" in source and "|  forward " in source
    plain = graph_of(x.sin().sum())
    assert all(v.seconds is None and v.backward_seconds is None for v in plain.vertices)
    assert "µs" not in visualize.graph(plain).source


def test_profile_nests_and_ends_with_an_error() -> None:
    from tinygrad_edu.autograd.modes import mode

    with pytest.raises(KeyError), autograd.profile():
        with autograd.profile(False):
            assert not mode.profile and not mode.traced
        assert mode.profile and mode.traced
        raise KeyError
    assert not mode.profile and not mode.traced


def test_bytes_kept_for_backward() -> None:
    x = torch.ones(10, 10, requires_grad=True)
    loss = (x.exp() * 3.0).sum()  # exp keeps its result, mul by a number keeps only that number
    graph = graph_of(loss)
    assert sum(v.kept_bytes for v in graph.vertices) == 400
    assert "400 B kept for backward" in visualize.graph(loss).source
    loss.backward()
    assert sum(v.kept_bytes for v in graph_of(loss).vertices) == 0  # freed
    assert "B kept for" not in visualize.graph(loss).source


def test_bytes_of_a_fused_layer_are_those_it_really_keeps() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(8))
    for wants_grad in (True, False):
        x = torch.randn(500, 8).requires_grad_(wants_grad)
        loss = model(x).sum()
        graph = graph_of(loss, params=dict(model.named_parameters()))
        kept = {v.id: v.kept_bytes for v in graph.vertices if v.kept_bytes}
        assert 500 * 8 * 4 <= sum(kept.values()) < 2 * 500 * 8 * 4  # x once; the composition would keep x̂ too
    closed = visualize.graph(model(x).sum(), params=model, depth=0).source
    assert "kept for backward" in closed and "16 parameters" in closed


def test_fused_and_composed_rows_of_layers_look_the_same() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10), nn.ReLU()
    )
    outlines = []
    for batch in (2, 64):
        view = visualize.graph(model(torch.randn(batch, 1, 8, 8)).sum(), params=model).view
        outlines.append(
            (
                [(box.id, box.scope, box.members[0].title, box.members[0].shape[1:]) for box in view.boxes],
                [(edge.source, edge.target, edge.gradient) for edge in view.edges],
                [(scope.name, scope.detail) for scope in view.scopes],
            )
        )
    assert outlines[0] == outlines[1]
