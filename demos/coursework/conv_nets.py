"""The convolutional nets of report 004, for its three tables: report004_optimizers, _depth and _learning_rate.

1, 2, ... 7 layers: conv 3x3 (padding 1) [-> BatchNorm] -> ReLU, with 8, 8, 16, 16, 32, 32, 32 channels and a max-pool
2x2 after the 2nd, 4th and 6th, then one linear layer.  The report gives neither widths nor epochs nor initialisation.
These widths are light; one epoch of batches of 110 (500 steps) and He's initialisation (2015, for ReLU), rather than
Glorot's or PyTorch's, bring SGD with its learning rate of 0.001 near to where the report has it (tried with seed 0,
half an epoch, 3 and 7 layers).  A configuration that stands in several tables is one cell.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from running import DataOptions, fit_classifier, make_optimizer
from running.summary import Cells

from tinygrad_edu import nn

FAMILY = "report004_cnn"
CHANNELS = (8, 8, 16, 16, 32, 32, 32)
POOLED = (2, 4, 6)  # a max-pool stands after these layers
LAST = 100  # steps over which a curve is said to rise


def net(depth: int, norm: bool, channels: int, size: int, classes: int = 10) -> nn.Sequential:
    """So many conv layers: images (n, channels, size, size) -> scores (n, 10)."""
    layers: list[nn.Module] = []
    for number, width in enumerate(CHANNELS[:depth], start=1):
        layers += [nn.Conv2d(channels, width, 3, padding=1), *([nn.BatchNorm2d(width)] if norm else []), nn.ReLU()]
        channels = width
        if number in POOLED:
            layers.append(nn.MaxPool2d(2))
            size //= 2
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size * size, classes))
    for layer in model:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model


def label(what: str, norm: bool) -> str:
    """A configuration's name in a table."""
    return f"{what}, BatchNorm" if norm else what


def config(
    options: argparse.Namespace, norm: bool, depth: int = 7, optimizer: str = "SGD", lr: float = 0.001, epochs: int = 1
) -> dict[str, Any]:
    """One configuration; --epochs replaces its number of epochs."""
    epochs = options.epochs or epochs
    name = f"{depth}conv {optimizer} {lr}{' batchnorm' if norm else ''} {epochs}ep"
    chosen = {"name": name, "depth": depth, "norm": norm, "optimizer": optimizer, "lr": lr}
    return {**chosen, "epochs": epochs, "batch size": 110, "row": 1 if options.quick else 50}


def run(config: dict[str, Any], seed: int, data: DataOptions, checkpoint: Path) -> dict[str, Any]:
    """One cell."""
    return fit_classifier(
        lambda sets: net(config["depth"], config["norm"], sets.channels, sets.size),
        lambda model: make_optimizer(config["optimizer"], model.parameters(), lr=config["lr"]),
        seed,
        data,
        checkpoint,
        batch_size=config["batch size"],
        epochs=config["epochs"],
        validate_every=config["row"],
        checkpoint_every=100,
    )


def remarks(cells: Cells) -> list[str]:
    """What was chosen, and how; and which curves had not come to rest."""
    said = [
        "The report gives neither widths, initialisation nor epochs. Widths were chosen to be light, He's "
        "initialisation and one epoch, with seed 0, because SGD at 0.001 then comes near its numbers."
    ]
    rises = {name: rise(seeds.values()) for name, seeds in cells.items()}
    rising = [f"{name} {points:+.1f}" for name, points in rises.items() if points >= 0.5]
    if rising:
        said.append(
            "Where ours lies below the report, it lacks steps first: validation accuracy was still rising, "
            f"in points over the last {LAST} steps (mean over the seeds), for {', '.join(rising)}."
        )
    return said


def rise(cells: Iterable[dict[str, Any]]) -> float:
    """Points of validation accuracy gained in the last LAST steps, the mean over the cells; NaN for shorter runs."""
    gains = []
    for cell in cells:
        steps, values = cell["history"]["step"], cell["history"]["validation accuracy"]
        before = [value for step, value in zip(steps, values, strict=True) if step <= steps[-1] - LAST]
        gains.append(100 * (values[-1] - before[-1]) if before else math.nan)
    return sum(gains) / len(gains)


def reported(table: Mapping[tuple[str, bool], float]) -> dict[str, dict[str, float]]:
    """{(what, norm): accuracy} as the experiment wants it."""
    return {label(*key): {"test accuracy": value} for key, value in table.items()}
