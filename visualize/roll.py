"""Repeats drawn once: a run of modules or of ops that are built alike becomes its first one, with "× 12".

Two units are alike if they hold the same ops with the same shapes and options, wired inside in the same way. They form
a run if each feeds only the next, or takes from outside what all of them take (a shared weight).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tinygrad_edu.autograd.graph import Edge, Scope

from .numbers import grouped
from .view import Box, View

PERIOD = 64  # units that one repeat may consist of
FEWEST = 2
ATTEMPTS = 5_000  # places tried in vain before the rest is left as it is: a large graph must not take minutes


@dataclass(frozen=True)
class Unit:
    """A box, or an open module with all boxes inside."""

    boxes: tuple[int, ...]
    scope: str  # "" for a single box
    kind: Hashable


@dataclass
class _Wires:
    """The edges of a view by the places of its boxes."""

    into: list[list[tuple[int, str]]]  # (source, input)
    out: list[list[tuple[int, str]]]


@dataclass
class _Repeats:
    """The runs that were found: what stands for what."""

    stands_for: list[int]  # box -> the box of the first repeat
    inside: dict[int, dict[int, int]] = field(default_factory=dict)  # box -> run -> repeat
    times: dict[int, int] = field(default_factory=dict)  # single boxes of a first repeat -> repeats
    scopes: dict[str, list[str]] = field(default_factory=dict)  # modules of a first repeat -> all of the run
    runs: int = 0

    def add(self, units: Sequence[Unit], period: int) -> None:
        """A run of units, so many of them per repeat."""
        count = len(units) // period
        for i, unit in enumerate(units):
            repeat, kept = i // period, units[i % period]
            for mine, theirs in zip(unit.boxes, kept.boxes, strict=True):
                self.stands_for[mine] = theirs
                self.inside.setdefault(mine, {})[self.runs] = repeat
            if kept.scope:
                self.scopes.setdefault(kept.scope, []).append(unit.scope)
            else:
                self.times[kept.boxes[0]] = count
        self.runs += 1

    def first_ones(self) -> list[int]:
        """For each box the one that is drawn; a run inside a repeated module leads further back."""
        first: list[int] = []
        for i, kept in enumerate(self.stands_for):
            first.append(i if kept == i else first[kept])
        return first


def rolled(view: View) -> View:
    """The view with every run drawn once, in O(boxes · 64)."""
    place = {box.id: i for i, box in enumerate(view.boxes)}
    wires = _Wires([[] for _ in view.boxes], [[] for _ in view.boxes])
    for edge in view.edges:
        wires.into[place[edge.target]].append((place[edge.source], edge.input))
        wires.out[place[edge.source]].append((place[edge.target], edge.input))
    parts = _contents(view)
    kinds = [_kind_of_box(box) for box in view.boxes]
    repeats = _Repeats(list(range(len(view.boxes))))
    todo = [""]
    while todo:
        units = _units(todo.pop(), parts, kinds, wires)
        gone: set[int] = set()
        for start, period, count in _runs(units, wires):
            gone.update(range(start + period, start + period * count))
            repeats.add(units[start : start + period * count], period)
        todo += [u.scope for i, u in enumerate(units) if u.scope and i not in gone]
    return _redrawn(view, repeats, place) if repeats.runs else view


def _contents(view: View) -> dict[str, list[int | str]]:
    """What lies directly in each open scope, in order: places of boxes, ids of scopes where their first box is."""
    parent = {scope.id: scope.parent for scope in view.scopes}
    parts: dict[str, list[int | str]] = {"": []}
    for i, box in enumerate(view.boxes):
        missing, scope = [], box.scope
        while scope not in parts:
            missing.append(scope)
            scope = parent[scope]
        for scope in reversed(missing):
            parts[scope] = []
            parts[parent[scope]].append(scope)
        parts[box.scope].append(i)
    return parts


def _kind_of_box(box: Box) -> Hashable:
    if box.module is not None:
        inside = tuple((v.op, v.role if not v.op else "", v.shape) for v in box.members)
        return (box.module.kind, box.module.detail, box.inputs, box.result, hash(inside))
    v = box.members[0]
    role = "op" if v.role == "output" else v.role  # the last repeat may be the result
    value = v.title if role == "constant" else ""
    return (v.op, v.title if v.op else "", role, value, v.shape, v.dtype, tuple(v.details.items()), v.detached, v.order)


def _units(scope: str, parts: dict[str, list[int | str]], kinds: list[Hashable], wires: _Wires) -> list[Unit]:
    units = []
    for item in parts[scope]:
        if isinstance(item, int):
            units.append(Unit((item,), "", kinds[item]))
            continue
        boxes: list[int] = []
        stack: list[int | str] = [item]
        while stack:  # depth first, in order
            here = stack.pop()
            if isinstance(here, int):
                boxes.append(here)
            else:
                stack += reversed(parts[here])
        local = {box: k for k, box in enumerate(boxes)}
        wiring = tuple(tuple((local[s], name) for s, name in wires.into[box] if s in local) for box in boxes)
        units.append(Unit(tuple(boxes), item, (tuple(kinds[b] for b in boxes), wiring)))
    return units


def _runs(units: Sequence[Unit], wires: _Wires) -> list[tuple[int, int, int]]:
    """(first unit, units per repeat, repeats) of every run; the shortest repeat and then the longest run first."""
    numbers: dict[Hashable, int] = {}
    kinds = np.array([numbers.setdefault(unit.kind, len(numbers)) for unit in units])
    free = np.ones(len(units), bool)
    runs: list[tuple[int, int, int]] = []
    attempts = 0
    for period in range(1, min(PERIOD, len(units) // 2) + 1):
        same = (kinds[period:] == kinds[:-period]) & free[period:] & free[:-period]
        edges = np.flatnonzero(np.diff(np.concatenate(([0], same.view(np.int8), [0]))))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            start = begin
            while start + period <= end:  # units start .. end + period - 1 repeat
                count = _wired_alike(units, start, period, (end + period - start) // period, wires)
                if count < FEWEST:
                    start, attempts = start + 1, attempts + 1
                    if attempts > ATTEMPTS:
                        return runs
                    continue
                runs.append((start, period, count))
                free[start : start + period * count] = False
                start += period * count
    return runs


def _wired_alike(units: Sequence[Unit], start: int, period: int, count: int, wires: _Wires) -> int:
    """How many repeats from `start` on feed each other in the same way; 1 if there is no run."""
    place: dict[int, tuple[int, int]] = {}  # box -> repeat, place in it

    def enter(repeat: int) -> list[int]:
        boxes = [b for unit in units[start + repeat * period : start + (repeat + 1) * period] for b in unit.boxes]
        place.update({box: (repeat, k) for k, box in enumerate(boxes)})
        return boxes

    def incoming(repeat: int, boxes: list[int]) -> tuple[Hashable, Hashable, bool]:
        inside, outside, linked = [], [], False
        for k, box in enumerate(boxes):
            for source, name in wires.into[box]:
                where = place.get(source)
                if where is not None and where[0] == repeat:
                    inside.append((where[1], k, name))
                elif where is not None:
                    linked = linked or where[0] == repeat - 1
                    outside.append((where[1], k, name, repeat - where[0]))
                else:
                    outside.append((source, k, name, 0))
        return tuple(inside), tuple(outside), linked

    boxes = enter(0)
    first, _, _ = incoming(0, boxes)
    later: Hashable = None
    leaving: set[tuple[int, int, str]] | None = None
    for repeat in range(1, count):
        before = {(k, t, name) for k, box in enumerate(boxes) for t, name in wires.out[box]}
        boxes = enter(repeat)
        inside, outside, linked = incoming(repeat, boxes)
        if repeat == 1:
            later = outside
        if inside != first or outside != later or not linked or not _only_neighbours(outside):
            return repeat
        # What the repeat before this one hands to the outside must be what every one hands there.
        out = {(k, t, name) for k, t, name in before if t not in place}
        leaving = out if leaving is None else leaving
        if out != leaving:
            return repeat
    return count


def _only_neighbours(outside: Hashable) -> bool:
    return all(distance in (0, 1) for *_, distance in outside)  # type: ignore[attr-defined]


def _redrawn(view: View, repeats: _Repeats, place: dict[str, int]) -> View:
    first = repeats.first_ones()
    copies: dict[int, list[int]] = {}
    for i, kept in enumerate(first):
        copies.setdefault(kept, []).append(i)
    boxes = []
    for i, same in copies.items():
        members = tuple(v for j in same for v in view.boxes[j].members)
        box = replace(view.boxes[i], members=members, copies=len(same), times=repeats.times.get(i, 1))
        last = view.boxes[same[-1]].module
        if box.module is not None and last is not None and box.times > 1 and last.name != box.module.name:
            box = replace(box, module=replace(box.module, name=f"{box.module.name} … {last.name}"))
        boxes.append(box)
    edges: dict[tuple[str, str, str], Edge] = {}
    for edge in view.edges:
        i, j = place[edge.source], place[edge.target]
        into = repeats.inside.get(j, {})
        # Between two repeats, or inside a later one: said by the first one and its count.
        if any(run in into and (repeat or into[run]) for run, repeat in repeats.inside.get(i, {}).items()):
            continue
        key = (view.boxes[first[i]].id, view.boxes[first[j]].id, edge.input)
        edges.setdefault(key, replace(edge, source=key[0], target=key[1]))
    names = {scope.id: scope.name for scope in view.scopes}
    gone = {scope for run in repeats.scopes.values() for scope in run[1:]}
    scopes: dict[str, Scope] = {}
    for scope in view.scopes:
        if scope.parent in gone:
            gone.add(scope.id)  # parents come first
        if scope.id not in gone:
            run = repeats.scopes.get(scope.id)
            scopes[scope.id] = _counted(scope, [names[s] for s in run]) if run else scope
    shown = tuple(dict.fromkeys(view.boxes[first[place[o]]].id for o in view.outputs))
    return replace(view, boxes=tuple(boxes), edges=tuple(edges.values()), scopes=tuple(scopes.values()), outputs=shown)


def _counted(scope: Scope, names: list[str]) -> Scope:
    name = scope.name if names[0] == names[-1] else f"{names[0]} … {names[-1]}"
    what = scope.detail or scope.kind
    return replace(scope, name=name, detail=f"{'' if what == name else what}  × {grouped(len(names))}".strip())
