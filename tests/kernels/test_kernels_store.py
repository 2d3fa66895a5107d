"""Kernels made ahead: they are those of the sources, a damaged store is left alone, and a first step needs no Numba."""

from __future__ import annotations

import json
import math
import shutil
import sys

import numpy as np
import pytest
from kernel_cases import numba_everywhere, random
from test_kernels_backend import run

from tinygrad_edu import kernels
from tinygrad_edu.kernels.compiled import cpu, store

needs_store = pytest.mark.skipif(cpu.level() is None, reason="the store is for Linux on x86-64 with AVX2")

STEP = """
    import hashlib, sys, numpy as np
    import tinygrad_edu as tg
    from tinygrad_edu import nn
    from tinygrad_edu.kernels.compiled import store
    {before}
    tg.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)).to(tg.{dtype})
    optimizer = tg.optim.{optimizer}
    x, labels = tg.randn(128, 1, 28, 28, dtype=tg.{dtype}), tg.arange(128) % 10
    for _ in range(2):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    print(digest.hexdigest(), "numba" in sys.modules)
"""
SGD, ADAM = "SGD(model.parameters(), lr=0.1, momentum=0.9)", "Adam(model.parameters())"


def step(optimizer=SGD, dtype="float32", before="", **environment):
    return run(STEP.format(before=before, dtype=dtype, optimizer=optimizer), **environment).split()


@needs_store
def test_the_store_is_made_from_the_sources():
    from tinygrad_edu.kernels.compiled import build

    index = json.loads(store.INDEX.read_text())
    assert index["sources"] == store.hash_of_sources(), "a kernel's source has changed: run `make kernels`"
    for level in build.FEATURES:
        assert index["libraries"][level] == store.hash_of(store.FOLDER / f"{level}.so")
    assert store.is_there()
    missing = [entry for entry in build.entries() if store.find(*entry) is None]
    assert not missing, "run `make kernels`"
    assert store.find("optimizers.sgd", (2, 0, 0)) is None


@needs_store
def test_a_first_step_needs_no_numba(tmp_path):
    """Neither its import nor its compiler: nothing is written where compiled kernels are kept."""
    assert step(NUMBA_CACHE_DIR=str(tmp_path))[1] == "False"
    assert not list(tmp_path.iterdir())


@needs_store
@pytest.mark.parametrize(("optimizer", "dtype"), [(SGD, "float32"), (ADAM, "float64")])
def test_the_same_bits_made_ahead_and_now(optimizer, dtype, tmp_path):
    ahead, without_numba = step(optimizer, dtype)
    now, with_numba = step(optimizer, dtype, "store.find = lambda *_: None", NUMBA_CACHE_DIR=str(tmp_path))
    assert (ahead, without_numba, with_numba) == (now, "False", "True")


@needs_store
def test_the_other_library():
    """That for AVX2, on a CPU that has AVX-512 too: a level has all that the one below it has."""
    narrow = "from tinygrad_edu.kernels.compiled import cpu; cpu.LANE_BYTES, cpu.REGISTERS = 32, 16"
    ahead, with_numba = step(before=narrow)
    assert with_numba == "False"
    assert ahead == step(before=f"{narrow}; store.find = lambda *_: None")[0]


@needs_store
def test_the_same_bits_on_any_threads():
    said = {step(**{"NUMBA_NUM_THREADS": count})[0] for count in ("1", "2")}
    said.add(step(NUMBA_THREADING_LAYER="workqueue")[0])
    assert len(said) == 1


@needs_store
def test_only_a_whole_store_is_loaded(tmp_path, monkeypatch):
    level = cpu.level()
    folder = tmp_path / "libraries"
    shutil.copytree(store.FOLDER, folder)
    assert store.load(level, folder) is not None
    library, index = folder / f"{level}.so", folder / "index.json"
    whole, said = library.read_bytes(), index.read_text()
    library.write_bytes(whole[:-1])
    assert store.load(level, folder) is None  # cut off
    library.write_bytes(whole[:999] + b"?" + whole[1000:])
    assert store.load(level, folder) is None  # one byte changed
    library.unlink()
    assert store.load(level, folder) is None
    library.write_bytes(whole)
    for wrong in ("", "[]", "{}", said.replace(store.hash_of_sources(), "0" * 64)):
        index.write_text(wrong)
        assert store.load(level, folder) is None, wrong
    index.write_text(said)
    assert store.load(level, folder) is not None
    assert store.load("x86-64-v9", folder) is None


def test_the_hash_sees_each_source(tmp_path):
    shutil.copytree(store.HERE, tmp_path / "kernels" / "compiled", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(store.HERE.parent / "flat.py", tmp_path / "kernels")
    folder = tmp_path / "kernels" / "compiled"
    assert store.hash_of_sources(folder) == store.hash_of_sources()
    for path in [*(folder / name for name in store.SOURCES), *(folder / "tasks").glob("*.py")]:
        before = store.hash_of_sources(folder)
        path.write_text(path.read_text() + "\n")
        assert store.hash_of_sources(folder) != before, path


def test_all_that_tasks_import_is_hashed():
    """What a kernel's file imports is compiled with it: it must be among the sources, unless there is no code in it."""
    known = {name.removeprefix("../").removesuffix(".py") for name in store.SOURCES}
    known |= {"cpu", "quiet", "memory", "jit", "views"}  # constants of the level; types; how Numba is called
    for path in [*(store.HERE / "tasks").glob("*.py"), *(store.HERE / name for name in store.SOURCES)]:
        for line in path.read_text().splitlines():
            if line.startswith("from ."):
                assert line.split()[1].lstrip(".") in known, f"{path.name}: {line}"


@pytest.mark.torch
@needs_store
def test_threads_of_others_are_left_alone():
    """Where PyTorch has loaded OpenMP before us, with its long spinning, Numba's threads serve."""
    pytest.importorskip("torch")
    said = run(
        """
        import torch, numpy as np
        from tinygrad_edu import kernels
        from tinygrad_edu.kernels.compiled import team
        kernels.use_backend("numba", threshold=0)
        print(team.is_there(), kernels.sum(np.ones(1_000_000), None, False))
        """
    )
    assert said == "False 1000000.0"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 31, 32, 33, 100, 40_000])
def test_sums(dtype, size):
    pytest.importorskip("numba")
    x = random((3, size), dtype)
    with numba_everywhere():
        for row, total in zip(x, kernels.sum(x, (1,), False), strict=True):
            assert total == pytest.approx(math.fsum(row), rel=2 * float(np.finfo(dtype).eps), abs=size * 1e-15)
        columns = kernels.sum(x, (0,), False)
    np.testing.assert_allclose(columns, x.astype(np.float64).sum(axis=0), rtol=1e-6, atol=1e-12)


def test_relu_keeps_nan():
    pytest.importorskip("numba")
    x = np.array([np.nan, -1.0, -0.0, 0.0, 2.0, np.inf, -np.inf])
    with numba_everywhere():
        np.testing.assert_array_equal(kernels.relu(x), [np.nan, 0, 0, 0, 2, np.inf, 0])
        np.testing.assert_array_equal(kernels.relu_gate(x + 1, x), [np.nan, 0, 0, 0, 3, np.inf, 0])


def test_fewer_threads_than_asked_for():
    """OpenMP may grant fewer: each part of the work is still done, once."""
    if not sys.platform.startswith("linux"):
        pytest.skip("GNU OpenMP")
    said = run(
        """
        import numpy as np
        from tinygrad_edu import kernels
        kernels.use_backend("numba", threshold=0)
        print(kernels.sum(np.ones((1_000_000, 2)), None, False))
        """,
        OMP_THREAD_LIMIT="1",
    )
    assert said == "2000000.0"
