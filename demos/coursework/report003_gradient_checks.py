"""Report 003: the relative errors of every layer's forward and backward pass, at or below the ones that it reached.

    python demos/coursework/report003_gradient_checks.py

The report checked its layers as the course cs231n does, by max |a - b| / max(1e-8, |a| + |b|): forward against numbers
typed off with 8 or 9 decimals (hence its 1e-8 there), backward against central differences.  Here in float64, at inputs
drawn anew for each seed: forward against loops over single numbers that share no code with the engine; backward
against central differences of those same loops, with a step of 2**-7 where the function is piecewise linear in its
input (they are exact there, and rounding is least), else by Richardson's extrapolation from 2**-8 and 2**-9, which
cancels the error of order h squared.  The report's h = 1e-5 is what its own errors of 1e-10 come from.  Exit status 1
if an error of any seed is above the report's.  Besides, without a number in the report: sigmoid, BatchNorm, softmax
with cross-entropy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from running import DataOptions, Experiment, main
from running.summary import Cells

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F

Array = NDArray[np.float64]
METRIC = "relative error"
REPORTED = {
    "affine forward": 9.77e-10,
    "affine dx": 9.83e-11,
    "affine dw": 6.09e-10,
    "affine db": 9.23e-12,
    "ReLU forward": 4.99e-8,
    "ReLU dx": 3.28e-12,
    "conv forward": 2.21e-8,
    "conv dx": 1.16e-8,
    "conv dw": 2.25e-10,
    "conv db": 3.37e-11,
    "max-pool forward": 4.17e-8,
    "max-pool dx": 3.28e-12,
}


def affine(x: Array, w: Array, b: Array) -> Array:
    """x (n, d), w (m, d), b (m,) -> (n, m): a loop per entry."""
    out = np.empty((len(x), len(w)))
    for i in range(len(x)):
        for j in range(len(w)):
            out[i, j] = b[j] + sum(float(x[i, k]) * float(w[j, k]) for k in range(x.shape[1]))
    return out


def relu(x: Array) -> Array:
    """x where it is above 0, else 0: entry by entry."""
    return np.array([v if v > 0 else 0.0 for v in x.ravel()]).reshape(x.shape)


def conv(x: Array, w: Array, b: Array) -> Array:
    """x (n, c, h, w), w (o, c, 3, 3), b (o,), stride 1, padding 1: a loop per window."""
    n, _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.empty((n, len(w), height, width))
    for i, o, r, s in np.ndindex(out.shape):
        out[i, o, r, s] = b[o] + (padded[i, :, r : r + 3, s : s + 3] * w[o]).sum()
    return out


def max_pool(x: Array) -> Array:
    """x (n, c, h, w) -> (n, c, h/2, w/2): the greatest of each 2 x 2 window."""
    out = np.empty((*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2))
    for i, c, r, s in np.ndindex(out.shape):
        out[i, c, r, s] = max(x[i, c, 2 * r + a, 2 * s + d] for a in (0, 1) for d in (0, 1))
    return out


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), entry by entry."""
    return np.array([1 / (1 + np.exp(-v)) for v in x.ravel()]).reshape(x.shape)


def batch_norm(x: Array, gamma: Array, beta: Array) -> Array:
    """x (n, c): each column less its mean, over the root of its biased variance + 1e-5, times gamma, plus beta."""
    out = np.empty_like(x)
    for c in range(x.shape[1]):
        mean = sum(x[:, c]) / len(x)
        variance = sum((v - mean) ** 2 for v in x[:, c]) / len(x)
        out[:, c] = [gamma[c] * (v - mean) / (variance + 1e-5) ** 0.5 + beta[c] for v in x[:, c]]
    return out


def softmax_loss(x: Array) -> Array:
    """x (n, k) -> (): the mean of -log softmax(x)[i, i mod k]."""
    rows = [np.log(sum(np.exp(v) for v in row)) - row[i % len(row)] for i, row in enumerate(x)]
    return np.array(sum(rows) / len(x))


def ours_softmax_loss(x: Any) -> Any:
    """The same by the engine."""
    return F.cross_entropy(x, torch.arange(len(x)) % x.shape[1])


# layer: oracle, engine, names of the inputs, their shapes, whether linear in each (then central differences are exact)
LAYERS: dict[str, tuple[Callable[..., Array], Callable[..., Any], Sequence[str], Sequence[Any], bool]] = {
    "affine": (affine, F.linear, ("x", "w", "b"), ((6, 12), (5, 12), (5,)), True),
    "ReLU": (relu, F.relu, ("x",), ((5, 12),), True),
    "conv": (
        conv,
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
        ("x", "w", "b"),
        ((2, 3, 6, 6), (4, 3, 3, 3), (4,)),
        True,
    ),
    "max-pool": (max_pool, lambda x: F.max_pool2d(x, 2), ("x",), ((2, 3, 6, 6),), True),
    "sigmoid": (sigmoid, torch.sigmoid, ("x",), ((5, 12),), False),
    "BatchNorm": (
        batch_norm,
        lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True),
        ("x", "gamma", "beta"),
        ((8, 5), (5,), (5,)),
        False,
    ),
    "softmax and cross-entropy": (softmax_loss, ours_softmax_loss, ("x",), ((6, 5),), False),
}


def relative_error(a: Array, b: Array) -> float:
    """cs231n's: the greatest |a - b| / max(1e-8, |a| + |b|)."""
    return float((np.abs(a - b) / np.maximum(1e-8, np.abs(a) + np.abs(b))).max())


def inputs(layer: str, seed: int) -> list[Array]:
    """Inputs of a layer, away from kinks: no entry near 0 for ReLU, no two entries of a max-pool near each other."""
    rng = np.random.default_rng(seed)
    arrays: list[Array] = [rng.normal(size=shape) for shape in LAYERS[layer][3]]
    if layer == "ReLU":
        arrays[0] += np.where(arrays[0] >= 0, 0.05, -0.05)
    if layer == "max-pool":
        arrays[0] = rng.permutation(arrays[0].size).reshape(arrays[0].shape) / 50 - 2
    return arrays


def differences(f: Callable[[Array], Array], x: Array, weights: Array, linear: bool) -> Array:
    """The gradient of sum(weights f(x)) by central differences; by Richardson's extrapolation where f is not linear.

    Richardson: with D(h) = (f(x + h) - f(x - h)) / 2h, (4 D(h/2) - D(h)) / 3 is right up to the fourth power of h.
    A piecewise linear f has no such error, so a large h costs nothing and keeps rounding small.
    """
    out = np.empty_like(x)
    for place in np.ndindex(x.shape):

        def slope(h: float, place: tuple[int, ...] = place) -> float:
            up, down = x.copy(), x.copy()
            up[place] += h
            down[place] -= h
            # the difference first, then the sum: what does not change cancels without rounding
            return float((weights * (f(up) - f(down))).sum() / (up[place] - down[place]))

        out[place] = slope(2.0**-7) if linear else (4 * slope(2.0**-9) - slope(2.0**-8)) / 3
    return out


def run(config: dict[str, Any], seed: int, data: DataOptions, checkpoint: Path) -> dict[str, Any]:
    """One row of the table at one seed; it needs no data and no checkpoint."""
    oracle, engine, names, _, linear = LAYERS[config["layer"]]
    arrays = inputs(config["layer"], seed)
    tensors = [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]
    out = engine(*tensors)
    if config["of"] == "forward":
        return {"metrics": {METRIC: relative_error(out.detach().numpy(), oracle(*arrays))}}
    place = list(names).index(config["of"])
    weights = np.random.default_rng(seed + 1_000).normal(size=out.shape)
    out.backward(torch.from_numpy(weights))
    grad = tensors[place].grad
    assert grad is not None  # every input requires it
    numerical = differences(lambda x: oracle(*arrays[:place], x, *arrays[place + 1 :]), arrays[place], weights, linear)
    return {"metrics": {METRIC: relative_error(grad.numpy(), numerical)}}


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Forward and every gradient of every layer."""
    rows = {}
    for layer, (_, _, names, _, _) in LAYERS.items():
        rows[f"{layer} forward"] = {"layer": layer, "of": "forward"}
        rows |= {f"{layer} d{name}": {"layer": layer, "of": name} for name in names}
    return rows


def above(cells: Cells) -> list[str]:
    """What is above the report's number at any seed."""
    return [
        f"{label}, seed {seed}: {cell['metrics'][METRIC]:.3g} is above the report's {REPORTED[label]:.3g}"
        for label, seeds in cells.items()
        for seed, cell in seeds.items()
        if label in REPORTED and not cell["metrics"][METRIC] <= REPORTED[label]
    ]


def remarks(cells: Cells) -> list[str]:
    """The verdict in a line."""
    return above(cells) or [f"all {len(set(REPORTED) & set(cells))} errors are at or below the report's, at every seed"]


EXPERIMENT = Experiment(
    name="report003_gradient_checks",
    about=__doc__,
    run=run,
    configs=configs,
    data="digits",
    title="Gradient checks of report 003's layers",
    reported={label: {METRIC: value} for label, value in REPORTED.items()},
    metrics=(METRIC,),
    lower_is_better=True,
    remarks=remarks,
    epochs=False,
    needs_data=False,
)


def command(arguments: Sequence[str]) -> int:
    """The command; 1 also when an error is above the report's."""
    worse: list[str] = []

    def noted(cells: Cells) -> list[str]:
        worse.extend(above(cells))
        return remarks(cells)

    return main(replace(EXPERIMENT, remarks=noted), arguments) or int(bool(worse))


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
