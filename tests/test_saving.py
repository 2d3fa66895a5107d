"""save and load: every kind of object comes back as it was; other programs read the files too."""

from __future__ import annotations

import io
import math
import os
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as t
from tinygrad_edu import nn, optim


def stored(obj):
    """What comes back from a file in memory."""
    file = io.BytesIO()
    t.save(obj, file)
    return t.load(io.BytesIO(file.getvalue()))


def same(a, b):
    """Equal in value and in type, all the way down; NaN equals NaN."""
    if isinstance(a, t.Tensor):
        return (
            type(b) is t.Tensor
            and a.dtype is b.dtype
            and a.shape == b.shape
            and a.requires_grad == b.requires_grad
            and a.detach().array.tobytes() == b.detach().array.tobytes()
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        keys = zip(a, b, strict=True) if len(a) == len(b) else [(0, 1)]
        return all(same(k, m) for k, m in keys) and all(same(a[k], b[m]) for k, m in zip(a, b, strict=True))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (math.isnan(a) and math.isnan(b))
    return a == b


dtypes = st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_])


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 200, shape)
    array = np.asarray(values, draw(dtypes))
    x = t.from_numpy(array.T if draw(st.booleans()) else array)
    return x.requires_grad_() if array.dtype.kind == "f" and draw(st.booleans()) else x


keys = st.one_of(
    st.text(max_size=4), st.integers(), st.booleans(), st.floats(allow_nan=False), st.none(), st.tuples(st.integers())
)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), tensors())
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(tree=trees)
def test_everything_comes_back_with_its_type(tree):
    assert same(tree, stored(tree))


@pytest.mark.parametrize(
    "tree",
    [
        {1: "int", "1": "text", 2.5: "float", (1, "a"): "tuple", None: "none", False: "no"},
        {"a.b": t.ones(1), "a": {"b": t.zeros(2), "b#2": t.ones(3)}, "a.b#2": t.ones(4)},
        {"": t.ones(1), "__metadata__": t.ones(2), "tensor": t.zeros(1), "\ud800": t.ones(3), "\\ud800": t.ones(4)},
        {"tensor": "not a tensor", "dict": [["a", 1]], "float": "nan"},
        {0: t.ones(2), "0": t.zeros(2)},
        [float("nan"), float("inf"), -float("inf"), -0.0, 1e-320, 0.1, 10**40, -(2**63)],
        {"text": "é\n\0'\"\\ 𝄞 \ud800", "dtypes": [t.float32, t.bool, t.int64]},
        [],
        {},
        (),
        ((), [[]], {"": {}}),
        t.tensor(3),
        t.ones(0, 3),
        t.ones(3, 4).T,
        t.ones(3).expand(2, 3),
    ],
)
def test_hard_cases(tree):
    assert same(tree, stored(tree))


def test_what_changes_its_type():
    state = OrderedDict(a=t.ones(1), n=np.float32(0.5), k=np.int64(3), yes=np.True_, size=t.ones(2, 3).shape)
    back = stored(state)
    assert type(back) is dict and list(back) == ["a", "n", "k", "yes", "size"]
    assert (type(back["n"]), type(back["k"]), back["yes"], type(back["size"])) == (float, int, True, tuple)
    kept = stored(nn.Parameter(t.ones(2)))
    assert type(kept) is t.Tensor and kept.requires_grad and kept.is_leaf
    assert stored(t.ones(2, requires_grad=True) * 2).is_leaf


def test_a_checkpoint_continues_training(tmp_path):
    def make():
        t.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
        return net, optim.Adam(net.parameters(), lr=0.1, betas=(0.8, 0.99))

    def train(net, optimizer, steps):
        rng = np.random.default_rng(1)
        for _ in range(steps):
            x = t.from_numpy(rng.standard_normal((8, 3)).astype(np.float32))
            optimizer.zero_grad()
            (net(x) ** 2).mean().backward()
            optimizer.step()

    net, optimizer = make()
    train(net, optimizer, 3)
    path = tmp_path / "checkpoint.safetensors"
    t.save({"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)
    train(net, optimizer, 2)

    other, other_optimizer = make()
    checkpoint = t.load(path, map_location="cpu", weights_only=True)
    assert checkpoint["epoch"] == 3 and set(checkpoint["optimizer"]["state"]) == set(range(6))
    assert checkpoint["optimizer"]["param_groups"][0]["betas"] == (0.8, 0.99)
    other.load_state_dict(checkpoint["model"])
    other_optimizer.load_state_dict(checkpoint["optimizer"])
    train(other, other_optimizer, 2)
    for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True):
        assert a.tolist() == b.tolist()


def test_loaded_tensors_are_their_own(tmp_path):
    x = t.ones(2)
    back = stored([x, x])
    back[0].add_(1)
    assert back[1].tolist() == [1.0, 1.0] and x.tolist() == [1.0, 1.0]


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (nn.Linear(2, 2), r"obj is a Linear.*save\(model\.state_dict\(\), \.\.\.\)"),
        ({"model": [nn.Linear(2, 2)]}, r"obj\['model'\]\[0\] is a Linear.*state_dict"),
        ({"optimizer": optim.SGD([t.ones(1, requires_grad=True)], lr=1)}, r"obj\['optimizer'\] is a SGD.*state_dict"),
        ({"a": np.ones(2)}, r"ndarray.*from_numpy"),
        ({"a": {1, 2}}, r"set.*list with sorted"),
        ([Point(1, 2)], r"obj\[0\] is a Point.*_asdict"),
        ({"f": len}, "builtin_function_or_method"),
        (b"bytes", "obj is a bytes"),
        (1j, "obj is a complex"),
        ({np.int64(1): 2}, "a key of type int64"),
        ({frozenset(): 2}, "frozenset"),
    ],
)
def test_what_cannot_be_stored_is_named(obj, words, tmp_path):
    with pytest.raises(TypeError, match=f"save: .*{words}"):
        t.save(obj, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_nesting_has_a_limit():
    deep = []
    for _ in range(99):
        deep = [deep]
    assert same(deep, stored(deep))
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contain itself"):
        stored(loop)
    with pytest.raises(ValueError, match="digits"):
        stored(10**4000)


# -- other programs ---------------------------------------------------------------------------------------------------


def test_plain_safetensors_reads_our_files(tmp_path):
    from safetensors.numpy import load_file, save_file

    net = nn.Linear(2, 3)
    t.save({"model": net.state_dict(), "epoch": 1}, tmp_path / "a")
    found = load_file(tmp_path / "a")
    assert set(found) == {"model.weight", "model.bias"}
    assert found["model.weight"].tolist() == net.weight.tolist()
    t.save(net.state_dict(), tmp_path / "b")
    assert set(load_file(tmp_path / "b")) == {"weight", "bias"}
    save_file({"w": np.arange(6.0).reshape(2, 3), "k": np.array(3)}, tmp_path / "c", {"format": "np"})
    back = t.load(tmp_path / "c")
    assert back["w"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] and back["k"].item() == 3
    back["w"][0, 0] = 5  # writable
    save_file({"h": np.ones(2, np.float16)}, tmp_path / "d")
    with pytest.raises(RuntimeError, match="tensor 'h' .* dtype F16, which is not supported"):
        t.load(tmp_path / "d")


@pytest.mark.torch
def test_files_to_and_from_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    theirs = torch.nn.Linear(2, 3)
    safetensors.save_file(theirs.state_dict(), tmp_path / "a")
    ours = nn.Linear(2, 3)
    ours.load_state_dict(t.load(tmp_path / "a"))
    assert ours.weight.tolist() == theirs.weight.tolist()
    t.save(ours.state_dict(), tmp_path / "b")
    theirs.load_state_dict(safetensors.load_file(tmp_path / "b"))
    torch.save(theirs.state_dict(), tmp_path / "c")
    with pytest.raises(RuntimeError, match="is a pickle, as torch.save writes it.*never done"):
        t.load(tmp_path / "c")
    torch.save(theirs.state_dict(), tmp_path / "d", _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="is a pickle"):
        t.load(tmp_path / "d")


# -- arguments --------------------------------------------------------------------------------------------------------


def test_files_and_paths(tmp_path):
    for target in (str(tmp_path / "a"), tmp_path / "b"):
        t.save(t.ones(2), target)
        assert t.load(target).tolist() == [1.0, 1.0]
    with open(tmp_path / "c", "wb") as file:
        t.save({"x": 1}, file)
    with open(tmp_path / "c", "rb") as file:
        assert t.load(file) == {"x": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c"]
    with pytest.raises(TypeError, match="path or a binary file, got int"):
        t.save(1, 3)
    with pytest.raises(TypeError, match="path or a binary file, got int"):
        t.load(3)
    with pytest.raises(TypeError, match="binary mode"):
        t.load(io.StringIO("text"))
    with pytest.raises(FileNotFoundError):
        t.load(tmp_path / "missing")
    with pytest.raises(OSError):
        t.save(1, tmp_path / "missing" / "x")


def test_map_location_and_weights_only(tmp_path):
    path = tmp_path / "x"
    t.save(t.ones(1), path)
    for location in (None, "cpu", t.device("cpu"), {"cuda:0": "cpu"}):
        assert t.load(path, map_location=location).item() == 1.0
    for flag in (None, True, False):
        assert t.load(path, weights_only=flag).item() == 1.0
    with pytest.raises(RuntimeError, match="cuda"):
        t.load(path, map_location="cuda")
    with pytest.raises(NotImplementedError, match="map_location"):
        t.load(path, map_location=lambda storage, location: storage)
    with pytest.raises(TypeError, match="weights_only"):
        t.load(path, weights_only="yes")


def test_links_permissions_and_failed_writes(tmp_path, monkeypatch):
    real, link = tmp_path / "real", tmp_path / "link"
    t.save("first", real)
    os.chmod(real, 0o640)
    link.symlink_to(real)
    t.save("second", link)
    assert link.is_symlink() and t.load(real) == "second" and real.stat().st_mode & 0o777 == 0o640

    def fail(handle):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        t.save("third", real)
    assert t.load(real) == "second" and len(list(Path(tmp_path).iterdir())) == 2
