"""The tape: every share comes from the engine's rules, the sums are the engine's gradients, the words are right."""

from __future__ import annotations

import re

import numpy as np
import pytest
from page_examples import network, two_paths

import tinygrad_edu as torch
from tinygrad_edu import nn, optim
from tinygrad_edu.autograd import Function, keep_values
from tinygrad_edu.autograd.tape import CHANGED, NOT_KEPT, tape_of
from tinygrad_edu.errors import GraphError, ShapeError
from visualize.tape import LIMIT, steps_of


@pytest.mark.parametrize("when", ["before", "after", "retained"])
def test_gradients_are_the_engines(when: str) -> None:
    loss, model = network(backward=False)
    if when != "before":
        loss.backward(retain_graph=when == "retained")
    tape = tape_of(loss, model.named_parameters())
    if when == "before":
        assert all(p.grad is None for p in model.parameters())
        loss.backward()
    for name, p in model.named_parameters():
        assert np.array_equal(tape.grads[name.replace(".", "_")], p.grad.numpy()), name
    assert not tape.notes and not any(pull.note for pull in tape.pulls)


@pytest.mark.parametrize("size", [4, 200])
def test_a_network_whose_ops_are_fused(size: int) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3), nn.ReLU()
    )
    loss = model(torch.randn(size, 1, 8, 8)).square().mean()
    tape = tape_of(loss, model.named_parameters())
    loss.backward()
    for name, p in model.named_parameters():
        key = next(v.id for v in tape.graph.vertices if v.role == "parameter" and _is(v, name, model))
        np.testing.assert_allclose(tape.grads[key], p.grad.numpy(), rtol=2e-3, atol=1e-5)


def _is(vertex, name: str, model: nn.Module) -> bool:
    return vertex.value is dict(model.named_parameters())[name].array


def test_shares_add_up_in_the_order_of_the_walk() -> None:
    loss, params = two_paths()
    tape = tape_of(loss, params)
    said = [(p.vertex, [(s.source, float(s.value)) for s in p.shares]) for p in tape.pulls]
    assert [x[0] for x in said] == ["op2", "op1"]
    assert sorted(said[0][1]) == [("a", 1.0), ("op1", 1.0)]
    assert sorted(said[1][1]) == [("a", -2.0), ("b", 3.0)]
    last = steps_of(tape)[-2].shares
    at_a = next(m for m in last if m.source == "a")
    assert (float(at_a.value), float(at_a.total), at_a.nth, at_a.of) == (-2.0, -1.0, 2, 2)
    assert "the second of 2 paths: ⊕ ∇ −1.0000 in all" in steps_of(tape)[-2].sentence


def test_the_same_tensor_twice() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    tape = tape_of(x * x, {"x": x})
    assert [float(s.value) for s in tape.pulls[0].shares] == [3.0, 3.0] and float(tape.grads["x"]) == 6.0
    assert len({s.edge for s in tape.pulls[0].shares}) == 2


def test_a_gradient_to_begin_with() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GraphError, match=r"shape \(2,\); backward begins at a single number. Give gradient="):
        tape_of(x * 2)
    with pytest.raises(ShapeError, match=r"\(3,\); it must have that of the tensor, \(2,\)"):
        tape_of(x * 2, gradient=[1.0, 2.0, 3.0])
    tape = tape_of(x * 2, {"x": x}, gradient=[1.0, -1.0])
    assert tape.grads["x"].tolist() == [2.0, -2.0]
    y = x * 3
    y.backward(torch.tensor([0.5, 1.0]))
    assert tape_of(y, {"x": x}).grads["x"].tolist() == [1.5, 3.0]


def test_not_a_recorded_tensor() -> None:
    with pytest.raises(TypeError, match="expected a tensor, got float"):
        tape_of(1.0)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="no recorded graph"):
        tape_of(torch.tensor(1.0))


def test_a_function_with_two_results() -> None:
    class Both(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2, x * x

        @staticmethod
        def backward(ctx, double, square):
            (x,) = ctx.saved_tensors
            return double * 2 + square * 2 * x

    x = torch.tensor([1.0, -3.0], requires_grad=True)
    double, square = Both.apply(x)
    loss = (double * square).sum()
    tape = tape_of(loss, {"x": x})
    loss.backward()
    np.testing.assert_allclose(tape.grads["x"], x.grad.numpy())


def test_numbers_that_are_gone_are_said_to_be_gone() -> None:
    def run(keep: bool) -> tuple[torch.Tensor, torch.Tensor]:
        w = torch.ones(2000, requires_grad=True)
        with keep_values(keep):
            loss = ((w * 2).exp() * 1e-3).sum()
            loss.backward()
        return loss, w

    loss, w = run(False)
    tape = tape_of(loss, {"w": w})
    assert NOT_KEPT in {p.note for p in tape.pulls} and "w" not in tape.grads
    assert any("not kept" in s.sentence for s in steps_of(tape))
    loss, w = run(True)
    assert np.array_equal(tape_of(loss, {"w": w}).grads["w"], w.grad.numpy())


def test_a_parameter_that_has_moved_on() -> None:
    loss, model = network()
    optim.SGD(model.parameters(), lr=0.1).step()
    tape = tape_of(loss, model.named_parameters())
    assert CHANGED in {p.note for p in tape.pulls}


def test_a_grad_that_was_not_zero_is_noted() -> None:
    loss, params = two_paths()
    loss.backward(retain_graph=True)
    loss.backward()
    tape = tape_of(loss, params)
    assert float(params["a"].grad) == -2.0 and float(tape.grads["a"]) == -1.0
    assert "was not zero before" in tape.notes["a"]


def test_a_hook_is_noted_and_its_gradient_goes_on() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    y = x * 3
    y.register_hook(lambda grad: grad * 10)
    loss = y * 5
    loss.backward()
    tape = tape_of(loss, {"x": x})
    assert float(tape.grads["x"]) == float(x.grad) == 150.0
    assert "a hook changed it" in tape.notes["op1"]


def test_why_a_value_is_kept() -> None:
    loss, model = network()
    tape = tape_of(loss, model.named_parameters())
    edges = tape.graph.edges
    assert [edges[k].source for k in tape.kept["input_x"]] == ["layer1_weight"]
    assert [(edges[k].source, edges[k].target) for k in tape.kept["layer2_weight"]] == [("op3", "op4")]
    assert set(tape.kept) == {v.id for v in tape.graph.vertices if v.saved}


def test_worked_numbers_are_true() -> None:
    """Every written-out sum of products, and a few other formulas, give the number behind the = sign."""
    loss, model = network()
    tape = tape_of(loss, model.named_parameters())
    lines = [s.worked for p in tape.pulls for s in p.shares] + list(tape.forward.values())
    checked = 0
    for line in filter(None, lines):
        text = line.partition(":  ")[2] or line
        text = text.partition("   ")[0].replace("−", "-").replace("·", "*")
        text = re.sub(r"²", "**2", re.sub(r"(\d)\(", r"\1*(", text)).replace("tanh", "np.tanh").replace("exp", "np.exp")
        left, _, right = text.partition(" = ")
        if not right or re.search(r"[σlΣ⁰¹³⁴-⁹⁻]", left):
            continue
        assert eval(left, {"np": np}) == pytest.approx(float(right), rel=5e-3, abs=2e-4), line
        checked += 1
    assert checked > 20


def test_steps_are_in_order_and_complete() -> None:
    loss, model = network()
    tape = tape_of(loss, model.named_parameters())
    steps = steps_of(tape)
    ops = [v.id for v in tape.graph.vertices if v.op]
    assert [s.phase for s in steps[:2]] == ["whole", "given"] and steps[-1].phase == "done"
    assert [s.vertex for s in steps if s.phase == "forward"] == ops
    taking_part = [i for i in ops if any(e.target == i and e.gradient for e in tape.graph.edges)]
    assert [s.vertex for s in steps if s.phase == "backward"] == taking_part[::-1]
    assert next(s for s in steps if s.phase == "seed").formula == "dL/dL = 1"


def test_too_many_steps() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(LIMIT // 2 + 1):
        y = y * 1.0
    with pytest.raises(ValueError, match="1 001 operations would make 2002 steps; at most 2000 can be played"):
        steps_of(tape_of(y))
