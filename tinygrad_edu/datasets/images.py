"""What all image data sets share: pixels kept as bytes, made float32 in [0, 1] when a sample or batch is read."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tinygrad_edu.errors import DataError
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.utils.data.collate import default_collate
from tinygrad_edu.utils.data.dataset import BatchReader, Dataset, index_array

Transform = Callable[[Any], Any]
Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def default_root() -> Path:
    """The folder for data files: $TINYGRAD_EDU_DATA, else the user's cache folder."""
    chosen = os.environ.get("TINYGRAD_EDU_DATA")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs  # only here: most programs give a root or use Digits

    return Path(platformdirs.user_cache_dir("tinygrad_edu"))


class ImageDataset(Dataset[tuple[Any, Any]]):
    """Images with labels: `dataset[i]` is (image, label), image a float32 Tensor (c, h, w) in [0, 1], label an int.

    torchvision gives a PIL image here and leaves the conversion to a transform; this is what its `ToTensor` makes.
    `transform` gets that Tensor, `target_transform` the int. `data` (uint8) and `targets` (int64) may be replaced,
    for instance to keep some classes only.
    """

    classes: ClassVar[list[str]]
    full_scale: ClassVar[int] = 255  # the byte that stands for 1.0

    data: Tensor
    targets: Tensor

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        train: bool,
        transform: Transform | None,
        target_transform: Transform | None,
    ) -> None:
        for name, function in (("transform", transform), ("target_transform", target_transform)):
            if function is not None and not callable(function):
                raise TypeError(f"{type(self).__name__}: {name} must be callable, got {function!r}")
        self.root = default_root() if root is None else Path(root).expanduser()
        self.train = train
        self.transform = transform
        self.target_transform = target_transform

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each class name."""
        return {name: i for i, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        i, n = operator.index(index), len(self)
        if not -n <= i < n:
            raise IndexError(f"{type(self).__name__}: index {i} is out of range for {n} samples")
        image: Any = wrap(self._images(np.asarray(self.data)[i][None])[0])
        label: Any = int(np.asarray(self.targets)[i])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    def batch_reader(self) -> BatchReader | None:
        """Whole batches at once, as long as no transform has to see single samples."""
        changed = type(self).__getitem__ is not ImageDataset.__getitem__
        if changed or self.transform is not None or self.target_transform is not None:
            return None
        return self._batch

    def _batch(self, indices: Sequence[int]) -> list[Tensor]:
        chosen = index_array(indices)
        labels = np.asarray(self.targets)[chosen].astype(np.int64)
        return [wrap(self._images(np.asarray(self.data)[chosen])), wrap(labels)]

    def tensors(self) -> tuple[Tensor, Tensor]:
        """The whole set, after the transforms: images (n, c, h, w), float32 without a transform, and labels (n,)."""
        if self.batch_reader() is None:
            images, labels = default_collate([self[i] for i in range(len(self))])
            return images, labels
        labels = np.array(self.targets, np.int64)
        return wrap(self._images(np.asarray(self.data))), wrap(labels)

    def _images(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """`data` of several images -> float32 (n, c, h, w) in [0, 1]; here one channel, (n, h, w) -> (n, 1, h, w)."""
        images: npt.NDArray[np.float32] = np.divide(pixels[:, None], np.float32(self.full_scale), dtype=np.float32)
        return images

    def __repr__(self) -> str:
        lines = [
            f"Dataset {type(self).__name__}",
            f"    Number of datapoints: {len(self)}",
            f"    Root location: {self.root}",
            f"    Split: {'Train' if self.train else 'Test'}",
        ]
        if self.transform is not None:
            lines.append(f"    Transform: {self.transform!r}")
        if self.target_transform is not None:
            lines.append(f"    Target transform: {self.target_transform!r}")
        return "\n".join(lines)


def is_file(path: Path, owner: str) -> bool:
    """Whether a file is there. Raises DataError for a folder in its place, or when the folder cannot be looked into."""
    try:
        if path.is_dir():
            raise DataError(f"{owner}: {path} is a folder, but a file is expected there; move the folder away")
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DataError(f"{owner}: cannot look at {path}: {error}; check the folder's permissions") from error
    return True


def not_found(owner: str, root: Path, expected: Sequence[str], source: str) -> DataError:
    """The error for data that is not there: what was looked for, where, and both ways to get it."""
    return DataError(
        f"{owner}: Dataset not found in root {root} (the default root is $TINYGRAD_EDU_DATA, else your cache folder). "
        f"Expected {', '.join(expected)}. You can use download=True to download it, or put the files there yourself; "
        f"they are published at {source}"
    )


def check_labels(labels: Labels, classes: int, path: object, owner: str) -> None:
    """Raise DataError unless all labels lie in 0 .. classes - 1."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise DataError(
            f"{owner}: label {labels[wrong[0]]} at position {wrong[0]} of {path} lies outside 0 .. {classes - 1}: the "
            "file is corrupt; delete it and use download=True"
        )
