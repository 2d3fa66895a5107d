"""DLPack: memory shared with NumPy and PyTorch, both ways, uncopied."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu.utils import dlpack


def test_numpy_shares_memory_both_ways():
    x = t.arange(6.0).reshape(2, 3)
    array = np.from_dlpack(x)
    array[0, 0] = 7
    assert x[0, 0].item() == 7.0 and np.shares_memory(array, x.array)
    back = t.from_dlpack(array.T)
    back[2, 1] = 9
    assert x[1, 2].item() == 9.0 and back.shape == (3, 2)
    assert not np.shares_memory(t.from_dlpack(x, copy=True).array, x.array)
    assert t.from_dlpack(x, device="cpu").tolist() == x.tolist()


def test_a_capsule_can_be_taken_once():
    x = t.tensor([1, 2])
    capsule = dlpack.to_dlpack(x)
    y = dlpack.from_dlpack(capsule)
    y[0] = 5
    assert x.tolist() == [5, 2]
    with pytest.raises((RuntimeError, ValueError)):
        dlpack.from_dlpack(capsule)


def test_errors():
    x = t.ones(2, requires_grad=True)
    for export in (lambda: x.__dlpack__(), lambda: np.from_dlpack(x), lambda: dlpack.to_dlpack(x * 2)):
        with pytest.raises(BufferError, match=r"Can't export tensors that require gradient, use tensor.detach\(\)"):
            export()
    with pytest.raises(TypeError, match="stream must be"):
        x.detach().__dlpack__(stream="a")
    with pytest.raises(AssertionError, match="stream should be None"):
        x.detach().__dlpack__(stream=1)
    with pytest.raises(TypeError, match="int has no __dlpack__"):
        t.from_dlpack(3)
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        dlpack.to_dlpack([1])
    with pytest.raises(RuntimeError, match="cuda"):
        t.from_dlpack(x.detach(), device="cuda")
    with pytest.raises(RuntimeError, match="float16"):
        t.from_dlpack(np.ones(2, np.float16))

    class Elsewhere:
        def __dlpack__(self, **options):
            raise AssertionError

        def __dlpack_device__(self):
            return (2, 0)

    with pytest.raises(BufferError, match="not on the CPU"):
        t.from_dlpack(Elsewhere())


@pytest.mark.torch
@pytest.mark.parametrize("name", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_pytorch_shares_memory_both_ways(name):
    torch = pytest.importorskip("torch")
    ours = t.zeros(2, 3, dtype=getattr(t, name)).T
    theirs = torch.from_dlpack(ours)
    theirs[2, 1] = 1
    assert theirs.shape == (3, 2) and str(theirs.dtype) == f"torch.{name}" and bool(ours[2, 1].item())
    back = t.from_dlpack(theirs)
    assert back.dtype is ours.dtype and np.shares_memory(back.array, ours.array)
    source = torch.zeros(4, dtype=getattr(torch, name))
    mine = t.from_dlpack(source[1:])
    mine[0] = 1
    assert bool(source[1]) and mine.shape == (3,)
    from torch.utils import dlpack as theirs_dlpack

    assert theirs_dlpack.from_dlpack(dlpack.to_dlpack(ours)).shape == (3, 2)
    assert dlpack.from_dlpack(theirs_dlpack.to_dlpack(theirs)).tolist() == ours.tolist()


@pytest.mark.torch
def test_errors_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    for lib in (t, torch):
        x = lib.ones(2, requires_grad=True)
        with pytest.raises(BufferError, match="require gradient"):
            x.__dlpack__()
        assert tuple(int(i) for i in x.detach().__dlpack_device__()) == (1, 0)
