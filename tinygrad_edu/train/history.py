"""`History`: what a fit measured, one row per epoch or per validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class History(Mapping[str, list[float]]):
    """Names to lists of numbers, one number per row: "train loss", "validation accuracy" and so on.

    A row is one epoch, or `validate_every` steps.  `visualize.curves(history, path)` draws the mapping; beside it stand
    step: the number of steps taken by the end of each row,
    learning_rate: of the first parameter group, at the row's last step,
    seconds: of training and validation since the first fit, at the end of each row.
    """

    def __init__(self) -> None:
        self._columns: dict[str, list[float]] = {}
        self.step: list[int] = []
        self.learning_rate: list[float] = []
        self.seconds: list[float] = []

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._columns:
            raise KeyError(
                f"the history has no {name!r}; it has {', '.join(map(repr, self._columns)) or 'no rows yet'}"
            )
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def add(self, values: Mapping[str, float], step: int, learning_rate: float, seconds: float) -> None:
        """Add a row.  A column that is new, or missing from this row, is filled with NaN, so all stay equally long."""
        for name in values:
            self._columns.setdefault(name, [float("nan")] * len(self.step))
        for name, column in self._columns.items():
            column.append(float(values.get(name, float("nan"))))
        self.step.append(step)
        self.learning_rate.append(learning_rate)
        self.seconds.append(seconds)

    def last(self) -> dict[str, float]:
        """The last row, empty before the first."""
        return {name: column[-1] for name, column in self._columns.items()}

    def state_dict(self) -> dict[str, Any]:
        """A copy as plain lists."""
        columns = {name: list(column) for name, column in self._columns.items()}
        return {
            "columns": columns,
            "step": list(self.step),
            "learning_rate": list(self.learning_rate),
            "seconds": list(self.seconds),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self._columns = {name: list(column) for name, column in state["columns"].items()}
        self.step = list(state["step"])
        self.learning_rate = list(state["learning_rate"])
        self.seconds = list(state["seconds"])

    def __repr__(self) -> str:
        if not self.step:
            return "History(no rows)"
        values = ", ".join(f"{name} {value:.4g}" for name, value in self.last().items())
        return f"History({len(self.step)} rows; at step {self.step[-1]}: {values})"
