"""One rule against central differences: all entries at once along a random direction, then single entries.

f is the sum of the op's result times fixed random weights u, computed in float64 at the recorded inputs:

    central  (f(x + h) − f(x − h)) / 2h        h = ∛eps · max(|x|, 0.01), eps of the dtype that the op returns
    kink     (f(x + h) − f(x)) / h and (f(x) − f(x − h)) / h stay apart when h shrinks
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad_edu.ops.registry import Array

Place = tuple[int, ...]
SMALLER = 16.0  # the second step is this much smaller

RIGHT, WRONG, KINK = "right", "wrong", "kink"


@dataclass(frozen=True)
class EntryCheck:
    """One entry of an input: what the rule says, what the difference says, and the verdict."""

    place: Place
    rule: float
    difference: float
    verdict: str

    @property
    def error(self) -> float:
        """|rule − difference| / max(|rule|, |difference|); 0 where the verdict is not "wrong" and both are 0."""
        size = max(abs(self.rule), abs(self.difference))
        return abs(self.rule - self.difference) / size if size and np.isfinite(size) else 0.0


class Differences:
    """Central differences of f at `point`, one input of an op; `outputs` computes the results as float64 arrays."""

    def __init__(
        self, outputs: Callable[[Array], list[Array]], point: Array, weights: list[Array], eps: float, rule_eps: float
    ) -> None:
        self.outputs, self.point, self.weights, self.eps = outputs, point, weights, eps
        self.rtol = max(2e-5, 4000 * max(eps, rule_eps)) if max(eps, rule_eps) < 1e-10 else 1e-2
        started = time.perf_counter()
        self.here = outputs(point)
        self.cost = time.perf_counter() - started
        self.scale = np.maximum(np.abs(point), 1e-2)

    def _change(self, after: list[Array], before: list[Array]) -> float:
        """f(after) − f(before), entry by entry, so that what did not change adds no rounding."""
        return float(sum(np.sum(u * (a - b)) for u, a, b in zip(self.weights, after, before, strict=True)))

    def _noise(self, a: list[Array], b: list[Array], step: float) -> float:
        """The rounding of the results that changed, carried into the difference."""
        moved = sum(float(np.sum(np.abs(u * x) * (x != y))) for u, x, y in zip(self.weights, a, b, strict=True))
        return 8 * self.eps * moved / step

    def along(self, direction: Array) -> tuple[float, float]:
        """The derivative of f along `direction`, and how far it may be off by rounding."""
        step = float(np.cbrt(self.eps))
        plus, minus = self.outputs(self.point + step * direction), self.outputs(self.point - step * direction)
        return self._change(plus, minus) / (2 * step), self._noise(plus, minus, step)

    def entry(self, place: Place, rule: float) -> EntryCheck:
        """Compare the rule with the difference at one entry."""
        step = float(np.cbrt(self.eps)) * float(self.scale[place])
        central, forward, backward, tolerance = self._sides(place, step, rule)
        if abs(rule - central) <= tolerance:
            return EntryCheck(place, rule, central, RIGHT)
        closer, forward2, backward2, tolerance2 = self._sides(place, step / SMALLER, rule)
        if abs(rule - closer) <= tolerance2 and np.isfinite(closer):
            return EntryCheck(place, rule, closer, RIGHT)
        if self._right_from_near(place, rule):
            return EntryCheck(place, rule, rule, RIGHT)
        gap, gap2 = abs(forward - backward), abs(forward2 - backward2)
        if not np.isfinite(gap2):
            return EntryCheck(place, rule, closer, KINK)  # one side has no value: the end of the domain
        if gap > tolerance and gap2 > tolerance2 and gap2 > 0.5 * gap:
            low, high = min(forward2, backward2), max(forward2, backward2)
            inside = low - tolerance2 <= rule <= high + tolerance2
            return EntryCheck(place, rule, closer, KINK if inside else WRONG)
        return EntryCheck(place, rule, central, WRONG)

    def _right_from_near(self, place: Place, rule: float) -> bool:
        """Whether the rule agrees with a step as small beside the entry as the first is beside 1: √x bends near 0."""
        size = abs(float(self.point[place]))
        if not 0 < size < self.scale[place]:
            return False
        nearest, _, _, tolerance = self._sides(place, float(np.cbrt(self.eps)) * size, rule)
        # so small a step may drown in rounding, which must not pass for agreement
        told = tolerance <= max(self.rtol, 1e-3) * max(abs(rule), abs(nearest)) * 2
        return bool(np.isfinite(nearest) and told and abs(rule - nearest) <= tolerance)

    def _sides(self, place: Place, step: float, rule: float) -> tuple[float, float, float, float]:
        """Central, forward and backward difference, and how close to the central one a right rule is."""
        above, below = self.point.copy(), self.point.copy()  # two arrays: the op may return views of them
        above[place] += step
        below[place] -= step
        plus, minus = self.outputs(above), self.outputs(below)
        with np.errstate(all="ignore"):
            forward = self._change(plus, self.here) / step
            backward = self._change(self.here, minus) / step
            central = (forward + backward) / 2
            tolerance = 1e-9 + self.rtol * max(abs(rule), abs(central)) + self._noise(plus, minus, step)
        return central, forward, backward, tolerance


def check_input(differences: Differences, gradient: Array, entries: int, rng: np.random.Generator) -> list[EntryCheck]:
    """The sampled entries of one input, the suspicious one first."""
    point = differences.point
    if not point.size:
        return []
    chosen: list[Place] = []
    if point.size > entries:
        direction = rng.choice((-1.0, 1.0), point.shape) * differences.scale
        suspect = _bisect(differences, gradient, direction)
        chosen = [suspect] if suspect is not None else []
        picked = rng.choice(point.size, entries, replace=False)
    else:
        picked = np.arange(point.size)
    places = [tuple(int(n) for n in np.unravel_index(int(k), point.shape)) for k in picked]
    chosen += [place for place in places if place not in chosen]
    return [differences.entry(place, float(gradient[place])) for place in chosen]


def _bisect(differences: Differences, gradient: Array, direction: Array) -> Place | None:
    """None if rule and difference agree along `direction`; else the entry where halving the direction ends."""
    alive = np.arange(direction.size)
    while True:
        part = _only(direction, alive)
        found, noise = differences.along(part)
        off = abs(found - float(np.sum(gradient * part)))
        # a hundredth of what one wrong entry would be off by; never less than differences can tell
        size = float(np.abs(gradient * part).sum())
        if off <= 1e-9 + noise + max(1e-7, differences.rtol / 100) * size and len(alive) == direction.size:
            return None
        if len(alive) == 1:
            return tuple(int(n) for n in np.unravel_index(int(alive[0]), direction.shape))
        half = len(alive) // 2
        left = _only(direction, alive[:half])
        found_left, noise_left = differences.along(left)
        off_left = abs(found_left - float(np.sum(gradient * left)))
        alive = alive[:half] if off_left - noise_left >= off / 2 or not np.isfinite(off_left) else alive[half:]


def _only(direction: Array, places: Array) -> Array:
    """The direction with every entry but those at the flat `places` set to 0."""
    part = np.zeros_like(direction)
    part.reshape(-1)[places] = direction.reshape(-1)[places]
    return part
