"""`Callback`: code of your own at fixed places of the training loop, and `EarlyStopping`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_edu.train.trainer import Trainer


class Callback:
    """Override what you need; each method gets the trainer, with its `step`, `epoch`, `history`, `model`, `stop()`.

    The order of a step: forward, backward, update, schedule (if per step), `on_step_end`.  At the end of an epoch:
    validation, a new row in the history, schedule, the count of epochs, `on_validation_end`, `on_epoch_end`, and the
    checkpoint.  `trainer.save` may be called in each of them.
    What a callback remembers belongs in `state_dict`, so that a resumed run goes on as if nothing had happened.
    """

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first step of a call of `fit`, also of one that resumes."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After each step."""

    def on_validation_end(self, trainer: Trainer) -> None:
        """After each validation, when its row is in the history; never without a validation loader."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After each pass over the training data."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last step, before the last checkpoint is written; not after an error."""

    def state_dict(self) -> dict[str, Any]:
        """What must survive a restart: numbers, text, tensors, lists, tuples and dicts of them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""


class EpochFunction(Callback):
    """A plain function of the trainer, called at the end of each epoch."""

    def __init__(self, function: Callable[[Trainer], Any]) -> None:
        self.function = function

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Call it."""
        self.function(trainer)


def as_callback(callback: Any) -> Callback:
    """A callback as it is, a function as one.  Raises TypeError for anything else."""
    if isinstance(callback, Callback):
        return callback
    if isinstance(callback, type) or not callable(callback):
        what = f"the class {callback.__name__}" if isinstance(callback, type) else type(callback).__name__
        raise TypeError(
            f"Trainer: callbacks must be Callback objects or functions of the trainer, got {what}"
            + ("; make an object of it" if isinstance(callback, type) else "")
        )
    return EpochFunction(callback)


class EarlyStopping(Callback):
    """Ends the fit when a number of the history has not improved for `patience` rows in a row.

    monitor: a name of the history.  mode: "min" when less is better, "max" when more is.  min_delta: an improvement is
    a change by more than this.  NaN is never one.
    restore_best: the model gets the weights of its best row back at the end of the fit, stopped early or not.
    Raises ValueError for another mode or patience; KeyError, listing the names, for a monitor that is not measured.
    """

    def __init__(
        self,
        monitor: str = "validation loss",
        patience: int = 3,
        mode: Literal["min", "max"] = "min",
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"EarlyStopping: mode must be 'min' or 'max', got {mode!r}")
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ValueError(f"EarlyStopping: patience must be a whole number of at least 1, got {patience!r}")
        if not min_delta >= 0:
            raise ValueError(f"EarlyStopping: min_delta must be >= 0, got {min_delta!r}")
        self.monitor, self.patience, self.mode, self.min_delta = monitor, patience, mode, min_delta
        self.restore_best = restore_best
        self._reset()

    def _reset(self) -> None:
        self.best = math.inf if self.mode == "min" else -math.inf
        self.best_step = 0  # of the trainer, at the end of the best row
        self.bad_rows = 0
        self._rows = 0  # of the history, already looked at
        self._weights: dict[str, Tensor] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        """Forget what an earlier training left, so that one object can serve several trainers in turn."""
        if trainer.step == 0:
            self._reset()

    def on_validation_end(self, trainer: Trainer) -> None:
        """Look at the new row."""
        self._look(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Look at the new row of a fit without validation."""
        self._look(trainer)

    def _look(self, trainer: Trainer) -> None:
        rows = len(trainer.history.step)
        if rows == self._rows:
            return
        self._rows = rows
        if self.monitor not in trainer.history:
            raise KeyError(
                f"EarlyStopping: monitor {self.monitor!r} is not in the history, which has "
                f"{', '.join(map(repr, trainer.history))}; choose one of them"
                + ("" if "validation loss" in trainer.history else ", or give fit a validation_loader")
            )
        value = trainer.history[self.monitor][-1]
        sign = 1 if self.mode == "min" else -1
        if sign * (self.best - value) > self.min_delta:  # never true of NaN
            self.best, self.best_step, self.bad_rows = value, trainer.step, 0
            if self.restore_best:
                self._weights = {k: wrap(np.array(t.array)) for k, t in trainer.model.state_dict().items()}
        else:
            self.bad_rows += 1
            if self.bad_rows >= self.patience:
                trainer.stop()

    def on_fit_end(self, trainer: Trainer) -> None:
        """Put the best weights back."""
        if self._weights is not None:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best value, its step and weights, and the count of bad rows."""
        return {
            "best": self.best,
            "best_step": self.best_step,
            "bad_rows": self.bad_rows,
            "rows": self._rows,
            "weights": self._weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.best, self.best_step, self.bad_rows = state["best"], state["best_step"], state["bad_rows"]
        self._rows, self._weights = state["rows"], state["weights"]
