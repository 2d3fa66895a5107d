"""no_grad and its kin: as context managers and decorators, nested, with errors, in generators and threads."""

from __future__ import annotations

import threading

import pytest

import tinygrad_edu as t


@pytest.fixture
def x():
    return t.ones(2, requires_grad=True)


def test_no_grad_records_nothing(x):
    with t.no_grad():
        assert not t.is_grad_enabled()
        y = x * 2
    assert t.is_grad_enabled() and not y.requires_grad and y.grad_fn is None
    assert (x * 2).requires_grad


def test_nesting(x):
    with t.no_grad():
        with t.enable_grad():
            assert (x * 2).requires_grad
            with t.no_grad():
                assert not (x * 2).requires_grad
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad


def test_an_error_restores_the_mode(x):
    for mode in (t.no_grad, t.enable_grad, t.inference_mode, lambda: t.set_grad_enabled(False)):
        with pytest.raises(KeyError), mode():
            raise KeyError
        assert t.is_grad_enabled() and not t.is_inference_mode_enabled()


def test_one_context_manager_entered_twice(x):
    mode = t.no_grad()
    with mode:
        with mode:
            pass
        assert not t.is_grad_enabled()
    assert t.is_grad_enabled()


@pytest.mark.parametrize(
    "decorator",
    [lambda: t.no_grad, lambda: t.no_grad(), lambda: t.inference_mode(), lambda: t.set_grad_enabled(False)],
    ids=["no_grad", "no_grad()", "inference_mode()", "set_grad_enabled(False)"],
)
def test_decorators(x, decorator):
    @decorator()
    def double(y, *, factor=2):
        """Doc."""
        return y * factor

    assert t.is_grad_enabled(), "only calls run in the mode"
    assert not double(x, factor=3).requires_grad
    assert double.__name__ == "double" and double.__doc__ == "Doc."
    assert t.is_grad_enabled()


def test_a_recursive_decorated_function_and_one_that_fails(x):
    @t.no_grad()
    def depth(n):
        if n == 0:
            raise ValueError
        return depth(n - 1)

    with pytest.raises(ValueError):
        depth(5)
    assert t.is_grad_enabled()


def test_generators_run_each_step_in_the_mode(x):
    @t.no_grad()
    def steps():
        received = yield (x * 2).requires_grad
        yield received
        yield (x * 2).requires_grad
        return "end"

    generator = steps()
    assert next(generator) is False and t.is_grad_enabled()
    assert generator.send("hello") == "hello" and t.is_grad_enabled()
    assert next(generator) is False
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "end"


def test_generators_take_thrown_errors_and_close(x):
    seen = []

    @t.no_grad()
    def steps():
        try:
            yield 1
        except ValueError:
            seen.append(t.is_grad_enabled())
            yield 2
        finally:
            seen.append("closed")

    generator = steps()
    next(generator)
    assert generator.throw(ValueError) == 2
    generator.close()
    assert seen == [False, "closed"] and t.is_grad_enabled()


def test_set_grad_enabled_works_at_once_and_as_a_context(x):
    t.set_grad_enabled(False)
    try:
        assert not (x * 2).requires_grad
    finally:
        t.set_grad_enabled(True)
    assert (x * 2).requires_grad
    with t.set_grad_enabled(False):
        assert not t.is_grad_enabled()
    assert t.is_grad_enabled()
    for training in (True, False):
        with t.set_grad_enabled(training):
            assert (x * 2).requires_grad is training


def test_inference_mode(x):
    with t.inference_mode():
        assert t.is_inference_mode_enabled() and not (x * 2).requires_grad
        with t.inference_mode(False):
            assert (x * 2).requires_grad
    assert not t.is_inference_mode_enabled()


def test_leaves_made_inside_no_grad_still_require_grad(x):
    with t.no_grad():
        w = t.ones(2, requires_grad=True)
        v = t.ones(2).requires_grad_()
    (w * v).sum().backward()
    assert w.grad.tolist() == v.grad.tolist() == [1.0, 1.0]


def test_each_thread_has_its_own_mode(x):
    inside, checked, results = threading.Event(), threading.Event(), {}

    def other():
        results["start"] = t.is_grad_enabled()
        with t.no_grad():
            inside.set()
            checked.wait(5)
            results["inside"] = (x * 2).requires_grad
        results["end"] = t.is_grad_enabled()

    with t.no_grad():
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait(5)
        with t.enable_grad():
            results["here"] = (x * 2).requires_grad
        checked.set()
        thread.join()
    assert results == {"start": True, "inside": False, "end": True, "here": True}


def test_detach_and_data_share_memory_and_have_no_history(x):
    y = x * 2
    for z in (y.detach(), y.data):
        assert not z.requires_grad and z.is_leaf and z.array is y.array
    x.detach().zero_()
    assert x.tolist() == [0.0, 0.0]
    (x.detach() * x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_detach_in_place(x):
    y = x * 2
    assert y.detach_() is y and y.is_leaf and not y.requires_grad


def test_requires_grad_cannot_be_switched_off_in_the_middle(x):
    y = x * 2
    with pytest.raises(RuntimeError, match="leaf"):
        y.requires_grad_(False)
    with pytest.raises(RuntimeError, match="leaf"):
        y.requires_grad = False
    x.requires_grad = False
    assert not (x * 2).requires_grad
