"""A formula that stops too early, or that is the derivative of something else: what it is instead, found by comparing.

If what is written for dL/dB is dL/dC of a later value C, the last step of the chain rule is missing: dL/dC must still
be multiplied by dC/dB and summed over the entries of C.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.derivation.expressions import FormulaError, Value
from tinygrad_edu.derivation.formulas import RIGHT, Formula, against, indexed_like, is_gradient, true_value
from tinygrad_edu.derivation.truth import World
from tinygrad_edu.derivation.verdicts import Repair

__all__ = ["StepSearch", "missing_step"]

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class StepSearch:
    """The step that is missing, or what the formula is instead ("" if nothing known), and what was compared."""

    repair: Repair | None
    instead: str
    tried: int


def missing_step(formula: Formula, worlds: list[World]) -> StepSearch:
    """Try one more factor dC/dB for every step out of B, and compare with the other derivatives."""
    try:
        values = [formula.value(world) for world in worlds]
    except FormulaError:
        return StepSearch(None, "", 0)
    target, first = formula.target, worlds[0]
    if target.by not in first.order or target.expression is not None:
        return StepSearch(None, "", 0)
    tried = 0
    instead = ""
    for words, which in _derivatives(formula, first):
        tried += 1
        if all(_is(value, array) for value, array in zip(values, map(which, worlds), strict=True)):
            instead = words
            break
    later = first.order[first.order.index(target.by) + 1 :]
    for step in later:
        if not first.local(step, target.by).any():
            continue
        tried += 1
        if all(_stepped(formula, world, value, step) for world, value in zip(worlds, values, strict=True)):
            return StepSearch(_words(formula, step, instead, first), instead, tried)
    return StepSearch(None, instead, tried)


def _derivatives(formula: Formula, world: World) -> Iterator[tuple[str, Callable[[World], Numbers]]]:
    """Every other derivative of the run, with how a sentence names it."""
    target = formula.target
    loss = world.setting.losses[0]
    if is_gradient(target, world):
        for key in world.order:
            if key != target.by and world.upstream is not None:
                yield f"d{loss}/d{key}", partial(World.gradient, name=key)
        return
    for of in world.order:
        for by in () if of in world.inputs else world.order[: world.order.index(of)]:
            if (of, by) != (target.of, target.by) and world.jacobian(of, by).any():
                yield f"d{of}/d{by}", partial(World.jacobian, of=of, by=by)
            if world.local(of, by).any():
                words = f"the partial derivative of {of} by {by} with the other named values held"
                yield words, partial(World.local, of=of, by=by)


def _is(value: Value, array: Numbers) -> bool:
    """Whether a value is this array, in some order of the axes; a single number may stand for a diagonal."""
    mine = value.array
    if not np.isfinite(mine).all():
        return False
    half = array.ndim // 2
    if mine.ndim < array.ndim and array.ndim == 2 * half and array.shape[:half] == array.shape[half:]:
        size = int(np.prod(array.shape[:half]))
        square = array.reshape(size, size)
        diagonal = np.diagonal(square)
        off = np.abs(square - np.diag(diagonal)).max(initial=0.0)
        if off <= 1e-12 * np.abs(diagonal).max(initial=0.0) and mine.shape in ((), array.shape[:half]):
            return _close(np.broadcast_to(mine, array.shape[:half]), diagonal.reshape(array.shape[:half]))
    if mine.shape == () and array.ndim:
        return False  # one number is equal to too much
    if mine.ndim != array.ndim or mine.ndim > 3:
        return False
    return any(
        mine.transpose(order).shape == array.shape and _close(mine.transpose(order), array)
        for order in itertools.permutations(range(mine.ndim))
    )


def _close(x: Numbers, y: Numbers) -> bool:
    scale = float((np.abs(x) + np.abs(y)).max(initial=0.0))
    return scale > 0 and float(np.abs(x - y).max(initial=0.0)) < RIGHT * scale


def _stepped(formula: Formula, world: World, value: Value, step: str) -> bool:
    """Whether the formula is right after another factor d(step)/d(by), summed over the entries of the step."""
    target = formula.target
    outer = () if is_gradient(target, world) else world.shape(target.of)
    wanted = outer + world.shape(step)
    local = world.local(step, target.by)
    truth = true_value(target, world)
    mine = value.array
    if mine.ndim > 3 or not wanted or not np.isfinite(mine).all():
        return False
    dims = len(world.shape(step))
    for order in itertools.permutations(range(mine.ndim)):
        array = mine.transpose(order)
        if array.shape != wanted:
            continue
        axes = tuple(range(array.ndim - dims, array.ndim))
        total = np.tensordot(array, local, axes=(axes, tuple(range(dims))))
        if against(indexed_like(target, world, total), truth, target, world).right:
            return True
    return False


def _words(formula: Formula, step: str, instead: str, world: World) -> Repair:
    by = formula.target.by
    factor = f"d{step}/d{by}"
    over = f", summed over the entries of {step}" if world.shape(step) else ""
    what = f"what is written is {instead}; " if instead else ""
    words = f"{what}the last step of the chain is missing: times {factor}{over}"
    left = formula.target.text
    return Repair(
        "missing factor", words, f"{left} = Σ ({instead or 'what is written'}) {factor}", f"factor {factor} missing"
    )
