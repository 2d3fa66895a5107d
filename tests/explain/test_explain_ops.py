"""explain: every op has words; the numbers of a call are the numbers of that call."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import autograd, nn, testing
from tinygrad_edu.ops.registry import differentiable_ops, registry
from tinygrad_edu.recording import apply, wrap


def fits(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", list(registry))
def test_every_op_is_explained_in_words_that_fit(name):
    text = str(torch.explain(name))
    assert text.startswith(name) and fits(text)
    for rule in registry[name].rules:
        assert f"dL/d{rule}" in text
    assert "{" not in text.replace("{t", "")


@pytest.mark.parametrize("op", list(differentiable_ops()), ids=str)
@given(data=st.data())
def test_every_call_is_explained(op, data):
    inputs, params = data.draw(testing.inputs_of(op))
    leaves = [
        wrap(np.array(x)).requires_grad_() if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in inputs
    ]
    out = apply(op, leaves, {**op.defaults, **params})
    text = str(torch.explain(out))
    assert text.startswith(op.name) and "formula" in text and "numbers" in text and fits(text)


def test_the_numbers_of_a_product_of_matrices():
    x = torch.tensor([[1.0, 2.0], [-3.0, 4.0]], requires_grad=True)
    w = torch.tensor([[0.5, 1.0], [2.0, 3.0]], requires_grad=True)
    w.name = "W"
    with autograd.keep_values():
        h = x @ w
    text = str(h.explain())
    assert "out = x W" in text and "dL/dx = dL/dout Wᵀ" in text
    assert "out[0, 0] = 1·0.5 + 2·2 = 4.5" in text
    assert "dL/dW = [[−2, −2], [6, 6]]" in text  # xᵀ 1: 1 − 3 and 2 + 4
    assert "W, 16 B: dL/dx needs it" in text and "x, 16 B: dL/dW needs it" in text
    assert "test_explain_ops.py" in text and "h = x @ w" in text


def test_the_line_is_known_only_if_it_was_kept():
    y = torch.ones(2, requires_grad=True) * 2
    assert "keep_values" in str(torch.explain(y))


def test_broadcasting_is_pointed_out():
    x, b = torch.ones(2, 3, requires_grad=True), torch.ones(3, requires_grad=True)
    text = str(torch.explain(x + b))
    assert "y (3,) is stretched to (2, 3); its gradient is summed over dim 0" in text
    assert "none: all inputs have the shape" in str(torch.explain(x + x))
    column = torch.ones(2, 1, requires_grad=True)
    assert "summed over dim 1" in str(torch.explain(x * column))


def test_numbers_of_elementwise_ops_and_of_reductions():
    x = torch.tensor([[2.0, -3.0], [5.0, 1.0]], requires_grad=True)
    assert "out[0, 0] = 2 · (−3) = −6" in str(torch.explain(x[:1, :1] * -3.0))
    assert "out[0] = (2 + (−3)) / 2 = −0.5" in str(torch.explain(x.mean(1)))
    assert "max(2, 5) = 5" in str(torch.explain(x.amax(0)))
    assert "2 + (−3) + 5 + 1 = 5" in str(torch.explain(x.sum()))
    assert "… (2000 in all)" in str(torch.explain(torch.ones(2000, requires_grad=True).sum()))


def test_the_gradient_that_arrived_is_used_after_backward():
    x = torch.tensor([3.0], requires_grad=True)
    y = x * 4.0
    (y * 10.0).sum().backward()
    assert "with dL/dout = [10]: dL/dx[0] = 10 · 4 = 40" in str(torch.explain(y))
    assert "released" in str(torch.explain(y))


def test_a_rule_that_needs_nothing_keeps_nothing():
    x = torch.ones(3, requires_grad=True)
    assert "nothing: no rule needs a value" in str(torch.explain(-x))


def test_fused_ops_say_so():
    x, layer = torch.rand(40, 100), nn.Linear(100, 50)
    text = str(torch.explain(layer(x)))
    assert "a fused op" in text or "matmul" in text
    big = F.linear(x, layer.weight, layer.bias)
    assert "linear" in str(torch.explain("linear"))
    assert big.explain().title


def test_a_function_of_the_user():
    class Cube(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 3 * x**2

    text = str(torch.explain(Cube.apply(torch.tensor([2.0], requires_grad=True))))
    assert "Cube(x)" in text and "dL/dx = [12]" in text and "save_for_backward" in text


def test_a_function_of_several_results():
    class Both(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x + 1, x * 2

        @staticmethod
        def backward(ctx, a, b):
            return a + 2 * b

    x = torch.tensor([2.0], requires_grad=True)
    _, second = Both.apply(x)
    assert "Both" in str(torch.explain(second))


def test_a_long_history_is_not_computed_again():
    x = torch.full((3000,), 0.5, requires_grad=True)
    calls = []
    exp = registry["exp"]
    y = x
    for _ in range(20):
        y = torch.exp(-y)
    before = exp.forward
    exp.forward = lambda x: calls.append(1) or before(x)
    try:
        text = str(torch.explain(y * 2.0))
    finally:
        exp.forward = before
    assert "· 2" in text and not calls, "the input of this op is alive"


def test_leaves_and_constants():
    x = torch.ones(2, requires_grad=True)
    assert "backward adds its gradient to .grad" in str(torch.explain(x))
    assert "from the result of mul" in str(torch.explain((x * 2).detach()))
    assert "requires no grad" in str(torch.explain(torch.ones(2)))


def test_names_functions_and_mistakes():
    assert str(torch.explain(torch.relu)) == str(torch.explain("relu"))
    assert "made of other ops" in str(torch.explain(F.cross_entropy))
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        torch.explain("rellu")
    with pytest.raises(TypeError, match="summary"):
        torch.explain(3)


def test_a_notebook_gets_markdown_and_html():
    found = torch.explain(torch.ones(2, requires_grad=True) * 2)
    assert found._repr_markdown_().startswith("**mul")
    page = found._repr_html_()
    assert page.count("<tr>") == len(found.parts) and "dL/dx" in page
