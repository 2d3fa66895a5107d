"""Attention: the function, the layer and transformers against PyTorch; masks; what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from nn_checks import twin

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import nn
from tinygrad_edu.errors import DTypeError, ShapeError
from tinygrad_edu.testing import check_gradients

RNG = np.random.default_rng(0)
Q, K, V = RNG.standard_normal((2, 3, 4, 5)), RNG.standard_normal((2, 3, 6, 5)), RNG.standard_normal((2, 3, 6, 7))
BOOLEAN = RNG.random((4, 6)) < 0.7
BOOLEAN[2] = False  # a query that may look nowhere
ADDED = RNG.standard_normal((3, 4, 6))


@pytest.mark.torch
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": BOOLEAN},
        {"attn_mask": ADDED},
        {"attn_mask": np.where(BOOLEAN, 0.0, -np.inf)},
        {"attn_mask": RNG.random((2, 1, 1, 6)) < 0.8, "scale": 2.0},
    ],
    ids=lambda o: "-".join(f"{k}{getattr(v, 'dtype', v)}" for k, v in o.items()) or "plain",
)
def test_scaled_dot_product_attention(options):
    torch = pytest.importorskip("torch")
    results = []
    for lib in (tg, torch):
        inputs = [lib.tensor(a, requires_grad=True) for a in (Q, K, V)]
        given = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        out = lib.nn.functional.scaled_dot_product_attention(*inputs, **given)
        (out * out).sum().backward()
        results.append([np.asarray(x.detach()) for x in (out, *(x.grad for x in inputs))])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, 1e-9, 1e-12)


@pytest.mark.torch
def test_shared_heads():
    torch = pytest.importorskip("torch")
    q, k = RNG.standard_normal((2, 6, 4, 5)), RNG.standard_normal((2, 3, 4, 5))
    mine, other = (
        lib.nn.functional.scaled_dot_product_attention(
            lib.tensor(q), lib.tensor(k), lib.tensor(k), enable_gqa=True
        ).numpy()
        for lib in (tg, torch)
    )
    np.testing.assert_allclose(mine, other, 1e-10)


def test_attention_by_hand():
    """Two keys, one query: the weights are a softmax of two scores."""
    q, k, v = tg.tensor([[2.0, 0.0]]), tg.tensor([[1.0, 5.0], [0.0, 7.0]]), tg.tensor([[1.0], [10.0]])
    weight = 1 / (1 + np.exp(-2 / np.sqrt(2)))
    assert F.scaled_dot_product_attention(q, k, v).item() == pytest.approx(weight + 10 * (1 - weight), rel=1e-6)


def test_dropout_of_weights_is_applied_always():
    tg.manual_seed(0)
    q = tg.randn(3, 4)
    assert not np.array_equal(F.scaled_dot_product_attention(q, q, q, dropout_p=0.5).array,
                              F.scaled_dot_product_attention(q, q, q).array)  # fmt: skip


def test_gradients_to_second_order():
    check_gradients(F.scaled_dot_product_attention, [Q[0, 0], K[0, 0], V[0, 0]], {"is_causal": True})


PADDING = np.array([[False, False, False, True], [False, False, True, True], [False] * 4])
CAUSAL = np.triu(np.ones((5, 4), bool), 1)


@pytest.mark.torch
@pytest.mark.parametrize("call", ["plain", "heads", "unweighted", "padding", "mask", "both", "added", "each head"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False, "batch_first": True},
        {"kdim": 3, "vdim": 2, "batch_first": True},
        {"add_bias_kv": True, "add_zero_attn": True},
    ],
    ids=str,
)
def test_multihead_attention(options, call):
    torch = pytest.importorskip("torch")
    ours, theirs = nn.MultiheadAttention(4, 2, **options), torch.nn.MultiheadAttention(4, 2, **options)
    assert repr(ours) == repr(theirs)
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in theirs.state_dict().items()
    ]
    for name, p in ours.named_parameters():
        if "bias" in name:  # they start at 0, which would hide mistakes
            nn.init.normal_(p)
    twin(torch, ours.double(), theirs.double())
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal((5, 3, 4)), rng.standard_normal((4, 3, ours.kdim))]
    arrays.append(rng.standard_normal((4, 3, ours.vdim)))
    if ours.batch_first:
        arrays = [a.swapaxes(0, 1).copy() for a in arrays]
    given = {
        "plain": {},
        "heads": {"average_attn_weights": False},
        "unweighted": {"need_weights": False},
        "padding": {"key_padding_mask": PADDING},
        "mask": {"attn_mask": CAUSAL},
        "both": {"attn_mask": CAUSAL, "key_padding_mask": PADDING},
        "added": {"attn_mask": rng.standard_normal((5, 4)), "key_padding_mask": rng.standard_normal((3, 4))},
        "each head": {"attn_mask": rng.standard_normal((6, 5, 4))},
    }[call]
    results = []
    for lib, layer in ((tg, ours), (torch, theirs)):
        inputs = [lib.tensor(a, requires_grad=True) for a in arrays]
        kwargs = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
        out, weights = layer(*inputs, **kwargs)
        loss = (out * out).sum() + (0 if weights is None else (weights * weights).sum())
        loss.backward()
        found = [out, weights, *(x.grad for x in inputs), *(p.grad for p in layer.parameters())]
        results.append([None if x is None else np.asarray(x.detach()) for x in found])
    for mine, other in zip(*results, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            np.testing.assert_allclose(mine, other, 1e-8, 1e-10)


@pytest.mark.torch
@pytest.mark.parametrize("batch_first", [True, False])
def test_self_attention(batch_first):
    """One product for query, key and value gives what three do; without a batch, too."""
    torch = pytest.importorskip("torch")
    ours = nn.MultiheadAttention(4, 2, batch_first=batch_first)
    theirs = torch.nn.MultiheadAttention(4, 2, batch_first=batch_first)
    twin(torch, ours.double(), theirs.double())
    for shape in ((3, 5, 4), (5, 4)):
        a = np.random.default_rng(0).standard_normal(shape)
        x, y = tg.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
        out, weights = ours(x, x, x)
        expected, expected_weights = theirs(y, y, y)
        np.testing.assert_allclose(out.detach().array, expected.detach().numpy(), 1e-10, 1e-13)
        np.testing.assert_allclose(weights.detach().array, expected_weights.detach().numpy(), 1e-10)
        (out * out).sum().backward()
        (expected * expected).sum().backward()
        np.testing.assert_allclose(x.grad.array, y.grad.numpy(), 1e-9, 1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_transformer_encoder(norm_first, masked):
    torch = pytest.importorskip("torch")

    def build(lib):
        layer = lib.nn.TransformerEncoderLayer(4, 2, 6, 0.0, norm_first=norm_first, batch_first=True)
        return lib.nn.TransformerEncoder(layer, 2, lib.nn.LayerNorm(4))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = build(tg), build(torch)
    assert repr(ours) == repr(theirs)
    twin(torch, ours.double(), theirs.double())
    a = np.random.default_rng(0).standard_normal((3, 5, 4))
    x, y = tg.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    mine, other = {}, {}
    if masked:
        mine["mask"] = nn.Transformer.generate_square_subsequent_mask(5, dtype=tg.float64)
        other["mask"] = torch.nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
        np.testing.assert_array_equal(mine["mask"].array, other["mask"].numpy())
        mine["is_causal"] = other["is_causal"] = True
        padding = np.array([[False] * 5, [False] * 4 + [True], [False] * 3 + [True] * 2])
        mine["src_key_padding_mask"] = tg.tensor(np.where(padding, -np.inf, 0.0))
        other["src_key_padding_mask"] = torch.tensor(np.where(padding, -np.inf, 0.0))
    out, expected = ours(x, **mine), theirs(y, **other)
    np.testing.assert_allclose(out.detach().array, expected.detach().numpy(), 1e-9, 1e-11)
    u = np.random.default_rng(1).standard_normal(a.shape)
    out.backward(tg.tensor(u))
    expected.backward(torch.tensor(u))
    np.testing.assert_allclose(x.grad.array, y.grad.numpy(), 1e-8, 1e-10)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.array, q.grad.numpy(), 1e-8, 1e-10)


@pytest.mark.torch
def test_transformer_with_masks():
    torch = pytest.importorskip("torch")
    options = {"dropout": 0.0, "activation": "gelu", "norm_first": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (lib.nn.Transformer(4, 2, 1, 2, 6, **options) for lib in (tg, torch))
    assert repr(ours) == repr(theirs)
    twin(torch, ours.double(), theirs.double())
    rng = np.random.default_rng(0)
    src, tgt = rng.standard_normal((5, 3, 4)), rng.standard_normal((4, 3, 4))
    padding = np.where(np.arange(5) >= np.array([[5], [4], [3]]), -np.inf, 0.0)
    results = []
    for lib, layer in ((tg, ours), (torch, theirs)):
        mask = lib.nn.Transformer.generate_square_subsequent_mask(4, dtype=lib.float64)
        pad = lib.tensor(padding)
        out = layer(lib.tensor(src), lib.tensor(tgt), tgt_mask=mask, src_key_padding_mask=pad,
                    memory_key_padding_mask=pad, tgt_is_causal=True)  # fmt: skip
        results.append(out.detach().numpy())
    np.testing.assert_allclose(*results, 1e-9, 1e-11)


def test_the_copies_of_a_layer_learn_on_their_own():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6), 2)
    assert len(list(encoder.parameters())) == 24
    first, second = encoder.layers
    np.testing.assert_array_equal(first.linear1.weight.array, second.linear1.weight.array)
    assert not np.shares_memory(first.linear1.weight.array, second.linear1.weight.array)


def test_a_layer_learns_to_copy():
    """A few steps of Adam lower the loss of a small transformer."""
    tg.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    optimizer = tg.optim.Adam(layer.parameters(), 0.01)
    x = tg.randn(4, 5, 8)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.mse_loss(layer(x), x.flip((1,)))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def attend(*shapes, **kwargs):
    return nn.MultiheadAttention(4, 2)(*(tg.ones(s) for s in shapes), **kwargs)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (AssertionError, "embed_dim must be divisible by num_heads", lambda: nn.MultiheadAttention(5, 2)),
        (ValueError, "must be greater than 0", lambda: nn.MultiheadAttention(0, 2)),
        (AssertionError, "unbatched 2D or batched 3D", lambda: attend((4,), (4,), (4,))),
        (AssertionError, "unbatched 2D or batched 3D", lambda: attend((5, 1, 4), (5, 4), (5, 4))),
        (ShapeError, "embedding dimensions of .4, 4, 4.", lambda: attend((5, 1, 3), (5, 1, 4), (5, 1, 4))),
        (ShapeError, "do not match value's", lambda: attend((5, 1, 4), (5, 1, 4), (6, 1, 4))),
        (ShapeError, "batch_first=False", lambda: attend((5, 2, 4), (5, 3, 4), (5, 3, 4))),
        (ShapeError, "2D attn_mask is .2, 2., but should be .5, 6.",
         lambda: attend((5, 1, 4), (6, 1, 4), (6, 1, 4), attn_mask=tg.zeros(2, 2))),
        (ShapeError, "3D attn_mask is .3, 5, 6., but should be .2, 5, 6.",
         lambda: attend((5, 1, 4), (6, 1, 4), (6, 1, 4), attn_mask=tg.zeros(3, 5, 6))),
        (ShapeError, "key_padding_mask.shape .n, s. = .1, 6.",
         lambda: attend((5, 1, 4), (6, 1, 4), (6, 1, 4), key_padding_mask=tg.zeros(1, 5))),
        (RuntimeError, "Need attn_mask if specifying the is_causal hint",
         lambda: attend((5, 1, 4), (5, 1, 4), (5, 1, 4), is_causal=True)),
        (DTypeError, "only bool and floating types of attn_mask are supported",
         lambda: attend((5, 1, 4), (5, 1, 4), (5, 1, 4), attn_mask=tg.zeros(5, 5).long())),
        (RuntimeError, "should not be set when is_causal=True",
         lambda: F.scaled_dot_product_attention(*[tg.ones(2, 3)] * 3, attn_mask=tg.zeros(2, 2), is_causal=True)),
        (ShapeError, "at least 2 dimensional", lambda: F.scaled_dot_product_attention(*[tg.ones(3)] * 3)),
        (ShapeError, "same last dim",
         lambda: F.scaled_dot_product_attention(tg.ones(2, 3), tg.ones(2, 4), tg.ones(2, 4))),
        (ShapeError, "does not broadcast to the scores",
         lambda: F.scaled_dot_product_attention(*[tg.ones(2, 3)] * 3, attn_mask=tg.zeros(3, 2))),
        (DTypeError, "must be bool or match",
         lambda: F.scaled_dot_product_attention(*[tg.ones(2, 3)] * 3, attn_mask=tg.zeros(2, 2).double())),
        (DTypeError, "to have the same dtype",
         lambda: F.scaled_dot_product_attention(tg.ones(2, 3), tg.ones(2, 3).double(), tg.ones(2, 3))),
        (ShapeError, "must divide", lambda: F.scaled_dot_product_attention(
            tg.ones(3, 2, 3), tg.ones(2, 2, 3), tg.ones(2, 2, 3), enable_gqa=True)),
        (RuntimeError, "activation should be relu/gelu", lambda: nn.TransformerEncoderLayer(4, 2, activation="elu")),
        (RuntimeError, "batch number of src and tgt must be equal",
         lambda: nn.Transformer(4, 2, 1, 1, 4)(tg.ones(5, 2, 4), tg.ones(5, 3, 4))),
        (RuntimeError, "must be equal to d_model=4",
         lambda: nn.Transformer(4, 2, 1, 1, 4)(tg.ones(5, 2, 3), tg.ones(5, 2, 4))),
    ],
)  # fmt: skip
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()
