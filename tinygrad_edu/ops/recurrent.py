"""Recurrent layers as fused ops: all time steps in one, forward and backward through time.

Each stands for the loop over time steps in `nn.functional.recurrent`.  What the inputs contribute, W_ih x_t + b for
every t, is one product outside and comes in as `gates`; inside remains what needs the step before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import kernels
from tinygrad_edu.ops.registry import Array, op

Needs = tuple[bool, ...]


def _before(hidden: Array, outputs: Array) -> Array:
    """The state that each step started from: hidden, then all outputs but the last."""
    return np.concatenate([hidden[None], outputs[:-1]])


def _weight_gradient(flow: Array, before: Array) -> Array:
    """Σ_t flow_tᵀ h_{t−1} as one product over all steps and samples."""
    return kernels.matmul(flow.reshape(-1, flow.shape[-1]).T, before.reshape(-1, before.shape[-1]))


@op(
    symbol="RNN",
    formula="rnn({gates}, {hidden})",
    gradients={
        "gates": "{grad} back through time",
        "hidden": "{grad} back through time",
        "weight": "Σ δ_tᵀ h_{{t−1}}",
    },
    types="same",
    title="RNN",
    method=False,
)
def rnn(gates: Array, hidden: Array, weight: Array, nonlinearity: str = "tanh") -> Array:
    """The states of an Elman network: h_t = tanh(gates_t + W h_{t−1}), or with relu.

    gates (t, n, k), hidden (n, k), weight (k, k) -> out (t, n, k)
    Source: Elman (1990), Finding structure in time.
    """
    function = kernels.tanh if nonlinearity == "tanh" else kernels.relu
    out = np.empty_like(gates)
    transposed = weight.T
    for t, gate in enumerate(gates):
        hidden = out[t] = function(gate + kernels.matmul(hidden, transposed))
    return out


def _rnn_gradients(grad: Array, hidden: Array, weight: Array, out: Array, nonlinearity: str) -> tuple[Any, ...]:
    slopes = 1 - out * out if nonlinearity == "tanh" else out > 0
    flow = np.empty_like(out)
    carried = np.zeros_like(hidden)
    for t in reversed(range(len(out))):
        flow[t] = (grad[t] + carried) * slopes[t]
        carried = kernels.matmul(flow[t], weight)
    return flow, carried, _weight_gradient(flow, _before(hidden, out))


rnn.backward_jointly(
    lambda grad, hidden, weight, out, nonlinearity: _rnn_gradients(grad, hidden, weight, out, nonlinearity)
)


@op(
    symbol="LSTM",
    formula="lstm({gates}, {hidden}, {cell})",
    gradients={
        "gates": "{grad} back through time",
        "hidden": "{grad} back through time",
        "cell": "{grad} back through time",
        "weight": "Σ δ_tᵀ h_{{t−1}}",
    },
    types="same",
    kept=("activations", "cells"),
    title="LSTM",
    method=False,
)
def lstm(gates: Array, hidden: Array, cell: Array, weight: Array) -> tuple[Array, ...]:
    """The states of a network with long short-term memory, and its last cell.

    gates (t, n, 4k), hidden (n, k), cell (n, k), weight (4k, k) -> out (t + 1, n, k): h_1, ..., h_t, and c_t
        i, f, o = σ(a)   g = tanh(a)   with a = gates_t + W h_{t−1} cut into i, f, g, o
        c_t = f · c_{t−1} + i · g      h_t = o · tanh(c_t)
    Source: Hochreiter and Schmidhuber (1997); Gers, Schmidhuber and Cummins (2000) for f.
    """
    steps, _, k = len(gates), *hidden.shape
    out = np.empty((steps + 1, *hidden.shape), gates.dtype)
    activations, cells = np.empty_like(gates), np.empty_like(out)
    cells[0] = cell
    transposed = weight.T
    for t in range(steps):
        a = gates[t] + kernels.matmul(hidden, transposed)
        now = activations[t]
        now[...] = kernels.sigmoid(a)  # of all four at once, which is quicker than of three; g is replaced
        now[:, 2 * k : 3 * k] = kernels.tanh(a[:, 2 * k : 3 * k])
        i, f, g, o = (now[:, j * k : (j + 1) * k] for j in range(4))
        cells[t + 1] = f * cells[t] + i * g
        hidden = out[t] = o * kernels.tanh(cells[t + 1])
    out[steps] = cells[steps]
    return out, activations, cells


def _lstm_gradients(
    grad: Array, hidden: Array, weight: Array, out: Array, activations: Array, cells: Array
) -> tuple[Any, ...]:
    steps, n, k = cells.shape[0] - 1, *hidden.shape
    i, f, g, o = (activations[:, :, j * k : (j + 1) * k] for j in range(4))
    squashed = kernels.tanh(cells[1:])
    # what an entry of a changes in the cell (i, f, g) or in the state (o), for all steps at once
    slopes = np.stack([g * i * (1 - i), cells[:-1] * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)], 2)
    into_cell = o * (1 - squashed * squashed)
    flow = np.empty_like(slopes)
    carried, cell_grad = np.zeros_like(hidden), np.array(grad[-1])
    for t in reversed(range(steps)):
        total = grad[t] + carried
        cell_grad += total * into_cell[t]
        np.multiply(cell_grad[:, None], slopes[t, :, :3], out=flow[t, :, :3])
        np.multiply(total, slopes[t, :, 3], out=flow[t, :, 3])
        carried = kernels.matmul(flow[t].reshape(n, 4 * k), weight)
        cell_grad *= f[t]
    flow = flow.reshape(activations.shape)
    return flow, carried, cell_grad, _weight_gradient(flow, _before(hidden, out[:-1]))


lstm.backward_jointly(
    lambda grad, hidden, weight, out, activations, cells: _lstm_gradients(grad, hidden, weight, out, activations, cells)
)


@op(
    symbol="GRU",
    formula="gru({gates}, {hidden})",
    gradients={
        "gates": "{grad} back through time",
        "hidden": "{grad} back through time",
        "weight": "Σ δ_tᵀ h_{{t−1}}",
        "bias": "Σ δ_t",
    },
    types="same",
    kept=("activations", "candidates"),
    title="GRU",
    method=False,
)
def gru(gates: Array, hidden: Array, weight: Array, bias: Array) -> tuple[Array, ...]:
    """The states of a network with gated recurrent units; the bias may be left out.

    gates (t, n, 3k), hidden (n, k), weight (3k, k), bias (3k,) -> out (t, n, k)
        r, z = σ(gates_t + W h_{t−1} + b)    n = tanh(gates_t + r · (W h_{t−1} + b))    each with its third of the rows
        h_t = (1 − z) · n + z · h_{t−1}
    Source: Cho et al. (2014), in the variant whose r multiplies after the product with W.
    """
    k = hidden.shape[-1]
    out = np.empty((len(gates), *hidden.shape), gates.dtype)
    activations, candidates = np.empty_like(gates), np.empty_like(out)
    transposed = weight.T
    for t, gate in enumerate(gates):
        recurrent = kernels.matmul(hidden, transposed)
        if bias is not None:
            recurrent = recurrent + bias
        now = activations[t]
        now[:, : 2 * k] = kernels.sigmoid(gate[:, : 2 * k] + recurrent[:, : 2 * k])
        r, z = now[:, :k], now[:, k : 2 * k]
        candidates[t] = recurrent[:, 2 * k :]
        now[:, 2 * k :] = kernels.tanh(gate[:, 2 * k :] + r * candidates[t])
        n = now[:, 2 * k :]
        hidden = out[t] = n + z * (hidden - n)
    return out, activations, candidates


def _gru_gradients(
    grad: Array, hidden: Array, weight: Array, bias: Array, out: Array, activations: Array, candidates: Array
) -> tuple[Any, ...]:
    k = hidden.shape[-1]
    before = _before(hidden, out)
    r, z, n = (activations[:, :, j * k : (j + 1) * k] for j in range(3))
    # what an entry changes in the state (n, z) or in the candidate n (r), for all steps at once
    into_n, into_z = (1 - z) * (1 - n * n), (before - n) * z * (1 - z)
    into_r = candidates * r * (1 - r)
    flow, recurrent = np.empty_like(activations), np.empty_like(activations)
    carried = np.zeros_like(hidden)
    for t in reversed(range(len(out))):
        total = grad[t] + carried
        candidate = total * into_n[t]
        np.multiply(candidate, into_r[t], out=flow[t, :, :k])
        np.multiply(total, into_z[t], out=flow[t, :, k : 2 * k])
        flow[t, :, 2 * k :] = candidate
        recurrent[t, :, : 2 * k] = flow[t, :, : 2 * k]
        np.multiply(candidate, r[t], out=recurrent[t, :, 2 * k :])
        carried = total * z[t] + kernels.matmul(recurrent[t], weight)
    bias_grad = None if bias is None else recurrent.sum((0, 1))
    return flow, carried, _weight_gradient(recurrent, before), bias_grad


gru.backward_jointly(
    lambda grad, hidden, weight, bias, out, activations, candidates: _gru_gradients(
        grad, hidden, weight, bias, out, activations, candidates
    )
)
