"""Tensor: an array, its gradient, and the node that made it.

    x = tensor([1.0, 2.0], requires_grad=True)     array([1., 2.]), no gradient yet, a Leaf
    y = (x * x).sum()                              array(5.),       a Node: sum <- mul <- Leaf of x
    y.backward()                                   x.grad is tensor([2., 4.])

A tensor requires grad exactly when it has a node.  Operators and methods are bound from the op registry by methods.py.
"""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu import dtypes, missing
from tinygrad_edu.autograd import engine, versions
from tinygrad_edu.autograd.node import Leaf, Node
from tinygrad_edu.conversions import Conversions
from tinygrad_edu.errors import DTypeError, GraphError, ShapeError
from tinygrad_edu.gradient import Gradient, RemovableHandle, run_after
from tinygrad_edu.kernels import memory
from tinygrad_edu.ops.registry import Array, Op
from tinygrad_edu.recording import apply, bind_tensor_class, lift, live_node, wrap


class Size(tuple[int, ...]):
    """A shape; a tuple that prints as one and counts its entries."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"tinygrad_edu.Size({list(self)})"

    def __getitem__(self, key: Any) -> Any:
        part = tuple.__getitem__(self, key)
        return Size(part) if isinstance(key, slice) else part

    def __add__(self, other: Any) -> Size:
        return Size((*self, *other))

    def numel(self) -> int:
        """The number of entries of a tensor of this shape."""
        total = 1
        for n in self:
            total *= n
        return total


class Tensor(Conversions):
    """A multi-dimensional array that records the operations on it.

    Tensor(sequence) makes a float32 tensor and Tensor(2, 3) an uninitialised one, as in PyTorch;
    `tinygrad_edu.tensor` is the usual way to make one.
    """

    __slots__ = ("__dict__", "__weakref__", "array", "grad", "node", "view_of")

    # NumPy's operators leave mixed expressions (array + tensor) to us.
    __array_priority__ = 1000

    array: Array
    grad: Tensor | None
    node: Node | None
    view_of: Any

    def __init__(self, *data: Any) -> None:
        if data and all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in data):
            self.array = np.zeros(data, dtypes.get_default_dtype().dtype)
        else:
            if len(data) > 1:
                raise TypeError(f"Tensor: takes one sequence of numbers, or sizes; got {len(data)} arguments")
            source = data[0] if data else []
            source = source.array if isinstance(source, Tensor) else source
            self.array = np.array(source, dtype=dtypes.get_default_dtype().dtype)
        self.grad = None
        self.node = None
        self.view_of = None

    if TYPE_CHECKING:
        # Methods bound from the registry at run time.
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __getitem__(self, key: Any) -> Tensor: ...
        def __setitem__(self, key: Any, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        """What is not set: a `grad` that no backward has written is None; a name that Tensor lacks is an error."""
        if name == "grad":
            if not self.is_leaf and not self.retains_grad:
                warnings.warn(missing.NO_GRAD_KEPT, UserWarning, stacklevel=2)
            return None
        raise AttributeError(missing.message("Tensor", name, () if name.startswith("_") else dir(Tensor)))

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return Size(self.array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.shape if dim is None else self.array.shape[ops_dim("size", dim, self.array.ndim)]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    def dim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    def numel(self) -> int:
        """The number of entries."""
        return self.array.size

    nelement = numel

    def element_size(self) -> int:
        """Bytes per entry."""
        return self.array.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all entries."""
        return self.array.nbytes

    @property
    def dtype(self) -> dtypes.dtype:
        """The element type."""
        return dtypes.of_array(self.array)

    def is_floating_point(self) -> bool:
        """True for float32 and float64."""
        return self.array.dtype.kind == "f"

    def is_contiguous(self) -> bool:
        """True if the entries lie in memory in row-major order."""
        return bool(self.array.flags.c_contiguous)

    def stride(self, dim: int | None = None) -> Any:
        """Steps, in entries, from one entry to the next along each dimension."""
        steps = tuple(s // self.array.itemsize for s in self.array.strides)
        return steps if dim is None else steps[dim]

    def data_ptr(self) -> int:
        """The address of the first entry."""
        return int(self.array.ctypes.data)

    @property
    def name(self) -> str | None:
        """The name that pictures print; None if it has none."""
        if self.node is not None and self.node.name:
            return self.node.name
        return self.__dict__.get("_name")

    @name.setter
    def name(self, value: str | None) -> None:
        self.__dict__["_name"] = value or ""
        if self.node is not None:
            self.node.name = value or ""
        constant = self.__dict__.get("_constant")
        if constant is not None:
            constant.name = value or ""

    # -- the graph ----------------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """True if operations on this tensor are recorded."""
        return live_node(self) is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Start (or stop) recording operations on this tensor, in place."""
        if not self.is_leaf:
            if not requires_grad:
                raise GraphError(
                    "requires_grad_: you can only change requires_grad flags of leaf variables; "
                    "use detach() to get a tensor without history"
                )
            return self
        if requires_grad and self.node is None:
            if self.array.dtype.kind != "f":
                raise DTypeError(
                    f"requires_grad: only Tensors of floating point dtype can require gradients, got {self.dtype!r}; "
                    f"convert with .float()"
                )
            self.node = Leaf(self)
            self.node.name = self.__dict__.get("_name", "")
        elif not requires_grad:
            self.node = None
        return self

    @property
    def is_leaf(self) -> bool:
        """True unless the tensor is the recorded result of an operation."""
        node = live_node(self)
        return node is None or isinstance(node, Leaf)

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor; None for a leaf."""
        node = live_node(self)
        return None if isinstance(node, Leaf) else node

    @property
    def _version(self) -> int:
        return versions.count(self.array)

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add d(self)/d(leaf) to the `.grad` of every leaf that requires grad.

        gradient: the gradient of self, of its shape; may be left out for a scalar.  retain_graph: keep saved values,
        so that backward can run again (default: create_graph).  create_graph: record the backward pass too.
        inputs: the leaves to accumulate into (default: all).
        Raises GraphError without a graph, for a non-scalar without gradient, and for freed or changed saved values.
        """
        node = live_node(self)
        if node is None:
            raise GraphError(
                "backward: element 0 of tensors does not require grad and does not have a grad_fn; "
                "set requires_grad=True on an input, and compute outside no_grad() without detach()"
            )
        seed = self._seed(gradient, create_graph)
        retain = create_graph if retain_graph is None else retain_graph
        if inputs is None:
            engine.walk([(node, seed)], retain_graph=retain, create_graph=create_graph, lift=lift)
            return
        leaves = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        targets = [live_node(leaf) for leaf in leaves]
        if any(target is None for target in targets):
            raise GraphError("backward: one of `inputs` does not require grad")
        grads = engine.walk([(node, seed)], retain_graph=retain, create_graph=create_graph, lift=lift, targets=targets)
        for leaf, grad in zip(leaves, grads, strict=True):
            if grad is not None:
                leaf._accumulate(grad, True)

    def _seed(self, gradient: Any, create_graph: bool) -> Any:
        """The gradient to start from: an array, or a tensor when the walk is recorded."""
        if gradient is None:
            if self.array.size != 1:
                raise GraphError(
                    f"backward: grad can be implicitly created only for scalar outputs, but this tensor has shape "
                    f"{self.array.shape}; reduce it first, as in loss.sum() or loss.mean(), or pass gradient="
                )
            start = wrap(np.ones_like(self.array))
            start.name = "1"
        else:
            start = gradient if isinstance(gradient, Tensor) else wrap(np.asarray(gradient, self.array.dtype))
            if start.array.shape != self.array.shape:
                raise ShapeError(
                    f"backward: Mismatch in shape: gradient has shape {start.array.shape} and the output "
                    f"{self.array.shape}; they must be equal"
                )
            if start.array.dtype != self.array.dtype:
                raise DTypeError(f"backward: gradient is {start.dtype!r} but the output is {self.dtype!r}")
        return start if create_graph else start.array

    def _accumulate(self, grad: Any, borrowed: bool) -> None:
        """Add a gradient to `.grad`, an array, or a tensor from a recorded walk; call the hooks that wait for it."""
        before = self.grad
        array = grad.array if isinstance(grad, Tensor) else np.asarray(grad, self.array.dtype)
        if isinstance(grad, Tensor):
            self.grad = grad if before is None else before + grad
        elif before is None:
            # An array that somebody else holds too is copied, since the next backward adds to it in place.
            self.grad = wrap(memory.copy(array) if borrowed else array)
        elif before.node is None and before.array.flags.writeable:
            np.add(before.array, array, out=before.array)
            versions.bump(before.array)
        else:
            self.grad = wrap(before.array + array)
        if isinstance(self.node, Leaf) and self.node.after:
            run_after(self.node.after, self)

    def retain_grad(self) -> None:
        """Keep this non-leaf tensor's gradient in `.grad` at the next backward."""
        node = live_node(self)
        if node is None:
            raise GraphError("retain_grad: can't retain_grad on a Tensor that has requires_grad=False")
        if not isinstance(node, Leaf):
            node.retains = weakref.ref(self)
            if self.view_of is not None:  # a change of the base gives this view a new node, and the wish moves along
                self.view_of.base.__dict__.setdefault("_retaining_views", weakref.WeakSet()).add(self)

    @property
    def retains_grad(self) -> bool:
        """True for a non-leaf tensor on which `retain_grad` was called."""
        return self.node is not None and self.node.retains is not None

    def _retain(self, grad: Any) -> None:
        self.grad = grad if isinstance(grad, Tensor) else wrap(np.array(grad))

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call hook(grad) when the gradient of this tensor is computed; what it returns replaces the gradient."""
        node = live_node(self)
        if node is None:
            raise GraphError("register_hook: cannot register a hook on a tensor that doesn't require gradient")
        if node.hooks is None:
            node.hooks = []
        node.hooks.append(hook)
        return RemovableHandle(node.hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call hook(tensor) whenever backward has added to the `.grad` of this leaf."""
        node = live_node(self)
        if node is None:
            raise GraphError("cannot register a hook on a tensor that doesn't require gradient")
        if not isinstance(node, Leaf):
            raise GraphError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        node.after.append(hook)
        return RemovableHandle(node.after, hook)

    def detach(self) -> Tensor:
        """A tensor that shares this memory and has no history."""
        out = wrap(self.array)
        node = live_node(self)
        if node is not None and not isinstance(node, Leaf):
            out.__dict__["_origin"] = node
        return out

    def detach_(self) -> Tensor:
        """Forget the history of this tensor."""
        self.node = None
        self.view_of = None
        return self

    @property
    def data(self) -> Tensor:
        """A tensor that shares this memory and has no history; a saved value changed through it is still an error."""
        return wrap(self.array)

    @data.setter
    def data(self, value: Any) -> None:
        array = value.array if isinstance(value, Tensor) else np.asarray(value)
        self.array = array
        if isinstance(self.node, Leaf):
            self.node.shape = array.shape

    def __apply_op__(self, op: Op, inputs: Any, params: dict[str, Any]) -> Tensor:
        return apply(op, inputs, params)

    # -- copies -------------------------------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError(
                "deepcopy: Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol; "
                "use x.detach().clone()"
            )
        made = object.__new__(type(self))
        memo[id(self)] = made
        made.array, made.grad, made.node, made.view_of = self.array.copy(), copy.deepcopy(self.grad, memo), None, None
        hidden = ("_constant", "_origin")
        made.__dict__.update({k: copy.deepcopy(v, memo) for k, v in self.__dict__.items() if k not in hidden})
        return made.requires_grad_(self.node is not None)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (_rebuild, (type(self), np.array(self.numpy(force=True)), self.requires_grad and self.is_leaf))


def _rebuild(cls: type[Tensor], array: Array, requires_grad: bool) -> Tensor:
    made = object.__new__(cls)
    made.array, made.grad, made.node, made.view_of = array, None, None, None
    return made.requires_grad_(requires_grad)


def ops_dim(name: str, dim: int, ndim: int) -> int:
    """`dim` counted from the front, checked."""
    from tinygrad_edu.ops.shapes import one_dim

    return one_dim(name, dim, ndim)


Tensor.grad = Gradient(Tensor.grad)  # type: ignore[assignment]
bind_tensor_class(Tensor)
