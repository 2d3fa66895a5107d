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

import numpy as np
from running import DataOptions, Experiment, fit_classifier, main, make_optimizer
from running.summary import Cells

from tinygrad_edu import nn
from visualize.canvas import bare, finish, heading, new_figure, panel_title
from visualize.palette import palette_named

TITLE = "A conv net on MNIST: batch size, filter size, number of filters"
METRIC = "validation accuracy"
REPORTED = 0.985
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


def remarks(cells: Cells) -> list[str]:
    """Where the report's number is reached."""
    best = {name: np.mean([cell["metrics"][METRIC] for cell in seeds.values()]) for name, seeds in cells.items()}
    name = max(best, key=lambda label: best[label])
    return [
        "The report gives neither epochs nor optimiser, nor the set that its number is of. The base is at "
        f"{100 * best.get(BASE_LABEL, np.nan):.2f} % of the validation set after 2 epochs; "
        f"the best of the table, {name}, at {100 * best[name]:.2f} %. Small batches make more steps in the same epochs."
    ]


def draw(cells: Cells, path: Path) -> None:
    """Validation accuracy against batch size, filter size and number of filters, over the seeds."""
    palette = palette_named("light")
    color = palette.look(0)[0]
    figure = new_figure(13, 4.4, palette, margin=0.12)
    axes = figure.subplots(1, len(VARIED), sharey=True)
    for ax, (what, values) in zip(axes, VARIED.items(), strict=True):
        sizes = sorted((*values, BASE[what]))
        names = [BASE_LABEL if size == BASE[what] else NAMES[what].format(size) for size in sizes]
        seen = [(size, cells[name]) for size, name in zip(sizes, names, strict=True) if name in cells]
        each = [[100 * cell["metrics"][METRIC] for cell in seeds.values()] for _, seeds in seen]
        mean = np.array([np.mean(runs) for runs in each])
        spread = [mean - [min(runs) for runs in each], [max(runs) for runs in each] - mean]
        places = np.arange(len(seen))  # evenly apart: 5 to 500 would crowd on one side
        ax.errorbar(places, mean, spread, color=color, marker="o", markersize=5, linewidth=1.6, capsize=4)
        for place, value, runs in zip(places, mean, each, strict=True):  # below its bar, on paper of its own
            text: dict[str, Any] = {"ha": "center", "fontsize": 9, "color": palette.muted}
            text["bbox"] = {"facecolor": palette.paper, "edgecolor": "none", "pad": 1}
            ax.annotate(f"{value:.2f}", (place, min(runs)), (0, -15), textcoords="offset points", **text)
        ax.axhline(100 * REPORTED, color=palette.muted, linestyle="--", linewidth=1.2)
        panel_title(ax, what, palette)
        ax.set_xticks(places, [str(size) for size, _ in seen])
        ax.set_xlim(-0.4, len(seen) - 0.6)
        ax.margins(y=0.12)
        ax.grid(axis="y", color=palette.grid, linewidth=0.8)
        ax.set_axisbelow(True)
        bare(ax, palette)
    axes[0].set_ylabel("validation accuracy, %", color=palette.muted)
    heading(figure, TITLE, 13, palette)
    used = ", ".join(sorted({cell["data"]["name"] for seeds in cells.values() for cell in seeds.values()}))
    note = f"point: mean of the seeds, bar: least to greatest, dashed: the report's {100 * REPORTED:g} %,  data: {used}"
    figure.supxlabel(note, x=0.01, ha="left", fontsize=9, color=palette.muted)
    finish(figure, path, "coursework")


EXPERIMENT = Experiment(
    name="report003_convnet",
    about=__doc__,
    run=run,
    configs=configs,
    title=TITLE,
    reported={BASE_LABEL: {METRIC: REPORTED}},
    metrics=(METRIC, "test accuracy"),
    draw=draw,
    remarks=remarks,
    pairs=[(BASE_LABEL, NAMES[what].format(value)) for what, values in VARIED.items() for value in values],
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, sys.argv[1:]))
