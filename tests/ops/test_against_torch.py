"""Values, dtypes, gradients and error types of every function, in the spellings PyTorch takes."""

from __future__ import annotations

import itertools

import pytest
from twin import assert_twins, cases

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("code", cases("pointwise"))
def test_pointwise(code):
    assert_twins(code, torch)


@pytest.mark.parametrize("code", cases("reductions"))
def test_reductions(code):
    assert_twins(code, torch)


@pytest.mark.parametrize("code", cases("movement"))
def test_movement(code):
    assert_twins(code, torch)


@pytest.mark.parametrize("code", cases("choosing"))
def test_choosing(code):
    assert_twins(code, torch)


@pytest.mark.parametrize("code", cases("matrix"))
def test_matrix(code):
    assert_twins(code, torch)


SMOOTH = """
exp expm1 square sin cos tan atan sinh cosh tanh erf sigmoid relu floor ceil round neg reciprocal clone abs sign
"""
TESTS = "isnan isinf isfinite logical_not"
POSITIVE = "log log2 log10 log1p sqrt rsqrt"


def _unary():
    for name in f"{SMOOTH} {TESTS}".split():
        yield from (f"torch.{name}(x)", f"x.{name}()")
        for x in ("s", "d", "empty", "special", "i", "i32", "u8", "b", "x[:, ::2]", "x.T"):
            yield f"torch.{name}({x})"
    for name in POSITIVE.split():
        yield f"pos.{name}()"
        for x in ("pos", "s.abs()", "special", "i.abs()", "b", "d.abs()"):
            yield f"torch.{name}({x})"
    for name in ("asin", "acos"):
        yield from (f"unit.{name}()", f"torch.{name}(special)", f"torch.{name}(b)")


# sign(nan) is 0 in PyTorch; here NaN stays NaN. PyTorch squares booleans to int64; here they are refused.
DIFFERENT = {"torch.sign(special)", "torch.abs(special)", "torch.square(b)", "torch.sign(b)"}


@pytest.mark.parametrize("code", [c for c in _unary() if c not in DIFFERENT])
def test_unary(code):
    assert_twins(code, torch)


LEFT = ("sq", "s", "d[:, :3]", "i", "i32", "u8", "b", "i[0, 0]", "b[0, 0]", "d[0, 0]", "2", "2.5", "True")
RIGHT = ("sq", "s", "d[:, :3]", "i[:1]", "i32[:1]", "u8[:1]", "b[:1]", "i[0, 0]", "2", "2.5", "True", "-2", "0")


def _promoting():
    for op, x, y in itertools.product(("+", "-", "*", "/", "//", "%", "**", "==", "<", ">="), LEFT, RIGHT):
        if x in ("2", "2.5", "True") and y in ("2", "2.5", "True", "-2", "0"):
            continue
        if op in "<>=" and x == "u8" and y == "-2":
            continue  # PyTorch wraps -2 around to 254 first
        if op == "**" and (y == "i[:1]" or "b" in x + y or "True" in (x, y)):
            continue  # integers to negative powers: 0 in PyTorch, an error here; PyTorch's own gradient fails for bools
        yield f"{x} {op} {y}"
    whole = ("i", "i32", "u8", "b", "2", "True", "x"), ("i[:1]", "u8[:1]", "b[:1]", "x", "2.5")
    for op, x, y in itertools.product("&|^", *whole):
        yield f"{x} {op} {y}"


@pytest.mark.parametrize("code", list(_promoting()))
def test_promotion(code):
    """The dtype of the result for every pair of dtypes, of tensors, 0-d tensors and numbers."""
    assert_twins(code, torch)


REDUCTIONS = "sum mean prod amax amin max min argmax argmin all any std var logsumexp norm count_nonzero"


def _reducing():
    dims = ("0", "-1", "dim=1, keepdim=True", "axis=0", "5", "dim=0")
    for name in REDUCTIONS.split():
        options = [a for a in dims if not (name == "count_nonzero" and "keepdim" in a)]
        if name == "norm":
            options = ["p=2, dim=1", "dim=0", "p=1, dim=(0, 1)", "inf", "dim=5"]
        several = name in ("sum", "mean", "amax", "amin", "std", "var", "logsumexp", "all", "any", "count_nonzero")
        for x in ("x", "w", "d", "x[:, ::2]", "x.T"):
            more = ("(0, 1)", "[0]", "dim=(0, -1)", "(0, 0)") if several else ()
            yield from (f"{x}.{name}({a})" for a in ("", *options, *more))
        yield from (f"torch.{name}(x, {a})" for a in options)
        yield from (f"s.{name}({a})" for a in options[:1] + options[-2:] if name not in ("std", "var"))
        yield from (f"{x}.{name}(0)" for x in ("i", "i32", "u8", "b", "ties") if not (x == "b" and "arg" in name))


# all() and any() of uint8 are uint8 in PyTorch, for history's sake; norm(0) has no gradient here.
NOT_THE_SAME = {"u8.all(0)", "u8.any(0)", "ties.norm(0)"}


@pytest.mark.parametrize("code", [c for c in _reducing() if c not in NOT_THE_SAME])
def test_every_reduction(code):
    assert_twins(code, torch)
