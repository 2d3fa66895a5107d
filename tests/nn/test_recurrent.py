"""RNN, LSTM, GRU and their cells against PyTorch; the fused steps against the loop; what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from nn_checks import twin

import tinygrad_edu as tg
from tinygrad_edu import nn
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.testing import check_gradients

OPTIONS = [
    {},
    {"bias": False},
    {"num_layers": 2},
    {"batch_first": True, "bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "bias": False},
]


def leaves(lib, arrays):
    return [lib.tensor(a, requires_grad=True) for a in arrays]


def run(lib, layer, arrays):
    """Outputs and final states, as a flat list, from an input and perhaps states."""
    x, *states = arrays
    if not states:
        outputs, final = layer(x)
    elif len(states) == 2:
        outputs, final = layer(x, tuple(states))
    else:
        outputs, final = layer(x, states[0])
    return [outputs, *(final if isinstance(final, tuple) else (final,))]


def compare(torch, ours, theirs, arrays):
    """Outputs, final states and every gradient agree."""
    twin(torch, ours.double(), theirs.double())
    mine, other = leaves(tg, arrays), leaves(torch, arrays)
    results, expected = run(tg, ours, mine), run(torch, theirs, other)
    rng = np.random.default_rng(1)
    loss, wanted = 0.0, 0.0
    for a, b in zip(results, expected, strict=True):
        np.testing.assert_allclose(a.detach().array, b.detach().numpy(), 1e-10, 1e-12)
        u = rng.standard_normal(a.shape)
        loss, wanted = loss + (a * tg.tensor(u)).sum(), wanted + (b * torch.tensor(u)).sum()
    loss.backward()
    wanted.backward()
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a.grad.array, b.grad.numpy(), 1e-9, 1e-12)
    for (name, p), (other_name, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other_name
        np.testing.assert_allclose(p.grad.array, q.grad.numpy(), 1e-9, 1e-11)


@pytest.mark.torch
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "relu"])
def test_like_pytorch(name, options, size):
    """The small one runs as primitives, the large one fused."""
    torch = pytest.importorskip("torch")
    if name == "relu":
        name, options = "RNN", {**options, "nonlinearity": "relu"}
    ours, theirs = getattr(nn, name)(3, 4, **options), getattr(torch.nn, name)(3, 4, **options)
    assert repr(ours) == repr(theirs)
    steps, n = (4, 2) if size == "small" else (25, 12)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, steps, 3) if options.get("batch_first") else (steps, n, 3))
    compare(torch, ours, theirs, [x])
    ours.zero_grad()
    theirs.zero_grad()
    rows = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    states = [rng.standard_normal((rows, n, 4)) for _ in range(2 if name == "LSTM" else 1)]
    compare(torch, ours, theirs, [x, *states])


@pytest.mark.torch
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_without_a_batch(name):
    torch = pytest.importorskip("torch")
    options = {"num_layers": 2, "bidirectional": True}
    ours, theirs = getattr(nn, name)(3, 4, **options), getattr(torch.nn, name)(3, 4, **options)
    rng = np.random.default_rng(0)
    states = [rng.standard_normal((4, 4)) for _ in range(2 if name == "LSTM" else 1)]
    compare(torch, ours, theirs, [rng.standard_normal((5, 3)), *states])


@pytest.mark.torch
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2,), ()])
def test_lstm_cell(bias, shape):
    torch = pytest.importorskip("torch")
    ours, theirs = nn.LSTMCell(3, 4, bias=bias), torch.nn.LSTMCell(3, 4, bias=bias)
    assert repr(ours) == repr(theirs)
    rng = np.random.default_rng(0)
    twin(torch, ours.double(), theirs.double())
    x, h, c = (rng.standard_normal((*shape, size)) for size in (3, 4, 4))
    for given in ([], [h, c]):
        mine, other = leaves(tg, [x, *given]), leaves(torch, [x, *given])
        results = ours(mine[0], tuple(mine[1:]) or None)
        expected = theirs(other[0], tuple(other[1:]) or None)
        (results[0] * results[1]).sum().backward()
        (expected[0] * expected[1]).sum().backward()
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_allclose(a.detach().array, b.detach().numpy(), 1e-12)
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_allclose(a.grad.array, b.grad.numpy(), 1e-10)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_state_goes_both_ways(name):
    torch = pytest.importorskip("torch")
    options = {"num_layers": 2, "bidirectional": True}
    ours, theirs = getattr(nn, name)(3, 4, **options), getattr(torch.nn, name)(3, 4, **options)
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in theirs.state_dict().items()
    ]
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(
        ours(tg.tensor(x))[0].detach().array, theirs(torch.tensor(x))[0].detach().numpy(), 1e-4, 1e-6
    )


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_gradients_to_second_order(name):
    layer = getattr(nn, name)(2, 3, bidirectional=True).double()
    x = np.random.default_rng(0).standard_normal((3, 2, 2))
    check_gradients(lambda x: layer(x)[0], [x])


@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
def test_gradients_of_cells_to_second_order(name):
    layer = getattr(nn, name)(2, 3).double()

    def state(x):
        out = layer(x)
        return out[0] * out[1] if isinstance(out, tuple) else out

    check_gradients(state, [np.random.default_rng(0).standard_normal((2, 2))])


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_second_derivatives_of_the_fused_layer(name):
    """A fused layer opens into its loop when its gradient is recorded."""
    layer = getattr(nn, name)(2, 8).double()
    x = tg.randn(24, 8, 2, dtype=tg.float64, requires_grad=True)

    def second():
        out = layer(x)[0]
        (g,) = tg.autograd.grad((out * out).sum(), [x], create_graph=True)
        return tg.autograd.grad((g * g).sum(), [x])[0].array

    fused = second()
    with tg.autograd.fused(False):
        np.testing.assert_allclose(fused, second(), 1e-9, 1e-12)


def test_dropout_acts_between_layers_in_training_only():
    tg.manual_seed(0)
    layer = nn.LSTM(2, 3, num_layers=2, dropout=0.5)
    x = tg.randn(4, 2, 2)
    assert not np.array_equal(layer(x)[0].detach().array, layer(x)[0].detach().array)
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].detach().array, layer(x)[0].detach().array)
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.GRU(2, 3, dropout=0.5)


def test_initialisation():
    layer = nn.LSTM(10, 100)
    for p in layer.parameters():
        assert 0.08 < np.abs(p.array).max() <= 0.1


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, "Expected input to be 2D or 3D, got 1D", lambda: nn.RNN(3, 4)(tg.ones(3))),
        (ShapeError, "Expected 3, got 2", lambda: nn.LSTM(3, 4)(tg.ones(5, 2, 2))),
        (ShapeError, r"Expected hidden size \(1, 2, 4\) for hx, got \[1, 3, 4\]",
         lambda: nn.GRU(3, 4)(tg.ones(5, 2, 3), tg.ones(1, 3, 4))),
        (ShapeError, r"for cx, got", lambda: nn.LSTM(3, 4)(tg.ones(5, 2, 3), (tg.ones(1, 2, 4), tg.ones(1, 1, 4)))),
        (ShapeError, "hx should also be 2-D but got 3-D", lambda: nn.GRU(3, 4)(tg.ones(5, 3), tg.ones(1, 1, 4))),
        (ShapeError, "sequence length to be larger than 0", lambda: nn.GRU(3, 4)(tg.ones(0, 2, 3))),
        (TypeError, "hx must be a tuple", lambda: nn.LSTM(3, 4)(tg.ones(5, 2, 3), tg.ones(1, 2, 4))),
        (TypeError, "must be a Tensor or a PackedSequence", lambda: nn.LSTM(3, 4)([tg.ones(5, 3)])),
        (ValueError, "does not match weight dtype", lambda: nn.LSTM(3, 4)(tg.ones(5, 2, 3, dtype=tg.float64))),
        (ValueError, "Unknown nonlinearity", lambda: nn.RNN(3, 4, nonlinearity="elu")),
        (ValueError, "dropout should be a number in range", lambda: nn.RNN(3, 4, dropout=2)),
        (ValueError, "hidden_size must be greater than zero", lambda: nn.RNN(3, 0)),
        (ValueError, "num_layers must be greater than zero", lambda: nn.RNN(3, 4, 0)),
        (TypeError, "input_size should be of type int", lambda: nn.RNN(3.0, 4)),
        (TypeError, "bias should be of type bool", lambda: nn.LSTM(3, 4, bias=1)),
        (NotImplementedError, "proj_size=2 is not supported", lambda: nn.LSTM(3, 4, proj_size=2)),
        (ValueError, "Expected input to be 1D or 2D", lambda: nn.RNNCell(3, 4)(tg.ones(1, 1, 3))),
        (ShapeError, "inconsistent input_size: got 2, expected 3", lambda: nn.GRUCell(3, 4)(tg.ones(2, 2))),
        (ShapeError, "hidden is", lambda: nn.GRUCell(3, 4)(tg.ones(2, 3), tg.ones(3, 4))),
        (RuntimeError, "Unknown nonlinearity", lambda: nn.RNNCell(3, 4, nonlinearity="elu")(tg.ones(2, 3))),
    ],
)  # fmt: skip
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_picture_opens_the_fused_layer(name):
    out = getattr(nn, name)(3, 40)(tg.randn(12, 3, 3))[0]
    titles = [v.title for v in tg.autograd.graph_of(out.sum()).vertices]
    assert name not in titles and titles.count("Tanh") in (12, 24)
