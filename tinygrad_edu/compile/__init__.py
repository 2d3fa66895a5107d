"""`compile`: a function or module traced once for each kind of arguments, then run as fused kernels.

    @compile
    def f(x, w, b):
        return relu(x * w + b).sum()

    first call      world.py     what f reaches besides its arguments is copied, with traced tensors in it, and watched
                    tracing.py   f runs on traced tensors, which note the ops; whoever asks for values ends the trace
                    backward.py  the ops' own rules on traced tensors note the backward
                    program.py   elementwise steps of one shape become loops (loops.py), one Numba kernel each
    later calls     calls.py     run the program, and leave one node in the graph

What cannot be traced (values read by Python, random numbers, changes in place, hooks, print) runs as it is written:
`f.explain()` tells what was fused and what was not, and why. As in PyTorch, f may depend on what it is given and on
what it can reach; what it asks the system (the time, a file) it asks once.
"""

from __future__ import annotations

import functools
import inspect
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.autograd.versions import owner
from tinygrad_edu.compile.calls import Compiled
from tinygrad_edu.compile.steps import Break, current
from tinygrad_edu.compile.tracing import Traced, Tracer
from tinygrad_edu.compile.world import SIMPLE, Watch, World
from tinygrad_edu.kernels.backend import backend as kernel_backend
from tinygrad_edu.nn.module import Module
from tinygrad_edu.random import default_generator
from tinygrad_edu.tensor import Tensor

MOST = 8  # signatures kept of one function, as in PyTorch (recompile_limit)


class Entry:
    """One signature: its program, or the reason why it runs as written."""

    def __init__(self, watch: Watch | None, reason: str) -> None:
        self.watch, self.reason = watch, reason
        self.compiled: Compiled | None = None
        self.captured: list[tuple[Tensor, Any]] = []  # tensors found outside the arguments, and their kinds
        self.rebuild: Callable[[list[Tensor]], Any] = list

    def holds(self) -> bool:
        """Whether the trace still says what the function would do."""
        return (self.watch is None or self.watch.holds()) and all(_kind(x) == kind for x, kind in self.captured)


class CompiledFunction:
    """What `compile` makes of a function: called in its place."""

    def __init__(self, function: Callable[..., Any], fullgraph: bool) -> None:
        functools.update_wrapper(self, function)
        self.name = getattr(function, "__name__", type(function).__name__)
        self.function, self.fullgraph = function, fullgraph
        self.entries: dict[Any, list[Entry]] = {}
        self._count, self._warned = 0, False

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result."""
        if current.tracer is not None or mode.traced:  # inside another trace; or somebody looks at every op
            return self.function(*args, **kwargs)
        tensors: list[Tensor] = []
        key = (_key((args, kwargs), tensors), mode.grad, mode.fused, dtypes.get_default_dtype(), kernel_backend())
        try:
            known = self.entries.setdefault(key, [])
        except TypeError:  # an argument without a hash
            return self._as_written(Entry(None, "an argument is no tensor, number or string"), args, kwargs)
        entry = next((e for e in known if e.holds()), None)
        if entry is None:
            if self._count >= MOST:
                if not self._warned:
                    self._warned = True
                    warnings.warn(
                        f"compile: {self.name} was called with more than {MOST} kinds of arguments or surroundings; "
                        f"further ones run as written. Pad the inputs to few shapes, and pass no changing numbers",
                        stacklevel=2,
                    )
                return self._as_written(Entry(None, f"more than {MOST} signatures"), args, kwargs)
            self._count += 1
            entry = self._traced(args, kwargs, tensors)
            known.append(entry)
        if entry.compiled is None:
            return self._as_written(entry, args, kwargs)
        return entry.rebuild(entry.compiled([*tensors, *(x for x, _ in entry.captured)]))

    def _as_written(self, entry: Entry, args: Any, kwargs: Any) -> Any:
        if self.fullgraph:
            result = f"compile: fullgraph=True, but {self.name} cannot be compiled as a whole: {entry.reason}"
            raise RuntimeError(f"{result}. Leave fullgraph out to run such calls as written")
        return self.function(*args, **kwargs)

    def _traced(self, args: Any, kwargs: Any, tensors: Sequence[Tensor]) -> Entry:
        """The entry of a new signature."""
        tracer = Tracer()
        known: dict[int, Traced] = {}
        captured: list[Tensor] = []

        def replace(x: Tensor) -> Traced:
            if id(x) not in known:
                captured.append(x)
                known[id(x)] = tracer.input(x.array, x.requires_grad and mode.grad)
            return known[id(x)]

        fresh = [tracer.input(x.array, x.requires_grad and mode.grad) for x in tensors]
        queue = iter(fresh)
        world = World(replace)
        function = world.copy(self.function)
        given, named = _mapped((args, kwargs), lambda _: next(queue), lambda x: x)
        entry = Entry(world.watch, world.problem)
        if kernel_backend() != "numba":
            entry.reason = "the NumPy backend is chosen; there are no kernels to fuse"
        if entry.reason:
            return entry
        states = _random_states()
        try:
            with tracer.tracing():
                result = function(*given, **named)
            results: list[Traced] = []
            shape = _mapped(result, lambda x: _place(x, results), _Plain)
            entry.reason = tracer.reason or self._unfit(results, tracer, world, states)
            if not entry.reason:
                values = [x.value for x in results]
                with tracer.tracing():
                    entry.compiled = Compiled(self.name, tracer, values)
                entry.rebuild = lambda made: _built(shape, made)
        except Break as broken:
            entry.reason = tracer.reason or str(broken)
        except Exception as error:
            # if the function itself is wrong, running it as written says so in its own words
            entry.reason = f"tracing failed: {type(error).__name__}: {error}"
        if _drawn(states):
            default_generator.numpy.bit_generator.state = states[0]
            np.random.set_state(states[1])
            random.setstate(states[2])
        entry.captured = [(x, _kind(x)) for x in captured]
        return entry

    def _unfit(self, results: Sequence[Traced], tracer: Tracer, world: World, states: Any) -> str:
        """Why a trace that ran to its end cannot stand for the function."""
        if _drawn(states):
            return "draws random numbers"
        changed = world.changed()
        if changed:
            return f"changes {changed}, which outlives the call"
        values = [x.value for x in results]
        if not values:
            return "returns no tensor"
        outside = {id(owner(v.array)) for v in tracer.inputs}
        outside |= {id(owner(v.array)) for s in tracer.steps for v in s.inputs if v and v.made_by == "constant"}
        for v in values:
            if v.made_by in ("input", "constant") or id(owner(v.array)) in outside:
                return "returns an argument, or a view of one"
            outside.add(id(owner(v.array)))
        return ""

    def explain(self) -> str:
        """What was fused and what was not, for each signature met so far."""
        lines = [f"{self.name}: {self._count} signature{'s' * (self._count != 1)}"]
        for key, entries in self.entries.items():
            for entry in entries:
                lines.append(f"  called with {_shown(key[0])}{'' if key[1] else ', no grad'}:")
                if entry.compiled is None:
                    lines.append(f"    runs as written: {entry.reason}")
                    continue
                for what, program in (("forward", entry.compiled.forward), ("backward", entry.compiled.backward)):
                    if program is not None:
                        count = f"{len(program.steps)} ops in {len(program.parts)} calls"
                        lines += [f"    {what}: {count}", *(f"      {line}" for line in program.described())]
        return "\n".join(lines)


class OptimizedModule(Module):
    """A compiled module: it has the parameters, attributes and modes of the module, which is its `_orig_mod`."""

    def __init__(self, module: Module, fullgraph: bool) -> None:
        super().__init__()
        self._orig_mod = module
        self.training = module.training
        self.compiled = CompiledFunction(_caller(module), fullgraph)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The module's result."""
        return self._orig_mod(*args, **kwargs) if current.tracer is not None else self.compiled(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The same."""
        return self(*args, **kwargs)

    def explain(self) -> str:
        """What was fused and what was not, for each signature met so far."""
        return self.compiled.explain()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "_orig_mod":
                raise
            return getattr(self._orig_mod, name)


def _caller(module: Module) -> Callable[..., Any]:
    """A function, so that the module is found in its closure, and copied."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return module(*args, **kwargs)

    call.__name__ = type(module).__name__
    call.__module__ = "compiled"  # not the library's: its closure is to be looked into
    return call


def _kind(x: Tensor) -> Any:
    return (x.array.shape, x.array.dtype, x.requires_grad)


def _key(x: Any, tensors: list[Tensor]) -> Any:
    """What tells signatures apart; collects the tensors."""
    if isinstance(x, Tensor):
        tensors.append(x)
        return _kind(x)
    if type(x) in (tuple, list):
        return (type(x), *[_key(v, tensors) for v in x])
    if type(x) is dict:
        return (dict, *[(k, _key(v, tensors)) for k, v in x.items()])
    if isinstance(x, float):
        return (float, x.hex())  # 0.0 and -0.0 are equal
    return (type(x), x) if isinstance(x, (*SIMPLE, dtypes.dtype)) else [x]  # a list has no hash


def _mapped(x: Any, tensor: Callable[[Tensor], Any], plain: Callable[[Any], Any]) -> Any:
    """The same structure with something else in place of its tensors and of its plain values."""
    if isinstance(x, Tensor):
        return tensor(x)
    if type(x) in (tuple, list):
        return type(x)([_mapped(v, tensor, plain) for v in x])
    if type(x) is dict:
        return {k: _mapped(v, tensor, plain) for k, v in x.items()}
    if isinstance(x, (*SIMPLE, dtypes.dtype)):
        return plain(x)
    raise Break(f"takes or returns a {type(x).__name__}, which is no tensor, tuple, list, dict or number")


class _Plain:
    """A result that is no tensor."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _place(x: Tensor, results: list[Traced]) -> int:
    """Where a tensor of the result stands among its tensors."""
    if not isinstance(x, Traced):
        raise Break("returns a tensor that does not depend on its arguments")
    results.append(x)
    return len(results) - 1


def _built(shape: Any, made: Sequence[Tensor]) -> Any:
    if isinstance(shape, int):
        return made[shape]
    if isinstance(shape, _Plain):
        return shape.value
    if isinstance(shape, Mapping):
        return {k: _built(v, made) for k, v in shape.items()}
    return type(shape)([_built(v, made) for v in shape])


def _random_states() -> tuple[Any, Any, Any]:
    """The states of our generator, of NumPy's and of Python's."""
    return default_generator.numpy.bit_generator.state, np.random.get_state(), random.getstate()


def _drawn(before: tuple[Any, Any, Any]) -> bool:
    """Whether one of the generators has drawn numbers since."""
    ours, numpys, pythons = _random_states()
    same = all(np.array_equal(a, b) for a, b in zip(numpys, before[1], strict=True))
    return ours != before[0] or not same or pythons != before[2]


def _shown(key: Any) -> str:
    args = key[1][1:]
    return ", ".join(str(tuple(a[0])) if isinstance(a[0], tuple) else repr(a[-1]) for a in args) or "no argument"


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str = "numba",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """A function or module that computes the same with fewer, fused kernels, forward and backward.

    At the first call with arguments of new shapes, dtypes or plain values it is traced and compiled, which takes a
    second or so per new kernel (kept on disk); what cannot be traced runs as written, and `explain()` says why.
    fullgraph: raise instead.  disable: return the model as it is.  Without a model: a decorator with these options.
    Raises RuntimeError under fullgraph, NotImplementedError for options that are not supported.
    """
    if dynamic:
        raise NotImplementedError("compile: dynamic=True is not supported; each new shape is compiled (dynamic=None)")
    if backend != "numba":
        raise NotImplementedError(
            f"compile: backend={backend!r} is not supported; use backend='numba', or disable=True"
        )
    if mode not in (None, "default"):
        raise NotImplementedError(f"compile: mode={mode!r} is not supported; leave it out")
    if options is not None:
        raise NotImplementedError(f"compile: options={options!r} is not supported; leave it out")
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, disable=disable)
    if disable:
        return model
    if isinstance(model, Module):
        return OptimizedModule(model, fullgraph)
    if not callable(model) or inspect.isclass(model):
        raise TypeError(f"compile: expected a function or a module, got {model!r}")
    return CompiledFunction(model, fullgraph)


__all__ = ["CompiledFunction", "OptimizedModule", "compile"]
