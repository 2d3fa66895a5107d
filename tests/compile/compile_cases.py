"""What the tests of compile share: a compiled function held to the function as written."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_edu as torch
from tinygrad_edu import autograd
from tinygrad_edu.compile import CompiledFunction


def leaves(arrays: Any, dtype: Any) -> list[torch.Tensor]:
    """Fresh leaves that require grad."""
    return [torch.from_numpy(np.array(a, dtype)).requires_grad_() for a in arrays]


def outcome(function: Any, arrays: Any, dtype: Any, second: bool) -> list[Any]:
    """Value, gradients and, if asked for, second derivatives, as arrays."""
    xs = leaves(arrays, dtype)
    y = function(*xs)
    weights = torch.from_numpy(np.cos(np.arange(y.numel(), dtype=dtype)).reshape(tuple(y.shape)))
    grads = autograd.grad((y * weights).sum(), xs, create_graph=second, allow_unused=True)
    found = [y.detach().numpy(), *(None if g is None else g.detach().numpy() for g in grads)]
    if second:
        total = sum((g * g).sum() for g in grads if g is not None)
        if isinstance(total, torch.Tensor) and total.requires_grad:
            bends = autograd.grad(total, xs, allow_unused=True)
            found += [None if b is None else b.numpy() for b in bends]
    return found


def assert_equals_eager(compiled: CompiledFunction, arrays: Any, dtype: Any = np.float64, second: bool = True) -> None:
    """The compiled function gives what the function gives, to rounding."""
    size = 1e4 * np.finfo(dtype).eps
    expected = outcome(compiled.function, arrays, dtype, second)
    actual = outcome(compiled, arrays, dtype, second)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert (a is None) == (e is None)
        if e is not None:
            assert a.shape == e.shape and a.dtype == e.dtype
            finite = np.abs(e[np.isfinite(e)])
            np.testing.assert_allclose(a, e, rtol=size, atol=size * float(finite.max(initial=1.0)))


def was_compiled(compiled: Any) -> bool:
    """Whether every signature so far has a program."""
    text = compiled.explain()
    return "forward" in text and "runs as written" not in text
