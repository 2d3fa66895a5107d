"""Two Python threads at once, forked children, and no access outside an array."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from kernel_cases import numba_everywhere, random
from test_kernels_backend import run

from tinygrad_edu import kernels

pytest.importorskip("numba")

TWO_THREADS = """
    import threading, numba, numpy as np
    from tinygrad_edu import kernels
    x = np.arange(3000.0).reshape(1, 3, 50, 20)
    errors = []
    def work():
        try:
            for _ in range(60):
                assert kernels.sum(x, None, False) == x.sum()
                assert (kernels.relu(x) == x).all()
        except BaseException as error:
            errors.append(error)
    with kernels.use_backend("numba", threshold=0):
        threads = [threading.Thread(target=work) for _ in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    print(numba.threading_layer(), errors)
"""


def test_threads_at_once_under_workqueue():
    """Numba's workqueue aborts the process when entered twice: launches must take turns."""
    assert run(TWO_THREADS, NUMBA_THREADING_LAYER="workqueue") == "workqueue []"


def test_threads_at_once():
    x, weight = random((3, 2, 9, 9), np.float32), random((4, 2, 3, 3), np.float32, 1)
    options = ((1, 1), (1, 1), (1, 1), 1)
    with numba_everywhere():
        expected = kernels.conv2d(x, weight, *options)
        wrong = []

        def work():
            for _ in range(50):
                if not np.array_equal(kernels.conv2d(x, weight, *options), expected):
                    wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_forked_child_goes_on_with_numpy():
    """GNU OpenMP aborts a child that enters a parallel loop after its parent did."""
    said = run(
        """
        import os, sys, numpy as np
        from tinygrad_edu import kernels
        if not hasattr(os, "fork"):
            print("numpy 3.0 0"), sys.exit()
        kernels.use_backend("numba", threshold=0)
        kernels.sum(np.ones(3), None, False)
        child = os.fork()
        if child == 0:
            print(kernels.backend(), kernels.sum(np.ones(3), None, False), end=" ", flush=True)
            os._exit(0)
        print(os.waitpid(child, 0)[1])
        """
    )
    assert said == "numpy 3.0 0"


BOUNDS_CHECKED = """
    import itertools, numpy as np
    from tinygrad_edu import kernels
    from tinygrad_edu.kernels.backend import twins
    from tinygrad_edu.kernels.compiled.jit import config
    assert config.BOUNDSCHECK
    rng = np.random.default_rng(0)
    def random(*shape):
        return rng.standard_normal(shape)
    kernels.use_backend("numba", threshold=0)
    for _ in range(150):
        pair = lambda low, high: tuple(rng.integers(low, high, 2).tolist())
        n, c, o, groups = rng.integers(1, 3, 4).tolist()
        size, kernel, stride, dilation = pair(1, 8), pair(1, 4), pair(1, 4), pair(1, 3)
        padding, ceil_mode = pair(0, 3), bool(rng.integers(2))
        x, weight = random(n, c * groups, *size), random(o * groups, c, *kernel)
        options = (stride, padding, dilation, groups)
        try:
            out = kernels.conv2d(x, weight, *options)
        except RuntimeError:
            continue
        kernels.conv2d_input_grad(out, weight, x.shape, *options)
        kernels.conv2d_weight_grad(out, x, weight.shape, *options)
        padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
        try:
            out, indices = kernels.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
        except RuntimeError:
            continue
        kernels.max_pool2d_backward(out, indices, x.shape)
        kernels.max_pool2d_gather(x, indices)
        try:
            out = kernels.avg_pool2d(x, kernel, stride, padding, ceil_mode, True, None)
        except RuntimeError:
            continue
        kernels.avg_pool2d_backward(out, x.shape, kernel, stride, padding, ceil_mode, True, None)
    for shape in ((5, 7), (1, 1), (40_000, 1), (3, 2, 4)):
        x = random(*shape)
        for axis in (None, (0,), (x.ndim - 1,)):
            for reduce in (kernels.sum, kernels.amax, kernels.amin):
                reduce(x, axis, False)
        kernels.argmax(x, None, False), kernels.argmax(x, x.ndim - 1, False)
    kernels.matmul(random(2, 9, 3), random(2, 3, 5))
    shapes = ((3, 5, 7), (5, 7), (1, 1), (2, 1, 1), (40, 9, 50), (99, 200))
    for parallel, shape in itertools.product((0, 10**9), shapes):
        for family in ("batch_norm", "layer_norm", "logits"):
            twins(family).PARALLEL = parallel
        x, grad, bias = random(*shape), random(*shape), random(shape[1])
        mean, inv_std, var = kernels.batch_norm(x, bias, bias, 1e-5)[1:4]
        kernels.batch_norm_backward(grad, x, bias, mean, inv_std)
        kernels.batch_norm_eval(x, mean, var, bias, None, 1e-5)
        kernels.add_channel_bias(x, bias, True), kernels.channel_sum(x), kernels.accumulate(grad, x)
        kernels.sub(bias.reshape(-1, *(1 for _ in shape[2:])), x)
        kernels.erf(x), kernels.log(x), kernels.tanh(x), kernels.sigmoid(x)
        if x.ndim == 2:
            mean, inv_std = kernels.layer_norm(x, bias, bias, 1e-5)[1:]
            kernels.layer_norm_backward(grad, x, bias, mean, inv_std)
            kernels.softmax_backward(grad, kernels.softmax(x))
            kernels.log_softmax_backward(grad, kernels.log_softmax(x))
            labels = rng.integers(-1, shape[1], shape[0])
            losses, _, logsumexp = kernels.cross_entropy(x, labels, bias, -1, 0.1)
            kernels.cross_entropy_backward(losses, x, labels, bias, -1, 0.1, logsumexp)
    print("inside")
"""


def test_nothing_leaves_its_array(tmp_path):
    said = run(BOUNDS_CHECKED, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
    assert said == "inside"


def test_the_bounds_check_would_notice(tmp_path):
    """A kernel that reads one element too far must fail the test above."""
    script = tmp_path / "beyond.py"
    script.write_text(
        "from numba import prange\n"
        "from tinygrad_edu.kernels.compiled.jit import jit\n"
        "@jit()\n"
        "def beyond(x, out):\n"
        "    for i in prange(out.size):\n"
        "        out[i] = x[i + 1]\n"
    )
    said = run(
        """
        import numpy as np
        from beyond import beyond
        try:
            beyond(np.ones(3), np.ones(3))
        except IndexError:
            print("noticed")
        """,
        NUMBA_BOUNDSCHECK="1",
        NUMBA_CACHE_DIR=str(tmp_path),
        FIRST_ON_PATH=str(tmp_path),
    )
    assert said == "noticed"


@pytest.mark.torch
def test_threads_do_not_fight_those_of_torch():
    """With PyTorch's OpenMP loaded first, whose idle threads spin, a product and a parallel loop took 8 ms, not 0.3."""
    pytest.importorskip("torch")
    said = run(
        """
        import os, torch, numba, numpy as np
        from tinygrad_edu import kernels
        kernels.sum(np.ones(1_000_000), None, False)
        print(numba.threading_layer(), "GOMP_SPINCOUNT" in os.environ)
        """
    )
    assert said in ("workqueue False", "tbb False") or not sys.platform.startswith("linux")
