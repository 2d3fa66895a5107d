"""The backward of a trace: the ops' own rules, run on traced tensors, note the steps that compute the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd.modes import no_grad
from tinygrad_edu.compile.steps import Pure, Step, Value
from tinygrad_edu.compile.tracing import Traced, Tracer, traced
from tinygrad_edu.ops.movement import sum_to
from tinygrad_edu.ops.registry import Plan


def trace_backward(tracer: Tracer, outputs: Sequence[Value]) -> tuple[list[Value], list[Value | None]]:
    """(the gradients that come in, the gradient of each input or None); the steps are added to the trace.

    As in the engine's walk, the latest step comes first, so that its gradient is complete.
    """
    seeds = [Value(np.ones_like(v.array), False, "input") for v in outputs]
    grads: dict[Value, Any] = {v: traced(seed) for v, seed in zip(outputs, seeds, strict=True) if v.flows}
    with no_grad(), np.errstate(all="ignore"):
        for step in tuple(reversed(tracer.steps)):
            grad = grads.pop(step.outs[0], None) if step.flows else None
            if grad is not None:
                for child, share in _shares(tracer, step, grad):
                    if tuple(share.shape) != child.shape:
                        share = sum_to(share, shape=child.shape)
                    grads[child] = grads[child] + share if child in grads else share
    return seeds, [grads[v].value if v in grads else None for v in tracer.inputs]


def _shares(tracer: Tracer, step: Step, grad: Traced) -> list[tuple[Value, Any]]:
    """The gradient of each input of one step."""
    mask = sum(1 << i for i, v in enumerate(step.inputs) if v is not None and v.flows)
    plan = step.op.plan(mask, len(step.inputs))
    saved = plan.save([_seen(v) for v in step.inputs], _seen(step.outs[0]), [_seen(v) for v in step.outs[1:]])
    if plan.joint is not None:
        found = _jointly(tracer, step, plan, grad, saved)
    else:
        found = [(i, rule(grad, saved, step.params)) for i, rule in plan.calls]
    shares = []
    for i, share in found:
        child = step.inputs[i]
        if share is not None and child is not None:
            shares.append((child, share if isinstance(share, Traced) else traced(Value(np.asarray(share)))))
    return shares


def _seen(value: Value | None) -> Any:
    """A value as a rule gets it: constants as they are."""
    if value is None:
        return None
    if value.made_by == "constant":
        return value.array[()] if value.shape == () else value.array
    return traced(value)


def _jointly(tracer: Tracer, step: Step, plan: Plan, grad: Traced, saved: Sequence[Any]) -> list[tuple[int, Any]]:
    """The joint rule of a fused op, which takes arrays, as one step with several results."""
    places = [k for k, x in enumerate(saved) if isinstance(x, Traced)]
    template = [None if k in places else x for k, x in enumerate(saved)]
    joint, active, params = plan.joint, plan.active, step.params
    assert joint is not None

    def gradients(incoming: Any, *arrays: Any) -> list[Any]:
        filled = list(template)
        for k, array in zip(places, arrays, strict=True):
            filled[k] = array
        shares = list(joint(incoming, tuple(filled), params))
        return [shares[i] for i in active]

    pure = Pure(f"{step.op.name} backward", gradients, several=True)
    tracer.noted(pure, [grad.value, *(saved[k].value for k in places)], {})
    outs = tracer.steps[-1].outs
    return [(i, traced(out)) for i, out in zip(active, outs, strict=True)]
