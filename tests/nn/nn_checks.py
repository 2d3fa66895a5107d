"""What the tests of nn share: central differences, and the same layer in PyTorch."""

from __future__ import annotations

import numpy as np

import tinygrad_edu as tg


def numerical_gradient(function, array, h=1e-6):
    """d function() / d array by central differences, entry by entry; the array is changed in place and put back."""
    out = np.zeros_like(array)
    for i in np.ndindex(array.shape):
        before = array[i]
        array[i] = before + h
        up = function()
        array[i] = before - h
        down = function()
        array[i] = before
        out[i] = (up - down) / (2 * h)
    return out


def check_layer_gradients(layer, *shapes, seed=0, rtol=1e-5, atol=1e-8):
    """The layer's gradients, of its inputs and of its parameters, are those of central differences (float64)."""
    rng = np.random.default_rng(seed)
    layer = layer.double()
    inputs = [tg.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]
    out = layer(*inputs)
    u = rng.standard_normal(out.shape)

    def value():
        with tg.no_grad():
            return float((layer(*inputs).array * u).sum())

    out.backward(tg.tensor(u))
    for tensor in (*inputs, *layer.parameters()):
        np.testing.assert_allclose(tensor.grad.array, numerical_gradient(value, tensor.array), rtol, atol)


def twin(torch, layer, theirs):
    """Give PyTorch's layer the state of ours."""
    state = {key: torch.from_numpy(np.array(value.array)) for key, value in layer.state_dict().items()}
    theirs.load_state_dict(state)
    return theirs


def compare(torch, layer, theirs, *arrays, rtol=1e-10, atol=1e-12, steps=1):
    """Outputs, input and parameter gradients, and state of ours and PyTorch's layer agree (float64)."""
    layer, theirs = layer.double(), theirs.double()
    twin(torch, layer, theirs)
    for step in range(steps):
        ours_in = [tg.tensor(a * (1 + step), requires_grad=True) for a in arrays]
        theirs_in = [torch.tensor(a * (1 + step), requires_grad=True) for a in arrays]
        out, expected = layer(*ours_in), theirs(*theirs_in)
        assert tuple(out.shape) == tuple(expected.shape)
        np.testing.assert_allclose(out.array, expected.detach().numpy(), rtol, atol)
        u = np.random.default_rng(1).standard_normal(expected.shape)
        if not out.requires_grad:
            assert not expected.requires_grad
            continue
        layer.zero_grad()
        theirs.zero_grad()
        out.backward(tg.tensor(u))
        expected.backward(torch.tensor(u))
        for ours, other in zip(ours_in, theirs_in, strict=True):
            np.testing.assert_allclose(ours.grad.array, other.grad.numpy(), rtol, atol)
        for (name, ours), (other_name, other) in zip(layer.named_parameters(), theirs.named_parameters(), strict=True):
            assert name == other_name
            np.testing.assert_allclose(ours.grad.array, other.grad.numpy(), rtol, atol)
    for (name, ours), (other_name, other) in zip(layer.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert name == other_name and tuple(ours.shape) == tuple(other.shape)
        np.testing.assert_allclose(ours.array, other.numpy(), rtol, atol)
