"""Recurrent layers: a state carried along a sequence, one or several layers deep, in one or both directions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.creation import empty, zeros
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.shaping import stack
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn import init
from tinygrad_edu.nn.functional import recurrent
from tinygrad_edu.nn.functional.checks import SizeError
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.parameter import Parameter
from tinygrad_edu.nn.utils.rnn import PackedSequence, reversed_places
from tinygrad_edu.ops.movement import cat, flip
from tinygrad_edu.tensor import Tensor

States = list[Tensor]


class _Recurrent(Module):
    """What RNN, LSTM and GRU share: the weights by layer and direction, the checks, the walk over the layers."""

    gates = 1  # how many blocks of hidden_size rows the weights have
    states: tuple[str, ...] = ("hx",)  # what is carried from step to step

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional = bidirectional
        rows, directions = self.gates * hidden_size, 2 if bidirectional else 1
        for layer in range(num_layers):
            columns = input_size if layer == 0 else directions * hidden_size
            for suffix in ("", "_reverse")[:directions]:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, columns), "weight_hh": (rows, hidden_size)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for name, shape in shapes.items():
                    setattr(self, f"{name}_l{layer}{suffix}", Parameter(empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def _check_options(
        self, input_size: Any, hidden_size: Any, num_layers: Any, bias: Any, batch_first: Any, dropout: Any
    ) -> None:
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError(
                f"dropout should be a number in range [0, 1] representing the probability of an element being zeroed, "
                f"got {dropout!r}"
            )
        for what, value in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(value, bool):
                raise TypeError(f"{what} should be of type bool, got: {type(value).__name__}")
        for what, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{what} should be of type int, got: {type(value).__name__}")
            if value <= 0:
                raise ValueError(f"{what} must be greater than zero, got {value}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=4,
            )

    def reset_parameters(self) -> None:
        """Draw every weight and bias from U(−1/√hidden_size, 1/√hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do: PyTorch packs the weights for the GPU here."""

    def _run(self, input: Tensor | PackedSequence, given: tuple[Tensor, ...] | None) -> tuple[Any, States]:
        """The outputs of the last layer in the input's layout, and each final state (layers · directions, n, k)."""
        if isinstance(input, PackedSequence):
            return self._run_packed(input, given)
        x, unbatched = self._checked(input)

        def one_way(x: Tensor, start: States, weights: tuple[Any, ...], reverse: int) -> tuple[Tensor, ...]:
            steps, *last = self._one_layer(flip(x, (0,)) if reverse else x, start, *weights)
            return (flip(steps, (0,)) if reverse else steps, *last)

        x, finals = self._over_layers(x, self._initial(x, given, unbatched), one_way)
        if unbatched:
            return x.squeeze(1), [state.squeeze(1) for state in finals]
        return (x.transpose(0, 1) if self.batch_first else x), finals

    def _run_packed(self, packed: PackedSequence, given: tuple[Tensor, ...] | None) -> tuple[PackedSequence, States]:
        """`_run` for sequences of different lengths, of which each ends at its own step."""
        self._checked(packed.data)
        sizes = packed.batch_sizes.array
        initial = self._initial(packed.data[: int(sizes[0])].unsqueeze(0), given, False)
        if packed.sorted_indices is not None:
            initial = [state[:, packed.sorted_indices] for state in initial]
        backwards = reversed_places(sizes)

        def one_way(x: Tensor, start: States, weights: tuple[Any, ...], reverse: int) -> tuple[Tensor, ...]:
            steps, *last = self._one_packed_layer(x[backwards] if reverse else x, sizes, start, weights)
            return (steps[backwards] if reverse else steps, *last)

        x, finals = self._over_layers(packed.data, initial, one_way)
        if packed.unsorted_indices is not None:
            finals = [state[:, packed.unsorted_indices] for state in finals]
        return packed._replace(data=x), finals

    def _one_packed_layer(
        self, x: Tensor, sizes: np.ndarray, start: States, weights: tuple[Any, ...]
    ) -> tuple[Tensor, ...]:
        """`_one_layer` for packed x (Σ lengths, in), in stretches of steps between which sequences end."""
        outputs: States = []
        ended: list[States] = [[] for _ in start]
        borders = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
        done, states = 0, start
        for k, begin in enumerate(borders[:-1]):
            steps, going = borders[k + 1] - begin, int(sizes[begin])
            stretch = x[done : done + steps * going].reshape(steps, going, -1)
            done += steps * going
            out, *states = self._one_layer(stretch, states, *weights)
            outputs.append(out.reshape(steps * going, -1))
            left = int(sizes[borders[k + 1]]) if k + 2 < len(borders) else 0
            for final, state in zip(ended, states, strict=True):
                final.insert(0, state[left:])  # those that end last stand first
            states = [state[:left] for state in states]
        return (cat(outputs), *(cat(final) for final in ended))

    def _over_layers(
        self, x: Tensor, initial: States, one_way: Callable[..., tuple[Tensor, ...]]
    ) -> tuple[Tensor, States]:
        """The outputs of the last layer and the final states, from one_way(x, start, weights, reverse)."""
        directions = 2 if self.bidirectional else 1
        finals: list[States] = [[] for _ in self.states]
        for layer in range(self.num_layers):
            outputs = []
            for d in range(directions):
                start = [state[layer * directions + d] for state in initial]
                weights = self._weights(layer, "_reverse" if d else "")
                steps, *last = one_way(x, start, weights, d)
                outputs.append(steps)
                for final, state in zip(finals, last, strict=True):
                    final.append(state)
            x = outputs[0] if directions == 1 else cat(outputs, dim=-1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, [stack(final) for final in finals]

    def _weights(self, layer: int, suffix: str) -> tuple[Any, ...]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return tuple(getattr(self, f"{name}_l{layer}{suffix}", None) for name in names)

    def _one_layer(
        self, x: Tensor, start: States, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
    ) -> tuple[Tensor, ...]:
        """All outputs (t, n, k) of one direction of one layer, and the final states (n, k)."""
        raise NotImplementedError

    def _checked(self, input: Any) -> tuple[Tensor, bool]:
        """The input as (t, n, in), and whether it came without a batch."""
        name = self.picture_detail()
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}: the input must be a Tensor or a PackedSequence, not {type(input).__name__}; see "
                f"nn.utils.rnn.pack_sequence"
            )
        if input.ndim not in (2, 3):
            layout = "(n, t, in)" if self.batch_first else "(t, n, in)"
            raise SizeError(
                f"{name}: Expected input to be 2D or 3D, got {input.ndim}D {tuple(input.shape)}; give {layout} or "
                f"(t, in)"
            )
        if input.array.dtype != self.weight_ih_l0.array.dtype:
            raise ValueError(
                f"{name}: input dtype ({input.dtype!r}) does not match weight dtype ({self.weight_ih_l0.dtype!r}); "
                f"convert the input with .to({self.weight_ih_l0.dtype!r})"
            )
        if input.array.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input.size(-1) must be equal to input_size. Expected {self.input_size}, got "
                f"{input.array.shape[-1]}"
            )
        x = input.unsqueeze(1) if input.ndim == 2 else input.transpose(0, 1) if self.batch_first else input
        if x.array.shape[0] == 0:
            raise ShapeError(f"{name}: Expected sequence length to be larger than 0, got {tuple(input.shape)}")
        return x, input.ndim == 2

    def _initial(self, x: Tensor, given: tuple[Tensor, ...] | None, unbatched: bool) -> States:
        """The states to start from, (layers · directions, n, k): those given, or zeros."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        wanted = (count, x.array.shape[1], self.hidden_size)
        if given is None:
            return [zeros(wanted, dtype=x.dtype) for _ in self.states]
        states = []
        for what, state in zip(self.states, given, strict=True):
            if state.ndim != (2 if unbatched else 3):
                raise ShapeError(
                    f"{self.picture_detail()}: For {'unbatched 2-D' if unbatched else 'batched 3-D'} input, {what} "
                    f"should also be {2 if unbatched else 3}-D but got {state.ndim}-D tensor"
                )
            full = state.unsqueeze(1) if unbatched else state
            if full.array.shape != wanted:
                expected = (wanted[0], wanted[2]) if unbatched else wanted
                raise ShapeError(
                    f"{self.picture_detail()}: Expected hidden size {expected} for {what}, got {list(state.shape)}: "
                    f"(num_layers · directions, {'' if unbatched else 'n, '}hidden_size)"
                )
            states.append(full)
        return states

    def picture_detail(self) -> str:
        """LSTM(in → hidden)."""
        return f"{self._get_name()}({self.input_size} → {self.hidden_size})"

    def extra_repr(self) -> str:
        """The options that differ from the defaults, as PyTorch prints them."""
        parts = [str(self.input_size), str(self.hidden_size)]
        for name, usual in (
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
        ):
            if getattr(self, name) != usual:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


def _both(b_ih: Tensor | None, b_hh: Tensor | None) -> Tensor | None:
    """The two biases, which only ever appear as their sum."""
    return None if b_ih is None or b_hh is None else b_ih + b_hh


class RNN(_Recurrent):
    """An Elman network.

    x (t, n, in), or (n, t, in) with batch_first, or (t, in); h_0 (layers · directions, n, k) -> outputs, h_n
        h_t = tanh(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh)        nonlinearity="relu": relu for tanh
    outputs: the states of the last layer, both directions side by side.  dropout: after every layer but the last.
    All weights start from U(−1/√k, 1/√k).  The inputs of all steps are multiplied by W_ih at once.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """All outputs and the final state."""
        outputs, (final,) = self._run(input, None if hx is None else (hx,))
        return outputs, final

    def _one_layer(
        self, x: Tensor, start: States, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
    ) -> tuple[Tensor, ...]:
        steps = recurrent.rnn(F.linear(x, w_ih, _both(b_ih, b_hh)), start[0], w_hh, self.nonlinearity)
        return steps, steps[-1]


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997).

    x (t, n, in), or (n, t, in) with batch_first, or (t, in); (h_0, c_0) each (layers · directions, n, k)
    -> outputs, (h_n, c_n)
        i, f, o = σ(W x_t + b + U h_{t−1} + d)        g = tanh(...)        each with its quarter of the rows
        c_t = f · c_{t−1} + i · g                     h_t = o · tanh(c_t)
    Options and initialisation as for RNN; proj_size is not supported.
    """

    gates = 4
    states = ("hx", "cx")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if proj_size != 0:
            raise NotImplementedError(
                f"LSTM: proj_size={proj_size} is not supported; put a Linear(hidden_size, {proj_size}) after the LSTM"
            )
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.proj_size = proj_size

    def forward(
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        """All outputs and the final (h, c)."""
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise TypeError(f"LSTM: hx must be a tuple (h_0, c_0) of two tensors, got {type(hx).__name__}")
        outputs, (hidden, cell) = self._run(input, None if hx is None else tuple(hx))
        return outputs, (hidden, cell)

    def _one_layer(
        self, x: Tensor, start: States, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
    ) -> tuple[Tensor, ...]:
        steps, cell = recurrent.lstm(F.linear(x, w_ih, _both(b_ih, b_hh)), start[0], start[1], w_hh)
        return steps, steps[-1], cell


class GRU(_Recurrent):
    """Gated recurrent units (Cho et al., 2014).

    x (t, n, in), or (n, t, in) with batch_first, or (t, in); h_0 (layers · directions, n, k) -> outputs, h_n
        r, z = σ(W x_t + b + U h_{t−1} + d)        n = tanh(W x_t + b + r · (U h_{t−1} + d))
        h_t = (1 − z) · n + z · h_{t−1}
    Options and initialisation as for RNN.
    """

    gates = 3

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """All outputs and the final state."""
        outputs, (final,) = self._run(input, None if hx is None else (hx,))
        return outputs, final

    def _one_layer(
        self, x: Tensor, start: States, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
    ) -> tuple[Tensor, ...]:
        steps = recurrent.gru(F.linear(x, w_ih, b_ih), start[0], w_hh, b_hh)
        return steps, steps[-1]
