"""Convolution and its gradients: against nested loops, by their adjoint law, twin against reference, and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernel_cases import DTYPES, check_result, close, layouts, numba_everywhere, on_both, places, random

from tinygrad_edu import kernels
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.kernels.backend import twins
from tinygrad_edu.kernels.convolution import DEEP, MANY

PLAIN = ((1, 1), (0, 0), (1, 1), 1)  # stride, padding, dilation, groups
EXAMPLES = [
    ((2, 3, 6, 5), (4, 3, 3, 2), PLAIN),
    ((2, 4, 7, 6), (6, 2, 3, 3), ((2, 3), (1, 2), (2, 1), 2)),
    ((1, 3, 5, 5), (3, 1, 2, 2), ((1, 2), (0, 1), (1, 3), 3)),
    ((3, 1, 1, 1), (2, 1, 1, 1), ((2, 2), (0, 0), (1, 1), 1)),
    ((1, 2, 3, 4), (1, 2, 3, 4), PLAIN),
    ((1, 1, 2, 2), (1, 1, 3, 3), ((1, 1), (2, 2), (1, 1), 1)),
    ((0, 2, 4, 4), (3, 2, 2, 2), PLAIN),
    ((2, 2, 4, 4), (0, 2, 2, 2), PLAIN),
]


@st.composite
def geometries(draw):
    """Shapes of x and weight, and options under which the kernel fits."""
    small = st.integers(1, 3)
    pair = st.tuples(small, small)
    stride, padding, dilation, kernel = draw(pair), draw(st.tuples(*[st.integers(0, 2)] * 2)), draw(pair), draw(pair)
    groups, channels, outs = draw(small), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    n, size = draw(st.integers(0, 2)), draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    assume(all(size[i] + 2 * padding[i] > dilation[i] * (kernel[i] - 1) for i in range(2)))
    return (n, channels * groups, *size), (outs * groups, channels, *kernel), (stride, padding, dilation, groups)


def every_product(x_shape, weight_shape, options):
    """(out, x, weight) indices of each multiplication, straight from the definition."""
    (sh, sw), (ph, pw), (dh, dw), groups = options
    (n, _, h, w), (o, gc, kh, kw) = x_shape, weight_shape
    oh = kernels.conv_output_size(h, kh, sh, ph, dh)
    ow = kernels.conv_output_size(w, kw, sw, pw, dw)
    for image, out, i, j, c, k, m in places(n, o, oh, ow, gc, kh, kw):
        row, column = i * sh - ph + k * dh, j * sw - pw + m * dw
        if 0 <= row < h and 0 <= column < w:
            channel = out // (o // groups) * gc + c
            yield (image, out, i, j), (image, channel, row, column), (out, c, k, m)


def arrays(x_shape, weight_shape, options, dtype):
    x, weight = random(x_shape, dtype), random(weight_shape, dtype, 1)
    stride, padding, dilation, _ = options
    sizes = (
        kernels.conv_output_size(x_shape[2 + i], weight_shape[2 + i], stride[i], padding[i], dilation[i])
        for i in range(2)
    )
    return x, weight, random((x_shape[0], weight_shape[0], *sizes), dtype, 2)


def check_against_loops(case, dtype):
    x, weight, grad = arrays(*case, dtype)
    expected = np.zeros(grad.shape), np.zeros(x.shape), np.zeros(weight.shape)
    scale = 0.0
    for to, source, tap in every_product(*case):
        expected[0][to] += float(x[source]) * float(weight[tap])
        expected[1][source] += float(grad[to]) * float(weight[tap])
        expected[2][tap] += float(grad[to]) * float(x[source])
        scale = max(
            scale, *(abs(a * b) for a, b in ((x[source], weight[tap]), (grad[to], weight[tap]), (grad[to], x[source])))
        )
    options = case[2]
    for out in on_both(kernels.conv2d, x, weight, *options):
        check_result(out, dtype, x, weight)
        close(out, expected[0], scale=scale)
    for out in on_both(kernels.conv2d_input_grad, grad, weight, x.shape, *options):
        check_result(out, dtype, grad, weight)
        close(out, expected[1], scale=scale)
    for out in on_both(kernels.conv2d_weight_grad, grad, x, weight.shape, *options):
        check_result(out, dtype, grad, x)
        close(out, expected[2], scale=scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", EXAMPLES, ids=str)
def test_is_the_loop(case, dtype):
    check_against_loops(case, dtype)


@given(geometries())
@settings(deadline=None, max_examples=60)
def test_is_the_loop_for_any_geometry(case):
    check_against_loops(case, np.float64)


@given(geometries())
@settings(deadline=None, max_examples=60)
def test_gradients_are_adjoint(case):
    """<grad, conv(x, weight)> = <input_grad, x> = <weight_grad, weight>."""
    x, weight, grad = arrays(*case, np.float64)
    for backend in ("numpy", "numba"):
        if backend == "numba":
            pytest.importorskip("numba")
        with kernels.use_backend(backend, threshold=0):
            value = np.vdot(grad, kernels.conv2d(x, weight, *case[2]))
            by_input = np.vdot(kernels.conv2d_input_grad(grad, weight, x.shape, *case[2]), x)
            by_weight = np.vdot(kernels.conv2d_weight_grad(grad, x, weight.shape, *case[2]), weight)
        np.testing.assert_allclose([by_input, by_weight], value, rtol=1e-10, atol=1e-10)


def test_layouts():
    case = EXAMPLES[1]
    x, weight, grad = arrays(*case, np.float32)
    expected = kernels.conv2d(x, weight, *case[2])
    for x_layout, weight_layout, grad_layout in zip(layouts(x), layouts(weight), layouts(grad), strict=True):
        for out in on_both(kernels.conv2d, x_layout, weight_layout, *case[2]):
            close(out, expected)
        one, other = on_both(kernels.conv2d_input_grad, grad_layout, weight_layout, x.shape, *case[2])
        close(one, other)
        one, other = on_both(kernels.conv2d_weight_grad, grad_layout, x_layout, weight.shape, *case[2])
        close(one, other)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_inf_reach_what_they_touch(value):
    case = EXAMPLES[0]
    x, weight, grad = arrays(*case, np.float32)
    x[0, 0, 2, 2] = value
    for function, args in (
        (kernels.conv2d, (x, weight)),
        (kernels.conv2d_weight_grad, (grad, x, weight.shape)),
    ):
        expected, actual = on_both(function, *args, *case[2])
        np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))
        assert not np.isfinite(actual).all()


def test_measured_choice_agrees_with_the_reference():
    pytest.importorskip("numba")
    for channels in (1, 16):  # Numba and BLAS
        x, weight = random((4, channels, 28, 28), np.float32), random((6, channels, 5, 5), np.float32, 1)
        with kernels.use_backend("numba"):
            chosen = kernels.conv2d(x, weight, *PLAIN)
        with kernels.use_backend("numpy"):
            close(chosen, kernels.conv2d(x, weight, *PLAIN))


def test_the_weight_gradient_of_a_deep_layer_is_one_product():
    pytest.importorskip("numba")
    x, grad, shape = random((3, 250, 2, 2), np.float32), random((3, 250, 2, 2), np.float32, 1), (250, 250, 3, 3)
    padded = ((1, 1), (1, 1), (1, 1), 1)
    assert np.prod(shape) >= max(MANY, DEEP * 3 * 2 * 2)
    with kernels.use_backend("numba"):
        chosen = kernels.conv2d_weight_grad(grad, x, shape, *padded)
    close(chosen, twins("convolution").conv2d_weight_grad(grad, x, shape, *padded))
    frame = np.zeros((3, 250, 4, 4))
    frame[:, :, 1:3, 1:3] = x
    for k, m in np.ndindex(3, 3):
        tap = np.einsum("noij,ncij->oc", grad.astype(np.float64), frame[:, :, k : k + 2, m : m + 2])
        np.testing.assert_allclose(chosen[:, :, k, m], tap, rtol=1e-4, atol=1e-4)


def test_same_bits_whatever_the_number_of_threads():
    numba = pytest.importorskip("numba")
    case = ((5, 3, 12, 11), (4, 3, 3, 3), PLAIN)
    x, weight, grad = arrays(*case, np.float32)
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        try:
            with numba_everywhere():
                results.append(
                    (
                        kernels.conv2d(x, weight, *PLAIN),
                        kernels.conv2d_input_grad(grad, weight, x.shape, *PLAIN),
                        kernels.conv2d_weight_grad(grad, x, weight.shape, *PLAIN),
                    )
                )
        finally:
            numba.set_num_threads(before)
    for one, many in zip(*results, strict=True):
        np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize(
    ("x", "weight", "options", "words"),
    [
        ((2, 3, 5, 5), (4, 2, 3, 3), PLAIN, "x needs 2 channels"),
        ((2, 3, 5, 5), (4, 3, 6, 3), PLAIN, "does not fit"),
        ((2, 4, 5, 5), (3, 2, 3, 3), ((1, 1), (0, 0), (1, 1), 2), "divisible by 2"),
        ((3, 5, 5), (3, 2, 3, 3), PLAIN, "4 dims"),
        ((2, 3, 5, 5), (4, 3, 3, 3), ((0, 1), (0, 0), (1, 1), 1), "at least 1"),
        ((2, 3, 5, 5), (4, 3, 3, 3), ((1, 1), (0, -1), (1, 1), 1), "at least 0"),
    ],
)
def test_shapes_that_do_not_fit(x, weight, options, words):
    with pytest.raises(ShapeError, match=words):
        kernels.conv2d(np.ones(x), np.ones(weight), *options)


def test_gradient_of_another_shape():
    with pytest.raises(ShapeError, match="grad is"):
        kernels.conv2d_input_grad(np.ones((1, 1, 9, 9)), np.ones((1, 1, 2, 2)), (1, 1, 4, 4), *PLAIN)
    with pytest.raises(ShapeError, match="grad is"):
        kernels.conv2d_weight_grad(np.ones((1, 1, 9, 9)), np.ones((1, 1, 4, 4)), (1, 1, 2, 2), *PLAIN)


@pytest.mark.torch
@pytest.mark.parametrize("case", EXAMPLES[:6], ids=str)
def test_torch_agrees(case):
    torch = pytest.importorskip("torch")
    x, weight, grad = arrays(*case, np.float64)
    stride, padding, dilation, groups = case[2]
    theirs = torch.from_numpy(x).requires_grad_(), torch.from_numpy(weight).requires_grad_()
    out = torch.nn.functional.conv2d(*theirs, None, stride, padding, dilation, groups)
    out.backward(torch.from_numpy(grad))
    close(kernels.conv2d(x, weight, *case[2]), out.detach().numpy())
    close(kernels.conv2d_input_grad(grad, weight, x.shape, *case[2]), theirs[0].grad.numpy())
    close(kernels.conv2d_weight_grad(grad, x, weight.shape, *case[2]), theirs[1].grad.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("shape", [(5, 3, 7, 6), (1, 3, 9, 8), (17, 4, 6, 6)])
def test_a_bias_and_a_relu_on_the_way(shape, positive, dtype):
    """One image goes to loops, many to lanes; five output channels fill no tile."""
    x, weight, bias = random(shape, dtype), random((5, shape[1], 3, 2), dtype, 1), random((5,), dtype, 2)
    x[0, 1, 2, 3] = np.nan
    expected = kernels.conv2d(x, weight, *PLAIN) + bias.reshape(-1, 1, 1)
    if positive:
        expected = np.where(expected <= 0, 0, expected)
    for out in on_both(kernels.conv2d, x, weight, *PLAIN, bias, positive):
        check_result(out, dtype, x, weight, bias)
        close(out, expected.astype(dtype), 64, 1.0)
    with pytest.raises(RuntimeError, match="conv2d.*bias"):
        kernels.conv2d(x, weight, *PLAIN, bias[:4])
