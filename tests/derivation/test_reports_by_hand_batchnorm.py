"""The expected verdicts on batch normalisation hold: each formula in plain NumPy against central differences.

Nothing of tinygrad_edu is used here. Each function below is the author's formula in loops and arrays, with nothing
improved; where it is wrong, the corrected formula stands beside it and must agree with the differences.
"""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import agrees, delta, entries, jacobian
from verdicts import VERDICTS

EPS = 1e-5


# -- batch normalisation of m numbers --------------------------------------------------------------------------------


def batchnorm(seed, m):
    """Everything that the reports name; the true derivatives are differences of the forward pass from each name on."""
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=m), rng.normal(size=m)
    gamma, beta = rng.normal(1, 0.5), rng.normal()

    def from_xhat(xhat, gamma=gamma, beta=beta):
        return g @ (gamma * xhat + beta)

    def from_var(x, mu, var):
        return from_xhat((x - mu) / np.sqrt(var + EPS))

    def from_mu(x, mu):
        return from_var(x, mu, np.mean((x - mu) ** 2))

    mu, var = x.mean(), x.var()
    xhat = (x - mu) / np.sqrt(var + EPS)
    n = {"m": m, "x": x, "g": g, "gamma": gamma, "beta": beta, "mu": mu, "var": var, "xhat": xhat}
    n["dgamma"] = jacobian(lambda v: from_xhat(xhat, gamma=v), gamma)
    n["dbeta"] = jacobian(lambda v: from_xhat(xhat, beta=v), beta)
    n["dxhat"] = jacobian(from_xhat, xhat)
    n["dvar"] = jacobian(lambda v: from_var(x, mu, v), var)
    n["dmu"] = jacobian(lambda v: from_mu(x, v), mu)
    n["dx"] = jacobian(lambda v: from_mu(v, v.mean()), x)
    n["dvar_dx"] = jacobian(lambda v: v.var(), x)
    n["dmu_dx"] = jacobian(lambda v: v.mean(), x)
    return n


# label of the report -> (what it is a derivative of, as written, corrected or None)
def root(n, power=-0.5):
    return (n["var"] + EPS) ** power


def loop(n, entry):
    """Σᵢ of what an author wrote under a sum."""
    return sum(entry(i) for i in range(n["m"]))


def centred(n):
    return n["x"] - n["mu"]


def true_dvar(n):
    return -0.5 * loop(n, lambda i: n["dxhat"][i] * (n["x"][i] - n["mu"])) * root(n, -1.5)


def report_002_f(n):
    g, gamma, x, mu, m = n["g"], n["gamma"], n["x"], n["mu"], n["m"]
    cube = np.sqrt((n["var"] + EPS) ** 3)
    first = g * gamma / cube
    second = g * gamma * -0.5 * (x - mu) / cube * 2 / m * (x - mu)
    third = g * gamma * -1 / cube + g * gamma * -0.5 * (x - mu) / cube * (-2 / m) * np.sum(x - mu)
    return first + second + third / m


def report_003_dx(n):
    g, gamma, x, mu, m, s = n["g"], n["gamma"], n["x"], n["mu"], n["m"], n["var"] + EPS
    inner = 2 * (x - mu) / m + np.sum(-2 * (x - mu)) / m * 1 / m
    return g * gamma * (-1 / np.sqrt(s) - 0.5 * s**-1.5 * (x - mu) * inner - 1 / np.sqrt(s) / m)


def corrected_dx(n):
    """The three ways to x: through x̂, var and mu, each of the last two summed over all samples."""
    return n["dxhat"] * root(n) + true_dvar(n) * 2 / n["m"] * centred(n) + np.sum(n["dxhat"] * -root(n)) / n["m"]


BATCHNORM = {
    ("000", "a"): ("dgamma", lambda n: loop(n, lambda i: n["g"][i] * n["xhat"][i]), None),
    ("000", "b"): ("dbeta", lambda n: loop(n, lambda i: n["g"][i]), None),
    ("000", "c"): ("dxhat", lambda n: n["g"] * n["gamma"], None),
    ("000", "d"): ("dvar", lambda n: n["g"] * n["gamma"], true_dvar),
    ("000", "d in e"): ("dvar", true_dvar, None),
    ("000", "e"): (
        "dmu",
        lambda n: loop(n, lambda i: n["dxhat"][i] * -root(n)) + n["dvar"] * (-2 / n["m"]) * np.sum(centred(n)),
        None,
    ),
    ("000", "e simplified"): ("dmu", lambda n: loop(n, lambda i: n["dxhat"][i] * -root(n)), None),
    ("000", "f dvar"): ("dvar_dx", lambda n: 2 / n["m"] * centred(n), None),
    ("000", "f dmu first"): ("dmu_dx", lambda n: np.full(n["m"], root(n)), lambda n: np.full(n["m"], 1 / n["m"])),
    ("000", "f dmu second"): ("dmu_dx", lambda n: np.full(n["m"], 1 / n["m"]), None),
    ("000", "f"): (
        "dx",
        lambda n: root(n) * (n["dxhat"] - n["dxhat"].sum() / n["m"] - n["xhat"] / n["m"] * (n["xhat"] @ n["dxhat"])),
        None,
    ),
    ("002", "a"): ("dgamma", lambda n: n["g"] @ n["xhat"], None),
    ("002", "b"): ("dbeta", lambda n: n["g"].sum(), None),
    ("002", "c"): ("dxhat", lambda n: n["g"] * n["gamma"], None),
    ("002", "d"): (
        "dvar",
        lambda n: loop(n, lambda i: n["g"][i] * n["gamma"] * -0.5 * centred(n)[i] / np.sqrt((n["var"] + EPS) ** 3)),
        None,
    ),
    ("002", "e"): (
        "dmu",
        lambda n: (
            loop(n, lambda i: n["g"][i] * n["gamma"] * -1 / np.sqrt(n["var"] + EPS))
            + loop(n, lambda i: n["g"][i] * n["gamma"] * -0.5 * centred(n)[i] / np.sqrt((n["var"] + EPS) ** 3))
            * (-2 / n["m"])
            * centred(n).sum()
        ),
        None,
    ),
    ("002", "f"): ("dx", report_002_f, corrected_dx),
    ("003", "dgamma"): ("dgamma", lambda n: np.sum(n["xhat"] * n["g"]), None),
    ("003", "dbeta"): ("dbeta", lambda n: np.sum(n["g"]), None),
    ("003", "dx"): ("dx", report_003_dx, corrected_dx),
    ("004", "dgamma"): ("dgamma", lambda n: np.sum(n["g"] * n["xhat"]), None),
    ("004", "dbeta"): ("dbeta", lambda n: np.sum(n["g"]), None),
    ("004", "dxhat"): ("dxhat", lambda n: n["g"] * n["gamma"], None),
    ("004", "dvar"): ("dvar", lambda n: np.sum(n["dxhat"] * centred(n)) * -0.5 * root(n, -2 / 3), true_dvar),
    ("004", "dmu"): ("dmu", lambda n: np.sum(n["dxhat"]) * -root(n), None),
    ("004", "dx"): (
        "dx",
        lambda n: n["dxhat"] * root(n) + n["dvar"] * 2 * centred(n) / n["m"] + n["dmu"] / n["m"],
        None,
    ),
}


@pytest.mark.parametrize("key", BATCHNORM, ids=" ".join)
@pytest.mark.parametrize("m", [2, 3, 5])
def test_batchnorm_of_numbers(key, m):
    for seed in range(3):
        n = batchnorm(seed, m)
        of, written, corrected = BATCHNORM[key]
        assert agrees(lambda: written(n), n[of]) == VERDICTS[key].right  # noqa: B023  called at once
        if corrected is not None:
            assert agrees(lambda: corrected(n), n[of])  # noqa: B023


def test_report_004_carries_its_wrong_gradient_of_var_into_the_last_formula():
    n = batchnorm(0, 4)
    hers = {**n, "dvar": BATCHNORM["004", "dvar"][1](n)}
    assert agrees(lambda: BATCHNORM["004", "dx"][1](n), n["dx"])
    assert not agrees(lambda: BATCHNORM["004", "dx"][1](hers), n["dx"])


@pytest.mark.parametrize("label", ["002 f", "003 dx"])
def test_every_slip_of_the_long_formulas_matters(label):
    """Mending any one of them alone is not enough: the exponents or the sign, and both sums."""
    n = batchnorm(1, 4)
    s = root(n)
    direct = n["dxhat"] * s
    var_lost = n["dxhat"] * -0.5 * centred(n) * s**3 * 2 / n["m"] * centred(n)
    var_way, mu_way = true_dvar(n) * 2 / n["m"] * centred(n), -n["dxhat"].sum() * s / n["m"]
    slip = 3 if label == "002 f" else 1
    parts = [
        (n["dxhat"] * (s**3 if label == "002 f" else -s), direct),
        (var_lost, var_way),
        (-n["dxhat"] * s**slip / n["m"], mu_way),
    ]
    report = report_002_f if label == "002 f" else report_003_dx
    np.testing.assert_allclose(sum(wrong for wrong, _ in parts), report(n), rtol=1e-10)
    for choice in np.ndindex(2, 2, 2):
        assert agrees(lambda: sum(p[k] for p, k in zip(parts, choice, strict=True)), n["dx"]) == all(choice)  # noqa: B023


# -- batch normalisation of features: 001 (12) to (25) ----------------------------------------------------------------


def features(seed):
    """x (features, B), upstream g, gamma, beta, and what follows from them."""
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    mu, var = x.mean(axis=1), x.var(axis=1)
    return x, g, rng.normal(1, 0.3, 3), rng.normal(size=3), mu, var, (x - mu[:, None]) / np.sqrt(var + EPS)[:, None]


def standardised(x):
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + EPS)


@pytest.mark.parametrize("seed", range(3))
def test_report_001_batchnorm(seed):
    x, g, gamma, beta, mu, var, xhat = features(seed)
    (c, b), s = x.shape, var + EPS
    wide = (c, c, b)  # i, j, r

    def eq18(power):
        return entries(wide, lambda i, j, r: -(s[i] ** power) / b * (x[i, r] - mu[i]) * delta(i, j))

    def eq22(power):
        return entries(
            (c, b, c, b),
            lambda i, t, j, r: (
                delta(i, j) / np.sqrt(s[i]) * (delta(r, t) - 1 / b)
                - 1 / b * (x[i, t] - mu[i]) * (x[i, r] - mu[i]) * delta(i, j) * s[i] ** power
            ),
        )

    def eq16(i, j, r):
        return 2 / b * sum((x[i, t] - mu[i]) * (delta(i, j) * delta(r, t) - delta(i, j) / b) for t in range(b))

    def eq25(j, r):
        return gamma[j] / np.sqrt(s[j]) * (g[j, r] - sum(g[j]) / b - xhat[j, r] / b * sum(xhat[j] * g[j]))

    def loss(x, gamma=gamma, beta=beta):
        return np.sum(g * (gamma[:, None] * standardised(x) + beta[:, None]))

    claims = {
        "12": (lambda: entries((c,), lambda j: sum(g[j] * xhat[j])), jacobian(lambda v: loss(x, gamma=v), gamma)),
        "13": (lambda: entries((c,), lambda j: sum(g[j])), jacobian(lambda v: loss(x, beta=v), beta)),
        "14": (lambda: entries(wide, lambda i, j, r: delta(i, j) / b), jacobian(lambda v: v.mean(axis=1), x)),
        "16": (lambda: entries(wide, eq16), jacobian(lambda v: v.var(axis=1), x)),
        "18": (lambda: eq18(-2 / 3), jacobian(lambda v: 1 / np.sqrt(v.var(axis=1) + EPS), x)),
        "22": (lambda: eq22(-2 / 3), jacobian(standardised, x)),
        "25": (lambda: entries((c, b), eq25), jacobian(loss, x)),
    }
    for label, (claim, truth) in claims.items():
        assert agrees(claim, truth) == VERDICTS["001", label].right, label
    assert agrees(lambda: eq18(-3 / 2), claims["18"][1]) and agrees(lambda: eq22(-3 / 2), claims["22"][1])
