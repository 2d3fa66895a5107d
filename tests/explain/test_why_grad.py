"""why_grad: each reason for a gradient that is None, zero or NaN, with the op and the fix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import autograd, nn

why_grad = torch.why_grad


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def after_backward(function, *values):
    x = leaf(*values)
    with autograd.keep_values():
        loss = function(x)
    loss.backward()
    return why_grad(x, loss)


def test_backward_was_not_called():
    x = leaf(1.0)
    assert why_grad(x).reason == "no backward has reached it"
    found = why_grad(x, (x * 2).sum())
    assert (found.state, found.reason, found.fix) == ("None", "backward was not called", "call loss.backward()")


def test_cleared_after_backward():
    x = leaf(1.0)
    loss = (x * x).sum()
    loss.backward()
    x.grad = None
    assert why_grad(x, loss).reason == "cleared after backward"
    x.grad = torch.zeros(1)
    assert why_grad(x, loss).reason == "cleared after backward"


def test_requires_grad_is_off():
    assert why_grad(torch.ones(2)).reason == "requires_grad is False"
    with torch.no_grad():
        assert "no_grad() or inference_mode()" in str(why_grad(torch.ones(2)))
    layer = nn.Linear(2, 1).requires_grad_(False)
    found = why_grad(layer.weight)
    assert found.reason.startswith("a frozen parameter") and found.fix == "parameter.requires_grad_()"


def test_integers():
    found = why_grad(torch.tensor([1, 2]))
    assert found.reason == "its dtype is int64" and "float()" in found.fix


def test_detached_names_the_op_and_the_line():
    x, y = leaf(1.0, 2.0), leaf(1.0, 1.0)
    with autograd.keep_values():
        cut = (x * 3.0).detach()
        loss = (cut * y).sum()
    found = why_grad(x, loss)
    assert found.reason == "detached after mul" and found.op == "mul"
    assert found.location.partition(":")[0].endswith("test_why_grad.py")
    assert "cut = (x * 3.0).detach()" in str(found)
    assert why_grad(cut).reason == "detached after mul"
    assert why_grad(x, loss.detach()).reason == "the loss is detached"


def test_not_on_a_path():
    x, y = leaf(1.0), leaf(2.0)
    assert why_grad(x, (y * 2).sum()).reason == "not on a path to this loss"
    loss = (y * 2).sum()
    assert why_grad(leaf(1.0), loss).reason == "made after the loss"


def test_no_grad_on_the_way_is_suspected_where_it_may_be():
    x, y = leaf(1.0), leaf(2.0)
    with torch.no_grad():
        hidden = x * 5
    with autograd.keep_values():
        loss = (hidden * y).sum()
    text = str(why_grad(x, loss))
    assert "(1,) in mul" in text and "no_grad()" in text
    with torch.no_grad():
        assert why_grad(x, (x * 2).sum()).reason == "the loss has no graph"


def test_no_leaf():
    w = leaf(1.0, 2.0)
    w = w - 0.1 * w
    found = why_grad(w)
    assert found.reason == "it is no leaf" and found.op == "sub"
    assert "retain_grad()" in found.fix and "overwritten" in str(found)


def test_no_leaf_tells_what_flowed_through_it():
    x = leaf(1.0, 2.0)
    h = x * 2
    (h * 3).sum().backward()
    assert "[3, 3]" in str(why_grad(h))
    h = x * 2
    h.retain_grad()
    (h * 3).sum().backward()
    assert why_grad(h).state == "there"


@pytest.mark.parametrize(
    ("kind", "op", "function"),
    [
        ("dead ReLU", "relu", lambda x: torch.relu(x - 5).sum()),
        ("saturated", "sigmoid", lambda x: torch.sigmoid(x * 200).sum()),
        ("saturated", "tanh", lambda x: torch.tanh(x * 200).sum()),
        ("masked", "maximum", lambda x: torch.maximum(x, torch.tensor([5.0, 5.0])).sum()),
        ("masked", "clamp", lambda x: x.clamp(max=0.5).sum()),
        ("masked", "cat", lambda x: torch.cat([x, torch.ones(3)])[2:].sum()),
        ("step function", "sign", lambda x: torch.sign(x).sum()),
        ("step function", "round", lambda x: torch.round(x * 3).sum()),
        ("masked", "mul", lambda x: (x * torch.zeros(2)).exp().sum()),
        ("masked", "mul", lambda x: nn.Dropout(1.0)(x * 2).sum()),
        ("zero factor", "matmul", lambda x: (x.reshape(1, 2) @ torch.zeros(2, 3)).sum()),
        ("saturated", "div", lambda x: (x * 400).softmax(0)[0]),
        ("at its end", "sub", lambda x: F.cross_entropy((x * 400)[None], torch.tensor([1]))),
    ],
)
def test_zero_names_the_op(kind, op, function):
    found = after_backward(function, 1.0, 2.0)
    assert found.state == "zero" and found.reason.startswith(kind), found
    assert found.op == op
    assert found.fix and "test_why_grad.py" in found.location


def test_the_share_of_dead_units_is_told():
    x, w = torch.ones(1, 2), leaf(1.0)
    bias = leaf(-5.0, 3.0)
    loss = (torch.relu(x * w + bias) * torch.tensor([1.0, 0.0])).sum()
    loss.backward()
    assert "50.0 %" in str(why_grad(w, loss))


def test_summands_that_cancel():
    assert after_backward(lambda x: (x - x).sum(), 1.0, 2.0).reason == "its summands cancel"


@pytest.mark.parametrize("batch", [8, 400])  # primitives, and the fused kernels
def test_a_bias_before_batch_norm(batch):
    torch.manual_seed(0)
    linear, norm, x = nn.Linear(3, 4), nn.BatchNorm1d(4), torch.randn(batch, 3)
    loss = (norm(linear(x)) ** 3).sum()
    loss.backward()
    found = why_grad(linear.bias, loss)
    assert found.reason == "a bias before BatchNorm" and "bias=False" in found.fix
    assert found.state in ("rounding", "zero")
    assert why_grad(linear.weight, loss).state == "there"


def test_nan_is_handed_to_find_nan():
    found = after_backward(lambda x: torch.sqrt(x - 1).sum(), 1.0, 2.0)
    assert found.state == "NaN" and found.op == "sqrt" and "eps" in found.fix
    x = leaf(1.0)
    x.grad = torch.tensor([float("nan")])
    assert "find_nan(loss)" in why_grad(x).fix
    assert why_grad(x, (x * 2).sum()).reason == "left from an earlier backward"


@given(values=st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=6))
def test_it_changes_nothing_and_never_calls_a_gradient_zero_that_is_not(values):
    x = torch.tensor(values, requires_grad=True)
    loss = (torch.relu(x) * torch.tanh(x)).sum()
    loss.backward()
    before, node = x.grad.numpy().copy(), loss.grad_fn
    found = why_grad(x, loss)
    assert (found.state == "zero") == (not before.any())
    np.testing.assert_array_equal(x.grad.numpy(), before)
    assert loss.grad_fn is node


def test_it_says_when_it_is_too_late():
    x = leaf(1.0)
    data = torch.ones(1)
    loss = (x * data * x).sum()
    loss.backward()
    with torch.no_grad():
        x -= 0.5
    assert "before the optimizer steps" in str(why_grad(x, loss))


def test_wrong_arguments():
    with pytest.raises(TypeError, match="tensor must be a tensor"):
        why_grad(3)
    with pytest.raises(TypeError, match="loss must be a tensor"):
        why_grad(leaf(1.0), 3)
