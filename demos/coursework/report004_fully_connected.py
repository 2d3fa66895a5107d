"""Report 004: a fully connected net of eight layers, three optimisers, with and without BatchNorm.

    python demos/coursework/report004_fully_connected.py

784-256-128-64-32-16-8-4-10 on MNIST (55,000 / 5,000 / 10,000), batch 110, cross-entropy, pixels in [0, 1].  The report
gives no activation, initialisation, learning rate or number of epochs.  Here: ReLU, PyTorch's default initialisation,
lr 0.001 for all three optimisers (the one of its other tables), SGD without momentum, 10 epochs; BatchNorm stands
between each hidden layer and its ReLU.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from running import DataOptions, Experiment, fit_classifier, main, make_optimizer

from tinygrad_edu import nn

WIDTHS = (256, 128, 64, 32, 16, 8, 4)
LABELS = [(optimizer, norm) for norm in (False, True) for optimizer in ("SGD", "RMSprop", "Adam")]
COMPARED = (("SGD", "RMSprop"), ("SGD", "Adam"), ("RMSprop", "Adam"))
REPORTED = dict(zip(LABELS, (0.0958, 0.8623, 0.9517, 0.1760, 0.9731, 0.9721), strict=True))


def label(optimizer: str, norm: bool) -> str:
    """A configuration's name in the table."""
    return f"{optimizer}, BatchNorm" if norm else optimizer


def net(features: int, norm: bool, classes: int = 10) -> nn.Sequential:
    """The eight layers: images (n, ...) -> scores (n, 10)."""
    layers: list[nn.Module] = [nn.Flatten()]
    for width in WIDTHS:
        layers += [nn.Linear(features, width), *([nn.BatchNorm1d(width)] if norm else []), nn.ReLU()]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, classes))


def run(config: dict[str, Any], seed: int, data: DataOptions, checkpoint: Path) -> dict[str, Any]:
    """One cell."""
    return fit_classifier(
        lambda sets: net(sets.features, config["norm"]),
        lambda model: make_optimizer(config["optimizer"], model.parameters(), lr=config["lr"]),
        seed,
        data,
        checkpoint,
        batch_size=config["batch size"],
        epochs=config["epochs"],
        validate_every=config["row"],
    )


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The six configurations; a row of the history is 100 steps, a fifth of an MNIST epoch."""
    epochs = options.epochs or (2 if options.quick else 10)
    fixed = {"lr": 0.001, "batch size": 110, "epochs": epochs, "row": 2 if options.quick else 100}
    return {label(o, norm): {"optimizer": o, "norm": norm, **fixed} for o, norm in LABELS}


PAIRS = [(label(o, False), label(o, True)) for o in ("SGD", "RMSprop", "Adam")]
PAIRS += [(label(a, norm), label(b, norm)) for norm in (False, True) for a, b in COMPARED]
EXPERIMENT = Experiment(
    name="report004_fully_connected",
    about=__doc__,
    run=run,
    configs=configs,
    title="Eight fully connected layers on MNIST",
    reported={label(*key): {"test accuracy": value} for key, value in REPORTED.items()},
    pairs=PAIRS,
    panels=("train loss", "validation accuracy"),
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, sys.argv[1:]))
