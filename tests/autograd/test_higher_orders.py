"""autograd.grad to any order, against formulas; unused inputs; gradients of gradients through compositions."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu import autograd
from tinygrad_edu.errors import GraphError
from tinygrad_edu.testing import assert_close, check_gradients

POINT = 0.7
FOURTH = {
    "sin": (t.sin, [math.sin(POINT), math.cos(POINT), -math.sin(POINT), -math.cos(POINT), math.sin(POINT)]),
    "exp": (t.exp, [math.exp(POINT)] * 5),
    "log": (t.log, [math.log(POINT), 1 / POINT, -(POINT**-2), 2 * POINT**-3, -6 * POINT**-4]),
    "cube": (lambda x: x**3, [POINT**3, 3 * POINT**2, 6 * POINT, 6.0, 0.0]),
    "product": (lambda x: x * x * x, [POINT**3, 3 * POINT**2, 6 * POINT, 6.0, 0.0]),
    "reciprocal": (lambda x: 1 / x, [1 / POINT, -(POINT**-2), 2 * POINT**-3, -6 * POINT**-4, 24 * POINT**-5]),
    "sqrt": (t.sqrt, [POINT**0.5, 0.5 * POINT**-0.5, -0.25 * POINT**-1.5, 0.375 * POINT**-2.5, -0.9375 * POINT**-3.5]),
    "sinh": (t.sinh, [math.sinh(POINT), math.cosh(POINT)] * 2 + [math.sinh(POINT)]),
}


def sigmoid_derivatives():
    s = 1 / (1 + math.exp(-POINT))
    first = s * (1 - s)
    third = first * (1 - 6 * s + 6 * s * s)
    return [s, first, first * (1 - 2 * s), third, first * (1 - 2 * s) * (1 - 12 * s + 12 * s * s)]


FOURTH["sigmoid"] = (t.sigmoid, sigmoid_derivatives())


@pytest.mark.parametrize("name", FOURTH)
def test_four_derivatives(name):
    function, expected = FOURTH[name]
    x = t.tensor(POINT, dtype=t.float64, requires_grad=True)
    value = function(x)
    for order, number in enumerate(expected):
        assert_close(value, number, rtol=1e-9, atol=1e-12)
        if order < 4 and value.requires_grad:
            (value,) = autograd.grad(value, x, create_graph=True, allow_unused=True, materialize_grads=True)
        elif order < 4:
            value = value * 0


def test_backward_with_create_graph_leaves_a_grad_that_can_be_differentiated():
    x = t.tensor(2.0, requires_grad=True)
    (x**3).backward(create_graph=True)
    assert x.grad.item() == 12.0 and x.grad.requires_grad
    (second,) = autograd.grad(x.grad, x)
    assert second.item() == 12.0


def test_grad_penalty_reaches_the_parameters():
    w = t.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=t.float64, requires_grad=True)
    x = t.tensor([1.0, -1.0], dtype=t.float64, requires_grad=True)
    (g,) = autograd.grad(((w @ x) ** 2).sum(), x, create_graph=True)  # 2 wᵀ w x
    g.pow(2).sum().backward()
    h = 1e-6
    numeric = np.zeros((2, 2))
    for i in range(2):
        for j in range(2):
            both = []
            for sign in (1, -1):
                moved = w.detach().array.copy()
                moved[i, j] += sign * h
                both.append(((2 * moved.T @ moved @ x.detach().array) ** 2).sum())
            numeric[i, j] = (both[0] - both[1]) / (2 * h)
    assert_close(w.grad, numeric, rtol=1e-5)


def test_hessian_of_a_quadratic_is_its_matrix():
    a = t.tensor([[2.0, 1.0], [1.0, 5.0]])
    x = t.tensor([0.3, -0.4], requires_grad=True)
    (g,) = autograd.grad(0.5 * (x @ a @ x), x, create_graph=True)
    rows = [autograd.grad(g[i], x, retain_graph=True)[0].tolist() for i in range(2)]
    assert_close(t.tensor(rows), a, rtol=1e-5)


def test_unused_inputs():
    x, y = t.ones(2, requires_grad=True), t.ones(3, requires_grad=True)
    with pytest.raises(GraphError, match=r"not have been used.*\(3,\).*allow_unused=True"):
        autograd.grad((x * 2).sum(), [x, y])
    gx, gy = autograd.grad((x * 2).sum(), [x, y], allow_unused=True)
    assert gx.tolist() == [2.0, 2.0] and gy is None
    _, gy = autograd.grad((x * 2).sum(), [x, y], materialize_grads=True)
    assert gy.tolist() == [0.0, 0.0, 0.0]


def test_wrong_calls():
    x = t.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match="does not require grad"):
        autograd.grad(x.sum(), t.ones(2))
    with pytest.raises(GraphError, match="does not require grad"):
        autograd.grad(t.ones(()), x)
    with pytest.raises(GraphError, match="scalar outputs"):
        autograd.grad(x * 2, x)
    with pytest.raises(GraphError, match="non-empty"):
        autograd.grad(x.sum(), [])
    with pytest.raises(GraphError, match="2 tensors and 1 gradients"):
        autograd.grad([x.sum(), x.sum()], x, [t.tensor(1.0)])
    with pytest.raises(NotImplementedError, match="is_grads_batched"):
        autograd.grad(x.sum(), x, is_grads_batched=True)


def test_grad_with_respect_to_an_intermediate_and_to_the_output_itself():
    x = t.tensor(2.0, requires_grad=True)
    y = x * x
    z = y * 3 + x
    gy, gx = autograd.grad(z, [y, x])
    assert gy.item() == 3.0 and gx.item() == 13.0
    y = x * x
    assert autograd.grad(y, y)[0].item() == 1.0
    assert autograd.grad([y, y], [x], [t.tensor(1.0), t.tensor(2.0)])[0].item() == 12.0


def test_grad_leaves_dot_grad_alone_and_frees_the_graph():
    x = t.tensor(2.0, requires_grad=True)
    y = x * x
    autograd.grad(y, x, retain_graph=True)
    autograd.grad(y, x)
    assert x.grad is None
    with pytest.raises(GraphError, match="second time"):
        autograd.grad(y, x)


COMPOSITIONS = {
    "softmax": lambda x: t.softmax(x, -1),
    "log_softmax": lambda x: t.log_softmax(x, -1),
    "logsumexp": lambda x: t.logsumexp(x, 0),
    "var": lambda x: x.var(0),
    "std": lambda x: x.std(1, unbiased=False),
    "norm": lambda x: x.norm(dim=1),
    "norm3": lambda x: x.norm(3, dim=0),
    "prod": lambda x: x.prod((0, 1)),
    "prod of one dim": lambda x: x.prod(1, keepdim=True),
    "cumsum": lambda x: x.cumsum(0) ** 2,
    "max": lambda x: x.max(1).values ** 2,
    "sort": lambda x: x.sort(1).values * x,
    "topk": lambda x: x.topk(2, 1).values.exp(),
    "einsum": lambda x: t.einsum("ij,kj->ik", x, x),
    "diagonal": lambda x: t.einsum("ii->i", x @ x.T),
    "matmul": lambda x: x @ x.T @ x,
    "outer": lambda x: t.outer(x[0], x[:, 1]),
    "indexing": lambda x: x[[0, 0, 1]] * x[0, [1, 1, 0]],
    "mixed indexing": lambda x: t.stack([x, x * x])[0, :, [0, 2]],
    "in place": lambda x: _in_place(x * 1),
    "view in place": lambda x: _view_in_place(x * 1),
    "split": lambda x: x.split(2, 1)[0] * x.unbind(1)[2].unsqueeze(1),
    "cat": lambda x: t.cat([x, x * x, x.sin()], 1) ** 2,
    "roll and flip": lambda x: x.roll(1, 0) * x.flip(1),
    "scatter": lambda x: x.scatter_add(1, t.tensor([[0, 0], [1, 2]]), x[:, :2] ** 2),
    "gather": lambda x: x.gather(1, t.tensor([[0, 0], [1, 2]])) ** 3,
    "where": lambda x: t.where(x > 0.2, x * x, x.sin()),
    "masked_fill": lambda x: x.masked_fill(x > 1, 0.0) ** 2,
    "clamp": lambda x: x.clamp(-0.6, 0.6) ** 2,
    "repeat": lambda x: x.repeat(2, 2) ** 2,
    "expand": lambda x: x.unsqueeze(0).expand(4, -1, -1) * x,
    "lerp": lambda x: x.lerp(x * x, x),
    "pow": lambda x: (x * x + 1) ** x,
    "tril": lambda x: x.tril() @ x.T.triu(),
    "trace": lambda x: (x @ x.T).trace(),
    "take_along_dim": lambda x: x.take_along_dim(x.argsort(1), 1) * x,
}


def _in_place(y):
    y[0] = y[1].clone().sin()
    y += y.clone() * y.clone()
    return y.mul_(y)


def _view_in_place(y):
    y[1].mul_(y[0])
    y.T[0].exp_()
    return y * y


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_second_derivative_of_compositions(name):
    x = np.array([[0.31, -0.52, 1.13], [-1.24, 0.75, 0.46]])
    check_gradients(COMPOSITIONS[name], [x], order=3 if name in ("softmax", "matmul") else 2)


def test_norm_and_std_at_zero_have_the_subgradient_zero():
    for function in (lambda x: x.norm(), lambda x: x.std(), lambda x: x.norm(3), lambda x: x.norm(1)):
        x = t.zeros(3, requires_grad=True)
        function(x).backward()
        assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_ties_share_the_gradient_of_a_maximum():
    x = t.tensor([[2.0, 2.0, 1.0]], requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [[0.5, 0.5, 0.0]]
    x.grad = None
    x.max(1).values.sum().backward()  # with an index: one winner, as in PyTorch
    assert x.grad.tolist() == [[1.0, 0.0, 0.0]]
