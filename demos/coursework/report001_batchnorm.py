"""Report 001: BatchNorm written three ways gives the same gradients, and the same training curve three times.

    python demos/coursework/report001_batchnorm.py

From differentiable primitives; as an autograd.Function whose backward is the report's formulas 12, 13 and 25; and as
the module nn.BatchNorm1d.  Each way's gradients are compared in float64 with central differences of a NumPy forward,
pass gradcheck and gradgradcheck, and train 3,072-100-10 on CIFAR-10 (SGD, lr 0.05, batch 200, 500 steps, standardized).
Two rows more are the report's formula 22, summed with g: with the exponent -2/3 of formulas 18 and 22, and with -3/2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import curves
import numpy as np
from numpy.typing import NDArray
from running import Data, DataOptions, Experiment, fit_classifier, main, make_optimizer
from running.summary import Cells

import tinygrad_edu as torch
from tinygrad_edu import Tensor, nn
from tinygrad_edu.autograd import gradcheck, gradgradcheck
from tinygrad_edu.autograd.function import Function
from tinygrad_edu.nn import functional as F

EPS = 1e-5
PRIMITIVES, FUNCTION, MODULE = "primitives", "Function, formula 25", "nn.BatchNorm1d"
AS_WRITTEN, CORRECTED = "formula 22 as written, exponent -2/3", "formula 22, exponent -3/2"
ERRORS = {name: f"{name}, relative error" for name in ("dx", "dgamma", "dbeta")}
OTHERS = "dx, relative difference of the three ways"
TITLE = "BatchNorm written three ways"

Way = Callable[[Tensor, Tensor, Tensor], Tensor]
Array = NDArray[np.float64]


def from_primitives(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """y = gamma (x - mu) / sqrt(var + eps) + beta for x (B, c), of ops whose gradients the engine knows."""
    mu = x.mean(0)
    var = ((x - mu) ** 2).mean(0)
    return gamma * ((x - mu) / torch.sqrt(var + EPS)) + beta


class BatchNormByHand(Function):
    """The same, with the backward written by hand.  x (B, c), gamma (c,), beta (c,) -> y (B, c).

    12, 13: dL/dgamma_j = sum_s g_j^s xhat_j^s;  dL/dbeta_j = sum_s g_j^s
    25: dL/dx_j^r = gamma_j / sqrt(var_j + eps) (g_j^r - 1/B sum_s g_j^s - xhat_j^r / B sum_s xhat_j^s g_j^s)
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        ctx.save_for_backward(x, gamma)
        xhat, _ = normalised(x)
        return gamma * xhat + beta

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, gamma = ctx.saved_tensors
        # Computed again, not saved: a saved xhat would count as a constant, and the second derivative would be wrong.
        xhat, scale = normalised(x)
        dx = gamma * scale * (g - g.mean(0) - xhat * (xhat * g).mean(0))
        return dx, (g * xhat).sum(0), g.sum(0)


def normalised(x: Tensor) -> tuple[Tensor, Tensor]:
    """xhat = (x - mu) / sqrt(var + eps), and 1 / sqrt(var + eps)."""
    centred = x - x.mean(0)
    scale = 1 / torch.sqrt((centred**2).mean(0) + EPS)
    return centred * scale, scale


def by_module(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """The function behind nn.BatchNorm1d, with the batch's statistics."""
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=EPS)


WAYS: dict[str, Way] = {PRIMITIVES: from_primitives, FUNCTION: BatchNormByHand.apply, MODULE: by_module}


class HandmadeBatchNorm(nn.Module):
    """A module around one of the first two ways, with nn.BatchNorm1d's running statistics for evaluation."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, way: Way, momentum: float = 0.1) -> None:
        super().__init__()
        self.way, self.momentum = way, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, c) -> y (B, c)."""
        if not self.training:
            return self.weight * (x - self.running_mean) / torch.sqrt(self.running_var + EPS) + self.bias
        with torch.no_grad():
            self.running_mean += self.momentum * (x.mean(0) - self.running_mean)
            self.running_var += self.momentum * (x.var(0) - self.running_var)
        return self.way(x, self.weight, self.bias)


def net(features: int, way: str, hidden: int, classes: int = 10) -> nn.Sequential:
    """Images (n, ...) -> scores (n, classes).  No bias in front of BatchNorm, which would take it away again."""
    norm = nn.BatchNorm1d(hidden) if way == MODULE else HandmadeBatchNorm(hidden, WAYS[way])
    first = nn.Linear(features, hidden, bias=False)
    return nn.Sequential(nn.Flatten(), first, norm, nn.ReLU(), nn.Linear(hidden, classes))


# -- the gradient checks ----------------------------------------------------------------------------------------------


def numpy_forward(x: Array, gamma: Array, beta: Array) -> Array:
    """BatchNorm in NumPy, for the central differences."""
    return gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + EPS) + beta


def central_differences(inputs: list[Array], g: Array, h: float = 1e-5) -> list[Array]:
    """d sum(g y) / d each number of x, gamma and beta: (L(+h) - L(-h)) / 2h."""
    gradients = []
    for k, array in enumerate(inputs):
        gradient = np.empty_like(array)
        for place in np.ndindex(array.shape):
            ends = []
            for step in (h, -h):
                moved = [a.copy() if i == k else a for i, a in enumerate(inputs)]
                moved[k][place] += step
                ends.append(float((g * numpy_forward(*moved)).sum()))
            gradient[place] = (ends[0] - ends[1]) / (2 * h)
        gradients.append(gradient)
    return gradients


def engine_gradients(way: Way, inputs: list[Array], g: Array) -> list[Array]:
    """The gradients of sum(g y) by the engine."""
    tensors = [torch.tensor(array, requires_grad=True) for array in inputs]
    way(*tensors).backward(torch.tensor(g))
    return [tensor.grad.numpy() for tensor in tensors if tensor.grad is not None]


def formula_22(inputs: list[Array], g: Array, exponent: float) -> Array:
    """dL/dx_j^r = sum_s g_j^s gamma_j dxhat_j^s/dx_j^r, with the exponent of its last factor."""
    x, gamma, _ = inputs
    centred, var, dxhat = x - x.mean(axis=0), x.var(axis=0), g * gamma
    first = (dxhat - dxhat.mean(axis=0)) / np.sqrt(var + EPS)
    second = centred * (dxhat * centred).mean(axis=0) * (var + EPS) ** exponent
    return np.asarray(first - second)


def relative_error(a: Array, b: Array) -> float:
    """max |a - b| / max(|a|, |b|) over the whole array."""
    return float(np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max()))


def inputs_of_the_check(seed: int) -> tuple[list[Array], Array]:
    """x (32, 6) of other means and spreads than 0 and 1, gamma, beta, and the gradient g of y."""
    rng = np.random.default_rng(seed)
    x = rng.normal(rng.uniform(-3, 3, 6), rng.uniform(0.3, 4, 6), (32, 6))
    return [x, rng.uniform(0.5, 2, 6), rng.normal(size=6)], rng.normal(size=(32, 6))


def checks(name: str, seed: int) -> dict[str, float]:
    """The errors of one row of the table.  Raises GradcheckError for a wrong first or second derivative."""
    inputs, g = inputs_of_the_check(seed)
    expected = central_differences(inputs, g)
    if name in (AS_WRITTEN, CORRECTED):
        dx = formula_22(inputs, g, -2 / 3 if name == AS_WRITTEN else -3 / 2)
        return {ERRORS["dx"]: relative_error(dx, expected[0])}
    small = tuple(torch.tensor(array[:5] if array.ndim == 2 else array, requires_grad=True) for array in inputs)
    gradcheck(WAYS[name], small)
    gradgradcheck(WAYS[name], small)
    found = engine_gradients(WAYS[name], inputs, g)
    others = [engine_gradients(way, inputs, g)[0] for way in WAYS.values()]
    return {
        **{ERRORS[what]: relative_error(a, b) for what, a, b in zip(ERRORS, found, expected, strict=True)},
        OTHERS: max(relative_error(found[0], other) for other in others),
    }


# -- the experiment ---------------------------------------------------------------------------------------------------


def run(config: dict[str, Any], seed: int, data: DataOptions, checkpoint: Path) -> dict[str, Any]:
    """One cell: the checks of one way, and its training."""
    found = checks(config["way"], seed)
    if config["way"] not in WAYS:
        return {"metrics": found}

    def build(sets: Data) -> nn.Module:
        return net(sets.features, config["way"], config["hidden"])

    result = fit_classifier(
        build,
        lambda model: make_optimizer("SGD", model.parameters(), lr=config["lr"]),
        seed,
        data,
        checkpoint,
        batch_size=config["batch size"],
        steps=config["steps"],
        validate_every=config["row"],
    )
    result["metrics"] |= found
    return result


def configs(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Three ways, alike in all else, and two formulas that are only checked.

    SGD, since Adam would blow the rounding of gradients near 0 up to steps of full size.
    """
    steps = options.steps or (6 if options.quick else 500)
    fixed = {"hidden": 100, "lr": 0.05, "batch size": 200, "steps": steps, "row": 3 if options.quick else 25}
    trained = {name: {"way": name, **fixed} for name in WAYS}
    return trained | {name: {"way": name} for name in (AS_WRITTEN, CORRECTED)}


def remarks(cells: Cells) -> list[str]:
    """How far the three curves are apart."""
    seeds = set.intersection(*(set(cells.get(name, {})) for name in WAYS))
    apart = 0.0
    for seed in seeds:
        curves_of = np.array([cells[name][seed]["history"]["train loss"] for name in WAYS])
        apart = max(apart, float(np.max(np.ptp(curves_of, axis=0) / curves_of.min(axis=0))))
    text = (
        "Relative error: max |a - b| / max(|a|, |b|), in float64, against central differences of a NumPy forward; "
        "every way passes gradcheck and gradgradcheck. The exponent -2/3 of formulas 18 and 22 is a slip for -3/2; "
        "formula 25 does not have it."
    )
    if seeds:
        text += f" The rows of the three training losses, in float32, differ by at most {apart:.1e} relatively."
    return [text]


def draw(cells: Cells, path: Path) -> None:
    """The three curves, which lie on each other."""
    ways = [name for name in WAYS if name in cells]
    panels = [
        curves.Panel(what, [curves.Line(name, name, what, k, faint=k > 0) for k, name in enumerate(ways)])
        for what in ("train loss", "validation accuracy")
    ]
    if ways:
        curves.draw({name: cells[name] for name in ways}, path, TITLE, panels)


EXPERIMENT = Experiment(
    name="report001_batchnorm",
    about=__doc__,
    run=run,
    configs=configs,
    data="cifar10",
    standardize=True,
    title=TITLE,
    metrics=(*ERRORS.values(), OTHERS, "test accuracy"),
    draw=draw,
    pairs=(),  # one method written three times: rounding is all that a test could tell apart
    remarks=remarks,
    epochs=False,
    steps=True,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, sys.argv[1:]))
