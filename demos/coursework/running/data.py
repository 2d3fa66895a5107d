"""The real data of an experiment, split and scaled; Digits stands in, and says so, where the files are not there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

import tinygrad_edu as torch
from tinygrad_edu import datasets
from tinygrad_edu.errors import DataError
from tinygrad_edu.utils.data import TensorDataset

SETS: dict[str, Any] = {
    "mnist": datasets.MNIST,
    "fashionmnist": datasets.FashionMNIST,
    "cifar10": datasets.CIFAR10,
    "digits": datasets.Digits,
}
NAMES = {"mnist": "MNIST", "fashionmnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "digits": "Digits"}
SPLIT_SEED = 0  # of the validation samples: the same 5,000 for every experiment and every seed
QUICK = 200  # training samples of a --quick run


@dataclass(frozen=True)
class DataOptions:
    """Which data set a cell reads: what `--data` and `--root` came to, the same in every worker.

    limit: at most so many training samples, and half as many to validate and to test; None for all.
    standardize: pixels less the training set's mean, over its standard deviation (per channel), instead of in [0, 1].
    progress: whether a cell shows a progress bar of its own; no part of a cell's identity.
    """

    name: str
    root: str | None = None
    limit: int | None = None
    standardize: bool = False
    standin_for: str | None = None
    progress: bool = field(default=False, compare=False)

    def key(self) -> dict[str, Any]:
        """What of this decides a cell's numbers; where the files lie does not."""
        return {"name": self.name, "limit": self.limit, "standardize": self.standardize, "split seed": SPLIT_SEED}

    def load(self) -> Data:
        """The data; read once per process."""
        return _load(self.name, self.root, self.limit, self.standardize)


@dataclass(frozen=True)
class Data:
    """Training, validation and test set: images float32 (n, channels, size, size), labels (n,)."""

    name: str
    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset
    classes: tuple[str, ...]

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.train.tensors[0].shape[1])

    @property
    def size(self) -> int:
        """Height and width of an image."""
        return int(self.train.tensors[0].shape[2])

    @property
    def features(self) -> int:
        """Numbers in an image."""
        return self.channels * self.size * self.size


def resolve(choice: str, wanted: str, root: str | None, quick: bool = False, standardize: bool = False) -> DataOptions:
    """`--data` made definite. "auto" is the wanted set if its files are there, else Digits.

    Raises SystemExit, with what was looked for, when a set that was named is not there, or files are damaged.
    """
    name, standin = (wanted, None) if choice == "auto" else (choice, None)
    if choice == "auto" and quick:
        name, standin = "digits", wanted
    elif name != "digits":
        try:
            SETS[name](root=root, train=False)
            SETS[name](root=root, train=True)
        except DataError as error:
            if choice != "auto" or "not found" not in str(error):
                raise SystemExit(str(error)) from None
            name, standin = "digits", wanted
    return DataOptions(name, root, QUICK if quick else None, standardize, standin if standin != "digits" else None)


def announcement(data: DataOptions) -> str:
    """One line about the data in use, for the console and the tables."""
    if data.name == "none":
        return "data: none, the seed of each cell makes its inputs"
    if data.standin_for is not None and data.limit is None:
        where = data.root or str(datasets.images.default_root())
        missing = NAMES[data.standin_for]
        return (
            f"no {missing} under {where}: Digits (1,797 8x8 scans) stands in; numbers do not compare with the report's"
        )
    scale = "standardized" if data.standardize else "in [0, 1]"
    some = "" if data.limit is None else f", {data.limit} training samples: a quick run, whose numbers mean nothing"
    return f"data: {NAMES[data.name]}, pixels {scale}{some}"


@lru_cache(maxsize=2)
def _load(name: str, root: str | None, limit: int | None, standardize: bool) -> Data:
    whole = SETS[name](root=root, train=True)
    images, labels = whole.tensors()
    test_images, test_labels = SETS[name](root=root, train=False).tensors()
    validation = 5_000 if len(labels) >= 50_000 else len(labels) // 10
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    # published order is kept within both parts
    chosen, held = np.sort(order[: len(order) - validation]), np.sort(order[len(order) - validation :])
    if limit is not None:
        chosen, held = chosen[:limit], held[: limit // 2]
        test_images, test_labels = test_images[: limit // 2], test_labels[: limit // 2]
    pixels, digits = images.numpy(), labels.numpy()
    parts = [(pixels[chosen], digits[chosen]), (pixels[held], digits[held]), (test_images.numpy(), test_labels.numpy())]
    if standardize:
        mean = parts[0][0].mean(axis=(0, 2, 3), keepdims=True, dtype=np.float64)
        spread = parts[0][0].std(axis=(0, 2, 3), keepdims=True, dtype=np.float64)
        parts = [(((x - mean) / spread).astype(np.float32), y) for x, y in parts]
    train, valid, test = (TensorDataset(torch.from_numpy(x), torch.from_numpy(y)) for x, y in parts)
    return Data(name, train, valid, test, tuple(whole.classes))
