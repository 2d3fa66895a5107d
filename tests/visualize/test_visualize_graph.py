"""What the DOT text says: roles, numbers, states, escapes, layout rules."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import visualize_records as records

import tinygrad_edu as torch
import visualize
from tinygrad_edu import nn
from tinygrad_edu.autograd.graph import Edge, Graph
from visualize import collapse, labels, numbers, theme
from visualize.chain import main_chain
from visualize.layout import layout_of


def node(source: str, name: str) -> str:
    """The line that defines one node."""
    found = re.search(rf"^\s*{name} \[(?:class|group|id|label).*$", source, re.MULTILINE)
    assert found, name
    return found[0]


@pytest.fixture(scope="module")
def network() -> str:
    return visualize.graph(records.network(), title="MLP").source


def test_same_source_twice(network: str) -> None:
    assert visualize.graph(records.network(), title="MLP").source == network


def test_a_node_has_id_class_tooltip_value_and_gradient(network: str) -> None:
    line = node(network, "op4")
    assert "id=node_op4" in line and "class=op" in line and "group=main" in line
    assert "<B>Add</B>" in line and "<I>z₁ = xW₁ + b₁</I>" in line and "(4, 4)" in line
    assert "−0.043 ± 0.736" in line and "‖∇‖ 0.1105" in line
    assert "float64 (4, 4)" in line and "train.py:31" in line  # tooltip


def test_roles_differ_in_shape_tag_and_colour(network: str) -> None:
    x, weight, op, loss = (node(network, n) for n in ("input1", "layer1_weight", "op3", "op19"))
    assert 'BORDER="2"' in x and "ROUNDED" not in x and "#00785A" in x and ">input<" in x
    assert 'BORDER="2"' in weight and "ROUNDED" not in weight and "#0072B2" in weight and ">param<" in weight
    assert 'BORDER="1"' in op and "ROUNDED" in op
    assert 'BORDER="2"' in loss and "ROUNDED" in loss and "#A23E78" in loss and ">loss<" in loss


def test_marks(network: str) -> None:
    assert "◆" in node(network, "op13") and 'class="op saved"' in node(network, "op13")
    assert "◆" not in node(network, "op12")
    assert "⊕" in node(network, "op12") and 'class="op sum"' in node(network, "op12")
    assert "⊕" not in node(network, "op13")


def test_edges_solid_forward_dashed_back_dotted_detached(network: str) -> None:
    lines = [line for line in network.splitlines() if "->" in line]
    forward = next(line for line in lines if "id=forward_op13_op14_x" in line)
    backward = next(line for line in lines if "id=backward_op13_op14_x" in line)
    assert "#2E3440" in forward and "dashed" not in forward
    assert "#D55E00" in backward and "dashed" in backward and "dir=back" in backward and "arrowtail=vee" in backward
    detached = [line for line in lines if "forward detached" in line]
    assert len(detached) == 2 and all("dotted" in line for line in detached)
    assert not any("backward_op11" in line for line in lines)
    assert not any("backward_input1" in line for line in lines)  # x needs no gradient


def test_parameters_stand_beside_their_op(network: str) -> None:
    ranks = re.findall(r"\{\n\t\trank=same\n((?:\t\t.*\n)+?)\t\}", network)
    rows = [[word.strip().strip('"') for word in rank.splitlines() if "->" not in word] for rank in ranks]
    assert ["layer1_weight", "op3"] in rows and ["layer1_bias", "op4"] in rows
    assert any(row[-2:] == ["op12", "op11"] for row in rows)  # the detached maximum, on the right
    assert "newrank=true" in network


def test_scopes_are_clusters(network: str) -> None:
    cluster = network[network.index("subgraph cluster_loss") :]
    assert "softmax cross-entropy, from primitive ops" in cluster and "#FDF8FB" in cluster
    assert "id=scope_layer1" in network and 'class="scope loss"' in cluster


def test_nested_scopes_nest() -> None:
    source = visualize.graph(records.conv_blocks()).source
    start = source.index("subgraph cluster_net ")
    block, conv = source.index("cluster_net_block1 "), source.index("cluster_net_block1_conv1 ")
    assert start < block < conv
    assert re.search(r"\n\t\t\tsubgraph cluster_net_block1_conv1 ", source)  # two levels down


def test_legend_names_what_occurs(network: str) -> None:
    heading = network[: network.index("node [")]
    signs = ("input", "parameter", "operation", "loss", "value", "kept for backward", "two paths, gradients added")
    for words in signs:
        assert f">{words}</FONT>" in heading
    assert "gradient ∇" in heading and "detached" in heading
    assert "constant" not in heading and "NaN" not in heading
    assert "18" in heading and "<B>MLP</B>" in heading


def test_default_summary() -> None:
    source = visualize.graph(records.network()).source
    assert "17 operations  |  51 parameters  |  loss 1.0966" in source
    assert "<B>Computation graph of L</B>" in source


def test_states_of_a_gradient_look_different() -> None:
    graph = records.network()
    by_id = {v.id: v for v in graph.vertices}
    zero, kept = np.zeros((4, 4)), replace(by_id["op4"], grad=None, grad_state="not kept", value=None)
    changed = {"op3": replace(by_id["op3"], grad=zero), "op4": kept}
    source = visualize.graph(replace(graph, vertices=tuple(changed.get(v.id, v) for v in graph.vertices))).source
    assert ">∇ 0<" in node(source, "op3")
    assert ">∇ not kept<" in node(source, "op4") and ">value not kept<" in node(source, "op4")
    assert ">no gradient<" in node(source, "input1")
    assert "values and gradients not kept: record under autograd.keep_values()" in source
    pending = visualize.graph(records.network(backward=False)).source
    assert "keep_values" not in pending
    assert ">no gradient yet  ⊕<" in node(pending, "op12")
    assert "0.0000" not in pending


def test_numbers_can_be_left_out() -> None:
    source = visualize.graph(records.network(), values=False, grads=False).source
    assert "±" not in source and "‖∇‖" not in source


def test_advice_only_on_what_is_drawn() -> None:
    graph = records.network()
    lost = replace(graph, vertices=tuple(replace(v, value=None) for v in graph.vertices))
    assert ">17 operations  |  51 parameters  |  values not kept: record" in visualize.graph(lost).source
    assert "my words  |  values not kept" in visualize.graph(lost, subtitle="my words").source
    assert "keep_values" not in visualize.graph(lost, values=False).source


def test_labels_of_forty_characters_are_whole_and_longer_ones_in_the_tooltip() -> None:
    graph = records.batchnorm()
    for label, shown in (("d" * 40, "d" * 40), ("d" * 41, "d" * 39 + "…")):
        edges = tuple(replace(e, label=label if e.label == "dμ / N" else e.label) for e in graph.edges)
        source = visualize.graph(replace(graph, edges=edges)).source
        assert f">{shown}<" in source and f": {label}" in source


@pytest.fixture
def model() -> Any:
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    loss = model(torch.ones(4, 3)).sum()
    loss.backward()
    return model, loss


def test_params_as_module_pairs_or_mapping(model: Any) -> None:
    net, loss = model
    want = visualize.graph(loss, params=dict(net.named_parameters())).source
    assert "id=node_0_weight" in want
    assert visualize.graph(loss, params=net).source == want
    assert visualize.graph(loss, params=net.named_parameters()).source == want
    assert visualize.graph(loss, params=list(net.named_parameters())).source == want


@pytest.mark.parametrize(
    ("params", "found"),
    [
        (lambda net: net.parameters(), "with a Parameter in it"),
        (lambda net: list(net.parameters()), "list with a Parameter in it"),
        (lambda net: [1], "list with a int in it"),
        (lambda net: {"w": 5}, "dict where 'w' is a int"),
        (lambda net: 5, "params is a int"),
        (lambda net: "w", "params is a str"),
        (lambda net: net[0].weight, "params is a Parameter"),
    ],
)
def test_other_params_are_refused_with_what_to_pass(model: Any, params: Any, found: str) -> None:
    net, loss = model
    with pytest.raises(TypeError, match=rf"{found}; pass params=dict\(model.named_parameters\(\)\)"):
        visualize.graph(loss, params=params(net))


def test_outputs_in_a_list() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    a, b = x * 2, x.exp()
    want = visualize.graph(a, b).source
    assert visualize.graph([a, b]).source == want and visualize.graph((a, b)).source == want
    with pytest.raises(ValueError, match="nothing to draw"):
        visualize.graph([])


def test_figure_of_batchnorm() -> None:
    source = visualize.graph(records.batchnorm(), direction="LR").source
    assert "rankdir=LR" in source
    assert "∇⊕ 0.317  −0.397  0.079" in node(source, "x")
    assert "∇⊕ 0.456  −0.258  0.218" in node(source, "op2")
    assert "<B>× γ</B>" in node(source, "op9") and "<B>+ β</B>" in node(source, "op10")
    assert "<B><I>x̂</I></B>" in node(source, "op8")
    labelled = [line for line in source.splitlines() if "label=<" in line and "id=backward" in line]
    assert len(labelled) == 14 and all("weight=0" in line for line in labelled)
    for formula in ("dμ / N", "Σ dy · x̂", "−Σ d(x−μ)"):
        assert f">{formula}<" in source


def test_main_line_follows_the_data_not_its_statistics() -> None:
    assert main_chain(collapse.view_of(records.batchnorm())) == ["x", "op2", "op8", "op9", "op10"]
    line = main_chain(collapse.view_of(records.network()))
    assert line[0] == "input1" and line[-1] == "op19" and "op13" not in line and "op11" not in line


def test_main_line_follows_the_block_not_its_shortcut() -> None:
    view = collapse.view_of(records.conv_blocks(1))
    line = main_chain(view)
    assert line == ["input1", "conv1", "relu1", "conv2", "relu2", "add2", "flatten", "ce"]
    shortcut = next(e for e in view.edges if (e.source, e.target) == ("input1", "add2"))
    assert not layout_of(view, figure=False).on_main_line(shortcut)


def test_direction_follows_size() -> None:
    assert "rankdir=LR" in visualize.graph(records.batchnorm()).source
    assert "rankdir=TB" in visualize.graph(records.network()).source
    assert "rankdir=TB" in visualize.graph(records.chain(30)).source


def test_odd_names_are_escaped() -> None:
    source = visualize.graph(records.odd_names(), direction="TB").source
    assert "&lt;b&gt;&amp;&quot;x&#x27;" in source
    assert "\x00" not in source
    assert "a very long parameter nam" in source and "…" in node(source, "p2")
    assert "never ends a very long parameter name that never ends a very" in node(source, "p2")  # whole, in the tooltip
    assert r"\\N\\G" in source
    assert not re.search(r"<(I|B|TD|FONT)\b[^>]*></", source.replace('<TD HEIGHT="8"></TD>', ""))


def test_nan_and_inf_stand_out() -> None:
    source = visualize.graph(records.odd_names(), direction="TB").source
    line = node(source, "p1")
    assert 'BORDER="3"' in line and "#F0E442" in line and "<B>NaN</B>" in line and "bad" in line
    assert "<B>Inf</B>" in node(source, "op1")
    assert "<B>Inf and NaN</B> black on yellow" in source
    assert "NaN in 1 of 96" in visualize.graph(records.conv_blocks(1, broken=True)).source


def test_the_same_operand_twice() -> None:
    tape = records.Tape()
    x = tape.leaf("x", np.array(3.0))
    tape.op("op1", "Mul", np.array(9.0), (x, lambda g: g * 3), (x, lambda g: g * 3), symbol="×")
    source = visualize.graph(tape.graph("op1")).source
    assert "forward_x_op1_x" in source and "forward_x_op1_y" in source and "∇⊕ 6.000" in source
    graph = tape.graph("op1")
    alike = tuple(replace(e, input="xs") for e in graph.edges)  # as for cat([x, x])
    source = visualize.graph(replace(graph, edges=alike)).source
    assert "id=forward_x_op1_xs " in source and "id=forward_x_op1_xs_2 " in source


def test_two_outputs_and_an_output_that_is_a_leaf() -> None:
    graph = records.network()
    assert visualize.graph(replace(graph, outputs=("op19", "op12"))).source
    leaf = records.Tape()
    leaf.leaf("x", np.ones(2))
    assert "node_x" in visualize.graph(leaf.graph("x")).source


def test_wrong_calls_say_what_is_right() -> None:
    graph = records.batchnorm()
    with pytest.raises(ValueError, match=r"nothing to draw.*graph\(loss\)"):
        visualize.graph()
    with pytest.raises(ValueError, match="'light', 'dark'"):
        visualize.graph(graph, theme="blue")
    with pytest.raises(ValueError, match="'TB', 'LR'"):
        visualize.graph(graph, direction="RL")
    with pytest.raises(ValueError, match="depth is -1"):
        visualize.graph(graph, depth=-1)
    with pytest.raises(TypeError, match="drawn alone"):
        visualize.graph(graph, graph)
    with pytest.raises(ValueError, match="no nodes"):
        visualize.graph(Graph((), (), (), (), 0))


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array(1.09661), "1.0966"),
        (np.array(-0.5), "−0.5000"),
        (np.array(0.0), "0"),
        (np.array(1234.5678), "1234.6"),
        (np.array(1.2e-7), "1.2e−07"),
        (np.array(3.4e30), "3.4e+30"),
        (np.array(np.nan), "NaN"),
        (np.array(-np.inf), "−Inf"),
        (np.array([0.1, 0.1]), "[0.10  0.10]"),
        (np.array([0.0, 1e-9, 1.0]), "[0  1e−09  1.00]"),
        (np.array([1e6, 2.0]), "[1.0e+06  2.0e+00]"),
        (np.array([1e-4, 2e-5]), "[1.0e−04  2.0e−05]"),
        (np.array([123.4, 1.0]), "[123  1]"),
        (np.array([0, 2, 1, -2]), "[0  2  1  −2]"),
        (np.arange(12), "0 … 11"),
        (np.arange(6) > 3, "2 of 6 true"),
        (np.zeros(9), "0 everywhere"),
        (np.ones((3, 3)), "1.000 ± 0"),
        (np.full(5, 1e-5) * [1, 1, 1, 1, 2], "1.2e−05 ± 4.0e−06"),
        (np.zeros((0, 3)), "empty"),
        (np.array([np.nan] * 3 + [1.0] * 4), "NaN in 3 of 7"),
    ],
)
def test_values_as_text(array: np.ndarray, text: str) -> None:
    assert numbers.value_text(array) == text


def test_gradients_as_text() -> None:
    assert numbers.gradient_text(np.full((2, 4), 0.1)) == "‖∇‖ 0.2828"
    assert numbers.gradient_text(np.zeros((2, 4))) == "∇ 0"
    assert numbers.gradient_text(np.array(0.0)) == "∇ 0"
    assert numbers.gradient_text(np.array([0.25, -0.25])) == "∇ [0.25  −0.25]"
    assert numbers.gradient_text(np.full(10, 3e38, np.float32)) == "‖∇‖ 9.5e+38"  # no overflow in float32


def test_text_is_cleaned_and_cut() -> None:
    assert labels.clean("a\tb\x07c\u202ed") == "a b\ufffdc\ufffdd"
    assert labels.shorten("x" * 30, 10) == "x" * 9 + "…"
    assert labels.font("") == "" and labels.font(" \n", 9, "#000000", bold=True) == ""


def luminance(color: str) -> float:
    """Relative luminance of #RRGGBB (WCAG 2.2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2)."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colors", theme.THEMES.values(), ids=str)
def test_all_text_is_readable(colors: theme.Theme) -> None:
    for role in (colors.input, colors.parameter, colors.op, colors.output, colors.constant):
        for text in (role.tag, colors.text, colors.muted, colors.saved):
            assert contrast(text, role.tint) >= 4.5, (role, text)
        assert contrast(role.line, colors.background) >= 3
    for paper in (colors.paper, colors.faded, colors.background):
        for text in (colors.value, colors.gradient, colors.absent, colors.muted):
            assert contrast(text, paper) >= 4.5, (text, paper)
    assert contrast(colors.bad_text, colors.bad.tint) >= 4.5
    for fill in (colors.scope_fill, colors.loss_fill):
        assert contrast(colors.muted, fill) >= 4.5


def test_an_edge_label_is_html_escaped() -> None:
    graph = records.batchnorm()
    edges = tuple(replace(e, label="a < b & c") if e.target == "op10" else e for e in graph.edges)
    assert html.escape("a < b & c") in visualize.graph(replace(graph, edges=edges)).source


def test_shared_parameter_is_drawn_once() -> None:
    graph = records.network()
    extra = Edge("layer1_weight", "op12", "w", (3, 4), True, "", False)
    source = visualize.graph(replace(graph, edges=(*graph.edges, extra))).source
    assert source.count("id=node_layer1_weight") == 1 and "forward_layer1_weight_op12_w" in source


def test_a_named_number_is_no_loss() -> None:
    tape = records.Tape()
    x, w = tape.leaf("x", np.array(2.0)), tape.leaf("w", np.array(3.0), "parameter")
    tape.op("op1", "Mul", np.array(6.0), (x, lambda g: g * 3), (w, lambda g: g * 2), symbol="×", name="area")
    source = visualize.graph(tape.graph("op1")).source
    assert ">output<" in source and ">loss<" not in source and "area 6.0000" in source


def test_a_constant_says_its_number_once() -> None:
    tape = records.Tape()
    x, c = tape.leaf("x", np.array([2.0, 1.0])), tape.leaf("const1", np.array(0.5), "constant", "0.5")
    tape.op("op1", "Mul", np.array([1.0, 0.5]), (x, lambda g: g / 2), (c, None), symbol="×")
    for direction in ("LR", "TB"):
        line = node(visualize.graph(tape.graph("op1"), direction=direction).source, "const1")
        assert "<B>0.5</B>" in line and "0.5000" not in line and ">const<" in line


def test_labels_of_no_module_are_drawn_with_the_op_that_uses_them() -> None:
    graph = records.network()
    free = tuple(replace(v, scope="") if v.id == "input2" else v for v in graph.vertices)
    source = visualize.graph(replace(graph, vertices=free)).source
    assert source.index("subgraph cluster_loss") < source.index("id=node_input2")
    assert ">indices<" in node(source, "input2")
