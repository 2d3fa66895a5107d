"""What may be assigned to `.grad`; hooks that wait for it; hooks that answer wrongly; copies."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu import autograd, nn


@pytest.fixture
def x():
    return t.tensor([1.0, 2.0], requires_grad=True)


def test_a_gradient_can_be_assigned_and_removed(x):
    given = t.tensor([3.0, 4.0])
    x.grad = given
    assert x.grad is given
    (x * 1).sum().backward()
    assert x.grad.tolist() == [4.0, 5.0]
    x.grad = None
    assert x.grad is None
    x.grad = given
    del x.grad
    assert x.grad is None
    plain = t.ones(2)
    plain.grad = t.zeros(2)
    assert plain.grad.tolist() == [0.0, 0.0]


WRONG = {
    "number": (lambda lib: 1.0, TypeError, "expected to be a Tensor or None but got grad of type float"),
    "array": (lambda lib: np.ones(2, np.float32), TypeError, "of type .*ndarray"),
    "shape": (lambda lib: lib.ones(3), RuntimeError, r"gradient of size '\[3\]' to a tensor of size '\[2\]'"),
    "broadcast": (lambda lib: lib.ones(1), RuntimeError, "gradient of size"),
    "dtype": (lambda lib: lib.ones(2, dtype=lib.float64), RuntimeError, "gradient with dtype"),
    "integers": (lambda lib: lib.ones(2, dtype=lib.int64), RuntimeError, "gradient with dtype"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients(x, name):
    make, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        x.grad = make(t)
    assert x.grad is None


def test_a_tensor_is_not_its_own_gradient(x):
    with pytest.raises(RuntimeError, match="own grad"):
        x.grad = x


@pytest.mark.torch
@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_are_errors_of_the_same_type_in_pytorch(name):
    torch = pytest.importorskip("torch")
    make, error, words = WRONG[name]
    leaf = torch.ones(2, requires_grad=True)
    with pytest.raises(error, match=words):
        leaf.grad = make(torch)


# -- hooks ------------------------------------------------------------------------------------------------------------


def test_post_accumulate_grad_hook(x):
    seen = []
    first = x.register_post_accumulate_grad_hook(lambda p: seen.append((p is x, p.grad.tolist())))
    x.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
    x.register_hook(lambda g: g * 10)
    (x * 2).sum().backward()
    assert seen == [(True, [20.0, 20.0])] and x.grad is None
    (x * 3).sum().backward(inputs=[x])
    (x * x).sum().backward(create_graph=True)
    assert len(seen) == 3
    autograd.grad((x * 2).sum(), x)  # touches no .grad
    assert len(seen) == 3
    first.remove()
    (x * 2).sum().backward()
    assert len(seen) == 3


def test_an_optimizer_step_inside_backward():
    layer = nn.Linear(2, 1)
    before = layer.weight.tolist()

    def step(p):
        with t.no_grad():
            p.sub_(0.1 * p.grad)
        p.grad = None

    for p in layer.parameters():
        p.register_post_accumulate_grad_hook(step)
    layer(t.ones(1, 2)).sum().backward()
    assert np.allclose(layer.weight.tolist(), np.array(before) - 0.1) and layer.weight.grad is None


def test_post_accumulate_hooks_need_a_leaf(x):
    with pytest.raises(RuntimeError, match="non-leaf"):
        (x * 1).register_post_accumulate_grad_hook(print)
    with pytest.raises(RuntimeError, match="doesn't require grad"):
        x.detach().register_post_accumulate_grad_hook(print)
    x.register_post_accumulate_grad_hook(lambda p: 3)
    with pytest.raises(TypeError, match="must return None.*int.*register_hook"):
        x.sum().backward()


def test_a_hook_that_answers_wrongly(x):
    for answer, error, words in (
        (3, TypeError, "expected a tensor or None, but the hook returned a int"),
        (t.ones(2, dtype=t.float64), RuntimeError, "changed the type of value"),
        (t.ones(3), RuntimeError, "shape"),
    ):
        y = x * 1
        y.register_hook(lambda g, answer=answer: answer)
        with pytest.raises(error, match=words):
            y.sum().backward()


# -- grad and backward of several tensors ------------------------------------------------------------------------------


def test_grad_outputs_and_backward_of_several(x):
    y, z = x * 2, x * x
    found = autograd.grad((y, z), (x,), grad_outputs=(t.tensor([1.0, 0.0]), t.tensor([0.0, 1.0])))
    assert found[0].tolist() == [2.0, 4.0]
    y, z = x * 2, (x * x).sum()
    autograd.backward([y, z], [t.tensor([1.0, 0.0]), None])
    assert x.grad.tolist() == [4.0, 4.0]
    autograd.backward((x * 3).sum())
    assert x.grad.tolist() == [7.0, 7.0]


# -- copies -----------------------------------------------------------------------------------------------------------


def test_deepcopy_and_pickle_of_modules_keep_what_matters():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    net[0].weight.requires_grad_(False)
    net(t.ones(1, 2)).sum().backward()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert [p.requires_grad for p in other.parameters()] == [False, True, True, True]
        for a, b in zip(net.parameters(), other.parameters(), strict=True):
            assert a.tolist() == b.tolist() and not np.shares_memory(a.detach().array, b.detach().array)
        other(t.ones(1, 2)).sum().backward()
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(net(t.ones(1, 2)))
