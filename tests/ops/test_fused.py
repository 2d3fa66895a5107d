"""Each fused op is held to the composition of primitives it stands for; first and second order in test_gradients.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import autograd, nn, testing
from tinygrad_edu.ops.registry import registry
from tinygrad_edu.recording import wrap

FUSED = [op for op in registry.values() if op.joint is not None]


def graph_ops(x: torch.Tensor) -> list[str]:
    """The names of the recorded ops themselves, unopened."""
    found, stack, seen = [], [x.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen or getattr(node, "op", None) is None:
            continue
        seen.add(id(node))
        found.append(node.op.name)
        stack += list(node.inputs)
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", FUSED, ids=str)
@given(data=st.data())
def test_forward_and_gradients_are_the_compositions(op, dtype, data):
    arrays, params = data.draw(testing.inputs_of(op))
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    outcomes = []
    for function in (op, op.composition):
        inputs = [wrap(a.copy()).requires_grad_(a.dtype.kind == "f") for a in arrays]
        out = function(*inputs, **{**op.defaults, **params})
        out.backward(torch.ones_like(out) * 0.5)
        outcomes.append([out.detach(), *(x.grad for x in inputs if x.requires_grad)])
    tolerance = 200 * np.finfo(dtype).eps
    for fused, composed in zip(*outcomes, strict=True):
        assert fused.dtype == composed.dtype
        scale = float(np.abs(composed.array).max(initial=1.0))
        testing.assert_close(fused, composed, rtol=tolerance, atol=tolerance * scale)


def test_large_inputs_are_fused_and_small_ones_and_watched_ones_are_not():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 3))
    labels = torch.zeros(600, dtype=torch.int64)

    def ops_of(n: int) -> list[str]:
        return graph_ops(F.cross_entropy(model(torch.randn(n, 1, 8, 8)), labels[:n]))

    assert {"conv2d_bias", "batch_norm", "linear", "cross_entropy"} <= set(ops_of(600))
    assert not {"conv2d_bias", "batch_norm", "cross_entropy"} & set(ops_of(2))
    with autograd.fused(False):
        primitives = ops_of(600)
    assert not {op.name for op in FUSED} & set(primitives)
    with autograd.keep_values():
        assert sorted(ops_of(600)) == sorted(primitives)


def test_a_picture_opens_a_fused_op_into_its_primitives():
    x = torch.randn(64, 40, requires_grad=True)
    loss = (F.log_softmax(x, 1) * torch.randn(64, 40)).sum()
    loss.backward(retain_graph=True)
    graph = autograd.graph_of(loss)
    titles = [v.title for v in graph.vertices]
    assert {"Max", "Sub", "Exp", "Sum", "Log"} <= set(titles)
    assert "LogSoftmax" not in titles
    log_p = next(v for v in graph.vertices if v.name == "log p")
    assert log_p.shape == (64, 40)
    assert [v.title for v in autograd.graph_of(loss).vertices] == titles  # looking changes nothing


def test_a_freed_fused_op_is_drawn_as_one():
    x = torch.randn(64, 40, requires_grad=True)
    loss = F.log_softmax(x, 1).sum()
    loss.backward()
    assert "LogSoftmax" in [v.title for v in autograd.graph_of(loss).vertices]


@pytest.mark.parametrize("shape", [(300, 7), (40, 5, 9), (16, 6, 5, 5)])
def test_running_statistics_do_not_depend_on_fusing(shape):
    layers = [(nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(shape[1]).double() for _ in range(2)]
    x = torch.randn(*shape, dtype=torch.float64) * 3 + 100
    for layer, enabled in zip(layers, (True, False), strict=True):
        with autograd.fused(enabled):
            layer(x)
            layer(x)
            layer.eval()
            with torch.no_grad():
                layer.evaluated = layer(x)
    for name in ("running_mean", "running_var"):
        testing.assert_close(getattr(layers[0], name), getattr(layers[1], name), rtol=1e-12)
    testing.assert_close(layers[0].evaluated, layers[1].evaluated, rtol=1e-10)


def test_changing_a_saved_input_of_a_fused_op_is_an_error():
    x = torch.randn(64, 40, requires_grad=True)
    h = x * 1.0
    loss = F.cross_entropy(h, torch.zeros(64, dtype=torch.int64))
    h.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        loss.backward()


def test_the_second_derivative_goes_through_the_composition():
    layer = nn.BatchNorm1d(40).double()
    x = torch.randn(64, 40, dtype=torch.float64, requires_grad=True)
    w = torch.randn(64, 40, dtype=torch.float64)
    results = []
    for enabled in (True, False):
        with autograd.fused(enabled):
            (first,) = autograd.grad((layer(x).tanh() * w).sum(), x, create_graph=True)
            (second,) = autograd.grad((first * first).sum(), x)
        results.append((first.detach(), second))
    for a, b in zip(*results, strict=True):
        testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def pairs_model() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 36, 30),
        nn.ReLU(),
        nn.Linear(30, 3),
    )


def test_a_layer_and_its_relu_are_one_op_in_a_sequential():
    torch.manual_seed(0)
    model, x = pairs_model(), torch.randn(60, 1, 8, 8)
    assert {"batch_norm", "linear_relu"} <= set(graph_ops(model(x).sum()))
    assert "relu" not in graph_ops(model(x).sum())
    outcomes = []
    for enabled in (True, False):
        model.zero_grad()
        with autograd.fused(enabled):
            loss = (model(x) ** 2).sum()
        loss.backward()
        outcomes.append([loss.detach(), *(p.grad for p in model.parameters())])
    for one, other in zip(*outcomes, strict=True):
        testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_a_hook_between_a_layer_and_its_relu_sees_what_passes():
    model, seen = pairs_model(), []
    model[4].register_forward_hook(lambda module, args, out: seen.append(float(out.detach().min())))
    out = model(torch.randn(60, 1, 8, 8))
    assert seen[0] < 0
    assert "linear_relu" not in graph_ops(out.sum())


def test_a_picture_opens_a_pair_and_draws_the_relu_outside_the_layer():
    model = pairs_model()
    graph = autograd.graph_of((model(torch.randn(60, 1, 8, 8)) ** 2).sum())
    titles = [v.title for v in graph.vertices]
    assert titles.count("Relu") == 2 or titles.count("ReLU") == 2
    assert "LinearReLU" not in titles
