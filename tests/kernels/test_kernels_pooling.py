"""Pooling: against nested loops, twin against reference, indices that lie, and PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernel_cases import DTYPES, check_result, close, layouts, on_both, places, random

from tinygrad_edu import kernels
from tinygrad_edu.errors import ShapeError

ONE = (1, 1)


@st.composite
def geometries(draw, dilated=True):
    """A shape and (kernel_size, stride, padding, dilation, ceil_mode), padding at most half a kernel as in PyTorch."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride = draw(pair), draw(pair)
    dilation = draw(pair) if dilated else ONE
    padding = tuple(draw(st.integers(0, size // 2)) for size in kernel)
    ceil_mode = draw(st.booleans())
    shape = (draw(st.integers(0, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    sizes = output_size(shape, kernel, stride, padding, dilation, ceil_mode)
    assume(min(sizes) >= 1)
    return shape, (kernel, stride, padding, dilation, ceil_mode)


def output_size(shape, kernel, stride, padding, dilation, ceil_mode):
    return tuple(
        kernels.pool_output_size(shape[2 + i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode)
        for i in range(2)
    )


def windows(shape, kernel, stride, padding, dilation, ceil_mode):
    """(output index, the input rows and columns its window looks at, those outside included)."""
    sizes = output_size(shape, kernel, stride, padding, dilation, ceil_mode)
    for i, j in places(*sizes):
        rows = [i * stride[0] - padding[0] + k * dilation[0] for k in range(kernel[0])]
        columns = [j * stride[1] - padding[1] + m * dilation[1] for m in range(kernel[1])]
        yield (i, j), rows, columns


def max_by_loop(x, *options):
    n, c, h, w = x.shape
    sizes = output_size(x.shape, *options)
    out, indices = np.empty((n, c, *sizes), x.dtype), np.empty((n, c, *sizes), np.int64)
    for image, channel in places(n, c):
        for (i, j), rows, columns in windows(x.shape, *options):
            inside = [(row, column) for row in rows for column in columns if 0 <= row < h and 0 <= column < w]
            best = inside[0]
            for place in inside:
                value = x[image, channel][place]
                if value > x[image, channel][best] or math.isnan(value):
                    best = place
            out[image, channel, i, j] = x[image, channel][best]
            indices[image, channel, i, j] = best[0] * w + best[1]
    return out, indices


def avg_by_loop(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor):
    """The average and its gradient for an upstream gradient of 1, 2, 3, ..."""
    n, c, h, w = x.shape
    sizes = output_size(x.shape, kernel, stride, padding, ONE, ceil_mode)
    out, back = np.zeros((n, c, *sizes)), np.zeros(x.shape)
    grad = np.arange(1.0, out.size + 1).reshape(out.shape)
    for (i, j), rows, columns in windows(x.shape, kernel, stride, padding, ONE, ceil_mode):
        inside = [(row, column) for row in rows for column in columns if 0 <= row < h and 0 <= column < w]
        padded = (
            [row for row in rows if row < h + padding[0]],
            [column for column in columns if column < w + padding[1]],
        )
        count = divisor or (len(padded[0]) * len(padded[1]) if count_include_pad else len(inside))
        for row, column in inside:
            out[:, :, i, j] += x[:, :, row, column] / count
            back[:, :, row, column] += grad[:, :, i, j] / count
    return out, grad, back


def may_have_only_padding(shape, options):
    return any(
        not any(0 <= row < shape[2] for row in rows) or not any(0 <= column < shape[3] for column in columns)
        for _, rows, columns in windows(shape, *options)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@given(geometries(), st.sampled_from(["random", "ties", "nan", "-inf"]))
@settings(deadline=None, max_examples=60)
def test_max_pool_is_the_loop(dtype, case, values):
    shape, options = case
    assume(not may_have_only_padding(shape, options))
    x = random(shape, dtype)
    if values == "ties":
        x = np.sign(x)
    elif values == "nan":
        x[x > 0.5] = np.nan
    elif values == "-inf":
        x[x < 1] = -np.inf
    expected = max_by_loop(x, *options)
    for out, indices in on_both(kernels.max_pool2d, x, *options):
        check_result(out, dtype, x)
        check_result(indices, np.int64)
        np.testing.assert_array_equal(out, expected[0])
        np.testing.assert_array_equal(indices, expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
@given(geometries())
@settings(deadline=None, max_examples=40)
def test_scatter_and_gather_are_adjoint(dtype, case):
    shape, options = case
    assume(not may_have_only_padding(shape, options))
    x = random(shape, dtype)
    out, indices = kernels.max_pool2d(x, *options)
    grad = random(out.shape, dtype, 1)
    expected = np.zeros((shape[0], shape[1], shape[2] * shape[3]))
    for place in places(*grad.shape):
        expected[place[0], place[1], indices[place]] += grad[place]
    for back in on_both(kernels.max_pool2d_backward, grad, indices, shape):
        check_result(back, dtype, grad)
        close(back, expected.reshape(shape))
    for picked in on_both(kernels.max_pool2d_gather, x, indices):
        check_result(picked, dtype, x)
        np.testing.assert_array_equal(picked, out)


@pytest.mark.parametrize("dtype", DTYPES)
@given(geometries(dilated=False), st.booleans(), st.none() | st.integers(1, 5))
@settings(deadline=None, max_examples=60)
def test_avg_pool_is_the_loop(dtype, case, count_include_pad, divisor):
    shape, (kernel, stride, padding, _, ceil_mode) = case
    x = random(shape, dtype)
    options = (kernel, stride, padding, ceil_mode, count_include_pad, divisor)
    expected, grad, expected_back = avg_by_loop(x, *options)
    for out in on_both(kernels.avg_pool2d, x, *options):
        check_result(out, dtype, x)
        close(out, expected)
    for back in on_both(kernels.avg_pool2d_backward, grad.astype(dtype), shape, *options):
        check_result(back, dtype, grad)
        close(back, expected_back)


def test_layouts():
    x = random((2, 3, 6, 5), np.float32)
    options = ((3, 2), (2, 1), (1, 0), ONE, False)
    out, indices = kernels.max_pool2d(x, *options)
    for layout, where, grad in zip(layouts(x), layouts(indices), layouts(out), strict=True):
        for each in on_both(kernels.max_pool2d, layout, *options):
            np.testing.assert_array_equal(each[0], out)
            np.testing.assert_array_equal(each[1], indices)
        close(*on_both(kernels.max_pool2d_backward, grad, where, x.shape))
        np.testing.assert_array_equal(*on_both(kernels.max_pool2d_gather, layout, where))
        close(*on_both(kernels.avg_pool2d, layout, *options[:3], True, False, None))
        grad = layout[:, :, 1:4, :4]
        close(*on_both(kernels.avg_pool2d_backward, grad, x.shape, (3, 2), (2, 1), (1, 0), False, True, None))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", ["random", "ties", "nan"])
@pytest.mark.parametrize("width", [2, 3, 8, 15, 16, 17, 33, 66])
def test_windows_of_two(width, values, dtype):
    """The commonest pool has loops of its own, whose rows LLVM vectorises: of any width, apart or overlapping."""
    x = random((2, 3, 7, width), dtype)
    if values == "ties":
        x = np.sign(x)
    elif values == "nan":
        x[x > 0.5] = np.nan
        x[x < -1] = -np.inf
    for rows, ceil_mode in ((2, False), (2, True), (1, False), (3, False), (5, True)):
        options = ((2, 2), (rows, 2), (0, 0))
        for one, other in zip(*on_both(kernels.max_pool2d, x, *options, ONE, ceil_mode), strict=True):
            np.testing.assert_array_equal(one, other)
        one, other = on_both(kernels.avg_pool2d, x, *options, ceil_mode, True, None)
        close(other, one)
        back = on_both(kernels.avg_pool2d_backward, one, x.shape, *options, ceil_mode, False, 3)
        close(back[1], back[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_in_an_average(dtype):
    x = random((1, 1, 4, 4), dtype)
    x[0, 0, 0, 1], x[0, 0, 3, 3] = np.nan, np.inf
    for out in on_both(kernels.avg_pool2d, x, (2, 2), (2, 2), (0, 0), False, True, None):
        assert np.isnan(out[0, 0, 0, 0])
        assert np.isposinf(out[0, 0, 1, 1])
        assert np.isfinite(out[0, 0, 0, 1])


@pytest.mark.parametrize("bad", [-1, 16, 2**40, -(2**40)])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_an_index_outside_the_plane_is_refused(bad, backend):
    if backend == "numba":
        pytest.importorskip("numba")
    indices = np.array([[[[0, bad]]]])
    with kernels.use_backend(backend, threshold=0):
        with pytest.raises(IndexError, match="0 to 15"):
            kernels.max_pool2d_backward(np.ones((1, 1, 1, 2)), indices, (1, 1, 4, 4))
        with pytest.raises(IndexError, match="0 to 15"):
            kernels.max_pool2d_gather(np.ones((1, 1, 4, 4)), indices)
        with pytest.raises(IndexError, match="integers"):
            kernels.max_pool2d_gather(np.ones((1, 1, 4, 4)), indices * 0.0)


def test_shapes_that_do_not_fit():
    x = np.ones((1, 1, 3, 3))
    with pytest.raises(ShapeError, match="does not fit"):
        kernels.max_pool2d(x, (4, 4), ONE, (0, 0), ONE, False)
    with pytest.raises(ShapeError, match="nothing but padding"):
        kernels.max_pool2d(x[:, :, :2, :2], (2, 2), ONE, ONE, (3, 3), False)
    with pytest.raises(ShapeError, match="4 dims"):
        kernels.avg_pool2d(x[0], ONE, ONE, (0, 0), False, True, None)
    with pytest.raises(ShapeError, match="grad is"):
        kernels.avg_pool2d_backward(x, x.shape, (2, 2), (2, 2), (0, 0), False, True, None)
    with pytest.raises(ShapeError, match="grad is"):
        kernels.max_pool2d_backward(x, np.zeros((1, 1, 1, 1), np.int64), x.shape)
    with pytest.raises(ShapeError, match="the same first two"):
        kernels.max_pool2d_gather(x, np.zeros((2, 1, 1, 1), np.int64))


def test_ceil_mode_drops_a_window_that_starts_in_the_right_padding():
    assert kernels.pool_output_size(5, 2, 2, 0, 1, True) == 3
    assert kernels.pool_output_size(4, 2, 3, 1, 1, True) == 2
    assert kernels.pool_output_size(1, 2, 2, 1, 1, True) == 1
    assert kernels.pool_output_size(5, 2, 2, 0, 1, False) == 2


@pytest.mark.torch
@given(geometries(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_torch_agrees_on_max(case, with_nan):
    torch = pytest.importorskip("torch")
    shape, options = case
    assume(shape[0] > 0 and not may_have_only_padding(shape, options))
    x = random(shape, np.float64)
    if with_nan:
        x[x > 0.5] = np.nan
    kernel, stride, padding, dilation, ceil_mode = options
    out, indices = torch.nn.functional.max_pool2d(
        torch.from_numpy(x), kernel, stride, padding, dilation, ceil_mode=ceil_mode, return_indices=True
    )
    ours = kernels.max_pool2d(x, *options)
    np.testing.assert_array_equal(ours[0], out.numpy())
    np.testing.assert_array_equal(ours[1], indices.numpy())


@pytest.mark.torch
@given(geometries(dilated=False), st.booleans(), st.none() | st.integers(1, 5))
@settings(deadline=None, max_examples=60)
def test_torch_agrees_on_average(case, count_include_pad, divisor):
    torch = pytest.importorskip("torch")
    shape, (kernel, stride, padding, _, ceil_mode) = case
    assume(shape[0] > 0)
    options = (kernel, stride, padding, ceil_mode, count_include_pad, divisor)
    x = torch.from_numpy(random(shape, np.float64)).requires_grad_()
    out = torch.nn.functional.avg_pool2d(x, *options)
    grad = random(tuple(out.shape), np.float64, 1)
    out.backward(torch.from_numpy(grad))
    close(kernels.avg_pool2d(x.detach().numpy(), *options), out.detach().numpy())
    close(kernels.avg_pool2d_backward(grad, shape, *options), x.grad.numpy())
