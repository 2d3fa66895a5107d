"""One time step of each recurrent network, and all of them: the loops that the fused ops stand for."""

from __future__ import annotations

from collections.abc import Callable

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import fuses
from tinygrad_edu.functions.shaping import stack
from tinygrad_edu.tensor import Tensor

_sigmoid, _tanh, _relu = ops.pointwise.sigmoid, ops.pointwise.tanh, ops.pointwise.relu


def rnn_step(gates: Tensor, hidden: Tensor, weight: Tensor, nonlinearity: str = "tanh") -> Tensor:
    """h_t = tanh(gates_t + W h_{t−1}), or with relu.  gates (n, k), hidden (n, k), weight (k, k) -> (n, k)"""
    a = gates + hidden @ weight.T
    return _tanh(a) if nonlinearity == "tanh" else _relu(a)


def lstm_step(gates: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """h_t and c_t: c_t = f · c_{t−1} + i · g and h_t = o · tanh(c_t).  gates (n, 4k), hidden, cell (n, k)"""
    i, f, g, o = (gates + hidden @ weight.T).chunk(4, 1)
    cell = _sigmoid(f) * cell + _sigmoid(i) * _tanh(g)
    return _sigmoid(o) * _tanh(cell), cell


def gru_step(gates: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """h_t = (1 − z) · n + z · h_{t−1}, n = tanh(gates_n + r · (W_n h_{t−1} + b_n)).  gates (n, 3k), hidden (n, k)"""
    from_input = gates.chunk(3, 1)
    recurrent = hidden @ weight.T
    from_hidden = (recurrent if bias is None else recurrent + bias).chunk(3, 1)
    r, z = (_sigmoid(a + b) for a, b in zip(from_input[:2], from_hidden[:2], strict=True))
    n = _tanh(from_input[2] + r * from_hidden[2])
    return n + z * (hidden - n)


def _rnn(gates: Tensor, hidden: Tensor, weight: Tensor, nonlinearity: str) -> Tensor:
    return _over_time(gates, hidden, lambda gate, h: rnn_step(gate, h, weight, nonlinearity))


def _gru(gates: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _over_time(gates, hidden, lambda gate, h: gru_step(gate, h, weight, bias))


def _over_time(gates: Tensor, hidden: Tensor, step: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    states = []
    for gate in gates.unbind(0):
        hidden = step(gate, hidden)
        states.append(hidden)
    return stack(states)


def _lstm(gates: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor) -> Tensor:
    states = []
    for gate in gates.unbind(0):
        hidden, cell = lstm_step(gate, hidden, cell, weight)
        states.append(hidden)
    return stack([*states, cell])


ops.recurrent.rnn.composition = _rnn
ops.recurrent.lstm.composition = _lstm
ops.recurrent.gru.composition = _gru


def rnn(gates: Tensor, hidden: Tensor, weight: Tensor, nonlinearity: str = "tanh") -> Tensor:
    """All states of an Elman network.  gates (t, n, k), hidden (n, k), weight (k, k) -> (t, n, k)"""
    whole = ops.recurrent.rnn if fuses(gates.array.size) else _rnn
    return whole(gates, hidden, weight, nonlinearity)


def lstm(gates: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """All states of an LSTM, and its last cell.

    gates (t, n, 4k), hidden (n, k), cell (n, k), weight (4k, k) -> (t, n, k), (n, k)
    """
    if fuses(gates.array.size):
        packed = ops.recurrent.lstm(gates, hidden, cell, weight)
        packed.__dict__.pop("_extras", None)  # backward keeps its own
    else:
        packed = _lstm(gates, hidden, cell, weight)
    return packed[:-1], packed[-1]


def gru(gates: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """All states of a GRU.  gates (t, n, 3k), hidden (n, k), weight (3k, k), bias (3k,) -> (t, n, k)"""
    if not fuses(gates.array.size):
        return _gru(gates, hidden, weight, bias)
    out = ops.recurrent.gru(gates, hidden, weight, bias)
    out.__dict__.pop("_extras", None)
    return out
