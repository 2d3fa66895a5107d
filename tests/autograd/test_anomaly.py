"""detect_anomaly: the first NaN or infinity, forward and backward, with its op, line and entry."""

from __future__ import annotations

import inspect

import pytest

import tinygrad_edu as t
from tinygrad_edu import autograd
from tinygrad_edu.autograd import modes
from tinygrad_edu.errors import AnomalyError


def here(offset=0):
    return f"test_anomaly.py:{inspect.currentframe().f_back.f_lineno + offset}"


@pytest.fixture
def x():
    return t.tensor([4.0, 0.0], requires_grad=True)


def test_a_nan_in_backward_names_the_op_the_line_and_the_entry(x):
    with autograd.detect_anomaly():
        y = x.sqrt()
        line = here(-1)
        loss = (y * 0).sum()
        with pytest.raises(AnomalyError) as caught:
            loss.backward()
    text = str(caught.value)
    assert text.startswith("Function 'SqrtBackward0' returned nan values in its 0th output.")
    assert line in text and "`y = x.sqrt()`" in text
    assert "entry (1,), where x = 0.0" in text and "incoming gradient was finite" in text


def test_an_infinity_in_backward_is_found_before_it_becomes_a_nan(x):
    with autograd.detect_anomaly(), pytest.raises(AnomalyError, match=r"SqrtBackward0.* inf values .*entry \(1,\)"):
        (x.sqrt() * 1).sum().backward()


def test_a_gradient_that_came_in_bad_is_not_blamed_on_the_op(x):
    with autograd.detect_anomaly():
        y = x * 2
    words = r"MulBackward0.*incoming gradient already had nan at entry \(1,\)"
    with pytest.raises(AnomalyError, match=words), autograd.detect_anomaly():
        y.backward(t.tensor([1.0, float("nan")]))


def test_forward_names_the_op_that_made_it(x):
    with autograd.detect_anomaly():
        with pytest.raises(AnomalyError, match=r"log: returned inf .*`x\.log\(\)`.* is -inf at entry \(1,\), where x"):
            x.log()
        with pytest.raises(AnomalyError, match=r"sqrt: returned nan values in its forward.*x = -1\.0"):
            (x - 1).sqrt()
        with pytest.raises(AnomalyError, match=r"div: .*nan.*x = 0\.0, y = 0\.0"):
            _ = x / t.tensor([1.0, 0.0])
        with pytest.raises(AnomalyError, match=r"returned inf values in its forward.*`_ = big @ big`"):
            big = x * 1e30
            _ = big @ big


def test_a_nan_in_the_data_is_not_blamed_on_the_op(x):
    data = t.tensor([1.0, float("nan")])
    with (
        autograd.detect_anomaly(),
        pytest.raises(AnomalyError, match=r"mul: .*input y already had one at entry .1,"),
    ):
        x * data


def test_an_infinity_put_there_on_purpose_is_allowed():
    x = t.zeros(1, 3, requires_grad=True)
    with autograd.detect_anomaly():
        masked = x.masked_fill(t.tensor([[True, False, False]]), float("-inf"))
        p = t.softmax(masked, -1)
        (p * t.tensor([[1.0, 2.0, 3.0]])).sum().backward()
    assert x.grad[0, 0].item() == 0.0


def test_without_the_line_of_a_forward_made_before(x):
    loss = (x.sqrt() * 0).sum()
    with autograd.detect_anomaly(), pytest.raises(AnomalyError, match="before the forward"):
        loss.backward()


def test_recorded_walks_and_fused_and_custom_functions(x):
    class Broken(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, a, b):
            return a * float("nan")

    with autograd.detect_anomaly():
        with pytest.raises(AnomalyError, match=r"'BrokenBackward' returned nan values in its 0th.*Broken\.apply"):
            Broken.apply(x)[0].sum().backward()
        with pytest.raises(AnomalyError, match="SqrtBackward0"):
            autograd.grad((x.sqrt() * 0).sum(), x, create_graph=True)
        with t.autograd.fused(True), pytest.raises(AnomalyError, match="nan values"):
            z = t.full((64, 64), 1.0, requires_grad=True)
            t.softmax(z, -1).backward(t.full((64, 64), float("nan")))


def test_nothing_is_checked_without_it_or_without_check_nan(x):
    (x.sqrt() * 0).sum().backward()
    assert x.grad[1].isnan().item()
    with autograd.detect_anomaly(check_nan=False):
        y = x.sqrt()
        (y * 0).sum().backward()
        z = x * 2
        w = z * z
        line = here(-1)
        z.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
            w.sum().backward()
    assert line in str(caught.value)


def test_switches_are_restored_and_nest():
    def state():
        return autograd.is_anomaly_enabled(), autograd.is_anomaly_check_nan_enabled(), modes.mode.traced

    off = (False, True, False)
    assert state() == off
    manager = autograd.detect_anomaly()
    with manager:
        with autograd.detect_anomaly(check_nan=False):
            assert state() == (True, False, True)
        assert state() == (True, True, True)
        with autograd.keep_values():
            pass
        assert state() == (True, True, True)
        with manager:
            pass
    assert state() == off
    with autograd.keep_values():
        with autograd.set_detect_anomaly(True):
            assert state() == (True, True, True)
        assert modes.mode.traced
    autograd.set_detect_anomaly(True)
    assert state() == (True, True, True)
    autograd.set_detect_anomaly(False)
    assert state() == off
    with pytest.raises(ValueError), autograd.detect_anomaly():
        raise ValueError
    assert state() == off
    for wrong in (lambda: autograd.set_detect_anomaly(1), lambda: autograd.detect_anomaly(check_nan=1)):
        with pytest.raises(TypeError, match="bool"):
            wrong()
