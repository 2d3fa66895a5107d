"""The state of a fit: where it stands, what it is made of, and a file that is put back only where it belongs."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_edu.errors import DataError
from tinygrad_edu.train.metrics import Running
from tinygrad_edu.train.randomness import States, get_states

if TYPE_CHECKING:
    from tinygrad_edu.train.trainer import Trainer

FORMAT = 1


@dataclass
class Place:
    """Where a run stands between two steps."""

    row: Running  # the means of the row under way
    step: int = 0  # optimiser steps taken
    epoch: int = 0  # passes over the training data completed
    batches_read: int = 0  # of the pass under way; 0 between two passes
    pass_began: States | None = None  # the random states in front of that pass
    stopped: bool = False  # by a callback or a loss that is not finite
    finished: bool = False  # on_fit_end has run
    rate: float = math.nan  # the learning rate of the last step
    seconds: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Its fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"row": self.row.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for field in fields(self):
            if field.name != "row":
                setattr(self, field.name, state[field.name])
        self.row.load_state_dict(state["row"])


def describe(trainer: Trainer) -> dict[str, str]:
    """The parts of a trainer that must be the same when a run goes on, each as a text."""
    model, optimizer, scheduler = trainer.model, trainer.optimizer, trainer.scheduler
    options = ", ".join(f"{name}={_plain(value)}" for name, value in optimizer.defaults.items())
    return {
        "model": _without_addresses(repr(model)),
        "weights": "\n".join(f"{name} {tuple(t.shape)} {t.dtype}" for name, t in model.state_dict().items()),
        "optimizer": f"{type(optimizer).__name__}({options})",
        "parameter groups": str([len(group["params"]) for group in optimizer.param_groups]),
        "loss": getattr(trainer.loss, "__qualname__", type(trainer.loss).__name__),
        "metrics": ", ".join(trainer.metrics) or "none",
        "scheduler": "none" if scheduler is None else f"{type(scheduler).__name__}, every {trainer.schedule_every}",
        "callbacks": ", ".join(type(callback).__name__ for callback in trainer.callbacks) or "none",
        "max_norm": str(trainer.max_norm),
        "seed": str(trainer.seed),
    }


def _plain(value: Any) -> str:
    return repr(value.item()) if hasattr(value, "item") else repr(value)


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


def check_same(here: Mapping[str, str], there: Mapping[str, str], where: str) -> None:
    """Raise DataError that lists what differs between this run and the one that wrote a checkpoint."""
    lines = []
    for name, mine in here.items():
        if mine != there.get(name):
            ours, theirs = _first_difference(mine, there.get(name, "nothing"))
            lines.append(f"  {name}: {theirs} in the checkpoint, {ours} here")
    if lines:
        raise DataError(
            f"Trainer: {where} belongs to another run. Make all as it was then, or use another file; for the weights "
            "alone there is model.load_state_dict(load(path)['model']). What differs:\n" + "\n".join(lines)
        )


def _first_difference(mine: str, theirs: str) -> tuple[str, str]:
    """The first line in which two texts differ, of each."""
    ours, others = mine.splitlines(), theirs.splitlines()
    k = next((k for k, (a, b) in enumerate(zip(ours, others, strict=False)) if a != b), min(len(ours), len(others)))
    return tuple(lines[k].strip() if k < len(lines) else "no more" for lines in (ours, others))  # type: ignore[return-value]


def check_format(state: Any, where: str) -> None:
    """Raise DataError for what is no state of a Trainer."""
    if not isinstance(state, Mapping) or "made_of" not in state or state.get("format") != FORMAT:
        raise DataError(f"Trainer: {where} is no checkpoint of a Trainer; pass what Trainer.save or fit wrote")


def state_of(trainer: Trainer) -> dict[str, Any]:
    """All that a fit needs to go on."""
    random = trainer._before_validation or get_states(trainer._generators)
    return {
        "format": FORMAT,
        "made_of": describe(trainer),
        "fitted_with": dict(trainer._fitted_with),
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": None if trainer.scheduler is None else trainer.scheduler.state_dict(),
        "callbacks": [callback.state_dict() for callback in trainer.callbacks],
        "history": trainer.history.state_dict(),
        "place": trainer._at.state_dict(),
        "random": random if trainer._loaded is None else trainer._loaded["random"],
    }


def put_back(trainer: Trainer, state: Mapping[str, Any], where: str) -> None:
    """Give a trainer a state, but for the random generators: those wait for the next fit, which has the loaders."""
    check_format(state, where)
    check_same(describe(trainer), state["made_of"], where)
    trainer.model.load_state_dict(state["model"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.optimizer._opt_called = state["place"]["step"] > 0  # else a schedule warns that it is stepped first
    if trainer.scheduler is not None:
        trainer.scheduler.load_state_dict(state["scheduler"])
    for callback, kept in zip(trainer.callbacks, state["callbacks"], strict=True):
        callback.load_state_dict(kept)
    trainer.history.load_state_dict(state["history"])
    trainer._at.load_state_dict(state["place"])
    trainer._loaded = {"random": state["random"], "fitted_with": state["fitted_with"]}


def prepare_folder(path: str | os.PathLike[str]) -> None:
    """Make the folder of a checkpoint, and see that the file can be written, before hours of training.

    Also removes what a killed process left half-written beside it.
    """
    file = Path(path)
    if file.is_dir():
        raise IsADirectoryError(f"Trainer: checkpoint {str(file)!r} is a folder; name a file in it")
    file.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(file.parent, os.W_OK):
        raise PermissionError(f"Trainer: checkpoint {str(file)!r}: its folder cannot be written; name another")
    for left in file.parent.glob(f".{_without_wildcards(file.name)}.????????.tmp"):  # as saving.py names them
        left.unlink(missing_ok=True)


def _without_wildcards(name: str) -> str:
    """A file name in which no character is a wildcard."""
    return re.sub(r"([*?[])", r"[\1]", name)
