"""The README's code runs and does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu.errors import ShapeError

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_ten_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS[0].strip().splitlines()) <= 12
    names: dict = {}
    exec(BLOCKS[0], names)
    x, w = np.array([1.0, 2.0, 6.0]), 0.5
    slope = 2 * (np.tanh(w * x) - 1) * (1 - np.tanh(w * x) ** 2) / 3
    assert names["w"].grad.item() == pytest.approx(float((slope * x).sum()), rel=1e-5)
    assert names["b"].grad.item() == pytest.approx(float(slope.sum()), rel=1e-5)
    assert (tmp_path / "neuron.png").read_bytes()[:4] == b"\x89PNG"


def test_the_toy_engine_is_right_on_a_diamond():
    names: dict = {}
    exec(BLOCKS[1], names)
    node, mul, backward = names["Node"], names["mul"], names["backward"]
    x = (3.0, node())
    square = mul(x, x)
    fourth = mul(square, square)
    assert backward(fourth[1])[x[1]] == pytest.approx(4 * 3.0**3)


def test_the_gradient_check_runs():
    rng = np.random.default_rng(0)
    exec(BLOCKS[2], {"x64": rng.standard_normal((2, 3)), "w64": rng.standard_normal((3, 2))})


def test_the_derivation_is_judged_as_it_is_shown(capsys):
    (block,) = [code for code in BLOCKS if "Derivation" in code]
    exec(block, {})
    printed = capsys.readouterr().out
    shown = re.search(r"^d\. df/dvar.*?(?=\n```)", README, re.MULTILINE | re.DOTALL)
    assert shown and shown.group() in printed


def test_the_error_is_the_one_that_is_shown():
    shown = re.search(r"^matmul: .*$", README, re.MULTILINE)
    assert shown
    with pytest.raises(ShapeError) as raised:
        torch.zeros(32, 784) @ torch.zeros(10, 784)
    assert str(raised.value).startswith(shown.group())
