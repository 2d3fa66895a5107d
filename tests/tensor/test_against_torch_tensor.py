"""Indexing, in-place operations, views, creation, conversion and printing, line by line as in PyTorch."""

from __future__ import annotations

import re

import pytest
from twin import assert_twins, cases, environment, evaluate

import tinygrad_edu

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("code", cases("in_place"))
def test_in_place_and_views(code):
    assert_twins(code, torch)


@pytest.mark.parametrize("code", cases("creation"))
def test_creation(code):
    assert_twins(code, torch)


@pytest.mark.parametrize("code", cases("conversions"))
def test_conversions(code):
    assert_twins(code, torch)


@pytest.mark.parametrize("code", cases("printing"))
def test_printing(code):
    """The same text, but for the name of the library and of the backward function."""
    ours, theirs = (repr(evaluate(library, code, environment(library))) for library in (tinygrad_edu, torch))
    ours, theirs = (re.sub(r"<\w+>", "<...>", text) for text in (ours.replace("tinygrad_edu.", "torch."), theirs))
    assert ours == theirs


INDICES = """
0 | -1 | 5 | 1:2 | ::2 | :0 | 5:9 | None | ... | 0, 1 | :, 1 | ..., 0 | 0, ... | None, 0 | :, None
0, None, ... | 1:, 1:3 | ::2, ::3 | -2: | :-1 | [0, 2] | [0, 0, 1] | rows | rows, rows | :, rows
rows[:, None], torch.tensor([0, 3]) | m | m[0], 0 | m[:, 0] | :, m[0] | ~m | m & False | x > 0 | rows, 1:
1:, rows | rows, None | None, rows | rows, ... | ..., rows | torch.tensor(1) | torch.tensor([[0, 1], [2, 0]])
places | True | [True, False, True] | [0, 1], [2, 3] | np.array([0, 2]) | np.int64(1) | range(2) | () | 0, 0
0, 0, 0 | ::-1 | x | rows.int() | torch.tensor([5]) | torch.tensor([-1]) | -4 | b
torch.tensor([], dtype=torch.long) | [] | torch.tensor(True) | m, m | slice(0, 2) | None, None | 0:2, [1, 1]
1:0 | 0, rows | rows, 0 | [0], 1 | True, 0 | ::torch.tensor(2) | 3 | -100:100 | np.array([True, False, True])
1.5 | torch.tensor([4, 0]) | torch.tensor([0, 1]), torch.tensor([[0], [1]])
torch.tensor(0), torch.tensor([1, 2]) | [[True, False, True]], 0
"""
INDICES_3D = """
0 | ..., 0 | :, :, rows | 0, rows[:2], rows[:2] | rows[:2] - 1, :, rows[:2] | rows[:2] - 1, rows[:2], :
0, :, rows | :, 0, rows | :, rows[:2], rows[:2] | rows[:2] - 1, 0 | None, rows[:2] - 1, None, rows[:2] | w > 0
:, m | :, 1:, ::3 | ..., None | ..., [0, 3] | [1], :, [2] | w[:, :, 0] > 0 | :, x > 0 | :, None, 1 | 0, 1, 2
0, 1, 2, 3 | 0, ..., 1 | :, None, :, 0 | 1, ..., rows | :, m, 0 | (w > 0).any(2) | 0, None, rows
rows[:2] - 1, ..., 0 | :, 1, [0, 1] | 0, m[0:1, 0:3], 1
"""


def _split(table):
    return [index.strip() for line in table.strip().split("\n") for index in line.split(" | ")]


@pytest.mark.parametrize("index", _split(INDICES))
@pytest.mark.parametrize("form", ["x[{}]", "z = x.clone(); z[{}] = 7.5; z", "z = x * 2; z[{}] = y[{}] * 3; z"])
def test_index(index, form):
    """Reading, writing a number, and writing a computed part."""
    assert_twins(form.replace("{}", index), torch)


@pytest.mark.parametrize("index", _split(INDICES_3D))
@pytest.mark.parametrize(
    "form", ["w[{}]", "z = w.clone(); z[{}] = 0.5; z * w", "z = w * 1; z[{}] = z[{}] * w[{}]; z * w"]
)
def test_index_3d(index, form):
    """An int beside an array of indices selects its dim first: NumPy's order of the dims differs here."""
    assert_twins(form.replace("{}", index), torch)


UNARY_IN_PLACE = "exp sqrt neg abs sin tanh sigmoid relu square floor round reciprocal log"


@pytest.mark.parametrize("name", UNARY_IN_PLACE.split())
@pytest.mark.parametrize(
    "form",
    ["z = pos * 1; z.{}_(); z * y", "z = pos * 1; a = z[0]; a.{}_(); z * y", "pos.{}_()", "z = i.clone(); z.{}_(); z"],
)
def test_unary_in_place(name, form):
    assert_twins(form.format(name), torch)
