"""CIFAR-10 in its four layouts, and pickles that want to do more than hold numbers."""

from __future__ import annotations

import collections
import os
import pickle
import re
import tarfile

import data_files as files
import numpy as np
import pytest

from tinygrad_edu.datasets import CIFAR10, numbers_only
from tinygrad_edu.errors import DataError
from tinygrad_edu.utils.data import DataLoader

N = 6


class Small(CIFAR10):
    images_per_file = N


LAYOUTS = {
    "python folder": lambda: files.cifar_python(N),
    "python 3 folder": lambda: files.cifar_python(N, protocol=4),
    "binary folder": lambda: files.cifar_binary(N),
    "python archive": lambda: {"cifar-10-python.tar.gz": files.tar_gz(files.cifar_python(N))},
    "binary archive": lambda: {"cifar-10-binary.tar.gz": files.tar_gz(files.cifar_binary(N))},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    root = tmp_path / "my.bin"  # a name that must not be mistaken for a file's
    files.write(root, LAYOUTS[layout]())
    train, test = Small(root), Small(root, train=False)
    assert (len(train), len(test)) == (5 * N, N)
    pixels, labels = files.cifar_arrays(5, N)
    images = pixels.reshape(N, 3, 32, 32)
    np.testing.assert_array_equal(np.asarray(test.data), images.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(np.asarray(test.targets), labels)
    image, label = test[4]
    np.testing.assert_array_equal(np.asarray(image), images[4].astype(np.float32) / np.float32(255))
    assert (tuple(image.shape), label) == ((3, 32, 32), 9)
    (batch, targets), *_ = DataLoader(test, 4)
    np.testing.assert_array_equal(np.asarray(batch), images[:4].astype(np.float32) / np.float32(255))
    assert np.asarray(targets).tolist() == [5, 6, 7, 8]
    first, _ = files.cifar_arrays(0, N)
    np.testing.assert_array_equal(np.asarray(train[0][0]).ravel(), first[0].astype(np.float32) / np.float32(255))


def test_missing(tmp_path):
    with pytest.raises(DataError, match=r"cifar-10-batches-py/data_batch_1 \.\.\. data_batch_5, .*download=True"):
        Small(tmp_path)
    files.write(tmp_path, files.cifar_binary(N))
    (tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match="not found"):
        Small(tmp_path)


@pytest.mark.parametrize("length", [0, 1, N * 3073 - 1, (N - 1) * 3073, N * 3073 + 1])
def test_a_binary_file_of_another_length(tmp_path, length):
    files.write(tmp_path, files.cifar_binary(N))
    path = tmp_path / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes((path.read_bytes() + b"x")[:length])
    with pytest.raises(DataError, match=rf"{re.escape(str(path))} has {length:,} bytes, expected 18,438"):
        Small(tmp_path, train=False)


def test_labels_out_of_range(tmp_path):
    files.write(tmp_path, files.cifar_binary(N))
    path = tmp_path / "cifar-10-batches-bin" / "test_batch.bin"
    content = bytearray(path.read_bytes())
    content[2 * 3073] = 77
    path.write_bytes(content)
    with pytest.raises(DataError, match="label 77 at position 2 of .*test_batch.bin"):
        Small(tmp_path, train=False)


GOOD = {"data": files.cifar_arrays(5, N)[0], "labels": [0] * N}


class Other:
    pass


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"labels": [0] * N}, "expected 'data' to be uint8"),
        ({**GOOD, "data": GOOD["data"][:, :-1].copy()}, r"found uint8 \(6, 3071\)"),
        ({**GOOD, "data": GOOD["data"].astype(np.float32)}, "found float32"),
        ({**GOOD, "data": "text"}, "found str"),
        ({**GOOD, "data": np.array([None])}, "no bytes of numbers|no plain number"),
        ({**GOOD, "data": np.array(["x"])}, "no plain number"),
        ({**GOOD, "labels": [0] * 5}, "6 integers, found 5 entries"),
        ({**GOOD, "labels": ["0"] * N}, "'labels' to be 6 integers"),
        ({**GOOD, "labels": [10**30] * N}, "'labels' to be 6 integers"),
        ({**GOOD, "labels": [-1] * N}, "label -1 at position 0"),
        ({**GOOD, "labels": None}, "NoneType"),
        ({**GOOD, "labels": [[0]] * N}, "object of type list"),
        ([1, 2], "expected a dict, found list"),
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
        ({**GOOD, "more": Other}, "Other"),
        ({**GOOD, "more": os.system}, "system, which a file of images has no use for"),
        ({**GOOD, "more": eval}, "eval"),
    ],
)
def test_pickles_of_something_else(tmp_path, content, words):
    files.write(tmp_path, {"cifar-10-batches-py/test_batch": pickle.dumps(content, 2)})
    with pytest.raises(DataError, match=words):
        Small(tmp_path, train=False)


class Malicious:
    """Runs a command when it is unpickled by pickle.load."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_runs_nothing(tmp_path, protocol):
    touched = tmp_path / "touched"
    content = pickle.dumps({"more": Malicious(f"echo > {touched}"), **GOOD}, protocol)
    files.write(tmp_path, {"cifar-10-batches-py/test_batch": content})
    with pytest.raises(DataError, match=r"test_batch is refused: it asks for \w+\.system"):
        Small(tmp_path, train=False)
    assert not touched.exists()
    pickle.loads(content)  # the test's own check: this pickle does bite
    assert touched.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        pickle.dumps(GOOD, 2)[:-1],
        pickle.dumps(GOOD, 2)[:100],
        b"\x80\x02cnumpy\ndtype\n(U\x02O8K\x00K\x01tR.",  # a dtype instead of a dict
        b"(d" * 100_000,
        b"\x80\x02}U\x04datac_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86Rs.",
        b"\x80\x02}U\x04datac_codecs\nencode\n}U\x08__call__K\x01sbs.",  # sets attributes on what it named
        b"\x80\x02}U\x04datacnumpy\nndarray\n}U\x05numpyK\x01sbs.",
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\n)Rs.",  # an array without content
    ],
)
def test_broken_pickles(content):
    with pytest.raises(DataError, match="file.bin is refused"):
        numbers_only.load(content, "file.bin")
    assert (numbers_only.load(pickle.dumps(GOOD, 2), "x")["data"] == GOOD["data"]).all()


def test_an_array_with_fewer_bytes_than_its_shape_says():
    whole = pickle.dumps({"data": np.zeros((2, 3), np.uint8)}, 4)
    assert whole.count(b"K\x02K\x03\x86") == 1
    with pytest.raises(DataError, match=r"array of shape \(2, 9\) and uint8 with 6 bytes"):
        numbers_only.load(whole.replace(b"K\x02K\x03\x86", b"K\x02K\x09\x86"), "x")


@pytest.mark.parametrize("dtype", ["u1", "<i8", ">i4", "<f8"])
@pytest.mark.parametrize("order", "CF")
def test_plain_arrays_come_back(dtype, order):
    array = np.arange(6).reshape(2, 3).astype(dtype, order=order)
    for protocol in range(5):
        back = numbers_only.load(pickle.dumps({"a": array}, protocol), "x")["a"]
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_archives_are_never_extracted(tmp_path):
    content = files.cifar_python(N)
    root = tmp_path / "root"
    hostile = {"../outside": b"x", "/tmp/outside-tinygrad": b"x", **content}
    files.write(root, {"cifar-10-python.tar.gz": files.tar_gz(hostile)})
    assert len(Small(root)) == 5 * N
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["cifar-10-python.tar.gz"]


def test_a_link_in_an_archive_is_no_file(tmp_path):
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("cifar-10-batches-py/test_batch")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(DataError, match="does not contain cifar-10-batches-py/test_batch"):
        Small(tmp_path, train=False)


@pytest.mark.parametrize("cut", [0, 10, 5000, -100])
def test_a_truncated_archive(tmp_path, cut):
    archive = files.tar_gz(files.cifar_python(N))
    files.write(tmp_path, {"cifar-10-python.tar.gz": archive[:cut]})
    with pytest.raises(DataError, match="is no complete archive|does not contain"):
        Small(tmp_path)
