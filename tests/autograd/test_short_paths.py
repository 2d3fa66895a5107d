"""The short ways for what runs most: `tensor op number`, the usual form of a call, and the order of the walk."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu import autograd

# What is computed, its first and its second derivative at x, by hand.
WITH_A_NUMBER = {
    "x + 3": (lambda x: x + 3, 1.0, 0.0),
    "3 + x": (lambda x: 3 + x, 1.0, 0.0),
    "x - 3": (lambda x: x - 3, 1.0, 0.0),
    "3 - x": (lambda x: 3 - x, -1.0, 0.0),
    "x * 3": (lambda x: x * 3, 3.0, 0.0),
    "3 * x": (lambda x: 3 * x, 3.0, 0.0),
    "x / 4": (lambda x: x / 4, 0.25, 0.0),
    "4 / x": (lambda x: 4 / x, -1.0, 1.0),  # -4 / x², 8 / x³ at x = 2
    "(x * 3) * x": (lambda x: (x * 3) * x, 12.0, 6.0),
    "(1 / x) / 3": (lambda x: (1 / x) / 3, -1 / 12, 1 / 12),  # -1 / 3x², 2 / 3x³
}


@pytest.mark.parametrize("text", WITH_A_NUMBER)
@pytest.mark.parametrize("shape", [(), (3,), (2, 1)], ids=str)
@pytest.mark.parametrize("dtype", [t.float32, t.float64], ids=str)
def test_a_number_on_either_side(text, shape, dtype):
    compute, first, second = WITH_A_NUMBER[text]
    x = t.full(shape, 2.0, dtype=dtype, requires_grad=True)
    y = compute(x)
    assert y.dtype is dtype and y.array.shape == shape and isinstance(y.array, np.ndarray)
    np.testing.assert_allclose(y.array, np.full(shape, compute(2.0)), rtol=1e-6)
    y.sum().backward()
    assert x.grad.dtype is dtype
    np.testing.assert_allclose(x.grad.array, np.full(shape, first), rtol=1e-6)

    (slope,) = autograd.grad(compute(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(slope.array, np.full(shape, first), rtol=1e-6)
    # x · 0 keeps x in the graph where the first derivative is a constant
    (bend,) = autograd.grad((slope + x * 0).sum(), x)
    np.testing.assert_allclose(bend.array, np.full(shape, second), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod])
def test_a_number_and_integers_keep_pytorchs_types(op):
    x = t.tensor([7, 8])
    assert op(x, 3).dtype is t.int64 and op(x, 3).tolist() == [op(7, 3), op(8, 3)]
    assert op(20, x).dtype is t.int64 and op(20, x).tolist() == [op(20, 7), op(20, 8)]
    assert op(x, 0.5).dtype is t.float32 and op(0.5, x).dtype is t.float32


def test_a_number_is_not_recorded_where_nothing_can_flow():
    x = t.tensor([7.0, 8.0], requires_grad=True)
    assert not (t.tensor([1.0]) * 2).requires_grad
    with t.no_grad():
        assert not (x * 2).requires_grad and not (2 - x).requires_grad
    assert (x * 2).requires_grad and (2 - x).requires_grad


def test_a_chain_of_numbers_in_place():
    x = t.tensor(3.0, requires_grad=True)
    y = x * 2
    y *= 5
    z = 1 - y * y
    y += 1
    with pytest.raises(t.errors.GraphError, match="modified by an inplace"):
        z.backward()


def test_the_walk_takes_every_node_once_and_the_latest_first():
    """60 diamonds have 2^60 paths; each node must run once, after all that use it."""
    x = t.tensor(1.0, dtype=t.float64, requires_grad=True)
    ran, y = [], x
    for k in range(60):
        left, right = y * 0.5, y * 0.25
        for name, branch in (("left", left), ("right", right)):
            branch.register_hook(lambda grad, k=k, name=name: ran.append((k, name)))
        y = left + right
    y.backward()
    assert x.grad.item() == pytest.approx(0.75**60)
    assert ran == [(k, name) for k in reversed(range(60)) for name in ("right", "left")]


def test_a_root_that_others_lead_to():
    """Both y and what is made from y are roots: y waits for the share that comes through z."""
    x = t.tensor(2.0, requires_grad=True)
    y = x * 3
    z = y * y
    autograd.backward([y, z])
    assert x.grad.item() == 3 + 2 * 6 * 3


def test_an_unwanted_root_is_left_alone():
    x, w = t.tensor(2.0, requires_grad=True), t.tensor(5.0, requires_grad=True)
    y, other = x * x, w * w
    (grad,) = autograd.grad([y, other], [x])
    assert grad.item() == 4.0 and w.grad is None
    other.backward()  # its saved values were not freed
    assert w.grad.item() == 10.0


def test_calls_in_the_usual_form_and_in_others_agree():
    gather, reshape = t.ops.indexing.gather, t.ops.movement.reshape
    x, index = np.arange(6.0).reshape(2, 3), np.array([[2], [0]])
    for call in (gather(x, index, dim=1), gather(x, index, 1), gather(x, index=index, dim=1)):
        assert call.tolist() == [[2.0], [3.0]]
    for call in (reshape(x, shape=(3, 2)), reshape(x, (3, 2)), reshape(x, 3, 2)):
        assert call.shape == (3, 2)
    with pytest.raises(TypeError, match="gather: missing argument 'dim'"):
        gather(x, index)
    with pytest.raises(TypeError, match="gather: unexpected argument 'dims'"):
        gather(x, index, dim=1, dims=2)
