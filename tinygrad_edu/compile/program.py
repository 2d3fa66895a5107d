"""From steps to a program: what is not needed is left out, elementwise steps become loops, the rest calls its kernels.

The program itself is a Python function of straight-line code, written once:

    def run(v0, v1):
        v2 = matmul(v0, v1)
        v3, v4 = loop0(v2, v1)
        del v2
        return [v3, v4]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.compile.loops import COSTLY, Loop, kind_of
from tinygrad_edu.compile.steps import Step, Value
from tinygrad_edu.ops.registry import Array

SMALL = 2048  # entries below which NumPy's own calls are as quick as a launch, unless it replaces FEW of them
FEW = 4
LONGEST = 40  # steps in one loop

Part = Step | Loop


class Program:
    """Arrays in, arrays out.

    inputs: what it is called with.  outputs: what it returns, from inputs and steps.
    """

    def __init__(self, steps: Sequence[Step], inputs: Sequence[Value], outputs: Sequence[Value]) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.steps = needed(steps, inputs, outputs)
        self.parts = grouped(self.steps, set(inputs), set(outputs))
        self.run: Callable[..., list[Array]] = _written(self.parts, self.inputs, self.outputs)

    @property
    def loops(self) -> list[Loop]:
        """The fused kernels."""
        return [part for part in self.parts if isinstance(part, Loop)]

    def described(self) -> list[str]:
        """One line for each part."""
        lines = []
        for part in self.parts:
            if isinstance(part, Loop):
                lines.append(f"loop over {part.shape}: {', '.join(part.names)}")
            else:
                lines.append(f"{part.op.name} -> {part.outs[0].shape}")
        return lines


def needed(steps: Sequence[Step], inputs: Iterable[Value], outputs: Iterable[Value]) -> list[Step]:
    """The steps that the outputs depend on, in order, given the inputs."""
    known, wanted, found = set(inputs), set(outputs), []
    for step in reversed(steps):
        if any(out in wanted and out not in known for out in step.outs):
            found.append(step)
            wanted.update(v for v in step.inputs if v is not None)
    return found[::-1]


def grouped(steps: Sequence[Step], known: set[Value], outputs: set[Value]) -> list[Part]:
    """The steps in an order in which elementwise ones of one shape stand together, as loops."""
    made = {out for step in steps for out in step.outs}
    waiting, done, parts = list(steps), set[Value](), list[Part]()
    kinds = {id(step): kind_of(step) for step in steps}

    def ready(step: Step) -> bool:
        return all(v is None or v in done or v in known or v not in made for v in step.inputs)

    def take(step: Step) -> None:
        waiting.remove(step)
        done.update(step.outs)

    while waiting:
        others = [step for step in waiting if kinds[id(step)] in (None, "bool") and ready(step)]
        if others and any(kinds[id(step)] is None for step in others):
            for step in others:
                if kinds[id(step)] is None:
                    take(step)
                    parts.append(step)
            continue
        first = next((step for step in waiting if ready(step) and kinds[id(step)] != "bool"), None)
        if first is None:  # booleans alone
            take(others[0])
            parts.append(others[0])
            continue
        shape, kind, group = first.outs[0].shape, kinds[id(first)] or "", list[Step]()
        grown = True
        while grown:
            grown = False
            for step in list(waiting):
                fits = step.outs[0].shape == shape and kinds[id(step)] in (kind, "bool")
                if fits and len(group) < LONGEST and ready(step):
                    take(step)
                    group.append(step)
                    grown = True
        read_later = {v for step in waiting for v in step.inputs} | outputs
        parts += _loop_or_steps(group, kind, [s.outs[0] for s in group if s.outs[0] in read_later])
    return parts


def _loop_or_steps(group: list[Step], kind: str, wanted: list[Value]) -> list[Part]:
    small = group[0].outs[0].array.size < SMALL
    if sum(not step.op.view for step in group) < (FEW if small else 2):
        return list(group)
    return [Loop(group, kind, wanted)]


def kept(steps: Sequence[Step], read: Iterable[Value], inputs: set[Value]) -> list[Value]:
    """What forward keeps of the values that backward reads: not those that a cheap loop can compute again.

    Reading x twice costs less than writing x > 0, or x * 2, and reading it: such a value is traded for the one it comes
    from; never for several.
    """
    makers = {out: step for step in steps for out in step.outs}
    found: dict[Value, tuple[Value, ...]] = {}

    def sources(v: Value) -> tuple[Value, ...]:
        if v in inputs or v not in makers:
            return ()
        if v not in found:
            step = makers[v]
            found[v] = (v,)
            if _is_cheap(step):
                below = dict.fromkeys(s for x in step.inputs if x is not None for s in sources(x))
                if len(below) <= 1 and all(s.array.size <= v.array.size or step.op.view for s in below):
                    found[v] = tuple(below)
        return found[v]

    return list(dict.fromkeys(s for v in read for s in sources(v)))


def _is_cheap(step: Step) -> bool:
    if step.op.view:
        return True
    return kind_of(step) is not None and step.op.name not in COSTLY and step.outs[0].array.size >= SMALL


def _caller(step: Step) -> Callable[..., Any]:
    """One step as a function of arrays."""
    if len(step.outs) > 1:
        return lambda *arrays: step.compute(arrays)
    forward, params, as_array = step.op.forward, step.params, np.asarray
    if not params:
        return lambda *arrays: as_array(forward(*arrays))
    return lambda *arrays: as_array(forward(*arrays, **params))


def _written(parts: Sequence[Part], inputs: Sequence[Value], outputs: Sequence[Value]) -> Callable[..., list[Array]]:
    names: dict[Value, str] = {v: f"v{k}" for k, v in enumerate(inputs)}
    scope: dict[str, Any] = {}
    count = len(inputs)
    head = ", ".join(names[v] for v in inputs)
    reads = [_reads(part) for part in parts]
    last: dict[Value, int] = {v: n for n, values in enumerate(reads) for v in values}
    lines: list[str] = []
    for n, part in enumerate(parts):
        for v in reads[n]:
            if v not in names:  # a constant
                names[v] = f"c{len(scope)}"
                scope[names[v]] = v.array
        outs = part.outs
        for v in outs:
            names[v], count = f"v{count}", count + 1
        called = f"f{n}"
        scope[called] = part if isinstance(part, Loop) else _caller(part)
        arguments = ", ".join("None" if v is None else names[v] for v in _arguments(part))
        left = ", ".join(names[v] for v in outs) + ("," if isinstance(part, Loop) and len(outs) == 1 else "")
        lines.append(f"    {left} = {called}({arguments})")
        gone = [
            names[v] for v in {*reads[n], *outs} if last.get(v, -1) <= n and v not in outputs and names[v][0] == "v"
        ]
        if gone:
            lines.append(f"    del {', '.join(gone)}")
    for v in outputs:
        if v not in names:
            names[v] = f"c{len(scope)}"
            scope[names[v]] = v.array
    lines.append(f"    return [{', '.join(names[v] for v in outputs)}]")
    exec(f"def run({head}):\n" + "\n".join(lines), scope)
    run: Callable[..., list[Array]] = scope["run"]
    return run


def _arguments(part: Part) -> Sequence[Value | None]:
    return part.inputs


def _reads(part: Part) -> list[Value]:
    return [v for v in dict.fromkeys(_arguments(part)) if v is not None]
