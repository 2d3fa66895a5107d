"""What an op is: one definition that computes, differentiates, draws and tests itself.

    @op(symbol="×", formula="{x} · {y}", gradients={"x": "{grad} · {y}", "y": "{grad} · {x}"}, precedence=2)
    def mul(x: Array, y: Array) -> Array:
        ...
    mul.backward(x=lambda grad, y: grad * y, y=lambda grad, x: grad * x)

A parameter annotated `Array` is an input, any other one is a plain parameter.  A rule is named after its input and
names what it needs: `grad`, `out`, an input, `<input>_shape`, a cache, a parameter.  Those names are read once, here:
only these values are kept alive until backward, and only those whose rule will run.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rule = Callable[..., Any]
Interval = tuple[float, float]

# How the kinds of saved values are marked in a plan.
INPUT, SHAPE, OUT, CACHE, KEPT, INPUTS, SHAPES = range(7)

# NumPy's spellings of PyTorch's parameter names.
ALIASES = {"axis": "dim", "keepdims": "keepdim", "input": "x", "other": "y", "size": "shape"}

registry: dict[str, Op] = {}


class Plan:
    """What a node keeps and runs, for one choice of the inputs that need a gradient."""

    __slots__ = ("active", "calls", "joint", "save", "saves")

    def __init__(self, op: Op, needs: Sequence[bool]) -> None:
        saves: list[tuple[int, Any]] = []
        self.calls: list[tuple[int, Callable[..., Any]]] = []
        self.joint: Callable[..., Any] | None = None
        if op.joint is not None:
            self.active = tuple(i for i, needed in enumerate(needs) if needed)
            saves = [(INPUT, i) for i in range(len(op.inputs))]  # what a replay of the composition starts from
            self.joint = _call(op, op.joint, saves, needs=tuple(needs))
        else:
            self.active = tuple(i for i, needed in enumerate(needs) if needed and op.rule_of(i) is not None)
            for i in self.active:
                rule = op.rule_of(i)
                assert rule is not None
                self.calls.append((i, _call(op, rule, saves, i=i)))
        self.saves = tuple(saves)
        self.save = _saver(self.saves)


# Where the value of each kind is found, given what an op was called with and what it returned.
SOURCES = {
    INPUT: "arrays[{key}]",
    SHAPE: "shape(arrays[{key}])",
    OUT: "out",
    CACHE: "extras[{key}]",
    KEPT: "extras[{key}]",
    INPUTS: "tuple(arrays)",
    SHAPES: "tuple(map(shape, arrays))",
}


def _saver(saves: Sequence[tuple[int, Any]]) -> Callable[[Sequence[Any], Any, Sequence[Any]], tuple[Any, ...]]:
    """The values to save as a function of (arrays, out, extras), generated once as the rules are."""
    values = "".join(SOURCES[kind].format(key=key) + ", " for kind, key in saves)
    made: Callable[..., tuple[Any, ...]] = eval(f"lambda arrays, out, extras: ({values})", {"shape": np.shape})
    return made


def _call(op: Op, rule: Rule, saves: list[tuple[int, Any]], **known: Any) -> Callable[..., Any]:
    """The rule as a function of (grad, saved, params): generated once, so that a step of the walk is one Python call.

    saves: grows by what the rule names and nobody has saved yet.
    """
    arguments = []
    for name in rule.__code__.co_varnames[: rule.__code__.co_argcount]:
        source = op.source_of(name)
        if source == "grad":
            arguments.append("grad")
        elif source == "known":
            arguments.append(repr(known[name]))
        elif source == "param":
            arguments.append(f"params[{name!r}]")
        else:
            if source not in saves:
                saves.append(source)
            arguments.append(f"saved[{saves.index(source)}]")
    made: Callable[..., Any] = eval(f"lambda grad, saved, params: rule({', '.join(arguments)})", {"rule": rule})
    return made


class Op:
    """A primitive operation: calling it computes on arrays and records on tensors."""

    def __init__(
        self,
        forward: Callable[..., Any],
        *,
        symbol: str,
        formula: str,
        gradients: Mapping[str, str],
        precedence: float,
        elementwise: bool,
        types: str,
        domain: Mapping[str, Interval | Sequence[Interval]] | None,
        caches: Sequence[str],
        kept: Sequence[str],
        view: bool,
        title: str,
        method: bool,
    ) -> None:
        self.name = forward.__name__
        self.__name__ = self.name
        self.__qualname__ = self.name
        self.__module__ = forward.__module__
        self.forward = forward
        self.symbol, self.formula, self.gradients = symbol, formula, dict(gradients)
        self.precedence, self.elementwise, self.types = precedence, elementwise, types
        self.domain = dict(domain or {})
        self.caches, self.kept = tuple(caches), tuple(kept)
        self.view, self.method = view, method
        self.title = title or "".join(part.capitalize() for part in self.name.split("_"))
        inputs: list[str] = []
        params: list[str] = []
        self.variadic, self.packs = False, ""
        self.defaults: dict[str, Any] = {}
        for p in inspect.signature(forward).parameters.values():
            if p.annotation in ("Array", Array):
                inputs.append(p.name)
                self.variadic |= p.kind is p.VAR_POSITIONAL
            else:
                if not params and p.annotation == "Ints":
                    self.packs = p.name
                params.append(p.name)
                if p.default is not p.empty:
                    self.defaults[p.name] = p.default
        self.inputs, self.params = tuple(inputs), tuple(params)
        self.required = tuple(name for name in params if name not in self.defaults)
        self._names, self._needed = frozenset(params), frozenset(self.required)  # to check a common call at once
        self.rules: dict[str, Rule] = {}
        self.joint: Rule | None = None
        self.composition: Callable[..., Any] | None = None
        self.extra_outputs = len(self.caches) + len(self.kept)
        self._plans: dict[Any, Plan] = {}
        self._summary = forward.__doc__ or ""

    def __repr__(self) -> str:
        return self.name

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """The docstring with the formula and the backward rules, which are written once, in the decorator."""
        names = {name: name for name in (*self.inputs, *self.params)} | {"grad": "dL/dout", "out": "out"}
        lines = [f"out = {self.formula.format(**names)}"] if self.formula else []
        lines += [f"dL/d{name} = {text.format(**names)}" for name, text in self.gradients.items()]
        return self._summary.rstrip() + "\n\n" + "\n".join("        " + line for line in lines) + "\n"

    def backward(self, **rules: Rule) -> None:
        """Declare the backward rule of each input, by name; an unknown name is an error at import."""
        for name, rule in rules.items():
            if name not in self.inputs:
                raise TypeError(f"{self.name}.backward: no input {name!r}; the inputs are {', '.join(self.inputs)}")
            for need in rule.__code__.co_varnames[: rule.__code__.co_argcount]:
                if self.source_of(need) is None:
                    raise TypeError(
                        f"{self.name}.backward: the rule of {name!r} names {need!r}, which is neither grad, out, "
                        f"an input, <input>_shape, a cache nor a parameter of {self.name}"
                    )
        self.rules.update(rules)
        self._plans.clear()

    def backward_jointly(self, rule: Rule) -> None:
        """Declare one rule for all inputs of a fused op, on arrays: it returns a gradient, or None, for each.

        `needs` in its parameters tells which inputs need one.  A fused op stands for a `composition` of primitives,
        a function of its inputs and parameters that is set where it is defined: higher derivatives and pictures are
        made from that, replayed from the saved inputs, so a joint rule need not be differentiable.
        """
        self.joint = rule
        for need in rule.__code__.co_varnames[: rule.__code__.co_argcount]:
            if self.source_of(need) is None:
                raise TypeError(f"{self.name}.backward_jointly: the rule names {need!r}, which {self.name} has not")
        self._plans.clear()

    def rule_of(self, i: int) -> Rule | None:
        """The rule of the i-th input (a variadic op has one for all), or None where it has no gradient."""
        return self.rules.get(self.inputs[0 if self.variadic else i])

    def source_of(self, name: str) -> Any:
        """Where a rule finds the value it names: "grad", "known", "param", or what to save; None if unknown.

        Known are `i`, the place of a variadic input, and `needs`, which inputs of a joint rule need a gradient.
        """
        if name == "grad":
            return name
        if (name == "i" and self.variadic) or (name == "needs" and self.joint is not None):
            return "known"
        if name == "out":
            return (OUT, None)
        if self.variadic and name in (self.inputs[0], self.inputs[0] + "_shapes"):
            return (INPUTS, None) if name == self.inputs[0] else (SHAPES, None)
        if name in self.inputs:
            return (INPUT, self.inputs.index(name))
        if name.endswith("_shape") and name[:-6] in self.inputs:
            return (SHAPE, self.inputs.index(name[:-6]))
        if name in self.caches:
            return (CACHE, self.caches.index(name))
        if name in self.kept:
            return (KEPT, len(self.caches) + self.kept.index(name))
        return "param" if name in self.params else None

    def plan(self, mask: int, count: int) -> Plan:
        """The plan for the inputs whose bit is set in `mask`."""
        key = (mask, count) if self.variadic else mask
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = Plan(self, [bool(mask >> i & 1) for i in range(count)])
        return plan

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Split a call into the inputs and the named parameters."""
        if len(args) == len(self.inputs) and not self.variadic:  # the usual form: inputs by place, parameters by name
            if not kwargs and not self.required:
                return args, self.defaults
            if self._needed <= kwargs.keys() <= self._names:
                return args, {**self.defaults, **kwargs}
        if self.variadic:
            if not args and self.inputs[0] in kwargs:
                kwargs = dict(kwargs)
                args = (kwargs.pop(self.inputs[0]),)
            if not args or not isinstance(args[0], (tuple, list)):
                raise TypeError(f"{self.name}: argument {self.inputs[0]!r} must be a tuple or list of tensors")
            inputs: Sequence[Any] = tuple(args[0])
            rest = args[1:]
        else:
            inputs, rest = args[: len(self.inputs)], args[len(self.inputs) :]
        params = dict(self.defaults)
        if self.packs and rest and isinstance(rest[0], numbers.Integral):
            params[self.packs] = tuple(rest)
        elif len(rest) > len(self.params):
            raise TypeError(f"{self.name}: takes {len(self.inputs) + len(self.params)} arguments, got {len(args)}")
        else:
            params.update(zip(self.params, rest, strict=False))
        if kwargs:
            inputs = self._by_name(list(inputs), params, kwargs)
        if not self.variadic and len(inputs) != len(self.inputs):
            raise TypeError(f"{self.name}: missing argument {self.inputs[len(inputs)]!r}")
        for name in self.required:
            if name not in params:
                raise TypeError(f"{self.name}: missing argument {name!r}")
        return inputs, params

    def _by_name(self, inputs: list[Any], params: dict[str, Any], kwargs: Mapping[str, Any]) -> list[Any]:
        named = {}
        for key, value in kwargs.items():
            name = key if key in self.params or key in self.inputs else ALIASES.get(key, key)
            if name in self.params:
                params[name] = value
            elif name in self.inputs[len(inputs) :]:
                named[name] = value
            elif key == "out":
                if value is not None:
                    raise NotImplementedError(
                        f"{self.name}: out= is not supported; assign the result, or write it with out.copy_(...)"
                    )
            else:
                allowed = ", ".join((*self.inputs, *self.params))
                raise TypeError(f"{self.name}: unexpected argument {key!r}; it takes {allowed}")
        while named and len(inputs) < len(self.inputs) and self.inputs[len(inputs)] in named:
            inputs.append(named.pop(self.inputs[len(inputs)]))
        return inputs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute on arrays; record when any input knows how to (`__apply_op__`, as NumPy's `__array_ufunc__`)."""
        inputs, params = self.bind(args, kwargs)
        for x in inputs:
            if type(x) is not np.ndarray and hasattr(x, "__apply_op__"):
                return x.__apply_op__(self, inputs, params)
        if self.types != "any" and any(type(x) is float or type(x) is int for x in inputs):
            inputs = _with_arrays(inputs)
        out = self.forward(*inputs, **params)
        return out[0] if self.extra_outputs else out


def op(
    *,
    symbol: str = "",
    formula: str = "",
    gradients: Mapping[str, str] | None = None,
    precedence: float = 4,
    elementwise: bool = False,
    types: str = "any",
    domain: Mapping[str, Interval | Sequence[Interval]] | None = None,
    caches: Sequence[str] = (),
    kept: Sequence[str] = (),
    view: bool = False,
    title: str = "",
    method: bool = True,
) -> Callable[[Callable[..., Any]], Op]:
    """Register a primitive op.

    symbol, formula, gradients: what pictures and documentation print; `{x}` stands for an input, `{grad}` for dL/dout.
    precedence: of the formula's outermost operator (1 sum, 1.5 prefix as in log x,
        2 product, 2.5 matrix product, 3 power, 4 name or call), for parentheses.
    elementwise: broadcasts over its inputs; the property test draws broadcastable shapes for it.
    types: "numeric" promotes the inputs to one dtype, "number" the same but takes no booleans, "float" also makes
        integers floating, "floating" takes only floating point, "same" demands one dtype, "first" casts to the first's,
        "any" leaves them.
    domain: per input, the interval or intervals that the property test draws from (default (-3, 3)).
    caches: names of smooth intermediates that forward returns after its result, for rules on arrays; when a graph is
        recorded the rule gets None and must rebuild them with ops.  kept: the same for piecewise constant values
        (masks, indices), which rules always get.
    view: the result shares memory with the input.
    """

    def register(forward: Callable[..., Any]) -> Op:
        if forward.__name__ in registry:
            raise TypeError(f"op {forward.__name__!r} is registered twice")
        made = Op(
            forward,
            symbol=symbol,
            formula=formula,
            gradients=gradients or {},
            precedence=precedence,
            elementwise=elementwise,
            types=types,
            domain=domain,
            caches=caches,
            kept=kept,
            view=view,
            title=title,
            method=method,
        )
        registry[made.name] = made
        return made

    return register


def differentiable_ops() -> Iterator[Op]:
    """Every registered op that has a backward rule, in order of definition."""
    return (made for made in registry.values() if made.rules or made.joint is not None)


def _with_arrays(inputs: Sequence[Any]) -> list[Any]:
    """The inputs of a call on arrays with numbers as 0-d arrays of the dtype of the others: kernels take arrays."""
    kinds = [x.dtype for x in inputs if is_array(x)]
    dtype = next((d for d in kinds if d.kind == "f"), kinds[0] if kinds else np.dtype(np.float64))
    return [np.asarray(x, dtype) if isinstance(x, (int, float)) else x for x in inputs]


def is_array(x: Any) -> bool:
    """True for what a rule may get in place of a tensor: a NumPy array or scalar."""
    return isinstance(x, (np.ndarray, np.generic))
