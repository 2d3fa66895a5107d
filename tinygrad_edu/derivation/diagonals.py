"""A softmax taken entry by entry: a formula that uses only the diagonal of a Jacobian that has more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.derivation.expressions import FormulaError, Value
from tinygrad_edu.derivation.formulas import RIGHT, Formula, is_gradient, target_ranges, true_value
from tinygrad_edu.derivation.truth import World

__all__ = ["only_diagonal"]

Numbers = NDArray[np.float64]


def only_diagonal(formula: Formula, worlds: list[World]) -> str:
    """What to say when a formula is right but for the entries off the diagonal; "" when it is not so.

    Of ds_i/dz_j = s_i (1 - s_j) the entries with i = j are right; dL/dz = s (1 - s) dL/ds leaves out that every
    entry of z changes every entry of s.
    """
    target, world = formula.target, worlds[0]
    if target.expression is not None or target.by not in world.order:
        return ""
    try:
        values = [formula.value(w) for w in worlds]
    except FormulaError:
        return ""
    if not is_gradient(target, world):
        if all(_right_on_it(formula, w, value) for w, value in zip(worlds, values, strict=True)):
            return f"{formula.target.text} where {' = '.join(target.indices)}; the other entries are wrong"
        return ""
    for key in world.order[world.order.index(target.by) + 1 :]:
        parts = [_by_diagonal(w, key, target.by) for w in worlds]
        if all(
            part is not None and value.array.shape == part.shape and _close(value.array, part)
            for part, value in zip(parts, values, strict=True)
        ):
            whole = f"d{key}/d{target.by}"
            return f"only what comes through the diagonal of {whole}: the sum over its other entries is missing"
    return ""


def _right_on_it(formula: Formula, world: World, value: Value) -> bool:
    truth = true_value(formula.target, world)
    if len(truth.labels) != 2 or truth.array.ndim != 2 or truth.array.shape[0] != truth.array.shape[1]:
        return False
    try:
        mine = value.over(truth.labels, target_ranges(formula.target, world))
    except FormulaError:
        return False
    return mine.shape == truth.array.shape and _close(np.diagonal(mine), np.diagonal(truth.array))


def _by_diagonal(world: World, key: str, by: str) -> Numbers | None:
    """dL/d(key) times the diagonal of its Jacobian; None for one that is diagonal, or that has none."""
    shape = world.shape(by)
    if world.shape(key) != shape or not shape:
        return None
    size = int(np.prod(shape))
    jacobian = world.jacobian(key, by).reshape(size, size)
    diagonal = np.diagonal(jacobian)
    if np.abs(jacobian - np.diag(diagonal)).max(initial=0.0) <= 1e-12 * np.abs(diagonal).max(initial=0.0):
        return None
    return world.gradient(key) * diagonal.reshape(shape)


def _close(x: Numbers, y: Numbers) -> bool:
    scale = float((np.abs(x) + np.abs(y)).max(initial=0.0))
    return scale > 0 and float(np.abs(x - y).max(initial=0.0)) < RIGHT * scale
