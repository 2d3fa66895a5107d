"""What the cells of most experiments do: train a classifier with the Trainer, test it, keep the predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn, optim
from tinygrad_edu.train import Trainer, accuracy
from tinygrad_edu.utils.data import DataLoader, TensorDataset

from .data import Data, DataOptions

OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "SGD": optim.SGD,
    "RMSprop": optim.RMSprop,
    "Adam": optim.Adam,
    "AdamW": optim.AdamW,
}


def make_optimizer(name: str, parameters: Any, lr: float, **settings: Any) -> optim.Optimizer:
    """An optimiser by its name in the tables: "SGD", "RMSprop", "Adam", "AdamW", or "momentum" (SGD with 0.9)."""
    if name == "momentum":
        return optim.SGD(parameters, lr=lr, **{"momentum": 0.9, **settings})
    if name not in OPTIMIZERS:
        raise ValueError(f"make_optimizer: {name!r} is none of {', '.join([*OPTIMIZERS, 'momentum'])}")
    return OPTIMIZERS[name](parameters, lr=lr, **settings)


def fit_classifier(
    build: Callable[[Data], nn.Module],
    optimizer: Callable[[nn.Module], optim.Optimizer],
    seed: int,
    data: DataOptions,
    checkpoint: Path,
    *,
    batch_size: int,
    epochs: int | None = None,
    steps: int | None = None,
    validate_every: int | None = None,
    checkpoint_every: Literal["epoch"] | int = "epoch",
    train_subset: int | None = None,
    whole: bool = False,
    measure_train: bool = False,
    best: bool = False,
    trainer_options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One cell: the seed set, the model and its optimiser built, trained (from the checkpoint if there is one), tested.

    build: the data -> the model.  epochs or steps: exactly one.  validate_every: steps per row of the history, else an
    epoch.  train_subset: train on so many samples (all if there are fewer), drawn by the seed.  whole: train on the
    validation samples too, so that "validation accuracy" is of samples that were seen.
    measure_train: "train accuracy" is of the trained model over the training set, in evaluation mode; else the mean
    over the last row, while it was training.  best: "validation accuracy" is the best row's, else the last row's.
    Returns metrics, history with the step of each row, test predictions and targets, and the number of parameters.
    A loss of NaN ends the run and stays in the history.
    """
    torch.manual_seed(seed)
    sets = data.load()
    model = build(sets)
    train = sets.train
    if whole:
        train = TensorDataset(*map(torch.cat, zip(train.tensors, sets.validation.tensors, strict=True)))
    if train_subset is not None:
        train = subset(train, train_subset, seed)
    trainer = Trainer(
        model,
        optimizer(model),
        F.cross_entropy,
        metrics={"accuracy": accuracy},
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        progress=data.progress,
        **{"on_nan": "stop", **(trainer_options or {})},
    )
    loader = DataLoader(train, batch_size, shuffle=True)
    fitted = trainer.fit(
        loader, DataLoader(sets.validation, 500), epochs=epochs, steps=steps, validate_every=validate_every, resume=True
    )
    history: dict[str, Sequence[float]] = {
        **{name: list(values) for name, values in fitted.items()},
        "step": list(fitted.step),
    }
    result = tested(trainer.predict(DataLoader(sets.test, 500)), sets, history, model, best)
    if measure_train:
        result["metrics"]["train accuracy"] = trainer.evaluate(DataLoader(train, 500))["accuracy"]
    return result


def subset(samples: TensorDataset, count: int, seed: int) -> TensorDataset:
    """So many samples, or all if there are fewer, drawn by the seed."""
    # a generator of its own: the default one goes on as if nothing had been drawn
    chosen = np.sort(np.random.default_rng(seed).permutation(len(samples))[:count])
    return TensorDataset(*(torch.from_numpy(tensor.numpy()[chosen]) for tensor in samples.tensors))


def tested(
    scores: Any, sets: Data, history: Mapping[str, Sequence[float]], model: nn.Module, best: bool
) -> dict[str, Any]:
    """The result of a cell from the scores of the test set (n, classes) and the history."""
    targets = sets.test.tensors[1]
    predicted = scores.argmax(1)
    pick = max if best else (lambda values: values[-1])
    metrics = {"test accuracy": float((predicted == targets).float().mean())}
    metrics |= {name: pick(history[name]) for name in ("validation accuracy", "train accuracy") if history.get(name)}
    return {
        "metrics": metrics,
        "history": history,
        "predictions": predicted,
        "targets": targets,
        "parameters": sum(p.numel() for p in model.parameters()),
    }
