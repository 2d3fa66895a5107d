"""The one place that records: `apply` runs an op on tensors and leaves a node, `inplace` does so in place.

Short on purpose, because it runs a million times.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu import dtypes, ops
from tinygrad_edu.autograd import versions
from tinygrad_edu.autograd.anomaly import trace
from tinygrad_edu.autograd.modes import enable_grad, mode
from tinygrad_edu.autograd.node import KEEP, Constant, Leaf, Node
from tinygrad_edu.autograd.versions import clock, owner
from tinygrad_edu.errors import DTypeError, GraphError, ShapeError
from tinygrad_edu.ops.registry import INPUT, Array, Op, Plan, is_array
from tinygrad_edu.ops.shapes import broadcast_error

if TYPE_CHECKING:
    from tinygrad_edu.tensor import Tensor

# Inputs that choose rather than compute: they keep their own dtype.
CHOOSERS = ("condition", "index", "indices", "labels")

_tensor_class: Any = None  # set by tensor.py: the class that `wrap` makes and `apply` recognises
_new = object.__new__


def bind_tensor_class(cls: Any) -> None:
    """Tell this module what a tensor is; tensor.py calls it once, so that imports point one way."""
    global _tensor_class
    _tensor_class = cls


def wrap(array: Any, node: Any = None) -> Tensor:
    """A tensor around an array, which is not copied, and the node that made it."""
    tensor = _new(_tensor_class)  # `grad` stays unset, which reads as None: see Tensor.__getattr__
    tensor.array = array
    tensor.node = node
    tensor.view_of = None
    return tensor


def lift(value: Any, node: Any) -> Any:
    """A saved value as a tensor; what is no array (a shape) stays as it is."""
    return wrap(np.asarray(value), node) if is_array(value) else value


class View:
    """How a tensor that shares memory came from its base."""

    __slots__ = ("base", "seen", "steps")

    def __init__(self, base: Tensor, steps: tuple[tuple[Op, dict[str, Any]], ...] | None, seen: Any) -> None:
        self.base = base
        self.steps = steps  # None for a view made under no_grad, which has no history to keep up
        self.seen = seen  # the base's node when this view's node was made


def live_node(tensor: Tensor) -> Any:
    """The tensor's node, made anew if it is a view whose base was changed in place since."""
    view = tensor.view_of
    if view is not None and view.steps is not None and view.base.node is not view.seen:
        with enable_grad():
            fresh: Any = wrap(view.base.array, view.base.node)
            for op, params in view.steps:
                fresh = apply(op, (fresh,), params)
        _replace_node(tensor, fresh.node)
        view.seen = view.base.node
    return tensor.node


def _replace_node(tensor: Tensor, node: Any) -> None:
    """Give a tensor that was changed in place its new node; the wish for its `.grad` moves along."""
    before = tensor.node
    if before is not None and before.retains is not None and before.retains() is tensor and node is not None:
        node.retains, before.retains = before.retains, None
    tensor.node = node


def apply(op: Op, inputs: Sequence[Any], params: dict[str, Any]) -> Tensor:
    """Run `op` on tensors, arrays and numbers, and record it if any input requires grad."""
    tensor_class = _tensor_class
    arrays: list[Any] = []
    nodes: list[Any] = []
    first: Any = None
    plain = True
    mask, bit = 0, 1  # which inputs require grad
    for x in inputs:
        if isinstance(x, tensor_class):
            array = x.array
            if first is None:
                first = array.dtype
            elif array.dtype is not first:
                plain = False
            arrays.append(array)
            node = x.node if x.view_of is None else live_node(x)
            nodes.append(node)
            if node is not None:
                mask |= bit
        elif x is None:  # an input that was left out
            arrays.append(None)
            nodes.append(None)
        else:
            plain = False
            arrays.append(x)
            nodes.append(None)
        bit <<= 1
    if op.types != "any" and not (plain and first.kind == "f"):
        inputs = promote(op, inputs)
        arrays = [x.array if isinstance(x, tensor_class) else x for x in inputs]
        nodes = [live_node(x) if isinstance(x, tensor_class) else None for x in inputs]
        mask = mask_of(nodes)
    try:
        out = op.forward(*arrays, **params)
    except ValueError:
        shapes = [np.shape(a) for a in arrays]
        if not op.elementwise or _broadcasts(shapes):
            raise
        raise broadcast_error(op.name, shapes) from None
    extras: Any = ()
    if op.extra_outputs:
        extras, out = out[1:], out[0]
    if type(out) is not np.ndarray:
        out = np.asarray(out)  # NumPy turns 0-d results into scalars
    recorded = record(op, inputs, arrays, nodes, mask, params, out, extras) if mask and mode.grad else None
    result = wrap(out, recorded)
    if op.joint is not None and extras:
        result.__dict__["_extras"] = extras  # statistics that a layer keeps track of
    if op.view and owner(out) is owner(arrays[0]):
        result.view_of = _view(inputs[0], op, params)
    return result


def mask_of(nodes: Sequence[Any]) -> int:
    """Which inputs require grad, as bits."""
    return sum(1 << i for i, node in enumerate(nodes) if node is not None)


def record(
    op: Op,
    inputs: Sequence[Any],
    arrays: Sequence[Any],
    nodes: list[Any],
    mask: int,
    params: dict[str, Any],
    out: Array,
    extras: Sequence[Any] = (),
) -> Node | None:
    """The node of one operation; None if no gradient can flow through it."""
    plan = op.plan(mask, len(nodes))
    if not plan.active:
        return None
    if None in nodes:
        for i, source in enumerate(nodes):
            if source is None:
                if isinstance(inputs[i], _tensor_class):
                    nodes[i] = constant_of(inputs[i])
                elif arrays[i] is not None and np.ndim(arrays[i]) == 0:
                    nodes[i] = arrays[i]  # a number: pictures print it in the formula
    return remember(op, plan, nodes, plan.save(arrays, out, extras), params, out)


def remember(op: Op, plan: Plan, nodes: Sequence[Any], saved: Any, params: dict[str, Any], out: Array) -> Node:
    """The node itself; set up here rather than in `Node.__init__`, whose call would double its price."""
    now = mode.__dict__
    node = _new(Node)
    node.op = op
    node.plan = plan
    node.inputs = nodes
    node.saved = saved
    node.params = params
    node.position = next(clock)
    node.shape = out.shape
    node.scope = now["scope"]
    node.grad = node.hooks = node.retains = None
    if out.size <= KEEP:
        node.out = out
    else:
        node.out = out if now["keep"] else weakref.ref(out)
    if now["traced"]:
        trace(node, out)
    return node


def constant_of(tensor: Tensor) -> Constant:
    """The record of a tensor that requires no grad: one per tensor, so that pictures draw it once."""
    constant: Constant | None = tensor.__dict__.get("_constant")
    if constant is None or constant.value() is not tensor.array:
        extra = tensor.__dict__
        constant = Constant(tensor.array, extra.get("_name", ""), extra.get("_origin"), mode.keep)
        extra["_constant"] = constant
    return constant


def promote(op: Op, inputs: Sequence[Any]) -> list[Any]:
    """The inputs with the dtypes that `op` works on: casts are recorded, numbers become 0-d arrays."""
    tensor_class = _tensor_class
    places = [i for i, x in enumerate(inputs) if x is not None and (op.variadic or op.inputs[i] not in CHOOSERS)]
    promoted: list[Any] = [x if x is None or isinstance(x, tensor_class) else _operand(op, x) for x in inputs]
    operands = [promoted[i].array if isinstance(promoted[i], tensor_class) else promoted[i] for i in places]
    target = _target(op, operands).dtype
    for i, x in zip(places, operands, strict=True):
        if not isinstance(x, np.ndarray):
            # an int wraps around into a narrower integer type, as in PyTorch; np.asarray(-1, uint8) would raise
            promoted[i] = np.asarray(x).astype(target)
        elif x.dtype != target:
            promoted[i] = apply(ops.basic.cast, (promoted[i],), {"dtype": target, "source": x.dtype})
    return promoted


def _operand(op: Op, x: Any) -> Any:
    if isinstance(x, np.ndarray):
        dtypes.of(x.dtype)
        return wrap(x)
    if isinstance(x, np.generic):
        x = x.item()
    if not isinstance(x, (int, float)):
        raise TypeError(f"{op.name}: expected tensors, arrays or numbers, got {type(x).__name__}")
    return x


def _target(op: Op, operands: Sequence[Any]) -> dtypes.dtype:
    """The dtype that the operands of `op` are brought to; DTypeError if it takes none of theirs."""
    if op.types == "first":
        return dtypes.of_array(operands[0])
    target = dtypes.result_type(*operands)
    if op.types == "same":
        kinds = [dtypes.of_array(x) for x in operands]
        if any(kind is not kinds[0] for kind in kinds):
            described = " and ".join(f"{name} is {kind!r}" for name, kind in zip(op.inputs, kinds, strict=False))
            raise DTypeError(
                f"{op.name}: expected the same dtype (mat1 and mat2 must have the same dtype), but {described}; "
                f"convert one with .float(), .double() or .to(other.dtype)"
            )
        if not target.is_floating_point and op.name not in ("matmul", "contract"):
            raise DTypeError(f"{op.name}: needs floating-point tensors, got {target!r}; convert with .float()")
    elif op.types == "floating" and not target.is_floating_point:
        raise DTypeError(
            f"{op.name}: could not infer output dtype. Input dtype must be floating point, got {target!r}; "
            f"convert with .float() first"
        )
    elif op.types == "number" and dtypes.bool_ in (
        target,
        *(dtypes.result_type(x) for x in operands if op.name == "sub"),
    ):
        raise DTypeError(
            f"{op.name}: is not supported for bool tensors; use ~ or logical_not() to invert a mask, ^ for xor, "
            f"or convert with .int() or .float()"
        )
    elif op.types == "float" and not target.is_floating_point:
        return dtypes.get_default_dtype()
    return target


def _broadcasts(shapes: Sequence[tuple[int, ...]]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


def _view(tensor: Tensor, op: Op, params: dict[str, Any]) -> View:
    above = tensor.view_of
    if not mode.grad:
        return View(tensor if above is None else above.base, None, None)
    if above is None:
        return View(tensor, ((op, params),), tensor.node)
    if above.steps is None:
        return View(above.base, None, None)
    return View(above.base, (*above.steps, (op, params)), above.base.node)


# -- in place ---------------------------------------------------------------------------------------------------------


def inplace(tensor: Tensor, op: Op, others: Sequence[Any], params: dict[str, Any]) -> Tensor:
    """Run an op and store its result in the memory of `tensor`, by PyTorch's rules.

    Raises GraphError for a leaf that requires grad (outside no_grad), ShapeError when the result has another shape,
    DTypeError when it has a higher category (a float into an integer tensor).
    """
    check_writable(tensor, op.name)
    result = apply(op, (tensor, *others), params)
    _keep_overwritten(result.node, tensor.array)
    if result.array.shape != tensor.array.shape:
        raise ShapeError(
            f"{op.name}_: output with shape {tensor.array.shape} doesn't match the broadcast shape "
            f"{result.array.shape}; use the out-of-place form"
        )
    if result.array.dtype != tensor.array.dtype:
        source, target = dtypes.of_array(result.array), dtypes.of_array(tensor.array)
        if not dtypes.can_cast(source, target):
            raise DTypeError(
                f"{op.name}_: result type {source!r} can't be cast to the desired output type {target!r}; "
                f"convert the tensor first, for instance with .float()"
            )
        result = apply(ops.basic.cast, (result,), {"dtype": target.dtype, "source": source.dtype})
    np.copyto(tensor.array, result.array)
    rebind(tensor, result.node)
    return tensor


def _keep_overwritten(node: Node | None, array: Array) -> None:
    """Copy the inputs that `node` saved from memory that is about to be overwritten with its result."""
    if node is None or node.plan is None:
        return
    saved = list(node.saved)
    for place, (kind, _) in enumerate(node.plan.saves):
        value = saved[place]
        if kind == INPUT and isinstance(value, np.ndarray) and owner(value) is owner(array):
            saved[place] = value.copy()
    node.saved = tuple(saved)


def inplace_write(
    tensor: Tensor, op: Op, value: Any, params: dict[str, Any], store: Callable[[Array, Any], None]
) -> None:
    """Record `op` (tensor, value) but write with `store`, which touches only a part of the memory."""
    check_writable(tensor, op.name)
    value = value if isinstance(value, _tensor_class) else wrap(np.asarray(value))
    if tensor.array.dtype.kind != "f":
        value = wrap(value.array)  # no gradient flows through integers
    if value.array.dtype != tensor.array.dtype:
        value = apply(ops.basic.cast, (value,), {"dtype": tensor.array.dtype, "source": value.array.dtype})
    nodes = [live_node(tensor), live_node(value)]
    mask = mask_of(nodes)
    store(tensor.array, value.array)
    node = None
    if mode.grad and mask:
        node = record(op, (tensor, value), (tensor.array, value.array), nodes, mask, params, tensor.array)
    rebind(tensor, node)


def check_writable(tensor: Tensor, name: str) -> None:
    """Raise GraphError unless `tensor` may change in place now."""
    if not tensor.array.flags.writeable:
        raise GraphError(
            f"{name}_: the tensor is an expanded or read-only view, where several entries share one place in memory; "
            f"clone() it before changing it in place"
        )
    if not mode.grad:
        return
    if isinstance(live_node(tensor), Leaf):
        raise GraphError(
            f"{name}_: a leaf Variable that requires grad is being used in an in-place operation. "
            f"Change it inside `with no_grad():`, or make a new tensor"
        )
    view = tensor.view_of
    if view is not None:
        if isinstance(view.base.node, Leaf):
            raise GraphError(
                f"{name}_: a view of a leaf Variable that requires grad is being used in an in-place operation. "
                f"Change it inside `with no_grad():`, or clone() the leaf first"
            )
        if view.steps is None and view.base.node is not None:
            raise GraphError(
                f"{name}_: a view was created in no_grad mode and is being modified inplace with grad mode enabled; "
                f"make the view outside no_grad, or clone() it"
            )


def rebind(tensor: Tensor, node: Node | None) -> None:
    """Note the change of memory and give the tensor, and the base it views, their new history."""
    versions.bump(tensor.array, None if node is None else node.position)
    if node is None:
        return
    view = tensor.view_of
    if view is None or view.steps is None:
        _replace_node(tensor, node)
        base = tensor
    else:
        base = view.base
        nodes = [base.node, node]
        mask = 3 if base.node is not None else 2
        arrays = (base.array, tensor.array)
        put = ops.indexing.view_put
        _replace_node(base, record(put, (base, tensor), arrays, nodes, mask, {"steps": view.steps}, base.array))
        live_node(tensor)
    for other in tuple(base.__dict__.get("_retaining_views", ())):
        live_node(other)


__all__ = ["View", "apply", "bind_tensor_class", "inplace", "inplace_write", "live_node", "wrap"]
