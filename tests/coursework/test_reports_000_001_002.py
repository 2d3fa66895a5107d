"""The experiments of reports 000, 001 and 002: what their nets are, and what their numbers are measured on."""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as torch
from tinygrad_edu import nn
from tinygrad_edu.autograd import GradcheckError
from tinygrad_edu.utils.data import DataLoader, TensorDataset

FOLDER = Path(__file__).parents[2] / "demos" / "coursework"
sys.path.append(str(FOLDER))  # the scripts import each other by their names

import curves
import lenets
import numpy_mlp
import report001_batchnorm as batchnorm
import report001_convnet as convnet
import report001_mlp as mlp
import report001_wide_mlp as wide
from running import Data, DataOptions, training
from watching import Watch

SCRIPTS = sorted(path.stem for number in ("000", "001", "002") for path in FOLDER.glob(f"report{number}_*.py"))
DIGITS = DataOptions("digits", limit=120)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quick(module, **changed) -> dict:
    """The first configuration of a script's quick run."""
    options = argparse.Namespace(quick=True, epochs=None, steps=None)
    return {**next(iter(module.configs(options).values())), **changed}


def pictures(samples: int, seed: int, channels: int = 3, size: int = 6) -> TensorDataset:
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(samples, channels, size, size)).astype(np.float32)
    return TensorDataset(torch.from_numpy(images), torch.from_numpy(rng.integers(0, 10, samples)))


@pytest.fixture
def sets() -> Data:
    return Data("cifar10", pictures(90, 0), pictures(30, 1), pictures(40, 2), tuple("abcdefghij"))


# -- the commands -----------------------------------------------------------------------------------------------------


def test_every_script_is_here():
    assert SCRIPTS == [
        "report000_regularisers",
        "report001_batchnorm",
        "report001_convnet",
        "report001_mlp",
        "report001_wide_mlp",
        "report002_regularisers",
    ]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_quick_run_leaves_its_results(script, tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(FOLDER / f"{script}.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)

    done = run("--quick", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "a quick run, whose numbers mean nothing" in done.stdout
    folder = tmp_path / script
    assert (folder / "figure.png").stat().st_size > 5_000
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["cells finished"] == results["cells in all"] >= 1
    assert "|" in (folder / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_what_the_experiment_is(script):
    command = [sys.executable, str(FOLDER / f"{script}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0 and f"Report {script[6:9]}" in done.stdout
    assert ("--epochs" in done.stdout) == ("regularisers" in script)
    assert ("--steps" in done.stdout) == ("report001" in script)


# -- report 001: the nets ---------------------------------------------------------------------------------------------


def test_the_convnet_is_the_reports():
    model = convnet.convnet(3)
    widths = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = sum(9 * a * b + b for a, b in itertools.pairwise(widths))
    assert sum(p.numel() for p in model.parameters()) == convolutions + 2 * sum(widths[1:]) + 512 * 10 + 10
    sizes, x = [], torch.zeros(2, 3, 32, 32)
    for layer in model:
        x = layer(x)
        if isinstance(layer, nn.MaxPool2d):
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2), (512, 1, 1)]
    assert x.shape == (2, 10)


def test_the_convnet_trains_on_all_training_images_and_watches_the_first_of_the_test_set(sets, monkeypatch, tmp_path):
    seen: dict[bool, list] = {True: [], False: []}
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 10))

    def watching(scores, targets):
        seen[model.training].append(targets.numpy().copy())
        return torch.nn.functional.mse_loss(scores, torch.zeros(*scores.shape))

    monkeypatch.setattr(convnet, "convnet", lambda channels: model)
    monkeypatch.setattr(convnet.F, "cross_entropy", watching)
    monkeypatch.setattr(DataOptions, "load", lambda self: sets)
    config = {"lr": 1e-4, "batch size": 40, "steps": 6, "row": 3, "watched": 25}
    result = convnet.run(config, 0, DIGITS, tmp_path / "checkpoint")
    everything = np.concatenate([sets.train.tensors[1].numpy(), sets.validation.tensors[1].numpy()])
    for epoch in (seen[True][:3], seen[True][3:]):
        assert (
            np.bincount(np.concatenate(epoch), minlength=10).tolist() == np.bincount(everything, minlength=10).tolist()
        )
    assert len(seen[False]) == 2
    np.testing.assert_array_equal(seen[False][0], sets.test.tensors[1].numpy()[:25])
    assert set(result["history"]) == {"train loss", "train accuracy", "test loss", "test accuracy", "step"}
    assert result["history"]["step"] == [3, 6]
    assert len(result["predictions"]) == 40  # the table's number is of the whole test set


def test_the_wide_mlp_is_the_reports():
    assert sum(p.numel() for p in wide.mlp(3_072).parameters()) == 3_072 * 1_000 + 1_000 * 1_000 + 1_000 * 10 + 2_010
    config = wide.configs(argparse.Namespace(quick=False, steps=None))["MLP 1,000-1,000"]
    assert (config["lr"], config["betas"], config["weight decay"]) == (1e-4, [0.75, 0.999], 0.01)
    assert (config["batch size"], config["steps"], config["row"]) == (500, 5_000, 250)


def test_the_wide_mlp_can_train_on_the_validation_images_too(monkeypatch, tmp_path):
    seen = []
    kept = training.DataLoader
    monkeypatch.setattr(
        training, "DataLoader", lambda data, *args, **kw: seen.append(len(data)) or kept(data, *args, **kw)
    )
    config = wide.configs(argparse.Namespace(quick=True, steps=2))[wide.WHOLE]
    result = wide.run(config, 0, DIGITS, tmp_path / "checkpoint")
    sets = DIGITS.load()
    assert len(sets.train) + len(sets.validation) in seen and len(sets.train) not in seen
    assert wide.CHOSEN not in result["metrics"] and wide.BEST in result["metrics"]


def test_the_wide_mlp_tells_the_best_the_last_and_the_chosen_step_apart(monkeypatch, tmp_path):
    rows = {"test": iter([0.5, 0.9, 0.6, 0.7]), "validation": iter([0.1, 0.2, 0.4, 0.3])}

    def fitted(*arguments, trainer_options, **settings):
        (watch,) = trainer_options["callbacks"]
        watch.history = {"test accuracy": list(rows["test"])}
        history = {"step": [2, 4, 6, 8], "validation accuracy": list(rows["validation"])}
        return {"metrics": {"test accuracy": 0.7}, "history": history}

    monkeypatch.setattr(wide, "fit_classifier", fitted)
    result = wide.run(quick(wide), 0, DIGITS, tmp_path / "checkpoint")
    assert result["metrics"] == {wide.LAST: 0.7, wide.BEST: 0.9, wide.CHOSEN: 0.6}
    assert (result["best step"], result["chosen step"]) == (4, 6)
    (text,) = wide.remarks({wide.LABEL: {0: result}})
    assert "by 30.00 points" in text and "4 and 6" in text


def test_a_cell_that_was_interrupted_ends_as_one_that_was_not(monkeypatch, tmp_path):
    config = quick(wide, **{"batch size": 30, "steps": 8})
    expected = wide.run(config, 0, DIGITS, tmp_path / "whole")
    measure, calls = Watch.on_validation_end, []

    def third_fails(self, trainer):
        calls.append(trainer.step)
        if len(calls) == 3:
            raise OSError("the machine goes down")
        measure(self, trainer)

    monkeypatch.setattr(Watch, "on_validation_end", third_fails)
    with pytest.raises(OSError, match="goes down"):
        wide.run(config, 0, DIGITS, tmp_path / "broken")
    found = wide.run(config, 0, DIGITS, tmp_path / "broken")
    assert calls == [2, 4, 6, 6, 8]  # rows 1 and 2 are not measured again
    assert found["history"] == expected["history"] and found["metrics"] == expected["metrics"]
    np.testing.assert_array_equal(found["predictions"].numpy(), expected["predictions"].numpy())


# -- report 001: the MLP by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-4), ("float64", 1e-10)])
def test_the_mlp_by_hand_and_the_engines_have_the_same_losses(sets, dtype, bound):
    config = {"hidden": [20, 15], "lr": 0.05, "batch size": 30}
    assert mlp.loss_differences(sets, config, 0, dtype, steps=30) < bound


@pytest.mark.parametrize("module", ["Linear", "ReLU", "Softmax"])
def test_a_wrong_formula_by_hand_would_be_seen(sets, monkeypatch, module):
    right = getattr(numpy_mlp, module).backward
    monkeypatch.setattr(getattr(numpy_mlp, module), "backward", lambda self, dout: 1.1 * right(self, dout))
    assert mlp.loss_differences(sets, {"hidden": [20, 15], "lr": 0.05, "batch size": 30}, 0, "float64") > 1e-4


def test_the_gradients_by_hand_are_the_central_differences():
    rng = np.random.default_rng(0)
    weights = [(rng.normal(size=(5, 4)), rng.normal(size=5)), (rng.normal(size=(3, 5)), rng.normal(size=3))]
    net = numpy_mlp.NumPyMLP(weights, lr=0.1)
    x, labels, h = rng.normal(size=(6, 4)), rng.integers(0, 3, 6), 1e-6
    net.gradients(x, labels)
    for linear in net.linears:
        for values, gradient in ((linear.weight, linear.dweight.copy()), (linear.bias, linear.dbias.copy())):
            for place in np.ndindex(values.shape):
                ends = []
                for step in (h, -2 * h):
                    values[place] += step
                    s = net.scores(x)
                    ends.append(np.mean(np.log(np.exp(s).sum(1)) - s[np.arange(6), labels]))
                values[place] += h
                assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-5, abs=1e-8)


def test_batches_are_whole_and_every_pass_has_each_sample_once():
    drawn = mlp.batches(11, 3, seed=4)
    for _ in range(2):
        chosen = np.concatenate([next(drawn) for _ in range(3)])
        assert len(chosen) == len(set(chosen.tolist())) == 9
    assert len(next(mlp.batches(5, 100, seed=0))) == 5


# -- report 001: BatchNorm three ways ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_batchnorm_written_three_ways_has_the_same_gradients(seed):
    inputs, g = batchnorm.inputs_of_the_check(seed)
    found = [batchnorm.engine_gradients(way, inputs, g) for way in batchnorm.WAYS.values()]
    differences = batchnorm.central_differences(inputs, g)
    for way in found:
        for gradient, first, oracle in zip(way, found[0], differences, strict=True):
            np.testing.assert_allclose(gradient, first, rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(gradient, oracle, rtol=1e-6, atol=1e-8)


def test_the_slip_in_formula_22_is_seen_and_its_correction_is_right():
    found = {name: batchnorm.checks(name, 0) for name in (batchnorm.AS_WRITTEN, batchnorm.CORRECTED)}
    assert found[batchnorm.AS_WRITTEN][batchnorm.ERRORS["dx"]] > 0.01
    assert found[batchnorm.CORRECTED][batchnorm.ERRORS["dx"]] < 1e-8


def test_a_wrong_backward_by_hand_would_be_seen(monkeypatch):
    right = batchnorm.BatchNormByHand.backward

    class Wrong(batchnorm.BatchNormByHand):
        @staticmethod
        def backward(ctx, g):
            dx, dgamma, dbeta = right(ctx, g)
            return dx + g.mean(0), dgamma, dbeta  # as if the mean did not depend on x

    monkeypatch.setitem(batchnorm.WAYS, batchnorm.FUNCTION, Wrong.apply)
    with pytest.raises(GradcheckError):
        batchnorm.checks(batchnorm.FUNCTION, 0)


def test_a_saved_xhat_would_spoil_the_second_derivative(monkeypatch):
    class Saving(batchnorm.Function):
        @staticmethod
        def forward(ctx, x, gamma, beta):
            xhat, scale = batchnorm.normalised(x)
            ctx.save_for_backward(gamma, xhat, scale)
            return gamma * xhat + beta

        @staticmethod
        def backward(ctx, g):
            gamma, xhat, scale = ctx.saved_tensors
            return gamma * scale * (g - g.mean(0) - xhat * (xhat * g).mean(0)), (g * xhat).sum(0), g.sum(0)

    monkeypatch.setitem(batchnorm.WAYS, batchnorm.FUNCTION, Saving.apply)
    with pytest.raises(GradcheckError):
        batchnorm.checks(batchnorm.FUNCTION, 0)


def test_the_handmade_modules_follow_the_module_in_training_and_evaluation():
    nets = []
    for way in batchnorm.WAYS:
        torch.manual_seed(0)
        nets.append(batchnorm.net(8, way, hidden=5).double())
    rng = np.random.default_rng(0)
    for _ in range(4):
        x, g = (torch.from_numpy(rng.normal(2.0, 3.0, size)) for size in ((7, 8), (7, 10)))
        for model in nets:
            model(x).backward(g)
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.01 * p.grad
                    p.grad = None
    for model in nets[:2]:
        for name in ("running_mean", "running_var", "weight", "bias"):
            expected = getattr(nets[2][2], name).detach().numpy()
            np.testing.assert_allclose(getattr(model[2], name).detach().numpy(), expected, rtol=1e-10, err_msg=name)
    x = torch.from_numpy(rng.normal(size=(3, 8)))
    outputs = [model.eval()(x).detach().numpy() for model in nets]
    np.testing.assert_allclose(outputs[0], outputs[2], rtol=1e-10)
    np.testing.assert_allclose(outputs[1], outputs[2], rtol=1e-10)


# -- reports 000 and 002 ----------------------------------------------------------------------------------------------


def parameters_of_lenet5() -> int:
    convolutions = (25 * 1 + 1) * 6 + (25 * 6 + 1) * 16
    return convolutions + (400 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10  # 61,706, as counted for LeNet-5


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({}, 0),
        ({"norm": "first"}, 0),
        ({"norm": "all"}, 2 * (6 + 16 + 120 + 84)),
        ({"dropout": 0.5, "dropout_at": "both"}, 0),
    ],
)
def test_the_lenets_differ_in_the_regulariser_alone(settings, more):
    models = []
    for each in ({}, settings):
        torch.manual_seed(3)
        models.append(lenets.lenet(1, 28, **each))
    assert sum(p.numel() for p in models[1].parameters()) == parameters_of_lenet5() + more
    plain, regularised = ([m for m in model if isinstance(m, (nn.Conv2d, nn.Linear))] for model in models)
    for a, b in zip(plain, regularised, strict=True):
        np.testing.assert_array_equal(a.weight.detach().numpy(), b.weight.detach().numpy())
        np.testing.assert_array_equal(a.bias.detach().numpy(), b.bias.detach().numpy())
    assert models[1](torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_the_regularisers_stand_where_the_reports_have_them():
    def names(**settings) -> list[str]:
        return [type(layer).__name__ for layer in lenets.lenet(1, 28, **settings)]

    first = lenets.lenet(1, 28, norm="first")
    place = names(norm="first").index("BatchNorm1d")
    assert names(norm="first").count("BatchNorm1d") == 1 and "BatchNorm2d" not in names(norm="first")
    assert first[place].weight is None and first[place - 1].out_features == first[place].num_features == 120
    assert names(dropout=0.1, dropout_at="first")[-5:] == ["ReLU", "Dropout", "Linear", "ReLU", "Linear"]
    assert names(dropout=0.5, dropout_at="both").count("Dropout") == 2
    assert [name for name in names(norm="all") if "Norm" in name] == ["BatchNorm2d"] * 2 + ["BatchNorm1d"] * 2


def test_weight_decay_is_on_the_weights_alone():
    model = lenets.lenet(1, 28, norm="all")
    decayed, free = lenets.adam(model, lr=0.001, weight_decay=2e-4).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (2e-4, 0)
    assert {id(p) for p in decayed["params"]} == {
        id(layer.weight) for layer in model if isinstance(layer, (nn.Conv2d, nn.Linear))
    }
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))


def test_runs_of_one_seed_see_the_same_batches_whatever_the_regulariser_draws(monkeypatch, tmp_path):
    loss, seen = lenets.F.cross_entropy, []

    def watching(scores, targets):
        seen[-1].append(targets.numpy().tolist())
        return loss(scores, targets)

    monkeypatch.setattr(lenets.F, "cross_entropy", watching)
    options = argparse.Namespace(quick=True, epochs=2)
    configs = [lenets.settings(options), lenets.settings(options, dropout=0.5, dropout_at="both")]
    results = []
    for k, config in enumerate(configs):
        seen.append([])
        results.append(lenets.run({**config, "batch size": 40}, 5, DIGITS, tmp_path / f"checkpoint{k}"))
    assert seen[0] == seen[1]
    assert results[0]["history"]["running loss"] != results[1]["history"]["running loss"]
    assert set(results[0]["history"]) == {
        f"{part} {what}" for part in ("running", "train", "test") for what in ("loss", "accuracy")
    }
    metrics, history = results[0]["metrics"], results[0]["history"]
    assert metrics["train accuracy"] == history["train accuracy"][-1]  # in evaluation mode, not the running mean
    assert metrics["test accuracy"] == pytest.approx(history["test accuracy"][-1])
    assert metrics[lenets.GAP] == metrics["train accuracy"] - history["test accuracy"][-1]


def test_the_two_experiments_share_the_run_without_a_regulariser():
    import report000_regularisers as report000
    import report002_regularisers as report002

    options = argparse.Namespace(quick=False, epochs=None)
    first, second = report000.configs(options), report002.configs(options)
    assert first["none"] == second["none"] and report000.EXPERIMENT.family == report002.EXPERIMENT.family
    others = [config["name"] for configs in (first, second) for label, config in configs.items() if label != "none"]
    assert len(set(others)) == 6
    assert first["weight decay 2e-4"]["weight decay"] == 2e-4 and first["dropout 10 %"]["dropout"] == 0.1


@pytest.mark.parametrize(
    ("there", "used", "reported"),
    [(("fashionmnist", "mnist"), "fashionmnist", True), (("mnist",), "mnist", False), ((), "digits", False)],
)
def test_mnist_stands_in_for_fashion_mnist_and_the_reports_numbers_do_not_stand_beside_it(
    monkeypatch, capsys, there, used, reported
):
    import report000_regularisers as report000

    def resolve(choice, wanted, root, quick=False, standardize=False):
        name = wanted if choice == "auto" else choice
        return DataOptions(name if name in there else "digits")

    ran = []
    monkeypatch.setattr(lenets, "resolve", resolve)
    monkeypatch.setattr(lenets, "main", lambda experiment, options: ran.append((experiment, options)) or 0)
    assert lenets.command(report000.EXPERIMENT, ["--seeds", "1"]) == 0
    ((experiment, options),) = ran
    assert resolve(options.data, experiment.data, None).name == used
    assert bool(experiment.reported) == reported
    assert ("MNIST stands in" in capsys.readouterr().out) == (used == "mnist")


# -- what they share --------------------------------------------------------------------------------------------------


def test_watch_measures_every_row_and_goes_on_from_its_state():
    torch.manual_seed(0)
    data = pictures(40, 0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 10))
    watch, by_hand = Watch("other", DataLoader(pictures(30, 1), 20)), []

    class Listening(Watch):
        def on_validation_end(self, trainer):
            images, labels = pictures(30, 1).tensors
            scores = model(images).detach().numpy()
            by_hand.append(float((scores.argmax(1) == labels.numpy()).mean()))

    from tinygrad_edu.train import Trainer, accuracy

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    listening = Listening("listening", None)
    trainer = Trainer(
        model, optimizer, nn.functional.cross_entropy, metrics={"accuracy": accuracy},
        callbacks=[watch, listening], progress=False,
    )  # fmt: skip
    trainer.fit(DataLoader(data, 10), DataLoader(data, 40), steps=6, validate_every=2)
    assert watch.history["other accuracy"] == pytest.approx(by_hand) and len(by_hand) == 3
    other = Watch("other", None)
    other.load_state_dict(watch.state_dict())
    assert other.history == watch.history
    other.history["other accuracy"].append(0.0)
    assert len(watch.history["other accuracy"]) == 3  # a copy


def test_the_figure_has_both_parts_and_the_reports_number(monkeypatch, tmp_path):
    def cell(shift: float) -> dict:
        history = {"step": [2, 4], "train loss": [2.0 + shift, 1.0], "test loss": [2.1, float("nan")]}
        history |= {"train accuracy": [0.1, 0.5], "test accuracy": [0.2 + shift, 0.4]}
        return {"history": history, "data": {"name": "cifar10"}}

    drawn, finish = {}, curves.finish
    keep = lambda figure, path, caller: drawn.update(figure=figure) or finish(figure, path, caller)  # noqa: E731
    monkeypatch.setattr(curves, "finish", keep)
    curves.train_and_test({"net": {0: cell(0.0), 1: cell(0.1)}}, tmp_path / "figure.png", "Title", 0.75)
    loss, accuracy = drawn["figure"].axes
    assert [line.get_ydata().tolist() for line in accuracy.lines[:2]] == [[0.1, 0.5], [pytest.approx(0.25), 0.4]]
    assert set(accuracy.lines[2].get_ydata()) == {0.75} and accuracy.lines[2].get_linestyle() == "--"
    assert np.isnan(loss.lines[1].get_ydata()[1])
    assert sorted(text.get_text() for text in accuracy.texts) == ["report  0.75", "test  0.4", "train  0.5"]
    assert (tmp_path / "figure.png").stat().st_size > 5_000
