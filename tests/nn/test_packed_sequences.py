"""Packed sequences: packing and back, and recurrent layers that end each sequence at its own step."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn
from tinygrad_edu.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    unpack_sequence,
)

rng = np.random.default_rng(31)
ARRAYS = [rng.normal(size=(n, 3)) for n in (2, 5, 1, 5, 3)]
LENGTHS = [len(a) for a in ARRAYS]


def sequences(requires_grad=False):
    return [tg.tensor(a, requires_grad=requires_grad) for a in ARRAYS]


def fill(layer):
    generator = np.random.default_rng(2)
    for p in layer.parameters():
        p.data = tg.tensor(generator.normal(scale=0.5, size=tuple(p.shape)))
    return layer


def test_the_layout_of_a_packed_sequence():
    packed = pack_sequence([tg.tensor([1, 2, 3]), tg.tensor([4, 5]), tg.tensor([6])])
    assert packed.data.tolist() == [1, 4, 6, 2, 5, 3] and packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices is None and packed.unsorted_indices is None
    padded, lengths = pad_packed_sequence(packed, batch_first=True, padding_value=-1, total_length=4)
    assert padded.tolist() == [[1, 2, 3, -1], [4, 5, -1, -1], [6, -1, -1, -1]] and lengths.tolist() == [3, 2, 1]
    assert packed.to(tg.float64).data.dtype is tg.float64


def test_there_and_back():
    for mine, other in zip(unpack_sequence(pack_sequence(sequences(), enforce_sorted=False)), ARRAYS, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_each_sequence_is_as_if_alone(kind):
    layer = fill(kind(3, 4, num_layers=2, bidirectional=True))
    inputs, alone = sequences(True), sequences(True)
    outputs, final = layer(pack_sequence(inputs, enforce_sorted=False))
    rows = unpack_sequence(outputs)
    total, expected = 0.0, 0.0
    for k, x in enumerate(alone):
        out, last = layer(x)
        np.testing.assert_allclose(rows[k].detach().numpy(), out.detach().numpy(), rtol=1e-12)
        for many, one in zip(
            *(state if isinstance(state, tuple) else (state,) for state in (final, last)), strict=True
        ):
            np.testing.assert_allclose(many[:, k].detach().numpy(), one.detach().numpy(), rtol=1e-12)
        total, expected = total + (rows[k] ** 2).sum(), expected + (out**2).sum()
    total.backward()
    expected.backward()
    for mine, other in zip(inputs, alone, strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-10)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_as_pytorch(name, batch_first):
    torch = pytest.importorskip("torch")
    options = {"num_layers": 2, "bidirectional": True, "batch_first": batch_first}
    start = np.random.default_rng(3).normal(size=(4, 5, 4))
    found = []
    for library in (tg, torch):
        layer = getattr(library.nn, name)(3, 4, **options).double()
        generator = np.random.default_rng(2)
        for p in layer.parameters():
            p.data = library.tensor(generator.normal(scale=0.5, size=tuple(p.shape)))
        rnn = library.nn.utils.rnn
        padded = rnn.pad_sequence([library.tensor(a) for a in ARRAYS], batch_first=batch_first).requires_grad_()
        packed = rnn.pack_padded_sequence(padded, library.tensor(LENGTHS), batch_first, enforce_sorted=False)
        h_0 = library.tensor(start, requires_grad=True)
        out, final = layer(packed, (h_0, 2 * h_0) if name == "LSTM" else h_0)
        again, lengths = rnn.pad_packed_sequence(out, batch_first=batch_first, padding_value=0.5, total_length=6)
        states = final if name == "LSTM" else (final,)
        (again.pow(2).sum() + sum((s * s * s).sum() for s in states)).backward()
        values = [packed.data, out.data, again, *states, padded.grad, h_0.grad, *(p.grad for p in layer.parameters())]
        found.append([v.detach().numpy() for v in values])
        indices = [packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices, lengths]
        found[-1] += [v.numpy() for v in indices]
        assert repr(lengths.dtype).endswith("int64")
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (RuntimeError, "sorted in decreasing order", lambda: pack_padded_sequence(tg.ones(3, 2), [1, 2])),
        (RuntimeError, "greater than 0", lambda: pack_padded_sequence(tg.ones(3, 2), [1, 0])),
        (RuntimeError, "at most 3", lambda: pack_padded_sequence(tg.ones(3, 2), [4, 1])),
        (RuntimeError, "3 lengths for a batch of 2", lambda: pack_padded_sequence(tg.ones(3, 2), [3, 2, 1])),
        (ValueError, "total_length=1", lambda: pad_packed_sequence(pack_sequence([tg.ones(2)]), total_length=1)),
        (TypeError, "takes a PackedSequence", lambda: pad_packed_sequence(tg.ones(2))),
        (RuntimeError, "Expected 3, got 2", lambda: nn.GRU(3, 4)(pack_sequence([tg.ones(5, 2)]))),
        (RuntimeError, "Expected hidden size",
         lambda: nn.GRU(3, 4)(pack_sequence([tg.ones(5, 3)]), tg.ones(1, 2, 4))),
    ],
)  # fmt: skip
def test_refused(error, words, call):
    with pytest.raises(error, match=words):
        call()


def test_a_packed_sequence_is_a_tuple():
    data, sizes, *rest = pack_sequence([tg.ones(2, 3)])
    assert isinstance(PackedSequence(data, sizes), tuple) and sizes.tolist() == [1, 1] and rest == [None, None]
