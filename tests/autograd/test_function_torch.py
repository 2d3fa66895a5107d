"""The same autograd.Function in PyTorch gives the same values, gradients and kinds of errors."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu.testing import assert_close

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def functions(lib):
    """The classes, written once for both libraries."""

    class Pair(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, power):
            ctx.save_for_backward(x, y)
            ctx.power = power
            return x**power * y, x + y

        @staticmethod
        def backward(ctx, a, b):
            x, y = ctx.saved_tensors
            n = ctx.power
            return a * n * x ** (n - 1) * y + b, a * x**n + b, None

    class InPlace(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(3)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, grad):
            return grad * 3

    class Apart(lib.autograd.Function):
        @staticmethod
        def forward(x):
            return x.exp()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(output)

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0]

    return Pair, InPlace, Apart


def program(lib, name):
    pair, in_place, apart = functions(lib)
    return {
        "pair": lambda x: pair.apply(x, x * 2, 3)[0],
        "both": lambda x: pair.apply(x, x * 2, 3)[0] * pair.apply(x.sin(), x, 2)[1],
        "chain": lambda x: pair.apply(*pair.apply(x, x, 2), 2)[0],
        "in place": lambda x: in_place.apply(x * 1) * x,
        "in place view": lambda x: _changed_view(x * 1, in_place) * x,
        "apart": lambda x: apart.apply(apart.apply(x)),
    }[name]


def _changed_view(y, in_place):
    in_place.apply(y[1:])
    return y


@pytest.mark.parametrize("name", ["pair", "both", "chain", "in place", "in place view", "apart"])
def test_values_and_two_derivatives(name):
    point = np.array([0.3, -1.2, 0.7])
    found = []
    for lib in (t, torch):
        x = lib.tensor(point, requires_grad=True)
        y = program(lib, name)(x)
        (first,) = lib.autograd.grad((y * y).sum(), x, create_graph=True)
        (second,) = lib.autograd.grad(first.exp().sum(), x)
        found.append([np.asarray(v.detach()) for v in (y, first, second)])
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, rtol=1e-10)


def wrong(lib, kind):
    class Wrong(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            if kind == "save":
                ctx.save_for_backward(2.0)
            if kind == "dirty":
                ctx.mark_dirty(x)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return {"number": g, "shape": (lib.ones(3), None), "extra": (g, g), "type": (1.0, None)}.get(
                kind, (g, None)
            )

    x = lib.ones(2, requires_grad=True) * 1
    Wrong.apply(x, 1).sum().backward()


WORDS = {
    "number": "incorrect number of gradients",
    "shape": "invalid gradient at index 0",
    "extra": "different than None at position 2",
    "type": "expected Variable or None",
    "save": "can only save variables",
    "dirty": "must all be outputs",
}


@pytest.mark.parametrize("kind", WORDS)
def test_errors_have_the_same_type_and_words(kind):
    errors = []
    for lib in (t, torch):
        with pytest.raises((RuntimeError, TypeError), match=WORDS[kind]) as caught:
            wrong(lib, kind)
        errors.append(caught.value)
    assert isinstance(errors[0], type(errors[1]))


def test_gradcheck_agrees_on_right_and_wrong():
    for lib in (t, torch):
        pair, _, apart = functions(lib)
        x = lib.tensor(np.array([0.4, -0.9]), requires_grad=True)
        assert lib.autograd.gradcheck(lambda x, pair=pair: pair.apply(x, x * 2, 3), (x,))
        assert lib.autograd.gradgradcheck(lambda x, apart=apart: apart.apply(x), (x,))

        class Wrong(apart):
            @staticmethod
            def backward(ctx, grad):
                return grad

        with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
            lib.autograd.gradcheck(Wrong.apply, (x,))
        assert lib.autograd.gradcheck(Wrong.apply, (x,), raise_exception=False) is False
