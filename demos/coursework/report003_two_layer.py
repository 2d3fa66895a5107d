"""Report 003: a net of two layers on MNIST; the Trainer's loop and one written by hand give the same numbers.

    python demos/coursework/report003_two_layer.py --by-hand

784-100-10 with ReLU, plain SGD, lr 0.2, batch 100, 10 epochs on 55,000 images in [0, 1]; the report gives the
accuracies on its training and validation sets, 98.1 % and 96.3 %, but neither width nor learning rate.  With --by-hand
each seed is trained a second time by the loop below, and the two are compared bit for bit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plain_nets import mlp
from running import DataOptions, Experiment, fit_classifier, main
from running.summary import Cells
from running.training import tested

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn, optim
from tinygrad_edu.utils.data import DataLoader

LABEL = "TwoLayerNet"
BY_HAND = "TwoLayerNet, loop by hand"


def by_hand(config: dict[str, Any], seed: int, data: DataOptions) -> dict[str, Any]:
    """The loop without the Trainer; it keeps no checkpoint, so an interrupted cell begins again."""
    torch.manual_seed(seed)
    sets = data.load()
    model = mlp(sets.features, [config["hidden"]])
    optimizer = optim.SGD(model.parameters(), lr=config["lr"])
    loader = DataLoader(sets.train, config["batch size"], shuffle=True)
    history: dict[str, list[float]] = {}
    step = 0
    for _ in range(config["epochs"]):
        total, right = 0.0, 0.0
        for images, labels in loader:
            scores = model(images)
            loss = F.cross_entropy(scores, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            total += loss.item() * len(labels)
            right += int((scores.argmax(1) == labels).sum())
        loss_now, accuracy_now = evaluate(model, DataLoader(sets.validation, 500))
        row = {"train loss": total / len(sets.train), "train accuracy": right / len(sets.train)}
        row |= {"validation loss": loss_now, "validation accuracy": accuracy_now, "step": step}
        for name, value in row.items():
            history.setdefault(name, []).append(value)
    with torch.no_grad():
        model.eval()
        scores = torch.cat([model(images) for images, _ in DataLoader(sets.test, 500)])
    result = tested(scores, sets, history, model, best=False)
    result["metrics"]["train accuracy"] = evaluate(model, DataLoader(sets.train, 500))[1]
    return result


@torch.no_grad()
def evaluate(model: nn.Module, loader: DataLoader) -> tuple[float, float]:
    """Mean loss and accuracy over a loader's samples, in evaluation mode."""
    model.eval()
    total, right, count = 0.0, 0.0, 0
    for images, labels in loader:
        scores = model(images)
        total += F.cross_entropy(scores, labels).item() * len(labels)
        right += int((scores.argmax(1) == labels).sum())
        count += len(labels)
    model.train()
    return total / count, right / count


def run(config: dict[str, Any], seed: int, data: DataOptions, checkpoint: Path) -> dict[str, Any]:
    """One cell, by either loop."""
    if config["loop"] == "by hand":
        return by_hand(config, seed, data)
    return fit_classifier(
        lambda sets: mlp(sets.features, [config["hidden"]]),
        lambda model: optim.SGD(model.parameters(), lr=config["lr"]),
        seed,
        data,
        checkpoint,
        batch_size=config["batch size"],
        epochs=config["epochs"],
        measure_train=True,
    )


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The net, trained by the Trainer, and with --by-hand also by the loop above."""
    epochs = options.epochs or (2 if options.quick else 10)
    fixed = {"hidden": 100, "lr": 0.2, "batch size": 100, "epochs": epochs}
    rows = {LABEL: {"loop": "Trainer", **fixed}}
    return {**rows, BY_HAND: {"loop": "by hand", **fixed}} if options.by_hand else rows


def remarks(cells: Cells) -> list[str]:
    """Whether the two loops gave the same bits."""
    both = sorted(set(cells.get(LABEL, {})) & set(cells.get(BY_HAND, {})))
    if not both:
        return []
    parts = ("history", "metrics", "predictions")
    other = [s for s in both if any(cells[LABEL][s][part] != cells[BY_HAND][s][part] for part in parts)]
    if other:
        return [f"the two loops differ at seeds {', '.join(map(str, other))}"]
    return ["the Trainer and the loop by hand gave the same history, accuracies and predictions, bit for bit"]


EXPERIMENT = Experiment(
    name="report003_two_layer",
    about=__doc__,
    run=run,
    configs=configs,
    title="Two layers on MNIST",
    reported={label: {"train accuracy": 0.981, "validation accuracy": 0.963} for label in (LABEL, BY_HAND)},
    metrics=("train accuracy", "validation accuracy", "test accuracy"),
    panels=("train loss", "validation accuracy"),
    remarks=remarks,
    pairs=(),
)


def command(arguments: Sequence[str]) -> int:
    """The command, with an option of its own."""
    parser = EXPERIMENT.parser()
    parser.add_argument("--by-hand", action="store_true", help="train each seed also by the loop written by hand")
    return main(EXPERIMENT, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
