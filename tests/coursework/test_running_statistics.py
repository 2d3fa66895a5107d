"""The statistics of the coursework against sums over all outcomes, slow loops and laws."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="the exact McNemar test uses scipy")
from running.statistics import bootstrap, compare, holm, mcnemar, spread


def rows(both: int, first: int, second: int, neither: int):
    """Two rows of right and wrong with so many samples of each kind."""
    a = np.array([True] * both + [True] * first + [False] * second + [False] * neither)
    b = np.array([True] * both + [False] * first + [True] * second + [False] * neither)
    return a, b


@given(first=st.integers(0, 12), second=st.integers(0, 12), both=st.integers(0, 5))
def test_mcnemar_is_the_sum_over_all_outcomes_of_fair_coins(first, second, both):
    n, far = first + second, abs(2 * first - (first + second))
    extreme = sum(math.comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= far)
    exact = Fraction(extreme, 2**n)
    assert mcnemar(*rows(both, first, second, 3)) == pytest.approx(float(exact), rel=1e-9)


def test_mcnemar_enumerates_every_sequence():
    a, b = rows(4, 5, 1, 2)
    sequences = list(itertools.product([0, 1], repeat=6))
    share = sum(abs(sum(s) - 3) >= 2 for s in sequences) / len(sequences)
    assert mcnemar(a, b) == pytest.approx(share)


def test_mcnemar_wants_the_same_samples():
    with pytest.raises(ValueError, match=r"a is \(3,\) and b is \(4,\); both must be the same samples"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))


def test_the_bootstrap_is_the_one_that_draws_sample_by_sample():
    rng = np.random.default_rng(3)
    a, b = rng.random((3, 200)) < 0.8, rng.random((3, 200)) < 0.7
    difference, low, high, _ = bootstrap(a, b)
    slow = []
    for _ in range(4_000):
        seeds, samples = rng.integers(0, 3, 3), rng.integers(0, 200, 200)
        slow.append(np.mean([a[s, samples].mean() - b[s, samples].mean() for s in seeds]))
    assert difference == pytest.approx(a.mean() - b.mean())
    assert np.quantile(slow, [0.025, 0.975]) == pytest.approx([low, high], abs=0.012)


def test_one_seed_has_the_interval_of_a_mean():
    """With one seed the replicates are means of n values: the interval is theirs, 1.96 standard errors each way."""
    rng = np.random.default_rng(0)
    a, b = rng.random((1, 4_000)) < 0.9, rng.random((1, 4_000)) < 0.8
    difference, low, high, p = bootstrap(a, b)
    error = 1.96 * (a.astype(float) - b).std() / math.sqrt(4_000)
    assert (low, high) == pytest.approx((difference - error, difference + error), abs=0.002)
    assert p < 0.001


def test_runs_that_agree_are_not_told_apart():
    same = np.random.default_rng(0).random((3, 50)) < 0.5
    assert bootstrap(same, same) == (0.0, 0.0, 0.0, 1.0)


def test_the_bootstrap_is_the_same_every_time_and_turns_round():
    rng = np.random.default_rng(1)
    a, b = rng.random((3, 100)) < 0.6, rng.random((3, 100)) < 0.5
    assert bootstrap(a, b) == bootstrap(a, b)
    assert bootstrap(a, b)[0] == -bootstrap(b, a)[0]


def test_the_bootstrap_wants_the_same_shapes():
    with pytest.raises(ValueError, match=r"both must be \(seeds, samples\)"):
        bootstrap(np.ones((3, 5), bool), np.ones((2, 5), bool))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_steps_down(p):
    """Holm rejects at level t exactly when the step-down procedure does."""
    corrected = holm(p)
    order = np.argsort(p, kind="stable")
    for level in (0.01, 0.05, 0.3, 0.9):
        rejected = set()
        for place, i in enumerate(order):
            if (len(p) - place) * p[i] > level:
                break
            rejected.add(int(i))
        assert {i for i, q in enumerate(corrected) if q <= level} == rejected


def test_spread():
    told = spread([0.1, 0.2, 0.6])
    assert (told.n, told.low, told.high) == (3, 0.1, 0.6)
    assert told.mean == pytest.approx(0.3) and told.std == pytest.approx(math.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert math.isnan(spread([0.5]).std)
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_pairs_are_compared_over_common_seeds_and_corrected_together():
    rng = np.random.default_rng(5)
    good, bad = {s: rng.random(500) < 0.9 for s in (0, 1)}, {s: rng.random(500) < 0.5 for s in (0, 1, 2)}
    like = {0: good[0], 1: good[1]}
    told = compare([("good", "bad"), ("good", "like"), ("good", "absent")], {"good": good, "bad": bad, "like": like})
    assert [(row["first"], row["second"], row["better"]) for row in told] == [
        ("good", "bad", "good"),
        ("good", "like", None),
    ]
    assert [test["seed"] for test in told[0]["mcnemar"]] == [0, 1]
    first = told[0]["mcnemar"][0]
    assert first["only first right"] == int((good[0] & ~bad[0]).sum())
    assert first["p, Holm"] == pytest.approx(min(1, 2 * first["p"]))
    assert told[0]["bootstrap p, Holm"] == pytest.approx(2 * told[0]["bootstrap p"])
