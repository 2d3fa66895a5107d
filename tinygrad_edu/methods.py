"""Binds operators and methods to Tensor: from the op registry, so that a new op is one definition, and functions."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import dtypes, ops
from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.device import CPU
from tinygrad_edu.functions import comparison, indexing, linear, pointwise, reductions, shaping
from tinygrad_edu.ops.registry import Op, registry
from tinygrad_edu.ops.shapes import broadcast_error
from tinygrad_edu.recording import apply, inplace, live_node, record, wrap
from tinygrad_edu.tensor import Tensor


def binary(op: Op) -> Callable[[Any, Any], Any]:
    """The operator of an op of two inputs, without the generality of `apply` for floats of one dtype."""
    forward, name = op.forward, op.name

    def operator(self: Any, other: Any) -> Any:
        a = self.array
        if isinstance(other, Tensor):
            b = other.array
            if a.dtype is not b.dtype or a.dtype.kind != "f":
                return apply(op, (self, other), {})
            other_node = other.node if other.view_of is None else live_node(other)
        elif type(other) is float or type(other) is int:
            if a.dtype.kind != "f":
                return apply(op, (self, other), {})
            b, other_node = np.asarray(other, a.dtype), None
        elif isinstance(other, (numbers.Number, np.ndarray, np.bool_)):
            return apply(op, (self, other.item() if isinstance(other, np.generic) else other), {})
        else:
            return NotImplemented
        try:
            out = forward(a, b)
        except ValueError:
            raise broadcast_error(name, (a.shape, np.shape(b))) from None
        node = self.node if self.view_of is None else live_node(self)
        if mode.grad and (node is not None or other_node is not None):
            mask = 1 if other_node is None else 2 if node is None else 3
            return wrap(out, record(op, (self, other), (a, b), [node, other_node], mask, {}, out))
        return wrap(out)

    operator.__name__ = name
    operator.__doc__ = op.__doc__
    return operator


def reflected(op: Op) -> Callable[[Any, Any], Any]:
    """`number op tensor`."""

    def operator(self: Any, other: Any) -> Any:
        if not isinstance(other, (numbers.Number, np.ndarray, np.bool_)):
            return NotImplemented
        return apply(op, (other.item() if isinstance(other, np.generic) else other, self), {})

    return operator


def unary(op: Op) -> Callable[[Any], Any]:
    """The method of an op of one input without parameters."""

    def method(self: Any) -> Any:
        return apply(op, (self,), op.defaults)

    return method


def general(op: Op) -> Callable[..., Any]:
    """The method of any op."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        inputs, params = op.bind((self, *args), kwargs)
        return apply(op, inputs, params)

    return method


def in_place(op: Op) -> Callable[..., Any]:
    """The method that stores the op's result in the tensor's own memory."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        inputs, params = op.bind((self, *args), kwargs)
        return inplace(self, op, inputs[1:], params)

    return method


def augmented(op: Op) -> Callable[[Any, Any], Any]:
    """`x += y`: in place, as PyTorch does."""

    def operator(self: Any, other: Any) -> Any:
        if not isinstance(other, (Tensor, numbers.Number, np.ndarray, np.bool_)):
            return NotImplemented
        return inplace(self, op, (other.item() if isinstance(other, np.generic) else other,), {})

    return operator


def _named(function: Callable[..., Any], name: str, doc: str | None) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _bind_ops() -> None:
    for op in registry.values():
        if op.method:
            make = unary if len(op.inputs) == 1 and not op.params and not op.variadic else general
            setattr(Tensor, op.name, _named(make(op), op.name, op.__doc__))
        if op.elementwise and op.inputs[0] == "x" and op.name not in ("fill", "cast", "clone"):
            name = f"{op.name}_"
            setattr(Tensor, name, _named(in_place(op), name, f"`{op.name}` in place."))


def _bind_operators() -> None:
    a = ops.arithmetic
    for name, op in {
        "add": a.add,
        "sub": a.sub,
        "mul": a.mul,
        "truediv": a.div,
        "floordiv": a.floor_divide,
        "mod": a.remainder,
    }.items():
        setattr(Tensor, f"__{name}__", binary(op))
        setattr(Tensor, f"__r{name}__", reflected(op))
        setattr(Tensor, f"__i{name}__", augmented(op))
    namespace: dict[str, Any] = {
        "__pow__": pointwise.pow,
        "__rpow__": lambda self, other: pointwise.pow(other, self),
        "__ipow__": pointwise.pow_,
        "__neg__": unary(ops.basic.neg),
        "__pos__": lambda self: self,
        "__abs__": unary(ops.pointwise.abs),
        "__matmul__": linear.matmul,
        "__rmatmul__": lambda self, other: linear.matmul(other, self),
        "__eq__": comparison.eq,
        "__ne__": comparison.ne,
        "__lt__": comparison.lt,
        "__le__": comparison.le,
        "__gt__": comparison.gt,
        "__ge__": comparison.ge,
        "__and__": comparison.bitwise_and,
        "__rand__": comparison.bitwise_and,
        "__or__": comparison.bitwise_or,
        "__ror__": comparison.bitwise_or,
        "__xor__": comparison.bitwise_xor,
        "__rxor__": comparison.bitwise_xor,
        "__invert__": comparison.bitwise_not,
        "__getitem__": indexing.getitem,
        "__setitem__": indexing.setitem,
    }
    for name, function in namespace.items():
        setattr(Tensor, name, function)


REDUCTIONS = (
    "sum mean prod cumsum max min argmax argmin var std norm logsumexp softmax log_softmax all any count_nonzero sort "
    "argsort topk"
)
SHAPING = (
    "view view_as reshape_as flatten ravel unflatten swapaxes movedim t expand_as broadcast_to repeat tile split chunk "
    "unbind index_select gather scatter scatter_add scatter_ scatter_add_ take_along_dim masked_fill masked_fill_ "
    "masked_select contiguous to"
)
COMPARISON = (
    "eq ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not "
    "isnan isinf isfinite isclose allclose equal"
)
POINTWISE = (
    "pow pow_ clamp clamp_ clip lerp fill_ zero_ normal_ uniform_ add sub div add_ sub_ div_ mul multiply divide "
    "subtract"
)


def _bind_functions() -> None:
    for module, names in (
        (reductions, REDUCTIONS),
        (shaping, SHAPING),
        (comparison, COMPARISON),
        (pointwise, POINTWISE),
        (linear, "matmul mm bmm dot mv outer diag trace"),
    ):
        for name in names.split():
            setattr(Tensor, name, getattr(module, name))
    Tensor.swapdims = shaping.swapaxes  # type: ignore[attr-defined]
    Tensor.copy_ = shaping.inplace_copy  # type: ignore[attr-defined]
    Tensor.where = pointwise.self_where  # type: ignore[attr-defined]
    Tensor.T = property(shaping.reversed_dims)  # type: ignore[attr-defined]
    Tensor.mT = property(shaping.matrix_transpose)  # type: ignore[attr-defined]
    Tensor.device = property(lambda self: CPU, doc="The CPU.")  # type: ignore[attr-defined]
    Tensor.cpu = _named(lambda self: self, "cpu", "The tensor itself.")  # type: ignore[attr-defined]
    Tensor.cuda = _named(  # type: ignore[attr-defined]
        lambda self, *args, **kwargs: shaping.to(self, "cuda"), "cuda", "There is no GPU: an error that says so."
    )
    Tensor.type_as = _named(  # type: ignore[attr-defined]
        lambda self, other: shaping.to(self, other.dtype), "type_as", "The tensor as the dtype of another."
    )
    for name, target in {
        "float": dtypes.float32,
        "double": dtypes.float64,
        "long": dtypes.int64,
        "int": dtypes.int32,
        "bool": dtypes.bool_,
    }.items():
        setattr(Tensor, name, _converter(name, target))


def _converter(name: str, target: dtypes.dtype) -> Callable[[Tensor], Tensor]:
    def convert(self: Tensor) -> Tensor:
        return shaping.to(self, target)

    return _named(convert, name, f"The tensor as {target.name}.")


_bind_ops()
_bind_operators()
_bind_functions()
