"""The Trainer is the loop one would write by hand: the same numbers, and no surprises."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from train_cases import CLASSES, FEATURES, SAMPLES, arrays, everything, make_model, plain, run

import tinygrad_edu as torch
import tinygrad_edu.nn.functional as F
import visualize
from tinygrad_edu import nn, optim
from tinygrad_edu.errors import AnomalyError, ShapeError
from tinygrad_edu.optim import lr_scheduler
from tinygrad_edu.train import Callback, EarlyStopping, History, Trainer, accuracy
from tinygrad_edu.utils.data import DataLoader, TensorDataset

ROOT = Path(__file__).parents[2]


def loaders(batch_size=8):
    train, validation = TensorDataset(*arrays()), TensorDataset(*arrays(1, 21))
    return DataLoader(train, batch_size, shuffle=True), DataLoader(validation, batch_size)


def made(lr=0.1, **options):
    torch.manual_seed(4)
    model = make_model()
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    options = {"metrics": {"accuracy": accuracy}, "progress": False, **options}
    scheduler = options.pop("schedule", lambda _: None)(optimizer)
    return Trainer(model, optimizer, F.cross_entropy, scheduler=scheduler, **options)


class Log(Callback):
    """The hooks in the order they were called."""

    def __init__(self):
        self.calls = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda trainer: self.calls.append((name[3:], trainer.step, trainer.epoch))
        return super().__getattribute__(name)


# -- the same numbers as by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [None, 0.3])
@pytest.mark.parametrize("per_step", [False, True])
def test_the_hand_written_loop_bit_for_bit(max_norm, per_step):
    def by_hand():
        torch.manual_seed(4)
        model = make_model()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        schedule = lr_scheduler.ExponentialLR(optimizer, 0.8)
        train, validation = loaders()
        rows = {name: [] for name in ("train loss", "train accuracy", "validation loss", "validation accuracy")}
        rates = []

        def means(loader, training):
            model.train(training)
            loss_sum = right = count = 0
            for x, y in loader:
                with torch.set_grad_enabled(training):
                    scores = model(x)
                    loss = F.cross_entropy(scores, y)
                if training:
                    optimizer.zero_grad()
                    loss.backward()
                    if max_norm is not None:
                        nn.utils.clip_grad_norm_(model.parameters(), max_norm)
                    optimizer.step()
                    rates.append(optimizer.param_groups[0]["lr"])
                    if per_step:
                        schedule.step()
                loss_sum += loss.item() * len(y)
                right += int((scores.argmax(1) == y).sum()) / len(y) * len(y)
                count += len(y)
            return loss_sum / count, right / count

        for _ in range(3):
            measured = [*means(train, True), *means(validation, False)]
            for name, value in zip(rows, measured, strict=True):
                rows[name].append(value)
            if not per_step:
                schedule.step()
        return rows, model, rates, torch.rand(4)

    rows, model, rates, after = by_hand()
    every = "step" if per_step else "epoch"
    trainer = made(max_norm=max_norm, schedule=lambda o: lr_scheduler.ExponentialLR(o, 0.8), schedule_every=every)
    history = trainer.fit(*loaders(), epochs=3)
    assert dict(history) == rows
    assert plain(trainer.model.state_dict()) == plain(model.state_dict())
    assert torch.equal(torch.rand(4), after)
    assert history.step == [5, 10, 15]
    assert history.learning_rate == rates[4::5]
    assert history.seconds == sorted(history.seconds)


def test_a_short_last_batch_counts_by_its_samples():
    trainer = made(metrics={"count": lambda scores, targets: len(targets)})
    measured = trainer.evaluate(loaders()[1])  # 8, 8, 5
    assert measured["count"] == pytest.approx((8 * 8 + 8 * 8 + 5 * 5) / 21, rel=1e-12)
    x, y = arrays(1, 21)
    with torch.no_grad():
        whole = F.cross_entropy(trainer.model.eval()(x), y).item()
    assert measured["loss"] == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_progress_and_callbacks_change_no_number(shown, terminal, monkeypatch, capsys):
    reference = made(seed=7)
    reference.fit(*loaders(), epochs=2)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    log = Log()
    trainer = made(seed=7, progress=shown, name="[run]", callbacks=[log, lambda t: None])
    trainer.fit(*loaders(), epochs=2)
    assert dict(trainer.history) == dict(reference.history)
    assert plain(trainer.model.state_dict()) == plain(reference.model.state_dict())
    out, errors = capsys.readouterr()
    assert errors == ""
    if not shown:
        assert out == ""
    elif not terminal:
        assert "\x1b" not in out and "\r" not in out
        lines = out.splitlines()
        assert [line.split("  ")[0] for line in lines] == ["[run]: epoch 1/2", "[run]: epoch 2/2"]
        assert f"train loss {trainer.history['train loss'][0]:.4f}" in lines[0]
    else:
        assert "[run] epoch 2/2" in out


def test_a_bar_for_steps(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    made(progress=True).fit(*loaders(), steps=7, validate_every=3)
    out = capsys.readouterr().out
    assert "step 3/7" in out and "step 7/7" in out


def test_the_same_seed_gives_the_same_run():
    def weights(seed):
        trainer = made(seed=seed)
        torch.rand(5)
        trainer.fit(*loaders(), epochs=1)
        return plain(trainer.model.state_dict())

    assert weights(3) == weights(3)
    assert weights(3) != weights(4)


# -- rows, epochs, steps ----------------------------------------------------------------------------------------------


def test_rows_of_steps():
    log = Log()
    trainer = made(callbacks=[log], schedule=lambda o: lr_scheduler.ExponentialLR(o, 0.5))
    history = trainer.fit(*loaders(), steps=13, validate_every=4)
    assert history.step == [4, 8, 12, 13]
    assert (trainer.step, trainer.epoch) == (13, 2)
    assert history.learning_rate == [0.1, 0.05, 0.025, 0.0125]
    assert trainer.scheduler.last_epoch == 3, "the last row is short, so it is no period of the schedule"
    assert all(len(column) == 4 for column in history.values())
    assert [call for call in log.calls if call[0] != "step_end"] == [
        ("fit_start", 0, 0),
        ("validation_end", 4, 0),
        ("epoch_end", 5, 1),
        ("validation_end", 8, 1),
        ("epoch_end", 10, 2),
        ("validation_end", 12, 2),
        ("validation_end", 13, 2),
        ("fit_end", 13, 2),
    ]
    assert [call[1] for call in log.calls if call[0] == "step_end"] == list(range(1, 14))


def test_steps_without_validate_every_make_rows_of_epochs():
    trainer = made()
    assert trainer.fit(*loaders(), steps=12).step == [5, 10, 12]
    assert trainer.epoch == 2
    trainer = made()
    assert trainer.fit(*loaders(), steps=10).step == [5, 10]
    assert trainer.epoch == 2, "the last step was the last of its epoch"


def test_fits_go_on_from_each_other():
    whole, parts = made(), made()
    data = loaders()
    whole.fit(*data, epochs=4)
    expected = plain(whole.model.state_dict()), dict(whole.history), torch.rand(1).item()
    torch.manual_seed(4)
    parts = made()
    for epochs in (1, 3, 3, 4):
        parts.fit(*data, epochs=epochs)
    assert (plain(parts.model.state_dict()), dict(parts.history), torch.rand(1).item()) == expected


def test_stopping_in_the_middle_of_a_pass_loses_and_repeats_no_batch():
    x, y = torch.arange(SAMPLES).reshape(-1, 1).float(), torch.zeros(SAMPLES, 1)
    seen = []

    def loss(scores, targets):
        return F.mse_loss(scores, targets)

    class Recorder(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, 1)

        def forward(self, x):
            seen.append(x.flatten().tolist())
            return self.linear(x) * 0

    model = Recorder()
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), loss, progress=False)
    loader = DataLoader(TensorDataset(x, y), 8, shuffle=True)
    for steps in (2, 3, 7, 10):
        trainer.fit(loader, steps=steps)
    for epoch in (seen[:5], seen[5:]):
        assert sorted(sum(epoch, [])) == list(range(SAMPLES))


def test_other_data_begin_a_pass_of_their_own():
    trainer = made()
    trainer.fit(loaders()[0], steps=3)
    assert trainer.fit(loaders()[0], steps=3 + 5).step == [3, 8]
    assert trainer.epoch == 1


def test_any_iterable_of_tuples_and_several_inputs():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(FEATURES, CLASSES)

        def forward(self, a, b):
            return self.linear(a + b)

    x, y = arrays()
    model = Sum()
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), progress=False)
    batches = [(x[:20], x[:20], y[:20]), [x[20:], x[20:], y[20:]]]
    history = trainer.fit(batches, epochs=3)
    assert history["train loss"][2] < history["train loss"][0]
    assert trainer.predict(batches).shape == (SAMPLES, CLASSES)


def test_predict_keeps_the_order_and_the_modes():
    trainer = made()
    trainer.fit(*loaders(), epochs=1)
    x, y = arrays()
    with torch.no_grad():
        expected = trainer.model.eval()(x)
    trainer.model.train()
    trainer.model[1].eval()
    for data in (TensorDataset(x, y), TensorDataset(x)):
        scores = trainer.predict(DataLoader(data, 8))
        np.testing.assert_allclose(scores.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
        assert not scores.requires_grad
    scores = trainer.predict([x[:10], x[10:]])
    np.testing.assert_allclose(scores.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    assert [module.training for module in trainer.model] == [True, False, True, True, True]


def test_a_layer_frozen_in_eval_mode_stays_frozen():
    trainer = made()
    trainer.model[1].eval()
    before = plain(dict(trainer.model[1].named_buffers()))
    trainer.fit(*loaders(), epochs=2)
    assert plain(dict(trainer.model[1].named_buffers())) == before
    trainer = made()
    trainer.model.eval()
    trainer.fit(*loaders(), epochs=1)
    assert trainer.model.training and trainer.model[3].training, "a model left in eval() trains in training mode"


# -- callbacks --------------------------------------------------------------------------------------------------------


def test_the_order_of_hooks():
    log = Log()
    made(callbacks=[log]).fit(*loaders(20), epochs=2)
    epoch = ["step_end", "step_end", "validation_end", "epoch_end"]
    assert [name for name, _, _ in log.calls] == ["fit_start", *epoch, *epoch, "fit_end"]


def test_stop_ends_after_the_step_or_the_epoch():
    class At(Callback):
        def on_step_end(self, trainer):
            if trainer.step == 7:
                trainer.stop()

    trainer = made(callbacks=[At()])
    assert trainer.fit(*loaders(), epochs=9).step == [5, 7]
    trainer = made(callbacks=[lambda trainer: trainer.stop()])
    assert trainer.fit(*loaders(), epochs=9).step == [5]
    trainer.fit(*loaders(), epochs=9)
    assert trainer.epoch == 2, "another fit goes on, and is stopped again"


class Scripted(Callback):
    """Lets the validation loss of each epoch be a given number; comes in front of the callback that looks."""

    def __init__(self, values):
        self.values = values

    def on_validation_end(self, trainer):
        trainer.history["validation loss"][-1] = self.values[trainer.epoch - 1]
        with torch.no_grad():
            trainer.model[0].bias.fill_(float(trainer.epoch))


@pytest.mark.parametrize(
    ("values", "options", "epochs", "best"),
    [
        ([5, 4, 3, 3, 3, 3], {"patience": 2}, 5, 3),
        ([5, 4, 4.5, 3.9, 4, 4, 4], {"patience": 3}, 7, 4),
        ([5, 4.9, 4.85, 4.0], {"patience": 2, "min_delta": 0.5}, 3, 1),
        ([1, 2, 3, 2, 2], {"patience": 2, "mode": "max"}, 5, 3),
        ([math.nan, 2, math.nan, math.nan, 1], {"patience": 2}, 4, 2),
        ([5, 4, 3, 2], {"patience": 1}, 4, 4),
    ],
)
def test_early_stopping(values, options, epochs, best):
    stopping = EarlyStopping(**options)
    trainer = made(callbacks=[Scripted(values), stopping])
    trainer.fit(*loaders(), epochs=len(values))
    assert trainer.epoch == epochs
    assert stopping.best_step == 5 * best and stopping.best == values[best - 1]
    assert trainer.model[0].bias.tolist() == [float(best)] * 8
    trainer = made(callbacks=[Scripted(values), EarlyStopping(**options, restore_best=False)])
    trainer.fit(*loaders(), epochs=len(values))
    assert trainer.model[0].bias.tolist() == [float(epochs)] * 8


def test_one_early_stopping_serves_several_trainers():
    stopping = EarlyStopping(patience=1)
    for _ in range(2):
        trainer = made(callbacks=[Scripted([3, 2, 2, 1]), stopping])
        trainer.fit(*loaders(), epochs=4)
        assert trainer.epoch == 3 and stopping.best == 2


def test_a_monitor_that_is_not_measured_lists_what_is():
    trainer = made(callbacks=[EarlyStopping("val_loss")])
    with pytest.raises(
        KeyError, match="'val_loss' is not in the history, which has 'train loss', 'train accuracy', 'val"
    ):
        trainer.fit(*loaders(), epochs=1)
    trainer = made(callbacks=[EarlyStopping()])
    with pytest.raises(KeyError, match="give fit a validation_loader"):
        trainer.fit(loaders()[0], epochs=1)


def test_what_a_callback_saves_goes_on_too(tmp_path):
    """A file written in any hook is a whole state: the run that goes on from it ends as the run that wrote it."""

    class Saves(Callback):
        def save(self, trainer):
            trainer.save(tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors")

        on_step_end = on_validation_end = on_epoch_end = save

    for fit in ({"epochs": 2}, {"steps": 9, "validate_every": 3}):
        options = {"callbacks": [Saves()], "schedule": lambda o: lr_scheduler.ExponentialLR(o, 0.8)}
        data = loaders()
        trainer = made(**options)
        trainer.fit(*data, **fit)
        whole = everything(trainer)[0]["model"], dict(trainer.history), trainer.scheduler.last_epoch
        for path in sorted(tmp_path.iterdir()):
            options["callbacks"] = [type("Saves", (Callback,), {})()]
            again = made(**options)
            again.load(path)
            again.fit(*data, **fit)
            assert (everything(again)[0]["model"], dict(again.history), again.scheduler.last_epoch) == whole
            path.unlink()


# -- losses that are no numbers ---------------------------------------------------------------------------------------


def spoilt(at):
    calls = []

    def loss(scores, targets):
        calls.append(1)
        value = F.cross_entropy(scores, targets)
        return value * math.nan if len(calls) == at else value

    return loss


def nan_trainer(on_nan, at=7):
    torch.manual_seed(4)
    model = make_model()
    optimizer = optim.SGD(model.parameters(), lr=0.25)
    return Trainer(model, optimizer, spoilt(at), progress=False, on_nan=on_nan)


def test_a_nan_loss_raises_and_spares_the_weights():
    trainer = nan_trainer("raise")
    with pytest.raises(AnomalyError, match=r"loss is nan at step 7, learning rate 0.25.*Lower the learning.*find_nan"):
        trainer.fit(loaders()[0], epochs=3)
    assert trainer.step == 6 and trainer.history.step == [5]
    assert all(np.isfinite(p.detach().numpy()).all() for p in trainer.model.parameters())


def test_a_nan_loss_can_stop_and_be_recorded():
    trainer = nan_trainer("stop")
    history = trainer.fit(loaders()[0], epochs=3)
    assert history.step == [5, 6] and math.isnan(history["train loss"][-1])
    assert all(np.isfinite(p.detach().numpy()).all() for p in trainer.model.parameters())


def test_a_nan_loss_can_be_passed_over():
    trainer = nan_trainer("continue")
    history = trainer.fit(loaders()[0], epochs=3)
    assert history.step == [5, 10, 15] and np.isnan(history["train loss"]).tolist() == [False, True, True]


# -- interrupts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["step", "validation", "callback"])
def test_ctrl_c_writes_a_whole_checkpoint(where, tmp_path, capsys):
    data = loaders()
    whole = made()
    whole.fit(*data, epochs=3)
    expected, after = everything(whole)[0], torch.rand(3)
    losses = []

    def loss(scores, targets):
        losses.append(1)
        if len(losses) == {"step": 5 + 3 + 3, "validation": 5 + 3 + 5 + 2}.get(where):
            signal.raise_signal(signal.SIGINT)
        return F.cross_entropy(scores, targets)

    class Presses(Callback):
        def on_step_end(self, trainer):
            if where == "callback" and trainer.step == 8 and len(losses) == 5 + 3 + 3:
                raise KeyboardInterrupt

    path = tmp_path / "c.safetensors"
    trainer = made(checkpoint=path, callbacks=[Presses()])
    trainer.loss = loss
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(*data, epochs=3)
    message = f"interrupted after step {10 if where == 'validation' else 8}; wrote {str(path)!r}. The same call with"
    assert message in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    losses += [1] * 100
    trainer = made(checkpoint=path, callbacks=[Presses()])
    trainer.loss = loss
    trainer.fit(*data, epochs=3, resume=True)
    state = everything(trainer)[0]
    for part in ("model", "optimizer", "history", "place"):
        assert state[part] == expected[part], part
    assert torch.equal(torch.rand(3), after)


def test_an_interrupt_inside_a_step_keeps_the_last_checkpoint(tmp_path, capsys):
    calls = []

    def loss(scores, targets):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt  # not from the keyboard, or pressed twice
        return F.cross_entropy(scores, targets)

    path = tmp_path / "c.safetensors"
    trainer = made(checkpoint=path, checkpoint_every=5)
    trainer.loss = loss
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loaders()[0], epochs=3)
    assert "interrupted inside step 8, which is lost" in capsys.readouterr().err
    assert torch.load(path)["place"]["step"] == 5


# -- the history ------------------------------------------------------------------------------------------------------


def test_the_history_is_drawn_as_it_is(tmp_path):
    trainer = made()
    assert repr(trainer.history) == "History(no rows)"
    history = trainer.fit(*loaders(), epochs=3)
    assert isinstance(history, History) and history is trainer.history
    visualize.curves(history, tmp_path / "one.png")
    visualize.curves([history, made(seed=1).fit(*loaders(), epochs=3)], tmp_path / "two.png")
    assert (tmp_path / "one.png").stat().st_size > 1000 and (tmp_path / "two.png").exists()
    assert list(history) == ["train loss", "train accuracy", "validation loss", "validation accuracy"]
    assert "3 rows; at step 15: train loss" in repr(history)
    with pytest.raises(KeyError, match="no 'loss'; it has 'train loss', 'train accuracy'"):
        history["loss"]


def test_validation_that_comes_later_fills_with_nan():
    trainer = made()
    data = loaders()
    trainer.fit(data[0], epochs=1)
    history = trainer.fit(*data, epochs=2)
    assert math.isnan(history["validation loss"][0]) and history["validation loss"][1] > 0


def test_accuracy():
    scores = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert accuracy(scores, torch.tensor([1, 0, 0, 0])) == 0.75
    images = torch.zeros(2, 3, 4, 5)
    images[:, 1] = 1
    assert accuracy(images, torch.ones(2, 4, 5).long()) == 1.0
    with pytest.raises(ShapeError, match=r"scores are \(4, 2\) and targets \(4, 1\)"):
        accuracy(scores, torch.zeros(4, 1))
    with pytest.raises(ShapeError, match="a metric of your own"):
        accuracy(torch.zeros(4), torch.zeros(4))


def test_train_is_loaded_when_it_is_asked_for():
    code = (
        "import sys, tinygrad_edu as t; early = 'tinygrad_edu.train' in sys.modules; t.train.Trainer; "
        "print(early, *sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert out.split()[0] == "False" and not {"rich", "matplotlib"} & set(out.split())


def test_the_folder_of_a_checkpoint_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "c.safetensors"
    run({"counting": True}, path)
    assert os.listdir(path.parent) == ["c.safetensors"]
