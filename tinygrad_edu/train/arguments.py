"""What a `Trainer` and its `fit` were given, checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinygrad_edu.nn.module import Module
from tinygrad_edu.optim import LBFGS
from tinygrad_edu.optim.lr_scheduler import ReduceLROnPlateau
from tinygrad_edu.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from tinygrad_edu.train.trainer import Trainer


def check_count(who: str, name: str, value: Any, also: str = "") -> None:
    """Raise TypeError or ValueError for what is no whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{who}: {name} must be a whole number{also}, got {value!r} ({type(value).__name__})")
    if value < 1:
        raise ValueError(f"{who}: {name} must be at least 1, got {value}")


def check_trainer(trainer: Trainer) -> None:
    """Raise TypeError or ValueError for arguments of a Trainer that cannot work."""
    model, optimizer = trainer.model, trainer.optimizer
    if not isinstance(model, Module):
        raise TypeError(f"Trainer: model must be a Module, got {type(model).__name__}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"Trainer: optimizer must be an Optimizer, got {type(optimizer).__name__}; "
            "optim.Adam(model.parameters()) makes one"
        )
    if isinstance(optimizer, LBFGS):
        raise TypeError("Trainer: LBFGS computes the loss several times per step; write its loop by hand")
    known = {id(p) for p in model.parameters()}
    if not any(id(p) in known for group in optimizer.param_groups for p in group["params"]):
        raise ValueError(
            "Trainer: the optimizer holds no parameter of the model, so nothing would be learnt; make it from "
            "model.parameters() of this very model"
        )
    if not callable(trainer.loss):
        raise TypeError(f"Trainer: loss must be a function of (scores, targets), got {type(trainer.loss).__name__}")
    for name, metric in trainer.metrics.items():
        if not isinstance(name, str) or not callable(metric):
            raise TypeError(f"Trainer: metrics must map names to functions of (scores, targets), got {name!r}")
        if name == "loss":
            raise ValueError("Trainer: a metric cannot be named 'loss', for the loss is; choose another name")
    _check_choice("schedule_every", trainer.schedule_every, ("epoch", "step"))
    _check_choice("on_nan", trainer.on_nan, ("raise", "stop", "continue"))
    _check_scheduler(trainer)
    if trainer.max_norm is not None and not trainer.max_norm > 0:
        raise ValueError(f"Trainer: max_norm must be above 0, got {trainer.max_norm!r}")
    if trainer.checkpoint_every != "epoch":
        check_count("Trainer", "checkpoint_every", trainer.checkpoint_every, " of steps, or 'epoch'")


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"Trainer: {name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def _check_scheduler(trainer: Trainer) -> None:
    scheduler = trainer.scheduler
    if scheduler is None:
        return
    if not (hasattr(scheduler, "step") and hasattr(scheduler, "state_dict")):
        raise TypeError(f"Trainer: scheduler must be one of optim.lr_scheduler, got {type(scheduler).__name__}")
    if getattr(scheduler, "optimizer", trainer.optimizer) is not trainer.optimizer:
        raise ValueError("Trainer: the scheduler sets the rates of another optimizer; make it from this one")
    if isinstance(scheduler, ReduceLROnPlateau) and trainer.schedule_every == "step":
        raise ValueError("Trainer: ReduceLROnPlateau looks at the validation loss; use schedule_every='epoch'")


@dataclass(frozen=True)
class Plan:
    """The arguments of a fit."""

    train_loader: Any
    validation_loader: Any
    epochs: int | None
    steps: int | None
    validate_every: int | None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                f"Trainer.fit: give exactly one of epochs and steps, got epochs={self.epochs}, steps={self.steps}"
            )
        for name in ("epochs", "steps", "validate_every"):
            if getattr(self, name) is not None:
                check_count("Trainer.fit", name, getattr(self, name))
        _check_loader("train_loader", self.train_loader)
        if self.validation_loader is not None:
            _check_loader("validation_loader", self.validation_loader)

    @property
    def batches(self) -> int | None:
        """Of an epoch, if the loader knows."""
        return length_of(self.train_loader)

    def reached(self, epoch: int, step: int) -> bool:
        """Whether so many epochs and steps are all that was asked."""
        return epoch >= self.epochs if self.epochs is not None else step >= (self.steps or 0)

    def describe(self) -> dict[str, str]:
        """What must be the same when a run goes on, as texts; its end may be moved."""
        return {
            "train_loader": _describe_loader(self.train_loader),
            "validation_loader": "none" if self.validation_loader is None else _describe_loader(self.validation_loader),
            "validate_every": str(self.validate_every),
        }


def _check_loader(name: str, loader: Any) -> None:
    if not hasattr(loader, "__iter__"):
        raise TypeError(
            f"Trainer.fit: {name} must be a DataLoader or another iterable of batches, got {type(loader).__name__}; "
            "DataLoader(data_set, batch_size=64, shuffle=True) makes one"
        )
    if hasattr(loader, "__next__"):
        raise TypeError(
            f"Trainer.fit: {name} is a {type(loader).__name__}, which can be read only once, but every epoch reads it "
            "anew; pass a DataLoader or a list of batches"
        )


def length_of(loader: Any) -> int | None:
    """The number of batches, or of samples in a data set; None for a stream that does not know."""
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return None


def _describe_loader(loader: Any) -> str:
    """Class, batches, samples and order of a loader, as far as it tells."""
    parts = [type(loader).__name__, f"{length_of(loader)} batches"]
    if hasattr(loader, "dataset"):
        parts.append(f"{length_of(loader.dataset)} samples")
    for name in ("batch_size", "drop_last"):
        if hasattr(loader, name):
            parts.append(f"{name}={getattr(loader, name)}")
    if hasattr(loader, "sampler"):
        parts.append(type(loader.sampler).__name__)
    return ", ".join(parts)
