"""default_collate: every kind of sample, and words that name what does not fit."""

from __future__ import annotations

import collections
import types

import numpy as np
import pytest

from tinygrad_edu.errors import DTypeError, ShapeError
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.utils.data import DataLoader, default_collate, default_convert

Point = collections.namedtuple("Point", "x y")


def plain(value):
    """Tensors -> (dtype name, list), so that whole structures can be compared with ==, torch's too."""
    if isinstance(value, Tensor) or type(value).__module__ == "torch":
        array = np.asarray(value)
        return array.dtype.name, array.tolist()
    if isinstance(value, dict):
        return type(value).__name__, {key: plain(part) for key, part in value.items()}
    if isinstance(value, (tuple, list, collections.deque)):
        return type(value).__name__, [plain(part) for part in value]
    return value


def kinds(tensor):
    """Samples of every kind, with the given maker of tensors."""
    return {
        "tensors": [tensor(np.zeros((2, 3), np.float32)), tensor(np.ones((2, 3), np.float32))],
        "0-d tensors": [tensor(np.array(1)), tensor(np.array(2))],
        "mixed dtypes": [tensor(np.array([1])), tensor(np.array([2.5], np.float32))],
        "arrays": [np.zeros(2, np.uint8), np.ones(2, np.uint8)],
        "0-d arrays": [np.array(2.0), np.array(3.0)],
        "ints": [1, 2],
        "floats": [1.0, 2.0],
        "float, int": [1.5, 2],
        "int, float": [1, 2.5],
        "bools": [True, False],
        "bool, int": [True, 3],
        "float32": [np.float32(1), np.float32(2)],
        "float64": [np.float64(1)],
        "int32": [np.int32(1)],
        "bool_": [np.bool_(True)],
        "str": ["a", "b"],
        "bytes": [b"a", b"b"],
        "tuples": [(1, 2.0), (3, 4.0)],
        "lists": [[1, 2], [3, 4]],
        "empty tuples": [(), ()],
        "namedtuples": [Point(1, 2.0), Point(3, 4.0)],
        "dicts": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        "more keys later": [{"a": 1}, {"a": 2, "b": 3}],
        "ordered": [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
        "nested": [({"a": [1, (2.0, "s")]}, np.zeros(1)), ({"a": [3, (4.0, "t")]}, np.ones(1))],
        "deque": [collections.deque([1, 2]), collections.deque([3, 4])],
        "range": [range(2), range(2)],
    }


EXPECTED = {
    "0-d tensors": ("int64", [1, 2]),
    "mixed dtypes": ("float32", [[1.0], [2.5]]),
    "arrays": ("uint8", [[0, 0], [1, 1]]),
    "ints": ("int64", [1, 2]),
    "floats": ("float64", [1.0, 2.0]),
    "float, int": ("float64", [1.5, 2.0]),
    "int, float": ("float32", [1.0, 2.5]),
    "bools": ("bool", [True, False]),
    "float32": ("float32", [1.0, 2.0]),
    "int32": ("int32", [1]),
    "str": ("list", ["a", "b"]),
    "tuples": ("list", [("int64", [1, 3]), ("float64", [2.0, 4.0])]),
    "namedtuples": ("Point", [("int64", [1, 3]), ("float64", [2.0, 4.0])]),
    "dicts": ("dict", {"a": ("int64", [1, 2]), "b": ("list", ["x", "y"])}),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_kinds(kind):
    assert plain(default_collate(kinds(wrap)[kind])) == EXPECTED[kind]


@pytest.mark.torch
@pytest.mark.parametrize("kind", kinds(wrap))
def test_as_torch(kind):
    torch = pytest.importorskip("torch")
    from torch.utils.data import default_collate as torch_collate

    expected = torch_collate(kinds(torch.from_numpy)[kind])
    assert plain(default_collate(kinds(wrap)[kind])) == plain(expected)


def test_does_not_touch_the_samples():
    sample = collections.OrderedDict(a=np.zeros(2))
    batch = default_collate([sample])
    assert isinstance(batch, collections.OrderedDict)
    assert isinstance(sample["a"], np.ndarray)
    batch = default_collate([types.MappingProxyType({"a": 1})])
    assert plain(batch) == ("dict", {"a": ("int64", [1])})


@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [
        ([np.zeros(2), np.zeros(3)], ShapeError, r"sample is \(2,\) at entry 0 and \(3,\) at entry 1.*collate_fn"),
        (
            [(np.zeros(2), wrap(np.zeros(2))), (np.zeros(2), wrap(np.zeros((1, 2))))],
            ShapeError,
            r"sample\[1\] is \(2,\) at entry 0 and \(1, 2\) at entry 1",
        ),
        ([{"image": np.zeros(2)}, {"image": np.zeros(1)}], ShapeError, r"sample\['image'\]"),
        ([(1, 2), (1,)], ShapeError, "equal size: sample has 2 parts in entry 0 and 1 parts in entry 1"),
        ([(1, 2), 3], ShapeError, "2 parts in entry 0 and int in entry 1"),
        ([{"a": 1}, {"b": 1}], KeyError, "key 'a' in entry 0 but not in entry 1"),
        ([None], TypeError, "numbers, dicts or lists; sample is NoneType"),
        ([{1, 2}], TypeError, "sample is set"),
        ([1, None], TypeError, "got NoneType, int"),
        ([1, [2]], TypeError, "is a number in entry 0"),
        ([1, 2**64], TypeError, "number of 64 bits"),
        ([1, 2**63], ValueError, "does not fit into int64"),
        ([np.array("x")], TypeError, "array of <U1"),
        ([np.array([None])], TypeError, "array of object"),
        ([np.zeros(2, np.float16)], DTypeError, "float16; convert it to one of float32"),
        ([wrap(np.zeros(1)), np.zeros(1)], TypeError, "Tensor in entry 0 but ndarray in entry 1"),
        ([np.zeros(1), wrap(np.zeros(1))], TypeError, "array in entry 0 but Tensor in entry 1"),
        ([], IndexError, "the batch is empty"),
    ],
)
def test_says_what_does_not_fit(batch, error, words):
    with pytest.raises(error, match=words):
        default_collate(batch)


def test_convert_without_batching():
    sample = {"a": np.zeros(2), "b": ("x", np.float32(1), 3), "c": Point(np.ones(1), None)}
    converted = default_convert(sample)
    assert isinstance(converted["a"], Tensor)
    assert converted["b"][0] == "x"
    assert isinstance(converted["b"][1], Tensor)
    assert converted["b"][2] == 3
    assert isinstance(converted["c"], Point)
    assert isinstance(sample["a"], np.ndarray)
    assert [plain(batch) for batch in DataLoader([np.zeros(1), np.ones(1)], batch_size=None)] == [
        ("float64", [0.0]),
        ("float64", [1.0]),
    ]
