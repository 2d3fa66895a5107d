"""register_hook and retain_grad, on leaves and in the middle."""

from __future__ import annotations

import pytest

import tinygrad_edu as t
from tinygrad_edu import autograd
from tinygrad_edu.errors import GraphError


@pytest.fixture
def x():
    return t.tensor([1.0, 2.0], requires_grad=True)


def test_a_hook_sees_the_whole_gradient_once(x):
    seen = []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y.sum() + (y * 3).sum()).backward()
    assert seen == [[4.0, 4.0]] and x.grad.tolist() == [8.0, 8.0]


def test_a_hook_replaces_the_gradient(x):
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert x.grad.tolist() == [20.0, 20.0]


def test_hooks_on_leaves_run_at_every_backward(x):
    x.register_hook(lambda g: g.clamp(max=1.0))
    (x * 5).sum().backward()
    (x * 5).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_hooks_run_in_order_and_can_be_removed(x):
    order = []
    y = x * 1
    first = y.register_hook(lambda g: order.append("a"))
    y.register_hook(lambda g: order.append("b"))
    y.sum().backward(retain_graph=True)
    first.remove()
    first.remove()
    y.sum().backward()
    assert order == ["a", "b", "b"]


def test_removing_one_of_two_equal_hooks_keeps_the_other(x):
    order = []

    def hook(g):
        order.append(1)

    y = x * 1
    y.register_hook(hook)
    handle = y.register_hook(hook)
    handle.remove()
    handle.remove()
    y.sum().backward()
    assert order == [1]


def test_a_hook_may_remove_itself_while_running(x):
    y = x * 1
    handles = []

    def once(g):
        handles[0].remove()
        return g * 2

    handles.append(y.register_hook(once))
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_hook_that_keeps_the_gradient_keeps_it_unchanged(x):
    kept = []
    x.register_hook(lambda g: kept.append(g))
    x.sum().backward()
    (x * 2).sum().backward()
    x.grad.mul_(100)
    assert kept[0].tolist() == [1.0, 1.0] and kept[1].tolist() == [2.0, 2.0]


def test_a_hook_of_the_wrong_shape(x):
    y = x * 1
    y.register_hook(lambda g: g.sum())
    with pytest.raises(RuntimeError, match=r"hook.*\(\).*\(2,\)"):
        y.sum().backward()


def test_hooks_under_create_graph_are_differentiated(x):
    y = x * x
    y.register_hook(lambda g: g * 3)
    (g,) = autograd.grad(y.sum(), x, create_graph=True)
    assert g.tolist() == [6.0, 12.0]
    (h,) = autograd.grad(g.sum(), x)
    assert h.tolist() == [6.0, 6.0]


def test_hooks_need_a_graph(x):
    with pytest.raises(RuntimeError, match="doesn't require grad"):
        x.detach().register_hook(print)
    with pytest.raises(GraphError, match="retain_grad"):
        x.detach().retain_grad()


def test_retain_grad(x):
    y = x * 2
    z = y * y
    y.retain_grad()
    assert y.retains_grad and not x.retains_grad
    z.sum().backward()
    assert y.grad.tolist() == [4.0, 8.0]
    with pytest.warns(UserWarning, match="not a leaf"):
        assert z.grad is None
    x.retain_grad()  # a leaf has one anyway
    assert x.grad.tolist() == [8.0, 16.0]


def test_retained_grad_sees_what_hooks_made_of_it(x):
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 7)
    y.sum().backward()
    assert y.grad.tolist() == [7.0, 7.0]


def test_retained_grad_of_the_result_itself(x):
    y = (x * 2).sum()
    y.retain_grad()
    y.backward()
    assert y.grad.item() == 1.0


def test_hooks_with_autograd_grad(x):
    seen = []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.tolist()))
    autograd.grad((y * y).sum(), x)
    assert seen == [[4.0, 8.0]]


def test_an_error_in_a_hook_is_the_users(x):
    y = x * 1
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
