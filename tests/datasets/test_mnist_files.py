"""IDX files: read exactly, or refused with the file's name, what was expected and what was found."""

from __future__ import annotations

import gzip
import os
import re

import data_files as files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu.datasets import MNIST, FashionMNIST
from tinygrad_edu.datasets.idx import read_idx
from tinygrad_edu.errors import DataError

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    files.write(folder, files.mnist_files(packed=False))
    return folder


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("cls", [MNIST, FashionMNIST])
def test_reads_torchvisions_folder(tmp_path, cls, packed):
    files.write(tmp_path / cls.__name__ / "raw", files.mnist_files(packed=packed))
    images, labels = files.mnist_arrays(12, seed=12)
    data = cls(tmp_path)
    assert np.asarray(data.data).dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(data.data), images)
    np.testing.assert_array_equal(np.asarray(data.targets), labels)
    image, label = data[7]
    np.testing.assert_array_equal(np.asarray(image), images[7][None].astype(np.float32) / np.float32(255))
    assert label == 7
    assert len(cls(tmp_path, train=False)) == 6
    assert len(data.classes) == 10


def test_root_from_the_environment(raw, monkeypatch):
    monkeypatch.setenv("TINYGRAD_EDU_DATA", str(raw.parent.parent))
    assert len(MNIST()) == 12


def test_missing_says_both_fixes(tmp_path):
    words = (
        f"MNIST: Dataset not found in root {re.escape(str(tmp_path))}.*Expected MNIST/raw/{IMAGES}.*{LABELS}.*"
        "You can use download=True.*or put the files there yourself"
    )
    with pytest.raises(DataError, match=words):
        MNIST(tmp_path)
    with pytest.raises(RuntimeError):  # torchvision's type
        MNIST(tmp_path)


def test_one_file_missing(raw):
    (raw / LABELS).unlink()
    with pytest.raises(DataError, match="not found"):
        MNIST(raw.parent.parent)


GOOD = files.idx(files.mnist_arrays()[0])
PACKED = gzip.compress(GOOD)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (IMAGES, b"", "the file is empty"),
        (IMAGES, b"\0\0", "expected a header of 4 bytes, found 2"),
        (
            IMAGES,
            b"\0\0\x08\x01" + GOOD[4:],
            r"expected the magic number 0x00000803 \(uint8, 3 dims\), found 0x00000801",
        ),
        (IMAGES, b"\0\0\x0d\x03" + GOOD[4:], "found 0x00000d03"),
        (IMAGES, b"<htm" + GOOD[4:], "found 0x3c68746d"),
        (IMAGES, GOOD[:9], "expected 3 dims in 12 bytes, found 5 bytes"),
        (IMAGES, GOOD[:-1], r"expected 9,408 bytes for the dims \(12, 28, 28\), found 9,407: it is truncated"),
        (IMAGES, GOOD + b"x", "expected 9,408 bytes .* found more"),
        (IMAGES, b"\0\0\x08\x03" + b"\xff" * 12, r"found the dims \(4294967295, 4294967295, 4294967295\)"),
        (IMAGES, files.idx(np.zeros((0, 28, 28), np.uint8)), r"expected some samples, found the dims \(0, 28, 28\)"),
        (f"{IMAGES}.gz", b"", "the file is empty"),
        (f"{IMAGES}.gz", GOOD, "it is no complete gzip file"),
        (f"{IMAGES}.gz", PACKED[:-20], "it is no complete gzip file"),
        (f"{IMAGES}.gz", PACKED[:3000], "it is no complete gzip file"),
        (f"{IMAGES}.gz", PACKED[:5000] + b"\0" * 20 + PACKED[5020:], "it is no complete gzip file"),
        (f"{IMAGES}.gz", PACKED[:-8] + b"\0" * 8, "it is no complete gzip file"),
    ],
)
def test_corrupt_files(raw, name, content, words):
    (raw / IMAGES).unlink()
    (raw / name).write_bytes(content)
    with pytest.raises(
        DataError, match=f"{re.escape(str(raw / name))} is corrupt: .*{words}.*Delete the file"
    ) as caught:
        MNIST(raw.parent.parent)
    assert "download=True" in str(caught.value)


def test_labels_must_fit_the_images(raw):
    (raw / LABELS).write_bytes(files.idx(np.zeros(11, np.uint8)))
    with pytest.raises(DataError, match="12 images but .* has 11 labels"):
        MNIST(raw.parent.parent)
    (raw / LABELS).write_bytes(files.idx(np.array([0] * 5 + [10] + [0] * 6, np.uint8)))
    with pytest.raises(DataError, match=r"label 10 at position 5 of .*labels.* lies outside 0 \.\. 9"):
        MNIST(raw.parent.parent)


def test_images_must_be_28_by_28(raw):
    (raw / IMAGES).write_bytes(files.idx(np.zeros((12, 27, 28), np.uint8)))
    with pytest.raises(DataError, match=r"\(27, 28\) pixels, expected \(28, 28\)"):
        MNIST(raw.parent.parent)


def test_a_folder_in_place_of_a_file(raw):
    (raw / IMAGES).unlink()
    (raw / IMAGES).mkdir()
    with pytest.raises(DataError, match="is a folder, but a file is expected"):
        MNIST(raw.parent.parent)


def test_root_is_a_file(tmp_path):
    root = tmp_path / "root"
    root.write_text("hello")
    with pytest.raises(DataError, match="not found"):
        MNIST(root)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_unreadable_root(raw):
    raw.chmod(0)
    try:
        with pytest.raises(DataError, match="cannot look at .*Permission denied"):
            MNIST(raw.parent.parent)
    finally:
        raw.chmod(0o700)


@pytest.mark.parametrize(("method", "words"), [("stat", "cannot look at"), ("open", "cannot read")])
def test_permission_denied(raw, monkeypatch, method, words):
    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(f"pathlib.Path.{method}", refuse)
    with pytest.raises(DataError, match=f"{words} .*Permission denied.*permissions"):
        MNIST(raw.parent.parent)


@settings(deadline=None)
@given(cut=st.integers(0, len(PACKED) - 1))
def test_every_truncation_is_noticed(tmp_path_factory, cut):
    path = tmp_path_factory.getbasetemp() / "cut.gz"
    path.write_bytes(PACKED[:cut])
    with pytest.raises(DataError, match="is corrupt"):
        read_idx(path, 3)
