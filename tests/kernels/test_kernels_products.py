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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(1, 700, 1), (7, 641, 33), (17, 330, 70), (8, 320, 32), (130, 3, 65), (9, 0, 40)])
@pytest.mark.parametrize("turned", ["", "x", "y", "xy"])
def test_tiles_of_any_remainder(dtype, sizes, turned):
    """Rows, columns and depths that fill no tile, panel or vector, of matrices and of their transposes."""
    n, k, m = sizes
    x, y = random((n, k), dtype), random((k, m), dtype, 1)
    x = np.array(x, order="F") if "x" in turned else x
    y = np.array(y, order="F") if "y" in turned else y
    expected = x.astype(np.float64) @ y.astype(np.float64)
    for out in on_both(kernels.matmul, x, y):
        check_result(out, dtype, x, y)
        close(out, expected, ulps=8 * max(1, k) ** 0.5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_nan_stays_in_its_row_and_column(dtype):
    x, y = random((20, 400), dtype), random((400, 50), dtype, 1)
    x[3, 7], y[11, 40] = np.nan, np.inf
    x[:, 11] = 0
    for out in on_both(kernels.matmul, x, y):
        assert np.isnan(out[3]).all()
        assert np.isnan(out[:, 40]).all()  # 0 · inf
        assert np.isfinite(np.delete(np.delete(out, 3, 0), 40, 1)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("sizes", [(1, 5, 3), (40, 330, 33), (64, 17, 32), (0, 3, 2), (3, 2, 0)])
def test_affine(dtype, positive, sizes):
    n, k, m = sizes
    x, weight, bias = random((n, k), dtype), random((m, k), dtype, 1), random((m,), dtype, 2)
    if n > 3:
        x[2] = np.nan
    expected = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    if positive:
        expected = np.where(expected <= 0, 0, expected)  # NaN stays
    for x_layout, bias_layout in zip(layouts(x), layouts(bias), strict=True):
        for out in on_both(kernels.affine, x_layout, weight, bias_layout, positive):
            check_result(out, dtype, x_layout, weight, bias_layout)
            close(out, expected, ulps=8 * max(1, k) ** 0.5, scale=1.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_matrices_and_vectors(dtype):
    x, y = random((70, 600), dtype), random((600, 1), dtype, 1)
    for layout in layouts(x):
        for out in on_both(kernels.matmul, layout, y):
            close(out, x.astype(np.float64) @ y, ulps=200)
        for out in on_both(kernels.matmul, y.T, layout.T):
            close(out, (x.astype(np.float64) @ y).T, ulps=200)


def test_the_number_of_threads_changes_no_bit():
    from kernel_cases import numba_everywhere

    x, y = random((300, 250), np.float32), random((250, 400), np.float32, 1)
    results = []
    with numba_everywhere():
        for threads in (1, 2):
            before = kernels.get_num_threads()
            kernels.set_num_threads(threads)
            try:
                results.append(kernels.matmul(x, y))
            finally:
                kernels.set_num_threads(before)
    np.testing.assert_array_equal(*results)
