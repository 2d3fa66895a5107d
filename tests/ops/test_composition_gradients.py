"""Functions that are compositions of ops: first and second derivatives against central differences."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as t
from tinygrad_edu.testing import check_gradients


def draw(*shape, low=-2.0, high=2.0, seed=0):
    return np.random.default_rng(seed + len(shape)).uniform(low, high, shape)


X, Y, V, W = draw(3, 4), draw(3, 4, seed=1), draw(4, seed=2), draw(2, 3, 4, seed=3)
POSITIVE = draw(3, 4, low=0.3, high=2.5)
UNIT = draw(3, 4, low=0.1, high=0.9)
SQUARE = draw(3, 3, low=-0.4, high=0.4) + 2 * np.eye(3)
ROWS = t.tensor([2, 0])
MASK = t.tensor(X > 0)
PLACES = t.tensor([[0, 1, 2, 0], [2, 2, 1, 0]])

CASES = {
    "frac": (t.frac, POSITIVE),
    "deg2rad": (t.deg2rad, X),
    "rad2deg": (t.rad2deg, X),
    "digamma": (t.digamma, POSITIVE),
    "polygamma": (lambda x: t.polygamma(1, x), POSITIVE),
    "logit": (t.logit, UNIT),
    "logit with eps": (lambda x: t.logit(x, eps=0.01), UNIT),
    "logaddexp2": (t.logaddexp2, X, Y),
    "xlogy": (t.xlogy, POSITIVE, POSITIVE[::-1].copy()),
    "sinc": (t.sinc, POSITIVE),
    "copysign": (lambda x: t.copysign(x, t.tensor(Y)), POSITIVE),
    "ldexp": (t.ldexp, X, Y),
    "float_power": (lambda x: t.float_power(x, 3), X),
    "nan_to_num": (t.nan_to_num, X),
    "fmax": (t.fmax, X, Y),
    "fmin": (t.fmin, X, Y),
    "addcmul": (lambda *a: t.addcmul(*a, value=0.5), X, Y, V),
    "addcdiv": (lambda *a: t.addcdiv(*a, value=0.5), X, Y, POSITIVE),
    "rsub": (lambda *a: t.rsub(*a, alpha=2), X, Y),
    "lerp": (t.lerp, X, Y, V),
    "clamp to tensors": (lambda x, low: t.clamp(x, min=low), X, Y),
    "div floor": (lambda x, y: t.div(x, y, rounding_mode="trunc") + x, POSITIVE + 3.1, np.full((3, 4), 1.01)),
    "kthvalue": (lambda x: t.kthvalue(x, 2).values, X),
    "median": (t.median, X),
    "median along": (lambda x: t.median(x, 0).values, X),
    "nanmedian": (t.nanmedian, X),
    "mode": (lambda x: t.mode(x, 1).values, X),
    "msort": (t.msort, X),
    "quantile": (lambda x: t.quantile(x, t.tensor([0.2, 0.7]), dim=1), X),
    "nanquantile": (lambda x: t.nanquantile(x, 0.4, dim=0), X),
    "cummax": (lambda x: t.cummax(x, 1).values, X),
    "cummin": (lambda x: t.cummin(x, 0).values, X),
    "aminmax": (lambda x: t.aminmax(x, dim=1).max - t.aminmax(x, dim=0).min.sum(), X),
    "diff": (lambda x: t.diff(x, 2), X),
    "std_mean": (lambda x: t.std_mean(x, 1)[0] * t.std_mean(x, 1)[1], X),
    "nansum": (lambda x: t.nansum(x * x, 1), X),
    "nanmean": (lambda x: t.nanmean(x * x, 1), X),
    "logcumsumexp": (lambda x: t.logcumsumexp(x, 1), X),
    "dist": (lambda x, y: t.dist(x, y, 3), X, Y),
    "renorm": (lambda x: t.renorm(x, 2, 0, 0.5), X),
    "trapezoid": (lambda y, x: t.trapezoid(y * y, x), X, np.cumsum(POSITIVE, 1)),
    "cumulative_trapezoid": (lambda y: t.cumulative_trapezoid(y * y), X),
    "cov": (t.cov, X),
    "corrcoef": (t.corrcoef, X),
    "hstack": (lambda x, y: t.hstack((x, y)) ** 2, X, Y),
    "dstack": (lambda x, y: t.dstack((x, y)) ** 2, X, Y),
    "column_stack": (lambda v: t.column_stack((v, v * v)), V),
    "meshgrid": (lambda v: t.meshgrid(v, v * v, indexing="xy")[0] * t.meshgrid(v, v * v, indexing="xy")[1], V),
    "cartesian_prod": (lambda v: t.cartesian_prod(v, v) ** 2, V),
    "combinations": (lambda v: t.combinations(v) ** 2, V),
    "repeat_interleave": (lambda x: t.repeat_interleave(x, t.tensor([1, 0, 2]), dim=0) ** 2, X),
    "rot90": (lambda x: t.rot90(x) * t.tensor(Y.T.copy()), X),
    "diag_embed": (lambda x: t.diag_embed(x, 1) ** 2, X),
    "diagonal_scatter": (lambda x, d: t.diagonal_scatter(x, d) ** 2, X, draw(3, seed=5)),
    "block_diag": (lambda x, y: t.block_diag(x, y) ** 2, X, SQUARE),
    "sum_to_size": (lambda x: x.sum_to_size(3, 1) ** 2, X),
    "unfold": (lambda x: x.unfold(1, 2, 1) ** 2, X),
    "vander": (t.vander, V),
    "index_add": (lambda x, y: t.index_add(x, 0, ROWS, y, alpha=2) ** 2, X, Y[:2].copy()),
    "index_copy": (lambda x, y: t.index_copy(x, 0, ROWS, y) ** 2, X, Y[:2].copy()),
    "index_fill": (lambda x: t.index_fill(x, 0, ROWS, 2.0) ** 2, X),
    "index_put": (lambda x, y: t.index_put(x, (ROWS,), y, accumulate=True) ** 2, X, Y[:2].copy()),
    "take": (lambda x: t.take(x, t.tensor([0, 5, -1, 5])) ** 2, X),
    "put": (lambda x, v: t.put(x, t.tensor([0, 5, -1, 4]), v) ** 2, X, V),
    "masked_scatter": (lambda x, y: t.masked_scatter(x, MASK, y) ** 2, X, Y),
    "scatter_reduce": (lambda x, y: t.scatter_reduce(x, 0, PLACES, y, "mean") ** 2, X, Y[:2].copy()),
    "narrow and select": (lambda x: x.narrow(1, 1, 2) * x.select(1, 0).unsqueeze(1), X),
    "addmm": (lambda x, y, z: t.addmm(z, x, y.mT, beta=0.5, alpha=2), X, Y, SQUARE),
    "addmv": (lambda x, v: t.addmv(t.ones(3).double(), x, v), X, V),
    "addr": (lambda x, v: t.addr(x, x[:, 0], v), X, V),
    "baddbmm": (lambda w: t.baddbmm(w @ w.mT, w, w.mT), W),
    "addbmm": (lambda w: t.addbmm(w[0] @ w[0].mT, w, w.mT), W),
    "inner": (t.inner, X, Y),
    "tensordot": (lambda w, x: t.tensordot(w, x, dims=([1, 2], [0, 1])), W, X),
    "kron": (t.kron, X, V),
    "cross": (t.cross, X, Y),
    "matrix_power": (lambda a: t.matrix_power(a, -3), SQUARE),
    "cdist": (t.cdist, X, Y),
    "cdist 1": (lambda x, y: t.cdist(x, y, p=1), X, Y),
    "slogdet": (lambda a: t.linalg.slogdet(a).logabsdet, SQUARE),
    "solve right": (lambda a, b: t.linalg.solve(a, b, left=False), SQUARE, X.T.copy()),
    "solve vector": (t.linalg.solve, SQUARE, V[:3].copy()),
    "cholesky upper": (lambda a: t.linalg.cholesky(a @ a.mT, upper=True), SQUARE),
    "eigh": (lambda a: t.linalg.eigh(a + a.mT).eigenvalues ** 2, SQUARE),
    "eigenvectors": (lambda a: t.linalg.eigh(a @ a.mT).eigenvectors ** 2, SQUARE * np.array([1.0, 2.0, 3.0])),
    "lstsq": (lambda a, b: t.linalg.lstsq(a, b).solution, X.T + np.eye(4, 3), Y.T.copy()),
    "matrix_norm 1": (lambda a: t.linalg.matrix_norm(a, 1), X),
    "matrix_norm -inf": (lambda a: t.linalg.matrix_norm(a, -t.inf), X),
    "vector_norm": (lambda a: t.linalg.vector_norm(a, 3, dim=1), X),
    "cond": (lambda a: t.linalg.cond(a, "fro"), SQUARE),
    "multi_dot": (lambda x, a: t.linalg.multi_dot([x.mT, a, x]), X, SQUARE),
    "vecdot": (t.linalg.vecdot, X, Y),
    "in place": (lambda x, y: _stored(x, y), X, Y),
}


def _stored(x, y):
    """Compositions written back into a tensor that other results were computed from."""
    z = x * 1.0
    before = (z + 1.0) * 2.0
    z.addcmul_(y, y, value=0.5)
    z.lerp_(y, 0.3)
    z.narrow(1, 0, 2).frac_()
    z.index_add_(0, ROWS, y[:2])
    return z * z + before


@pytest.mark.parametrize("name", CASES)
def test_gradients_to_second_order(name):
    function, *inputs = CASES[name]
    function.__name__ = name
    check_gradients(function, inputs, order=2)
