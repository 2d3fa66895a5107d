"""Convolution with an image in each SIMD lane: odd sizes of everything, NaN that stays in its lane, nothing outside."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from kernel_cases import DTYPES, check_result, close, layouts, random
from test_kernels_backend import run

from tinygrad_edu import kernels
from tinygrad_edu.kernels.reference import convolution as reference

pytest.importorskip("numba")
lanes = pytest.importorskip("tinygrad_edu.kernels.compiled.convolution_lanes")
loops = pytest.importorskip("tinygrad_edu.kernels.compiled.convolution_loops")

PLAIN = ((1, 1), (0, 0), (1, 1), 1)  # stride, padding, dilation, groups
SAME = ((1, 1), (1, 1), (1, 1), 1)
CASES = [  # x, weight, options: each tile, strides in which some pixels have no tap, more than one chunk of rows
    ((17, 3, 9, 8), (8, 3, 3, 3), SAME),
    ((5, 6, 14, 14), (16, 6, 5, 5), PLAIN),
    ((3, 1, 28, 27), (6, 1, 5, 5), ((1, 1), (2, 2), (1, 1), 1)),
    ((2, 8, 7, 6), (6, 4, 3, 2), ((2, 3), (1, 2), (2, 1), 2)),
    ((4, 5, 9, 9), (5, 1, 3, 3), ((1, 2), (2, 0), (1, 2), 5)),
    ((16, 2, 11, 10), (7, 2, 2, 1), ((3, 4), (0, 1), (1, 1), 1)),
    ((2, 40, 33, 30), (9, 40, 3, 3), SAME),
    ((2, 70, 3, 160), (3, 70, 3, 3), SAME),
    ((33, 13, 1, 1), (11, 13, 1, 1), PLAIN),
]


@st.composite
def geometries(draw):
    """Batches and channels around the number of lanes and the sizes of tiles."""
    small = st.integers(1, 3)
    stride, dilation = draw(st.tuples(small, small)), draw(st.tuples(small, small))
    padding, kernel = draw(st.tuples(*[st.integers(0, 3)] * 2)), draw(st.tuples(*[st.integers(1, 4)] * 2))
    groups, channels, outs = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 10))
    n, size = draw(st.integers(1, 18)), (draw(st.integers(1, 9)), draw(st.integers(1, 20)))
    assume(all(size[i] + 2 * padding[i] > dilation[i] * (kernel[i] - 1) for i in range(2)))
    return (n, channels * groups, *size), (outs * groups, channels, *kernel), (stride, padding, dilation, groups)


def arrays(case, dtype):
    x, weight = random(case[0], dtype), random(case[1], dtype, 1)
    return x, weight, random(reference.conv2d(x, weight, *case[2]).shape, dtype, 2)


def products(module, x, weight, grad, options):
    return (
        module.conv2d(x, weight, *options),
        module.conv2d_input_grad(grad, weight, x.shape, *options),
        module.conv2d_weight_grad(grad, x, weight.shape, *options),
    )


def check_against_float64(case, dtype):
    x, weight, grad = arrays(case, dtype)
    expected = products(reference, *(array.astype(np.float64) for array in (x, weight, grad)), case[2])
    for actual, exact in zip(products(lanes, x, weight, grad, case[2]), expected, strict=True):
        check_result(actual, dtype, x, weight, grad)
        close(actual, exact.astype(dtype), ulps=16, scale=3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_cases(case, dtype):
    check_against_float64(case, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@given(geometries())
@example(((1, 1, 1, 1), (1, 1, 1, 1), PLAIN))
@example(((1, 1, 1, 1), (1, 1, 2, 2), ((3, 3), (3, 3), (3, 3), 1)))
@settings(deadline=None, max_examples=80)
def test_any_geometry(dtype, case):
    check_against_float64(case, dtype)


@pytest.mark.parametrize("n", range(1, 36))
def test_any_batch(n):
    check_against_float64(((n, 2, 4, 5), (3, 2, 2, 3), SAME), np.float32)


@pytest.mark.parametrize(
    "case",
    [
        ((0, 2, 4, 4), (3, 2, 2, 2), PLAIN),
        ((2, 2, 4, 4), (0, 2, 2, 2), PLAIN),
        ((2, 0, 4, 4), (3, 0, 2, 2), PLAIN),
        ((2, 3, 0, 4), (3, 3, 2, 2), SAME),
    ],
    ids=str,
)
def test_nothing_to_do(case):
    x, weight = np.ones(case[0]), np.ones(case[1])
    grad = np.ones(reference.conv2d(x, weight, *case[2]).shape)
    expected = products(reference, x, weight, grad, case[2])
    for actual, exact in zip(products(lanes, x, weight, grad, case[2]), expected, strict=True):
        np.testing.assert_array_equal(actual, exact)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout(dtype):
    x, weight, grad = arrays(CASES[0], dtype)
    expected = products(lanes, x, weight, grad, SAME)
    for inputs in zip(layouts(x), layouts(weight), layouts(grad), strict=True):
        for actual, same in zip(products(lanes, *inputs, SAME), expected, strict=True):
            np.testing.assert_array_equal(actual, same)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("case", CASES[:6], ids=str)
def test_nan_and_inf_stay_in_their_image(case, value):
    x, weight, grad = arrays(case, np.float32)
    clean = products(lanes, x, weight, grad, case[2])
    x[1, 0, 1, 1] = grad[1, 0, 0, 0] = value
    expected, actual = products(reference, x, weight, grad, case[2]), products(lanes, x, weight, grad, case[2])
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(np.isfinite(one), np.isfinite(other))
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
    others = [image for image in range(len(x)) if image != 1]
    for before, after in zip(clean[:2], actual[:2], strict=True):
        np.testing.assert_array_equal(before[others], after[others])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("case", CASES[:6], ids=str)
def test_weights_that_are_not_finite(case, value):
    x, weight, grad = arrays(case, np.float32)
    weight[0, 0, 0, 0] = weight[-1, -1, -1, -1] = value
    with kernels.use_backend("numba", threshold=0):
        actual = products(kernels, x, weight, grad, case[2])
    for one, other in zip(products(reference, x, weight, grad, case[2]), actual, strict=True):
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        np.testing.assert_array_equal(np.isfinite(one), np.isfinite(other))


def test_same_bits_whatever_the_number_of_threads(monkeypatch):
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(lanes, "PARALLEL", 0)
    before = numba.get_num_threads()
    for case in (CASES[3], CASES[6], ((70, 3, 8, 8), (4, 3, 3, 3), SAME)):
        results = []
        for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            numba.set_num_threads(threads)
            try:
                results.append(products(lanes, *arrays(case, np.float32), case[2]))
            finally:
                numba.set_num_threads(before)
        for many in results[1:]:
            for one, other in zip(results[0], many, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("smallest", [0, 10**18])
def test_python_threads_at_once(monkeypatch, smallest):
    """Each call has a scratch of its own, whether Numba's threads work on it or the caller."""
    monkeypatch.setattr(lanes, "PARALLEL", smallest)
    inputs = [arrays(case, np.float32) for case in CASES[:4]]
    expected = [products(lanes, *arrays, case[2]) for arrays, case in zip(inputs, CASES, strict=False)]
    wrong = []

    def work(which):
        for _ in range(20):
            for one, other in zip(products(lanes, *inputs[which], CASES[which][2]), expected[which], strict=True):
                if not np.array_equal(one, other):
                    wrong.append(which)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


GUARDED = """
    import ctypes, mmap
    import numpy as np
    from tinygrad_edu.kernels.compiled import convolution_lanes as lanes, pooling, products
    libc = ctypes.CDLL(None)
    keep, page = [], mmap.PAGESIZE
    def guarded(size, at_end):
        '''Bytes that begin right after, or end right before, memory that nobody may touch.'''
        pages = -(-size // page) + 2
        memory = mmap.mmap(-1, pages * page)
        keep.append(memory)
        whole = np.frombuffer(memory, np.uint8)
        for forbidden in (0, pages - 1):
            assert libc.mprotect(ctypes.c_void_p(whole.ctypes.data + forbidden * page), page, 0) == 0
        inside = whole[page : -page]
        return inside[inside.size - size :] if at_end else inside[:size]
    def copy(x, at_end):
        out = guarded(x.nbytes, at_end).view(x.dtype).reshape(x.shape)
        out[...] = x
        return out
    empty = np.empty
    class Arrays:
        def __getattr__(self, name):
            return getattr(np, name)
        def empty(self, shape, dtype):
            return copy(empty(shape, dtype), at_end)
        def zeros(self, shape, dtype=float):
            return copy(np.zeros(shape, dtype), at_end)
    for module in (lanes, products, pooling):
        module.np = module.memory = Arrays()
    lanes.PARALLEL = products.PARALLEL = 10**18
    rng = np.random.default_rng(0)
    for trial in range(120):
        at_end = trial % 2 == 0
        pair = lambda low, high: tuple(rng.integers(low, high, 2).tolist())
        n, c, o, groups = (int(rng.integers(1, high)) for high in (19, 5, 8, 3))
        size, kernel, stride, dilation, padding = pair(1, 19), pair(1, 4), pair(1, 4), pair(1, 3), pair(0, 3)
        if any(size[i] + 2 * padding[i] <= dilation[i] * (kernel[i] - 1) for i in range(2)):
            continue
        dtype = (np.float32, np.float64)[trial // 2 % 2]
        x = copy(rng.standard_normal((n, c * groups, *size)).astype(dtype), at_end)
        weight = copy(rng.standard_normal((o * groups, c, *kernel)).astype(dtype), at_end)
        options = (stride, padding, dilation, groups)
        out = lanes.conv2d(x, weight, *options)
        lanes.conv2d_input_grad(out, weight, x.shape, *options)
        lanes.conv2d_weight_grad(out, x, weight.shape, *options)
        n, k, m = (int(rng.integers(1, high)) for high in (40, 700, 90))
        x, y, bias = (copy(rng.standard_normal(shape).astype(dtype), at_end) for shape in ((n, k), (k, m), (m,)))
        turned_x, turned_y = copy(np.ascontiguousarray(x.T), at_end).T, copy(np.ascontiguousarray(y.T), at_end).T
        for one in (x, turned_x):
            for other in (y, turned_y):
                np.testing.assert_allclose(products.matmul(one, other), x @ y, rtol=1e-3, atol=1e-3)
            products.affine(one, turned_y.T, bias, True)
        for stride in (1, 2):
            shape = (2, 1, int(rng.integers(2, 9)), int(rng.integers(2, 80)))
            x = copy(rng.standard_normal(shape).astype(dtype), at_end)
            out, indices = pooling.max_pool2d(x, (2, 2), (stride, 2), (0, 0), (1, 1), False)
            pooling.max_pool2d_backward(out, indices, shape, stride == 2)
    print("inside")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect of libc")
def test_nothing_leaves_its_array():
    """Every array, input, output and scratch, lies at the edge of memory that ends the process when touched."""
    assert run(GUARDED) == "inside"


COMPILED_ONCE = """
    import os, sys, numpy as np
    from tinygrad_edu.kernels.compiled import convolution_lanes as lanes, store
    store.find = lambda kernel, constants: None
    lanes.PARALLEL = 0
    x, options = np.ones((2, 8, 5, 6), np.float32), ((1, 1), (1, 1), (1, 1), 1)
    lanes.conv2d_weight_grad(lanes.conv2d(x, x[:, :, :3, :3].repeat(4, 0), *options), x, (8, 8, 3, 3), *options)
    found = [name for _, _, files in os.walk(os.environ["NUMBA_CACHE_DIR"]) for name in files]
    print(sorted(name for name in found if name.endswith(".nbc")))
"""


def test_compiled_code_is_kept_on_disk(tmp_path):
    first = run(COMPILED_ONCE, NUMBA_CACHE_DIR=str(tmp_path))
    assert first.count("_images") == 2
    assert run(COMPILED_ONCE, NUMBA_CACHE_DIR=str(tmp_path)) == first


@pytest.mark.parametrize("unit", ["generic", "avx2"])
def test_any_vector_unit(unit, tmp_path):
    """Vectors of 16 and of 32 bytes, as on CPUs without AVX-512."""
    features = {"generic": "", "avx2": "+avx,+avx2,+fma"}
    said = run(
        """
        import numpy as np
        from tinygrad_edu.kernels.compiled import convolution_lanes as lanes, pooling, products
        from tinygrad_edu.kernels.reference import convolution as reference, pooling as pools
        rng = np.random.default_rng(0)
        for dtype in (np.float32, np.float64):
            x, y = rng.standard_normal((13, 340)).astype(dtype), rng.standard_normal((340, 37)).astype(dtype)
            for other in (y, np.array(y, order="F")):
                np.testing.assert_allclose(products.matmul(x, other), x @ y, rtol=1e-4, atol=1e-4)
            x = rng.standard_normal((2, 3, 6, 30)).astype(dtype)
            twos = ((2, 2), (2, 2), (0, 0), (1, 1), False)
            (out, at), expected = pooling.max_pool2d(x, *twos), pools.max_pool2d(x, *twos)
            np.testing.assert_array_equal(out, expected[0])
            np.testing.assert_array_equal(at, expected[1])
            np.testing.assert_array_equal(
                pooling.max_pool2d_backward(out, at, x.shape, True), pools.max_pool2d_backward(out, at, x.shape, True))
            for n, c, o in ((9, 3, 8), (5, 4, 6)):
                x, weight = rng.standard_normal((n, c, 6, 7)).astype(dtype), np.ones((o, c, 3, 3), dtype)
                options = ((2, 1), (1, 1), (1, 2), 1)
                grad = reference.conv2d(x, weight, *options)
                np.testing.assert_allclose(lanes.conv2d(x, weight, *options), grad, atol=1e-4)
                args = (grad, weight, x.shape, *options)
                np.testing.assert_allclose(
                    lanes.conv2d_input_grad(*args), reference.conv2d_input_grad(*args), rtol=1e-4, atol=1e-4)
                args = (grad, x, weight.shape, *options)
                np.testing.assert_allclose(
                    lanes.conv2d_weight_grad(*args), reference.conv2d_weight_grad(*args), rtol=1e-4, atol=1e-3)
        print(lanes.LANE_BYTES)
        """,
        NUMBA_CPU_NAME="generic",
        NUMBA_CPU_FEATURES=features[unit],
        NUMBA_CACHE_DIR=str(tmp_path),
    )
    assert said in ("16", {"generic": "16", "avx2": "32"}[unit])
