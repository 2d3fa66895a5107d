"""Tracing: run a function once on tensors that note every op, and show no values, so that nothing can be baked in.

    x = Traced(...)        x * 2 + 1      notes   mul(x, 2) -> v1,  add(v1, 1) -> v2

Code may ask a traced tensor for its shape and dtype. Whoever asks for its values, its node or its memory ends the trace
by `Break`, and the function runs eagerly: what has been noted is therefore all that the result depends on.
"""

from __future__ import annotations

import inspect
import operator
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_edu import methods, ops, recording
from tinygrad_edu.autograd.modes import mode, no_grad
from tinygrad_edu.compile.steps import Break, Ghost, Pure, Step, Value, current, refusal, stop
from tinygrad_edu.functions.indexing import getitem, normalised, selected_first
from tinygrad_edu.ops.registry import Array, Op, registry
from tinygrad_edu.recording import apply, wrap
from tinygrad_edu.tensor import Tensor

FUSED_POINTWISE = ("gelu",)  # fused ops whose compositions work entry by entry

_one_at_a_time = threading.RLock()


class Traced(Tensor):
    """A tensor inside a trace."""

    __slots__ = ("ghost", "value")

    ghost: Ghost
    value: Value

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient flows back through it."""
        return self.value.flows

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        stop("sets requires_grad of a tensor")

    @property
    def name(self) -> str | None:
        """None: names are for pictures, which open what is compiled."""
        return None

    @name.setter
    def name(self, value: str | None) -> None:
        pass

    def __apply_op__(self, op: Op, inputs: Any, params: dict[str, Any]) -> Tensor:
        return tracer().record(op, inputs, params)

    def detach(self) -> Tensor:
        """The same values, through which no gradient flows."""
        with no_grad():
            return tracer().record(ops.basic.alias, (self,), {})

    def contiguous(self) -> Tensor:
        """Itself: how the entries lie in memory is the program's affair."""
        return self

    def __getitem__(self, key: Any) -> Tensor:
        index = normalised(key)
        x: Any = self
        if any(type(p) is int for p in index) and any(isinstance(p, np.ndarray) for p in index):
            first, index = selected_first(index)
            x = ops.indexing.index(x, index=first)
        return ops.indexing.index(x, index=tuple(p.copy() if isinstance(p, np.ndarray) else p for p in index))

    __hash__ = Tensor.__hash__


def tracer() -> Tracer:
    """The trace that this thread is in."""
    found = current.tracer
    if found is None:
        raise RuntimeError("compile: a tensor outlived the tracing that it was made for; return it from the function")
    return found


def _operator(op: Op, swapped: bool = False) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        if not isinstance(other, (Tensor, int, float, np.ndarray, np.generic)):
            return NotImplemented
        return tracer().record(op, (other, self) if swapped else (self, other), op.defaults)

    return operator


def _method(op: Op) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        inputs, params = op.bind((self, *args), kwargs)
        return tracer().record(op, inputs, params)

    return method


def _comparison(pure: Pure) -> Callable[[Any, Any], Any]:
    def compare(self: Any, other: Any) -> Any:
        if not isinstance(other, (Tensor, int, float, np.ndarray, np.generic)):
            return NotImplemented
        return tracer().compare(pure, self, other)

    return compare


COMPARISONS: dict[str, np.ufunc] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
LOGICAL: dict[str, np.ufunc] = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def _inverted(self: Any) -> Any:
    if self.value.array.dtype != bool:
        stop("inverts integers (~)")
    return tracer().noted(NOT, [self.value], {})


def _logical(pure: Pure) -> Callable[[Any, Any], Any]:
    compare = _comparison(pure)

    def logical(self: Any, other: Any) -> Any:
        if self.dtype.dtype != bool or getattr(other, "dtype", None) is not self.dtype:
            stop(f"combines integers bit by bit ({pure.name})")
        return compare(self, other)

    return logical


NOT = Pure("not", np.logical_not)


def _prepare() -> None:
    """Everything on Traced that would go past `__apply_op__`, or into the graph or the memory of a tensor."""
    arithmetic, bound = ops.arithmetic, dict(vars(Tensor))
    for name, op in {
        "add": arithmetic.add,
        "sub": arithmetic.sub,
        "mul": arithmetic.mul,
        "truediv": arithmetic.div,
        "floordiv": arithmetic.floor_divide,
        "mod": arithmetic.remainder,
    }.items():
        setattr(Traced, f"__{name}__", _operator(op))
        setattr(Traced, f"__r{name}__", _operator(op, swapped=True))
    for name, op in (("neg", ops.basic.neg), ("abs", ops.pointwise.abs)):
        setattr(Traced, f"__{name}__", _method(op))
    for op in registry.values():
        if op.method and getattr(bound.get(op.name), "__module__", "") == methods.__name__:
            setattr(Traced, op.name, _method(op))
    _index_by_operator(bound)
    for name, ufunc in COMPARISONS.items():
        compare = _comparison(Pure(name, ufunc))
        setattr(Traced, f"__{name}__", compare)
        setattr(Traced, name, compare)
    for name, ufunc in LOGICAL.items():
        combine = _logical(Pure(name, ufunc))
        setattr(Traced, f"__{name}__", combine)
        setattr(Traced, f"__r{name}__", combine)
    setattr(Traced, "__invert__", _inverted)  # noqa: B010
    for name in bound:
        if name.endswith("_") and not name.startswith("_"):
            setattr(Traced, name, refusal(name, "changes a tensor in place"))
        elif name.startswith("__i") and name[3:-2] in {
            "add",
            "sub",
            "mul",
            "truediv",
            "pow",
            "and",
            "or",
            "xor",
            "mod",
        }:
            setattr(Traced, name, refusal(f"{name[3:-2]}=", "changes a tensor in place"))
    setattr(Traced, "__setitem__", refusal("x[...] = ...", "changes a tensor in place"))  # noqa: B010
    for name in ("node", "grad"):
        refuse = refusal(name, "reads the graph of a tensor")
        setattr(Traced, name, property(refuse, refuse))
    for name in ("backward", "register_hook", "retain_grad", "requires_grad_"):
        setattr(Traced, name, refusal(name, "reads the graph of a tensor"))
    setattr(Traced, "array", property(lambda self: self.ghost, refusal("array", "changes a tensor in place")))  # noqa: B010
    setattr(Traced, "view_of", property(lambda self: None))  # noqa: B010
    for name, member in vars(Traced).items():
        if isinstance(member, types.FunctionType) and not member.__doc__:
            member.__doc__ = getattr(Tensor, name).__doc__
    setattr(Traced, "data", property(Traced.detach, refusal("data", "changes a tensor in place")))  # noqa: B010


def _index_by_operator(bound: dict[str, Any]) -> None:
    """Methods that call `getitem` themselves (split, chunk, unbind, ...), which looks at nodes: with x[key] instead."""
    for name, function in bound.items():
        plain = inspect.unwrap(function) if isinstance(function, types.FunctionType) else function
        own = getattr(plain, "__globals__", {})
        if name.endswith("_") or own.get("getitem") is not getitem:
            continue
        changed = {**own, "getitem": operator.getitem, "split": lambda x, *args: x.split(*args)}
        made = types.FunctionType(plain.__code__, changed, name, plain.__defaults__, plain.__closure__)
        made.__kwdefaults__ = plain.__kwdefaults__
        setattr(Traced, name, made)


class Tracer:
    """Notes the steps of one run of a function."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.inputs: list[Value] = []
        self.reason = ""

    def broken_by(self, reason: str) -> Break:
        """The Break to raise; the first reason is kept even if somebody catches it."""
        self.reason = self.reason or reason
        return Break(reason)

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Within, ops on traced tensors are noted; a call may begin with a plain tensor, whose class must know."""
        with _one_at_a_time:
            before, current.tracer = current.tracer, self
            original = Tensor.__apply_op__
            Tensor.__apply_op__ = _either  # type: ignore[method-assign]
            try:
                yield
            finally:
                Tensor.__apply_op__ = original  # type: ignore[method-assign]
                current.tracer = before

    def input(self, array: Array, flows: bool) -> Traced:
        """A tensor that the program will be called with."""
        self.inputs.append(Value(array, flows, "input"))
        return traced(self.inputs[-1])

    def record(self, op: Op, inputs: Sequence[Any], params: dict[str, Any]) -> Tensor:
        """What `apply` does: bring the inputs to one dtype, compute, note the step."""
        _check_params(op.name, params)
        if op.composition is not None and (op.elementwise or op.name in FUSED_POINTWISE):
            return op.composition(*inputs, **params)  # its primitives fuse with what is around them
        plain = [_plain(op.name, x) for x in inputs]
        arrays = [x.array if isinstance(x, Tensor) else x for x in plain]
        if op.types != "any" and not _one_float(arrays):
            with no_grad():
                plain = recording.promote(op, plain)
        values: list[Value | None] = []
        for before, after in zip(inputs, plain, strict=True):
            array = after.array if isinstance(after, Tensor) else after
            if not isinstance(before, Traced):
                values.append(None if array is None else Value(np.asarray(array)))
                continue
            value = before.value
            if array.dtype != value.array.dtype:
                cast = {"dtype": array.dtype, "source": value.array.dtype}
                value = self.noted(ops.basic.cast, [value], cast).value
            values.append(value)
        return self.noted(op, values, params)

    def noted(self, op: Any, inputs: list[Value | None], params: dict[str, Any]) -> Any:
        """Compute one step and note it; returns the traced result."""
        step = Step(op, inputs, params)
        if isinstance(op, Op) and mode.grad:
            mask = sum(1 << i for i, v in enumerate(inputs) if v is not None and v.flows)
            step.flows = bool(mask) and bool(op.plan(mask, len(inputs)).active)
        arrays = step.compute([None if v is None else v.array for v in inputs])
        step.outs = [Value(array, step.flows and k == 0, step) for k, array in enumerate(arrays)]
        self.steps.append(step)
        result = traced(step.outs[0])
        if len(arrays) > 1:
            result.__dict__["_extras"] = tuple(Ghost(array) for array in arrays[1:])
        return result

    def compare(self, pure: Pure, x: Any, y: Any) -> Any:
        """A comparison of a traced tensor with anything."""
        kind = x.value.array.dtype
        if isinstance(y, Traced):
            other = y.value
        elif isinstance(y, (int, float)) and kind.kind == "f":
            other = Value(np.asarray(y, kind))
        else:
            y = _plain(pure.name, y)
            other = Value(np.asarray(y.array if isinstance(y, Tensor) else y))
        return self.noted(pure, [x.value, other], {})


def _either(self: Tensor, op: Op, inputs: Any, params: dict[str, Any]) -> Tensor:
    """`Tensor.__apply_op__` while somebody traces."""
    if any(isinstance(x, Traced) for x in inputs):
        return tracer().record(op, inputs, params)
    return apply(op, inputs, params)


def traced(value: Value) -> Traced:
    """A tensor around a value of the trace."""
    made = object.__new__(Traced)
    made.value, made.ghost = value, Ghost(value.array)
    return made


def _plain(name: str, x: Any) -> Any:
    """An input as `promote` takes it; a tensor that requires grad must be one that the trace knows."""
    if isinstance(x, Traced):
        return wrap(x.value.array)
    if isinstance(x, Ghost):
        stop(f"reads the values of a tensor ({name})")
    if isinstance(x, Tensor) and x.requires_grad:
        stop(
            f"{name} uses a tensor of shape {tuple(x.shape)} that requires grad and is made or found by the way; give "
            f"it as an argument, or keep it in the module, a closure or a global"
        )
    return x


def _one_float(arrays: Sequence[Any]) -> bool:
    kinds = {x.dtype for x in arrays if isinstance(x, np.ndarray)}
    whole = all(x is None or isinstance(x, np.ndarray) for x in arrays)
    return whole and len(kinds) == 1 and next(iter(kinds)).kind == "f"


def _check_params(name: str, x: Any) -> None:
    if isinstance(x, (Traced, Ghost)):
        stop(f"{name} reads the values of a tensor as a parameter")
    if isinstance(x, dict):
        x = tuple(x.values())
    elif isinstance(x, slice):
        x = (x.start, x.stop, x.step)
    if isinstance(x, (tuple, list)):
        for part in x:
            _check_params(name, part)


_prepare()
