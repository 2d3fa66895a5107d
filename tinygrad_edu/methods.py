"""Binds operators and methods to Tensor: from the op registry, so that a new op is one definition, and functions."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import creation, dtypes, linalg, ops
from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.device import CPU
from tinygrad_edu.functions import (
    choosing,
    comparison,
    drawing,
    entries,
    indexing,
    layout,
    legacy,
    linear,
    ordering,
    pointwise,
    products,
    reductions,
    shaping,
    special,
)
from tinygrad_edu.functions.common import in_place as stored
from tinygrad_edu.ops.registry import Op, registry
from tinygrad_edu.ops.shapes import broadcast_error
from tinygrad_edu.recording import apply, inplace, live_node, record, remember, wrap
from tinygrad_edu.tensor import Tensor


def with_number(op: Op, number_first: bool = False) -> Callable[[Any, float], Tensor]:
    """`tensor op number`, or `number op tensor`, for a floating tensor, whose dtype the number takes."""
    forward, defaults, mask = op.forward, op.defaults, 2 if number_first else 1

    def operator(tensor: Any, number: float) -> Tensor:
        x = tensor.array
        constant = np.asarray(number, x.dtype)
        out = forward(constant, x) if number_first else forward(x, constant)
        node = tensor.node if tensor.view_of is None else live_node(tensor)
        if node is None or not mode.grad:
            return wrap(out)
        plan = op.plan(mask, 2)
        if not plan.active:
            return wrap(out)
        # Saved as a NumPy scalar: times a gradient that is one, it takes a tenth of the time of a 0-d array.
        arrays = (constant[()], x) if number_first else (x, constant[()])
        nodes = (constant, node) if number_first else (node, constant)
        return wrap(out, remember(op, plan, nodes, plan.save(arrays, out, ()), defaults, out))

    return operator


def binary(op: Op) -> Callable[[Any, Any], Any]:
    """The operator of an op of two inputs, without the generality of `apply` for floats of one dtype."""
    forward, name, defaults = op.forward, op.name, op.defaults
    number = with_number(op)

    def operator(self: Any, other: Any) -> Any:
        x = self.array
        if isinstance(other, Tensor):
            y = other.array
            if x.dtype is not y.dtype or x.dtype.kind != "f":
                return apply(op, (self, other), defaults)
        elif type(other) is float or type(other) is int:
            return number(self, other) if x.dtype.kind == "f" else apply(op, (self, other), defaults)
        elif isinstance(other, (numbers.Number, np.ndarray, np.bool_)):
            return apply(op, (self, other.item() if isinstance(other, np.generic) else other), defaults)
        else:
            return NotImplemented
        try:
            out = forward(x, y)
        except ValueError:
            raise broadcast_error(name, (x.shape, y.shape)) from None
        x_node = self.node if self.view_of is None else live_node(self)
        y_node = other.node if other.view_of is None else live_node(other)
        if (x_node is None and y_node is None) or not mode.grad:
            return wrap(out)
        mask = 1 if y_node is None else 2 if x_node is None else 3
        return wrap(out, record(op, (self, other), (x, y), [x_node, y_node], mask, defaults, out))

    operator.__name__ = name
    operator.__doc__ = op.__doc__
    return operator


def reflected(op: Op) -> Callable[[Any, Any], Any]:
    """`number op tensor`."""
    number = with_number(op, number_first=True)

    def operator(self: Any, other: Any) -> Any:
        if (type(other) is float or type(other) is int) and self.array.dtype.kind == "f":
            return number(self, other)
        if not isinstance(other, (numbers.Number, np.ndarray, np.bool_)):
            return NotImplemented
        return apply(op, (other.item() if isinstance(other, np.generic) else other, self), op.defaults)

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
        "__iand__": stored(comparison.bitwise_and),
        "__ior__": stored(comparison.bitwise_or),
        "__ixor__": stored(comparison.bitwise_xor),
        "__lshift__": special.bitwise_left_shift,
        "__rshift__": special.bitwise_right_shift,
        "__ilshift__": stored(special.bitwise_left_shift),
        "__irshift__": stored(special.bitwise_right_shift),
        "__getitem__": indexing.getitem,
        "__setitem__": indexing.setitem,
    }
    for name, function in namespace.items():
        setattr(Tensor, name, inspect.unwrap(function))  # an operator gets no keyword arguments to rename


# The functions that are methods too, and those among them that are compositions and have a twin in place.
METHODS = {
    reductions: """
        sum mean prod cumsum cumprod max min argmax argmin var std norm logsumexp softmax log_softmax
        all any count_nonzero sort argsort topk""",
    ordering: """
        kthvalue median nanmedian mode msort quantile nanquantile cummax cummin aminmax unique unique_consecutive
        bincount histc histogram nonzero argwhere diff isin""",
    shaping: """
        view view_as reshape_as flatten ravel unflatten swapaxes movedim t expand_as broadcast_to repeat tile split
        chunk unbind index_select gather scatter scatter_add scatter_ scatter_add_ take_along_dim masked_fill
        masked_fill_ masked_select contiguous to""",
    layout: """
        tensor_split hsplit vsplit dsplit repeat_interleave rot90 fliplr flipud diag_embed diagflat diagonal_scatter
        moveaxis adjoint sum_to_size unfold""",
    choosing: """
        index_add index_copy index_fill index_put take put masked_scatter select narrow scatter_reduce index_add_
        index_copy_ index_fill_ index_put_ put_ masked_scatter_ scatter_reduce_""",
    comparison: """
        eq ne lt le gt ge not_equal less less_equal greater greater_equal logical_and logical_or logical_xor logical_not
        bitwise_and bitwise_or bitwise_xor bitwise_not isnan isinf isfinite isposinf isneginf isreal isclose allclose
        equal is_complex is_signed is_nonzero is_same_size""",
    pointwise: """
        pow pow_ clamp clamp_ clamp_min clamp_max clip lerp fill_ zero_ add sub div add_ sub_ div_ mul multiply divide
        subtract""",
    special: """
        frac sgn positive deg2rad rad2deg digamma polygamma logit logaddexp2 xlogy sinc heaviside copysign signbit ldexp
        frexp float_power nan_to_num fmax fmin addcmul addcdiv gcd lcm bitwise_left_shift bitwise_right_shift""",
    drawing: """
        multinomial bernoulli normal_ uniform_ bernoulli_ exponential_ geometric_ log_normal_ cauchy_ random_""",
    entries: "apply_ map_ fill_diagonal_ squeeze_ unsqueeze_ transpose_ swapaxes_ t_ storage_offset",
    linear: "matmul mm bmm dot mv outer diag trace",
    products: """
        addmm addmv addr baddbmm addbmm addmm_ addmv_ addr_ baddbmm_ addbmm_ inner vdot kron cross matrix_power dist
        cov corrcoef renorm nansum nanmean logcumsumexp""",
    creation: "new_zeros new_ones new_empty new_full new_tensor",
    linalg: "inv det logdet slogdet cholesky pinv",
}
IN_PLACE = {
    reductions: "cumsum cumprod",
    special: """
        frac sgn deg2rad rad2deg digamma polygamma logit xlogy sinc heaviside copysign ldexp float_power nan_to_num
        addcmul addcdiv gcd lcm bitwise_left_shift bitwise_right_shift""",
    comparison: """
        eq ne lt le gt ge not_equal less less_equal greater greater_equal logical_and logical_or logical_xor logical_not
        bitwise_and bitwise_or bitwise_xor bitwise_not""",
    pointwise: "clamp_min clamp_max lerp",
    products: "renorm",
}
OTHER_NAMES = {
    "absolute": "abs", "arccos": "acos", "arcsin": "asin", "arctan": "atan", "arctan2": "atan2", "arccosh": "acosh",
    "arcsinh": "asinh", "arctanh": "atanh", "fix": "trunc", "negative": "neg", "true_divide": "div",
    "swapdims": "swapaxes", "swapdims_": "swapaxes_", "inverse": "inv", "pinverse": "pinv", "ger": "outer",
    "ndimension": "dim", "clip_": "clamp_",
    "multiply_": "mul_", "divide_": "div_", "subtract_": "sub_", "true_divide_": "div_", "absolute_": "abs_",
    "arccos_": "acos_", "arcsin_": "asin_", "arctan_": "atan_", "arctan2_": "atan2_", "arccosh_": "acosh_",
    "arcsinh_": "asinh_", "arctanh_": "atanh_", "fix_": "trunc_", "negative_": "neg_",
}  # fmt: skip


def _bind_functions() -> None:
    for module, names in METHODS.items():
        for name in names.split():
            setattr(Tensor, name, getattr(module, name))
    for module, names in IN_PLACE.items():
        for name in names.split():
            setattr(Tensor, f"{name}_", stored(getattr(module, name)))
    # what PyTorch has as an op's in-place twin, but where the result may have another shape than the tensor
    for op in (ops.movement.tril, ops.movement.triu):
        setattr(Tensor, f"{op.name}_", stored(op))
    Tensor.copy_ = shaping.inplace_copy  # type: ignore[attr-defined]
    Tensor.svd, Tensor.qr = linalg.svd_with_v, linalg.qr_some  # type: ignore[attr-defined]
    Tensor.where = pointwise.self_where  # type: ignore[attr-defined]
    Tensor.type = legacy.tensor_type  # type: ignore[attr-defined]
    Tensor.new = legacy.tensor_new  # type: ignore[attr-defined]
    for new, old in OTHER_NAMES.items():
        setattr(Tensor, new, getattr(Tensor, old))
    for name, function in {
        "T": shaping.reversed_dims,
        "mT": shaping.matrix_transpose,
        "H": layout.hermitian,
        "mH": shaping.matrix_transpose,
        "device": lambda self: CPU,
        "itemsize": lambda self: self.array.itemsize,
        "is_cuda": lambda self: False,
        "is_cpu": lambda self: True,
        "is_sparse": lambda self: False,
    }.items():
        setattr(Tensor, name, property(function, doc=f"`{name}` as in PyTorch."))
    Tensor.cpu = _named(lambda self: self, "cpu", "The tensor itself.")  # type: ignore[attr-defined]
    Tensor.cuda = _named(  # type: ignore[attr-defined]
        lambda self, *args, **kwargs: shaping.to(self, "cuda"), "cuda", "There is no GPU: an error that says so."
    )
    Tensor.type_as = _named(  # type: ignore[attr-defined]
        lambda self, other: shaping.to(self, other.dtype), "type_as", "The tensor as the dtype of another."
    )
    Tensor.get_device = _named(lambda self: -1, "get_device", "-1: the CPU.")  # type: ignore[attr-defined]
    for name, target in {
        "float": dtypes.float32,
        "double": dtypes.float64,
        "long": dtypes.int64,
        "int": dtypes.int32,
        "bool": dtypes.bool_,
        "byte": dtypes.uint8,
    }.items():
        setattr(Tensor, name, _converter(name, target))


def _converter(name: str, target: dtypes.dtype) -> Callable[[Tensor], Tensor]:
    def convert(self: Tensor) -> Tensor:
        return shaping.to(self, target)

    return _named(convert, name, f"The tensor as {target.name}.")


def _explain(self: Tensor) -> Any:
    from importlib import import_module  # on first use, and above this layer

    return import_module("tinygrad_edu.explanations").explain(self)


Tensor.explain = _named(_explain, "explain", "How this tensor was made, in words and numbers: `tinygrad_edu.explain`.")  # type: ignore[attr-defined]

_bind_ops()
_bind_operators()
_bind_functions()
