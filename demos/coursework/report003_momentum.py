"""Report 003: SGD against SGD with momentum, RMSprop and Adam, after the same few steps.

    python demos/coursework/report003_momentum.py

Six layers (five hidden of 100, ReLU), 4,000 MNIST images in [0, 1] drawn by the seed, batch 100, 5 epochs: 200 steps,
as in the course's assignment.  The report gives validation accuracies of 24.8 % for SGD and 88.4 % for momentum, none
for RMSprop and Adam, and neither learning rates nor initialisation.  Here weights are normal with 0.07 and lr is 0.03
for SGD with and without momentum 0.9: of 33 settings looked at with seeds 0 to 2, the one nearest to the report's pair.
Weights this small make a plateau, which SGD has not left after 200 steps.  Other settings move both numbers: with He's
initialisation and lr 0.01, SGD reached 76 to 80 % and momentum 90 to 91 % (seeds 0 and 1).  RMSprop and Adam have lr
0.001.  The committed results are of seeds 3 to 5, which chose nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from plain_nets import mlp
from running import DataOptions, Experiment, fit_classifier, main, make_optimizer
from running.summary import Cells

RATES = {"SGD": 0.03, "momentum": 0.03, "RMSprop": 0.001, "Adam": 0.001}
LABELS = {"SGD": "SGD", "momentum": "SGD with momentum", "RMSprop": "RMSprop", "Adam": "Adam"}


def run(config: dict[str, Any], seed: int, data: DataOptions, checkpoint: Path) -> dict[str, Any]:
    """One cell."""
    return fit_classifier(
        lambda sets: mlp(sets.features, [100] * 5, scale=config["scale"]),
        lambda model: make_optimizer(config["optimizer"], model.parameters(), lr=config["lr"]),
        seed,
        data,
        checkpoint,
        batch_size=100,
        steps=config["steps"],
        validate_every=config["row"],
        train_subset=config["samples"],
    )


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The four optimisers; fewer samples where the data set is small."""
    steps = options.steps or (4 if options.quick else 200)
    fixed = {
        "scale": 0.07,
        "steps": steps,
        "row": 2 if options.quick else 10,
        "samples": 200 if options.quick else 4_000,
    }
    return {LABELS[name]: {"optimizer": name, "lr": lr, **fixed} for name, lr in RATES.items()}


def remarks(cells: Cells) -> list[str]:
    """How the setting was found."""
    return [
        "Learning rate and size of the weights are not in the report. They were chosen with seeds 0 to 2: of 33 "
        "settings the one nearest to its two numbers. What is compared is the order of the optimisers, not accuracy."
    ]


EXPERIMENT = Experiment(
    name="report003_momentum",
    about=__doc__,
    run=run,
    configs=configs,
    title="200 steps of four optimisers, six layers, 4,000 images of MNIST",
    reported={"SGD": {"validation accuracy": 0.248}, "SGD with momentum": {"validation accuracy": 0.884}},
    metrics=("validation accuracy", "test accuracy"),
    panels=("train loss", "validation accuracy"),
    remarks=remarks,
    epochs=False,
    steps=True,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, sys.argv[1:]))
