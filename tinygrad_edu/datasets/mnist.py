"""MNIST and Fashion-MNIST, from IDX files in torchvision's folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import numpy as np

from tinygrad_edu.datasets.download import fetch
from tinygrad_edu.datasets.idx import read_idx
from tinygrad_edu.datasets.images import ImageDataset, Transform, check_labels, is_file, not_found
from tinygrad_edu.errors import DataError
from tinygrad_edu.recording import wrap


class MNIST(ImageDataset):
    """70,000 handwritten digits, images (1, 28, 28) in [0, 1]: 60,000 to train and 10,000 to test.

    Reads root/MNIST/raw/train-images-idx3-ubyte and so on, or the same names with .gz; `download=True` fetches what
    is missing and compares checksums. Files in place are checked by header and size. `data` is (n, 28, 28) uint8.
    Raises DataError when a file is missing or corrupt.
    Source: LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document recognition.
    """

    folder: ClassVar[str] = "MNIST"
    source: ClassVar[str] = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    mirrors: ClassVar[list[str]] = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ]
    # (name, md5 of the published file), as in torchvision
    resources: ClassVar[list[tuple[str, str]]] = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ]

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, train, transform, target_transform)
        if download:
            self.download()
        part = "train" if train else "t10k"
        names = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
        found = [self._find(name) for name in names]
        if None in found:
            expected = [f"{self.folder}/raw/{name}[.gz]" for name in names]
            raise not_found(type(self).__name__, self.root, expected, self.source)
        image_file, label_file = (path for path in found if path is not None)
        images, labels = read_idx(image_file, ndim=3), read_idx(label_file, ndim=1).astype(np.int64)
        if images.shape[1:] != (28, 28):
            raise DataError(
                f"{type(self).__name__}: {image_file} has images of {images.shape[1:]} pixels, expected (28, 28)"
            )
        if len(images) != len(labels):
            raise DataError(
                f"{type(self).__name__}: {image_file} has {len(images)} images but {label_file} has {len(labels)} "
                "labels: they do not belong together; delete both and use download=True"
            )
        check_labels(labels, len(self.classes), label_file, type(self).__name__)
        self.data = wrap(images)
        self.targets = wrap(labels)

    @property
    def raw_folder(self) -> Path:
        """Where the IDX files are."""
        return self.root / self.folder / "raw"

    def _find(self, name: str) -> Path | None:
        """The file, unpacked or gzipped."""
        for path in (self.raw_folder / name, self.raw_folder / f"{name}.gz"):
            if is_file(path, type(self).__name__):
                return path
        return None

    def download(self) -> None:
        """Fetch the files of both parts that are not there yet."""
        for name, md5 in self.resources:
            if self._find(name.removesuffix(".gz")) is None:
                fetch(name, md5, self.mirrors, self.raw_folder, type(self).__name__)


class FashionMNIST(MNIST):
    """70,000 pictures of clothes in MNIST's format and sizes, in root/FashionMNIST/raw.

    Source: Xiao, Rasul and Vollgraf (2017), Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms.
    """

    folder = "FashionMNIST"
    source = "https://github.com/zalandoresearch/fashion-mnist"
    mirrors = [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
