"""LeNet-5 with ReLU and max-pooling under one regulariser at a time, for reports 000 and 002.

The runs of one seed start from the same weights and see the same batches in the same order, whatever the regulariser
draws: the loader has a generator of its own, and no regulariser draws while the model is made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import curves
import numpy as np
from running import Data, DataOptions, Experiment, main
from running.data import resolve
from running.summary import Cells
from running.training import tested
from watching import Watch

import tinygrad_edu as torch
from tinygrad_edu import nn, optim
from tinygrad_edu.nn import functional as F
from tinygrad_edu.train import Trainer, accuracy
from tinygrad_edu.utils.data import DataLoader, Subset

SUBSET = 10_000  # training images, the first ones, on which the accuracy in evaluation mode is measured
GAP, BEST_EPOCH = "train less test accuracy", "epoch of the least test loss"
METRICS = ("test accuracy", "train accuracy", GAP, BEST_EPOCH)
BASE: dict[str, Any] = {"norm": "none", "dropout": 0.0, "dropout at": "none", "weight decay": 0.0}


def lenet(
    channels: int, size: int, norm: str = "none", dropout: float = 0.0, dropout_at: str = "none"
) -> nn.Sequential:
    """Images (n, channels, size, size) -> scores (n, 10).

    norm: "none"; "first": BatchNorm without gamma and beta after the first fully connected layer; "all": BatchNorm
    after every layer but the last.  dropout_at: "none"; "first": behind the ReLU of the first fully connected layer;
    "both": of the two hidden ones.  Images below 12 pixels (Digits) get padding at the second convolution, too.
    """
    padding = 0 if size >= 12 else 2
    last = (size // 2 - 4 + 2 * padding) // 2

    def norms(module: nn.Module, place: str) -> list[nn.Module]:
        return [module] if norm == place else []

    def drops(*places: str) -> list[nn.Module]:
        return [nn.Dropout(dropout)] if dropout_at in places else []

    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2), *norms(nn.BatchNorm2d(6), "all"), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5, padding=padding), *norms(nn.BatchNorm2d(16), "all"), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * last * last, 120), *norms(nn.BatchNorm1d(120, affine=False), "first"),
        *norms(nn.BatchNorm1d(120), "all"), nn.ReLU(), *drops("first", "both"),
        nn.Linear(120, 84), *norms(nn.BatchNorm1d(84), "all"), nn.ReLU(), *drops("both"),
        nn.Linear(84, 10),
    )  # fmt: skip


def adam(model: nn.Module, lr: float, weight_decay: float) -> optim.Adam:
    """Adam with the decay on the weights: on matrices and filters, not on biases, nor on BatchNorm's gamma and beta."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim == 1]},
    ]
    return optim.Adam(groups, lr=lr)


def run(config: dict[str, Any], seed: int, data: DataOptions, checkpoint: Path) -> dict[str, Any]:
    """One cell."""
    torch.manual_seed(seed)
    sets: Data = data.load()
    model = lenet(sets.channels, sets.size, config["norm"], config["dropout"], config["dropout at"])
    watch = Watch("train", DataLoader(Subset(sets.train, range(min(SUBSET, len(sets.train)))), 500))
    trainer = Trainer(
        model,
        adam(model, config["lr"], config["weight decay"]),
        F.cross_entropy,
        metrics={"accuracy": accuracy},
        callbacks=[watch],
        checkpoint=checkpoint,
        progress=data.progress,
    )
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(sets.train, config["batch size"], shuffle=True, generator=order)
    fitted = trainer.fit(loader, DataLoader(sets.test, 500), epochs=config["epochs"], resume=True)
    history = {name.replace("train", "running").replace("validation", "test"): list(v) for name, v in fitted.items()}
    history |= watch.history
    result = tested(trainer.predict(DataLoader(sets.test, 500)), sets, history, model, best=False)
    result["metrics"][GAP] = history["train accuracy"][-1] - history["test accuracy"][-1]
    result["metrics"][BEST_EPOCH] = int(np.argmin(history["test loss"])) + 1
    return result


def settings(options: argparse.Namespace, **regulariser: Any) -> dict[str, Any]:
    """A configuration: the base with this regulariser; a name after what it is, since two experiments share cells."""
    changed = {key.replace("_", " "): value for key, value in regulariser.items()}
    epochs = options.epochs or (2 if options.quick else 10)
    words = " ".join(["lenet", *(f"{key} {value}" for key, value in changed.items())])
    return {"name": words, **BASE, **changed, "lr": 0.001, "batch size": 128, "epochs": epochs}


def remarks(cells: Cells) -> list[str]:
    """What the numbers are of."""
    used = {cell["data"]["name"] for seeds in cells.values() for cell in seeds.values()}
    lines = [
        f"Train accuracy: in evaluation mode at the end of the epoch, on the first {SUBSET:,} training images; loss "
        "and accuracy of the test set are measured at every epoch, and nothing is chosen by them."
    ]
    if "mnist" in used:
        lines.append("MNIST stands in for the report's Fashion-MNIST: the numbers do not compare with the report's.")
    return lines


def draw(cells: Cells, path: Path, title: str) -> None:
    """Train and test accuracy and test loss against the epoch, a line per regulariser."""
    panels = [
        curves.Panel(what, [curves.Line(label, label, what, k) for k, label in enumerate(cells)])
        for what in ("train accuracy", "test accuracy", "test loss")
    ]
    curves.draw(cells, path, title, panels)


def command(experiment: Experiment, arguments: Sequence[str]) -> int:
    """`main`, with MNIST for a Fashion-MNIST that is not there; the report's numbers stand beside its own set only."""
    options = experiment.parser().parse_args(arguments)
    if options.data == "auto" and not options.quick:
        found = {name: resolve("auto", name, options.root).name for name in ("fashionmnist", "mnist")}
        if found == {"fashionmnist": "digits", "mnist": "mnist"}:
            print("no Fashion-MNIST there: MNIST stands in; numbers do not compare with the report's", flush=True)
            options.data = "mnist"
    if resolve(options.data, experiment.data, options.root, options.quick).name != "fashionmnist":
        experiment = replace(experiment, reported={})
    return main(experiment, options)


def regularisers(name: str, about: str, title: str, configs: Any, reported: float | None) -> Experiment:
    """The experiment of one report."""
    labels = configs(argparse.Namespace(epochs=None, quick=False))
    return Experiment(
        name=name,
        about=about,
        run=run,
        configs=configs,
        data="fashionmnist",
        title=title,
        reported={} if reported is None else {label: {"test accuracy": reported} for label in labels},
        metrics=METRICS,
        family="lenet_regularisers",
        remarks=remarks,
        draw=lambda cells, path: draw(cells, path, title),
    )


if __name__ == "__main__":
    sys.exit("run report000_regularisers.py or report002_regularisers.py")
