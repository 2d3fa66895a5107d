"""`autograd.Function`: an op with a forward and a backward of one's own.

    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x ** 3

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 3 * x ** 2

    y = Cube.apply(x)

How a call enters the graph.  A node of the engine has one result and one gradient; a Function may have several results,
and its backward wants all their gradients at once.  So a call becomes one node for the call, and, if it has several
results, one small node for each of them, whose only input is the call:

    x ── call ──┬── result 0        backward: each result hands the call a `Bundle`, a list of gradients with its own
                └── result 1        place filled; bundles add up place by place, as gradients do

The walk needs no case for this: results are younger than their call, so when the call's turn comes its bundle is
complete, and a result that nobody used has left its place empty.  A call with one result is that result's node.
Backward runs on tensors; under create_graph=True what it computes is recorded, so a backward made of ops can be
differentiated again.
"""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.autograd import anomaly, versions
from tinygrad_edu.autograd.calls import Bundle, FunctionOp, ReadyPlan, op_of, result_node, shown_by
from tinygrad_edu.autograd.context import FunctionCtx, Saved
from tinygrad_edu.autograd.modes import enable_grad, mode, no_grad
from tinygrad_edu.autograd.node import KEEP, Leaf, Node
from tinygrad_edu.autograd.versions import clock, owner
from tinygrad_edu.errors import GraphError
from tinygrad_edu.ops.registry import INPUT, KEPT, OUT
from tinygrad_edu.recording import View, constant_of, live_node, rebind, wrap
from tinygrad_edu.tensor import Tensor

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class Function:
    """A differentiable operation defined by the user; subclass it, and call `apply`.

    forward(ctx, *args) -> a tensor or a tuple; or forward(*args) with setup_context(ctx, inputs, output).
    backward(ctx, *grads): the gradient of each result comes in, one gradient for each argument goes out, None where
    there is none.  Both are static methods.  In forward nothing is recorded.
    Raises RuntimeError for gradients of the wrong number or shape, GraphError for saved tensors changed in place.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should "
            f"invoke them on the class itself. Instantiating an autograd function will raise an error in a future "
            f"version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = type(self).__name__
        raise RuntimeError(
            f"{name}: Legacy autograd function with non-static forward method is deprecated. Please use new-style "
            f"autograd function with static forward method: call {name}.apply(...) on the class, not {name}()(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result from tensors and other arguments; every subclass defines it."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what backward needs, when forward takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient of each argument from the gradients of the results."""
        raise NotImplementedError(
            "You must implement the backward method for your custom autograd.Function to use it with backward()"
        )

    @classmethod
    def separate(cls) -> bool:
        """True if forward takes no ctx, and setup_context does its part."""
        return cls.setup_context is not Function.setup_context

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward and record the call if any tensor among the arguments requires grad."""
        separate = cls.separate()
        if kwargs or separate:
            args = _positional(cls, separate, args, kwargs)
        ctx = FunctionCtx(cls.__name__)
        nodes = [live_node(x) if isinstance(x, Tensor) else None for x in args]
        ctx.needs_input_grad = tuple(node is not None for node in nodes)
        changes = [versions.last_change(x.array) if isinstance(x, Tensor) else 0 for x in args]
        with no_grad():
            if separate:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        results = list(output) if isinstance(output, tuple) else [output]
        _check_dirty(ctx, args, nodes, changes, results)
        if not (mode.grad and any(ctx.needs_input_grad)):
            return output
        results = _record(cls, ctx, args, nodes, results)
        return tuple(results) if isinstance(output, tuple) else results[0]


def _positional(cls: type[Function], separate: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments in the order of forward, by which backward returns its gradients."""
    signature = inspect.signature(cls.forward)
    bound = signature.bind(*args, **kwargs) if separate else signature.bind(None, *args, **kwargs)
    if separate:
        bound.apply_defaults()
    if bound.kwargs:
        raise TypeError(
            f"{cls.__name__}.apply: {', '.join(bound.kwargs)} can only be given by keyword, and backward returns its "
            f"gradients by position; make it a positional parameter of forward"
        )
    return bound.args if separate else bound.args[1:]


def _check_dirty(
    ctx: FunctionCtx, args: Sequence[Any], nodes: Sequence[Any], changes: Sequence[int], results: Sequence[Any]
) -> None:
    """Arguments may change in place only if forward says so and returns them."""
    for x in ctx.dirty:
        if not any(x is r for r in results):
            raise GraphError(
                f"{ctx.name}: Some elements marked as dirty during the forward method were not returned as output. "
                f"The inputs that are modified inplace must all be outputs of the Function."
            )
        if not any(x is a for a in args):
            raise GraphError(f"{ctx.name}: ctx.mark_dirty() received a tensor that was not an input")
        if mode.grad and isinstance(live_node(x), Leaf):
            raise GraphError(
                f"{ctx.name}: a leaf Variable that requires grad has been used in an in-place operation; make a new "
                f"tensor, or call it inside `with no_grad():`"
            )
    told = {id(owner(x.array)) for x in ctx.dirty}
    for i, (x, node, before) in enumerate(zip(args, nodes, changes, strict=True)):
        if node is not None and id(owner(x.array)) not in told and versions.last_change(x.array) > before:
            raise GraphError(
                f"{ctx.name}: forward changed its argument {i} in place without saying so; call ctx.mark_dirty(...) "
                f"on it and return it, or clone() it first"
            )


def _record(
    cls: type[Function], ctx: FunctionCtx, args: Sequence[Any], nodes: Sequence[Any], results: list[Any]
) -> list[Any]:
    """Make the node of the call, and those of its results, and give them to the results."""
    places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
    hidden = {id(x) for x in ctx.non_differentiable}
    flows = [isinstance(r, Tensor) and r.array.dtype.kind == "f" and id(r) not in hidden for r in results]
    if not any(flows):
        return results
    saved, saves = _saved(ctx, args, nodes, results, flows)
    call = Node(
        op_of(cls, args, places),
        ReadyPlan(
            tuple(j for j, i in enumerate(places) if nodes[i] is not None),
            saves,
            joint=_backward(cls, ctx, args, places, results),
        ),
        [nodes[i] if nodes[i] is not None else constant_of(args[i]) for i in places],
        saved,
        shown_by(cls, args, results),
        next(clock),
        results[flows.index(True)].array.shape,
        None,
        mode.scope,
    )
    shown = results[flows.index(True)].array
    call.out = shown if shown.size <= KEEP or mode.keep else weakref.ref(shown)
    call.function = (cls, [None if isinstance(x, Tensor) else x for x in args], places)
    ctx.node = weakref.ref(call)
    if mode.traced:
        anomaly.trace(call, shown)
    several = sum(isinstance(r, Tensor) for r in results) > 1
    seen: set[int] = set()
    for k, result in enumerate(results):
        if not isinstance(result, Tensor):
            continue
        node = (result_node(call, k, len(results), result.array) if several else call) if flows[k] else None
        results[k] = _given(ctx, result, node, args, id(result) in seen)
        seen.add(id(result))
    for record in saved:
        if record is not None:
            record.when = next(clock)  # forward's own changes are not stale ones
    return results


def _given(ctx: FunctionCtx, result: Tensor, node: Node | None, args: Sequence[Any], again: bool) -> Tensor:
    """The result with its node: the tensor that forward returned, or another one on the same memory."""
    if any(result is x for x in ctx.dirty) and not again:
        rebind(result, node)
        return result
    passed = next((x for x in args if x is result), None)
    if passed is None and result.node is None and not again:
        result.node = node
        return result
    fresh = wrap(result.array, node)
    base = result if passed is None else passed
    # changing it in place would change an argument behind its back: a View without steps makes that an error
    fresh.view_of = View(base if base.view_of is None else base.view_of.base, None, None)
    return fresh


def _saved(
    ctx: FunctionCtx, args: Sequence[Any], nodes: Sequence[Any], results: Sequence[Any], flows: Sequence[bool]
) -> tuple[list[Any], tuple[tuple[int, Any], ...]]:
    """What the call keeps, each with the node it came from, and what kind it is, for pictures."""
    saved: list[Any] = []
    saves: list[tuple[int, Any]] = []
    places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
    several = sum(isinstance(r, Tensor) for r in results) > 1
    for place, x in enumerate(ctx.to_save):
        j = next((j for j, i in enumerate(places) if args[i] is x), None)
        k = next((k for k, r in enumerate(results) if r is x and flows[k]), None)
        if x is None:
            saved.append(None)
            saves.append((KEPT, place))
        elif j is not None and not any(x is d for d in ctx.dirty):
            saved.append(Saved(x.array, nodes[places[j]]))
            saves.append((INPUT, j))
        elif k is not None:
            make = functools.partial(result_node, k=k, count=len(results), array=x.array) if several else _itself
            saved.append(Saved(x.array, None, make))
            saves.append((OUT, None))
        else:
            saved.append(Saved(x.array, live_node(x)))
            saves.append((KEPT, place))
    ctx.to_save = ()
    return saved, tuple(saves)


def _itself(call: Node) -> Node:
    return call


def _backward(
    cls: type[Function], ctx: FunctionCtx, args: Sequence[Any], places: Sequence[int], results: Sequence[Any]
) -> Callable[..., Any]:
    """The joint rule of one call: from a gradient, or a bundle of them, to one gradient per tensor argument."""
    name, count = f"{cls.__name__}Backward", len(args)
    kinds = [(r.array.shape, r.array.dtype) if isinstance(r, Tensor) else None for r in results]
    targets = {i: (args[i].array.shape, args[i].array.dtype) for i in places}
    needs = ctx.needs_input_grad
    alone = next((k for k, kind in enumerate(kinds) if kind is not None), 0)

    def joint(grad: Any, saved: Any, params: Any) -> list[Any]:
        parts = list(grad.parts) if isinstance(grad, Bundle) else [None] * len(kinds)
        if not isinstance(grad, Bundle):
            parts[alone] = grad
        recorded = any(isinstance(part, Tensor) for part in parts)
        given = [_incoming(part, kind, ctx.materialize) for part, kind in zip(parts, kinds, strict=True)]
        with enable_grad() if recorded else no_grad():
            answer = cls.backward(ctx, *given)
            listed = list(answer) if isinstance(answer, tuple) else [answer]
            while len(listed) > count and listed[-1] is None:
                listed.pop()
            if len(listed) != count:
                raise GraphError(
                    f"function {name} returned an incorrect number of gradients (expected {count}, got {len(listed)}); "
                    f"return one for each argument of forward after ctx, None where there is none"
                )
            for i, share in enumerate(listed):
                if share is not None and i not in targets:
                    raise GraphError(
                        f"function {name} returned a gradient different than None at position {i + 1}, but the "
                        f"corresponding forward input was not a Variable"
                    )
            return [_outgoing(name, i, listed[i], *targets[i], recorded) if needs[i] else None for i in places]

    return joint


def _incoming(part: Any, kind: Any, materialize: bool) -> Any:
    """A gradient as backward sees it: read-only, since the walk may have handed the same array to others."""
    if isinstance(part, Tensor) or kind is None:
        return part
    if part is None:
        return wrap(np.zeros(*kind)) if materialize else None
    array = np.asarray(part).view()
    array.flags.writeable = False
    return wrap(array)


def _outgoing(name: str, i: int, share: Any, shape: tuple[int, ...], dtype: Any, recorded: bool) -> Any:
    """A gradient that backward returned, checked, in the dtype of its argument; the walk sums over broadcast dims."""
    if share is None:
        return None
    if not isinstance(share, Tensor):
        raise GraphError(f"function {name}: expected Variable or None (got {type(share).__name__}) for gradient {i}")
    given = share.array.shape
    lead = len(given) - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, given[lead:], strict=True)):
        raise GraphError(
            f"Function {name} returned an invalid gradient at index {i} - got {list(given)} but expected shape "
            f"compatible with {list(shape)}; it must have the shape of the argument of forward"
        )
    if share.array.dtype != dtype:
        share = share.to(dtypes.of(dtype))
    # a view: the array may be one that backward or its caller keeps, and the walk copies what it does not own
    return share if recorded else share.array.view()


ONCE = FunctionOp("once_differentiable", ["grad"])


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a backward that is not made of ops, or must not be differentiated: doing so is an error."""

    def refuse(grad: Any, saved: Any, params: Any) -> Any:
        raise GraphError("trying to differentiate twice a function that was marked with @once_differentiable")

    @functools.wraps(backward)
    def once(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            answer = backward(ctx, *grads)
        sources = [live_node(g) for g in grads if isinstance(g, Tensor) and g.requires_grad]
        if not mode.grad or not sources:
            return answer

        def guarded(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            plan = ReadyPlan((0,), calls=[(0, refuse)])
            return wrap(x.array, Node(ONCE, plan, [sources[0]], (), {}, next(clock), x.array.shape, x.array, None))

        return tuple(guarded(x) for x in answer) if isinstance(answer, tuple) else guarded(answer)

    return once
