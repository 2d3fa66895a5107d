"""The world of a function: what it can reach besides its arguments, found, replaced for a trace, and watched.

A function reads modules, closures, globals and attributes. For the trace it runs on copies of those, in which every
tensor is a traced one: it cannot change the originals, and what it changed in the copies is found afterwards. For each
later call, `Watch.holds` says whether everything still is what it was when the trace was made.
"""

from __future__ import annotations

import collections
import functools
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.autograd import versions
from tinygrad_edu.nn.module import Module
from tinygrad_edu.random import Generator
from tinygrad_edu.tensor import Tensor

SIMPLE = (int, float, str, bytes, bool, complex, type(None), type(Ellipsis))
LIBRARIES = {"tinygrad_edu", "numpy", "numba", *sys.stdlib_module_names} - {"__main__"}
UNWATCHED = (functools.partial, collections.deque, collections.defaultdict, collections.Counter, bytearray)
PICTURES = ("_picture", "_scope_name")  # what modules remember for pictures
EFFECTS = ("print", "input", "open", "exec", "eval", "breakpoint")
LARGE = 1024  # entries of a list, or of a NumPy array, from which on it is not watched
_missing = object()


class Watch:
    """What a trace depends on, and whether it still is so."""

    def __init__(self) -> None:
        self.tables: list[tuple[dict[Any, Any], int | None, tuple[tuple[Any, Any], ...]]] = []
        self.lists: list[tuple[Any, tuple[Any, ...]]] = []
        self.cells: list[tuple[types.CellType, Any]] = []
        self.fixed: list[tuple[Tensor, int]] = []  # tensors that could not be replaced, and how often they changed
        self.arrays: list[tuple[Any, bytes]] = []

    def holds(self) -> bool:
        """Whether all of it is unchanged."""
        for table, size, items in self.tables:
            if size is not None and len(table) != size:
                return False
            for key, value in items:
                now = table.get(key, _missing)
                if now is not value and not _same(now, value):
                    return False
        return (
            all(len(x) == len(was) and all(map(_is, x, was)) for x, was in self.lists)
            and all(_is(cell.cell_contents, value) for cell, value in self.cells)
            and all(versions.count(x.array) == count for x, count in self.fixed)
            and all(x.tobytes() == before for x, before in self.arrays)
        )


def _is(now: Any, before: Any) -> bool:
    return now is before or _same(now, before)


def _same(now: Any, before: Any) -> bool:
    if type(now) is not type(before):
        return False
    if isinstance(now, float):
        return now.hex() == before.hex()  # NaN is itself, and 0.0 is not -0.0
    return isinstance(now, SIMPLE) and bool(now == before)


def _is_library(x: Any) -> bool:
    return (getattr(x, "__module__", None) or "builtins").partition(".")[0] in LIBRARIES


def _is_code(x: Any) -> bool:
    return isinstance(x, (types.FunctionType, types.BuiltinFunctionType, types.MethodType)) or type(x).__name__ == "Op"


class World:
    """Copies of what a function reaches, made one by one as they are met.

    replace: what a tensor becomes in the copies.
    """

    def __init__(self, replace: Callable[[Tensor], Any]) -> None:
        self.replace = replace
        self.watch = Watch()
        self.problem = ""  # why the function cannot be traced at all
        self._copies: dict[int, tuple[Any, Any]] = {}  # id -> (original, kept alive; copy)
        self._made: list[tuple[str, Any, Any]] = []  # (what, copied container, its content when made)
        self._code_seen: set[Any] = set()

    def copy(self, x: Any, what: str = "a value") -> Any:
        """The copy that stands for x in the trace: x itself if it holds no tensors and cannot change."""
        if isinstance(x, SIMPLE) or x is None:
            return x
        if id(x) in self._copies:
            return self._copies[id(x)][1]
        if isinstance(x, (Generator, np.random.Generator, np.random.RandomState)):
            self.problem = self.problem or f"reaches a random generator ({what})"
        if isinstance(x, UNWATCHED) or hasattr(type(x), "__next__"):
            self.problem = self.problem or f"reaches a {type(x).__name__} ({what}), which cannot be watched"
        if isinstance(x, Tensor):
            return self._remember(x, self.replace(x))
        if isinstance(x, np.ndarray):
            if x.size > LARGE:
                self.problem = self.problem or f"reaches a large NumPy array ({what}); make it a tensor"
            elif not any(x is a for a, _ in self.watch.arrays):
                self.watch.arrays.append((x, x.tobytes()))
            return x
        if type(x) in (list, tuple, set, frozenset, dict, OrderedDict) and len(x) > LARGE:
            self.problem = (
                self.problem or f"reaches a {type(x).__name__} of {len(x)} entries ({what}): too many to watch"
            )
            return x
        if type(x) in (list, tuple, set, frozenset):
            return self._sequence(x, what)
        if type(x) in (dict, OrderedDict):
            return self._table(x, type(x)(), what)
        if isinstance(x, types.MethodType):
            return self._remember(x, types.MethodType(self.copy(x.__func__, what), self.copy(x.__self__, what)))
        if isinstance(x, types.FunctionType):
            return x if _is_library(x) else self._function(x)
        if isinstance(x, Module) or (hasattr(x, "__dict__") and not isinstance(x, (type, types.ModuleType))):
            return x if _is_library(type(x)) and not isinstance(x, Module) else self._object(x)
        return x

    def _remember(self, x: Any, copy: Any) -> Any:
        self._copies[id(x)] = (x, copy)
        return copy

    def _sequence(self, x: Any, what: str) -> Any:
        if isinstance(x, list):
            made: list[Any] = self._remember(x, [])
            made.extend(self.copy(v, what) for v in x)
            self.watch.lists.append((x, tuple(x)))
            self._made.append((what, made, tuple(made)))
            return made
        parts = [self.copy(v, what) for v in x]
        if isinstance(x, tuple):
            return self._remember(x, tuple(parts))
        return self._remember(x, type(x)(parts)) if all(isinstance(v, SIMPLE) for v in x) else x

    def _table(self, x: Any, made: Any, what: str, skip: tuple[str, ...] = ()) -> Any:
        self._remember(x, made)
        for key, value in tuple(x.items()):
            made[key] = self.copy(value, f"{what}.{key}" if isinstance(key, str) else what)
        watched = tuple((k, v) for k, v in x.items() if k not in skip)
        self.watch.tables.append((x, len(x), watched))
        self._made.append((what, made, {k: v for k, v in made.items() if k not in skip}))
        return made

    def _object(self, x: Any) -> Any:
        name = type(x).__name__
        if isinstance(x, Module):
            if x.watched:
                self.problem = self.problem or f"{name} has hooks"
            for key in PICTURES:  # made at the first call, and then watched tables would change their size
                x.__dict__.setdefault(key, None if key == "_picture" else type(x)._scope_name)
        try:
            made = object.__new__(type(x))
        except TypeError:
            return x
        if not hasattr(made, "__dict__") or any("__slots__" in vars(c) for c in type(x).__mro__ if not _is_library(c)):
            self.problem = self.problem or f"reaches a {name}, whose class has __slots__"
            return x
        self._remember(x, made)
        object.__setattr__(made, "__dict__", self._table(x.__dict__, {}, name, PICTURES))
        for cls in type(x).__mro__:
            if not _is_library(cls):
                for member in vars(cls).values():
                    self._look_into(getattr(member, "__func__", getattr(member, "fget", member)))
        return made

    def _look_into(self, function: Any) -> None:
        """Watch what a method of a class reads; it runs as it is, with its own globals and closure."""
        if not isinstance(function, types.FunctionType) or function in self._code_seen or _is_library(function):
            return
        self._code_seen.add(function)
        self._refuse_effects(function)
        found = [
            (function.__globals__, n, function.__globals__[n]) for n in _names(function) if n in function.__globals__
        ]
        for table, name, value in found:
            if isinstance(value, (types.ModuleType, type)) or (_is_code(value) and _is_library(value)):
                continue
            self.watch.tables.append((table, None, ((name, value),)))
            self._fix(value)
        for cell in function.__closure__ or ():
            if _filled(cell) and not isinstance(cell.cell_contents, type):
                self.watch.cells.append((cell, cell.cell_contents))
                self._fix(cell.cell_contents)

    def _refuse_effects(self, function: types.FunctionType) -> None:
        for name in _names(function):
            if name in EFFECTS and name not in function.__globals__:
                self.problem = self.problem or f"{function.__name__} calls {name}, which a program would not do again"

    def _fix(self, x: Any) -> None:
        """Watch what stays as it is in the trace."""
        if isinstance(x, Tensor):
            self.watch.fixed.append((x, versions.count(x.array)))
        elif isinstance(x, types.FunctionType):
            self._look_into(x)
        elif isinstance(x, (list, tuple)):
            self.watch.lists.append((x, tuple(x)))
            for part in x:
                self._fix(part)
        elif not isinstance(x, SIMPLE):
            self.copy(x)

    def _function(self, x: types.FunctionType) -> Any:
        """The same code, reading copies."""
        self._refuse_effects(x)
        cells = [types.CellType() for _ in x.__closure__ or ()]
        own: dict[str, Any] = {"__builtins__": x.__globals__.get("__builtins__", __builtins__)}
        made = types.FunctionType(x.__code__, own, x.__name__, None, tuple(cells) or None)
        made.__dict__.update(x.__dict__)
        self._remember(x, made)
        made.__defaults__ = self.copy(x.__defaults__, f"a default of {x.__name__}")
        made.__kwdefaults__ = self.copy(x.__kwdefaults__, f"a default of {x.__name__}")
        for cell, original in zip(cells, x.__closure__ or (), strict=True):
            if _filled(original):
                cell.cell_contents = self.copy(original.cell_contents, f"the closure of {x.__name__}")
                self.watch.cells.append((original, original.cell_contents))
                self._made.append((f"the closure of {x.__name__}", cell, cell.cell_contents))
        names = [n for n in _names(x) if n in x.__globals__]
        for name in (*names, "__name__"):
            if name in x.__globals__:
                own[name] = self.copy(x.__globals__[name], name)
        items = tuple((n, x.__globals__[n]) for n in names if not isinstance(x.__globals__[n], types.ModuleType))
        self.watch.tables.append((x.__globals__, None, items))
        self._made.append(("a global", own, dict(own)))
        return made

    def changed(self) -> str:
        """What the traced run has changed in the copies; "" if nothing."""
        for what, made, before in self._made:
            if isinstance(made, types.CellType):
                now, was = [made.cell_contents], [before]
            elif isinstance(made, dict):
                extra = [k for k in made if k not in before and k not in PICTURES]
                if extra:
                    return f"{what}.{extra[0]}"
                now, was = [made.get(k, _missing) for k in before], list(before.values())
            else:
                now, was = list(made), list(before)
            if len(now) != len(was) or not all(map(_is, now, was)):
                return what
        return ""


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _names(function: types.FunctionType) -> list[str]:
    """The global names that a function and the functions inside it may read."""

    def walk(code: types.CodeType) -> Iterator[str]:
        yield from code.co_names
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                yield from walk(constant)

    return list(dict.fromkeys(walk(function.__code__)))
