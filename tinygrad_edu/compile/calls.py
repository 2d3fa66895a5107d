"""One compiled signature: the programs of forward and backward, and the node that a call leaves in the graph.

The node is one op with a joint backward, like a fused op: derivatives of higher order and pictures run the noted steps
again as ordinary ops (`replayed`), so nothing in a program need be differentiable.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd import engine
from tinygrad_edu.autograd.calls import Bundle, FunctionOp, ReadyPlan, result_node
from tinygrad_edu.autograd.modes import mode, set_grad_enabled
from tinygrad_edu.autograd.node import KEEP, Node
from tinygrad_edu.autograd.versions import clock, owner
from tinygrad_edu.compile.backward import trace_backward
from tinygrad_edu.compile.program import Program, kept, needed
from tinygrad_edu.compile.steps import Value
from tinygrad_edu.compile.tracing import Tracer
from tinygrad_edu.kernels.memory import is_whole
from tinygrad_edu.ops.basic import alias
from tinygrad_edu.ops.registry import INPUT, OUT, Array, Op
from tinygrad_edu.recording import apply, constant_of, lift, live_node, wrap
from tinygrad_edu.tensor import Tensor


class Compiled:
    """What one trace became: call it with the tensors that the trace had as inputs."""

    def __init__(self, name: str, tracer: Tracer, outputs: Sequence[Value]) -> None:
        self.name, self.inputs, self.outputs = name, list(tracer.inputs), list(outputs)
        flowing = [v for v in outputs if v.flows]
        noted = list(tracer.steps)
        self.active: tuple[int, ...] = ()
        self.backward: Program | None = None
        saved: list[Value] = []
        self.flowing = [k for k, v in enumerate(outputs) if v.flows]
        if flowing:
            seeds, grads = trace_backward(tracer, flowing)
            self.active = tuple(i for i, g in enumerate(grads) if g is not None)
            wanted = [grads[i] for i in self.active]
            inputs, own = set(self.inputs), {id(step) for step in noted}
            made = {out for step in noted for out in step.outs}
            path = [s for s in needed(tracer.steps, inputs | set(seeds), wanted) if id(s) not in own]  # type: ignore[arg-type]
            read = [v for step in path for v in step.inputs if v in made]
            read += [v for v in wanted if v in made]
            saved = kept(noted, [v for v in read if v is not None], inputs)
            self.backward = Program(tracer.steps, [*self.inputs, *saved, *seeds], [v for v in wanted if v is not None])
        self.forward = Program(noted, self.inputs, [*outputs, *saved])
        self.noted = needed(noted, self.inputs, outputs)
        self.saves = (
            *((INPUT, i) for i in range(len(self.inputs))),
            *((OUT, None) for _ in saved),
        )
        self.op = FunctionOp(name, [f"x{i}" for i in range(len(self.inputs))])
        self.op.of_result = FunctionOp(name, ["call"], f"{name}.result")
        if len(outputs) == 1:
            self.op.composition = lambda *starts: self.replayed(starts)[0]
        for v in {v for step in tracer.steps for v in (*step.inputs, *step.outs) if v is not None}:
            if v.made_by != "constant":
                v.array = _shape_only(v.array)  # its values were those of the trace

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The results, recorded as one op."""
        arrays = [x.array for x in tensors]
        with np.errstate(all="ignore"):
            made = self.forward.run(*arrays)
        results = [wrap(array) for array in made[: len(self.outputs)]]
        if not (self.active and mode.grad):
            return results
        nodes = [live_node(x) for x in tensors]
        if not any(nodes[i] is not None for i in self.active):
            return results
        sources = [node if node is not None else constant_of(x) for node, x in zip(nodes, tensors, strict=True)]
        first = made[self.flowing[0]]
        plan = ReadyPlan(self.active, self.saves, joint=self._joint)
        out: Any = first if first.size <= KEEP or mode.keep else weakref.ref(first)
        saved = (*arrays, *made[len(self.outputs) :])
        call = Node(self.op, plan, sources, saved, {}, next(clock), first.shape, out, mode.scope)
        for k in self.flowing:
            several = len(self.outputs) > 1
            results[k].node = result_node(call, k, len(results), made[k]) if several else call
        return results

    def _joint(self, grad: Any, saved: Sequence[Any], params: Any) -> list[Any]:
        """The gradients of the inputs, None for those without; recorded if the incoming ones are tensors."""
        parts = list(grad.parts) if isinstance(grad, Bundle) else [grad]
        incoming = [parts[k] for k in self.flowing]
        shares: list[Any] = [None] * len(self.inputs)
        if any(isinstance(g, Tensor) for g in incoming) or any(g is None for g in incoming):
            found = self._by_replay(incoming, saved)
        else:
            assert self.backward is not None
            found = _distinct(self.backward.run(*saved, *incoming), [*saved, *incoming])
        for i, share in zip(self.active, found, strict=True):
            shares[i] = share
        return shares

    def _by_replay(self, incoming: Sequence[Any], saved: Sequence[Any]) -> list[Any]:
        """The gradients by ordinary ops: for higher derivatives, and where some results got no gradient."""
        recorded = any(isinstance(g, Tensor) for g in incoming)
        starts: list[Any] = []
        with set_grad_enabled(True):
            for i, value in enumerate(saved[: len(self.inputs)]):
                start = value if isinstance(value, Tensor) else wrap(value)
                if i in self.active:
                    start = alias(start) if start.requires_grad else start.detach().requires_grad_()
                starts.append(start)
            results = self.replayed(starts)
        roots = [(results[k].node, g) for k, g in zip(self.flowing, incoming, strict=True) if g is not None]
        targets = [starts[i].node for i in self.active]
        return engine.walk(roots, retain_graph=recorded, create_graph=recorded, lift=lift, targets=targets)

    def replayed(self, starts: Sequence[Any]) -> list[Any]:
        """The noted steps as ordinary ops on tensors."""
        known: dict[Value, Any] = dict(zip(self.inputs, starts, strict=True))
        for step in self.noted:
            inputs = [None if v is None else known.get(v, v.array) for v in step.inputs]
            if isinstance(step.op, Op):
                with set_grad_enabled(step.flows):
                    out = apply(step.op, inputs, step.params)
                extras = out.__dict__.pop("_extras", ())
                known.update(zip(step.outs, (out, *map(wrap, extras)), strict=False))
            else:
                arrays = [x.array if isinstance(x, Tensor) else x for x in inputs]
                known.update(zip(step.outs, map(wrap, step.compute(arrays)), strict=True))
        return [known[v] for v in self.outputs]


def _shape_only(array: Array) -> Array:
    """An array of the same shape and dtype that takes no memory."""
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)


def _distinct(arrays: Sequence[Array], others: Sequence[Any]) -> list[Array]:
    """Gradients that their receivers may keep and add to: none shares memory with another array."""
    taken = {id(owner(x)) for x in others if isinstance(x, np.ndarray)}
    own: list[Array] = []
    for array in arrays:
        root = id(owner(array))
        if root in taken or not is_whole(array) or not array.flags.writeable:
            array = array.copy()
        taken.add(root)
        own.append(array)
    return own


__all__ = ["Compiled"]
