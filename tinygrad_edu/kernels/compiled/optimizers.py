"""Optimiser twins: one pass over any number of parameters and their state, in place, each thread an equal share.

The arithmetic is that of the reference, operation by operation in the parameter's own dtype, so that every bit is the
same whichever of the two runs, on however many threads. Loops go over short chunks, which stay in the L1 cache from
one loop to the next: with more than four arrays in one loop, LLVM gives up proving that they do not overlap, and with
that the use of vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..flat import Line, Mark, Table
from ..quiet import Array
from ..reference import optimizers as reference
from .native import get_threads, launch

# Elements from which on threads pay, one | two in us: 200,000 of SGD with momentum 55 | 50, 400,000 87 | 63, of Adam
# 145 | 118, 1e6 182 | 138, 331 | 210; where the threads sleep, waking them costs up to 300.
PARALLEL = 500_000

Plan = tuple[tuple[float, ...], list[tuple[float, float]]]


# What each kernel is given: the options that all parameters share, and two numbers for each parameter.


def _sgd_plan(
    marks: Sequence[Mark],
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> Plan:
    shared = (lr, momentum, 1 - dampening, weight_decay, -1.0 if maximize else 1.0, float(nesterov))
    return shared, [(float(mark["first_step"]), 0.0) for mark in marks]


def _rmsprop_plan(
    marks: Sequence[Mark],
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> Plan:
    return (lr, alpha, 1 - alpha, eps, weight_decay, momentum, -1.0 if maximize else 1.0), [NOTHING] * len(marks)


def _adam_plan(
    marks: Sequence[Mark],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    decoupled: bool,
    maximize: bool,
) -> Plan:
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    corrections = {
        step: (lr / (1 - beta1**step), math.sqrt(1 - beta2**step)) for step in {mark["step"] for mark in marks}
    }
    shared = (1 - beta1, beta2, 1 - beta2, eps, decay, shrink, -1.0 if maximize else 1.0)
    return shared, [corrections[mark["step"]] for mark in marks]


def _adagrad_plan(
    marks: Sequence[Mark], *, lr: float, lr_decay: float, eps: float, weight_decay: float, maximize: bool
) -> Plan:
    shared = (eps, weight_decay, -1.0 if maximize else 1.0)
    return shared, [(lr / (1 + (mark["step"] - 1) * lr_decay), 0.0) for mark in marks]


NOTHING = (0.0, 0.0)
PLANS: dict[str, Callable[..., Plan]] = {
    "sgd_step": _sgd_plan,
    "rmsprop_step": _rmsprop_plan,
    "adam_step": _adam_plan,
    "adagrad_step": _adagrad_plan,
}


def step_each(
    name: str, table: Table, lines: Sequence[Line], grads: Sequence[Array], marks: Sequence[Mark], options: Mark
) -> None:
    """One launch for all parameters that lie in memory as it needs them; NumPy for the others."""
    plan = PLANS[name]
    places = table.places(lines)
    if len(places) < len(lines):
        rest = sorted(set(range(len(lines))).difference(places))
        reference.step_each(name, table, *_chosen(rest, lines, grads, marks), options)
        lines, grads, marks = _chosen(places, lines, grads, marks)
    if not table.total:
        return
    shared, numbers = plan(marks, **options)
    grads = [table.readable(grad) for grad in grads]
    table.fill(grads, numbers)
    reals = np.array(shared, np.float64)
    args = np.array((len(lines), table.total, table.address, reals.ctypes.data), np.int64)
    threads = get_threads() if table.total >= PARALLEL else 1
    launch(f"optimizers.{name.removesuffix('_step')}", (table.dtype.itemsize, 0, 0), args, threads)


def _chosen(
    places: Sequence[int], lines: Sequence[Line], grads: Sequence[Array], marks: Sequence[Mark]
) -> tuple[list[Line], list[Array], list[Mark]]:
    return [lines[k] for k in places], [grads[k] for k in places], [marks[k] for k in places]


__all__ = ["step_each"]
