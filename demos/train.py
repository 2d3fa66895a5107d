"""Train a small CNN with BatchNorm by a hand-written loop.        python demos/train.py --dataset mnist --epochs 3

conv 3x3 -> BatchNorm -> ReLU -> max-pool, twice, then one linear layer.  Writes the loss and accuracy curves to out/.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
import visualize
from tinygrad_edu import datasets, nn, optim
from tinygrad_edu.errors import DataError
from tinygrad_edu.utils.data import DataLoader, TensorDataset

DATASETS = {
    "digits": datasets.Digits,
    "mnist": datasets.MNIST,
    "fashionmnist": datasets.FashionMNIST,
    "cifar10": datasets.CIFAR10,
}


class CNN(nn.Module):
    """Images (n, channels, size, size) -> class scores (n, classes)."""

    def __init__(self, channels: int, size: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(32)
        self.fc = nn.Linear(32 * (size // 4) ** 2, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores."""
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        return self.fc(x.flatten(1))


def load(name: str, root: str | None, download: bool) -> tuple[TensorDataset, TensorDataset, list[str]]:
    """Training and test set as tensors scaled to [0, 1], and the names of the classes."""
    kind: Any = DATASETS[name]
    sets = [kind(root=root, train=train, download=download) for train in (True, False)]
    return TensorDataset(*sets[0].tensors()), TensorDataset(*sets[1].tensors()), list(sets[0].classes)


@torch.no_grad()
def evaluate(model: nn.Module, data: TensorDataset, batch_size: int = 500) -> tuple[float, float]:
    """Mean loss and accuracy over a data set, in evaluation mode."""
    model.eval()
    loss, right = 0.0, 0
    for images, labels in DataLoader(data, batch_size):
        scores = model(images)
        loss += F.cross_entropy(scores, labels, reduction="sum").item()
        right += int((scores.argmax(1) == labels).sum())
    model.train()
    return loss / len(data), right / len(data)


def train(
    model: nn.Module, train_set: TensorDataset, test_set: TensorDataset, epochs: int, batch_size: int, lr: float
) -> dict[str, list[float]]:
    """The training loop, written out; returns the history of losses and accuracies."""
    optimizer = optim.Adam(model.parameters(), lr=lr)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    loader = DataLoader(train_set, batch_size, shuffle=True)
    history: dict[str, list[float]] = {k: [] for k in ("train loss", "test loss", "train accuracy", "test accuracy")}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}")) as progress:
        for epoch in range(1, epochs + 1):
            task = progress.add_task(f"epoch {epoch}/{epochs}", total=len(loader), note="")
            total, right = 0.0, 0
            for images, labels in loader:
                scores = model(images)
                loss = F.cross_entropy(scores, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(labels)
                right += int((scores.detach().argmax(1) == labels).sum())
                progress.update(task, advance=1, note=f"loss {loss.item():.4f}")
            schedule.step()
            test_loss, test_accuracy = evaluate(model, test_set)
            values = (total / len(train_set), test_loss, right / len(train_set), test_accuracy)
            for name, value in zip(history, values, strict=True):
                history[name].append(value)
            progress.update(task, note=f"test accuracy {test_accuracy:.2%}")
    return history


def output_folder(path: str | Path) -> Path:
    """The folder, made if need be; a clear message when it cannot be written."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise SystemExit(f"cannot write to the output folder {folder}: {reason}; choose another with --out") from None
    return folder


def positive_integer(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def positive_number(text: str) -> float:
    """A finite number above 0, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    """Train, save the curves, and return the history."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=DATASETS, default="digits", help="digits ships with the package")
    parser.add_argument("--root", help="folder of the data sets (default: $TINYGRAD_EDU_DATA or the user cache)")
    parser.add_argument("--download", action="store_true", help="fetch a data set that is not there")
    parser.add_argument("--epochs", type=positive_integer, default=10)
    parser.add_argument("--batch-size", type=positive_integer, default=64)
    parser.add_argument("--lr", type=positive_number, default=0.002, help="of Adam, lowered along a cosine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out", help="folder for the curves")
    options = parser.parse_args(arguments)
    out = output_folder(options.out)
    torch.manual_seed(options.seed)
    try:
        train_set, test_set, _ = load(options.dataset, options.root, options.download)
    except DataError as error:
        raise SystemExit(str(error)) from None
    channels, size = train_set.tensors[0].shape[1:3]
    model = CNN(channels, size)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{options.dataset}: {len(train_set):,} training, {len(test_set):,} test images; {parameters:,} parameters")
    started = time.perf_counter()
    history = train(model, train_set, test_set, options.epochs, options.batch_size, options.lr)
    seconds = time.perf_counter() - started
    print(f"test accuracy {history['test accuracy'][-1]:.2%} after {options.epochs} epochs, {seconds:.1f} s")
    path = out / f"curves_{options.dataset}.png"
    visualize.curves(history, path, title=f"A small CNN on {options.dataset}")
    print(f"curves: {path}")
    return history


if __name__ == "__main__":
    main(sys.argv[1:])
