"""Every registered op against central differences, to second order; and the checker against wrong rules."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import testing
from tinygrad_edu.ops import differentiable_ops, registry
from tinygrad_edu.ops.basic import where
from tinygrad_edu.ops.movement import expand, reshape
from tinygrad_edu.ops.pointwise import cos, exp, tanh
from tinygrad_edu.ops.registry import Array, op
from tinygrad_edu.testing.table import _called


@pytest.mark.parametrize("op", list(differentiable_ops()), ids=str)
@given(data=st.data())
def test_gradients(op, data):
    """<u, Jv> by central differences is <Jᵀu, v> by the rules: on arrays, on tensors, and to second order."""
    inputs, params = data.draw(testing.inputs_of(op))
    assert not any(x.flags.writeable for x in inputs)
    testing.check_gradients(_called(op), inputs, params, order=2)


@pytest.mark.parametrize("op", list(differentiable_ops()), ids=str)
@given(data=st.data())
def test_forward_leaves_read_only_inputs_alone_and_returns_an_array(op, data):
    inputs, params = data.draw(testing.inputs_of(op))
    before = [x.copy() for x in inputs]
    out = _called(op)(*inputs, **params)
    assert isinstance(out, np.ndarray), "also for 0-d results"
    for x, saved in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(x, saved)
        assert op.view or out.dtype.kind != "f" or not np.shares_memory(out, x)


@pytest.mark.parametrize("op", list(differentiable_ops()), ids=str)
def test_rules_keep_float32(op):
    """A rule that multiplies by a float64 constant array would double the memory of every gradient behind it."""
    from tinygrad_edu.recording import wrap

    for seed in range(5):
        inputs, params = testing.draw_inputs(op, testing.RandomChooser(seed))
        if op.name == "cast":
            continue
        leaves = [wrap(x.astype(np.float32) if x.dtype.kind == "f" else x.copy()) for x in inputs]
        for leaf in leaves:
            leaf.requires_grad_(leaf.is_floating_point())
        out = _called(op)(*leaves, **params)
        assert out.array.dtype == np.float32
        out.backward(wrap(np.ones_like(out.array)))
        for leaf in leaves:
            assert leaf.grad is None or leaf.grad.array.dtype == np.float32


@pytest.mark.parametrize("op", list(registry.values()), ids=str)
def test_every_op_says_what_its_gradients_are(op):
    ruled = {name for name in op.inputs if name != "labels"} if op.joint is not None else set(op.rules)
    assert ruled == set(op.gradients), f"{op}: rules and their texts differ"
    assert op.symbol and op.formula and op._summary.strip()
    names = {name: name for name in (*op.inputs, *op.params)} | {"grad": "dL/dout", "out": "out"}
    for text in (op.formula, *op.gradients.values()):
        assert text.format(**names)
    assert op.name in repr(op)
    assert "dL/d" in op.__doc__ or not op.rules


def test_rules_of_inputs_without_gradient_do_not_run():
    def fail(grad):
        raise AssertionError("ran")

    with temporary(symbol="t", formula="t", elementwise=True) as define:

        def picky(x: Array, y: Array) -> Array:
            """The sum."""
            return x + y

        made = define(picky)
        made.backward(x=lambda grad: grad, y=fail)
        import tinygrad_edu

        x, y = tinygrad_edu.ones(3, requires_grad=True), tinygrad_edu.ones(3)
        made(x, y).sum().backward()
        assert x.grad.tolist() == [1, 1, 1] and y.grad is None


# -- the checker itself -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def temporary(**options):
    """A decorator that registers an op for the length of the block."""
    before = set(registry)
    try:
        yield op(**options)
    finally:
        for name in set(registry) - before:
            del registry[name]


def _rejects(forward, order=2, domain=None, inputs=None, params=None, **rules):
    forward.__annotations__ = dict.fromkeys(rules, "Array")
    with temporary(symbol="t", formula="t", elementwise=True, domain=domain or {}) as define:
        made = define(forward)
        made.backward(**rules)
        inputs = inputs or testing.draw_inputs(made, testing.RandomChooser(3))[0]
        with pytest.raises(AssertionError) as caught:
            testing.check_gradients(made, inputs, params, order=order)
    assert forward.__name__ in str(caught.value)
    return str(caught.value)


POINTS = [np.linspace(0.5, 2.0, 6).reshape(2, 3)]


def test_the_checker_accepts_a_right_rule():
    with temporary(symbol="t", formula="t", elementwise=True) as define:

        def right(x: Array) -> Array:
            """sin."""
            return np.sin(x)

        made = define(right)
        made.backward(x=lambda grad, x: grad * cos(x))
        check = testing.check_gradients(made, POINTS, order=3)
        assert check.name == "right" and len(check.errors) == 3 and max(check.errors) < 1e-5


def test_a_wrong_sign_is_found():
    message = _rejects(lambda_named("wrong_sign", np.sin), inputs=POINTS, x=lambda grad, x: -grad * cos(x))
    assert "order 1" in message and "Worst at entry" in message


def test_a_missing_factor_is_found():
    _rejects(lambda_named("missing_factor", np.square), inputs=POINTS, x=lambda grad, x: grad * x)


def test_a_gradient_off_by_a_thousandth_is_found():
    _rejects(lambda_named("slightly_off", np.sin), inputs=POINTS, x=lambda grad, x: grad * cos(x) * 1.001)


def test_one_wrong_entry_is_found():
    def rule(grad, x):
        return grad * where(x < 0.6, 0.0, cos(x))

    assert "(0, 0)" in _rejects(lambda_named("one_entry", np.sin), inputs=POINTS, x=rule)


def test_a_missing_gradient_is_found():
    def forward(x, y):
        """A product."""
        return x * y

    forward.__name__ = "forgets_y"
    _rejects(forward, inputs=POINTS * 2, x=lambda grad, y: grad * y, y=lambda grad: None)


def test_a_missing_sum_over_a_broadcast_is_found():
    """The rule of an op that is not elementwise spreads one number instead of summing."""

    def forward(x):
        """x times its own total."""
        return x * x.sum()

    forward.__name__ = "missing_sum"
    _rejects(forward, inputs=POINTS, x=lambda grad, x: grad * x.sum())


def test_a_missing_broadcast_is_found():
    def forward(x):
        """The total."""
        return np.asarray(np.sum(x))

    forward.__name__ = "unscaled_total"
    _rejects(forward, inputs=POINTS, x=lambda grad, x: expand(reshape(grad, shape=(1, 1)), shape=x.shape) * 0.5)


def test_a_constant_that_depends_on_the_input_is_found_at_second_order():
    """A cached intermediate read as a constant: the first derivative is right and the second is not."""

    def rule(grad, out):
        kept = getattr(out, "array", out)  # loses its history
        return grad * kept

    forward = lambda_named("frozen_cache", np.exp)
    with temporary(symbol="t", formula="t", elementwise=True) as define:
        forward.__annotations__ = {"x": "Array"}
        made = define(forward)
        made.backward(x=rule)
        testing.check_gradients(made, POINTS, order=1)
        with pytest.raises(testing.GradientError, match="frozen_cache.*order 2"):
            testing.check_gradients(made, POINTS, order=2)


def test_a_rule_wrong_only_on_tensors_is_found():
    def rule(grad, x):
        return grad * cos(x) * (2.0 if hasattr(grad, "node") else 1.0)

    assert "recorded walk" in _rejects(lambda_named("tensors_only", np.sin), order=1, inputs=POINTS, x=rule)


def test_a_rule_wrong_only_on_arrays_is_found():
    def rule(grad, x):
        return grad * cos(x) * (1.0 if hasattr(grad, "node") else 2.0)

    _rejects(lambda_named("arrays_only", np.sin), order=1, inputs=POINTS, x=rule)


def test_a_gradient_of_the_wrong_shape_is_found():
    def forward(x):
        """Column totals."""
        return x.sum(0)

    forward.__name__ = "wrong_shape"
    forward.__annotations__ = {"x": "Array"}
    with temporary(symbol="t", formula="t") as define:
        made = define(forward)
        made.backward(x=lambda grad: grad)
        with pytest.raises((AssertionError, ValueError, RuntimeError)):
            testing.check_gradients(made, POINTS)


def test_the_checker_refuses_single_precision():
    with pytest.raises(TypeError, match="float64"):
        testing.check_gradients(tanh, [np.ones(3, np.float32)])


def test_an_op_without_a_domain_fails_by_name():
    with temporary(symbol="t", formula="t") as define:

        def homeless(x: Array) -> Array:
            """Nothing is known of its inputs."""
            return x

        define(homeless)
        with pytest.raises(LookupError, match=r"homeless.*inputs_for\(homeless\)"):
            testing.draw_inputs(registry["homeless"], testing.RandomChooser(0))


def test_a_rule_that_names_an_unknown_value_is_an_error_at_definition():
    with temporary(symbol="t", formula="t", elementwise=True) as define:

        def typo(x: Array) -> Array:
            """The exponential."""
            return exp.forward(x)

        made = define(typo)
        with pytest.raises(TypeError, match=r"typo.*'x' names 'outt'"):
            made.backward(x=lambda grad, outt: grad * outt)
        with pytest.raises(TypeError, match="no input 'y'"):
            made.backward(y=lambda grad: grad)
        with pytest.raises(TypeError, match="registered twice"):
            define(typo)
    assert "typo" not in registry


def lambda_named(name, ufunc):
    """A forward function of one input with a name of its own."""

    def forward(x):
        """A ufunc."""
        return np.asarray(ufunc(x))

    forward.__name__ = name
    return forward


def test_the_table_of_all_ops_is_right():
    checks = testing.check_ops(examples=1, order=1)
    assert all(c.right for c in checks), [c.message for c in checks if not c.right]
    assert len(checks) == len(list(differentiable_ops()))
    assert "WRONG" not in testing.format_checks(checks)
