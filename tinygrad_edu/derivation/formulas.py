"""One formula of a derivation: its target, how it is evaluated in a run, and how it compares with the engine."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.derivation.expressions import Expression, FormulaError, Memo, Value, evaluate, name, number, places
from tinygrad_edu.derivation.statements import Target
from tinygrad_edu.derivation.tracing import Label, Traced, traced
from tinygrad_edu.derivation.truth import Names, World

__all__ = ["Comparison", "Formula", "compare", "compared", "labels_of", "ranges_of", "true_value"]

Numbers = NDArray[np.float64]
RIGHT = 1e-7  # the relative error below which a formula is right
ROUNDING = 1e-12  # differences this small beside the largest summands are rounding
NOISE = 50.0  # times what a change in the last digits of the inputs does to the engine's value is rounding as well
RESULT = "result"  # how the trees of repairs call the result of a formula that has no tree of its own


@dataclass
class Formula:
    """A statement about a derivative.  `tree` is None for a function that could not be traced; see `trace`."""

    label: str
    target: Target
    statement: str
    tree: Expression | None = None
    function: Callable[..., Any] | None = None
    why_opaque: str = ""
    problem: str = ""  # why it cannot be evaluated at all

    def value(self, world: World, names: Names | None = None) -> Value:
        """What the formula gives in this run.

        Raises FormulaError when it cannot be evaluated.
        """
        if self.problem:
            raise FormulaError(self.problem)
        names = world.names if names is None else names
        if self.tree is not None:
            return evaluate(self.tree, names, ranges_of(self.tree, self.target, world, names))
        return self.called(world, names)

    def called(self, world: World, names: Names) -> Value:
        """What the Python function returns, called once, or once per entry if it takes an index of the left side."""
        assert self.function is not None
        wanted = parameters(self.function, self.target, world)
        indices = [key for key, (kind, _) in wanted.items() if kind == "index"]
        fixed = {key: which for key, (kind, which) in wanted.items() if kind == "name"}
        error: Exception | None = None
        for convert in (_tensor, np.asarray):
            try:
                arguments = {key: _argument(which, world, names, convert) for key, which in fixed.items()}
                if not indices:
                    with np.errstate(all="ignore"):
                        return Value(_array(self.function(**arguments)))
                ranges = target_ranges(self.target, world)
                labels = tuple(label for label in labels_of(self.target) if label in indices)
                sizes = [ranges[label] for label in labels]
                with np.errstate(all="ignore"):
                    entries = [
                        _array(self.function(**arguments, **dict(zip(labels, place, strict=True))))
                        for place in itertools.product(*map(range, sizes))
                    ]
                return Value(np.stack(entries).reshape(*sizes, *entries[0].shape), labels)
            except FormulaError:
                raise
            except Exception as raised:
                error = raised if error is None else error
        raise FormulaError(f"the function raised {type(error).__name__}: {error}") from error

    def trace(self, world: World, others: list[World]) -> None:
        """Find the tree of the function, if it has one that gives what the function gives."""
        if self.function is None or self.tree is not None:
            return
        wanted = parameters(self.function, self.target, world)
        arguments: dict[str, Any] = {}
        for key, (kind, which) in wanted.items():
            arguments[key] = Label(which) if kind == "index" else Traced(name(which), dims_of(which, world, others))
        try:
            tree = traced(self.function, arguments)
        except Exception as raised:  # whatever the function does with such objects: it is called with arrays then
            self.why_opaque = str(raised)
            return
        try:
            mine = evaluate(tree, world.names, ranges_of(tree, self.target, world, world.names))
        except FormulaError:
            mine = None
        try:
            direct = self.called(world, world.names)
        except FormulaError:
            self.tree = tree  # neither works; or only the tree does, which knows deltas and NumPy's names on tensors
            return
        if mine is not None and self._same(mine, direct, world):
            self.tree = tree
        else:
            self.why_opaque = "what was traced does not give what the function gives"

    def _same(self, mine: Value, direct: Value, world: World) -> bool:
        if mine.plain != direct.plain or set(mine.labels) - set(direct.labels):
            return False
        ranges = target_ranges(self.target, world)
        return np.allclose(mine.over(direct.labels, ranges), direct.array, rtol=1e-9, atol=1e-12, equal_nan=True)


def labels_of(target: Target) -> tuple[str, ...]:
    """The letters on the left side, each once."""
    return tuple(dict.fromkeys(i for i in (*target.of_indices, *target.by_indices) if isinstance(i, str)))


def is_gradient(target: Target, world: World) -> bool:
    """Whether it is the loss that is differentiated (a loss that is a named value as well is one)."""
    return target.expression is None and target.of in world.setting.losses


def true_value(target: Target, world: World) -> Value:
    """The engine's value of the left side; the axes of the letters first.

    Raises FormulaError for a value that nobody named, or indices that do not fit it.
    """
    known = (*world.order, *world.fixed)
    if target.by not in known:
        raise FormulaError(f"the engine knows no {target.by}; known are {', '.join(known)}")
    if target.of_indices and is_gradient(target, world):
        raise FormulaError(f"{target.of} is the loss, a number: it takes no index")
    if is_gradient(target, world):
        return indexed_like(target, world, world.gradient(target.by))
    if target.expression is not None:
        array = world.differentiated(target.of, target.expression, target.of_indices, target.by)
        return indexed_like(target, world, array)
    if target.of not in known:
        raise FormulaError(f"the engine knows no {target.of}; known are {', '.join((*world.setting.losses, *known))}")
    return indexed_like(target, world, world.jacobian(target.of, target.by))


def indexed_like(target: Target, world: World, array: Numbers) -> Value:
    """An array shaped like the whole derivative, with the indices of the left side."""
    of_shape, by_shape = shape_of(target, world), world.shape(target.by)
    for what, shape, indices in ((target.of, of_shape, target.of_indices), (target.by, by_shape, target.by_indices)):
        if len(indices) > len(shape):
            raise FormulaError(f"{what} has the shape {shape}, which takes {len(shape)} indices, not {len(indices)}")
    wanted = [
        *range(len(target.of_indices)),
        *range(len(of_shape), len(of_shape) + len(target.by_indices)),
    ]
    rest = [axis for axis in range(array.ndim) if axis not in wanted]
    array = array.transpose(*wanted, *rest)
    indices = (*target.of_indices, *target.by_indices)
    if not indices:
        return Value(array)
    tree = Expression("index", (name("left"),), indices)
    return evaluate(tree, {"left": array}, target_ranges(target, world))


def shape_of(target: Target, world: World) -> tuple[int, ...]:
    """The shape of what is differentiated: a number for the loss."""
    if target.expression is not None:
        if f"{target.of}[{','.join(target.of_indices)}]" not in world.values:
            world.differentiated(target.of, target.expression, target.of_indices, target.by)
        return world.shape(f"{target.of}[{','.join(target.of_indices)}]")
    return () if is_gradient(target, world) else world.shape(target.of)


def target_ranges(target: Target, world: World) -> dict[str, int]:
    """How far the letters of the left side run.  Raises FormulaError when one stands for two sizes."""
    ranges: dict[str, int] = {}
    for what, shape, indices in (
        (target.of, shape_of(target, world), target.of_indices),
        (target.by, world.names.shape(target.by), target.by_indices),
    ):
        _bind(ranges, what, shape, indices)
    return ranges


def _bind(
    ranges: dict[str, int], what: str, shape: tuple[int, ...], indices: tuple[Any, ...], strict: bool = True
) -> None:
    for index, size in zip(indices, shape, strict=False):
        if isinstance(index, str) and ranges.setdefault(index, size) != size and strict:
            raise FormulaError(f"the index {index} runs to {size} in {what}, and to {ranges[index]} elsewhere")


def ranges_of(tree: Expression, target: Target, world: World, names: Names, strict: bool = True) -> dict[str, int]:
    """How far each letter runs, by the values that it stands on.

    Raises FormulaError when one stands for two sizes; unless `strict`, the first counts.
    """
    ranges = target_ranges(target, world)
    later = []
    for _, part in places(tree):
        if part.op == "index":
            inner = part.args[0]
            if inner.op == "name":
                if inner.data in names:
                    _bind(ranges, inner.data, names.shape(inner.data), part.data, strict)
            else:
                later.append(part)
    for part in reversed(later):
        try:
            shape = evaluate(part.args[0], names, ranges).plain
        except FormulaError:
            continue  # the evaluation of the whole says what is wrong there
        _bind(ranges, "a part of the formula", shape, part.data, strict)
    return ranges


# -- parameters of a Python function ---------------------------------------------------------------------------------


def parameters(function: Callable[..., Any], target: Target, world: World) -> dict[str, tuple[str, str]]:
    """What each parameter stands for: ("index", "i") or ("name", "df/dxhat").

    Raises FormulaError for a name that means nothing.
    """
    found: dict[str, tuple[str, str]] = {}
    for key, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        meaning = meaning_of(key, world)
        if key in labels_of(target):
            found[key] = ("index", key)
        elif meaning is not None:
            found[key] = ("name", meaning)
        elif parameter.default is parameter.empty:
            import difflib

            known = sorted(world.values)
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]}?" if close else "known are " + ", ".join(known)
            raise FormulaError(f"the function takes {key!r}, which is no name here; {hint}")
    return found


def meaning_of(key: str, world: World) -> str | None:
    """The name that a parameter stands for: mu, dxhat (which is df/dxhat), df_dxhat, dvar_dx."""
    if key in world.values:
        return key
    losses = world.setting.losses
    known = (*world.order, *world.fixed)
    if key.startswith("d"):
        if key[1:] in known and losses:
            return f"d{losses[0]}/d{key[1:]}"
        for cut in range(len(key)):
            if key.startswith("_d", cut) and key[1:cut] in (*losses, *known) and key[cut + 2 :] in known:
                return f"d{key[1:cut]}/d{key[cut + 2 :]}"
    return None


def dims_of(which: str, world: World, others: list[World]) -> tuple[Any, ...] | None:
    """The shape of a value in letters: a size that is a letter in all runs is that letter, one that never changes an
    integer."""
    shape = world.names.shape(which)
    dims: list[Any] = []
    for axis, size in enumerate(shape):
        sizes = [size, *(other.names.shape(which)[axis] for other in others)]
        letters = [
            letter
            for letter in world.sizes
            if sizes == [world.sizes[letter], *(other.sizes[letter] for other in others)]
        ]
        if letters:
            dims.append(Traced(name(letters[0])))
        elif len(set(sizes)) == 1:
            dims.append(size)
        else:
            return None
    return tuple(dims)


def _argument(which: str, world: World, names: Names, convert: Callable[[Any], Any]) -> Any:
    if which in world.sizes:
        return world.sizes[which]
    if which in world.setting.constants:
        return world.setting.constants[which]
    return convert(names[which])


def _tensor(array: Numbers) -> Any:
    from tinygrad_edu import creation

    return creation.tensor(np.array(array, np.float64), dtype=np.float64)


def _array(x: Any) -> Numbers:
    if x is None:
        raise FormulaError("the function returned None: has it a return?")
    detach = getattr(x, "detach", None)
    return np.asarray(x if detach is None else detach().numpy(), np.float64)


# -- comparison ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A formula's value beside the engine's in one run; `problem` if they cannot be compared."""

    mine: Numbers | None
    true: Numbers
    labels: tuple[str, ...]
    error: float
    right: bool
    problem: str = ""
    shape: tuple[int, ...] | None = None  # of the formula's value, where it is not the true one


def compared(value: Value, target: Target, world: World, magnitude: float = 0.0) -> Comparison:
    """Compare a value with the engine's.  magnitude: the size of the largest summands in it, for rounding errors."""
    truth = true_value(target, world)
    return against(value, truth, target, world, magnitude)


def against(value: Value, truth: Value, target: Target, world: World, magnitude: float = 0.0) -> Comparison:
    """`compared`, with the engine's value at hand."""
    try:
        mine = value.over(truth.labels, target_ranges(target, world))
    except FormulaError as raised:
        return Comparison(None, truth.array, truth.labels, np.inf, False, str(raised))
    true, plain = truth.array, value.plain
    if truth.labels and not value.labels and plain == true.shape:
        mine = value.array  # the whole array at once, though the left side has indices
    elif plain != truth.plain:
        diagonal = _diagonal(truth)
        if plain == () and diagonal is not None:  # dy/dx = 2 of y = 2 x
            mine, true = np.broadcast_to(mine, diagonal.shape), diagonal
        elif plain == ():
            mine = np.broadcast_to(mine.reshape(mine.shape + (1,) * len(truth.plain)), true.shape)
        elif diagonal is not None and diagonal.shape[len(truth.labels) :] == plain:
            true = diagonal
        else:
            problem = f"its shape is {_shape(plain)}, that of the derivative {_shape(truth.plain)}"
            return Comparison(None, true, truth.labels, np.inf, False, problem, plain)
    if not np.isfinite(mine).all():
        return Comparison(mine, true, truth.labels, np.inf, False, "it gives NaN or infinity")
    difference = float(np.abs(mine - true).max(initial=0.0))
    scale = float((np.abs(mine) + np.abs(true)).max(initial=0.0))
    error = difference / scale if scale > 0 else 0.0
    right = error < RIGHT or difference <= ROUNDING * magnitude
    if not right and difference <= 1e-8 * (1 + scale):
        right = difference <= NOISE * noise(target, world)
    if right and error >= RIGHT:  # beside a truth of 0 the relative error of rounding is 1
        error = difference
    return Comparison(mine, true, truth.labels, error, right)


def noise(target: Target, world: World) -> float:
    """How far rounding moves the engine's value: a sum over x − mu, which is zero, comes out as 1e-17 or so."""
    one, other = true_value(target, world).array, true_value(target, world.twin()).array
    return float(np.abs(one - other).max(initial=0.0))


def _shape(shape: tuple[int, ...]) -> str:
    return str(shape) if shape else "() (a number)"


def _diagonal(truth: Value) -> Numbers | None:
    """A Jacobian entry by entry, as d relu/dx = 1[x > 0]: its diagonal, when all else is 0."""
    dims = len(truth.plain) // 2
    if not dims or truth.plain[:dims] != truth.plain[dims:] or truth.labels:
        return None
    shape = truth.plain[:dims]
    size = int(np.prod(shape))
    square = truth.array.reshape(size, size)
    diagonal = np.diagonal(square)
    if np.abs(square - np.diag(diagonal)).max(initial=0.0) > ROUNDING * np.abs(diagonal).max(initial=0.0):
        return None
    return diagonal.reshape(shape)


def magnitude(tree: Expression, names: Names, ranges: Mapping[str, int]) -> float:
    """The size of the largest summands in a formula: with all its signs made positive."""
    memo: Memo = {}

    def actual(part: Expression) -> Expression:
        found = evaluate(part, names, ranges, memo)
        return Expression("value", (), Value(np.abs(found.array), found.labels))

    def positive(part: Expression) -> Expression:
        if part.op in ("add", "sub"):
            return Expression("add", (positive(part.args[0]), positive(part.args[1])))
        if part.op == "neg":
            return positive(part.args[0])
        if part.op == "number":
            return number(abs(part.data))
        if part.op in ("mul", "matmul", "sum", "mean", "index", "transpose"):
            return Expression(part.op, tuple(map(positive, part.args)), part.data)
        if part.op == "div":
            return Expression("div", (positive(part.args[0]), actual(part.args[1])))
        return actual(part)

    try:
        found = evaluate(positive(tree), names, ranges).array
    except FormulaError:
        return 0.0
    return float(found.max(initial=0.0)) if np.isfinite(found).all() else 0.0


def compare(formula: Formula, world: World, names: Names | None = None) -> Comparison:
    """A formula beside the engine's value in one run; `names` has other values for some names."""
    names = world.names if names is None else names
    truth = true_value(formula.target, world)
    try:
        value = formula.value(world, names)
    except FormulaError as raised:
        return Comparison(None, truth.array, truth.labels, np.inf, False, str(raised))
    size = 0.0
    if formula.tree is not None:
        size = magnitude(formula.tree, names, ranges_of(formula.tree, formula.target, world, names))
    return compared(value, formula.target, world, size)
