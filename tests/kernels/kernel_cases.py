"""What the kernel tests share: awkward arrays, both backends, and what every result must be."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import kernels

DTYPES = (np.float32, np.float64)
SPECIAL = [0.0, -0.0, 0.5, 1.0, -1.0, 2.5, -3.5, 88.0, -88.0, 1000.0, -1000.0, np.inf, -np.inf, np.nan]


@contextlib.contextmanager
def numba_everywhere() -> Iterator[None]:
    """Run every kernel that has a Numba twin on it, whatever the size."""
    pytest.importorskip("numba")
    with kernels.use_backend("numba", threshold=0):
        yield


@contextlib.contextmanager
def numpy_everywhere() -> Iterator[None]:
    with kernels.use_backend("numpy"):
        yield


def on_both(function: Callable[..., Any], *args: Any) -> tuple[Any, Any]:
    """function(*args) by the reference and by the twin; warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with numpy_everywhere():
            expected = function(*args)
        with numba_everywhere():
            actual = function(*args)
    return expected, actual


def layouts(x: np.ndarray) -> Iterator[np.ndarray]:
    """The same values, laid out in memory in every way a caller may bring them."""
    yield x
    frozen = x.copy()
    frozen.flags.writeable = False
    yield frozen
    yield np.array(x, order="F")
    spaced = np.empty(tuple(2 * size for size in x.shape), x.dtype)
    gaps = spaced[(..., *(slice(None, None, 2) for _ in x.shape))]
    gaps[...] = x
    yield gaps
    flip = (..., *(slice(None, None, -1) for _ in x.shape))
    yield x[flip].copy()[flip]
    raw = np.empty(x.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    yield unaligned


def check_result(out: np.ndarray, dtype: Any, *inputs: np.ndarray) -> None:
    """Every result is a fresh, writeable ndarray of the right dtype."""
    assert type(out) is np.ndarray
    assert out.dtype == dtype
    assert out.flags.writeable
    assert not any(np.shares_memory(out, x) for x in inputs)


def close(actual: np.ndarray, expected: np.ndarray, ulps: float = 8, scale: float = 0.0) -> None:
    """Equal up to some units in the last place, relative to the largest finite value around; NaN and Inf in place.

    scale: the size of the terms of a sum, which its rounding errors are relative to when the terms cancel.
    """
    assert actual.shape == expected.shape
    finite = np.isfinite(expected)
    scale = max(scale, np.abs(expected[finite]).max(initial=0.0))
    unit = np.finfo(actual.dtype).eps * ulps
    np.testing.assert_allclose(actual, expected, rtol=unit, atol=float(unit * scale))


def random(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def places(*sizes: int) -> Iterator[tuple[int, ...]]:
    """Every index into an array of that shape, for oracles written as loops."""
    return itertools.product(*map(range, sizes))
