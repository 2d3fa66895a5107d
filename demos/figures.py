"""The two figures of the coursework, drawn from real runs.        python demos/figures.py --out docs

network.png: a perceptron with sigmoid, tanh and softmax cross-entropy.  batchnorm.png: BatchNorm of 1, 2, 6.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
import visualize
from tinygrad_edu import nn
from tinygrad_edu.autograd import keep_values


class Perceptron(nn.Module):
    """h₁ = σ(W₁x + b₁),  h₂ = tanh(W₂h₁ + b₂),  z = W₃h₂ + b₃."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1, self.layer2, self.layer3 = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of three classes."""
        z1 = self.layer1(x)
        h1 = torch.sigmoid(z1)
        z2 = self.layer2(h1)
        h2 = torch.tanh(z2)
        z3: torch.Tensor = self.layer3(h2)
        for tensor, name in ((z1, "z₁"), (h1, "h₁"), (z2, "z₂"), (h2, "h₂"), (z3, "z₃")):
            tensor.name = name
        return z3


def train_network() -> tuple[torch.Tensor, dict[str, Any]]:
    """One training step of the perceptron: its loss, and what pictures of it are called."""
    torch.manual_seed(4)
    model = Perceptron()
    x = torch.randn(4, 3)
    x.name = "x"
    with keep_values():  # also the lines of code, which the page shows
        loss = F.cross_entropy(model(x), torch.tensor([0, 2, 1, 2]))
        loss.backward()
    count = sum(p.numel() for p in model.parameters())
    return loss, {
        "params": dict(model.named_parameters()),
        "title": "MLP 3 → 4 → 4 → 3",
        "subtitle": f"sigmoid · tanh · softmax cross-entropy  |  batch 4  |  {count} parameters  |  loss {loss:.4f}",
    }


def draw_network(path: Path) -> Path:
    """The graph of that step."""
    loss, names = train_network()
    return visualize.graph(loss, **names).render(path)


def write_page(path: Path) -> Path:
    """That step as a page that plays it forward and back."""
    loss, names = train_network()
    visualize.page(loss, path, **names)
    return path


def draw_batchnorm(path: Path) -> Path:
    """BatchNorm of 1, 2, 6, which can be checked by hand: μ = 3, x − μ = −2, −1, 3, σ² = 14/3."""
    norm = nn.BatchNorm1d(1)
    with torch.no_grad():
        norm.weight.fill_(1.5)
        norm.bias.fill_(0.5)
    x = torch.tensor([[1.0], [2.0], [6.0]], requires_grad=True)
    x.name = "x"
    y = norm(x)
    y.name = "y"
    y.backward(torch.tensor([[0.2], [-0.6], [1.0]]))
    return visualize.graph(
        y,
        params={"γ": norm.weight, "β": norm.bias},
        title="Batch normalization",
        subtitle="y = γ · (x − μ) / √(σ² + ε) + β  |  one feature, batch N = 3, ε = 10⁻⁵",
        direction="LR",
    ).render(path)


def main(arguments: list[str] | None = None) -> list[Path]:
    """Draw both into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="out", help="folder for the figures")
    out = Path(parser.parse_args(arguments).out)
    out.mkdir(parents=True, exist_ok=True)
    made = [draw_network(out / "network.png"), draw_batchnorm(out / "batchnorm.png")]
    print(*made, sep="\n")
    return made


if __name__ == "__main__":
    main(sys.argv[1:])
