"""The fully connected nets of report 003: layers of ReLU, drawn with the size of weights that each experiment names."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_edu import nn


def mlp(features: int, hidden: Sequence[int], scale: float | None = None, classes: int = 10) -> nn.Sequential:
    """Images (n, ...) -> scores (n, classes) through hidden layers of ReLU.

    scale: weights are normal with this standard deviation, as in the course's assignments; None: He's (2015) of
    √(2 / inputs).  Biases begin at 0.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for width in hidden:
        layers += [nn.Linear(features, width), nn.ReLU()]
        features = width
    model = nn.Sequential(*layers, nn.Linear(features, classes))
    for layer in model:
        if isinstance(layer, nn.Linear):
            if scale is None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.normal_(layer.weight, std=scale)
            nn.init.zeros_(layer.bias)
    return model
