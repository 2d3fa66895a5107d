"""Which backend runs, when Numba is imported, and what happens where it cannot be used as it likes."""

from __future__ import annotations

import errno
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from kernel_cases import numba_everywhere

import tinygrad_edu
from tinygrad_edu import kernels
from tinygrad_edu.kernels import reference
from tinygrad_edu.kernels.backend import twins
from tinygrad_edu.kernels.reference import (
    activations,
    batch_norm,
    channels,
    convolution,
    elementwise,
    layer_norm,
    logits,
    optimizers,
    pooling,
    products,
    reductions,
)

ROOT = str(Path(tinygrad_edu.__path__[0]).parent)
FAMILIES = {
    "activations": activations,
    "elementwise": elementwise,
    "reductions": reductions,
    "products": products,
    "convolution": convolution,
    "pooling": pooling,
    "optimizers": optimizers,
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "logits": logits,
    "channels": channels,
}


def run(code: str, **environment: str) -> str:
    """What a fresh Python prints for this code; its failure fails the test."""
    inherited = {name: value for name, value in os.environ.items() if name != "TINYGRAD_EDU_BACKEND"}
    path = os.pathsep.join([environment.pop("FIRST_ON_PATH", ""), ROOT, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**inherited, "PYTHONPATH": path.strip(os.pathsep), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_numba_is_imported_by_the_first_large_array_only():
    pytest.importorskip("numba")
    said = run(
        """
        import sys, numpy as np
        from tinygrad_edu import kernels
        kernels.exp(np.ones(10)), kernels.conv2d(*[np.ones((1, 1, 3, 3))] * 2, (1, 1), (0, 0), (1, 1), 1)
        print(kernels.backend(), "numba" in sys.modules)
        kernels.erf(np.ones(1_000_000))
        print("numba" in sys.modules)
        """
    )
    assert said.split() == ["numba", "False", "True"]


def test_numpy_by_environment():
    said = run(
        """
        import sys, numpy as np
        from tinygrad_edu import kernels
        kernels.sum(np.ones(1_000_000), None, False)
        print(kernels.backend(), "numba" in sys.modules)
        """,
        TINYGRAD_EDU_BACKEND="numpy",
    )
    assert said == "numpy False"


def test_unknown_backend_in_the_environment():
    said = run(
        """
        try:
            import tinygrad_edu.kernels
        except ValueError as error:
            print(error)
        """,
        TINYGRAD_EDU_BACKEND="cupy",
    )
    assert said == "TINYGRAD_EDU_BACKEND: 'cupy' is no backend; valid are 'numpy' and 'numba'"


def test_numba_wanted_but_not_installed():
    code = """
        import sys
        sys.modules["numba"] = None  # as if it were not installed
        try:
            from tinygrad_edu import kernels
            print(kernels.backend())
        except ImportError as error:
            print(error)
        """
    assert run(code) == "numpy"
    assert "pip install numba" in run(code, TINYGRAD_EDU_BACKEND="numba")


def test_numba_installed_but_broken(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 1.0 or less')")
    code = """
        import warnings, numpy as np
        from tinygrad_edu import kernels
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                print(kernels.add_channel_bias(np.ones((1_000_000, 1)), np.zeros(1))[9, 0], kernels.backend(), end=" ")
                print(len(caught), caught[0].message)
            except ImportError as error:
                print(error)
        """
    said = run(code, FIRST_ON_PATH=str(tmp_path))
    assert said.startswith("1.0 numpy 1 Numba is installed but cannot be imported")
    assert "set TINYGRAD_EDU_BACKEND=numpy" in run(code, FIRST_ON_PATH=str(tmp_path), TINYGRAD_EDU_BACKEND="numba")


def test_use_backend():
    before = kernels.backend()
    with kernels.use_backend("numpy"):
        assert kernels.backend() == "numpy"
        with numba_everywhere():
            assert kernels.backend() == "numba"
        assert kernels.backend() == "numpy"
    assert kernels.backend() == before
    with pytest.raises(ValueError, match="'numpy' and 'numba'"):
        kernels.use_backend("cuda")
    assert kernels.backend() == before


def test_threshold_is_the_first_size_on_numba(monkeypatch):
    pytest.importorskip("numba")
    module = twins("elementwise")
    sizes = []
    monkeypatch.setattr(module, "relu", lambda x: sizes.append(x.size) or x)
    with kernels.use_backend("numba", threshold=5):
        for size in (0, 4, 5, 6):
            kernels.relu(np.ones(size))
    assert sizes == [5, 6]


@pytest.mark.parametrize("family", FAMILIES)
def test_twins_have_the_signatures_of_their_references(family):
    pytest.importorskip("numba")
    module = twins(family)
    for name, function in vars(module).items():
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
            original = getattr(FAMILIES[family], name)
            if family != "elementwise":  # made by one factory there
                assert inspect.signature(function) == inspect.signature(original), name
    assert reference.__doc__


def test_every_public_name_exists():
    for name in kernels.__all__:
        assert callable(getattr(kernels, name))
        assert getattr(kernels, name).__doc__ or name in vars(elementwise)


def test_no_folder_to_cache_in(monkeypatch):
    numba = pytest.importorskip("numba")
    from tinygrad_edu.kernels.compiled.jit import jit

    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    kernel = jit(parallel=False)(_fill)
    out = np.zeros(3)
    kernel(2.0, out)
    assert out.tolist() == [2, 2, 2]


def test_no_room_in_the_cache(monkeypatch, tmp_path):
    numba = pytest.importorskip("numba")
    from tinygrad_edu.kernels.compiled.jit import jit

    def full(self, signature, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba.core.caching.Cache, "save_overload", full)
    kernel = jit(parallel=False)(_fill)
    out = np.zeros(3)
    with pytest.warns(RuntimeWarning, match="cannot be cached"):
        kernel(2.0, out)
    assert out.tolist() == [2, 2, 2]


def _fill(value, out):
    for i in range(out.size):
        out[i] = value
