"""Formulas as trees of numbers, names and operations, to be evaluated, printed, and changed piece by piece.

A formula given as text (notation.py) and one given as a Python function (tracing.py) become the same tree.  Two ways of
writing meet in it.  With indices, x_i is one entry and i a *label*; with arrays, x is the whole.  A value therefore is
an array whose first axes carry labels, in the order of `labels`; the axes after them are plain NumPy axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Expression", "FormulaError", "Memo", "Value", "evaluate", "names_in", "places", "replaced"]

Numbers = NDArray[np.float64]
Path = tuple[int, ...]  # which argument, of which argument, ...: the way from the root of a tree to one of its parts


class FormulaError(ValueError):
    """A formula that cannot be read or evaluated."""


@dataclass(frozen=True)
class Expression:
    """One operation and what it is applied to.

    op          args            data
    "number"    ()              a float
    "name"      ()              "x", "mu", "df/dxhat", "m"
    "value"     ()              a Value
    "index"     (array,)        labels or integers, one per leading axis: ("i", 0)
    "delta"     ()              two labels: 1 where they are equal, else 0
    "neg"       (x,)
    "add" "sub" "mul" "div" "pow"     (x, y)     entry by entry, with NumPy's broadcasting
    "matmul"    (x, y)          the matrix product of the plain axes
    "transpose" (x,)            of the last two plain axes; a vector stays as it is
    "sum" "mean"  (x,)          labels ("i", "j"); or None (all plain axes), or an integer axis;
                                with a second entry True the axis is kept: (0, True)
    "call"      (x, ...)        the name of a function in FUNCTIONS
    "compare"   (x, y)          ">", ">=", "<", "<=", "=", "!=": 1.0 where it holds, else 0.0 (also 1[x > 0])
    "where"     (condition, x, y)
    """

    op: str
    args: tuple[Expression, ...] = ()
    data: Any = None
    source: str = field(default="", compare=False)  # as the author wrote it, where that is known


@dataclass(frozen=True)
class Value:
    """An array whose first `len(labels)` axes belong to these labels."""

    array: Numbers
    labels: tuple[str, ...] = ()

    @property
    def plain(self) -> tuple[int, ...]:
        """The shape without the labelled axes."""
        return self.array.shape[len(self.labels) :]

    def over(self, labels: tuple[str, ...], ranges: Mapping[str, int]) -> Numbers:
        """The array with its labelled axes in the order of `labels`; a label that it does not have is repeated.

        Raises FormulaError for a label of its own that is not among them.
        """
        left = [label for label in self.labels if label not in labels]
        if left:
            raise FormulaError(
                f"the index {', '.join(left)} is left over: sum over it, or give it on the left side too"
            )
        array = aligned(self, labels)
        sizes = tuple(ranges[label] for label in labels)
        return np.broadcast_to(array, sizes + self.plain)


def _sigmoid(x: Numbers) -> Numbers:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _softmax(x: Numbers) -> Numbers:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


# Entry by entry; NaN and infinity come through, since a wrong formula may well make them.
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "abs": np.abs,
    "sign": np.sign,
    "sigmoid": _sigmoid,
    "relu": lambda x: np.where(x > 0, x, np.where(np.isnan(x), x, 0.0)),
    "maximum": np.maximum,
    "minimum": np.minimum,
}


def _diagonal(x: Numbers) -> Numbers:
    """Of a Jacobian with as many axes for the one value as for the other: its derivative entry by entry."""
    shape = x.shape[: x.ndim // 2]
    if x.shape != shape * 2:
        raise ValueError("no diagonal")
    size = int(np.prod(shape))
    return np.diagonal(x.reshape(size, size)).reshape(shape)


# Of the plain axes, as a whole.
WHOLE: dict[str, Callable[..., Any]] = {
    "softmax": _softmax,
    "diagonal": _diagonal,
    "diag": lambda x: x[..., None] * np.eye(x.shape[-1]),
    "outer": lambda x, y: x[..., :, None] * y[..., None, :],
    "column": lambda x: x[..., None],  # (n,) -> (n, 1)
    "row": lambda x: x[..., None, :],  # (n,) -> (1, n)
}
FUNCTIONS = {**ELEMENTWISE, **WHOLE}

_BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
}
_COMPARE: dict[str, Callable[..., Any]] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "=": np.equal,
    "!=": np.not_equal,
}


Memo = dict[int, tuple[Expression, Value]]  # by id; the tree is kept, so that its id stays its own


def evaluate(
    tree: Expression, values: Mapping[str, Numbers], ranges: Mapping[str, int], memo: Memo | None = None
) -> Value:
    """The value of a formula.

    values: by name, float64 arrays of plain axes.  ranges: how far each label runs.  memo: what parts of other trees
    were worth with these values and ranges; the parts of this tree are added to it.
    Division by zero and roots of negative numbers give infinity and NaN, as in NumPy, without a warning.
    Raises FormulaError for an unknown name or label, indices that do not fit, and shapes that do not fit together.
    """
    with np.errstate(all="ignore"):
        try:
            return _remembered(tree, values, ranges, {} if memo is None else memo)
        except (ValueError, IndexError, ArithmeticError, RecursionError) as raised:
            if isinstance(raised, FormulaError):
                raise
            raise FormulaError(f"it cannot be evaluated: {raised}") from raised


def _remembered(tree: Expression, values: Mapping[str, Numbers], ranges: Mapping[str, int], memo: Memo) -> Value:
    found = memo.get(id(tree))
    if found is None:
        found = memo[id(tree)] = (tree, _evaluate(tree, values, ranges, memo))
    return found[1]


def _evaluate(tree: Expression, values: Mapping[str, Numbers], ranges: Mapping[str, int], memo: Memo) -> Value:
    op, data = tree.op, tree.data
    if op == "number":
        return Value(np.asarray(float(data)))
    if op == "value":
        assert isinstance(data, Value)
        return data
    if op == "name":
        if data not in values:
            raise FormulaError(f"unknown name {data!r}; known are {', '.join(sorted(values))}")
        return Value(np.asarray(values[data], np.float64))
    if op == "delta":
        return _delta(data, ranges)
    args = [_remembered(arg, values, ranges, memo) for arg in tree.args]
    if op == "index":
        return _indexed(args[0], data, ranges, tree)
    if op == "neg":
        return Value(-args[0].array, args[0].labels)
    if op in ("sum", "mean"):
        return _reduced(op, args[0], data, ranges)
    if op == "transpose":
        x = args[0]
        return x if len(x.plain) < 2 else Value(np.swapaxes(x.array, -1, -2), x.labels)
    if op in _BINARY:
        return _together(_BINARY[op], args, op)
    if op == "compare":
        return _together(lambda x, y: _COMPARE[data](x, y).astype(np.float64), args, data)
    if op == "where":
        return _together(lambda c, x, y: np.where(c != 0, x, y), args, "where")
    if op == "matmul":
        return _product(args[0], args[1])
    if op == "call" and data in ELEMENTWISE:
        return _together(ELEMENTWISE[data], args, data)
    if op == "call" and data in WHOLE:
        return _together(WHOLE[data], args, data, broadcast=False)
    raise FormulaError(f"unknown operation {op!r} {data!r}")


def aligned(x: Value, labels: tuple[str, ...], plain: int | None = None) -> Numbers:
    """The array with one axis per label, of size 1 where it has none, and at least `plain` plain axes, 1s in front."""
    if x.array.ndim == 0 or (x.labels == labels and (plain is None or x.array.ndim - len(labels) >= plain)):
        return x.array  # it broadcasts as it is
    order = [x.labels.index(label) for label in labels if label in x.labels]
    array = x.array.transpose(*order, *range(len(x.labels), x.array.ndim))
    sizes = iter(array.shape[: len(order)])
    shape = tuple(next(sizes) if label in x.labels else 1 for label in labels)
    missing = max(0, (plain or 0) - len(x.plain))
    return array.reshape(shape + (1,) * missing + x.plain)


def _union(args: list[Value]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for x in args for label in x.labels))


def _together(function: Callable[..., Any], args: list[Value], name: str, broadcast: bool = True) -> Value:
    labels = _union(args)
    plain = max(len(x.plain) for x in args) if broadcast else None
    try:
        return Value(np.asarray(function(*(aligned(x, labels, plain) for x in args)), np.float64), labels)
    except (ValueError, IndexError):
        shapes = " and ".join(str(x.plain) for x in args)
        raise FormulaError(f"{name}: the shapes {shapes} do not fit together") from None


def _product(x: Value, y: Value) -> Value:
    """The matrix product; with a number it is the ordinary product."""
    if not x.plain or not y.plain:
        return _together(np.multiply, [x, y], "·")
    labels = _union([x, y])
    left, right = aligned(x, labels), aligned(y, labels)
    inner = (x.plain[-1], y.plain[-2] if len(y.plain) > 1 else y.plain[0])
    if inner[0] != inner[1]:
        raise FormulaError(f"the matrix product of {x.plain} and {y.plain}: {inner[0]} is not {inner[1]}")
    vector_left, vector_right = len(x.plain) == 1, len(y.plain) == 1  # as in NumPy: a row on the left, a column right
    left = left[..., None, :] if vector_left else left
    right = right[..., None] if vector_right else right
    out = np.matmul(left, right)
    out = out[..., 0] if vector_right else out
    return Value(out[..., 0, :] if vector_left and not vector_right else out[..., 0] if vector_left else out, labels)


def _range(label: str, ranges: Mapping[str, int]) -> int:
    if label not in ranges:
        raise FormulaError(f"how far does the index {label} run? Nothing that it stands on says so")
    return ranges[label]


def _delta(data: tuple[str, str], ranges: Mapping[str, int]) -> Value:
    i, j = data
    if i == j:
        return Value(np.ones(_range(i, ranges)), (i,))
    return Value(np.eye(_range(i, ranges), _range(j, ranges)), (i, j))


def _indexed(x: Value, indices: tuple[Any, ...], ranges: Mapping[str, int], tree: Expression) -> Value:
    if len(indices) > len(x.plain):
        raise FormulaError(f"{tree.args[0].data or 'this'} has {len(x.plain)} axes and {len(indices)} indices")
    array, labels = x.array, list(x.labels)
    axis = len(labels)
    for index in indices:
        size = array.shape[axis]
        if isinstance(index, str):
            if _range(index, ranges) != size:
                raise FormulaError(
                    f"the index {index} runs to {ranges[index]}, but {tree.args[0].data} has {size} there"
                )
            if index in labels:  # x_ii: the diagonal; `diagonal` puts it last
                first = labels.index(index)
                array = np.moveaxis(np.diagonal(array, axis1=first, axis2=axis), -1, first)
            else:
                labels.append(index)
                axis += 1
        else:
            if not -size <= index < size:
                raise FormulaError(f"the index {index} is outside {tree.args[0].data}, which has {size} entries there")
            array = np.take(array, index, axis=axis)
    return Value(array, tuple(labels))


def _reduced(op: str, x: Value, data: Any, ranges: Mapping[str, int]) -> Value:
    function = np.sum if op == "sum" else np.mean
    if isinstance(data, tuple) and data and all(isinstance(label, str) for label in data):
        absent = [label for label in data if label not in x.labels]
        axes = tuple(x.labels.index(label) for label in data if label in x.labels)
        array = function(x.array, axis=axes) if axes else x.array
        if op == "sum":  # of what does not depend on the index: as many times as it runs
            for label in absent:
                array = array * _range(label, ranges)
        return Value(np.asarray(array), tuple(label for label in x.labels if label not in data))
    axis, keep = data if isinstance(data, tuple) and data else (data, False)
    count, dims = len(x.labels), len(x.plain)
    if axis is None:
        axes = tuple(range(count, count + dims))
    else:
        if not -dims <= axis < dims:
            raise FormulaError(f"{op} over axis {axis} of the shape {x.plain}")
        axes = (count + axis % dims,)
    return Value(np.asarray(function(x.array, axis=axes, keepdims=keep)), x.labels)


# -- trees -----------------------------------------------------------------------------------------------------------


def places(tree: Expression) -> Iterator[tuple[Path, Expression]]:
    """Every part of a tree with the way to it, the whole first."""
    waiting: list[tuple[Path, Expression]] = [((), tree)]
    while waiting:
        path, part = waiting.pop()
        yield path, part
        waiting.extend(((*path, k), part.args[k]) for k in reversed(range(len(part.args))))


def replaced(tree: Expression, path: Path, part: Expression) -> Expression:
    """The tree with another part at the end of `path`."""
    if not path:
        return part
    args = list(tree.args)
    args[path[0]] = replaced(args[path[0]], path[1:], part)
    return Expression(tree.op, tuple(args), tree.data)


def names_in(tree: Expression) -> set[str]:
    """The names that occur."""
    return {part.data for _, part in places(tree) if part.op == "name"}


def number(value: float) -> Expression:
    """A number as a tree."""
    return Expression("number", (), float(value))


def name(text: str) -> Expression:
    """A name as a tree."""
    return Expression("name", (), text)
