"""A callback that measures another part of the data at every row of the history, and keeps the numbers beside it."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.train import Callback, Trainer


class Watch(Callback):
    """Evaluates a loader after each validation; `history` gets "NAME loss", "NAME accuracy", a number per row."""

    def __init__(self, name: str, loader: Any) -> None:
        self.name, self.loader = name, loader
        self.history: dict[str, list[float]] = {}

    def on_validation_end(self, trainer: Trainer) -> None:
        """Measure, in evaluation mode."""
        for what, value in trainer.evaluate(self.loader).items():
            self.history.setdefault(f"{self.name} {what}", []).append(value)

    def state_dict(self) -> dict[str, Any]:
        """The numbers so far."""
        return {"history": {name: list(values) for name, values in self.history.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from these numbers."""
        self.history = {name: list(values) for name, values in state["history"].items()}
