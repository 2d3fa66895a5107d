"""Image data sets: `Digits` comes with the package; `MNIST`, `FashionMNIST` and `CIFAR10` are read from files."""

from __future__ import annotations

from tinygrad_edu.datasets.cifar import CIFAR10
from tinygrad_edu.datasets.digits import Digits
from tinygrad_edu.datasets.images import ImageDataset, default_root
from tinygrad_edu.datasets.mnist import MNIST, FashionMNIST

__all__ = ["CIFAR10", "Digits", "FashionMNIST", "ImageDataset", "MNIST", "default_root"]
