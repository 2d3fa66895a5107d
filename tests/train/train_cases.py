"""Small runs for the tests of `Trainer`, a bomb that ends one at any event, and a run's whole state as plain data."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn, optim
from tinygrad_edu.optim import lr_scheduler
from tinygrad_edu.train import Callback, EarlyStopping, Trainer, accuracy
from tinygrad_edu.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
    random_split,
)

SAMPLES, FEATURES, CLASSES = 37, 6, 3  # with batches of 8: four whole ones and a short one


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Bomb(Callback):
    """Counts events (samples read, losses, hooks of callbacks) and ends the run at number `at`."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.events = at, 0

    def tick(self) -> None:
        if self.events == self.at:
            raise Killed(f"at event {self.events}")
        self.events += 1

    def on_fit_start(self, trainer: Trainer) -> None:
        self.tick()

    on_step_end = on_validation_end = on_epoch_end = on_fit_end = on_fit_start


def arrays(seed: int = 0, samples: int = SAMPLES) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, FEATURES)).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy((x[:, :CLASSES]).argmax(1))


class Noisy(Dataset):
    """Samples with noise from a source of its own choice, drawn while they are read."""

    def __init__(self, source: str, bomb: Bomb) -> None:
        self.x, self.y = arrays()
        self.source, self.bomb = source, bomb
        self.own = np.random.default_rng(5)
        self.ours = torch.Generator().manual_seed(5)
        self.twister = np.random.Generator(np.random.MT19937(5))
        self.by_worker: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.y)

    def noise(self) -> float:
        if self.source == "worker":
            info = get_worker_info()
            self.by_worker.setdefault(info.seed, np.random.default_rng(info.seed))
            return float(self.by_worker[info.seed].random())
        return {
            "default": lambda: torch.rand(1).item(),
            "ours": lambda: torch.rand(1, generator=self.ours).item(),
            "own": self.own.random,
            "twister": self.twister.random,
            "numpy": np.random.random,
            "python": lambda: random.gauss(0, 1),
        }[self.source]()

    def __getitem__(self, index: int) -> Any:
        self.bomb.tick()
        return self.x[index] + self.noise(), self.y[index]


class Stream(IterableDataset):
    """The samples as a stream."""

    def __init__(self, bomb: Bomb) -> None:
        self.bomb = bomb

    def __iter__(self) -> Any:
        x, y = arrays()
        for k in range(len(y)):
            self.bomb.tick()
            yield x[k] + torch.rand(1), y[k]


class Counting(Callback):
    """A callback with a memory, and draws of its own."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_fit_start(self, trainer: Trainer) -> None:
        torch.rand(3)

    def on_step_end(self, trainer: Trainer) -> None:
        self.seen.append(trainer.last_loss + torch.rand(1).item())

    def state_dict(self) -> dict[str, Any]:
        return {"seen": list(self.seen)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = list(state["seen"])


def make_model(dropout: float = 0.3) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, CLASSES)
    )


OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "adadelta": lambda p: optim.Adadelta(p),
    "adamax": lambda p: optim.Adamax(p),
    "nadam": lambda p: optim.NAdam(p),
    "radam": lambda p: optim.RAdam(p),
    "rprop": lambda p: optim.Rprop(p),
    "asgd": lambda p: optim.ASGD(p, lr=0.05, t0=3),
}
SCHEDULERS: dict[str, Any] = {
    "step": lambda o: lr_scheduler.StepLR(o, 2),
    "multistep": lambda o: lr_scheduler.MultiStepLR(o, [1, 3]),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.7),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 3),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda k: 1 / (k + 1)),
    "sequential": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.ExponentialLR(o, 0.5)], [2]
    ),
    "chained": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.5, 2), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
    "plateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1, threshold=0.2),
    "onecycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=15),
    "cyclic": lambda o: lr_scheduler.CyclicLR(o, 0.001, 0.1, step_size_up=3),
}
NOISE = {f"noise {source}": {"noise": source} for source in ("default", "ours", "own", "twister", "numpy", "python")}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "own generator": {"generator": True},
    "steps": {"fit": {"steps": 13}},
    "validate every": {"fit": {"epochs": 3, "validate_every": 4}, "scheduler": "exponential"},
    "steps and validate every": {"fit": {"steps": 13, "validate_every": 5}, "scheduler": "plateau"},
    "no validation": {"validation": False, "early": {"monitor": "train loss", "patience": 1, "min_delta": 0.3}},
    "early": {"early": {"patience": 1, "min_delta": 0.05}, "fit": {"epochs": 6}},
    "counting": {"counting": True},
    "max norm": {"trainer": {"max_norm": 0.1}},
    "seed": {"trainer": {"seed": 3}},
    "per epoch": {"trainer": {"checkpoint_every": "epoch"}},
    "every step": {"trainer": {"checkpoint_every": 1}},
    "weighted": {"weighted": True},
    "split": {"split": True},
    "stream": {"stream": True},
    "stream in steps": {"stream": True, "fit": {"steps": 12}},
    "workers": {"workers": 2},
    "workers draw": {"noise": "worker", "workers": 2},
    **NOISE,
    **{f"optimizer {name}": {"optimizer": name} for name in OPTIMIZERS},
    **{
        f"scheduler {name}": {
            "scheduler": name,
            "trainer": {"schedule_every": "step" if name in ("onecycle", "cyclic") else "epoch"},
        }
        for name in SCHEDULERS
    },
}


def train_loader(case: dict[str, Any], bomb: Bomb) -> DataLoader:
    generator = torch.Generator().manual_seed(11) if case.get("generator") else None
    workers = case.get("workers", 0)
    if case.get("stream"):
        return DataLoader(Stream(bomb), 8)
    if case.get("noise"):
        data: Any = Subset(Noisy(case["noise"], bomb), range(SAMPLES))
    else:
        data = TensorDataset(*arrays())
    if case.get("split"):
        data, _ = random_split(data, [30, 7])
    if case.get("weighted"):
        sampler = WeightedRandomSampler([1.0, 2.0] * 20, 35)
        return DataLoader(TensorDataset(*arrays(samples=40)), 8, sampler=sampler, num_workers=workers)
    return DataLoader(data, 8, shuffle=True, generator=generator, num_workers=workers)


def run(case: dict[str, Any], path: Any, at: int | None = None, **more: Any) -> tuple[Trainer, int]:
    """A run as a fresh process would make it: seeded, built and fitted; the trainer and the number of events."""
    torch.manual_seed(1)
    random.seed(2)
    np.random.seed(3)
    bomb = Bomb(at)
    model = make_model()
    optimizer = OPTIMIZERS[case.get("optimizer", "sgd")](model.parameters())
    scheduler = SCHEDULERS[case["scheduler"]](optimizer) if "scheduler" in case else None

    def loss(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        bomb.tick()
        return F.cross_entropy(scores, targets)

    callbacks: list[Any] = [bomb]
    if "early" in case:
        callbacks.append(EarlyStopping(**case["early"]))
    if case.get("counting"):
        callbacks.append(Counting())
    options = {"checkpoint_every": 2, **case.get("trainer", {}), **more}
    trainer = Trainer(
        model,
        optimizer,
        loss,
        metrics={"accuracy": accuracy},
        scheduler=scheduler,
        callbacks=callbacks,
        checkpoint=path,
        progress=False,
        **options,
    )
    validation = DataLoader(TensorDataset(*arrays(1, 21)), 8) if case.get("validation", True) else None
    trainer.fit(train_loader(case, bomb), validation, **case.get("fit", {"epochs": 3}), resume=path is not None)
    return trainer, bomb.events


def everything(trainer: Trainer) -> Any:
    """All that a run leaves: its state, bit by bit, and the next random numbers; but no times."""
    state = trainer.state_dict()
    state.pop("fitted_with")
    return plain(state), torch.rand(2).tolist(), random.random(), float(np.random.random())


def plain(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items() if key != "seconds"}
    if isinstance(x, (list, tuple)):
        return [plain(value) for value in x]
    if isinstance(x, torch.Tensor):
        return x.array.dtype.name, x.array.shape, x.array.tobytes()
    return repr(float(x)) if isinstance(x, float) else x
