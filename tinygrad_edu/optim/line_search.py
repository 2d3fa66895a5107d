"""A step length along a direction that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from tinygrad_edu.ops.registry import Array

DECREASE, CURVATURE = 1e-4, 0.9  # c₁ and c₂


class Point(NamedTuple):
    """What is known after a step of length t along the direction d."""

    t: float
    loss: float
    gradient: Array
    slope: float  # gradient · d


def strong_wolfe(
    at: Callable[[float], Point], start: Point, t: float, longest: float, tolerance_change: float, max_trials: int
) -> tuple[Point, int]:
    """A point where the loss is low enough and flat enough, and how often `at` was called for it.

    loss(t) ≤ loss(0) + c₁ t slope(0)        |slope(t)| ≤ c₂ |slope(0)|
    t is the first length tried; longest is the largest |entry| of the direction. After max_trials more lengths, or when
    the interval is shorter than tolerance_change, it is the lowest point seen.
    Source: Nocedal and Wright (2006), Numerical Optimization, Algorithms 3.5 and 3.6; with safeguards as in PyTorch.
    """

    def too_high(point: Point) -> bool:
        return point.loss > start.loss + DECREASE * point.t * start.slope

    def flat_enough(point: Point) -> bool:
        return abs(point.slope) <= -CURVATURE * start.slope

    # longer steps, until an interval must hold such a point
    previous, new, trials = start, at(t), 0
    while trials < max_trials:
        if too_high(new) or (trials > 1 and new.loss >= previous.loss):
            break
        if flat_enough(new):
            return new, trials + 1
        if new.slope >= 0:
            break
        further = cubic_minimum(previous, new, new.t + 0.01 * (new.t - previous.t), 10 * new.t)
        previous, new, trials = new, at(further), trials + 1
    else:
        previous = start

    # a shorter interval at each trial, with such a point inside
    low, high = (previous, new) if previous.loss <= new.loss else (new, previous)
    was_near_an_end = False
    while trials < max_trials and abs(high.t - low.t) * longest >= tolerance_change:
        left, right = sorted((low.t, high.t))
        t, margin = cubic_minimum(low, high, left, right), 0.1 * (right - left)
        near_an_end = min(right - t, t - left) < margin
        if near_an_end and (was_near_an_end or t >= right or t <= left):
            # twice in a row would shrink the interval too little
            t, near_an_end = (right - margin if right - t < t - left else left + margin), False
        was_near_an_end = near_an_end
        new, trials = at(t), trials + 1
        if too_high(new) or new.loss >= low.loss:
            low, high = (low, new) if low.loss <= new.loss else (new, low)
        elif flat_enough(new):
            return new, trials + 1
        else:
            low, high = new, (low if new.slope * (high.t - low.t) >= 0 else high)
    return low, trials + 1


def cubic_minimum(a: Point, b: Point, least: float, largest: float) -> float:
    """The minimum, within [least, largest], of the cubic that has the losses and slopes of a and b.

    e₁ = slope_a + slope_b − 3 (loss_a − loss_b) / (t_a − t_b)        e₂ = √(e₁² − slope_a slope_b)
    t = t_b − (t_b − t_a) (slope_b + e₂ − e₁) / (slope_b − slope_a + 2 e₂)        for t_a < t_b
    Where the cubic has no minimum, it is the middle.  Source: Nocedal and Wright (2006), equation 3.59.
    """
    if a.t > b.t:
        a, b = b, a
    middle = (least + largest) / 2
    if a.t == b.t:
        return middle
    e1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = e1 * e1 - a.slope * b.slope
    if not square >= 0:  # NaN too
        return middle
    e2 = math.sqrt(square)
    below = b.slope - a.slope + 2 * e2
    if below == 0:
        return middle
    return min(max(b.t - (b.t - a.t) * ((b.slope + e2 - e1) / below), least), largest)
