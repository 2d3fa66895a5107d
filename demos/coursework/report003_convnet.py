"""Report 003: a small conv net with other batch sizes, filter sizes and numbers of filters.

    python demos/coursework/report003_convnet.py

conv (32 filters 7x7, padded to keep the size) -> ReLU -> max-pool 2x2 -> 100 hidden units with ReLU -> 10 scores, as
in the course's assignment, on 55,000 MNIST images in [0, 1]; Adam, lr 0.001, 2 epochs, batch 50.  One thing is changed
at a time: batch size 5 to 500, filter size 3 to 11, 4 to 32 filters.  The report gives one number, about 98.5 %.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from running import DataOptions, Experiment, fit_classifier, main, make_optimizer

from tinygrad_edu import nn

BASE = {"batch size": 50, "filter size": 7, "filters": 32}
VARIED = {"batch size": (5, 20, 100, 500), "filter size": (3, 5, 11), "filters": (4, 8, 16)}
BASE_LABEL = "batch 50, 32 filters 7x7"
NAMES = {"batch size": "batch {}", "filter size": "filters {0}x{0}", "filters": "{} filters"}


def net(channels: int, size: int, filters: int, filter_size: int, classes: int = 10) -> nn.Sequential:
    """Images (n, channels, size, size) -> scores (n, classes); PyTorch's default initialisation."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, filter_size, padding=filter_size // 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(filters * (size // 2) ** 2, 100),
        nn.ReLU(),
        nn.Linear(100, classes),
    )


def run(config: dict[str, Any], seed: int, data: DataOptions, checkpoint: Path) -> dict[str, Any]:
    """One cell."""
    return fit_classifier(
        lambda sets: net(sets.channels, sets.size, config["filters"], config["filter size"]),
        lambda model: make_optimizer("Adam", model.parameters(), lr=config["lr"]),
        seed,
        data,
        checkpoint,
        batch_size=config["batch size"],
        epochs=config["epochs"],
        checkpoint_every=500,
    )


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The base, and one change at a time."""
    fixed = {**BASE, "lr": 0.001, "epochs": options.epochs or (1 if options.quick else 2)}
    rows = {BASE_LABEL: fixed}
    for what, values in VARIED.items():
        for value in values[-1:] if options.quick else values:
            rows[NAMES[what].format(value)] = {**fixed, what: value}
    return rows


EXPERIMENT = Experiment(
    name="report003_convnet",
    about=__doc__,
    run=run,
    configs=configs,
    title="A conv net on MNIST: batch size, filter size, number of filters",
    reported={BASE_LABEL: {"validation accuracy": 0.985}},
    metrics=("validation accuracy", "test accuracy"),
    panels=("validation accuracy",),
    pairs=[(BASE_LABEL, NAMES[what].format(value)) for what, values in VARIED.items() for value in values],
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, sys.argv[1:]))
