"""Tensors and the rest of Python: numbers, containers, NumPy, copying, formatting."""

from __future__ import annotations

import copy
import decimal
import fractions
import operator
import pickle

import numpy as np
import pytest

import tinygrad_edu as t


def test_numpy_shares_memory_both_ways():
    array = np.arange(3.0)
    x = t.from_numpy(array)
    array[0] = 7
    x[1] = 8
    assert x.tolist() == array.tolist() == [7, 8, 2] and x.numpy() is x.array
    assert t.tensor(array).array is not array
    assert t.as_tensor(array).array.base is array or np.shares_memory(t.as_tensor(array).array, array)


def test_numpy_of_a_tensor_that_requires_grad_says_what_to_do():
    x = t.ones(2, requires_grad=True)
    for convert in (lambda: x.numpy(), lambda: np.asarray(x), lambda: np.array(x)):
        with pytest.raises(RuntimeError, match=r"detach\(\)\.numpy\(\)"):
            convert()
    assert x.numpy(force=True).tolist() == x.detach().numpy().tolist()


def test_array_protocol():
    x = t.tensor([1.0, 2.0])
    assert np.asarray(x) is x.array
    assert np.array(x) is not x.array and not np.shares_memory(np.array(x), x.array)
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.array(x, copy=True, dtype=np.float32).base is None
    assert np.mean(x) == 1.5 and np.stack([x, x]).shape == (2, 2) and np.max(x) == 2 and np.argmax(x) == 1
    np.testing.assert_allclose(x, [1.0, 2.0])


@pytest.mark.parametrize(
    "other", [np.ones(3), np.ones(3, np.float32), np.arange(3), np.float64(2), np.int32(3), np.ones((2, 1))]
)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "truediv", "pow", "eq", "lt", "mod", "floordiv"])
def test_numpy_on_either_side_gives_a_tensor(other, op):
    x = t.tensor([1.0, 2.0, 3.0], dtype=t.float64)
    compute = getattr(operator, op)
    for left, right in ((x, other), (other + 1, x)):
        out = compute(left, right)
        assert isinstance(out, t.Tensor)
        with np.errstate(all="ignore"):
            expected = compute(*(v.array if isinstance(v, t.Tensor) else v for v in (left, right)))
        np.testing.assert_allclose(out.array, expected)


def test_numpy_on_either_side_of_matmul_and_gradients():
    x = t.tensor([[1.0, 2.0]], dtype=t.float64, requires_grad=True)
    (np.ones((3, 1)) @ x * np.array([1.0, 10.0]) + np.float64(1)).sum().backward()
    assert x.grad.tolist() == [[3.0, 30.0]]
    with pytest.raises(TypeError):
        x @ "a"


def test_numbers():
    x = t.tensor(2.7)
    assert float(x) == pytest.approx(2.7) and int(x) == 2 and bool(x) and not bool(t.tensor(0.0))
    assert float(t.tensor([[3]])) == 3.0 and type(int(t.tensor([True]))) is int
    assert [10, 20, 30][t.tensor(1)] == 20 and list(range(t.tensor(3))) == [0, 1, 2]
    assert round(x.item(), 1) == 2.7 and abs(t.tensor(-1)).item() == 1
    assert (+x).item() == x.item() and (-x).item() == -x.item()
    assert t.tensor(5).item() == 5 and type(t.tensor(5).item()) is int
    assert type(t.tensor(True).item()) is bool and type(t.tensor(1.0).item()) is float


def test_other_numbers_are_refused_or_used_but_never_wrong():
    x = t.ones(2)
    for number in (fractions.Fraction(1, 2), decimal.Decimal("0.5"), 1j):
        try:
            out = x * number
        except TypeError:
            continue
        assert out.tolist() == [0.5, 0.5]


def test_truth_length_iteration_membership():
    x = t.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2 and [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    assert 3.0 in x and 5.0 not in x and x[0] in x
    assert list(t.zeros(0)) == []
    _, b = x
    assert b.tolist() == [3.0, 4.0]
    assert sum(t.tensor([1, 2, 3])).item() == 6 and max(t.tensor([1, 5, 3])).item() == 5
    with pytest.raises(RuntimeError, match=r"ambiguous.*\(2, 2\).*any\(\)"):
        bool(x)
    with pytest.raises(RuntimeError, match="no values"):
        bool(t.zeros(0))
    with pytest.raises(TypeError, match="0-d"):
        len(t.tensor(1.0))
    with pytest.raises(TypeError, match="0-d"):
        iter(t.tensor(1.0))


def test_iterating_is_differentiable():
    x = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
    total = 0.0
    for k, value in enumerate(x):
        total = total + value * k
    total.backward()
    assert x.grad.tolist() == [0.0, 1.0, 2.0]


def test_identity_hash_and_containers():
    x, y = t.ones(2), t.ones(2)
    assert {x: 1}[x] == 1 and y not in {x: 1} and len({x, y}) == 2
    assert x in [x] and [y, x].index(y) == 0
    assert (x == "a") is False and (x != "a") is True


def test_formatting():
    x = t.tensor(3.14159)
    assert (
        f"{x:.2f}" == "3.14"
        and f"{x:8.3e}" == "3.142e+00"
        and format(x, ".1f") == "3.1"
        and f"{t.tensor(7):03d}" == "007"
    )
    assert f"{x}" == str(x.item())
    assert f"{t.ones(2)}" == "tensor([1., 1.])"
    with pytest.raises(TypeError, match=r"formats one number.*\(2,\).*item\(\)"):
        f"{t.ones(2):.2f}"


def test_deepcopy_copies_leaves_with_their_gradient():
    x = t.tensor([1.0, 2.0], requires_grad=True)
    x.name = "w"
    (x * x).sum().backward()
    y = copy.deepcopy(x)
    y.grad.zero_()
    with t.no_grad():
        y.add_(1)
    assert x.tolist() == [1.0, 2.0] and x.grad.tolist() == [2.0, 4.0]
    assert y.requires_grad and y.is_leaf and y.name == "w"
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3.0, 3.0] and x.grad.tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError, match=r"detach\(\)\.clone\(\)"):
        copy.deepcopy(x * 1)
    both = copy.deepcopy([x, x])
    assert both[0] is both[1]


def test_pickle_and_copy():
    x = t.tensor([1.0, 2.0], dtype=t.float64, requires_grad=True)
    y = pickle.loads(pickle.dumps(x))
    assert y.tolist() == x.tolist() and y.dtype is t.float64 and y.requires_grad
    assert pickle.loads(pickle.dumps(t.float32)) is t.float32


def test_tolist_is_plain_python():
    assert t.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert t.tensor(2.5).tolist() == 2.5 and t.zeros(0, 2).tolist() == [] and t.tensor([True]).tolist() == [True]


def test_size():
    x = t.zeros(2, 3)
    assert x.shape == (2, 3) and x.shape[-1] == 3 and x.size(-1) == 3 and x.shape.numel() == 6
    assert repr(x.shape) == "tinygrad_edu.Size([2, 3])" and isinstance(x.size(), t.Size)
    n, m = x.shape
    assert (n, m) == (2, 3) and t.zeros(x.shape).shape == x.shape and t.zeros(*x.shape).shape == x.shape


def test_the_legacy_constructor():
    assert t.Tensor([1, 2]).dtype is t.float32 and t.Tensor(2, 3).shape == (2, 3)
    assert t.Tensor([[1.5]]).tolist() == [[1.5]]


def test_default_dtype():
    try:
        t.set_default_dtype(t.float64)
        assert t.tensor(1.5).dtype is t.zeros(1).dtype is t.rand(1).dtype is t.float64
        assert (t.tensor([1, 2]) / 2).dtype is t.float64 and repr(t.ones(1)) == "tensor([1.])"
    finally:
        t.set_default_dtype(t.float32)
    assert t.tensor(1.5).dtype is t.float32


def test_print_options():
    x = t.tensor([1.23456, 1000.5])
    with t.printoptions(precision=2, sci_mode=False):
        assert repr(x) == "tensor([   1.23, 1000.50])"
    with t.printoptions(threshold=4, edgeitems=1):
        assert repr(t.arange(6)) == "tensor([0,  ..., 5])"
    assert repr(x) == "tensor([   1.2346, 1000.5000])"
