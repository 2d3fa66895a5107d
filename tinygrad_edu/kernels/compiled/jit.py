"""How the twins are compiled and launched: lazily per dtype, cached on disk where possible, parallel, thread-safe."""

from __future__ import annotations

import importlib
import pickle
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numba
import numpy as np

from ..backend import chosen_threads
from .native import readonly as readonly
from .patience import openmp_is_foreign, spinning_shortly

runtime: Any = numba
config: Any = numba.config

# Reordering of sums and fused multiply-adds. Not "nnan" or "ninf": those may delete the very tests that keep NaN alive.
SUMS = frozenset({"reassoc", "contract", "nsz"})


def jit(
    *, fastmath: frozenset[str] = frozenset(), parallel: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator for a kernel: a module-level function of arrays and numbers that writes into its last arrays.

    Numba's cache knows a kernel by the text of its own file: not by these flags, nor by helpers in other files. Keep
    helpers in the kernel's file, and empty the caches when you change flags here.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        options: dict[str, Any] = {"error_model": "numpy", "fastmath": set(fastmath)}
        # With NUMBA_BOUNDSCHECK=1, an IndexError inside a parallel loop would be lost: run serially, and leave no
        # slow code in the cache, whose key does not know of the check.
        options["parallel"] = parallel and not config.BOUNDSCHECK
        return _launcher(function, options)

    return decorate


def _launcher(function: Callable[..., None], options: dict[str, Any]) -> Callable[..., None]:
    compiled = [_compile(function, options)]
    known: set[str] = set()

    def launch(*args: Any) -> None:
        kind = "".join(arg.dtype.char for arg in args if isinstance(arg, np.ndarray))
        if kind in known:
            with _turn.lock:
                compiled[0](*args)
            return
        with _first_launch, _turn.lock, _announce(function.__name__, kind):
            try:
                compiled[0](*args)
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                # Not from the kernel, which touches no file: the cache is full, broken, or gone.
                warnings.warn(
                    f"{function.__name__}: compiled code cannot be cached ({error})", RuntimeWarning, stacklevel=3
                )
                compiled[0] = _compile(function, options, cache=False)
                compiled[0](*args)
            _turn.decide()
            known.add(kind)

    launch.__name__ = function.__name__
    launch.__doc__ = function.__doc__
    return launch


def _compile(function: Callable[..., None], options: dict[str, Any], cache: bool = True) -> Callable[..., None]:
    cache = cache and not config.BOUNDSCHECK
    try:
        compiled: Callable[..., None] = numba.njit(cache=cache, **options)(function)
    except RuntimeError as error:
        if not (cache and "no locator" in str(error)):
            raise
        # Neither NUMBA_CACHE_DIR, __pycache__ nor the user's cache folder can be written to: compile in each process.
        compiled = numba.njit(**options)(function)
    return compiled


class _Turn:
    """Whose turn it is to launch: Numba's "workqueue" threads abort the process if two Python threads come at once.

    Until the first launch has shown which threading layer is in force, one at a time.
    """

    def __init__(self) -> None:
        self.lock: AbstractContextManager[Any] = threading.Lock()
        self._decided = False

    def decide(self) -> None:
        if not self._decided and _layer() is not None:
            self._decided = True
            if _layer() != "workqueue":
                self.lock = nullcontext()


def _layer() -> str | None:
    """The threading layer in force, None before the first parallel launch."""
    try:
        return str(runtime.threading_layer())
    except ValueError:
        return None


class _announce:
    """Say on a terminal what takes so long, once a first launch has taken a second."""

    def __init__(self, name: str, kind: str) -> None:
        words = f"tinygrad_edu: compiling {name.strip('_')} for {np.dtype(kind[0]).name}, once (then kept on disk) ..."
        self._timer = threading.Timer(1.0, print, (words,), {"file": sys.stderr, "flush": True})
        self._timer.daemon = True

    def __enter__(self) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            self._timer.start()

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()


def _start_threads() -> None:
    """Start Numba's threads so that they do not fight those of BLAS, unless the user has chosen how they wait.

    GNU OpenMP reads its spin count once, when it is loaded. If another package (PyTorch) has loaded it before us, with
    the default, then Numba's own "workqueue" serves: 0.30 ms instead of 8 ms for the product and relu above, though a
    bare launch takes 0.1 ms.
    """
    if config.THREADING_LAYER == "default" and openmp_is_foreign() and not _tbb_is_there():
        config.THREADING_LAYER = "workqueue"
    with spinning_shortly():
        runtime.get_num_threads()


def _tbb_is_there() -> bool:
    try:
        importlib.import_module("numba.np.ufunc.tbbpool")
    except ImportError:
        return False
    return True


def use_threads(n: int) -> None:
    """Let kernels launched from this Python thread use n threads, at most as many as Numba has."""
    runtime.set_num_threads(min(n, config.NUMBA_NUM_THREADS))


_turn = _Turn()
_first_launch = threading.Lock()
_start_threads()
if chosen_threads() is not None:
    use_threads(chosen_threads() or 1)
