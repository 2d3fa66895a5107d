"""Layers against compositions in NumPy and central differences; what they refuse, in which words."""

from __future__ import annotations

import numpy as np
import pytest
from nn_checks import check_layer_gradients

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.errors import DTypeError, LabelError, ShapeError

RNG = np.random.default_rng(0)


def conv_by_hand(x, w, b, stride, padding):
    """The definition, one output entry at a time."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kh, kw = w.shape[2:]
    oh, ow = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    y = np.zeros((len(x), len(w), oh, ow))
    for n, o, i, j in np.ndindex(y.shape):
        window = x[n, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
        y[n, o, i, j] = (window * w[o]).sum() + b[o]
    return y


def test_linear():
    layer = nn.Linear(4, 3).double()
    x = RNG.standard_normal((5, 4))
    w, b = layer.weight.detach().array, layer.bias.detach().array
    np.testing.assert_allclose(layer(tg.tensor(x)).detach().array, x @ w.T + b)


def test_conv2d():
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1).double()
    x = RNG.standard_normal((2, 2, 6, 5))
    expected = conv_by_hand(x, layer.weight.detach().array, layer.bias.detach().array, 2, 1)
    np.testing.assert_allclose(layer(tg.tensor(x)).detach().array, expected, 1e-10, 1e-12)


def test_max_pool2d():
    x = RNG.standard_normal((2, 3, 6, 4))
    expected = x.reshape(2, 3, 3, 2, 2, 2).max((3, 5))
    np.testing.assert_array_equal(nn.MaxPool2d(2)(tg.tensor(x)).array, expected)
    np.testing.assert_allclose(nn.AvgPool2d(2)(tg.tensor(x)).array, x.reshape(2, 3, 3, 2, 2, 2).mean((3, 5)))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(4, 3), (5, 4)),
        (nn.Linear(4, 3), (2, 3, 4)),
        (nn.Conv2d(2, 3, 2, padding=1, stride=2), (2, 2, 4, 3)),
        (nn.Conv2d(2, 2, 3, padding="same", padding_mode="reflect", groups=2), (2, 2, 4, 3)),
        (nn.MaxPool2d(2), (2, 2, 4, 4)),
        (nn.AvgPool2d(3, 1, 1, count_include_pad=False), (1, 2, 4, 4)),
        (nn.AdaptiveAvgPool2d((2, 3)), (1, 2, 5, 4)),
        (nn.LayerNorm((3, 2)), (4, 3, 2)),
        (nn.ELU(), (3, 4)),
        (nn.GELU("tanh"), (3, 4)),
        (nn.Mish(), (3, 4)),
        (nn.Softplus(), (3, 4)),
        (nn.LogSigmoid(), (3, 4)),
        (nn.PReLU(4), (3, 4)),
        (nn.Softmax(0), (3, 4)),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_gradients(layer, shape):
    check_layer_gradients(layer, shape)


@pytest.mark.parametrize("name", ["ELU", "SELU", "Softplus", "LogSigmoid", "SiLU", "Mish", "GELU", "Sigmoid"])
def test_far_from_zero_values_and_gradients_are_finite(name):
    """The branch that is not taken must not leak inf · 0 = NaN."""
    x = tg.tensor([-1e4, -200.0, 0.0, 200.0, 1e4], requires_grad=True)
    y = getattr(nn, name)()(x)
    y.sum().backward()
    assert np.isfinite(y.array).all() and np.isfinite(x.grad.array).all()


# -- dropout ----------------------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_scales_what_it_keeps():
    tg.manual_seed(0)
    x = tg.ones(100, 100, requires_grad=True)
    y = nn.Dropout(0.25)(x)
    assert set(np.unique(y.array)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.array.mean() - 1) < 0.03
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.array, y.array)
    assert nn.Dropout(0.25).eval()(x) is x and F.dropout(x, 0.0) is x
    tg.manual_seed(0)
    np.testing.assert_array_equal(nn.Dropout(0.25)(x).array, y.array)


def test_dropouts_mask_has_that_name_in_pictures():
    graph = tg.autograd.graph_of(nn.Dropout()(tg.ones(3, requires_grad=True)))
    assert "mask" in [v.title for v in graph.vertices]


def test_dropout2d_drops_whole_channels():
    tg.manual_seed(0)
    y = nn.Dropout2d(0.5)(tg.ones(8, 8, 3, 3)).array
    assert (y == y[:, :, :1, :1]).all() and set(np.unique(y)) == {0, 2}


def test_identity_takes_any_arguments():
    assert nn.Identity(54, unused=1)(3) == 3


def test_embedding_from_pretrained():
    table = tg.arange(6.0).reshape(3, 2)
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad and layer(tg.tensor(2)).tolist() == [4.0, 5.0]
    assert np.shares_memory(layer.weight.array, table.array)


def test_one_hot():
    assert F.one_hot(tg.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_softmax_without_dim_warns():
    with pytest.warns(UserWarning, match="Implicit dimension choice has been deprecated; dim=1"):
        assert nn.Softmax()(tg.ones(1, 2)).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ShapeError, r"Linear\(784 → 256\): input is \(32, 100\); its last dim must be in_features=784",
         lambda: nn.Linear(784, 256)(tg.ones(32, 100))),
        (ShapeError, r"Flatten the input first: x.flatten\(1\)", lambda: nn.Linear(784, 9)(tg.ones(2, 1, 28, 28))),
        (ShapeError, "last dim must be in_features=2", lambda: nn.Linear(2, 3)(tg.tensor(1.0))),
        (DTypeError, r"Linear\(2 → 3\): the input is tinygrad_edu.int64 but weight is tinygrad_edu.float32; convert",
         lambda: nn.Linear(2, 3)(tg.ones(1, 2, dtype=tg.int64))),
        (DTypeError, "the input is tinygrad_edu.float64", lambda: nn.Linear(2, 3)(tg.ones(1, 2, dtype=tg.float64))),
        (ShapeError, r"linear: weight must be \(out, in\)", lambda: F.linear(tg.ones(2), tg.ones(2))),
        (TypeError, "must be Tensor, not list", lambda: nn.Linear(2, 3)([1.0, 2.0])),
        (ShapeError, r"Expected 3D .* but got input of size \(2, 3\)".replace("E", "e"),
         lambda: nn.Conv2d(3, 4, 3)(tg.ones(2, 3))),
        (ShapeError, "x has 1 channels but the weight expects 3", lambda: nn.Conv2d(3, 4, 3)(tg.ones(2, 1, 5, 5))),
        (ShapeError, "the kernel spans 3 but the padded input height is 2",
         lambda: nn.Conv2d(1, 4, 3)(tg.ones(2, 1, 2, 5))),
        (DTypeError, "must be floating point", lambda: nn.Conv2d(1, 4, 3)(tg.ones(2, 1, 5, 5, dtype=tg.int64))),
        (DTypeError, "is tinygrad_edu.float64 but weight",
         lambda: nn.Conv2d(1, 4, 3)(tg.ones(2, 1, 5, 5, dtype=tg.float64))),
        (ValueError, "in_channels must be divisible by groups", lambda: nn.Conv2d(3, 4, 3, groups=2)),
        (ValueError, "out_channels must be divisible by groups", lambda: nn.Conv2d(4, 3, 3, groups=2)),
        (ValueError, "groups must be a positive integer", lambda: nn.Conv2d(4, 3, 3, groups=0)),
        (ValueError, "Invalid padding string 'x', should be one of 'same', 'valid'",
         lambda: nn.Conv2d(1, 1, 3, padding="x")),
        (ValueError, "padding='same' is not supported for strided convolutions",
         lambda: nn.Conv2d(1, 1, 3, 2, "same")),
        (ValueError, "padding_mode must be one of", lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror")),
        (TypeError, "kernel_size must be an int or 2 ints", lambda: nn.Conv2d(1, 1, (3, 3, 3))),
        (TypeError, "stride must be an int or two ints",
         lambda: F.conv2d(tg.ones(1, 1, 3, 3), tg.ones(1, 1, 1, 1), stride=1.5)),
        (ShapeError, "bias must have one entry per output channel",
         lambda: F.conv2d(tg.ones(1, 1, 3, 3), tg.ones(2, 1, 1, 1), tg.ones(3))),
        (ShapeError, "conv1d: x must be", lambda: nn.Conv1d(1, 1, 3)(tg.ones(1, 1, 3, 3))),
        (ShapeError, "max_pool2d: expected 3D", lambda: nn.MaxPool2d(2)(tg.ones(4, 4))),
        (ShapeError, "output would be empty", lambda: nn.MaxPool2d(3)(tg.ones(1, 1, 2, 2))),
        (ShapeError, "padding .* must be at most half of kernel_size",
         lambda: nn.MaxPool2d(2, padding=2)(tg.ones(1, 1, 4, 4))),
        (DTypeError, "avg_pool2d: the input is tinygrad_edu.int64",
         lambda: nn.AvgPool2d(2)(tg.ones(1, 1, 2, 2, dtype=tg.int64))),
        (ShapeError, "adaptive_avg_pool2d: output_size", lambda: nn.AdaptiveAvgPool2d(-1)(tg.ones(1, 1, 2, 2))),
        (ValueError, "dropout probability has to be between 0 and 1, but got 1.5", lambda: nn.Dropout(1.5)),
        (ValueError, "dropout probability has to be between 0 and 1, but got -0.1",
         lambda: F.dropout(tg.ones(1), -0.1)),
        (ShapeError, "dropout2d: expected", lambda: nn.Dropout2d()(tg.ones(2, 2))),
        (IndexError, "Dimension out of range", lambda: nn.Flatten()(tg.tensor(1.0))),
        (RuntimeError, "unflatten", lambda: nn.Unflatten(1, (2, 3))(tg.ones(2, 5))),
        (TypeError, "unflattened_size must be tuple of ints", lambda: nn.Unflatten(1, 3)),
        (LabelError, r"label 5 at \[1\] must lie in \[0, 2\]", lambda: nn.Embedding(3, 4)(tg.tensor([0, 5]))),
        (DTypeError, "labels must be integers", lambda: nn.Embedding(3, 4)(tg.ones(2))),
        (ValueError, "within num_embeddings=3", lambda: nn.Embedding(3, 4, padding_idx=3)),
        (ShapeError, r"expected input with shape \[\*, 3\], but got input of size \[2, 4\]",
         lambda: nn.LayerNorm(3)(tg.ones(2, 4))),
        (ShapeError, "weight must have 1 entry or one per channel", lambda: nn.PReLU(3)(tg.ones(2, 4))),
        (RuntimeError, "approximate argument must be either none or tanh", lambda: F.gelu(tg.ones(1), "erf")),
        (ValueError, "min_val 1.* cannot be greater", lambda: F.hardtanh(tg.ones(1), 1, 0)),
        (DTypeError, "elu: the input is tinygrad_edu.int64", lambda: F.elu(tg.arange(3))),
        (ShapeError, "pad: padding .1, 2, 3. must hold two numbers", lambda: F.pad(tg.ones(2), (1, 2, 3))),
        (ShapeError, "must lie in .0, 1. for mode 'reflect' and size 2",
         lambda: F.pad(tg.ones(1, 2), (2, 0), "reflect")),
        (NotImplementedError, "Unrecognised padding mode mirror", lambda: F.pad(tg.ones(2), (1, 1), "mirror")),
        (ValueError, "doesn't take in value argument", lambda: F.pad(tg.ones(2), (1, 1), "reflect", 1.0)),
        (ShapeError, "bilinear: inputs are", lambda: nn.Bilinear(2, 3, 4)(tg.ones(1, 3), tg.ones(1, 3))),
        (LabelError, "class value 3", lambda: F.one_hot(tg.tensor([3]), 3)),
        (TypeError, "unexpected keyword argument 'size_average'", lambda: nn.MSELoss(size_average=True)),
    ],
)  # fmt: skip
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()


def test_second_derivatives_through_a_layer():
    """d²/dx² of sum(tanh(w x + b)³): the rules of the layer's ops are differentiable themselves."""
    layer = nn.Linear(2, 3).double()
    x = tg.randn(4, 2, dtype=tg.float64, requires_grad=True)
    (grad,) = tg.autograd.grad((layer(x).tanh() ** 3).sum(), x, create_graph=True)
    grad.square().sum().backward()
    assert layer.weight.grad is not None and np.isfinite(x.grad.array).all()
