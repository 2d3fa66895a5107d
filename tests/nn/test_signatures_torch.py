"""Every layer and function takes PyTorch's arguments: their names, their order and their defaults."""

from __future__ import annotations

import inspect

import pytest

import tinygrad_edu as tg

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

# Deprecated for years (`reduction` replaced them), or PyTorch's own business.
LEFT_OUT = {"size_average", "reduce", "min_value", "max_value", "_stacklevel", "out"}
LAYERS = [
    name
    for name in tg.nn.__all__
    if inspect.isclass(getattr(tg.nn, name)) and name not in ("Module", "Parameter", "Buffer")
]


def arguments(function):
    """Names and defaults; None where PyTorch does not say (builtins, *args)."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        return None
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return None
    return [
        (p.name, p.default.__name__ if callable(p.default) and p.default is not p.empty else p.default)
        for p in parameters
        if p.name not in LEFT_OUT and p.name != "_relu"
    ]


@pytest.mark.parametrize("part", ["__init__", "forward"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, part):
    ours, theirs = getattr(getattr(tg.nn, name), part), getattr(getattr(torch.nn, name), part)
    mine, expected = arguments(ours), arguments(theirs)
    assert mine == expected or None in (mine, expected)


@pytest.mark.parametrize("name", tg.nn.functional.__all__)
def test_functions(name):
    mine = arguments(getattr(tg.nn.functional, name))
    expected = arguments(getattr(torch.nn.functional, name))
    assert mine is not None and (expected is None or mine == expected)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_recurrent_layers_by_position(name):
    """PyTorch hides these names behind *args: the same call must make the same layer."""
    given = (2, 3, 2, "relu", False, True) if name == "RNN" else (2, 3, 2, False, True, 0.5, True)
    assert repr(getattr(tg.nn, name)(*given)) == repr(getattr(torch.nn, name)(*given))
