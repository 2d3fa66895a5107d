"""Elementwise kernels: against Python's math module value by value, and twin against reference."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from kernel_cases import DTYPES, SPECIAL, check_result, layouts, numba_everywhere, on_both, random

from tinygrad_edu import kernels

UNARY = {
    "neg": lambda v: -v,
    "abs": math.fabs,
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "rsqrt": lambda v: 1 / math.sqrt(v),
    "square": lambda v: v * v,
    "reciprocal": lambda v: 1 / v,
    "sign": lambda v: (v > 0) - (v < 0),
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "erf": math.erf,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "relu": lambda v: max(v, 0.0),
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "floor_divide": lambda a, b: a // b,
    "remainder": lambda a, b: a % b,
    "pow": lambda a, b: a**b,
    "maximum": max,
    "minimum": min,
}
UNARY_TWINS = ("square", "sqrt", "relu", "exp", "log", "tanh", "sigmoid", "erf")
BINARY_TWINS = ("add", "sub", "mul", "div", "maximum", "minimum")
AT_EDGES = {  # what the limits are where math raises or has no answer
    "exp": {1000.0: math.inf},
    "log": {0.0: -math.inf, -1.0: math.nan, math.inf: math.inf},
    "sqrt": {-1.0: math.nan, math.inf: math.inf},
    "rsqrt": {0.0: math.inf, math.inf: 0.0},
    "reciprocal": {0.0: math.inf, -math.inf: -0.0},
    "sigmoid": {1000.0: 1.0, -1000.0: 0.0, math.inf: 1.0, -math.inf: 0.0},
    "relu": {math.inf: math.inf, -math.inf: 0.0},
    "tanh": {1000.0: 1.0, -math.inf: -1.0},
    "erf": {math.inf: 1.0, -1000.0: -1.0},
    "round": {0.5: 0.0, 1.5: 2.0, 2.5: 2.0, -0.5: -0.0},
}


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_unary_is_the_math_function(name, dtype):
    low, high = {"asin": (-1, 1), "acos": (-1, 1)}.get(name, (0.1, 3))
    x = np.linspace(low, high, 21).astype(dtype).reshape(3, 7)
    out = getattr(kernels, name)(x)
    check_result(out, dtype, x)
    expected = [[UNARY[name](v) for v in row] for row in x.tolist()]
    np.testing.assert_allclose(out, np.array(expected), rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_unary_is_silent_and_keeps_nan(name, dtype):
    function = getattr(kernels, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = function(np.array(SPECIAL, dtype))
        scalar = function(np.array(np.nan, dtype))
    assert np.isnan(out[-1])
    assert np.isnan(scalar)
    for value, expected in AT_EDGES.get(name, {}).items():
        np.testing.assert_equal(float(function(np.array(value, dtype))), expected)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_broadcasts_as_a_double_loop(name, dtype):
    x, y = np.abs(random((4, 1), dtype)) + 1, np.abs(random((3,), dtype, 1)) + 1
    out = getattr(kernels, name)(x, y)
    check_result(out, dtype, x, y)
    expected = [[BINARY[name](a, b) for b in y.tolist()] for a in x[:, 0].tolist()]
    np.testing.assert_allclose(out, np.array(expected), rtol=8 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", BINARY)
def test_binary_is_silent(name):
    x = np.array(SPECIAL, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = getattr(kernels, name)(x[:, np.newaxis], x)
    if name != "pow":  # 1 ** nan and nan ** 0 are 1
        assert np.isnan(out[-1]).all()
        assert np.isnan(out[:, -1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_zero_dims_stay_an_array(name, dtype):
    x = np.array(0.5, dtype)
    out = getattr(kernels, name)(*([x] if name in UNARY else [x, x]))
    check_result(out, dtype, x)
    assert out.shape == ()


@pytest.mark.parametrize("name", ["neg", "abs", "square", "sign", *(name for name in BINARY if name != "div")])
def test_integers(name):
    x = np.array([-3, 1, 4]) if name in UNARY else np.array([3, 1, 4])
    for backend in ("numpy", "numba"):
        if backend == "numba":
            pytest.importorskip("numba")
        with kernels.use_backend(backend, threshold=0):
            out = getattr(kernels, name)(*([x] if name in UNARY else [x, np.array([2])]))
        check_result(out, np.int64, x)
        values = x.tolist()
        expected = [int(UNARY[name](v)) if name in UNARY else BINARY[name](v, 2) for v in values]
        assert out.tolist() == expected


@settings(deadline=None)
@given(st.floats(width=32), st.none() | st.floats(-5, 5, width=32), st.none() | st.floats(-5, 5, width=32))
def test_clip(value, lo, hi):
    x = np.array([value], np.float32)
    out = kernels.clip(x, lo, hi)
    check_result(out, np.float32, x)
    expected = value if lo is None or math.isnan(value) else max(value, lo)
    expected = expected if hi is None or math.isnan(value) else min(expected, hi)
    np.testing.assert_array_equal(out, np.array([expected], np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_broadcasts(dtype):
    condition, x, y = np.array([[True], [False]]), np.array([1, 2, 3], dtype), np.array(7, dtype)
    out = kernels.where(condition, x, y)
    check_result(out, dtype, x, y)
    assert out.tolist() == [[1, 2, 3], [7, 7, 7]]
    check_result(kernels.where(np.array(True), y, y), dtype, y)


def equal_but_for_rounding(actual, expected, ulps):
    """Within some units in the last place, and of the same sign where NaN or Inf."""
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    eps = np.finfo(expected.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=ulps * eps, atol=np.finfo(expected.dtype).tiny)


@pytest.mark.parametrize("name", UNARY_TWINS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_unary_twin(name, dtype):
    function = getattr(kernels, name)
    for base in (np.array(SPECIAL, dtype), random((5, 7), dtype), random((0, 3), dtype), random((1,), dtype)):
        for x in layouts(base):
            expected, actual = on_both(function, x)
            check_result(actual, dtype, x)
            equal_but_for_rounding(actual, expected, 4)
    expected, actual = on_both(function, np.array(0.5, dtype))
    check_result(actual, dtype)
    equal_but_for_rounding(actual, expected, 4)


@pytest.mark.parametrize("name", BINARY_TWINS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_twin(name, dtype):
    function = getattr(kernels, name)
    special = np.array(SPECIAL, dtype)
    pairs = [
        (np.repeat(special, special.size), np.tile(special, special.size)),
        (random((5, 7), dtype), random((5, 7), dtype, 1)),
        (random((5, 7), dtype), random((7,), dtype, 1)),
        (random((), dtype), random((), dtype, 1)),
        (random((0, 3), dtype), random((0, 3), dtype)),
    ]
    for x, y in pairs:
        for x_layout, y_layout in zip(layouts(x), layouts(y), strict=True):
            expected, actual = on_both(function, x_layout, y_layout)
            check_result(actual, dtype, x_layout, y_layout)
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_twin(dtype):
    x, y = random((5, 7), dtype), random((5, 7), dtype, 1)
    for condition in layouts(x > 0):
        expected, actual = on_both(kernels.where, condition, x, y)
        check_result(actual, dtype, x, y)
        np.testing.assert_array_equal(actual, expected)
    check_result(on_both(kernels.add, x, x.astype(np.float64))[1], np.float64)  # mixed dtypes are NumPy's affair
    expected, actual = on_both(kernels.where, x > 0, x, np.array(0, dtype))
    np.testing.assert_array_equal(actual, expected)


@settings(deadline=None)
@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)))
def test_relu_of_anything(x):
    expected, actual = on_both(kernels.relu, x)
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(actual, np.where(np.isnan(x), x, np.where(x > 0, x, 0)))


def test_twins_take_large_arrays():
    x, y = random((1_100_001,), np.float32), random((1_100_001,), np.float32, 1)
    pytest.importorskip("numba")
    with kernels.use_backend("numba"):  # at the measured thresholds
        np.testing.assert_array_equal(kernels.add(x, y), x + y)
        np.testing.assert_array_equal(kernels.relu(x), np.maximum(x, 0))


def test_user_error_settings_are_left_alone():
    with np.errstate(all="raise"):
        assert kernels.log(np.array(0.0)) == -np.inf
        assert np.geterr()["divide"] == "raise"
        with numba_everywhere():
            assert kernels.div(np.array([1.0]), np.array([0.0])) == np.inf
        with pytest.raises(FloatingPointError):
            np.log(np.array(0.0))


@given(hnp.arrays(np.float64, st.integers(0, 40), elements=st.floats()))
@settings(deadline=None)
def test_relu_gate_passes_where_relu_did(y):
    x = np.arange(1.0, y.size + 1.0)
    expected = np.array([0.0 if b <= 0 else a for a, b in zip(x, y, strict=True)])
    for out in on_both(kernels.relu_gate, x, y):
        check_result(out, np.float64, x, y)
        np.testing.assert_array_equal(out, expected)


def in_wide(name, x):
    """The function in a wider type than x's."""
    if name == "erf":
        return np.array([math.erf(v) for v in x.tolist()])
    x = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    with np.errstate(all="ignore"):
        return 1 / (1 + np.exp(-x)) if name == "sigmoid" else getattr(np, name)(x)


EDGES = [88.722839, 88.72284, 709.7827, 709.7828, -87.4, -103.97, -104.1, -745.13, -745.14, 1e-45, 5e-324, 3e-310, 1e38]


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "erf"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_polynomials_are_within_two_units_in_the_last_place(name, dtype):
    if dtype == np.float64 and np.finfo(np.longdouble).nmant < 63:
        pytest.skip("no type wider than float64 here")
    rng = np.random.default_rng(0)
    ranges = {"exp": 750, "log": 4, "tanh": 2, "sigmoid": 110, "erf": 3}
    bits = rng.integers(0, np.array(np.inf, dtype).view(f"i{dtype().itemsize}"), 20_001, f"i{dtype().itemsize}")
    x = np.concatenate([rng.uniform(-ranges[name], ranges[name], 20_001), rng.uniform(-1, 1, 20_001), EDGES])
    x = np.concatenate([x.astype(dtype), bits.view(dtype), -bits.view(dtype)])
    if name == "log":
        x = np.abs(x)
    with numba_everywhere():
        out = getattr(kernels, name)(x)
    expected = in_wide(name, x)
    fits = np.abs(expected) <= np.finfo(dtype).max
    np.testing.assert_array_equal(out[~fits], np.sign(expected[~fits]) * np.inf)
    info = np.finfo(dtype)
    unit = np.ldexp(expected.dtype.type(1), np.frexp(np.abs(expected[fits]))[1].astype(int) - info.nmant - 1)
    error = np.abs(out[fits] - expected[fits]) / np.maximum(unit, info.smallest_subnormal)
    assert error.max() <= (3 if name == "erf" and dtype == np.float64 else 2)  # math.erf itself is off by one


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_polynomials_keep_the_sign_of_zero(name):
    with numba_everywhere():
        assert np.signbit(getattr(kernels, name)(np.array([-0.0, 0.0], np.float32))).tolist() == [True, False]


@settings(deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), name=st.sampled_from(["add", "sub", "mul", "div"]))
def test_arrays_that_repeat(data, dtype, name):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    small = [data.draw(st.sampled_from((1, size))) for size in shape]
    x = random(shape, dtype)
    y = random(tuple(small[data.draw(st.integers(0, len(small))) :]), dtype, 1)
    for first, second in ((x, y), (y, x)):
        expected, actual = on_both(getattr(kernels, name), first, second)
        check_result(actual, dtype, x, y)
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("small", [(7,), (5, 1), (3, 1, 1), (5, 7), (3, 1, 7), (1, 5, 1), ()])
def test_layouts_of_arrays_that_repeat(name, small):
    x, y = random((3, 5, 7), np.float32), random(small, np.float32, 1)
    x[0, 0, :3] = np.nan, np.inf, -np.inf
    for x_layout, y_layout in zip(layouts(x), layouts(y), strict=True):
        for pair in ((x_layout, y_layout), (y_layout, x_layout)):
            expected, actual = on_both(getattr(kernels, name), *pair)
            check_result(actual, np.float32, x, y)
            np.testing.assert_array_equal(actual, expected)


def test_lines_longer_than_a_task():
    x, y = random((2, 3, 20_001), np.float32), random((3, 1), np.float32, 1)
    expected, actual = on_both(kernels.sub, x, y)
    np.testing.assert_array_equal(actual, expected)
