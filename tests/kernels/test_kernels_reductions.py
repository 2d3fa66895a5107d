"""Reductions: against exact sums in Python, and twin against reference over every pattern of dims."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from kernel_cases import DTYPES, check_result, close, layouts, on_both, places, random

from tinygrad_edu import kernels

ORACLES = {
    "sum": math.fsum,
    "mean": lambda values: math.fsum(values) / len(values),
    "prod": math.prod,
    "amax": max,
    "amin": min,
}


def every_axis(ndim):
    yield None
    for count in range(ndim + 1):
        yield from itertools.combinations(range(ndim), count)


def by_loop(oracle, x, axis, keepdims):
    reduced = set(range(x.ndim)) if axis is None else set(axis)
    kept = [1 if dim in reduced else size for dim, size in enumerate(x.shape)]
    out = np.empty(kept)
    for place in places(*kept):
        window = tuple(slice(None) if dim in reduced else i for dim, i in enumerate(place))
        out[place] = oracle(np.ravel(x[window]).tolist())
    return out if keepdims else out.reshape([size for dim, size in enumerate(kept) if dim not in reduced])


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("keepdims", [False, True])
def test_reduction_is_the_loop(name, dtype, keepdims):
    x = random((2, 3, 4), dtype)
    for axis in every_axis(3):
        out = getattr(kernels, name)(x, axis, keepdims)
        check_result(out, dtype, x)
        close(out, by_loop(ORACLES[name], x, axis, keepdims))


@pytest.mark.parametrize("name", [*ORACLES, "argmax"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_twin(name, dtype):
    function = getattr(kernels, name)
    for shape in ((5, 3, 7), (1, 4, 1), (3,), (), (2, 3, 4, 5)):
        for x in layouts(random(shape, dtype)):
            axes = every_axis(x.ndim) if name != "argmax" else (None, *range(x.ndim))
            for axis, keepdims in itertools.product(axes, (False, True)):
                expected, actual = on_both(function, x, axis, keepdims)
                check_result(actual, np.int64 if name == "argmax" else dtype, x)
                if name in ("sum", "mean", "prod"):
                    close(actual, expected)
                else:
                    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", [*ORACLES, "argmax"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), [((40_000,), (0,)), ((9_001, 7), (0,)), ((3, 17_000), (1,))])
def test_twin_over_several_blocks(name, dtype, shape, axis):
    x = random(shape, dtype) if name != "prod" else 1 + random(shape, dtype) / 1000
    for each in (axis, None):
        expected, actual = on_both(getattr(kernels, name), x, each[0] if each and name == "argmax" else each, False)
        if name in ("sum", "mean"):  # rounding is relative to what was added, which partly cancels
            size = kernels.sum(np.abs(x), each, False) / (x.size / actual.size if name == "mean" else 1)
            assert (np.abs(actual - expected) <= 4 * np.finfo(dtype).eps * size).all()
        else:
            close(actual.astype(dtype), expected.astype(dtype))


@pytest.mark.parametrize("name", [*ORACLES, "argmax", "argmin"])
@pytest.mark.parametrize("where", [0, 4, 20])
def test_nan_wins(name, where):
    x = random((3, 7), np.float32)
    x.flat[where] = np.nan
    for axis in (None, 0, 1):
        each = axis if axis is None or name.startswith("arg") else (axis,)
        expected, actual = on_both(getattr(kernels, name), x, each, True)
        np.testing.assert_array_equal(actual, expected)
        row, column = divmod(where, 7)
        at = (0 if axis in (None, 0) else row, 0 if axis in (None, 1) else column)
        if name.startswith("arg"):
            assert actual[at] == {None: where, 0: row, 1: column}[axis]
        else:
            assert np.isnan(actual[at])


@given(hnp.arrays(np.float64, st.integers(1, 9), elements=st.sampled_from([-np.inf, -1.0, 0.0, 2.0, np.inf, np.nan])))
@settings(deadline=None)
def test_first_of_equals(x):
    values = x.tolist()
    nans = [i for i, value in enumerate(values) if math.isnan(value)]
    for name, best in (("argmax", max), ("argmin", min)):
        place = nans[0] if nans else values.index(best(values))
        expected, actual = on_both(getattr(kernels, name), x, None, False)
        assert expected == actual == place
        check_result(actual, np.int64, x)


@pytest.mark.parametrize("axis", [(0,), (1,), None])
def test_float32_sums_are_as_good_as_pairwise(axis):
    x = np.abs(random((3_000, 101), np.float32)) + np.float32(0.1)
    expected = np.sum(x.astype(np.float64), axis=axis)
    for result in on_both(kernels.sum, x, axis, False):
        np.testing.assert_allclose(result, expected, rtol=1.2e-7)


def test_over_nothing():
    empty = np.empty((0, 3), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for result in on_both(kernels.sum, empty, (0,), False):
            assert result.tolist() == [0, 0, 0]
        assert kernels.prod(empty, None, False) == 1
        for result in on_both(kernels.mean, empty, None, False):
            assert np.isnan(result)
        for result in on_both(kernels.sum, empty, (1,), False):
            assert result.shape == (0,)
    for name in ("amax", "amin", "argmax", "argmin"):
        with pytest.raises(ValueError, match=r"zero-size|empty"):
            getattr(kernels, name)(empty, None, False)


def test_counts_stay_integers():
    assert kernels.sum(np.array([True, True, False]), None, False) == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_cumsum(dtype, axis):
    x = random((5, 6), dtype)
    out = kernels.cumsum(x, axis)
    check_result(out, dtype, x)
    expected = np.stack(
        [by_loop(math.fsum, x.take(range(i + 1), axis), (axis,), False) for i in range(x.shape[axis])], axis
    )
    close(out, expected)
    assert np.isnan(kernels.cumsum(np.array([1, np.nan, 2], dtype), 0)).tolist() == [False, True, True]
