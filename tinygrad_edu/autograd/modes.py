"""What is recorded, per thread: `no_grad`, `enable_grad`, `inference_mode`, `keep_values` and the open scopes."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeVar

# Values and gradients of up to this many entries stay with their node for pictures.
SMALL = 1024

F = TypeVar("F", bound=Callable[..., Any])


class Scope:
    """One call of a module or of a composite function: the box that pictures draw around its ops.

    origin: the node whose backward rule runs, for what `create_graph` records; pictures draw no box for it.
    """

    __slots__ = ("detail", "is_loss", "kind", "name", "origin", "parameters", "parent")

    def __init__(
        self,
        name: str,
        kind: str,
        detail: str,
        parent: Scope | None,
        is_loss: bool,
        parameters: int,
        origin: Any = None,
    ) -> None:
        self.name, self.kind, self.detail = name, kind, detail
        self.parent, self.is_loss, self.parameters = parent, is_loss, parameters
        self.origin = origin


class Mode(threading.local):
    """The state of one thread; a new thread starts with recording on, as in PyTorch.

    Code that runs for every op reads `mode.__dict__`: one look-up of the thread instead of one per attribute.
    """

    def __init__(self) -> None:
        self.grad = True  # record a graph
        self.inference = False
        self.keep = False  # keep every value, gradient and source line for pictures
        self.anomaly = False  # look for NaN and infinity
        self.check_nan = True  # ... in values, and not only keep source lines
        self.profile = False  # stamp every op with the seconds it took
        self.since = 0.0  # when the last stamp was given
        self.traced = False  # keep, anomaly or profile: the one flag that recording an op asks for
        self.fused = True  # let one kernel stand for a composition of primitives
        self.scope: Scope | None = None


mode = Mode()


def is_grad_enabled() -> bool:
    """True when operations on tensors that require grad are recorded in this thread."""
    return mode.grad


def is_inference_mode_enabled() -> bool:
    """True inside `inference_mode`."""
    return mode.inference


class _GradMode:
    """A context manager and decorator that switches recording for this thread and restores it."""

    def __init__(self, enabled: bool, inference: bool | None = None) -> None:
        self._set = (enabled, inference)
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._before.append((mode.grad, mode.inference))
        mode.grad = self._set[0]
        if self._set[1] is not None:
            mode.inference = self._set[1]

    def __exit__(self, *error: object) -> None:
        mode.grad, mode.inference = self._before.pop()

    def __call__(self, function: F) -> F:
        """As a decorator: each call, and each step of a generator, runs in the mode."""
        enabled, inference = self._set

        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
                generator = function(*args, **kwargs)
                resume: Callable[[], Any] = functools.partial(next, generator)
                while True:
                    with _GradMode(enabled, inference):
                        try:
                            value = resume()
                        except StopIteration as stop:
                            return stop.value
                    try:
                        resume = functools.partial(generator.send, (yield value))
                    except GeneratorExit:
                        with _GradMode(enabled, inference):
                            generator.close()
                        raise
                    except BaseException as error:
                        resume = functools.partial(generator.throw, error)

            return steps  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _GradMode(enabled, inference):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class no_grad(_GradMode):
    """Record nothing: `with no_grad(): ...`, or `@no_grad()` on a function."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        made = super().__new__(cls)
        if function is None:
            return made
        made.__init__()  # type: ignore[misc]
        return made(function)  # `@no_grad` without parentheses works too

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_GradMode):
    """Record again inside `no_grad`."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        made = super().__new__(cls)
        if function is None:
            return made
        made.__init__()  # type: ignore[misc]
        return made(function)

    def __init__(self) -> None:
        super().__init__(True)


class inference_mode(_GradMode):
    """Like `no_grad`, for evaluation; tensors made inside may be used outside (PyTorch forbids recording them)."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode, mode)


class set_grad_enabled(_GradMode):
    """Switch recording on or off at once; as a context manager, restore it at the end."""

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        before = _swap(bool(mode))
        self._at_call = before

    def __enter__(self) -> None:
        self._before.append(self._at_call)
        mode.grad = self._set[0]

    def __call__(self, function: F) -> F:
        mode.grad = self._at_call[0]  # used as a decorator: only the function runs in the mode
        return super().__call__(function)


def _swap(enabled: bool) -> tuple[bool, bool]:
    before = (mode.grad, mode.inference)
    mode.grad = enabled
    return before


@contextmanager
def keep_values(enabled: bool = True) -> Iterator[None]:
    """Keep every op's value, gradient and line of user code, however large, so that pictures show them all.

    Without it a node keeps what its backward rule needs, and values of up to 1,024 entries.
    """
    before, mode.keep = mode.keep, enabled
    mode.traced = enabled or mode.anomaly or mode.profile
    try:
        yield
    finally:
        mode.keep = before
        mode.traced = before or mode.anomaly or mode.profile


@contextmanager
def profile(enabled: bool = True) -> Iterator[None]:
    """Stamp every op that is recorded, and every op that backward walks, with the seconds it took, for pictures.

    An op's time runs from the end of the recorded op before it, so it holds the Python around a kernel too.
    """
    before, mode.profile = mode.profile, enabled
    mode.traced = enabled or mode.keep or mode.anomaly
    mode.since = perf_counter()
    try:
        yield
    finally:
        mode.profile = before
        mode.traced = before or mode.keep or mode.anomaly


@contextmanager
def fused(enabled: bool) -> Iterator[None]:
    """`with fused(False)`: record every composition (BatchNorm, cross-entropy, ...) as its primitives.

    Pictures, explanations and higher derivatives open a fused op by themselves; results agree to rounding.
    """
    before, mode.fused = mode.fused, enabled
    try:
        yield
    finally:
        mode.fused = before


def fuses(size: int) -> bool:
    """True if an op over `size` entries may be fused: small ones are recorded as primitives, whose values are kept."""
    return mode.fused and not mode.keep and size > SMALL


class scope:
    """Draw one box named `name` around the ops recorded inside; it may be entered several times."""

    def __init__(self, name: str, kind: str = "", detail: str = "", is_loss: bool = False, parameters: int = 0) -> None:
        self._box = Scope(name, kind or name, detail or kind or name, mode.scope, is_loss, parameters)
        self._before: list[Scope | None] = []

    def __enter__(self) -> None:
        self._before.append(mode.scope)
        mode.scope = self._box

    def __exit__(self, *error: object) -> None:
        mode.scope = self._before.pop()


def composite(kind: str, detail: str = "", is_loss: bool = False) -> Callable[[F], F]:
    """Decorate a function that is a composition of ops: pictures draw one box, named `kind`, around its ops."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            before = mode.scope
            if not mode.grad:
                return function(*args, **kwargs)
            mode.scope = Scope("loss" if is_loss else kind, kind, detail or kind, before, is_loss, 0)
            try:
                return function(*args, **kwargs)
            finally:
                mode.scope = before

        return wrapped  # type: ignore[return-value]

    return decorate
