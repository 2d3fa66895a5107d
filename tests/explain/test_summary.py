"""summary: shapes, parameters, memory and FLOPs that were counted by hand, on a model that stays as it was."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as torch
from tinygrad_edu import nn

summary = torch.summary


def quiet(*args, **kwargs):
    return summary(*args, verbose=0, **kwargs)


def row(found, name):
    return next(layer for layer in found.layers if layer.name == name)


def convolutions():
    return nn.Sequential(
        nn.Conv2d(3, 100, 3, padding=1), nn.ReLU(), nn.Conv2d(100, 200, 3, padding=1), nn.ReLU(),
        nn.Conv2d(200, 400, 3, padding=1),
    )  # fmt: skip


def test_the_three_convolutions_of_the_first_coursework():
    found = quiet(convolutions(), (1, 3, 8, 8))
    assert [layer.parameters for layer in found.layers if layer.kind == "Conv2d"] == [2_800, 180_200, 720_400]
    assert found.total_params == found.trainable_params == 903_400
    assert "903,400" in str(found)


def test_the_perceptron_of_the_first_coursework():
    model = nn.Sequential(nn.Linear(10, 50), nn.ReLU(), nn.Linear(50, 3))
    found = quiet(model, (32, 10))
    assert [layer.parameters for layer in found.layers] == [0, 550, 0, 153]
    assert found.layers[1].inputs == [(32, 10)] and found.layers[-1].outputs == [(32, 3)]
    assert found.layers[0].flops == 32 * (2 * 10 * 50 + 50) + 32 * 50 + 32 * (2 * 50 * 3 + 3)


def test_bytes():
    found = quiet(nn.Sequential(nn.Linear(10, 50), nn.Sigmoid(), nn.Flatten()), (32, 10))
    assert row(found, "0").kept_bytes == 32 * 10 * 4, "a product keeps its input; its weight is a parameter"
    assert row(found, "1").kept_bytes == row(found, "1").output_bytes == 32 * 50 * 4, "a sigmoid keeps its result"
    assert row(found, "2").output_bytes == 0, "a view"
    assert found.kept_bytes == 32 * 10 * 4 + 32 * 50 * 4
    assert found.activation_bytes == 2 * 32 * 50 * 4
    assert found.param_bytes == 550 * 4 and found.input_bytes == 32 * 10 * 4


def test_flops_of_a_convolution_and_of_groups():
    conv = nn.Conv2d(4, 6, 3, groups=2, bias=False)
    assert quiet(conv, (2, 4, 8, 8)).total_flops == 2 * (2 * 6 * 6 * 6) * (4 // 2) * 9


def test_frozen_models_have_the_same_flops_and_keep_nothing():
    model = convolutions()
    work = quiet(model, (1, 3, 8, 8)).total_flops
    model.requires_grad_(False)
    found = quiet(model, (1, 3, 8, 8))
    assert found.total_flops == work > 0 and found.kept_bytes == 0 and found.trainable_params == 0


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x, y):
        return {"a": self.head(self.layer(self.layer(x))), "b": y}


def test_a_shared_layer_is_counted_once_and_several_inputs():
    found = quiet(Twice(), [(3, 4), (3, 5)], dtypes=[torch.float32, torch.int64])
    calls = [layer for layer in found.layers if layer.name == "layer"]
    assert [c.parameters for c in calls] == [20, 0] and [c.shared for c in calls] == [False, True]
    assert found.total_params == 30
    assert found.layers[0].inputs == [(3, 4), (3, 5)] and found.layers[0].outputs == [(3, 2), (3, 5)]
    assert "shared" in str(found)


def test_gradient_norms_only_after_backward():
    model, x = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)), torch.randn(5, 4)
    assert all(layer.gradient is None for layer in quiet(model, input_data=x).layers)
    model(x).sum().backward()
    found = quiet(model, input_data=x)
    expected = np.sqrt(sum(float((p.grad**2).sum()) for p in model[0].parameters()))
    assert row(found, "0").gradient == pytest.approx(expected)
    assert row(found, "1").gradient is None


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.ReLU())
    model[1].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    quiet(model, (8, 6), mode="train")
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    np.testing.assert_array_equal(torch.get_rng_state(), random)
    assert model.training and not model[1].training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_recurrent_layers_attention_and_embedding():
    assert quiet(nn.LSTM(5, 7), (4, 3, 5)).layers[0].outputs == [(4, 3, 7), (1, 3, 7), (1, 3, 7)]
    found = quiet(nn.TransformerEncoderLayer(16, 2, 32), (5, 2, 16))
    assert found.total_params == sum(p.numel() for p in nn.TransformerEncoderLayer(16, 2, 32).parameters())
    assert row(found, "linear1").outputs == [(5, 2, 32)]
    tokens = quiet(nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2)), (3, 7), dtypes=[torch.int64])
    assert tokens.layers[0].outputs == [(3, 7, 2)]


def test_depth_moves_parameters_up():
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), nn.Linear(3, 2))
    flat = quiet(model, (1, 4), depth=1)
    assert [layer.parameters for layer in flat.layers if layer.level <= 1] == [0, 15, 8]
    assert len(quiet(model, (1, 4), depth=0).rows()) == 1
    assert sum(layer.parameters for layer in quiet(model, (1, 4)).layers) == model_size(model)


def model_size(model):
    return sum(p.numel() for p in model.parameters())


@given(sizes=st.lists(st.integers(1, 6), min_size=2, max_size=5), batch=st.integers(1, 4))
def test_parameters_and_flops_of_any_stack(sizes, batch):
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(sizes)))
    found = quiet(model, (batch, sizes[0]))
    assert found.total_params == model_size(model)
    pairs = list(itertools.pairwise(sizes))
    assert found.total_flops == sum(batch * (2 * a * b + b) for a, b in pairs)
    assert found.layers[0].outputs == [(batch, sizes[-1])]


def test_what_is_printed(capsys):
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    found = summary(model, (2, 4))
    printed = capsys.readouterr().out
    assert printed == str(found) + "\n" and "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= 100
    summary(model, (2, 4), verbose=0)
    assert capsys.readouterr().out == ""
    summary(model, (2, 4), verbose=2)
    assert "weight" in capsys.readouterr().out
    assert repr(found) == "<Summary of Sequential, training: 15 parameters>"
    assert found._repr_html_().count("<tr>") == 1 + len(found.rows())


def test_named_inputs_and_arguments_of_forward():
    class Scaled(nn.Module):
        def forward(self, x, factor=1.0):
            return x * factor if factor != 3.0 else x.sum()

    x = torch.ones(2, 3)
    assert quiet(Scaled(), input_data={"x": x}).layers[0].outputs == [(2, 3)]
    assert quiet(Scaled(), (2, 3), factor=3.0).layers[0].outputs == [()]


def test_wrong_calls():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 2))
    with pytest.raises(RuntimeError, match=r"failed in 1 \(Linear\), for inputs of shape 2×3"):
        quiet(model, (2, 4))
    for message, kwargs in {
        "give input_size": {},
        "not both": {"input_size": (2, 4), "input_data": torch.ones(2, 4)},
        "one for each": {"input_size": (2, 4), "dtypes": [torch.float32, torch.float32]},
        "depth must be": {"input_size": (2, 4), "depth": -1},
        "mode is": {"input_size": (2, 4), "mode": "other"},
        "negative size": {"input_size": (-1, 4)},
    }.items():
        with pytest.raises(ValueError, match=message):
            quiet(model, **kwargs)
    with pytest.raises(TypeError, match="expected a Module"):
        quiet(3, (2, 4))
