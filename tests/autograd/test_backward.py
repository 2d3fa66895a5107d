"""backward(): accumulation, freed graphs, seeds, shared and diamond graphs, in-place changes, aliasing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as t
from tinygrad_edu import autograd
from tinygrad_edu.errors import GraphError
from tinygrad_edu.testing import assert_close


def leaf(*values):
    return t.tensor(values[0] if len(values) == 1 else list(values), requires_grad=True)


def test_gradients_accumulate_until_they_are_set_to_none():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 8.0]
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_grad_is_of_the_shape_and_dtype_of_the_leaf():
    for dtype in (t.float32, t.float64):
        x = t.ones(2, 1, dtype=dtype, requires_grad=True)
        (x * t.ones(3, 2, 5, dtype=t.float64)).sum().backward()
        assert x.grad.shape == (2, 1) and x.grad.dtype is dtype


def test_a_freed_graph_cannot_be_walked_again():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError, match=r"(sum|mul): .*second time.*retain_graph=True"):
        y.backward()


def test_retain_graph_walks_again():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [6.0, 12.0]
    with pytest.raises(GraphError, match="second time"):
        y.backward()


def test_a_graph_that_saved_nothing_can_be_walked_again():
    x = leaf(1.0)
    y = x + 1
    y.backward()
    y.backward()
    assert x.grad.item() == 2.0


def test_two_losses_share_a_subgraph():
    x = leaf(2.0)
    shared = x.exp()
    a, b = shared * 2, shared.sin()
    a.backward(retain_graph=True)
    b.backward()
    assert_close(x.grad, np.exp(2) * (2 + np.cos(np.exp(2))), rtol=1e-5)
    x.grad = None
    shared = x * x
    a, b = shared * 2, shared * 3
    a.backward()
    with pytest.raises(GraphError, match="second time"):
        b.backward()


def test_non_scalar_needs_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(GraphError, match=r"implicitly created only for scalar outputs.*\(2,\).*gradient="):
        (x * 2).backward()
    (x * 2).backward(t.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]
    x.grad = None
    (x * 2).backward(gradient=[1.0, 10.0])
    assert x.grad.tolist() == [2.0, 20.0]
    (x[:1] * 1).backward()  # one entry counts as a scalar
    assert x.grad.tolist() == [3.0, 20.0]


def test_gradient_of_the_wrong_shape_or_dtype():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"\(3,\).*\(2,\)"):
        (x * 2).backward(t.ones(3))
    with pytest.raises(RuntimeError, match=r"float64.*float32"):
        (x * 2).backward(t.ones(2, dtype=t.float64))


def test_backward_of_a_leaf_and_without_a_graph():
    x = leaf(3.0)
    x.backward()
    assert x.grad.item() == 1.0
    with pytest.raises(GraphError, match="does not require grad"):
        t.tensor(1.0).backward()
    with pytest.raises(GraphError, match="does not require grad"):
        x.detach().backward()


def test_backward_into_chosen_leaves_only():
    x, w = leaf(2.0), leaf(5.0)
    (x * w).backward(inputs=[w])
    assert x.grad is None and w.grad.item() == 2.0
    y = x * w
    y.backward(inputs=x)
    assert x.grad.item() == 5.0 and w.grad.item() == 2.0
    with pytest.raises(GraphError, match="inputs"):
        (x * w).backward(inputs=[t.tensor(1.0)])


def test_diamond():
    """Both paths add up, and each node runs once: 2^40 paths would never end."""
    x = leaf(1.0)
    y = x
    for _ in range(40):
        y = y * 0.5 + y * 0.5
    y.backward()
    assert x.grad.item() == 1.0


@given(n=st.integers(1, 30), seed=st.integers(0, 2**16))
def test_random_graphs_have_the_gradient_of_their_formula(n, seed):
    """A random DAG of sums and products against forward-mode dual numbers."""
    rng = np.random.default_rng(seed)
    x = t.tensor(rng.uniform(0.5, 1.5), dtype=t.float64, requires_grad=True)
    nodes, duals = [x, x * 1.0], [(x.item(), 1.0), (x.item(), 1.0)]
    for _ in range(n):
        i, j = rng.integers(len(nodes), size=2)
        (a, da), (b, db) = duals[i], duals[j]
        if rng.random() < 0.5:
            nodes.append(nodes[i] + nodes[j])
            duals.append((a + b, da + db))
        else:
            nodes.append((nodes[i] * nodes[j]).sin())
            duals.append((np.sin(a * b), np.cos(a * b) * (da * b + a * db)))
    nodes[-1].backward()
    assert_close(x.grad, duals[-1][1], rtol=1e-9, atol=1e-12)


def test_the_same_tensor_twice():
    x = leaf(3.0)
    (x * x).backward()
    assert x.grad.item() == 6.0
    x.grad = None
    (x @ x if x.ndim else x + x).backward()
    assert x.grad.item() == 2.0
    v = leaf(1.0, 2.0)
    (v @ v).backward()
    assert v.grad.tolist() == [2.0, 4.0]


def test_gradients_share_no_memory_with_each_other_or_with_the_caller():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = t.tensor([1.0, 1.0])
    (x + y).backward(seed)
    assert len({id(a.array.base if a.array.base is not None else a.array) for a in (x.grad, y.grad, seed)}) == 3
    x.grad.fill_(99.0)
    assert y.grad.tolist() == [1.0, 1.0] and seed.tolist() == [1.0, 1.0]
    x.grad = y.grad = None
    z = (x + y).reshape(2, 1).expand(2, 3).sum()
    z.backward()
    x.grad.zero_()
    assert y.grad.tolist() == [3.0, 3.0]
    given = np.ones(2, np.float32)
    x.grad = None
    x.backward(given)
    x.backward(given)
    assert given.tolist() == [1.0, 1.0] and x.grad.tolist() == [2.0, 2.0]


def test_autograd_grad_does_not_alias():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = t.ones(2)
    a, b = autograd.grad(x + y, [x, y], seed)
    a.zero_()
    assert b.tolist() == [1.0, 1.0] and seed.tolist() == [1.0, 1.0]
    assert x.grad is None


def test_stored_grads_are_not_changed_by_a_later_backward_of_another_tensor():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.sum().backward()
    kept = y.grad
    x.grad.mul_(5)
    assert kept.tolist() == [1.0, 1.0]


def test_broadcast_gradients_are_summed():
    x, y, s = t.ones(3, 1, requires_grad=True), t.ones(4, requires_grad=True), leaf(2.0)
    (x * y * s).sum().backward()
    assert x.grad.tolist() == [[8.0]] * 3 and y.grad.tolist() == [6.0] * 4 and s.grad.item() == 12.0


def test_size_zero():
    x = t.zeros(0, 3, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.shape == (0, 3)
    w = t.ones(3, 2, requires_grad=True)
    (x @ w).sum().backward()
    assert w.grad.tolist() == [[0.0, 0.0]] * 3


def test_values_saved_from_user_arrays_and_indices_are_safe():
    x = leaf(1.0, 2.0, 3.0)
    places = np.array([0, 1])
    y = x[places] * 1.0
    places[:] = 2
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0]


def test_a_changed_saved_value_is_an_error_that_names_the_op():
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y.sin()
    y += 1
    with pytest.raises(GraphError, match=r"sin: .*modified by an inplace operation.*clone\(\)"):
        z.sum().backward()


def test_an_in_place_op_keeps_what_it_overwrites():
    x = leaf(1.0, 2.0)
    y = x * 1
    y.mul_(y).sin_().clamp_(max=0.9)
    y.sum().backward()
    assert_close(x.grad, [2 * np.cos(1.0), 4 * np.cos(4.0)], rtol=1e-5)


def test_leaf_changed_under_no_grad_between_forward_and_backward():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    loss = (x * w).sum()
    with t.no_grad():
        w -= 1.0
    with pytest.raises(GraphError, match="mul"):
        loss.backward()


def test_training_steps_in_place_do_not_disturb_the_next_forward():
    w = leaf(4.0)
    for _ in range(50):
        loss = (w - 1) ** 2
        w.grad = None
        loss.backward()
        with t.no_grad():
            w -= 0.1 * w.grad
    assert abs(w.item() - 1) < 1e-3


def test_backward_of_several_tensors():
    x = leaf(2.0)
    autograd.backward([x * 2, x * x])
    assert x.grad.item() == 6.0
    autograd.backward([x * 2, x * 3], [t.tensor(10.0), None])
    assert x.grad.item() == 6.0 + 23.0
    with pytest.raises(GraphError, match="2 tensors and 1 gradients"):
        autograd.backward([x * 2, x * 3], [t.tensor(1.0)])


def test_retain_grad_follows_an_inplace_change():
    x = t.tensor([3.0, -1.0], requires_grad=True)
    y = x * 1
    y.retain_grad()
    y.mul_(2)
    (y**2).sum().backward()
    assert_close(y.grad, np.array([12.0, -4.0], np.float32))
    y = x * 1
    y.retain_grad()
    y[0] = 7.0
    (y * y).sum().backward()
    assert_close(y.grad, np.array([14.0, -2.0], np.float32))


def test_retain_grad_on_a_view_survives_a_change_of_its_base():
    x = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1
    v = y[:2]
    v.retain_grad()
    y.mul_(2)
    (v * v).sum().backward()
    assert_close(v.grad, np.array([4.0, 8.0], np.float32))
