"""Optimisers: formulas by hand, awkward gradients, closures, saving, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn, optim

ALL = [optim.SGD, optim.RMSprop, optim.Adam, optim.AdamW, optim.Adagrad]


def one(value=1.0, grad=None):
    p = nn.Parameter(tg.tensor([value], dtype=tg.float64))
    p.grad = None if grad is None else tg.tensor([grad], dtype=tg.float64)
    return p


def test_sgd_by_hand():
    p = one(1.0, 0.5)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    optimizer.step()
    np.testing.assert_allclose(p.array, [1.0 - 0.1 * 0.5])
    p.grad = tg.tensor([1.0], dtype=tg.float64)
    optimizer.step()
    np.testing.assert_allclose(p.array, [0.95 - 0.1 * (0.9 * 0.5 + 1.0)])


def test_adams_first_step_has_length_lr():
    for grad in (1e-3, 5.0, -70.0):
        p = one(1.0, grad)
        optim.Adam([p], lr=0.1).step()
        np.testing.assert_allclose(p.array, [1 - 0.1 * np.sign(grad)], 1e-5)


def test_adamw_shrinks_a_parameter_whose_gradient_is_zero():
    p = one(2.0, 0.0)
    optim.AdamW([p], lr=0.1, weight_decay=0.5).step()
    np.testing.assert_allclose(p.array, [2.0 * (1 - 0.05)])


@pytest.mark.parametrize("cls", ALL)
def test_every_optimiser_finds_the_bottom_of_a_bowl(cls):
    p = nn.Parameter(tg.tensor([3.0, -2.0], dtype=tg.float64))
    optimizer = cls([p], lr=0.1)
    for _ in range(600):
        optimizer.zero_grad()
        (p.square() * tg.tensor([1.0, 3.0], dtype=tg.float64)).sum().backward()
        optimizer.step()
    assert np.abs(p.array).max() < (1.0 if cls is optim.Adagrad else 0.1)


@pytest.mark.parametrize("cls", ALL)
def test_parameters_without_gradient_stay(cls):
    p, q = one(1.0, 0.5), one(1.0)
    optimizer = cls([p, q], lr=0.1)
    optimizer.step()
    assert q.item() == 1.0 and q not in optimizer.state and p.item() != 1.0


@pytest.mark.parametrize("cls", ALL)
def test_awkward_gradients(cls):
    """Transposed, broadcast (read-only), and part of a graph: the same step as a plain copy."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal((3, 4)).astype(np.float32)
    plain = rng.standard_normal((3, 4)).astype(np.float32)
    gradients = {
        "transposed": tg.tensor(plain.T.copy()).T,
        "in a graph": tg.tensor(plain, requires_grad=True) * 1.0,
        "broadcast": tg.tensor(0.5).expand(3, 4),
    }
    for name, gradient in gradients.items():
        results = []
        for g in (gradient, tg.tensor(np.array(gradient.detach().array, dtype=np.float32))):
            p = nn.Parameter(tg.tensor(start))
            p.grad = g
            cls([p], lr=0.1).step()
            results.append(p.array.copy())
        np.testing.assert_allclose(results[0], results[1], 1e-6, err_msg=name)
        assert p.array.dtype == np.float32


def test_a_non_contiguous_parameter():
    p = nn.Parameter(tg.ones(3, 2).T)
    p.grad = tg.ones(2, 3)
    for cls in ALL:
        cls([p], lr=0.1).step()
    assert np.isfinite(p.array).all() and (p.array != 1).all()


def test_the_step_is_an_in_place_change():
    """Backward through a graph recorded before the step is an error, never a wrong gradient."""
    p = one(2.0)
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    array = p.array
    optim.SGD([p], lr=0.1).step()
    assert p.array is array and p.requires_grad and p.is_leaf
    with pytest.raises(RuntimeError, match="in.?place"):
        loss.backward()


def test_closure_runs_with_recording_and_its_loss_comes_back():
    p = one(2.0)
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        assert optimizer.step(closure).item() == 4.0
    np.testing.assert_allclose(p.array, [2.0 - 0.4])


def test_zero_grad():
    p = one(1.0, 3.0)
    held = p.grad
    optimizer = optim.SGD([p])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is held and held.item() == 0
    optimizer.zero_grad()
    assert p.grad is None


def test_lr_as_a_tensor_and_changed_between_steps():
    p, lr = one(1.0, 1.0), tg.tensor(0.5)
    optimizer = optim.SGD([p], lr=lr)
    optimizer.step()
    np.testing.assert_allclose(p.array, [0.5])
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    np.testing.assert_allclose(p.array, [0.25])


def test_names():
    net = nn.Linear(2, 1)
    optimizer = optim.SGD(net.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["copy", "pickle"]
)
def test_copies_of_model_and_optimiser_belong_together(clone):
    net = nn.Linear(2, 1)
    optimizer = optim.Adam(net.parameters())
    net(tg.ones(1, 2)).sum().backward()
    optimizer.step()
    twin, other = clone((net, optimizer))
    assert other.param_groups[0]["params"][0] is twin.weight
    assert other.state[twin.weight]["exp_avg"].tolist() == optimizer.state[net.weight]["exp_avg"].tolist()
    before = net.weight.array.copy()
    twin(tg.ones(1, 2)).sum().backward()
    other.step()
    np.testing.assert_array_equal(net.weight.array, before)


def test_state_keeps_the_parameters_dtype():
    p = one(1.0, 1.0)
    first = optim.Adam([p])
    first.step()
    q = nn.Parameter(tg.ones(1))
    second = optim.Adam([q])
    second.load_state_dict(first.state_dict())
    assert second.state[q]["exp_avg"].dtype is tg.float32 and second.state[q]["step"].item() == 1


def test_repr():
    text = repr(optim.SGD([one()], lr=0.1, momentum=0.9))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.1\n") and text.endswith("\n)")


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, "optimizer got an empty parameter list", lambda: optim.SGD([])),
        (ValueError, "optimizer got an empty parameter list", lambda: optim.SGD(iter(()))),
        (TypeError, "should be an iterable of Tensors or dicts, but got Parameter", lambda: optim.SGD(one())),
        (TypeError, "optimizer can only optimize Tensors, but one of the params is int", lambda: optim.SGD([3])),
        (ValueError, "can't optimize a non-leaf Tensor", lambda: optim.SGD([one() * 2])),
        (TypeError, "Please use a list instead", lambda: optim.SGD({one()})),
        (ValueError, "some parameters appear in more than one parameter group", lambda: twice()),
        (TypeError, "param_group must be a dict, but got <class 'int'>", lambda: optim.SGD([one()]).add_param_group(3)),
        (ValueError, "Some param names are missing", lambda: optim.SGD([("a", one()), one()])),
        (ValueError, "Invalid learning rate: -1", lambda: optim.Adam([one()], lr=-1)),
        (ValueError, "Invalid learning rate: -1", lambda: optim.SGD([{"params": [one()], "lr": -1}])),
        (ValueError, "Invalid learning rate: nan", lambda: optim.SGD([one()], lr=float("nan"))),
        (ValueError, "Invalid weight_decay value: -1", lambda: optim.Adagrad([one()], weight_decay=-1)),
        (ValueError, "Invalid momentum value: -1", lambda: optim.SGD([one()], momentum=-1)),
        (ValueError, "Invalid momentum value: -1", lambda: optim.RMSprop([one()], momentum=-1)),
        (ValueError, "Nesterov momentum requires a momentum and zero dampening",
         lambda: optim.SGD([one()], nesterov=True)),
        (ValueError, "Invalid alpha value: -1", lambda: optim.RMSprop([one()], alpha=-1)),
        (ValueError, "Invalid epsilon value: -1", lambda: optim.RMSprop([one()], eps=-1)),
        (ValueError, "Invalid epsilon value: -1", lambda: optim.AdamW([one()], eps=-1)),
        (ValueError, "Invalid beta parameter at index 1: 1.0", lambda: optim.Adam([one()], betas=(0.9, 1.0))),
        (ValueError, "Invalid lr_decay value: -1", lambda: optim.Adagrad([one()], lr_decay=-1)),
        (ValueError, "Invalid initial_accumulator_value value: -1",
         lambda: optim.Adagrad([one()], initial_accumulator_value=-1)),
        (ValueError, "a different number of parameter groups",
         lambda: optim.SGD([one()]).load_state_dict({"state": {}, "param_groups": []})),
        (ValueError, "doesn't match the size of optimizer's group",
         lambda: optim.SGD([one()]).load_state_dict({"state": {}, "param_groups": [{"params": []}]})),
        (tg.errors.ShapeError, r"a parameter of shape \(1,\) has a gradient of shape \(2,\)", lambda: wrong_shape()),
        (NotImplementedError, "defines no _update", lambda: bare()),
        (TypeError, "int is not an Optimizer", lambda: optim.lr_scheduler.StepLR(3, 1)),
        (ValueError, "Expected 1 lr_lambdas, but got 2",
         lambda: optim.lr_scheduler.LambdaLR(optim.SGD([one()]), [abs, abs])),
        (KeyError, "'initial_lr' is not specified",
         lambda: optim.lr_scheduler.ExponentialLR(optim.SGD([one()]), 0.5, last_epoch=3)),
    ],
)  # fmt: skip
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()


def twice():
    p = one()
    optim.SGD([{"params": [p]}, {"params": [p]}])


def wrong_shape():
    p = nn.Parameter(tg.ones(2))
    p.grad = tg.ones(2)
    p.data = tg.ones(1)  # a wrong gradient cannot be assigned, but the data under it can change
    optim.SGD([p]).step()


def bare():
    optim.Optimizer([one(1.0, 1.0)], {}).step()


def test_the_same_parameter_twice_in_one_group_warns():
    p = one()
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([p, p])


def test_a_schedule_saves_and_goes_on():
    optimizer = optim.SGD([one()], lr=1.0)
    schedule = optim.lr_scheduler.StepLR(optimizer, 2)
    optimizer.step()
    schedule.step()
    state, saved = schedule.state_dict(), optimizer.state_dict()
    other = optim.SGD([one()], lr=1.0)
    resumed = optim.lr_scheduler.StepLR(other, 2)
    other.load_state_dict(saved)
    resumed.load_state_dict(state)
    resumed.step()
    assert resumed.get_last_lr() == pytest.approx([0.1])


def test_a_schedule_of_a_tensor_rate_writes_into_it():
    lr = tg.tensor(1.0)
    optimizer = optim.SGD([one()], lr=lr)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    schedule.step()
    assert lr.item() == 0.5
