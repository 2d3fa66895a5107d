"""gradcheck and gradgradcheck find wrong gradients, and say where."""

from __future__ import annotations

import pytest

import tinygrad_edu as t
from tinygrad_edu import autograd
from tinygrad_edu.autograd import GradcheckError, gradcheck, gradgradcheck


@pytest.fixture
def x():
    return t.tensor([[0.3, -0.7], [1.1, 0.4]], dtype=t.float64, requires_grad=True)


class Wrong(autograd.Function):
    """x² whose gradient forgets the 2."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]


class RightOnce(autograd.Function):
    """x³ whose first derivative is right and whose second is not: backward uses a constant."""

    @staticmethod
    def forward(ctx, x):
        ctx.factor = 3 * x.detach() ** 2
        return x**3

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.factor


def test_right_gradients_pass(x):
    weight = t.tensor([[2.0], [-1.0]], dtype=t.float64, requires_grad=True)
    assert gradcheck(lambda a, b: (a @ b).sin(), (x, weight)) is True
    assert gradcheck(t.exp, x)
    assert gradcheck(lambda a, k: (a * k, a.sum(), (a > 0)), (x, 3))
    assert gradgradcheck(lambda a, b: (a @ b).sin(), (x, weight)) is True
    assert gradgradcheck(lambda a: (a.exp(), a * a), [x], gen_non_contig_grad_outputs=True)
    assert gradgradcheck(lambda a: a * a, x, grad_outputs=t.ones(2, 2, dtype=t.float64))
    assert x.tolist() == [[0.3, -0.7], [1.1, 0.4]] and x.grad is None


def test_a_wrong_gradient_is_named(x):
    y = t.ones(2, dtype=t.float64)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda y, x: (x.sum(), Wrong.apply(x)), (y, x))
    text = str(caught.value)
    assert text.startswith("Jacobian mismatch for output 1 with respect to input 1,\nnumerical:tensor([[")
    assert "\nanalytical:tensor([[" in text
    assert "entry 2 of the input (flattened) and entry 2 of the output: numerical 2.2" in text
    assert gradcheck(Wrong.apply, x, raise_exception=False) is False
    assert gradcheck(Wrong.apply, x, atol=2.0)  # the largest error is 1.1


def test_a_wrong_second_derivative_is_found(x):
    assert gradcheck(RightOnce.apply, x)
    with pytest.raises(GradcheckError, match="zero|mismatch"):
        gradgradcheck(RightOnce.apply, x)


def test_an_output_that_depends_on_the_input_unseen(x):
    with pytest.raises(GradcheckError, match="expected to be zero"):
        gradcheck(lambda a: (a * 2).detach(), x)
    assert gradcheck(lambda a: a.detach() * 0 + 1, x)


def test_backward_that_differs_from_run_to_run(x):
    runs = []

    class Unsteady(Wrong):
        @staticmethod
        def backward(ctx, grad):
            runs.append(1)
            return grad * 2 * ctx.saved_tensors[0] * (1 + 1e-6 * (len(runs) % 3))

    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Unsteady.apply, x)
    assert gradcheck(Unsteady.apply, x, nondet_tol=1e-4)


def test_gradients_that_never_came(x):
    class Careless(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            return None if a is None or b is None else a * 2 + b * 3

    class Careful(Careless):
        @staticmethod
        def backward(ctx, a, b):
            return (0 if a is None else a * 2) + (0 if b is None else b * 3)

    def both(x):
        a, b = Careless.apply(x)
        return a + b, a - b

    assert gradcheck(Careful.apply, x)
    with pytest.raises(GradcheckError, match="mismatch"):
        gradcheck(Careless.apply, x)
    assert gradcheck(both, x)  # every output uses both results


def test_inputs_that_cannot_be_checked(x):
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(t.exp, t.ones(2, dtype=t.float64))
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double"):
        gradcheck(lambda a: a * 2, t.ones(2, requires_grad=True), eps=1e-2)
    with pytest.raises(RuntimeError, match="stride 0"):
        gradcheck(t.exp, t.ones(1, dtype=t.float64).expand(3).requires_grad_())
    with pytest.raises(TypeError, match="must return a tensor"):
        gradcheck(lambda a: 3, x)


@pytest.mark.parametrize("option", ["fast_mode", "check_forward_ad", "check_batched_grad", "masked"])
def test_what_is_not_supported_says_so(x, option):
    with pytest.raises(NotImplementedError, match=f"gradcheck: {option}=True"):
        gradcheck(t.exp, x, **{option: True})


def test_other_options(x):
    with pytest.raises(NotImplementedError, match="check_fwd_over_rev"):
        gradgradcheck(t.exp, x, check_fwd_over_rev=True)
    with pytest.raises(ValueError, match="at least one"):
        gradcheck(t.exp, x, check_backward_ad=False)
    with pytest.raises(ValueError, match="at least one"):
        gradgradcheck(t.exp, x, check_rev_over_rev=False)
    assert gradcheck(t.exp, x, check_grad_dtypes=True, check_undefined_grad=False)
    assert gradgradcheck(Wrong.apply, x, raise_exception=False) is True  # d(x·g) is right for what backward computes
