"""`Digits`: small real images that come with the package, so that every example runs offline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygrad_edu.datasets.images import ImageDataset, Transform
from tinygrad_edu.recording import wrap

FILE = Path(__file__).parent / "data" / "digits.npz"


class Digits(ImageDataset):
    """1,797 scanned digits of 8 x 8 pixels, images (1, 8, 8) in [0, 1]: 1,437 to train and 360 to test.

    The split is the same for everybody and stratified: within each class a stored random order decides, and each class
    gives test samples in proportion to its size. `test_size` changes it: a number of samples, or a fraction. Both
    parts keep the published order. Published without writer ids, so one writer's digits may be in both parts.
    `root` and `download` have no effect: they are here so that the data sets are interchangeable.
    Source: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI, CC BY 4.0.
    """

    classes = [str(digit) for digit in range(10)]
    full_scale = 16

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
        test_size: float = 360,
    ) -> None:
        super().__init__(FILE.parent if root is None else root, train, transform, target_transform)
        with np.load(FILE, allow_pickle=False) as stored:
            images, labels, order = stored["images"], stored["labels"], stored["order"]
        test = _stratified(labels, order, _count(test_size, len(labels)))
        mask = np.zeros(len(labels), bool)
        mask[test] = True
        chosen = ~mask if train else mask
        self.data = wrap(images[chosen])
        self.targets = wrap(labels[chosen].astype(np.int64))


def _count(test_size: float, total: int) -> int:
    count = round(test_size * total) if isinstance(test_size, float) else int(test_size)
    if not 0 < count < total or (isinstance(test_size, float) and not 0 < test_size < 1):
        raise ValueError(
            f"Digits: test_size must be a number of samples from 1 to {total - 1}, or a fraction between 0 and 1, "
            f"got {test_size}"
        )
    return count


def _stratified(labels: npt.NDArray[Any], order: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """`count` indices with each class in proportion.

    Sample number r of a class of n, in the given order, stands at (r + 1/2) / n; the `count` lowest are taken.
    """
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(place, kind="stable")[:count]
