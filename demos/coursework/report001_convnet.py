"""Report 001: a ConvNet of eight convolutions on CIFAR-10, whose curves the report never plotted.

    python demos/coursework/report001_convnet.py

64-128-256x2-512x2-512x2, each convolution 3x3 (padding 1) + BatchNorm + ReLU, a max-pool 3x3 stride 2 padding 1 after
each group, an average pool and a linear layer; Adam, lr 1e-4, batch 32, 5,000 steps.  The report reached about 75 %
test accuracy.  Here: all 50,000 training images, standardized per channel by the mean and the standard deviation of the
45,000 that other experiments train on; no augmentation.  The test curves are of the first 1,000 test images, the number
in the table is of all 10,000 after the last step: nothing is chosen by the test set.  About 40 minutes a seed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import curves
from running import DataOptions, Experiment, main
from running.training import tested

import tinygrad_edu as torch
from tinygrad_edu import nn, optim
from tinygrad_edu.nn import functional as F
from tinygrad_edu.train import Trainer, accuracy
from tinygrad_edu.utils.data import ConcatDataset, DataLoader, Subset

GROUPS = ((64,), (128,), (256, 256), (512, 512), (512, 512))
REPORTED = 0.75
BATCH_OF_TESTS = 250
TITLE = "The ConvNet of report 001 on CIFAR-10"


def convnet(channels: int, classes: int = 10) -> nn.Sequential:
    """Images (n, channels, size, size) -> scores (n, classes)."""
    layers: list[nn.Module] = []
    for group in GROUPS:
        for width in group:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def run(config: dict[str, Any], seed: int, data: DataOptions, checkpoint: Path) -> dict[str, Any]:
    """One cell."""
    torch.manual_seed(seed)
    sets = data.load()
    model = convnet(sets.channels)
    trainer = Trainer(
        model,
        optim.Adam(model.parameters(), lr=config["lr"]),
        F.cross_entropy,
        metrics={"accuracy": accuracy},
        checkpoint=checkpoint,
        checkpoint_every=config["row"],
        progress=data.progress,
    )
    train = DataLoader(ConcatDataset([sets.train, sets.validation]), config["batch size"], shuffle=True)
    watched = Subset(sets.test, range(min(config["watched"], len(sets.test))))
    fitted = trainer.fit(
        train,
        DataLoader(watched, BATCH_OF_TESTS),
        steps=config["steps"],
        validate_every=config["row"],
        resume=True,
    )
    history = {name.replace("validation", "test"): list(values) for name, values in fitted.items()}
    history["step"] = list(fitted.step)
    scores = trainer.predict(DataLoader(sets.test, BATCH_OF_TESTS))
    return tested(scores, sets, history, model, best=False)


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The report's one configuration."""
    steps = options.steps or (4 if options.quick else 5_000)
    row = 2 if options.quick else 250
    return {"ConvNet": {"lr": 1e-4, "batch size": 32, "steps": steps, "row": row, "watched": 1_000}}


EXPERIMENT = Experiment(
    name="report001_convnet",
    about=__doc__,
    run=run,
    configs=configs,
    data="cifar10",
    standardize=True,
    title=TITLE,
    reported={"ConvNet": {"test accuracy": REPORTED}},
    metrics=("test accuracy", "train accuracy"),
    draw=lambda cells, path: curves.train_and_test(cells, path, TITLE, REPORTED),
    epochs=False,
    steps=True,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, sys.argv[1:]))
