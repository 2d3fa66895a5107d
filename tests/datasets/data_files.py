"""Small data files in the published formats, for the tests of the readers."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile

import numpy as np


def idx(array, magic=None):
    """The bytes of an IDX file."""
    start = bytes([0, 0, 8, array.ndim]) if magic is None else magic
    return start + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist_arrays(n=12, seed=0):
    """Images (n, 28, 28) and labels (n,) of bytes."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (n, 28, 28), np.uint8), (np.arange(n) % 10).astype(np.uint8)


def mnist_files(n=12, packed=True):
    """The four files of a small MNIST: name -> bytes."""
    files = {}
    for part, count in (("train", n), ("t10k", n // 2)):
        images, labels = mnist_arrays(count, seed=count)
        files[f"{part}-images-idx3-ubyte"] = idx(images)
        files[f"{part}-labels-idx1-ubyte"] = idx(labels)
    return {f"{name}.gz": gzip.compress(content) for name, content in files.items()} if packed else files


def write(folder, files):
    """Write name -> bytes into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def cifar_arrays(batch, n):
    """Pixels (n, 3072) and labels (n,) of bytes of one batch."""
    draw = np.random.default_rng(batch)
    return draw.integers(0, 256, (n, 3072), np.uint8), (np.arange(batch, batch + n) % 10).astype(np.uint8)


def cifar_names(suffix=""):
    """The six batches: name -> number."""
    return {f"{name}{suffix}": i for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"])}


def cifar_binary(n):
    """cifar-10-batches-bin: path -> bytes."""
    files = {}
    for name, batch in cifar_names(".bin").items():
        images, labels = cifar_arrays(batch, n)
        files[f"cifar-10-batches-bin/{name}"] = np.concatenate([labels[:, None], images], axis=1).tobytes()
    return files


def cifar_python(n, protocol=2):
    """cifar-10-batches-py: path -> bytes, with keys of bytes as Python 2 wrote them."""
    files = {}
    for name, batch in cifar_names().items():
        images, labels = cifar_arrays(batch, n)
        content = {b"batch_label": b"x", b"labels": labels.tolist(), b"data": images, b"filenames": [b"a.png"] * n}
        files[f"cifar-10-batches-py/{name}"] = pickle.dumps(content, protocol)
    return files


def tar_gz(files):
    """An archive of path -> bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
