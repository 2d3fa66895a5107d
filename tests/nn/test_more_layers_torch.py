"""Outputs, gradients, state and repr of every layer in the table are PyTorch's, number by number."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from layer_table import LAYERS
from nn_checks import compare

import tinygrad_edu as tg

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def make(name, args, kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says which of its fast paths it will not take
        return getattr(tg.nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)


def arrays(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) * 1.5 for shape in shapes]


def named(case):
    return f"{case[0]}-{case[1]}-{case[2]}-{case[3]}".replace(" ", "")


@pytest.mark.parametrize("case", LAYERS, ids=named)
def test_training(case):
    name, args, kwargs, shapes = case
    # the gradient of PyTorch's Hardsigmoid uses 1/6 in single precision
    rtol = 1e-7 if name == "Hardsigmoid" else 1e-10
    compare(torch, *make(name, args, kwargs), *arrays(shapes), steps=2, rtol=rtol)


@pytest.mark.parametrize("case", [c for c in LAYERS if "Norm" in c[0] or "ReLU" in c[0]], ids=named)
def test_evaluation(case):
    name, args, kwargs, shapes = case
    ours, theirs = make(name, args, kwargs)
    compare(torch, ours, theirs, *arrays(shapes))
    compare(torch, ours.eval(), theirs.eval(), *arrays(shapes, 1))


@pytest.mark.parametrize("case", LAYERS, ids=named)
def test_repr_and_state(case):
    name, args, kwargs, _ = case
    ours, theirs = make(name, args, kwargs)
    assert repr(ours) == repr(theirs)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert [(k, tuple(v.shape)) for k, v in mine.items()] == [(k, tuple(v.shape)) for k, v in other.items()]
    ours.load_state_dict({k: v.numpy() for k, v in other.items()})
    for key, value in ours.state_dict().items():
        np.testing.assert_array_equal(value.array, other[key].numpy())
