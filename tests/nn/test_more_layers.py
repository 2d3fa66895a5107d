"""Second derivatives of the layers in the table, numbers by hand, and what the layers refuse."""

from __future__ import annotations

import re

import numpy as np
import pytest
from layer_table import LAYERS

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.testing import check_gradients

# Slow to check entry by entry, or checked as part of others; Dropout(1) has no gradient.
SKIPPED = ("Transformer", "Dropout", "UpsamplingNearest", "UpsamplingBilinear")


@pytest.mark.parametrize("case", [c for c in LAYERS if not c[0].startswith(SKIPPED) and "Dropout" not in c[0]],
                         ids=lambda c: f"{c[0]}-{c[1]}-{c[2]}".replace(" ", ""))  # fmt: skip
def test_gradients_to_second_order(case):
    name, args, kwargs, shapes = case
    layer = getattr(nn, name)(*args, **kwargs).double()
    rng = np.random.default_rng(3)
    # away from kinks at 0 and from ties of a maximum
    inputs = [
        (rng.permutation(np.prod(s)).reshape(s) + 0.35 + 0.1 * rng.random(s)) / np.prod(s) * 3 - 1.5 for s in shapes
    ]
    parameters = [p.detach().array for p in layer.parameters()]
    names = [n for n, _ in layer.named_parameters()]

    def function(*tensors):
        for n, p in zip(names, tensors[len(inputs) :], strict=True):
            owner, _, last = n.rpartition(".")
            layer.get_submodule(owner)._parameters[last] = p
        return layer(*tensors[: len(inputs)])

    check_gradients(function, [*inputs, *parameters])


def test_conv_transpose_spreads_the_kernel():
    weight = np.arange(4.0).reshape(1, 1, 2, 2)
    y = F.conv_transpose2d(tg.tensor([[[[1.0, 2.0]]]]).double(), tg.tensor(weight), stride=2)
    np.testing.assert_array_equal(y.array[0, 0], [[0, 1, 0, 2], [2, 3, 4, 6]])


@pytest.mark.torch
def test_output_size():
    torch = pytest.importorskip("torch")
    ours, theirs = (lib.nn.ConvTranspose2d(2, 3, 3, 2, 1) for lib in (tg, torch))
    theirs.load_state_dict({k: torch.from_numpy(v.array.copy()) for k, v in ours.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4)).astype(np.float32)
    for size in ((8, 7), (1, 3, 7, 8)):
        out, expected = ours(tg.tensor(x), output_size=size), theirs(torch.tensor(x), output_size=size)
        np.testing.assert_allclose(out.detach().array, expected.detach().numpy(), 1e-4, 1e-6)
    with pytest.raises(ValueError, match=r"requested an output size of \(9, 9\), but valid sizes range from"):
        ours(tg.tensor(x), output_size=(9, 9))
    with pytest.raises(ValueError, match="must have 2 or 4 elements"):
        ours(tg.tensor(x), output_size=(9,))


def test_growing_undoes_the_shape_of_shrinking():
    x = tg.randn(2, 3, 16, 16)
    down, up = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ConvTranspose2d(6, 3, 3, stride=2, padding=1)
    assert up(down(x), output_size=x.shape).shape == x.shape


@pytest.mark.torch
@pytest.mark.parametrize("name", ["max_pool1d", "adaptive_max_pool1d", "adaptive_max_pool2d"])
def test_places_of_the_largest(name):
    torch = pytest.importorskip("torch")
    a = np.random.default_rng(0).standard_normal((2, 3, 7, 9) if name.endswith("2d") else (2, 3, 9))
    mine = getattr(F, name)(tg.tensor(a), 3, return_indices=True)
    other = getattr(torch.nn.functional, name)(torch.tensor(a), 3, return_indices=True)
    for m, o in zip(mine, other, strict=True):
        np.testing.assert_array_equal(m.array, o.numpy())
        assert str(m.dtype).split(".")[-1] == str(o.dtype).split(".")[-1]


def test_group_norm_between_layer_and_instance_norm():
    x = tg.randn(3, 4, 5)
    np.testing.assert_allclose(F.group_norm(x, 1).array, F.layer_norm(x, (4, 5)).array, 1e-4, 1e-5)
    np.testing.assert_allclose(F.group_norm(x, 4).array, F.instance_norm(x).array, 1e-4, 1e-5)


def test_group_norm_of_a_large_input_is_fused_and_the_same():
    x = tg.randn(8, 8, 30, dtype=tg.float64, requires_grad=True)
    layer, grads = nn.GroupNorm(4, 8).double(), []
    for fused in (True, False):
        x.grad = None
        with tg.autograd.fused(fused):
            (layer(x) ** 3).sum().backward()
        grads.append(x.grad.array)
    np.testing.assert_allclose(*grads, 1e-9, 1e-11)


def test_fold_counts_how_often_each_place_is_covered():
    x = tg.ones(1, 1, 4, 5)
    counts = F.fold(F.unfold(x, 3, stride=(1, 2)), (4, 5), 3, stride=(1, 2)).array[0, 0]
    np.testing.assert_array_equal(counts, np.outer([1, 2, 2, 1], [1, 1, 2, 1, 1]))


def test_convolution_is_a_product_with_unfolded_windows():
    x, w = tg.randn(2, 3, 6, 5), tg.randn(4, 3, 3, 2)
    product = (w.reshape(4, -1) @ F.unfold(x, (3, 2), padding=1)).reshape(2, 4, 6, 6)
    np.testing.assert_allclose(product.array, F.conv2d(x, w, padding=1).array, 1e-4, 1e-5)


def test_old_name_of_interpolate():
    x = tg.randn(1, 2, 3, 3)
    with pytest.warns(UserWarning, match="upsample is deprecated"):
        y = F.upsample(x, scale_factor=2)
    np.testing.assert_array_equal(y.array, x.array.repeat(2, 2).repeat(2, 3))


def test_pretrained_embedding():
    table = tg.randn(5, 3)
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad and np.shares_memory(layer.weight.array, table.array)
    assert nn.Embedding.from_pretrained(table, freeze=False, padding_idx=-1).padding_idx == 4
    assert nn.Embedding(5, 3, _weight=table).weight.requires_grad


image, sequence = tg.ones(1, 4, 6, 6), tg.ones(1, 4, 6)
one, kernel = tg.ones(1, 1, 1, 1), tg.ones(4, 2, 1, 1)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ValueError, 'Only "zeros" padding mode', lambda: nn.ConvTranspose2d(1, 1, 2, padding_mode="reflect")),
        (ShapeError, "output padding must be smaller", lambda: nn.ConvTranspose2d(4, 1, 2, output_padding=1)(image)),
        (ShapeError, "to have 2 channels (weight.shape[0]), but got 4", lambda: nn.ConvTranspose2d(2, 1, 2)(image)),
        (ShapeError, "expected 3D (unbatched) or 4D (batched)", lambda: nn.ConvTranspose2d(2, 1, 2)(tg.ones(3))),
        (ShapeError, "the output would be (-1, -1)", lambda: F.conv_transpose2d(one, one, padding=1)),
        (ShapeError, "bias must have one entry per output", lambda: F.conv_transpose2d(image, kernel, tg.ones(4))),
        (ShapeError, "x must be (n, c, l)", lambda: F.conv_transpose1d(image, tg.ones(4, 1, 2))),
        (TypeError, "kernel_size must be an int", lambda: nn.MaxPool1d((2, 2))(sequence)),
        (ShapeError, "max_pool1d: expected 2D", lambda: nn.MaxPool1d(2)(image)),
        (TypeError, "output_size must be an int, None or two", lambda: nn.AdaptiveAvgPool2d((1, 2, 3))(image)),
        (ShapeError, "does not fit the input", lambda: nn.AdaptiveMaxPool2d(-1)(image)),
        (ValueError, "num_channels (4) must be divisible by num_groups (3)", lambda: nn.GroupNorm(3, 4)),
        (ShapeError, "divisible by num_groups", lambda: F.group_norm(image, 3)),
        (ShapeError, "equal to the number of channels", lambda: nn.GroupNorm(1, 3)(image)),
        (ValueError, "more than 1 spatial element", lambda: nn.InstanceNorm2d(4)(tg.ones(2, 4, 1, 1))),
        (ValueError, "expected 3D or 4D input", lambda: nn.InstanceNorm2d(4)(sequence[0])),
        (ValueError, "match num_features (3)", lambda: nn.InstanceNorm2d(3, affine=True)(image)),
        (ShapeError, "rms_norm: Given normalized_shape=[5]", lambda: nn.RMSNorm(5)(image)),
        (ValueError, "3D or higher", lambda: nn.LocalResponseNorm(2)(tg.ones(2, 3))),
        (ShapeError, "Halving dimension must be even", lambda: nn.GLU()(tg.ones(2, 3))),
        (RuntimeError, "lambda must be greater or equal to 0", lambda: F.softshrink(image, -1)),
        (RuntimeError, "ZeroDivisionError", lambda: F.celu(image, 0)),
        (ValueError, "Softmax2d: expected input to be 3D or 4D", lambda: nn.Softmax2d()(tg.ones(2, 3))),
        (ValueError, "only one of size or scale_factor", lambda: F.interpolate(image)),
        (ValueError, "only one of size or scale_factor", lambda: F.interpolate(image, 3, 2)),
        (ValueError, "same number of spatial dimensions", lambda: F.interpolate(image, (3, 3, 3))),
        (NotImplementedError, "but bilinear mode needs 4D", lambda: F.interpolate(sequence, 3, mode="bilinear")),
        (NotImplementedError, "mode 'lanczos' is not supported", lambda: F.interpolate(image, 3, mode="lanczos")),
        (NotImplementedError, "antialias=True", lambda: F.interpolate(image, 3, mode="bilinear", antialias=True)),
        (ValueError, "align_corners option can only be set", lambda: F.interpolate(image, 3, align_corners=True)),
        (ShapeError, "sizes should be greater than 0", lambda: F.interpolate(image, 0)),
        (ShapeError, "divisible by the square of upscale_factor 3", lambda: nn.PixelShuffle(3)(image)),
        (ShapeError, "divisible by downscale_factor 4", lambda: nn.PixelUnshuffle(4)(image)),
        (ShapeError, "divisible by groups", lambda: nn.ChannelShuffle(3)(image)),
        (ShapeError, "the windows do not fit", lambda: F.unfold(image, 7)),
        (ShapeError, "must be 5 x 5 = 25 windows", lambda: F.fold(tg.ones(1, 4, 24), 6, 2)),
        (ShapeError, "Expected 2D (unbatched) or 3D (batched)", lambda: F.fold(image, 6, 2)),
        (ValueError, "padding must be an int or 4 of them", lambda: nn.ZeroPad2d((1, 2))),
        (ShapeError, "ReflectionPad2d: expected 3D or 4D input", lambda: nn.ReflectionPad2d(1)(tg.ones(3, 3))),
        (ShapeError, "must lie in [0, 5] for mode 'reflect'", lambda: nn.ReflectionPad2d(6)(image)),
        (NotImplementedError, "max_norm=1.0 is not supported", lambda: nn.Embedding(3, 2, max_norm=1.0)),
        (NotImplementedError, "sparse=True", lambda: nn.Embedding(3, 2, sparse=True)),
        (NotImplementedError, "scale_grad_by_freq=True", lambda: nn.Embedding(3, 2, scale_grad_by_freq=True)),
        (AssertionError, "Padding_idx must be within", lambda: nn.Embedding(3, 2, padding_idx=4)),
        (AssertionError, "must be within num_embeddings", lambda: F.embedding(tg.tensor([0]), tg.ones(3, 2), 3)),
        (RuntimeError, "does not match num_embeddings", lambda: nn.Embedding(3, 2, _weight=tg.ones(2, 3))),
    ],
)  # fmt: skip
def test_refused(error, words, call):
    with pytest.raises(error, match=re.escape(words)):
        call()
