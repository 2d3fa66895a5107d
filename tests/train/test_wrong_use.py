"""Wrong arguments, wrong batches, wrong checkpoints: who, what came, what must hold, the fix."""

from __future__ import annotations

import pytest
from train_cases import CLASSES, arrays, make_model

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn, optim
from tinygrad_edu.errors import DataError
from tinygrad_edu.optim import lr_scheduler
from tinygrad_edu.train import Callback, EarlyStopping, Trainer, accuracy
from tinygrad_edu.utils.data import DataLoader, TensorDataset

LOADER = DataLoader(TensorDataset(*arrays()), 8, shuffle=True)


def made(model=None, optimizer=None, loss=F.cross_entropy, **options):
    torch.manual_seed(0)
    model = model or make_model()
    optimizer = optimizer or optim.SGD(model.parameters(), lr=0.1)
    return Trainer(model, optimizer, loss, progress=False, **options)


MODEL = make_model()
OPTIMIZER = optim.SGD(MODEL.parameters(), lr=0.1)
WRONG_ARGUMENTS = [
    ({"model": print, "optimizer": OPTIMIZER}, TypeError, "model must be a Module, got builtin_function_or_method"),
    ({"optimizer": "adam"}, TypeError, r"must be an Optimizer, got str; optim.Adam\(model.parameters\(\)\) makes one"),
    ({"model": make_model(), "optimizer": OPTIMIZER}, ValueError, "holds no parameter of the model"),
    ({"model": MODEL, "optimizer": optim.LBFGS(MODEL.parameters())}, TypeError, "LBFGS .* write its loop by hand"),
    ({"loss": "cross_entropy"}, TypeError, "loss must be a function of .scores, targets., got str"),
    ({"metrics": {"accuracy": 3}}, TypeError, "got 'accuracy'"),
    ({"metrics": {"loss": accuracy}}, ValueError, "cannot be named 'loss'"),
    ({"schedule_every": "batch"}, ValueError, "schedule_every must be one of 'epoch', 'step', got 'batch'"),
    ({"on_nan": "ignore"}, ValueError, "on_nan must be one of 'raise', 'stop', 'continue', got 'ignore'"),
    ({"max_norm": 0}, ValueError, "max_norm must be above 0, got 0"),
    ({"checkpoint_every": "step"}, TypeError, "must be a whole number of steps, or 'epoch', got 'step'"),
    ({"checkpoint_every": 0}, ValueError, "checkpoint_every must be at least 1"),
    ({"checkpoint_every": True}, TypeError, "got True"),
    ({"scheduler": 0.1}, TypeError, "one of optim.lr_scheduler, got float"),
    ({"scheduler": lr_scheduler.StepLR(OPTIMIZER, 1)}, ValueError, "the rates of another optimizer"),
    ({"callbacks": [EarlyStopping]}, TypeError, "got the class EarlyStopping; make an object of it"),
    ({"callbacks": ["early"]}, TypeError, "must be Callback objects or functions of the trainer, got str"),
    (
        {
            "model": MODEL,
            "optimizer": OPTIMIZER,
            "scheduler": lr_scheduler.ReduceLROnPlateau(OPTIMIZER),
            "schedule_every": "step",
        },
        ValueError,
        "ReduceLROnPlateau .* use schedule_every='epoch'",
    ),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), WRONG_ARGUMENTS)
def test_a_trainer_that_cannot_work(arguments, kind, message):
    with pytest.raises(kind, match=message):
        made(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "less"}, "mode must be 'min' or 'max', got 'less'"),
        ({"patience": 0}, "patience must be a whole number of at least 1, got 0"),
        ({"patience": 1.5}, "got 1.5"),
        ({"min_delta": -1}, "min_delta must be >= 0"),
    ],
)
def test_an_early_stopping_that_cannot_work(arguments, message):
    with pytest.raises(ValueError, match=f"EarlyStopping: .*{message}"):
        EarlyStopping(**arguments)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, ValueError, "exactly one of epochs and steps, got epochs=None, steps=None"),
        ({"epochs": 1, "steps": 2}, ValueError, "exactly one of epochs and steps, got epochs=1, steps=2"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"steps": 1.5}, TypeError, "steps must be a whole number, got 1.5"),
        ({"epochs": 1, "validate_every": -1}, ValueError, "validate_every must be at least 1"),
        ({"epochs": 1, "resume": True}, ValueError, r"give Trainer\(checkpoint=path\)"),
        ({"train_loader": 3, "epochs": 1}, TypeError, "train_loader must be a DataLoader .* got int"),
        ({"train_loader": iter(LOADER), "epochs": 1}, TypeError, "train_loader is a generator, .* only once"),
        ({"validation_loader": iter([1]), "epochs": 1}, TypeError, "validation_loader is a list_iterator"),
        ({"train_loader": [], "epochs": 1}, ValueError, "train_loader gave no batch"),
        ({"validation_loader": [], "epochs": 1}, ValueError, "Trainer.evaluate: the loader gave no batch"),
    ],
)
def test_a_fit_that_cannot_work(arguments, kind, message):
    with pytest.raises(kind, match=message):
        made().fit(**{"train_loader": LOADER, **arguments})


def test_a_plateau_needs_validation():
    optimizer = optim.SGD(MODEL.parameters(), lr=0.1)
    trainer = made(MODEL, optimizer, scheduler=lr_scheduler.ReduceLROnPlateau(optimizer))
    with pytest.raises(ValueError, match="looks at the validation loss; give a validation_loader"):
        trainer.fit(LOADER, epochs=1)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            {"x": arrays()[0], "y": arrays()[1]},
            r"got a dict with the keys \['x', 'y'\]; let the data set return tuples",
        ),
        (arrays()[0], r"\(inputs, targets\) or \(input, input, ..., targets\), got a Tensor"),
        ((arrays()[0],), "got a tuple of length 1"),
    ],
)
def test_a_batch_that_is_no_tuple(batch, message):
    trainer = made()
    with pytest.raises(TypeError, match=message):
        trainer.fit([batch], epochs=1)
    with pytest.raises(TypeError, match=message):
        trainer.evaluate([batch])
    with pytest.raises(ValueError, match="predict: the loader gave no batch"):
        trainer.predict([])


def test_the_modes_come_back_after_an_error():
    trainer = made()
    with pytest.raises(TypeError):
        trainer.evaluate([{}])
    assert all(module.training for module in trainer.model.modules())


# -- checkpoints ------------------------------------------------------------------------------------------------------


def written(path, **options):
    made(checkpoint=path, **options).fit(LOADER, epochs=1)


class Wide(nn.Module):
    """Its repr does not tell the size."""

    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, CLASSES))

    def forward(self, x):
        return x @ self.weight[: x.shape[1]]


def _deeper():
    return nn.Sequential(*make_model(), nn.Identity())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (lambda: {"model": make_model(0.5)}, r"model: \(3\): Dropout\(p=0.3, .* in the checkpoint, .*p=0.5.* here"),
        (lambda: {"model": _deeper()}, r"model: \) in the checkpoint, \(5\): Identity\(\) here"),
        (lambda: {"seed": 3}, "seed: None in the checkpoint, 3 here"),
        (lambda: {"max_norm": 1.0}, "max_norm: None in the checkpoint, 1.0 here"),
        (lambda: {"loss": F.mse_loss}, "loss: cross_entropy in the checkpoint, mse_loss here"),
        (lambda: {"metrics": {"accuracy": accuracy}}, "metrics: none in the checkpoint, accuracy here"),
        (lambda: {"callbacks": [Callback()]}, "callbacks: none in the checkpoint, Callback here"),
    ],
)
def test_a_checkpoint_of_another_run(options, message, tmp_path):
    path = tmp_path / "c.safetensors"
    written(path)
    trainer = made(checkpoint=path, **options())
    before = {k: v.numpy().copy() for k, v in trainer.model.state_dict().items()}
    with pytest.raises(DataError, match=f"c.safetensors' belongs to another run(.|\n)*{message}"):
        trainer.fit(LOADER, epochs=2, resume=True)
    assert all((before[k] == v.numpy()).all() for k, v in trainer.model.state_dict().items())
    assert trainer.step == 0


def test_a_checkpoint_of_another_optimizer_rate_or_schedule(tmp_path):
    path = tmp_path / "c.safetensors"
    written(path)
    model = make_model()
    for optimizer, message in (
        (optim.SGD(model.parameters(), lr=0.2), r"SGD\(lr=0.1, .* in the checkpoint, SGD\(lr=0.2, .* here"),
        (optim.Adam(model.parameters()), r"SGD\(.* in the checkpoint, Adam\("),
        (
            optim.SGD([{"params": [p]} for p in model.parameters()], lr=0.1),
            r"parameter groups: \[6\] in the checkpoint",
        ),
    ):
        with pytest.raises(DataError, match=message):
            made(model, optimizer).load(path)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(DataError, match="scheduler: none in the checkpoint, StepLR, every epoch here"):
        made(model, optimizer, scheduler=lr_scheduler.StepLR(optimizer, 1)).load(path)


def test_a_checkpoint_of_other_sizes(tmp_path):
    path = tmp_path / "c.safetensors"
    written(path, model=Wide(10))
    with pytest.raises(DataError, match=r"weights: weight \(10, 3\) .* in the checkpoint, weight \(11, 3\) .* here"):
        made(Wide(11)).load(path)


def test_a_checkpoint_of_other_data(tmp_path):
    path = tmp_path / "c.safetensors"
    written(path)
    x, y = arrays()
    for loader, message in (
        (DataLoader(TensorDataset(x, y), 9, shuffle=True), "batch_size=8, .* in the checkpoint, .*batch_size=9"),
        (DataLoader(TensorDataset(x, y), 8), "RandomSampler in the checkpoint, .*SequentialSampler here"),
        (DataLoader(TensorDataset(x[:-1], y[:-1]), 8, shuffle=True), "37 samples.* in the checkpoint, .*36 samples"),
    ):
        with pytest.raises(DataError, match=f"train_loader: .*{message}"):
            made(checkpoint=path).fit(loader, epochs=2, resume=True)
    with pytest.raises(DataError, match="validate_every: None in the checkpoint, 2 here"):
        made(checkpoint=path).fit(LOADER, epochs=2, validate_every=2, resume=True)
    with pytest.raises(DataError, match="validation_loader: none in the checkpoint, DataLoader, 5 batches"):
        made(checkpoint=path).fit(LOADER, LOADER, epochs=2, resume=True)
    own = DataLoader(TensorDataset(x, y), 8, shuffle=True, generator=torch.Generator())
    with pytest.raises(
        DataError, match=r"generators \['default'\], but this fit draws from \['default', 'train_loader"
    ):
        made(checkpoint=path).fit(own, epochs=2, resume=True)


def test_data_that_end_too_early(tmp_path):
    class Shrinking:
        length = 5

        def __iter__(self):
            return iter([arrays()] * self.length)

    path, batches = tmp_path / "c.safetensors", Shrinking()
    made(checkpoint=path).fit(batches, steps=4)
    batches.length = 2
    with pytest.raises(DataError, match="train_loader ends after 2 batches, but 4 were read before"):
        made(checkpoint=path).fit(batches, steps=9, resume=True)


def test_files_that_are_no_checkpoint(tmp_path):
    path = tmp_path / "weights.safetensors"
    torch.save(make_model().state_dict(), path)
    with pytest.raises(DataError, match="weights.safetensors' is no checkpoint of a Trainer"):
        made(checkpoint=path).fit(LOADER, epochs=1, resume=True)
    with pytest.raises(DataError, match="the state is no checkpoint of a Trainer"):
        made().load_state_dict({})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match="damaged"):
        made(checkpoint=path).fit(LOADER, epochs=1, resume=True)
    with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
        made(checkpoint=tmp_path).fit(LOADER, epochs=1)


def test_resume_without_a_file_starts_from_scratch(tmp_path):
    path = tmp_path / "new.safetensors"
    trainer = made(checkpoint=path)
    assert trainer.fit(LOADER, epochs=1, resume=True).step == [5]
    assert path.exists()


def test_states_go_from_trainer_to_trainer(tmp_path):
    first = made()
    fresh = tmp_path / "fresh.safetensors"
    first.save(fresh)
    first.fit(LOADER, steps=7)
    second = made()
    second.load_state_dict(first.state_dict())
    assert (second.step, second.epoch, dict(second.history)) == (7, 1, dict(first.history))
    first.fit(LOADER, steps=12)
    second.fit(LOADER, steps=12)
    assert dict(second.history) == dict(first.history)
    third = made()
    third.load(fresh)
    assert third.fit(DataLoader(TensorDataset(*arrays()), 8, generator=torch.Generator()), steps=3).step == [3]


def test_what_a_killed_writer_left_is_swept(tmp_path):
    path = tmp_path / "c[1]*.safetensors"
    stays = [tmp_path / ".c1x.safetensors.0123abcd.tmp", tmp_path / f".{path.name}.txt.tmp"]
    left = tmp_path / f".{path.name}.0123abcd.tmp"
    for file in (*stays, left):
        file.write_text("half")
    made(checkpoint=path).fit(LOADER, epochs=1)
    assert sorted(tmp_path.iterdir()) == sorted([path, *stays])
