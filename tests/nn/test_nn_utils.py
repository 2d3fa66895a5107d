"""Limiting gradients, and all parameters as one vector."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn


def parameters(lib, *grads):
    made = [lib.nn.Parameter(lib.zeros(*np.shape(g))) for g in grads]
    for p, g in zip(made, grads, strict=True):
        p.grad = lib.tensor(g, dtype=lib.float32)
    return made


GRADS = ([[3.0, -4.0]], [12.0, 0.5, -7.0])


@pytest.mark.torch
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clip_grad_norm(p, limit):
    torch = pytest.importorskip("torch")
    ours, theirs = parameters(tg, *GRADS), parameters(torch, *GRADS)
    total = nn.utils.clip_grad_norm_(ours, limit, p)
    expected = torch.nn.utils.clip_grad_norm_(theirs, limit, p)
    np.testing.assert_allclose(total.item(), expected.item(), 1e-6)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.grad.array, other.grad.numpy(), 1e-6)


def test_clip_grad_norm_bounds_the_norm():
    (p,) = parameters(tg, [3.0, 4.0])
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == 5.0
    np.testing.assert_allclose(np.linalg.norm(p.grad.array), 1.0, 1e-5)
    assert nn.utils.clip_grad_norm_([nn.Parameter(tg.ones(2))], 1.0).item() == 0.0


def test_clip_grad_norm_of_what_is_not_finite():
    (p,) = parameters(tg, [3.0, float("inf")])
    with pytest.raises(RuntimeError, match="is non-finite"):
        nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)


def test_clip_grad_value_also_of_a_broadcast_view():
    (p,) = parameters(tg, [3.0, -4.0, 0.5])
    nn.utils.clip_grad_value_([p], 1.0)
    assert p.grad.tolist() == [1.0, -1.0, 0.5]
    p.grad = tg.tensor(9.0).expand(3)
    nn.utils.clip_grad_value_(p, 2.0)
    assert p.grad.tolist() == [2.0, 2.0, 2.0]


def test_vectors():
    net = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (9,) and vector.requires_grad
    nn.utils.vector_to_parameters(tg.arange(9.0), net.parameters())
    assert net.weight.tolist() == [[0, 1], [2, 3], [4, 5]] and net.bias.tolist() == [6, 7, 8]
    with pytest.raises(RuntimeError, match="the parameters have 9 entries, vec is .8,."):
        nn.utils.vector_to_parameters(tg.ones(8), net.parameters())
    with pytest.raises(TypeError, match="expected Tensor"):
        nn.utils.vector_to_parameters([1.0], net.parameters())


@pytest.mark.torch
@pytest.mark.parametrize("p", [1.0, 2.0, float("inf")])
def test_total_norm(p):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(3), rng.standard_normal((2, 2))]
    mine = nn.utils.get_total_norm([tg.tensor(a) for a in arrays], p)
    assert mine.item() == pytest.approx(torch.nn.utils.get_total_norm([torch.tensor(a) for a in arrays], p).item())
    assert nn.utils.get_total_norm([]).item() == 0.0


@pytest.mark.torch
@pytest.mark.parametrize("options", [{}, {"batch_first": True, "padding_value": -1.0}, {"padding_side": "left"}])
def test_pad_sequence(options):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((n, 2)) for n in (3, 1, 4)]
    sequences = [tg.tensor(a, requires_grad=True) for a in arrays]
    padded = nn.utils.rnn.pad_sequence(sequences, **options)
    expected = torch.nn.utils.rnn.pad_sequence([torch.tensor(a) for a in arrays], **options)
    np.testing.assert_array_equal(padded.detach().array, expected.numpy())
    (padded * padded).sum().backward()
    np.testing.assert_allclose(sequences[1].grad.array, 2 * arrays[1])


pad = nn.utils.rnn.pad_sequence


def test_unpad_sequence():
    sequences = [tg.arange(float(n)) for n in (3, 1, 4)]
    padded = nn.utils.rnn.pad_sequence(sequences)
    for a, b in zip(nn.utils.rnn.unpad_sequence(padded, tg.tensor([3, 1, 4])), sequences, strict=True):
        np.testing.assert_array_equal(a.array, b.array)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (RuntimeError, "differ in their first dim only", lambda: pad([tg.ones(2, 2), tg.ones(2, 3)])),
        (RuntimeError, "empty list", lambda: nn.utils.rnn.pad_sequence([])),
        (RuntimeError, "'right' or 'left'", lambda: nn.utils.rnn.pad_sequence([tg.ones(2)], padding_side="top")),
        (RuntimeError, "2 lengths for 3 sequences", lambda: nn.utils.rnn.unpad_sequence(tg.ones(4, 3), [1, 2])),
    ],
)  # fmt: skip
def test_refused_sequences(error, words, call):
    with pytest.raises(error, match=words):
        call()
