"""CIFAR-10, from the folders and archives it is published in."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tinygrad_edu.datasets import numbers_only
from tinygrad_edu.datasets.download import fetch
from tinygrad_edu.datasets.images import ImageDataset, Labels, Pixels, Transform, check_labels, is_file, not_found
from tinygrad_edu.errors import DataError
from tinygrad_edu.recording import wrap

PIXELS = 3 * 32 * 32
_PY, _BIN = "cifar-10-batches-py", "cifar-10-batches-bin"
_TRAIN, _TEST = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"), ("test_batch",)
_LARGEST_MEMBER = 2**26  # bytes; the published ones have 31 million


@dataclass(frozen=True)
class Layout:
    """One of the ways CIFAR-10 is published."""

    folder: str
    suffix: str
    archive: str
    packed: bool = False  # read from the archive

    def member(self, batch: str) -> str:
        """The path of a batch file in the root, and in the archive."""
        return f"{self.folder}/{batch}{self.suffix}"


_PYTHON = Layout(_PY, "", "cifar-10-python.tar.gz")
_BINARY = Layout(_BIN, ".bin", "cifar-10-binary.tar.gz")


class CIFAR10(ImageDataset):
    """60,000 colour photographs of ten kinds of things, images (3, 32, 32) in [0, 1]: 50,000 to train, 10,000 to test.

    Reads, in this order, the folder root/cifar-10-batches-py (torchvision's), the folder root/cifar-10-batches-bin, the
    archive root/cifar-10-python.tar.gz or root/cifar-10-binary.tar.gz; archives are read in memory. The pickles of the
    Python version are read by `numbers_only`, which runs nothing. `download=True` fetches the Python archive and
    unpacks its six batches into torchvision's folder. `data` is (n, 32, 32, 3) uint8 as in torchvision.
    Raises DataError when a file is missing or corrupt.
    Source: Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """

    source: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar.html"
    mirrors: ClassVar[list[str]] = [
        "https://www.cs.toronto.edu/~kriz/",
        "https://dataset.bj.bcebos.com/cifar/",
    ]
    archive: ClassVar[tuple[str, str]] = ("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a")
    images_per_file: ClassVar[int] = 10_000
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, train, transform, target_transform)
        names = _TRAIN if train else _TEST
        layout = self._layout_of(names)
        if layout is None and download:
            self.download()
            layout = self._layout_of(names)
        if layout is None:
            last = f" ... {names[-1]}" if train else ""
            expected = [f"{_PY}/{names[0]}{last}", f"{_BIN}/{names[0]}.bin{last and last + '.bin'}", _PYTHON.archive]
            raise not_found(type(self).__name__, self.root, [*expected, f"or {_BINARY.archive}"], self.source)
        images, labels = zip(*(self._parse(layout, *batch) for batch in self._read(layout, names)), strict=True)
        self.data = wrap(np.concatenate(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        self.targets = wrap(np.concatenate(labels))

    def _images(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """(n, 32, 32, 3) -> float32 (n, 3, 32, 32)."""
        out = np.empty((len(pixels), 3, *pixels.shape[1:3]), np.float32)
        np.divide(pixels.transpose(0, 3, 1, 2), np.float32(255), out=out)
        return out

    def _layout_of(self, names: Sequence[str]) -> Layout | None:
        """The first layout that is complete: both folders before both archives, which take longer to read."""
        owner = type(self).__name__
        for layout in (_PYTHON, _BINARY):
            if all(is_file(self.root / layout.member(name), owner) for name in names):
                return layout
        for layout in (_PYTHON, _BINARY):
            if is_file(self.root / layout.archive, owner):
                return replace(layout, packed=True)
        return None

    def _read(self, layout: Layout, names: Sequence[str]) -> Iterable[tuple[object, bytes]]:
        """What to call each batch file in a message, and its bytes."""
        owner, members = type(self).__name__, [layout.member(name) for name in names]
        if not layout.packed:
            return ((self.root / member, _content(self.root / member, owner)) for member in members)
        path = self.root / layout.archive
        return ((f"{name} in {path}", content) for name, content in _members(path, members, owner))

    def _parse(self, layout: Layout, path: object, content: bytes) -> tuple[Pixels, Labels]:
        """One batch file -> pixels (n, 3072) and labels (n,)."""
        parse = self._parse_binary if layout.suffix == ".bin" else self._parse_pickle
        images, labels = parse(content, path)
        check_labels(labels, len(self.classes), path, type(self).__name__)
        return images, labels

    def _parse_binary(self, content: bytes, path: object) -> tuple[Pixels, Labels]:
        """Records of a label byte and 3072 pixel bytes."""
        expected = self.images_per_file * (1 + PIXELS)
        if len(content) != expected:
            raise DataError(
                f"{type(self).__name__}: {path} has {len(content):,} bytes, expected {expected:,} "
                f"({self.images_per_file:,} images): it is truncated or another file; delete it and use download=True"
            )
        records = np.frombuffer(content, np.uint8).reshape(self.images_per_file, 1 + PIXELS)
        return records[:, 1:], records[:, 0].astype(np.int64)

    def _parse_pickle(self, content: bytes, path: object) -> tuple[Pixels, Labels]:
        """A pickled dict with "data" (n, 3072) uint8 and "labels", a list of n ints."""
        batch, shape = numbers_only.load(content, path), (self.images_per_file, PIXELS)
        images, labels = batch.get("data"), batch.get("labels")
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != shape:
            found = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
            raise DataError(
                f"{type(self).__name__}: {path}: expected 'data' to be uint8 {shape}, found {found}; delete the file "
                "and use download=True"
            )
        whole = isinstance(labels, list) and all(isinstance(label, int) and abs(label) < 2**31 for label in labels)
        if not isinstance(labels, list) or not whole or len(labels) != len(images):
            found = f"{len(labels)} entries" if isinstance(labels, list) else type(labels).__name__
            raise DataError(
                f"{type(self).__name__}: {path}: expected 'labels' to be {len(images)} integers, found {found}; delete "
                "the file and use download=True"
            )
        return images, np.array(labels, np.int64)

    def download(self) -> None:
        """Fetch the archive if it is not there, and unpack its batches into torchvision's folder."""
        owner, (name, md5) = type(self).__name__, self.archive
        archive = self.root / name
        if not is_file(archive, owner):
            fetch(name, md5, self.mirrors, self.root, owner)
        for member, content in _members(archive, [_PYTHON.member(batch) for batch in _TRAIN + _TEST], owner):
            target = self.root / member  # one of the six names above, whatever else the archive holds
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f"{target.name}.{os.getpid()}.part")
            part.write_bytes(content)
            part.replace(target)


def _content(path: Path, owner: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{owner}: cannot read {path}: {error}; check the file's permissions") from error


def _members(path: Path, names: list[str], owner: str) -> list[tuple[str, bytes]]:
    """The named regular files of a tar archive, read in memory: nothing is extracted."""
    import tarfile  # only here: most programs read no archive

    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name in names and member.isfile() else None
                if file is not None:
                    if member.size > _LARGEST_MEMBER:
                        raise DataError(f"{owner}: {member.name} in {path} has {member.size:,} bytes: too many")
                    found[member.name] = file.read()
            while archive.fileobj is not None and archive.fileobj.read(1 << 20):
                pass  # on to the end, where gzip compares its checksum with all that was read
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{owner}: {path} is no complete archive ({error}); delete it and use download=True") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(
            f"{owner}: {path} does not contain {', '.join(missing)}; delete the archive and use download=True"
        )
    return [(name, found[name]) for name in names]
