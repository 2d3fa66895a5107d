"""GELU: against the formula with math.erf, and twin against reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kernel_cases import DTYPES, SPECIAL, check_result, close, layouts, on_both, random

from tinygrad_edu import kernels


def cdf(v):
    return 0.5 * math.erfc(-v / math.sqrt(2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (1,), (7, 3), (33, 65)])
def test_formula(shape, dtype):
    x, grad = 3 * random(shape, dtype), random(shape, dtype, 1)
    expected = np.array([v * cdf(v) for v in x.ravel().tolist()]).reshape(shape)
    slope = [cdf(v) + v * math.exp(-v * v / 2) / math.sqrt(2 * math.pi) for v in x.ravel().tolist()]
    for x_layout, grad_layout in zip(layouts(x), layouts(grad), strict=True):
        for out in on_both(kernels.gelu, x_layout):
            check_result(out, dtype, x_layout)
            close(out, expected, 8, 1.0)
        for out in on_both(kernels.gelu_backward, grad_layout, x_layout):
            check_result(out, dtype, grad_layout, x_layout)
            close(out, grad * np.array(slope).reshape(shape), 8, 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype):
    x = np.array([np.nan, 40.0, -40.0, 1e30, -1e30, 0.0], dtype)
    for out in on_both(kernels.gelu, x):
        assert np.isnan(out[0])
        np.testing.assert_array_equal(np.abs(out[1:]), np.array([40.0, 0, 1e30, 0, 0], dtype))
    for out in on_both(kernels.gelu_backward, np.ones_like(x), x):
        assert np.isnan(out[0])
        np.testing.assert_array_equal(out[1:], np.array([1.0, 0, 1, 0, 0.5], dtype))
    on_both(kernels.gelu, np.array(SPECIAL, dtype))  # without a warning


def test_wrong_shapes():
    with pytest.raises(RuntimeError, match="gelu_backward"):
        kernels.gelu_backward(np.ones(3), np.ones(4))
