"""Digits, and what all image data sets share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinygrad_edu.datasets import CIFAR10, MNIST, Digits, default_root, digits
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.utils.data import DataLoader, Subset, default_collate


def one_by_one(batch):
    return default_collate(batch)


def numbers(batches):
    return [[np.asarray(part) for part in batch] for batch in batches]


def test_digits():
    train, test = Digits(), Digits(train=False)
    assert (len(train), len(test)) == (1437, 360)
    image, label = train[0]
    assert isinstance(image, Tensor)
    assert np.asarray(image).dtype == np.float32
    assert (tuple(image.shape), type(label)) == ((1, 8, 8), int)
    images, labels = train.tensors()
    assert tuple(images.shape) == (1437, 1, 8, 8)
    assert np.asarray(labels).dtype == np.int64
    assert np.asarray(images).min() == 0
    assert np.asarray(images).max() == 1
    assert np.bincount(np.asarray(test.targets)).tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]


def test_digits_split_is_fixed():
    """The first test samples, by their place in the published order: results stay comparable."""
    with np.load(digits.FILE) as stored:
        everything = stored["images"].reshape(1797, 64)
    rows = {row.tobytes(): i for i, row in enumerate(everything)}
    assert len(rows) == 1797
    places = [rows[row.tobytes()] for row in np.asarray(Digits(train=False).data)]
    assert places[:8] == FIRST_TEST_PLACES
    rest = [rows[row.tobytes()] for row in np.asarray(Digits().data)]
    assert sorted(places + rest) == list(range(1797))


FIRST_TEST_PLACES = [0, 2, 4, 8, 15, 18, 25, 28]


@pytest.mark.parametrize("size", [10, 0.5, 1796])
def test_digits_in_another_split(size):
    train, test = Digits(test_size=size), Digits(train=False, test_size=size)
    assert len(train) + len(test) == 1797
    assert len(test) == (size if isinstance(size, int) else 898)
    if size != 1796:
        counts = np.bincount(np.asarray(test.targets), minlength=10)
        assert counts.max() - counts.min() <= 0.06 * counts.mean() + 1


@pytest.mark.parametrize("size", [0, 1797, -3, 1.0, 0.0, 1.5])
def test_digits_needs_two_parts(size):
    with pytest.raises(ValueError, match="test_size must be a number of samples from 1 to 1796, or a fraction"):
        Digits(test_size=size)


def test_digits_are_scikit_learns():
    sklearn = pytest.importorskip("sklearn.datasets")
    published = sklearn.load_digits()
    with np.load(digits.FILE) as stored:
        assert (stored["images"] == published.images).all()
        assert (stored["labels"] == published.target).all()
        assert sorted(stored["order"]) == list(range(1797))


def test_digits_is_small():
    assert digits.FILE.stat().st_size < 60_000


def test_indices():
    data = Digits(train=False)
    assert data[-1][1] == data[359][1] == data[np.int64(359)][1]
    assert len(list(data)) == 360
    for index in (360, -361):
        with pytest.raises(IndexError, match=f"index {index} is out of range for 360 samples"):
            data[index]
    with pytest.raises(TypeError):
        data[0.5]


def test_transforms():
    data = Digits(transform=lambda image: np.asarray(image) * 2, target_transform=lambda label: label + 100)
    image, label = data[3]
    assert np.asarray(image).max() == 2
    assert label == Digits()[3][1] + 100
    batch, labels = next(iter(DataLoader(data, 5)))
    assert tuple(batch.shape) == (5, 1, 8, 8)
    assert np.asarray(labels).min() >= 100
    images, labels = data.tensors()
    assert np.asarray(images).max() == 2
    assert np.asarray(labels).min() == 100
    with pytest.raises(TypeError, match="transform must be callable"):
        Digits(transform=3)


@pytest.mark.parametrize("workers", [0, 2])
def test_whole_batches_equal_one_by_one(workers):
    data = Digits(train=False)
    for dataset in (data, Subset(data, range(99, 0, -7))):
        order = {"sampler": list(range(len(dataset)))[::-1], "num_workers": workers}
        fast = numbers(DataLoader(dataset, 64, **order))
        slow = numbers(DataLoader(dataset, 64, collate_fn=one_by_one, **order))
        for a, b in zip(fast, slow, strict=True):
            for x, y in zip(a, b, strict=True):
                assert x.dtype == y.dtype
                np.testing.assert_array_equal(x, y)


def test_data_may_be_replaced():
    data = Digits()
    keep = np.asarray(data.targets) < 2
    data.data, data.targets = wrap(np.asarray(data.data)[keep]), wrap(np.asarray(data.targets)[keep])
    assert len(data) == keep.sum()
    (images, labels), *_ = DataLoader(data, 16)
    assert set(np.asarray(labels).tolist()) == {0, 1}
    np.testing.assert_array_equal(np.asarray(images)[3], np.asarray(data[3][0]))


def test_a_subclass_is_read_sample_by_sample():
    class Labelled(Digits):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image, f"digit {label}"

    assert next(iter(DataLoader(Labelled(), 2)))[1] == ("digit 1", "digit 3")


def test_repr():
    assert repr(Digits("somewhere", train=False, transform=abs)) == (
        "Dataset Digits\n    Number of datapoints: 360\n    Root location: somewhere\n    Split: Test\n"
        "    Transform: <built-in function abs>"
    )
    assert Digits().class_to_idx["7"] == 7


def test_default_root(monkeypatch):
    monkeypatch.setenv("TINYGRAD_EDU_DATA", "~/data")
    assert default_root() == Path.home() / "data"
    monkeypatch.delenv("TINYGRAD_EDU_DATA")
    assert default_root().name == "tinygrad_edu"


full = pytest.mark.skipif(
    not (default_root() / "MNIST" / "raw").is_dir(), reason="no MNIST in $TINYGRAD_EDU_DATA or the cache folder"
)
full_cifar = pytest.mark.skipif(
    not any(default_root().glob("cifar-10-*")), reason="no CIFAR-10 in $TINYGRAD_EDU_DATA or the cache folder"
)


@full
def test_the_real_mnist():
    train, test = MNIST(), MNIST(train=False)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert np.bincount(np.asarray(train.targets)).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert round(float(np.asarray(train.data).mean()) / 255, 4) == 0.1307
    assert np.asarray(test.targets)[:5].tolist() == [7, 2, 1, 0, 4]
    total = sum(len(np.asarray(labels)) for _, labels in DataLoader(train, 128, shuffle=True))
    assert total == 60_000


@full_cifar
def test_the_real_cifar10():
    test = CIFAR10(train=False)
    assert tuple(test.data.shape) == (10_000, 32, 32, 3)
    assert np.bincount(np.asarray(test.targets)).tolist() == [1000] * 10
    image, _ = test[5]
    np.testing.assert_array_equal(
        np.asarray(image), np.asarray(test.data)[5].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    )
