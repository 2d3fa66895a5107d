"""autograd.Function: forward, backward, ctx, several results, in-place changes, errors, pictures."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu import autograd
from tinygrad_edu.autograd.function import Function, once_differentiable
from tinygrad_edu.errors import GraphError
from tinygrad_edu.testing import assert_close, check_gradients


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x**2


class ExpOfResult(Function):
    """Saves its result, as an efficient exp does."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]


class SumAndProduct(Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x + y, x * y

    @staticmethod
    def backward(ctx, of_sum, of_product):
        x, y = ctx.saved_tensors
        return of_sum + of_product * y, of_sum + of_product * x


class BothExponentials(Function):
    """Two results, both saved."""

    @staticmethod
    def forward(ctx, x):
        up, down = x.exp(), (-x).exp()
        ctx.save_for_backward(up, down)
        return up, down

    @staticmethod
    def backward(ctx, of_up, of_down):
        up, down = ctx.saved_tensors
        return of_up * up - of_down * down


def identity(grads):
    """A Function x -> x · 1 of two arguments whose backward returns what `grads(grad)` does."""

    class Given(Function):
        @staticmethod
        def forward(ctx, x, factor):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            return grads(grad)

    return Given


@pytest.fixture
def x():
    return t.tensor([1.0, 2.0], requires_grad=True)


def test_forward_and_backward(x):
    y = Cube.apply(x)
    assert y.tolist() == [1.0, 8.0] and y.requires_grad and not y.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 12.0]


@pytest.mark.parametrize(
    "function",
    [
        Cube.apply,
        ExpOfResult.apply,
        lambda x: SumAndProduct.apply(x, x * 2)[0],
        lambda x: SumAndProduct.apply(x, x * 2)[1] * 3,
        lambda x: t.stack(SumAndProduct.apply(x, x.sin())).sin(),
        lambda x: BothExponentials.apply(x)[0] * BothExponentials.apply(x * 2)[1],
        lambda x: t.stack(BothExponentials.apply(x)) ** 2,
        lambda x: SumAndProduct.apply(*SumAndProduct.apply(x, x))[1],
        lambda x: Cube.apply(Cube.apply(x)) + Cube.apply(x * 1),
    ],
)
def test_derivatives_to_third_order(function):
    check_gradients(function, [np.array([0.3, -1.2, 0.7])], order=3)


def test_broadcast_gradients_are_summed_and_cast():
    double = t.ones(3, 2, dtype=t.float64)
    for shape, expected in (((2,), [3.0, 3.0]), ((1, 2), [[3.0, 3.0]]), ((), 6.0)):
        x = t.ones(*shape, requires_grad=True)

        class Spread(Function):
            @staticmethod
            def forward(ctx, x):
                return x * double

            @staticmethod
            def backward(ctx, grad):
                return grad * double

        Spread.apply(x).sum().backward()
        assert x.grad.tolist() == expected and x.grad.dtype is t.float32


def test_arguments_that_are_no_tensors_and_needs_input_grad(x):
    seen = []

    class Scale(Function):
        @staticmethod
        def forward(ctx, x, factor, weight, words=("a",)):
            seen.append((ctx.needs_input_grad, autograd.is_grad_enabled()))
            ctx.factor = factor
            return x * factor + weight

        @staticmethod
        def backward(ctx, grad):
            seen.append((ctx.needs_input_grad, autograd.is_grad_enabled()))
            return grad * ctx.factor, None, None, None

    Scale.apply(x, 3, t.ones(2), ["b"]).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    needs = (True, False, False, False)
    assert seen == [(needs, False), (needs, False)]
    y = Scale.apply(x, weight=t.ones(2), factor=2)  # by name: in the order of forward
    assert y.tolist() == [3.0, 5.0]


def test_an_argument_whose_gradient_is_none(x):
    y = t.ones(2, requires_grad=True)

    class First(Function):
        @staticmethod
        def forward(ctx, a, b):
            return a * b

        @staticmethod
        def backward(ctx, grad):
            return grad, None

    First.apply(x, y).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0] and y.grad is None


def test_nothing_is_recorded_without_need(x):
    assert not Cube.apply(t.ones(2)).requires_grad
    with t.no_grad():
        assert not Cube.apply(x).requires_grad


def test_setup_context():
    class Power(Function):
        @staticmethod
        def forward(x, n=2):
            return x**n

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, n = inputs
            ctx.save_for_backward(x, output)
            ctx.n = n

        @staticmethod
        def backward(ctx, grad):
            x, y = ctx.saved_tensors
            return grad * ctx.n * y / x, None

    x = t.tensor(3.0, requires_grad=True)
    Power.apply(x).backward()
    assert x.grad.item() == 6.0
    x.grad = None
    Power.apply(x, n=3).backward()
    assert_close(x.grad, 27.0)
    check_gradients(lambda x: Power.apply(x, 4), [np.array([0.5, 1.5])], order=2)


# -- several results --------------------------------------------------------------------------------------------------


def test_results_that_were_not_used_have_gradient_zero_or_none(x):
    given = []

    class Three(Function):
        @staticmethod
        def forward(ctx, x, fill):
            ctx.set_materialize_grads(fill)
            return x * 1, (x * 2).long(), x * 3, "text"

        @staticmethod
        def backward(ctx, *grads):
            given.append([g if g is None else g.tolist() for g in grads])
            return grads[0], None

    first, whole, _, text = Three.apply(x, True)
    assert text == "text" and not whole.requires_grad and whole.dtype is t.int64
    first.sum().backward()
    Three.apply(x, False)[0].sum().backward()
    assert given == [[[1.0, 1.0], [0, 0], [0.0, 0.0], None], [[1.0, 1.0], None, None, None]]


def test_mark_non_differentiable(x):
    class Sorted(Function):
        @staticmethod
        def forward(ctx, x):
            values, places = x * 1, x * 0
            ctx.mark_non_differentiable(places)
            return values, places

        @staticmethod
        def backward(ctx, of_values, of_places):
            assert of_places.tolist() == [0.0, 0.0]
            return of_values * 5

    values, places = Sorted.apply(x)
    assert values.requires_grad and not places.requires_grad
    (values * places.exp()).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_backward_runs_once_for_all_results(x):
    runs = []

    class Counted(SumAndProduct):
        @staticmethod
        def backward(ctx, *grads):
            runs.append(1)
            return SumAndProduct.backward(ctx, *grads)

    a, b = Counted.apply(x, x)
    (a * b + a).sum().backward()
    assert len(runs) == 1
    # (2x · x² + 2x)' = 6x² + 2
    assert x.grad.tolist() == [8.0, 26.0]
    a, b = Counted.apply(x, x)
    assert autograd.grad([a.sum(), b.sum()], x)[0].tolist() == [4.0, 6.0] and len(runs) == 2
    a, b = Counted.apply(x, x)
    (g,) = autograd.grad((a + b).sum(), a)
    assert g.tolist() == [1.0, 1.0] and len(runs) == 2


def test_hooks_and_retained_gradients_of_results(x):
    a, b = SumAndProduct.apply(x, x)
    a.retain_grad()
    b.register_hook(lambda g: g * 10)
    (a * 2 + b).sum().backward()
    assert a.grad.tolist() == [2.0, 2.0] and x.grad.tolist() == [24.0, 44.0]


# -- saved tensors ----------------------------------------------------------------------------------------------------


def test_a_saved_tensor_that_was_changed_is_an_error(x):
    y = x * 1
    z = Cube.apply(y)
    y.add_(1)
    with pytest.raises(GraphError, match=r"Cube.*modified by an inplace operation.*\(2,\)"):
        z.sum().backward()
    z = ExpOfResult.apply(x)
    z.mul_(2)
    with pytest.raises(GraphError, match="modified by an inplace"):
        z.sum().backward()


def test_saved_tensors_are_freed(x):
    y = Cube.apply(x)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    with pytest.raises(GraphError, match=r"Cube.*second time.*retain_graph"):
        y.sum().backward()


def test_what_can_be_saved(x):
    seen = []

    class Saving(Function):
        @staticmethod
        def forward(ctx, x, what):
            ctx.save_for_backward(x, what, None)
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            seen.extend(ctx.saved_tensors)
            return grad, None

    Saving.apply(x, t.tensor([5])).sum().backward()
    assert seen[0].tolist() == [1.0, 2.0] and seen[0].requires_grad and seen[1].tolist() == [5] and seen[2] is None
    with pytest.raises(TypeError, match=r"argument 1 is of type float"):
        Saving.apply(x, 2.0)
    with pytest.raises(NotImplementedError, match="forward-mode"):
        autograd.FunctionCtx("f").save_for_forward(x)


def test_no_reference_cycle():
    gc.disable()
    try:
        x = t.ones(3, requires_grad=True)
        for function in (ExpOfResult.apply, lambda x: sum(BothExponentials.apply(x))):
            y = function(x)
            gone = weakref.ref(y.grad_fn)
            (y * y).sum().backward()
            del y
            assert gone() is None
    finally:
        gc.enable()


# -- in place ---------------------------------------------------------------------------------------------------------


class Doubled(Function):
    """Changes its argument in place."""

    @staticmethod
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


def test_mark_dirty(x):
    y = x * 3
    z = Doubled.apply(y)
    assert z is y and y.tolist() == [6.0, 12.0]
    (y * y).sum().backward()
    assert x.grad.tolist() == [72.0, 144.0]
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        Doubled.apply(x)


def test_a_dirty_view_changes_its_base(x):
    base = x * 1
    Doubled.apply(base[:1])
    assert base.tolist() == [2.0, 2.0]
    (base * base).sum().backward()
    assert x.grad.tolist() == [8.0, 4.0]


def test_a_value_saved_before_a_dirty_change_is_stale(x):
    y = x * 3
    square = y * y
    Doubled.apply(y)
    with pytest.raises(GraphError, match="mul.*modified by an inplace"):
        square.sum().backward()


def test_wrong_in_place_changes(x):
    class Forgetful(Doubled):
        @staticmethod
        def forward(ctx, x):
            return x.mul_(2) * 1

    class Elsewhere(Doubled):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x * 2

    class Stranger(Doubled):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            ctx.mark_dirty(y)
            return y

    with pytest.raises(GraphError, match=r"argument 0 in place.*mark_dirty"):
        Forgetful.apply(x * 1)
    with pytest.raises(GraphError, match="must all be outputs"):
        Elsewhere.apply(x * 1)
    with pytest.raises(GraphError, match="not an input"):
        Stranger.apply(x * 1)
    assert Forgetful.apply(t.ones(2)).tolist() == [2.0, 2.0]  # without a gradient nothing can go wrong


@pytest.mark.parametrize("view", [lambda x: x, lambda x: x.view(2, 1), lambda x: x[:1]])
def test_an_argument_that_is_returned_is_a_view(x, view):
    class Passed(Function):
        @staticmethod
        def forward(ctx, x):
            return view(x)

        @staticmethod
        def backward(ctx, grad):
            return t.ones(2) * 7

    before = x * 1
    y = Passed.apply(before)
    assert y is not before and np.shares_memory(y.detach().array, before.detach().array)
    y.sum().backward()
    assert x.grad.tolist() == [7.0, 7.0]
    with pytest.raises(RuntimeError, match="view"):
        y.mul_(2)


def test_a_gradient_is_read_only_and_results_of_backward_are_not_taken(x):
    kept = t.tensor([5.0, 5.0])
    Changing = identity(lambda g: (g.mul_(2), None))
    with pytest.raises(RuntimeError, match=r"mul_.*read-only.*clone"):
        Changing.apply(x, 1).sum().backward()
    Keeping = identity(lambda g: (kept, None))
    for _ in range(2):
        Keeping.apply(x, 1).sum().backward()
    assert x.grad.tolist() == [10.0, 10.0] and kept.tolist() == [5.0, 5.0]
    x.grad = None
    Passing = identity(lambda g: (g, None))
    for _ in range(2):
        Passing.apply(x, 1).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


# -- errors -----------------------------------------------------------------------------------------------------------


def test_gradients_of_the_wrong_number_or_shape(x):
    for grads, words in (
        (lambda g: g, r"GivenBackward returned an incorrect number of gradients \(expected 2, got 1\)"),
        (lambda g: (g, None, g), r"incorrect number of gradients \(expected 2, got 3\)"),
        (lambda g: (g, g), r"different than None at position 2.*not a Variable"),
        (lambda g: (t.ones(3), None), r"invalid gradient at index 0 - got \[3\] .* compatible with \[2\]"),
        (lambda g: (g.sum(), None), r"invalid gradient at index 0 - got \[\]"),
        (lambda g: (1.0, None), r"expected Variable or None \(got float\)"),
        (lambda g: [g, None], r"incorrect number of gradients"),
    ):
        with pytest.raises(RuntimeError, match=words):
            identity(grads).apply(x, 1).sum().backward()
    identity(lambda g: (g, None, None)).apply(x, 1).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_calls_of_an_instance(x):
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        made = Cube()
    with pytest.raises(RuntimeError, match=r"Legacy autograd function.*Cube\.apply"):
        made(x)


def test_missing_parts(x):
    class NoBackward(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

    with pytest.raises(NotImplementedError, match="backward"):
        NoBackward.apply(x).sum().backward()

    class NoForward(Function):
        pass

    with pytest.raises(NotImplementedError, match="forward"):
        NoForward.apply(x)

    class ByName(Function):
        @staticmethod
        def forward(ctx, x, *, k):
            return x * k

    with pytest.raises(TypeError, match="k can only be given by keyword"):
        ByName.apply(x, k=1)


def test_once_differentiable(x):
    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, grad):
            assert not autograd.is_grad_enabled()
            return 2 * ctx.saved_tensors[0] * grad

    Once.apply(x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    (g,) = autograd.grad((Once.apply(x) ** 2).sum(), x, create_graph=True)
    assert g.tolist() == [4.0, 32.0]
    with pytest.raises(RuntimeError, match="twice.*once_differentiable"):
        g.sum().backward()


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_a_call_is_drawn_as_one_op_named_after_its_class(x):
    loss = (Cube.apply(x * 2) * 3).sum()
    loss.backward()
    graph = autograd.graph_of(loss)
    (cube,) = [v for v in graph.vertices if v.op == "Cube"]
    assert cube.title == "Cube" and cube.formula == "Cube(x · 2)" and cube.value.tolist() == [8.0, 64.0]
    assert cube.grad.tolist() == [3.0, 3.0]


def test_several_results_are_drawn_as_one_op(x):
    a, b = SumAndProduct.apply(x, x.exp())
    loss = (a * b.sum()).sum()
    loss.backward()
    graph = autograd.graph_of(loss)
    assert [v.op for v in graph.vertices if v.op] == ["exp", "SumAndProduct", "sum", "mul", "sum"]
    (call,) = [v for v in graph.vertices if v.op == "SumAndProduct"]
    assert len([e for e in graph.edges if e.source == call.id]) == 2 and call.details["results"] == "2"
    (total,) = [v for v in graph.vertices if v.op == "sum" and v.role == "op"]
    assert call.formula == "h₁ = SumAndProduct(x, exp(x))" and total.formula == "Σ h₁[1]"
    assert autograd.graph_of(b).vertices[-1].role == "output"


def test_repr_and_next_functions(x):
    y = Cube.apply(x)
    assert "CubeBackward" in repr(y.grad_fn) and y.grad_fn.next_functions[0][0] is x.node
    assert "SumAndProductBackward" in repr(SumAndProduct.apply(x, x)[1].grad_fn)
