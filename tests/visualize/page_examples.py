"""Small computations with a graph, for the tests of pages and films."""

from __future__ import annotations

from typing import Any

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.autograd import keep_values


class Perceptron(nn.Module):
    """The network of the reference picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1, self.layer2, self.layer3 = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h1 = torch.sigmoid(self.layer1(x))
        h1.name = "h₁"
        return self.layer3(torch.tanh(self.layer2(h1)))


def network(backward: bool = True, keep: bool = True) -> tuple[torch.Tensor, nn.Module]:
    """One training step of the perceptron."""
    torch.manual_seed(4)
    model = Perceptron()
    x = torch.randn(4, 3)
    x.name = "x"
    with keep_values(keep):
        loss = F.cross_entropy(model(x), torch.tensor([0, 2, 1, 2]))
        if backward:
            loss.backward()
    return loss, model


def two_paths() -> tuple[torch.Tensor, dict[str, Any]]:
    """L = a·b + a with a = 3, b = −2: dL/da = b + 1 = −1, dL/db = a = 3."""
    a, b = torch.tensor(3.0, requires_grad=True), torch.tensor(-2.0, requires_grad=True)
    a.name, b.name = "a", "b"
    loss = a * b + a
    loss.name = "L"
    return loss, {"a": a, "b": b}
