"""gradient_report: right rules pass, a planted wrong one is named, kinks are no mistakes, nothing is changed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import autograd, nn, ops, testing
from tinygrad_edu.errors import GraphError
from tinygrad_edu.ops.registry import differentiable_ops, registry
from tinygrad_edu.recording import apply, wrap

gradient_report = torch.gradient_report


class Scale(autograd.Function):
    """x · w with a sign slip in the gradient of w."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        return grad * w, -grad * x


class Split(autograd.Function):
    """Two results; the gradient of the second is wrong by a factor."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin(), x * x

    @staticmethod
    def backward(ctx, first, second):
        (x,) = ctx.saved_tensors
        return first * x.cos() + second * x


@pytest.fixture
def planted():
    """planted(op, input=rule) replaces a rule until the test ends."""
    before = []

    def plant(op, **rules):
        before.append((op, dict(op.rules)))
        op.backward(**rules)

    yield plant
    for op, rules in before:
        op.backward(**rules)


def model_and_loss(batch=8):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 3))
    x, y = torch.randn(batch, 6), torch.randint(0, 3, (batch,))
    return model, lambda net: F.cross_entropy(net(x), y)


@pytest.mark.parametrize("batch", [8, 500])  # primitives, and fused kernels
def test_a_right_model_passes(batch):
    report = gradient_report(*model_and_loss(batch))
    assert report.ok and report.first_wrong is None, report
    assert {check.verdict for check in report.checks} <= {"right", "kink"}
    names = {check.op for check in report.checks}
    assert ("batch_norm" in names) == (batch == 500)


@pytest.mark.parametrize("op", [op for op in differentiable_ops() if op.rules], ids=str)
def test_every_rule_of_the_house_passes(op):
    for seed in range(2):
        inputs, params = testing.draw_inputs(op, testing.RandomChooser(seed))
        leaves = [wrap(np.array(x)).requires_grad_() if x.dtype.kind == "f" else wrap(np.array(x)) for x in inputs]
        out = apply(op, leaves, {**op.defaults, **params})
        if out.requires_grad and out.numel():
            report = gradient_report(out.sum())
            assert report.ok, report


def test_a_wrong_function_is_named():
    x, w = torch.randn(7, 4).requires_grad_(), torch.ones(4, requires_grad=True)
    w.name = "w"
    report = gradient_report((Scale.apply(torch.tanh(x), w) ** 2).mean())
    assert not report.ok
    wrong = [check for check in report.checks if check.verdict == "wrong"]
    assert [(check.op, check.input) for check in wrong] == [("Scale", "w")]
    assert report.first_wrong is wrong[0]
    assert "the sign is wrong" in str(report) and "the rule of Scale for w is wrong" in report.title


def test_a_wrong_function_of_two_results_is_named():
    x = torch.tensor([0.5, 1.5], requires_grad=True)
    a, b = Split.apply(x)
    report = gradient_report((a * b).sum())
    assert [check.op for check in report.checks if check.verdict == "wrong"] == ["Split"]


def test_a_planted_rule_is_named_and_only_it(planted):
    planted(ops.pointwise.tanh, x=lambda grad, out: grad * (1 - out))
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    x = torch.randn(5, 4)
    report = gradient_report(model, lambda net: (net(x) ** 2).sum())
    assert [check.op for check in report.checks if check.verdict == "wrong"] == ["tanh"]
    assert "dL/dx = dL/dout" in str(report)
    entry = report.first_wrong.wrong[0]
    assert entry.error > 1e-3 and entry.rule != entry.difference


@pytest.mark.parametrize(
    ("name", "factor"),
    [("exp", -1.0), ("log", 2.0), ("sigmoid", 0.99), ("sqrt", 1.001), ("sin", -1.0), ("square", 0.5), ("mean", 3.0)],
)
def test_small_slips_are_found_and_their_factor_told(planted, name, factor):
    op = registry[name]
    rule = op.rules["x"]
    names = rule.__code__.co_varnames[: rule.__code__.co_argcount]
    made = eval(f"lambda {', '.join(names)}: rule({', '.join(names)}) * factor", {"rule": rule, "factor": factor})
    planted(op, x=made)
    x = torch.rand(3, 4).add(0.5).requires_grad_()
    report = gradient_report(op(x).sum())
    assert [check.op for check in report.checks if check.verdict == "wrong"] == [name]
    assert ("the sign is wrong" if factor == -1 else f"a factor of {factor:g}".replace("-", "−")) in str(report)


def test_one_wrong_entry_of_many_is_found(planted):
    def wrong_once(grad, y):
        spoiled = np.array(np.broadcast_to(grad * y, (100, 90)))
        spoiled[41, 17] += 1.0
        return spoiled

    planted(ops.arithmetic.mul, x=wrong_once)
    x = torch.randn(100, 90).requires_grad_()
    report = gradient_report((x * torch.randn(100, 90)).sum(), entries=2)
    assert report.first_wrong is not None
    assert [entry.place for entry in report.first_wrong.wrong] == [(41, 17)]


def negated(gradients):
    return tuple(None if g is None else -g for g in gradients)


def test_a_wrong_fused_rule_is_named():
    op, right = ops.fused.linear, ops.fused.linear.joint
    op.backward_jointly(lambda grad, x, weight, needs: negated(right(grad, x, weight, needs)))
    try:
        x, y = torch.randn(500, 6), torch.randint(0, 30, (500,))
        report = gradient_report(nn.Linear(6, 30), lambda net: F.cross_entropy(net(x), y))
    finally:
        op.backward_jointly(right)
    assert {check.op for check in report.checks if check.verdict == "wrong"} == {"linear"}
    assert len(report.marked(report.graph())) == 1


def test_kinks_are_no_mistakes():
    x = torch.tensor([0.0, 1.0, -2.0], requires_grad=True)
    report = gradient_report((x.abs() + x.relu() + torch.maximum(x, -x) + x.clamp(0, 1)).sum())
    assert report.ok
    assert {check.op for check in report.checks if check.verdict == "kink"} >= {"relu", "clamp"}
    assert any("on a kink" in check.note for check in report.checks)


def test_a_slope_that_no_side_of_a_kink_has_is_wrong(planted):
    planted(ops.pointwise.relu, x=lambda grad, out: grad * 2.5)
    report = gradient_report(torch.relu(torch.tensor([0.0], requires_grad=True)).sum())
    assert report.first_wrong is not None and report.first_wrong.op == "relu"


def test_the_model_is_left_as_it_was():
    model, loss_fn = model_and_loss()
    model.zero_grad()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    gradient_report(model, loss_fn)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    np.testing.assert_array_equal(torch.get_rng_state(), random)
    assert model.training and all(p.grad is None for p in model.parameters())


def test_it_is_repeatable_and_bounded_in_time():
    model, loss_fn = model_and_loss(64)
    first, second = gradient_report(model, loss_fn, seed=3), gradient_report(model, loss_fn, seed=3)
    places = [[entry.place for entry in check.entries] for check in first.checks]
    assert places == [[entry.place for entry in check.entries] for check in second.checks]
    started = time.perf_counter()
    late = gradient_report(model, loss_fn, seconds=0.0)
    assert {check.verdict for check in late.checks} == {"skipped"} and time.perf_counter() - started < 30
    assert "give more seconds=" in str(late)


@given(values=st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=5))
@example(values=[1.1920928955078125e-07])  # the slope of a root changes within the usual step
def test_any_point_of_a_right_function_passes(values):
    x = torch.tensor(values, requires_grad=True)
    assert gradient_report((x.exp() * x.relu() + x.abs().sqrt().clamp(max=1.0)).sum()).ok


def test_recurrent_layers_and_attention():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5)
    assert gradient_report(nn.GRU(5, 7), lambda net: (net(x)[0] ** 2).sum()).ok
    q = torch.randn(5, 2, 8)
    assert gradient_report(nn.MultiheadAttention(8, 2), lambda net: (net(q, q, q)[0] ** 2).sum()).ok


def test_a_loss_after_backward_and_text_that_fits():
    x = torch.randn(30, 50).requires_grad_()
    loss = (torch.tanh(x) @ torch.randn(50, 2)).relu().sum()
    loss.backward()
    report = gradient_report(loss)
    assert report.ok
    assert max(map(len, str(report).splitlines())) <= 100
    assert "<table>" in report._repr_html_() and "tanh" in report._repr_markdown_()


def test_wrong_calls():
    model, _ = model_and_loss()
    with pytest.raises(TypeError, match="give loss_fn"):
        gradient_report(model)
    with pytest.raises(TypeError, match="a loss is checked alone"):
        gradient_report(torch.ones(1, requires_grad=True) * 2, lambda: None)
    with pytest.raises(TypeError, match="expected a Module"):
        gradient_report(3)
    with pytest.raises(TypeError, match="must return a tensor"):
        gradient_report(model, lambda net: 3.0)
    with pytest.raises(GraphError, match="no recorded graph"):
        gradient_report(torch.ones(1))
    with pytest.raises(ValueError, match="entries must be >= 1"):
        gradient_report(torch.ones(1, requires_grad=True) * 2, entries=0)
