"""why_grad calls a gradient None, zero or there exactly where PyTorch's is."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu

FUNCTIONS = [
    lambda torch, x, y: (x * y).sum(),
    lambda torch, x, y: (x.detach() * y).sum(),
    lambda torch, x, y: (y * y).sum(),
    lambda torch, x, y: (torch.relu(x - 9) * y).sum(),
    lambda torch, x, y: (x * 0 + y).sum(),
    lambda torch, x, y: torch.where(y > 100, x, y).sum(),
    lambda torch, x, y: (torch.sign(x) * y).sum(),
    lambda torch, x, y: torch.stack([x, y + 9]).amax(0).sum(),
    lambda torch, x, y: torch.cat([x, y])[3:].sum(),
    lambda torch, x, y: (x.clamp(max=-5.0) + y).sum(),
    lambda torch, x, y: torch.sqrt(x - x + y * 0).sum(),
    lambda torch, x, y: (x.data * y).sum(),
]


@pytest.mark.torch
@pytest.mark.parametrize("function", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_the_state_is_pytorchs(function):
    torch = pytest.importorskip("torch")
    states = []
    for library in (torch, tinygrad_edu):
        x = library.tensor([1.0, 2.0, -3.0], requires_grad=True)
        y = library.tensor([0.5, 1.5, 2.5], requires_grad=True)
        loss = function(library, x, y)
        loss.backward()
        states.append((x, loss))
    theirs = states[0][0].grad
    found = tinygrad_edu.why_grad(*states[1])
    if theirs is None:
        assert found.state == "None"
    elif not np.isfinite(theirs.numpy()).all():
        assert found.state == "NaN"
    else:
        assert found.state == ("there" if theirs.numpy().any() else "zero")
    assert found.reason
