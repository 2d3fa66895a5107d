"""Report 001: an MLP in NumPy with gradients by hand, beside the engine's: the same losses, step by step.

    python demos/coursework/report001_mlp.py

Both start from the same weights and see the same batches of CIFAR-10: 3,072-100-10 with ReLU, plain SGD, lr 0.01, batch
200, 1,500 steps, pixels standardized per channel.  The report gives no number for this net, only curves; the claim here
is that formulas 1 to 11 and 1.1c, written by hand in numpy_mlp.py, are what the engine computes.  The loops are written
by hand, too: a cell takes seconds, so a broken one starts anew.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import curves
import numpy as np
from numpy_mlp import Array, NumPyMLP
from running import Data, DataOptions, Experiment, main
from running.summary import Cells

import tinygrad_edu as torch
from tinygrad_edu import nn, optim
from tinygrad_edu.nn import functional as F

NUMPY, OURS = "NumPy by hand", "tinygrad_edu"
COMPARED = 20  # steps whose losses are compared one by one, in both types of number
TITLE = "An MLP on CIFAR-10, by hand in NumPy and by the engine"


class Learner(Protocol):
    """What the loop needs of either."""

    def scores(self, x: Array) -> Array: ...

    def step(self, x: Array, labels: Array) -> tuple[float, Array]: ...


class EngineMLP:
    """The same net and the same SGD as `NumPyMLP`, of the engine's parts."""

    def __init__(self, weights: list[tuple[Array, Array]], lr: float) -> None:
        layers: list[nn.Module] = []
        for weight, bias in weights:
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.weight = nn.Parameter(torch.from_numpy(weight.copy()))
            linear.bias = nn.Parameter(torch.from_numpy(bias.copy()))
            layers += [linear, nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1])
        self.optimizer = optim.SGD(self.model.parameters(), lr=lr)

    def scores(self, x: Array) -> Array:
        """Images as rows (B, m) -> scores (B, k)."""
        with torch.no_grad():
            return self.model(torch.from_numpy(x)).numpy()

    def step(self, x: Array, labels: Array) -> tuple[float, Array]:
        """One step of SGD; the loss and the scores before it."""
        scores = self.model(torch.from_numpy(x))
        loss = F.cross_entropy(scores, torch.from_numpy(labels))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item(), scores.detach().numpy()


LEARNERS: dict[str, type[NumPyMLP] | type[EngineMLP]] = {NUMPY: NumPyMLP, OURS: EngineMLP}


def initial_weights(seed: int, widths: list[int], dtype: str = "float32") -> list[tuple[Array, Array]]:
    """(W, b) of each layer, drawn as nn.Linear draws them."""
    torch.manual_seed(seed)
    linears = [nn.Linear(m, n) for m, n in itertools.pairwise(widths)]
    return [
        (linear.weight.detach().numpy().astype(dtype), linear.bias.detach().numpy().astype(dtype)) for linear in linears
    ]


def rows_and_labels(part: Any, dtype: str = "float32") -> tuple[Array, Array]:
    """Images as rows (n, m), and labels (n,)."""
    images, labels = part.tensors
    return images.numpy().reshape(len(images), -1).astype(dtype, copy=False), labels.numpy()


def batches(samples: int, size: int, seed: int) -> Iterator[Array]:
    """The indices of whole batches without end, each pass in an order of its own."""
    rng, size = np.random.default_rng(seed), min(size, samples)
    while True:
        order = rng.permutation(samples)
        yield from (order[k : k + size] for k in range(0, samples - size + 1, size))


def loss_differences(sets: Data, config: dict[str, Any], seed: int, dtype: str, steps: int = COMPARED) -> float:
    """The largest relative difference of the two nets' losses over the first steps, in this type of number."""
    x, labels = rows_and_labels(sets.train)
    weights = initial_weights(seed, [sets.features, *config["hidden"], 10], dtype)
    pair = [learner(weights, config["lr"]) for learner in LEARNERS.values()]
    worst = 0.0
    for _, chosen in zip(range(steps), batches(len(x), config["batch size"], seed), strict=False):
        by_hand, ours = (net.step(x[chosen].astype(dtype), labels[chosen])[0] for net in pair)
        worst = max(worst, abs(by_hand - ours) / abs(by_hand))
    return worst


def run(config: dict[str, Any], seed: int, data: DataOptions, checkpoint: Path) -> dict[str, Any]:
    """One cell: one of the two nets."""
    sets = data.load()
    x, labels = rows_and_labels(sets.train)
    test_x, test_labels = rows_and_labels(sets.test)
    weights = initial_weights(seed, [sets.features, *config["hidden"], 10])
    net: Learner = LEARNERS[config["learner"]](weights, config["lr"])
    history: dict[str, list[float]] = {
        name: [] for name in ("step", "train loss", "train accuracy", "test loss", "test accuracy")
    }
    losses, right = [], []
    for step, chosen in enumerate(batches(len(x), config["batch size"], seed), 1):
        loss, scores = net.step(x[chosen], labels[chosen])
        losses.append(loss)
        right.append(float((scores.argmax(1) == labels[chosen]).mean()))
        if step % config["row"] == 0 or step == config["steps"]:
            scores = net.scores(test_x)
            values = (
                step,
                np.mean(losses),
                np.mean(right),
                _loss(scores, test_labels),
                (scores.argmax(1) == test_labels).mean(),
            )
            for name, value in zip(history, values, strict=True):
                history[name].append(float(value))
            losses, right = [], []
        if step == config["steps"]:
            break
    metrics = {"test accuracy": history["test accuracy"][-1], "train accuracy": history["train accuracy"][-1]}
    if config["learner"] == OURS:
        for dtype in ("float32", "float64"):
            metrics[f"largest loss difference, {dtype}"] = loss_differences(sets, config, seed, dtype)
    return {
        "metrics": metrics,
        "history": history,
        "predictions": scores.argmax(1),
        "targets": test_labels,
        "parameters": sum(weight.size + bias.size for weight, bias in weights),
    }


def _loss(scores: Array, labels: Array) -> float:
    """Cross-entropy of scores, in float64, for the test curves of both."""
    scores = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    chosen = scores[np.arange(len(scores)), labels]
    return float((np.log(np.exp(scores).sum(axis=1)) - chosen).mean())


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The two nets, alike in all else."""
    steps = options.steps or (6 if options.quick else 1_500)
    fixed = {"hidden": [100], "lr": 0.01, "batch size": 200, "steps": steps, "row": 3 if options.quick else 50}
    return {name: {"learner": name, **fixed} for name in LEARNERS}


def remarks(cells: Cells) -> list[str]:
    """How far the two curves are apart in the end."""
    seeds = sorted(set(cells.get(NUMPY, {})) & set(cells.get(OURS, {})))
    if not seeds:
        return []
    pairs = [(cells[NUMPY][seed], cells[OURS][seed]) for seed in seeds]
    apart = [
        abs(a - b) / a
        for by_hand, ours in pairs
        for a, b in zip(by_hand["history"]["train loss"], ours["history"]["train loss"], strict=True)
    ]
    same = [np.mean([a == b for a, b in zip(x["predictions"], y["predictions"], strict=True)]) for x, y in pairs]
    return [
        f"Largest loss difference: relative, over the first {COMPARED} steps. Over the whole run, in float32, the rows "
        f"of the training loss differ by at most {max(apart):.1e} relatively, and at least {100 * min(same):.2f} % of "
        "the test predictions are the same."
    ]


def draw(cells: Cells, path: Path) -> None:
    """Both nets' losses and accuracies; the lines of the two lie on each other."""

    def lines(what: str) -> list[curves.Line]:
        return [
            curves.Line(
                f"{label}, {part}", label, f"{part} {what}", k if label == NUMPY else k + 2, faint=label == OURS
            )
            for label in cells
            for k, part in enumerate(("train", "test"))
        ]

    panels = [curves.Panel(what, lines(what)) for what in ("loss", "accuracy")]
    curves.draw(cells, path, TITLE, panels)


EXPERIMENT = Experiment(
    name="report001_mlp",
    about=__doc__,
    run=run,
    configs=configs,
    data="cifar10",
    standardize=True,
    title=TITLE,
    metrics=(
        "test accuracy",
        "train accuracy",
        "largest loss difference, float32",
        "largest loss difference, float64",
    ),
    draw=draw,
    pairs=(),  # one method written twice: rounding is all that a test could tell apart
    remarks=remarks,
    epochs=False,
    steps=True,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, sys.argv[1:]))
