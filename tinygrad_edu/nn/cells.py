"""One step of a recurrent network as a layer, for loops of your own."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_edu.creation import empty, zeros
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn import init
from tinygrad_edu.nn.functional import recurrent
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.parameter import Parameter
from tinygrad_edu.tensor import Tensor


class _Cell(Module):
    """What the cells share: weights (gates · k, in) and (gates · k, k), two biases, the checks."""

    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.gates * hidden_size
        shapes: tuple[tuple[str, tuple[int, ...]], ...] = (
            ("weight_ih", (rows, input_size)),
            ("weight_hh", (rows, hidden_size)),
            ("bias_ih", (rows,)),
            ("bias_hh", (rows,)),
        )
        for name, shape in shapes:
            wanted = bias or name.startswith("weight")
            self.register_parameter(name, Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight and bias from U(−1/√hidden_size, 1/√hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _rows(self, x: Tensor) -> tuple[Tensor, bool]:
        """The input as (n, in), and whether it came as rows."""
        if x.ndim not in (1, 2):
            raise ValueError(f"{self._get_name()}: Expected input to be 1D or 2D, got {x.ndim}D instead")
        if x.array.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self._get_name()}: input has inconsistent input_size: got {x.array.shape[-1]}, expected "
                f"{self.input_size}"
            )
        return (x, True) if x.ndim == 2 else (x.unsqueeze(0), False)

    def _state(self, what: str, state: Tensor | None, x: Tensor) -> Tensor:
        """A state as (n, k); zeros if none is given."""
        if state is None:
            return zeros((x.array.shape[0], self.hidden_size), dtype=x.dtype)
        if state.ndim not in (1, 2):
            raise ValueError(f"{self._get_name()}: Expected {what} to be 1D or 2D, got {state.ndim}D instead")
        full = state if state.ndim == 2 else state.unsqueeze(0)
        if full.array.shape != (x.array.shape[0], self.hidden_size):
            raise ShapeError(
                f"{self._get_name()}: {what} is {tuple(state.shape)}; for the input {tuple(x.shape)} it must be "
                f"({x.array.shape[0]}, hidden_size={self.hidden_size})"
            )
        return full

    def extra_repr(self) -> str:
        """The sizes and options, as PyTorch prints them."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(_Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or with relu.  x (n, in) or (in,), h (n, k) or (k,) -> h'"""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}; use 'tanh' or 'relu'")
        x, has_rows = self._rows(input)
        gates = F.linear(x, self.weight_ih, self.bias_ih)
        if self.bias_hh is not None:
            gates = gates + self.bias_hh
        hidden = recurrent.rnn_step(gates, self._state("hidden", hx, x), self.weight_hh, self.nonlinearity)
        return hidden if has_rows else hidden.squeeze(0)

    def extra_repr(self) -> str:
        """The sizes and options, as PyTorch prints them."""
        other = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + other


class LSTMCell(_Cell):
    """One step of an LSTM.  x (n, in) or (in,), (h, c) each (n, k) or (k,) -> (h', c'); formulas as for LSTM"""

    gates = 4

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The next state and cell."""
        x, has_rows = self._rows(input)
        h, c = (None, None) if hx is None else hx
        gates = F.linear(x, self.weight_ih, self.bias_ih)
        if self.bias_hh is not None:
            gates = gates + self.bias_hh
        h, c = recurrent.lstm_step(gates, self._state("hx[0]", h, x), self._state("hx[1]", c, x), self.weight_hh)
        return (h, c) if has_rows else (h.squeeze(0), c.squeeze(0))


class GRUCell(_Cell):
    """One step of a GRU.  x (n, in) or (in,), h (n, k) or (k,) -> h'; formulas as for GRU"""

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state."""
        x, has_rows = self._rows(input)
        gates = F.linear(x, self.weight_ih, self.bias_ih)
        hidden = recurrent.gru_step(gates, self._state("hidden", hx, x), self.weight_hh, self.bias_hh)
        return hidden if has_rows else hidden.squeeze(0)
