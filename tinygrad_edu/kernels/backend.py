"""Which kernels run: the NumPy reference or its Numba twin.

`TINYGRAD_EDU_BACKEND` says so when the package is imported: `numpy`, `numba`, or unset for Numba where it is
installed. Numba itself is imported at the first array that is large enough to gain from it, never before.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from types import ModuleType, TracebackType

BACKENDS = ("numpy", "numba")
NEVER = sys.maxsize  # a size no array reaches
INSTALL = "pip install numba"


class Gate:
    """The sizes at which one kernel runs on Numba: `if x.size < gate.minimum` is the whole dispatch for most.

    `measured` is the break-even point found on a real machine, `minimum` what is in force now: `measured` under Numba,
    NEVER under NumPy, and whatever `use_backend(..., threshold=)` says in a test. `maximum` is an upper bound of some
    other size, for a kernel whose twin falls behind again; a threshold lifts it.
    """

    __slots__ = ("_largest", "_measured", "maximum", "minimum")

    def __init__(self, measured: int, largest: int = NEVER) -> None:
        self._measured = measured
        self._largest = largest
        self.set(_state.name, _state.threshold)
        _state.gates.append(self)

    def set(self, name: str, threshold: int | None) -> None:
        """Open the gate for the backend of that name, at its measured size or at `threshold`."""
        self.minimum = NEVER if name == "numpy" else self._measured if threshold is None else threshold
        self.maximum = self._largest if threshold is None else NEVER


class _State:
    """What is in force in this process. Not per thread: a backend is chosen once, or by a test."""

    def __init__(self, name: str, required: bool) -> None:
        self.name = name
        self.required = required  # the user asked for Numba by name: do without it only by raising
        self.threshold: int | None = None
        self.threads: int | None = None
        self.gates: list[Gate] = []
        self.modules: dict[str, ModuleType] = {}


def backend() -> str:
    """Name of the backend in force: "numpy" or "numba"."""
    return _state.name


def use_backend(name: str, *, threshold: int | None = None) -> Switch:
    """Switch the backend of this process: at once when called, back again at the end of a `with` block.

    name: "numpy" or "numba". threshold: smallest size that runs on Numba (0 = always); None = as measured.
    Raises ValueError for another name, ImportError when Numba is asked for and not installed.
    """
    switch = Switch(_state.name, _state.threshold)
    _select(_checked(name, "use_backend"), threshold)
    return switch


class Switch:
    """What `use_backend` returns: a context manager that puts the former backend back."""

    def __init__(self, name: str, threshold: int | None) -> None:
        self._former = (name, threshold)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _select(*self._former)


def get_num_threads() -> int:
    """How many threads the compiled kernels use: one per core this process may run on, or what was set."""
    if _state.threads is not None:
        return _state.threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_num_threads(n: int) -> None:
    """Let compiled kernels called from this Python thread use n threads, at most one per core."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise RuntimeError(f"set_num_threads: expects a positive integer, got {n!r}")
    _state.threads = n
    jit = sys.modules.get(f"{__package__}.compiled.jit")
    if jit is not None:
        jit.use_threads(n)


def chosen_threads() -> int | None:
    """What `set_num_threads` set; None for the default."""
    return _state.threads


def twins(family: str) -> ModuleType:
    """The module of Numba kernels of one family ("convolution"): the same functions as the reference has."""
    module = _state.modules.get(family)
    if module is None:
        module = _state.modules[family] = _load(family)
    return module


def _load(family: str) -> ModuleType:
    try:
        return importlib.import_module(f"{__package__}.compiled.{family}")
    except ImportError as error:
        message = f"Numba is installed but cannot be imported ({error}); repair it ({INSTALL} --upgrade)"
        if _state.required:
            raise ImportError(f"{message} or set TINYGRAD_EDU_BACKEND=numpy") from error
        warnings.warn(
            f"{message}. Going on with NumPy; TINYGRAD_EDU_BACKEND=numpy silences this.", RuntimeWarning, stacklevel=4
        )
        _select("numpy", None)
        return importlib.import_module(f"{__package__}.reference.{family}")


def _installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def _checked(name: str, source: str) -> str:
    if name not in BACKENDS:
        raise ValueError(f"{source}: {name!r} is no backend; valid are {' and '.join(map(repr, BACKENDS))}")
    if name == "numba" and not _installed():
        raise ImportError(f"{source}: the numba backend is asked for, but Numba is not installed. {INSTALL}")
    return name


def _from_environment() -> _State:
    asked = os.environ.get("TINYGRAD_EDU_BACKEND", "")
    if asked:
        return _State(_checked(asked, "TINYGRAD_EDU_BACKEND"), required=asked == "numba")
    return _State("numba" if _installed() else "numpy", required=False)


def _select(name: str, threshold: int | None) -> None:
    _state.name, _state.threshold = name, threshold
    for gate in _state.gates:
        gate.set(name, threshold)


def _after_fork_in_child() -> None:
    # GNU OpenMP does not survive a fork: a child's first parallel launch would abort the process. NumPy does.
    if "numba" in sys.modules or f"{__package__}.compiled.team" in sys.modules:
        _select("numpy", None)


_state = _from_environment()
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_after_fork_in_child)
