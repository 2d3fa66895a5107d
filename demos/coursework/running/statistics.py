"""Mean and spread over seeds, and paired tests of two runs on the same test samples.

McNemar's test asks whether two classifiers err equally often: of the samples that exactly one of them gets right, it
is a fair coin which one.  The bootstrap draws test samples and seeds again, with replacement, and gives an interval for
the difference in accuracy.  Holm's correction keeps the chance of any false alarm among all pairs of a table at 5 %.
Sources: McNemar (1947), Psychometrika 12; Efron (1979), Annals of Statistics 7; Holm (1979), Scand. J. Statistics 6;
Dietterich (1998), Neural Computation 10, on comparing classifiers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .execution import optional

Right = NDArray[np.bool_]  # (seeds, samples): whether a sample was classified correctly


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation (n - 1 below; NaN for one run), least and greatest of n runs."""

    n: int
    mean: float
    std: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Summarise runs that differ in their seed; ValueError for none."""
    if not values:
        raise ValueError("spread: no values")
    x = np.asarray(values, np.float64)
    std = float(x.std(ddof=1)) if len(x) > 1 else math.nan
    return Spread(len(x), float(x.mean()), std, float(x.min()), float(x.max()))


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """The exact two-sided p of McNemar's test for two rows (samples,) of right and wrong; 1 where none differ.

    With n01 and n10 samples that only one got right: p = P(|X - n/2| >= |n01 - n/2|), X ~ Binomial(n = n01 + n10, 1/2).
    """
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"mcnemar: a is {a.shape} and b is {b.shape}; both must be the same samples, (n,)")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(optional("scipy.stats", "coursework").binomtest(only_a, only_a + only_b, 0.5).pvalue)


def bootstrap(a: Right, b: Right, replicates: int = 10_000, seed: int = 0) -> tuple[float, float, float, float]:
    """Difference in accuracy a - b, its 95 % interval, and a two-sided p, over test samples and seeds.

    a, b (seeds, samples).  A replicate draws samples and seeds with replacement; seeds are paired.  The interval holds
    the middle 95 % of the replicates; p is twice the smaller share on one side of 0, counting one replicate more.
    With few seeds the spread between seeds is told too small: read an interval that ends near 0 with care.
    """
    if a.shape != b.shape or a.ndim != 2 or 0 in a.shape:
        raise ValueError(f"bootstrap: a is {a.shape} and b is {b.shape}; both must be (seeds, samples), the same")
    difference = a.astype(np.int8) - b.astype(np.int8)
    # Samples with the same outcomes are alike: drawing samples is drawing counts of the few different columns.
    columns, counts = np.unique(difference, axis=1, return_counts=True)
    rng = np.random.default_rng(seed)
    seeds, samples = difference.shape
    drawn = rng.multinomial(samples, counts / samples, size=replicates)  # (replicates, columns)
    per_seed = drawn @ columns.T / samples  # (replicates, seeds)
    chosen = rng.integers(0, seeds, (replicates, seeds))
    means = np.take_along_axis(per_seed, chosen, axis=1).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    smaller = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, 2 * (smaller + 1) / (replicates + 1))
    return float(difference.mean()), float(low), float(high), p


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for being several: the k-th smallest of m times m - k + 1, never falling, at most 1."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected, least = [0.0] * len(p), 0.0
    for place, i in enumerate(order):
        least = max(least, min(1.0, (len(p) - place) * p[i]))
        corrected[i] = least
    return corrected


def compare(pairs: Sequence[tuple[str, str]], right: Mapping[str, Mapping[int, NDArray[np.bool_]]]) -> list[Any]:
    """Every pair's paired tests, over the seeds that both have, as plain data.

    right: label -> seed -> (samples,).  Pairs without a common seed are left out.  McNemar's p is corrected over the
    pairs within each seed, the bootstrap's over the pairs.
    """
    rows: list[dict[str, Any]] = []
    for first, second in pairs:
        seeds = sorted(set(right.get(first, {})) & set(right.get(second, {})))
        if not seeds:
            continue
        a, b = (np.stack([right[label][seed] for seed in seeds]) for label in (first, second))
        difference, low, high, p = bootstrap(a, b)
        tests = [
            {
                "seed": seed,
                "only first right": int((x & ~y).sum()),
                "only second right": int((y & ~x).sum()),
                "p": mcnemar(x, y),
            }
            for seed, x, y in zip(seeds, a, b, strict=True)
        ]
        row: dict[str, Any] = {"first": first, "second": second, "samples": a.shape[1], "difference": difference}
        rows.append({**row, "interval": [low, high], "bootstrap p": p, "mcnemar": tests})
    for row, p in zip(rows, holm([row["bootstrap p"] for row in rows]), strict=True):
        row["bootstrap p, Holm"] = p
        row["better"] = None if p >= 0.05 else row["first" if row["difference"] > 0 else "second"]
    for seed in sorted({test["seed"] for row in rows for test in row["mcnemar"]}):
        tests = [test for row in rows for test in row["mcnemar"] if test["seed"] == seed]
        for test, p in zip(tests, holm([test["p"] for test in tests]), strict=True):
            test["p, Holm"] = p
    return rows
