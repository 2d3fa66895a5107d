"""The forward of every op and function against an oracle written apart from it: NumPy, a plain loop, or a law."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as t
from tinygrad_edu import ops, testing
from tinygrad_edu.ops.registry import registry
from tinygrad_edu.testing import assert_close

floats = st.floats(-5, 5)


def layouts(shape, dtype=np.float64, low=-2.0, high=2.0, seed=0):
    """One set of entries in many memory layouts: row-major, column-major, strided, reversed, read-only."""
    base = np.random.default_rng(seed).uniform(low, high, shape).astype(dtype)
    yield base
    yield np.asfortranarray(base)
    wide = np.repeat(base, 2, axis=-1) if base.ndim else base
    yield wide[..., ::2] if base.ndim else wide
    yield np.flip(np.flip(base).copy()) if base.ndim else base
    frozen = base.copy()
    frozen.flags.writeable = False
    yield frozen


SHAPES = [(), (1,), (0,), (5,), (2, 3), (0, 3), (3, 0), (1, 1), (2, 1, 4), (2, 3, 4)]


def _inverse_erf(y):
    """By the quantiles of the normal distribution: erf(x) = 2 Φ(√2 x) − 1."""
    return NormalDist(0, 0.5**0.5).inv_cdf((y + 1) / 2) if -1 < y < 1 else np.nan if abs(y) != 1 else y * np.inf


def _log_gamma(x):
    """By the gamma function itself; infinite at the poles 0, −1, −2, ..."""
    if np.isinf(x) or (x <= 0 and x == np.floor(x)):
        return np.inf
    if x > 150:  # Stirling's series
        return x * math.log(x) - x - 0.5 * math.log(x / (2 * math.pi)) + 1 / (12 * x)
    if abs(x) < 0.5:  # Γ(x) = Γ(x + 1) / x, which may overflow
        return math.log(math.gamma(x + 1)) - math.log(abs(x))
    return math.log(abs(math.gamma(x)))


UNARY = {
    "abs": (np.abs, -2, 2),
    "exp": (np.exp, -2, 2),
    "expm1": (np.expm1, -2, 2),
    "log": (np.log, 0.1, 3),
    "log2": (np.log2, 0.1, 3),
    "log10": (np.log10, 0.1, 3),
    "log1p": (np.log1p, -0.5, 3),
    "sqrt": (np.sqrt, 0, 3),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 0.1, 3),
    "square": (lambda x: x * x, -2, 2),
    "reciprocal": (lambda x: 1 / x, 0.1, 3),
    "sign": (np.sign, -2, 2),
    "sin": (np.sin, -2, 2),
    "cos": (np.cos, -2, 2),
    "tan": (np.tan, -1, 1),
    "asin": (np.arcsin, -0.9, 0.9),
    "acos": (np.arccos, -0.9, 0.9),
    "atan": (np.arctan, -2, 2),
    "sinh": (np.sinh, -2, 2),
    "cosh": (np.cosh, -2, 2),
    "tanh": (np.tanh, -2, 2),
    "erf": (np.vectorize(math.erf, otypes=[float]), -2, 2),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), -5, 5),
    "relu": (lambda x: np.where(x > 0, x, 0), -2, 2),
    "floor": (np.floor, -2, 2),
    "ceil": (np.ceil, -2, 2),
    "round": (np.round, -2, 2),
    "neg": (np.negative, -2, 2),
    "clone": (np.copy, -2, 2),
    "trunc": (np.trunc, -3, 3),
    "exp2": (np.exp2, -2, 2),
    "asinh": (np.arcsinh, -2, 2),
    "acosh": (np.arccosh, 1, 4),
    "atanh": (np.arctanh, -0.9, 0.9),
    "erfc": (np.vectorize(math.erfc, otypes=[float]), -2, 2),
    "erfinv": (np.vectorize(_inverse_erf, otypes=[float]), -0.99, 0.99),
    "lgamma": (np.vectorize(_log_gamma, otypes=[float]), 0.1, 4),
}


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_unary(name, shape):
    oracle, low, high = UNARY[name]
    for x in layouts(shape, low=low, high=high):
        assert_close(getattr(t, name)(t.from_numpy(x)), oracle(x), rtol=1e-12)
        if shape:
            x = x[::-1]
            assert_close(getattr(t, name)(t.from_numpy(x)), oracle(x), rtol=1e-12)
    single = np.random.default_rng(1).uniform(low, high, shape).astype(np.float32)
    out = getattr(t, name)(t.from_numpy(single))
    assert out.array.dtype == np.float32
    assert_close(out, oracle(single.astype(np.float64)), rtol=1e-5, atol=1e-6)


def test_every_unary_op_has_an_oracle():
    elementwise = {o.name for o in registry.values() if o.elementwise and len(o.inputs) == 1}
    assert elementwise - set(UNARY) == {"fill", "cast", "power", "clamp", "alias", "digamma_derivative"}


BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "fmod": np.fmod,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "logaddexp": np.logaddexp,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}


@pytest.mark.parametrize("name", BINARY)
@given(shapes=testing.broadcastable_shapes(2), seed=st.integers(0, 99))
def test_binary(name, shapes, seed):
    rng = np.random.default_rng(seed)
    x, y = (rng.uniform(0.2, 3, shape) for shape in shapes)
    assert_close(getattr(t, name)(t.from_numpy(x), t.from_numpy(y)), BINARY[name](x, y), rtol=1e-12)
    for a, b in itertools.product(layouts(shapes[0], low=0.2, seed=seed), layouts(shapes[1], low=0.2, seed=seed + 1)):
        assert_close(getattr(t, name)(t.from_numpy(a), t.from_numpy(b)), BINARY[name](a, b), rtol=1e-12)


def test_relu_gate_passes_where_its_second_input_is_positive():
    x, y = np.random.default_rng(0).standard_normal((2, 5, 4))
    assert_close(registry["relu_gate"](x, y), x * (y > 0))
    assert np.isnan(registry["relu_gate"](np.ones(1), np.full(1, np.nan))) == 0


def test_every_binary_op_has_an_oracle():
    assert {o.name for o in registry.values() if o.elementwise and len(o.inputs) == 2 and o.method} <= set(BINARY)


REDUCTIONS = {
    "sum": np.sum,
    "mean": np.mean,
    "prod": np.prod,
    "amax": np.max,
    "amin": np.min,
    "all": np.all,
    "any": np.any,
    "argmax": np.argmax,
    "argmin": np.argmin,
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 not in s], ids=str)
def test_reductions(name, shape):
    for x in layouts(shape):
        for dim in (None, *range(-len(shape), len(shape))):
            for keepdim in (False, True):
                out = getattr(t, name)(t.from_numpy(x), dim, keepdim)
                assert_close(out, REDUCTIONS[name](x, axis=dim, keepdims=keepdim), rtol=1e-12)
        if len(shape) > 1 and "arg" not in name:
            assert_close(getattr(t, name)(t.from_numpy(x), (0, -1)), REDUCTIONS[name](x, axis=(0, -1)), rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3), (4,), (2, 3, 4)], ids=str)
def test_composed_reductions(shape):
    for x in layouts(shape):
        y = t.from_numpy(x)
        for dim in range(len(shape)):
            assert_close(y.var(dim), x.var(dim, ddof=1), rtol=1e-12)
            assert_close(y.std(dim, unbiased=False), x.std(dim), rtol=1e-12)
            assert_close(y.cumsum(dim), x.cumsum(dim), rtol=1e-12)
            assert_close(y.norm(dim=dim), np.sqrt((x * x).sum(dim)), rtol=1e-12)
            assert_close(y.norm(3, dim=dim), (np.abs(x) ** 3).sum(dim) ** (1 / 3), rtol=1e-12)
            assert_close(y.logsumexp(dim), np.log(np.exp(x).sum(dim)), rtol=1e-12)
            assert_close(y.softmax(dim), np.exp(x) / np.exp(x).sum(dim, keepdims=True), rtol=1e-12)
            assert_close(y.log_softmax(dim).exp(), y.softmax(dim), rtol=1e-12)
            assert_close(y.sort(dim).values, np.sort(x, dim))
            assert_close(y.argsort(dim, descending=True), np.argsort(-x, dim))
            assert_close(y.topk(2, dim).values, np.flip(np.sort(x, dim), dim).take(range(2), dim))
            values, indices = y.max(dim)
            assert_close(values, x.max(dim))
            assert_close(y.gather(dim, indices.unsqueeze(dim)).squeeze(dim), values)


@given(x=testing.tensors(min_dims=1, min_side=1), c=st.floats(-50, 50))
def test_softmax_ignores_a_shift(x, c):
    assert_close(t.softmax(x + c, -1), t.softmax(x, -1))
    assert_close(t.softmax(x, -1).sum(-1), np.ones(x.shape[:-1]))


@given(x=testing.tensors(min_dims=1, min_side=1))
def test_softmax_of_huge_numbers_is_finite(x):
    for scale in (1e3, 1e6, 1e300):
        assert t.isfinite(t.softmax(x * scale, -1)).all()
        assert t.isfinite(t.logsumexp(x * 1e3, -1)).all()


@given(shape=testing.shapes(min_dims=2, max_dims=2), inner=st.integers(0, 4), seed=st.integers(0, 99))
def test_matmul_is_a_triple_loop(shape, inner, seed):
    rng = np.random.default_rng(seed)
    (n, m), k = shape, inner
    for x, y in zip(layouts((n, k), seed=seed), layouts((k, m), seed=rng.integers(99)), strict=True):
        out = np.zeros((n, m))
        for i, j, c in itertools.product(range(n), range(m), range(k)):
            out[i, j] += x[i, c] * y[c, j]
        assert_close(t.from_numpy(x) @ t.from_numpy(y), out, rtol=1e-12)
        assert_close(t.einsum("ij,jk->ik", t.from_numpy(x), t.from_numpy(y)), out, rtol=1e-12)


@given(x=testing.tensors(min_dims=2, min_side=1), seed=st.integers(0, 99))
def test_laws_of_movement(x, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(x.ndim).tolist()
    back = np.argsort(order).tolist()
    assert_close(x.permute(order).permute(back), x)
    assert_close(x.flip(0).flip(0), x)
    assert_close(x.roll(3, 0).roll(-3, 0), x)
    assert_close(x.transpose(0, -1).transpose(0, -1), x)
    assert_close(t.cat(x.split(1)), x)
    assert_close(t.stack(x.unbind(1), 1), x)
    assert_close(t.cat(x.chunk(2, -1), -1), x)
    assert_close(x.tril() + x.triu(1), x)
    assert_close(x.flatten().reshape(x.shape), x)
    assert_close(x.repeat(*(2,) * x.ndim), np.tile(x.array, (2,) * x.ndim))
    assert_close(x.gather(0, x.argsort(0)), x.sort(0).values)
    assert_close(x.masked_fill(x > 0, 0.0) + x.relu(), x)
    assert_close(x[x > 0].sum(), x.relu().sum())
    assert_close(t.where(x > 0, x, -x), abs(x))
    assert_close(x.movedim(0, -1), np.moveaxis(x.array, 0, -1))
    assert_close(x.diagonal(0, 0, 1), x.array.diagonal(0, 0, 1))
    assert_close(t.einsum("i...->...", x), x.sum(0))


@given(data=st.data())
def test_indexing_is_numpys(data):
    from tinygrad_edu.testing.choosers import an_index
    from tinygrad_edu.testing.strategies import _Drawn

    x = data.draw(testing.arrays(min_dims=2, min_side=2))
    index = an_index(_Drawn(data.draw), x.shape)
    for y in (x, np.flip(np.flip(x).copy()), np.asfortranarray(x)):
        assert_close(t.from_numpy(y)[index], y[index])
        z, expected = t.tensor(y), y.copy()
        z[index], expected[index] = 7.0, 7.0
        assert_close(z, expected)


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e308, 5e-324])


@pytest.mark.parametrize("name", [n for n in UNARY if n != "erf"])
def test_nan_and_infinity_pass_through_without_a_warning(name):
    with np.errstate(all="ignore"):
        expected = UNARY[name][0](SPECIAL)
    if name == "relu":
        expected[0] = np.nan
    assert_close(getattr(t, name)(t.from_numpy(SPECIAL)), expected)


@pytest.mark.parametrize("name", BINARY)
def test_special_pairs(name):
    if "logical" in name:
        pytest.skip("booleans")
    x, y = SPECIAL[:, None], SPECIAL[None, :]
    with np.errstate(all="ignore"):
        expected = BINARY[name](x, y)
    out = getattr(t, name)(t.from_numpy(x), t.from_numpy(y))
    assert_close(out, expected)


def test_a_nan_is_never_hidden_by_a_reduction():
    x = t.tensor([1.0, float("nan"), 3.0])
    for name in ("sum", "mean", "prod", "amax", "amin", "var", "std", "norm"):
        assert math.isnan(getattr(x, name)().item()), name
    assert x.argmax().item() == x.argmin().item() == 1
    assert t.isnan(x.max(0).values) and t.isnan(x.sort().values[-1]) and t.isnan(x.cumsum(0)[-1])
    assert t.isnan(x.softmax(0)).all()


def test_sums_of_many_small_numbers_keep_their_digits():
    x = t.full((1_000_000,), 0.1)
    assert abs(x.sum().item() - 100_000) < 0.2
    assert abs(x.mean().item() - 0.1) < 1e-7


def test_ops_called_on_arrays_give_arrays():
    x = np.ones((2, 3))
    assert type(ops.arithmetic.add(x, x)) is np.ndarray
    assert type(ops.matrix.matmul(x, x.T)) is np.ndarray
    assert type(ops.reductions.sum(np.ones(()))) is np.ndarray
