"""The matrix product: against a triple loop, and twin against reference."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import DTYPES, check_result, close, layouts, on_both, places, random

from tinygrad_edu import kernels


def by_loop(x, y):
    out = np.zeros((x.shape[0], y.shape[1]))
    for i, j, k in places(x.shape[0], y.shape[1], x.shape[1]):
        out[i, j] += float(x[i, k]) * float(y[k, j])
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@given(st.integers(0, 19), st.integers(0, 9), st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_matrices(dtype, n, k, m):
    x, y = random((n, k), dtype), random((k, m), dtype, 1)
    for out in on_both(kernels.matmul, x, y):
        check_result(out, dtype, x, y)
        close(out, by_loop(x, y))


@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts(dtype):
    x, y = random((3, 5), dtype), random((5, 4), dtype, 1)
    for x_layout in layouts(x):
        for y_layout in layouts(y):
            for out in on_both(kernels.matmul, x_layout, y_layout):
                check_result(out, dtype, x_layout, y_layout)
                close(out, by_loop(x, y))


@pytest.mark.parametrize(
    ("x_lead", "y_lead"), [((2, 3), (2, 3)), ((2, 1), (3,)), ((), (4,)), ((4,), ()), ((0,), (1,)), ((2, 3), (1, 1))]
)
def test_batches_broadcast(x_lead, y_lead):
    x, y = random((*x_lead, 3, 5), np.float64), random((*y_lead, 5, 2), np.float64, 1)
    lead = np.broadcast_shapes(x_lead, y_lead)
    for out in on_both(kernels.matmul, x, y):
        assert out.shape == (*lead, 3, 2)
        for place in places(*lead):
            one, other = np.broadcast_to(x, (*lead, 3, 5))[place], np.broadcast_to(y, (*lead, 5, 2))[place]
            close(out[place], by_loop(one, other))


def test_wrong_sizes():
    for backend in ("numpy", "numba"):
        if backend == "numba":
            pytest.importorskip("numba")
        with kernels.use_backend(backend, threshold=0), pytest.raises(ValueError, match="matmul"):
            kernels.matmul(np.ones((2, 3)), np.ones((2, 3)))


def test_infinities_are_silent():
    x = np.array([[np.inf, -np.inf], [1.0, np.nan]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for out in on_both(kernels.matmul, x, np.ones((2, 2), np.float32)):
            assert np.isnan(out).all()
