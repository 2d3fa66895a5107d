"""Every public name with its signature and docstring, as plain records: what the reference is made from."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

from tinygrad_edu.ops.registry import Op, registry

# Module -> what its page is called. Every name in their __all__ (or defined in them, without one) is an entry.
MODULES = {
    "tinygrad_edu": "Functions on tensors",
    "tinygrad_edu.nn": "Layers",
    "tinygrad_edu.nn.functional": "Layers as functions",
    "tinygrad_edu.nn.init": "Initialisation",
    "tinygrad_edu.nn.utils": "Tools for layers",
    "tinygrad_edu.nn.utils.rnn": "Packed sequences",
    "tinygrad_edu.optim": "Optimisers",
    "tinygrad_edu.optim.lr_scheduler": "Learning rates over time",
    "tinygrad_edu.utils.data": "Data loading",
    "tinygrad_edu.datasets": "Data sets",
    "tinygrad_edu.linalg": "Linear algebra",
    "tinygrad_edu.autograd": "Automatic differentiation",
    "tinygrad_edu.autograd.functional": "Jacobians and Hessians",
    "tinygrad_edu.autograd.graph": "The recorded graph as data",
    "tinygrad_edu.explanations": "Answers in words",
    "tinygrad_edu.testing": "Checking gradients",
    "tinygrad_edu.errors": "Errors",
}
# Packages that users do not call by name: what of them is public stands on other pages.
INSIDE = ("kernels", "ops", "functions", "utils")


@dataclass(frozen=True)
class Entry:
    """One public name: how it is called, what it says, and where its code stands."""

    name: str
    kind: str  # "function", "class", "op", "property", "module", "value"
    signature: str
    doc: str
    source: str = ""
    op: str = ""  # the op behind it, if it is one
    same_as: str = ""  # an earlier name of the same object
    members: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Section:
    """One page: a module or a class, and its names."""

    name: str
    title: str
    doc: str
    entries: tuple[Entry, ...] = field(default=())


def sections(*others: tuple[ModuleType, str]) -> list[Section]:
    """All pages in reading order; `others` are modules outside this package, each with the title of its page."""
    made = [section_of(import_module(name), title) for name, title in MODULES.items()]
    made += [section_of(module, module.__name__.rpartition(".")[2].capitalize()) for module in further_packages()]
    from tinygrad_edu.tensor import Tensor

    return [made[0], tensor_section(Tensor), *made[1:], *(section_of(module, title) for module, title in others)]


def further_packages() -> list[ModuleType]:
    """The public packages that MODULES does not name: a new one gets its page without being told of."""
    root = import_module("tinygrad_edu")
    names = [info.name for info in pkgutil.iter_modules(root.__path__, "tinygrad_edu.") if info.ispkg]
    inside = [f"tinygrad_edu.{name}" for name in INSIDE]
    modules = [import_module(name) for name in names if name not in MODULES and name not in inside]
    return [module for module in modules if hasattr(module, "__all__")]


def section_of(module: ModuleType, title: str) -> Section:
    """The page of a module: what its __all__ names, or the functions and classes that it defines."""
    # autograd.functional offers its DERIVATIVES on first use
    names = getattr(module, "__all__", getattr(module, "DERIVATIVES", None))
    if names is None:
        names = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    first: dict[int, str] = {}
    entries = []
    for name in sorted({n for n in names if not n.startswith("_")}, key=str.lower):
        value = getattr(module, name)
        own = getattr(value, "__name__", name)
        known = first.get(id(value), own if own != name and getattr(module, own, None) is value else "")
        if callable(value):
            first.setdefault(id(value), name)
        entries.append(entry_of(name, value, same_as=known if callable(value) else ""))
    return Section(module.__name__, title, inspect.getdoc(module) or "", tuple(entries))


def tensor_section(cls: type) -> Section:
    """The page of Tensor: its properties and methods; slots without a docstring are its own affair."""
    entries = []
    for name in sorted((n for n in dir(cls) if not n.startswith("_")), key=str.lower):
        value = inspect.getattr_static(cls, name)
        if inspect.ismemberdescriptor(value):
            continue
        entries.append(entry_of(name, value))
    return Section("tinygrad_edu.Tensor", "Methods of Tensor", inspect.getdoc(cls) or "", tuple(entries))


def entry_of(name: str, value: Any, same_as: str = "") -> Entry:
    """The record of one name."""
    if isinstance(value, Op):
        return Entry(
            name, "op", signature_of_op(value), documented(value), source_of(value.forward), value.name, same_as
        )
    if isinstance(value, property):
        return Entry(name, "property", "", documented(value), source_of(value.fget))
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, ModuleType):
        return Entry(name, "module", "", documented(value), value.__name__)
    if inspect.isclass(value):
        return Entry(
            name, "class", signature_of(value), documented(value), source_of(value), same_as=same_as,
            members=tuple(_members(value)),
        )  # fmt: skip
    if callable(value):
        return Entry(name, "function", signature_of(value), documented(value), source_of(value), same_as=same_as)
    # The docstring of a plain number is that of `float`, which says nothing here.
    doc = documented(value) if type(value).__module__.startswith("tinygrad_edu") else f"{value!r}"
    return Entry(name, "value", "", doc)


def _members(cls: type) -> Iterator[Entry]:
    """The public methods and properties that the class itself defines."""
    for name, value in vars(cls).items():
        method = isinstance(value, (property, staticmethod, classmethod)) or inspect.isfunction(value)
        if method and not name.startswith("_") and documented(value):
            yield entry_of(name, value)


def documented(value: Any) -> str:
    """The docstring with even indentation; "" without one."""
    text = getattr(value, "__doc__", None)
    return inspect.cleandoc(text) if isinstance(text, str) else ""


def signature_of(value: Callable[..., Any]) -> str:
    """(x, y, *, alpha=1) -> Tensor, without quotes around types; (...) where Python cannot tell."""
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return "(...)"
    return text.replace("'", "") if "='" not in text and "= '" not in text else _quoted_defaults(value)


def _quoted_defaults(value: Callable[..., Any]) -> str:
    """As `signature_of`, where a default is a string and keeps its quotes."""
    signature = inspect.signature(value)
    parts = [
        p.replace(annotation=_Bare(p.annotation)) if p.annotation is not p.empty else p
        for p in signature.parameters.values()
    ]
    back = signature.return_annotation
    return str(signature.replace(parameters=parts, return_annotation=back if back is signature.empty else _Bare(back)))


class _Bare:
    """An annotation that prints without quotes."""

    def __init__(self, annotation: Any) -> None:
        self.text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)

    def __repr__(self) -> str:
        return str(self.text)


def signature_of_op(op: Op) -> str:
    """(x, y, dim=None): inputs, then parameters."""
    parts = [("*" if op.variadic else "") + op.inputs[0], *op.inputs[1:]]
    parts += [f"{name}={op.defaults[name]!r}" if name in op.defaults else name for name in op.params]
    return f"({', '.join(parts)})"


def source_of(value: Any) -> str:
    """ "tinygrad_edu/ops/basic.py:12", or "" for what has no Python source."""
    try:
        value = inspect.unwrap(value)
        path, (_, line) = inspect.getsourcefile(value), inspect.getsourcelines(value)
    except (TypeError, OSError):
        return ""
    module = (getattr(value, "__module__", None) or "").split(".")[0]
    found = f"{path}".replace("\\", "/")
    return f"{found[found.rindex(f'/{module}/') + 1 :]}:{line}" if module and f"/{module}/" in found else ""


def code_of(op: Op) -> str:
    """The definition of an op as it stands in its file: forward, every backward rule, what a fused one stands for."""
    parts = [op.forward, *op.rules.values()] + ([op.joint] if op.joint is not None else [])
    if inspect.isfunction(op.composition) and "." not in op.composition.__qualname__:
        parts.append(op.composition)
    texts: list[str] = []
    for part in parts:
        text = _statement(part)
        if text not in texts:  # one statement often holds several rules
            texts.append(text)
    return "\n\n".join(texts)


def _statement(function: Callable[..., Any]) -> str:
    """The whole top-level statement that a function or a lambda stands in."""
    lines, _ = inspect.findsource(function)
    line = function.__code__.co_firstlineno
    for statement in ast.parse("".join(lines)).body:
        first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
        if first <= line <= (statement.end_lineno or first):
            return "".join(lines[first - 1 : statement.end_lineno]).rstrip()
    raise LookupError(f"{function.__qualname__} stands in no statement of {function.__module__}")


def summary_of(op: Op) -> str:
    """What the op's docstring says before its formulas."""
    return inspect.cleandoc(op.forward.__doc__ or documented(op))


def formulas_of(op: Op) -> list[tuple[str, str]]:
    """("out", "x · y"), ("dL/dx", "dL/dout · y"), ...: as far as the op declares them."""
    names = {name: name for name in (*op.inputs, *op.params)} | {"grad": "dL/dout", "out": "out"}
    found = [("out", op.formula.format(**names))] if op.formula else []
    return found + [(f"dL/d{name}", text.format(**names)) for name, text in op.gradients.items()]


def without_docstring(pages: list[Section]) -> list[str]:
    """The names that say nothing, for an error: "tinygrad_edu.nn.Linear"."""
    return [f"{page.name}.{entry.name}" for page in pages for entry in page.entries if not entry.doc.strip()] + [
        f"tinygrad_edu.ops.{op.name}" for op in registry.values() if not documented(op)
    ]
