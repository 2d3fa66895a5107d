"""Modules that hold modules or parameters: in a row, in a list, by name."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tinygrad_edu.autograd.modes import fuses
from tinygrad_edu.nn.activation import ReLU
from tinygrad_edu.nn.conv import Conv2d
from tinygrad_edu.nn.linear import Linear
from tinygrad_edu.nn.module import Module, indented
from tinygrad_edu.nn.normalization import BatchNorm1d, BatchNorm2d
from tinygrad_edu.tensor import Tensor


def place(container: str, index: Any, length: int) -> int:
    """An index counted from the front; IndexError outside the container."""
    number = operator.index(index)
    if not -length <= number < length:
        raise IndexError(f"{container}: index {number} is out of range: it holds {length}")
    return number % length


class NoModuleError(TypeError, AssertionError):
    """Something that is no module, where PyTorch raises AssertionError."""


class _Row(Module):
    """Children numbered from 0."""

    def _all(self) -> list[Module]:
        return [m for m in self._modules.values() if m is not None]

    def _renumber(self, modules: Iterable[Module]) -> None:
        modules = list(modules)
        self._modules.clear()
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._all())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._sliced(index)
        return self._all()[place(self._get_name(), index, len(self))]

    def _sliced(self, index: slice) -> Any:
        return type(self)(self._all()[index])  # type: ignore[call-arg]

    def __setitem__(self, index: Any, module: Module) -> None:
        name = list(self._modules)[place(self._get_name(), index, len(self))]
        setattr(self, name, module)

    def __delitem__(self, index: Any) -> None:
        chosen = index if isinstance(index, slice) else place(self._get_name(), index, len(self))
        names = list(self._modules)
        for name in names[chosen] if isinstance(chosen, slice) else [names[chosen]]:
            del self._modules[name]
        self._renumber(self._all())

    def append(self, module: Module) -> Any:
        """Add a module at the end and return self."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before place `index` and return self."""
        if not isinstance(module, Module):
            raise NoModuleError(f"module should be of type: {Module}, got {type(module).__name__}")
        n = len(self)
        if not -n <= index <= n:
            raise IndexError(f"{self._get_name()}: Index out of range: {index}; it holds {n}")
        modules = self._all()
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end and return self."""
        if not isinstance(modules, Iterable):
            given = type(modules).__name__
            raise TypeError(f"{self._get_name()}.extend should be called with an iterable, but got {given}")
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key: int) -> Module:
        """Take a module out and return it."""
        module: Module = self[key]
        del self[key]
        return module


def _are_one(module: Module, following: list[Module], x: Any) -> bool:
    """True for a layer and the ReLU after it, when x is large and nobody watches what passes between them."""
    return (
        type(module) in (Linear, Conv2d, BatchNorm1d, BatchNorm2d)
        and bool(following)
        and type(following[0]) is ReLU
        and not (module.watched or following[0].watched)
        and isinstance(x, Tensor)
        and fuses(x.array.size)
    )


class Sequential(_Row):
    """Modules one after the other: each gets the output of the one before.

    Sequential(a, b, c) or Sequential(OrderedDict([("name", module), ...])).
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        """The output of the last module."""
        modules = self._all()
        i = 0
        while i < len(modules):
            if _are_one(modules[i], modules[i + 1 : i + 2], input):
                input = modules[i](input, _relu=True)
                i += 2
            else:
                input = modules[i](input)
                i += 1
        return input

    def _sliced(self, index: slice) -> Sequential:
        return type(self)(dict(list(self._modules.items())[index]))

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")
        return Sequential(*self, *other)

    def __iadd__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")
        return self.extend(other)

    def __mul__(self, other: int) -> Sequential:
        return Sequential(*self._repeated(other))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Sequential:
        return self.extend(self._repeated(other)[len(self) :])

    def _repeated(self, times: int) -> list[Module]:
        """The modules, the same ones each time."""
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self)}")
        return self._all() * times


class ModuleList(_Row):
    """A list of modules that registers them; it has no forward."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules if modules is not None else ())

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child; pictures name it "list.name", since the list itself is never called."""
        super().add_module(name, module)
        _name_below(self, name, module)

    def _called(self, name: str) -> None:
        super()._called(name)
        for below, module in self._modules.items():
            _name_below(self, below, module)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> ModuleList:
        return self.extend(other)

    def __repr__(self) -> str:
        """Runs of equal layers are printed once, as PyTorch does."""
        texts = [indented(repr(module)) for module in self]
        lines, start = [], 0
        for end in range(1, len(texts) + 1):
            if end == len(texts) or texts[end] != texts[start]:
                run = end - start
                label = f"({start})" if run == 1 else f"({start}-{end - 1})"
                lines.append(f"{label}: {texts[start]}" if run == 1 else f"{label}: {run} x {texts[start]}")
                start = end
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)" if lines else f"{self._get_name()}()"


def _name_below(parent: Module, name: str, module: Module | None) -> None:
    if module is not None:
        module._called(f"{parent._scope_name}.{name}" if parent._scope_name else name)


class ModuleDict(Module):
    """A dictionary of modules that registers them; it has no forward."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child; pictures name it "dict.name", since the dictionary itself is never called."""
        super().add_module(name, module)
        _name_below(self, name, module)

    def _called(self, name: str) -> None:
        super()._called(name)
        for below, module in self._modules.items():
            _name_below(self, below, module)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return self._modules.items()

    def clear(self) -> None:
        """Take every module out."""
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Take a module out and return it."""
        module: Module = self[key]
        del self[key]
        return module

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules from a mapping or from pairs."""
        pairs = modules.items() if isinstance(modules, Mapping) else modules
        for key, module in pairs:
            self[key] = module
