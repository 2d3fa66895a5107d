"""What is measured beside the loss, and its mean over batches of unequal size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.tensor import Tensor

Metric = Callable[[Any, Any], Any]  # (scores, targets) -> mean over the batch, a number or a tensor with one


def accuracy(scores: Tensor, targets: Tensor) -> float:
    """The part of the samples whose highest score is at their label.

    scores (n, k) or (n, k, ...), targets (n) or (n, ...) -> 1/n Σ [argmax scoresᵢ = targetᵢ]
    Raises ShapeError when the shapes do not fit.
    """
    expected = (*scores.shape[:1], *scores.shape[2:])
    if scores.ndim < 2 or tuple(targets.shape) != expected:
        raise ShapeError(
            f"accuracy: scores are {tuple(scores.shape)} and targets {tuple(targets.shape)}; scores must be (n, k), "
            "one per class, and targets (n), the labels. One score per sample needs a metric of your own, such as "
            "lambda scores, targets: ((scores > 0) == (targets > 0.5)).float().mean()"
        )
    return int((scores.argmax(1) == targets).sum()) / max(1, targets.numel())


class Running:
    """Means over samples of numbers that are means over batches: Σ nᵢ valueᵢ / Σ nᵢ, so a short batch counts less."""

    def __init__(self, names: Iterable[str]) -> None:
        self.sums = dict.fromkeys(names, 0.0)
        self.samples = self.steps = 0

    def add(self, values: Mapping[str, float], samples: int) -> None:
        """Count one batch of so many samples."""
        for name, value in values.items():
            self.sums[name] += value * samples
        self.samples += samples
        self.steps += 1

    def means(self) -> dict[str, float]:
        """The mean of each; NaN before the first sample."""
        return {name: total / self.samples if self.samples else float("nan") for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """The sums and counts."""
        return {"sums": dict(self.sums), "samples": self.samples, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.sums, self.samples, self.steps = dict(state["sums"]), state["samples"], state["steps"]
