"""The checker: the engine's gradients against central differences, on arrays, on tensors, and to any order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.autograd.functional import grad
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor


class GradientError(AssertionError):
    """A gradient that differs from the central difference."""


@dataclass(frozen=True)
class GradientCheck:
    """What a check found: for each order, the largest error relative to the size of the derivative."""

    name: str
    errors: tuple[float, ...]
    derivatives: int  # how many directional derivatives were compared


def assert_close(actual: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-8) -> None:
    """Raise AssertionError with the worst entry unless both have one shape and agree; NaN equals NaN."""
    a, b = (np.asarray(v.detach() if isinstance(v, Tensor) else v) for v in (actual, expected))
    if a.shape != b.shape:
        raise AssertionError(f"shapes differ: {a.shape} and {b.shape}")
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, equal_nan=True)


def check_gradients(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    params: Mapping[str, Any] | None = None,
    *,
    order: int = 2,
    step: float = 1e-5,
    rtol: float = 2e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> GradientCheck:
    """Compare ⟨u, J v⟩ by central differences with ⟨Jᵀ u, v⟩ by backward, for a random u and a v in each input.

    function(*inputs, **params) -> a tensor.  inputs: float64 arrays or tensors are differentiated; integer and boolean
    ones are passed on.  The first order is checked twice, by the walk over arrays and by the recorded walk; order n
    differentiates the recorded gradient of order n − 1, with respect to u too.
    Raises GradientError naming the function, the input, the order and the worst entry.
    """
    name = getattr(function, "__name__", repr(function))
    arrays = [np.array(x.detach() if isinstance(x, Tensor) else x) for x in inputs]
    places = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    for i in places:
        if arrays[i].dtype != np.float64:
            raise TypeError(f"check_gradients: input {i} of {name} is {arrays[i].dtype}; differences need float64")
    rng = np.random.default_rng(seed)

    def apply(*differentiated: Tensor) -> Tensor:
        everything: list[Any] = [wrap(a) for a in arrays]
        for place, x in zip(places, differentiated, strict=True):
            everything[place] = x
        out: Tensor = function(*everything, **(params or {}))
        return out

    points = [arrays[i] for i in places]
    out = apply(*(wrap(p) for p in points))
    u = np.asarray(rng.standard_normal(out.array.shape))

    def objective(*xs: Tensor) -> Tensor:
        *differentiated, weights = xs
        return (apply(*differentiated) * weights).sum()

    points.append(u)
    _check_both_walks(name, apply, points)
    labels = [f"input {i}" for i in places] + ["the incoming gradient"]
    errors = []
    compared = 0
    for level in range(1, order + 1):
        worst = _check_order(name, level, objective, points, labels, rng, step, rtol, atol)
        errors.append(worst)
        compared += len(points)
        if level < order:
            objective = _differentiated(objective, [np.asarray(rng.standard_normal(p.shape)) for p in points])
    return GradientCheck(name, tuple(errors), compared)


def _leaves(points: Sequence[Array]) -> list[Tensor]:
    return [wrap(p.copy()).requires_grad_() for p in points]


def _check_both_walks(name: str, apply: Callable[..., Tensor], points: Sequence[Array]) -> None:
    """backward() on arrays and grad(create_graph=True) on tensors must agree."""
    *inputs, u = points
    leaves = _leaves(inputs)
    out = apply(*leaves)
    if not out.requires_grad:
        return
    out.backward(wrap(u), retain_graph=True)
    recorded = grad(out, leaves, wrap(u), create_graph=True, allow_unused=True)
    for i, (leaf, other) in enumerate(zip(leaves, recorded, strict=True)):
        if (leaf.grad is None) != (other is None):
            raise GradientError(f"{name}: input {i} has a gradient by only one of the two walks")
        if leaf.grad is not None:
            np.testing.assert_allclose(
                leaf.grad.array,
                other.array,
                rtol=1e-9,
                atol=1e-12,
                err_msg=f"{name}: the walk over arrays and the recorded walk differ for input {i}",
            )


def _gradients(objective: Callable[..., Tensor], points: Sequence[Array]) -> list[Array]:
    leaves = _leaves(points)
    value = objective(*leaves)
    if not value.requires_grad:
        return [np.zeros_like(p) for p in points]
    found = grad(value, leaves, allow_unused=True)
    return [np.zeros_like(p) if g is None else g.array for p, g in zip(points, found, strict=True)]


def _differentiated(objective: Callable[..., Tensor], weights: Sequence[Array]) -> Callable[..., Tensor]:
    """The sum of the recorded gradients of `objective` times fixed weights: a scalar to differentiate again."""

    def higher(*xs: Tensor) -> Tensor:
        # differences evaluate this without any leaf: then the gradient is taken at tensors of our own
        own = [x if x.requires_grad else wrap(x.array).requires_grad_() for x in xs]
        value = objective(*own)
        total = wrap(np.zeros(()))
        if not value.requires_grad:
            return total
        for g, w in zip(grad(value, own, create_graph=True, allow_unused=True), weights, strict=True):
            if g is not None:
                total = total + (g * wrap(w)).sum()
        return total

    return higher


def _value(objective: Callable[..., Tensor], points: Sequence[Array]) -> float:
    return float(objective(*(wrap(p) for p in points)).detach())


def _check_order(
    name: str,
    level: int,
    objective: Callable[..., Tensor],
    points: Sequence[Array],
    labels: Sequence[str],
    rng: np.random.Generator,
    step: float,
    rtol: float,
    atol: float,
) -> float:
    gradients = _gradients(objective, points)
    worst = 0.0
    for k, point in enumerate(points):
        direction = rng.standard_normal(point.shape)
        moved = list(points)
        values = []
        for sign in (1.0, -1.0):
            moved[k] = np.asarray(point + sign * step * direction)
            values.append(_value(objective, moved))
        numeric = (values[0] - values[1]) / (2.0 * step)
        exact = float((gradients[k] * direction).sum())
        # the difference of two values loses digits in proportion to their size
        size = max(abs(numeric), abs(exact), float(np.abs(gradients[k] * direction).sum()))
        noise = 1e-15 * max(abs(values[0]), abs(values[1])) / step
        error = abs(numeric - exact)
        if not error <= atol + rtol * size + 10 * noise:
            raise GradientError(
                f"{name}: the gradient of order {level} with respect to {labels[k]} is wrong: the rule gives "
                f"{exact:.9g} "
                f"along a random direction, central differences {numeric:.9g}. "
                + _worst_entry(objective, points, k, gradients[k], step)
            )
        worst = max(worst, error / max(size, 1e-3))
    return worst


def _worst_entry(
    objective: Callable[..., Tensor], points: Sequence[Array], k: int, gradient: Array, step: float
) -> str:
    """The entry of the k-th input where rule and difference are furthest apart."""
    numeric = np.empty_like(points[k])
    for place in np.ndindex(points[k].shape):
        moved = [p.copy() for p in points]
        moved[k][place] += step
        above = _value(objective, moved)
        moved[k][place] -= 2 * step
        numeric[place] = (above - _value(objective, moved)) / (2 * step)
    apart = np.abs(numeric - gradient)
    place = tuple(int(i) for i in np.unravel_index(int(np.nanargmax(apart)) if apart.size else 0, apart.shape))
    at = f"{place} of shape {points[k].shape}"
    return f"Worst at entry {at}: rule {gradient[place]:.9g}, difference {numeric[place]:.9g}"
