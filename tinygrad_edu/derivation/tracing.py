"""A formula given as a Python function becomes a tree: it is called with objects that note what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from tinygrad_edu.derivation.expressions import ELEMENTWISE, Expression, number

__all__ = ["Label", "Traced", "Untraceable", "traced"]


class Untraceable(TypeError):
    """The function looks at values, or does what no tree can hold."""


_UFUNCS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "power": "pow",
    "float_power": "pow", "matmul": "matmul",
}  # fmt: skip
_COMPARISONS = {
    "greater": ">", "greater_equal": ">=", "less": "<", "less_equal": "<=", "equal": "=", "not_equal": "!=",
    "gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "=", "ne": "!=",
}  # fmt: skip
_ALIASES = {"absolute": "abs", "fabs": "abs", "fmax": "maximum", "fmin": "minimum"}
_BINARY = {"add", "sub", "mul", "div", "pow", "matmul"}


class Label:
    """An index of the left side, as the i of df/dx_i: x[i] is an entry, i == j is a Kronecker delta."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> Any:
        return Traced(Expression("delta", (), (self.name, other.name))) if isinstance(other, Label) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return 1 - (self == other) if isinstance(other, Label) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise Untraceable("the formula asks whether an index is 0")

    def __index__(self) -> int:
        raise Untraceable("the formula counts with an index")


class Traced:
    """A part of a formula."""

    __slots__ = ("dims", "tree")

    def __init__(self, tree: Expression, dims: tuple[Any, ...] | None = None) -> None:
        self.tree = tree
        self.dims = dims

    # -- what NumPy, the ops of the engine, and operators call --------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs.get("out") is not None:
            raise Untraceable(f"np.{ufunc.__name__}.{method}")
        return _apply(ufunc.__name__, inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _call(function.__name__, args, kwargs)

    def __apply_op__(self, op: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return _call(op.name, inputs, params)

    def __add__(self, other: Any) -> Any:
        return _made("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return _made("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return _made("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _made("sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return _made("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return _made("mul", other, self)

    def __truediv__(self, other: Any) -> Any:
        return _made("div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _made("div", other, self)

    def __pow__(self, other: Any) -> Any:
        return _made("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        return _made("pow", other, self)

    def __matmul__(self, other: Any) -> Any:
        return _made("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _made("matmul", other, self)

    def __neg__(self) -> Any:
        return Traced(Expression("neg", (self.tree,)))

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return _made("abs", self)

    def __gt__(self, other: Any) -> Any:
        return _compared(">", self, other)

    def __ge__(self, other: Any) -> Any:
        return _compared(">=", self, other)

    def __lt__(self, other: Any) -> Any:
        return _compared("<", self, other)

    def __le__(self, other: Any) -> Any:
        return _compared("<=", self, other)

    def __eq__(self, other: object) -> Any:
        return _compared("=", self, other)

    def __ne__(self, other: object) -> Any:
        return _compared("!=", self, other)

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        indices: list[str | int] = []
        for item in keys:
            if isinstance(item, Label):
                indices.append(item.name)
            elif isinstance(item, (int, np.integer)) and not isinstance(item, bool):
                indices.append(int(item))
            else:
                raise Untraceable(f"the index {item!r}")
        inner, before = self.tree, ()
        if inner.op == "index":  # x[i][j] is x[i, j]
            inner, before = inner.args[0], inner.data
        return Traced(Expression("index", (inner,), (*before, *indices)))

    # -- what must not happen -----------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        raise Untraceable("the formula branches on a value")

    def __float__(self) -> float:
        raise Untraceable("the formula asks for a number")

    def __index__(self) -> int:
        raise Untraceable("the formula counts with a value")

    __int__ = __index__
    __len__ = __index__

    def __iter__(self) -> Any:
        raise Untraceable("the formula loops over entries")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise Untraceable("the formula makes an array of a value")

    # -- methods and attributes ---------------------------------------------------------------------------------------

    @property
    def T(self) -> Any:
        """The transpose, of two axes at most: of three, NumPy's turns all around."""
        return _transposed(self, ())

    @property
    def mT(self) -> Any:
        """The transpose of the last two axes."""
        return Traced(Expression("transpose", (self.tree,)))

    @property
    def shape(self) -> tuple[Any, ...]:
        """The shape, in letters where they are known."""
        if self.dims is None:
            raise Untraceable("the shape of an intermediate result")
        return self.dims

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def size(self, dim: int | None = None) -> Any:
        """As of a tensor."""
        return self.shape if dim is None else self.shape[dim]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: _call(name, (self, *args), kwargs)


def _tree(x: Any) -> Expression:
    if isinstance(x, Traced):
        return x.tree
    if isinstance(x, (bool, int, float, np.number, np.bool_)) or (isinstance(x, np.ndarray) and x.ndim == 0):
        return number(float(x))
    raise Untraceable(f"{type(x).__name__} in a formula")


def _made(op: str, *args: Any) -> Traced:
    trees = tuple(_tree(arg) for arg in args)
    if op in ELEMENTWISE:
        return Traced(Expression("call", trees, op))
    if op == "mul" and "compare" not in (trees[0].op, trees[1].op):
        for one, other in (trees, trees[::-1]):
            if one.op == "number" and one.data == -1.0:
                return Traced(Expression("neg", (other,)))
    return Traced(Expression(op, trees))


def _compared(sign: str, x: Any, y: Any) -> Any:
    return Traced(Expression("compare", (_tree(x), _tree(y)), sign))


def _apply(name: str, inputs: Any) -> Any:
    name = _ALIASES.get(name, name)
    if name in _UFUNCS:
        return _made(_UFUNCS[name], *inputs)
    if name in _BINARY or name in ELEMENTWISE:
        return _made(name, *inputs)
    if name in _COMPARISONS:
        return _compared(_COMPARISONS[name], *inputs)
    if name in ("negative", "neg"):
        return -inputs[0]
    if name in ("positive", "clone", "contiguous", "alias", "float", "double", "detach"):
        return inputs[0]
    if name == "square":
        return _made("pow", inputs[0], 2)
    if name == "reciprocal":
        return _made("div", 1, inputs[0])
    if name == "rsqrt":
        return _made("div", 1, _made("sqrt", inputs[0]))
    raise Untraceable(f"the function {name}")


def _transposed(x: Any, axes: Any) -> Any:
    """The transpose, if it is that of the last two axes."""
    count = len(x.dims) if isinstance(x, Traced) and x.dims is not None else 2
    if count > 2:
        axes = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        last = [*range(count - 2), count - 1, count - 2]
        numbers = [axis % count for axis in axes if isinstance(axis, int)]
        if numbers != last and sorted(numbers) != [count - 2, count - 1]:
            raise Untraceable(f"a transpose of {count} axes that is not that of the last two")
    return x.mT


def _call(name: str, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """A function of NumPy, an op of the engine, or a method of an array or tensor."""
    given = {key: value for key, value in kwargs.items() if value is not None}
    if name in ("sum", "mean"):
        return _reduced(name, args, given)
    if name in ("transpose", "t", "T", "swapaxes"):
        return _transposed(args[0], args[1:])
    if name in ("dot", "mm", "mv", "bmm"):
        return _made("matmul", *args)
    if name == "where":
        return Traced(Expression("where", tuple(_tree(x) for x in (*args, *given.values()))))
    if name in ("outer", "diag", "softmax"):
        axis = given.pop("dim", given.pop("axis", args[1] if name == "softmax" and len(args) > 1 else -1))
        if name == "softmax" and axis != -1:
            raise Untraceable("softmax over another axis than the last")
        inputs = args[:1] if name != "outer" else args
        return Traced(Expression("call", tuple(_tree(x) for x in inputs), name))
    if name in ("astype", "to", "type_as"):  # a mask made a number: comparisons are numbers already
        return args[0]
    if given:
        raise Untraceable(f"{name} with {', '.join(given)}")
    names = {"multiply": "mul", "subtract": "sub", "divide": "div"}
    return _apply(names.get(name, name), args)


def _reduced(name: str, args: Any, given: dict[str, Any]) -> Traced:
    axis = given.pop("axis", given.pop("dim", args[1] if len(args) > 1 else None))
    keep = given.pop("keepdims", given.pop("keepdim", args[2] if len(args) > 2 else False))
    if given:
        raise Untraceable(f"{name} with {', '.join(given)}")
    tree = _tree(args[0])
    axes: list[Any] = list(axis) if isinstance(axis, (tuple, list)) else [axis]
    if axes != [None]:
        if not all(isinstance(k, (int, np.integer)) for k in axes) or len({int(k) < 0 for k in axes}) > 1:
            raise Untraceable(f"{name} over {axis!r}")
        # one axis after the other: taking one away moves those that are counted past it
        axes = sorted(map(int, axes), reverse=axes[0] >= 0)
    for k in axes:
        tree = Expression(name, (tree,), (k, True) if keep else k)
    return Traced(tree)


# -- tracing ----------------------------------------------------------------------------------------------------------

LIBRARIES = ("tinygrad_edu", "torch")  # their functions take tensors only


class _Library:
    """A module of tensor functions as a traced function sees it."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return _either(getattr(self._module, name), name)


def _either(value: Any, name: str) -> Any:
    """A module or function that takes Traced objects as well."""
    if isinstance(value, ModuleType):
        return _Library(value)
    if isinstance(value, type) or not callable(value):
        return value

    def function(*args: Any, **kwargs: Any) -> Any:
        parts = (*args, *kwargs.values())
        return _call(name, args, kwargs) if any(isinstance(x, Traced) for x in parts) else value(*args, **kwargs)

    return function


def _opened(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with what it uses of a tensor library replaced by what takes Traced objects."""
    if not isinstance(function, FunctionType):
        return function
    around = dict(function.__globals__)
    for key in function.__code__.co_names:
        value = around.get(key)
        home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or ""
        if home.partition(".")[0] in LIBRARIES:
            around[key] = _either(value, getattr(value, "__name__", key))
    made = FunctionType(function.__code__, around, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def traced(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Expression:
    """The tree of what `function` does to these arguments, each a Traced or a Label.

    Raises Untraceable, or what the function raises on such objects.
    """
    return _tree(_opened(function)(**arguments))
