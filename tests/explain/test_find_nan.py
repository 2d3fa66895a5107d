"""find_nan: the op that made the first NaN or infinity, the entry, the reason and the stable form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as torch
from tinygrad_edu import autograd, nn
from tinygrad_edu.errors import GraphError

INF, NAN = float("inf"), float("nan")


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


FORWARD = [
    ("log", "logarithm of 0", "clamp", lambda x: torch.log(x).sum(), (1.0, 0.0)),
    ("log", "not real", "clamp", lambda x: torch.log(x).sum(), (1.0, -2.0)),
    ("log", "logarithm of 0", "log_softmax", lambda x: torch.log(torch.softmax(x, 0)).sum(), (0.0, 200.0)),
    ("log", "logarithm of 0", "BCEWithLogitsLoss", lambda x: torch.log(torch.sigmoid(x)).sum(), (1.0, -200.0)),
    ("div", "0 / 0", "eps", lambda x: (x / x.detach()).sum(), (1.0, 0.0)),
    ("div", "1 / 0", "eps", lambda x: (x / torch.tensor([1.0, 0.0])).sum(), (2.0, 1.0)),
    ("exp", "88.7", "logsumexp", lambda x: (torch.exp(x) / torch.exp(x).sum()).sum(), (1.0, 100.0)),
    ("sqrt", "not real", "clamp", lambda x: torch.sqrt(x).sum(), (1.0, -1.0)),
    ("add", "inf − inf", "maximum", lambda x: (x - INF + INF).sum(), (1.0, 1.0)),
    ("mul", "0 · inf", "where", lambda x: (x * INF * 0).sum(), (1.0, 1.0)),
    ("mul", "larger than the largest float32", "float64", lambda x: (x * 1e38).sum(), (1.0, 5.0)),
    ("sub", "−inf − (−inf)", "masked", lambda x: x.masked_fill(x > -9, -INF).softmax(0).sum(), (1.0, 5.0)),
    ("asin", "no finite value", "clamp", lambda x: torch.asin(x).sum(), (1.0, 5.0)),
    ("reciprocal", "infinite", "eps", lambda x: x.reciprocal().sum(), (1.0, 0.0)),
]


@pytest.mark.parametrize(("op", "reason", "stable", "function", "values"), FORWARD)
def test_forward(op, reason, stable, function, values):
    x = leaf(*values)
    with autograd.keep_values():
        loss = function(x)
    found = torch.find_nan(loss)
    assert (found.phase, found.op) == ("forward", op)
    assert reason in found.reason and stable in found.stable, found
    assert "test_find_nan.py" in found.location
    assert found.path[0].startswith(op)
    assert max(map(len, str(found).splitlines())) <= 100


BACKWARD = [
    ("sqrt", "root at 0 is infinite", "eps", lambda x: torch.sqrt(x).sum(), (1.0, 0.0)),
    ("sqrt", "0 · inf is NaN", "torch.where(mask", lambda x: torch.where(x > 0, x.sqrt(), x * 0).sum(), (1.0, 0.0)),
    ("power", "x^0.5", "clamp", lambda x: x.pow(0.5).sum(), (1.0, 0.0)),
    ("exp", "infinity of the forward pass", "maximum", lambda x: (1 / torch.exp(x)).sum(), (1.0, 100.0)),
]


@pytest.mark.parametrize(("op", "reason", "stable", "function", "values"), BACKWARD)
def test_backward(op, reason, stable, function, values):
    x = leaf(*values)
    loss = function(x)
    for _ in range(2):  # before backward, and after it has freed the graph
        found = torch.find_nan(loss)
        assert (found.phase, found.op, found.place) == ("backward", op, (1,))
        assert reason in found.reason and stable in found.stable, found
        if x.grad is None:
            loss.backward()


def test_the_entry_and_its_values():
    x, y = leaf(4.0, 3.0, 0.0), torch.tensor([2.0, 0.0, 0.0])
    found = torch.find_nan((x / y).sum())
    assert found.place == (2,) and found.values == {"x": 0.0, "y": 0.0}, "a NaN goes before an infinity"
    assert found.node.op.name == "div"


def test_an_infinity_that_does_no_harm_is_passed_over():
    x = leaf(0.0, 1.0, 2.0)
    loss = (x.masked_fill(x > 1, -INF).softmax(0) ** 2).sum()
    found = torch.find_nan(loss)
    assert not found and found.phase == "" and "no NaN" in str(found)


def test_bad_data_is_called_so():
    x = torch.tensor([1.0, NAN])
    loss = (leaf(1.0, 2.0) * x).sum()
    found = torch.find_nan(loss)
    assert found.phase == "data" and found.place == (1,)
    assert "by mul" in str(found)


def test_values_that_nobody_holds_are_computed_again():
    x = torch.full((3000,), 2.0, requires_grad=True)
    loss = torch.log((x * 2 - 4) * 1.0).sum()  # every intermediate is larger than what a node keeps
    found = torch.find_nan(loss)
    assert found.op == "log" and found.values == {"x": 0.0}
    assert "3000 of 3000 entries are not finite" in str(found)


def test_a_leaf_that_nobody_holds():
    loss = torch.log(leaf(1.0, 2.0) - 2.0).sum()
    assert torch.find_nan(loss).op == "log"
    loss = (torch.exp(leaf(1.0, 100.0)) * 2).sum()
    assert torch.find_nan(loss).op == "exp"


def test_fused_layers():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 50), nn.ReLU(), nn.Linear(50, 30))
    x = torch.randn(60, 40)
    with torch.no_grad():
        model[0].weight[3, 3] = INF
    found = torch.find_nan(model(x).sum())
    assert found.phase == "data" and found.place == (3, 3) and "weight" in str(found)


def test_the_graph_is_left_alone():
    x = leaf(1.0, 4.0)
    loss = torch.sqrt(x).sum()
    assert not torch.find_nan(loss)
    loss.backward()
    assert x.grad.tolist() == [0.5, 0.25]


@given(values=st.lists(st.sampled_from([-1.0, 0.0, 0.5, 3.0, 90.0]), min_size=1, max_size=4))
def test_it_finds_one_exactly_when_there_is_one(values):
    x = torch.tensor(values, requires_grad=True)
    loss = (torch.exp(x) * torch.sqrt(x)).sum()
    found = torch.find_nan(loss)
    loss.backward()
    assert bool(found) == (not (torch.isfinite(loss).item() and torch.isfinite(x.grad).all().item()))


def test_what_cannot_be_answered():
    with pytest.raises(TypeError, match="expected a tensor"):
        torch.find_nan(3.0)
    with pytest.raises(GraphError, match="no recorded graph"):
        torch.find_nan(torch.tensor(NAN))
    assert not torch.find_nan(torch.tensor(1.0))
    x = leaf(1.0)
    loss = (torch.exp(x) * x).sum()
    loss.backward()
    with torch.no_grad():
        x -= 1
    with pytest.raises(GraphError, match="before the optimizer"):
        torch.find_nan(loss)
