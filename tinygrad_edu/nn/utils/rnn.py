"""Sequences of different lengths as one tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import check_tensor, plain
from tinygrad_edu.functions.shaping import stack
from tinygrad_edu.missing import refusal
from tinygrad_edu.nn.functional.shape import pad
from tinygrad_edu.ops.movement import cat
from tinygrad_edu.tensor import Tensor


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (l_i, ...) made equally long with `padding_value` and stacked: (l, n, ...), or (n, l, ...).

    Raises ShapeError when they differ in more than their length.
    """
    if padding_side not in ("right", "left"):
        raise RuntimeError(f"pad_sequence: padding_side should be one of 'right' or 'left', got {padding_side!r}")
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    if not isinstance(sequences, Iterable):
        raise RuntimeError(f"pad_sequence: Expected iterable for input sequences, but got {type(sequences).__name__}")
    tensors = [check_tensor("pad_sequence", x, "sequences") for x in sequences]
    if not tensors:
        raise RuntimeError("pad_sequence: received an empty list of sequences")
    for x in tensors:
        if x.ndim == 0 or x.array.shape[1:] != tensors[0].array.shape[1:]:
            raise ShapeError(
                f"pad_sequence: sequences may differ in their first dim only, got {tuple(tensors[0].shape)} and "
                f"{tuple(x.shape)}"
            )
    longest = max(x.array.shape[0] for x in tensors)
    rows = []
    for x in tensors:
        missing = longest - x.array.shape[0]
        counts = (0, missing) if padding_side == "right" else (missing, 0)
        rows.append(pad(x, (0, 0) * (x.ndim - 1) + counts, value=padding_value) if missing else x)
    return stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded tensor, each cut to its length."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    counts = _counts(lengths)
    if len(counts) != rows.array.shape[0]:
        raise ShapeError(f"unpad_sequence: {len(counts)} lengths for {rows.array.shape[0]} sequences")
    return [rows[i, :n] for i, n in enumerate(counts)]


class PackedSequence(NamedTuple):
    """Sequences of different lengths without padding: step after step, at each the entries of those that go on.

    data (Σ lengths, ...); batch_sizes (t,): how many go on at each step; sorted_indices, unsorted_indices (n,): the
    order by length, the longest first, and the way back; None if they came in it.  RNN, LSTM and GRU take one.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with data.to(...)."""
        return self._replace(data=self.data.to(*args, **kwargs))


def lengths_of(batch_sizes: np.ndarray) -> np.ndarray:
    """The lengths, the longest first, from the number that go on at each step."""
    return (batch_sizes[:, None] > np.arange(batch_sizes[0])).sum(0)


def _places(batch_sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each packed entry its step and its sequence."""
    steps = np.repeat(np.arange(len(batch_sizes)), batch_sizes)
    return steps, np.concatenate([np.arange(n) for n in batch_sizes])


def reversed_places(batch_sizes: np.ndarray) -> np.ndarray:
    """Where each packed entry stands when every sequence is read from its end."""
    steps, sequences = _places(batch_sizes)
    starts = np.cumsum(batch_sizes) - batch_sizes
    return starts[lengths_of(batch_sizes)[sequences] - 1 - steps] + sequences


def _counts(lengths: Any) -> np.ndarray:
    return np.asarray(lengths.array if isinstance(lengths, Tensor) else lengths, np.int64).ravel()


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """A padded tensor (t, n, ...), or (n, t, ...) with batch_first, without what is beyond each length.

    enforce_sorted: the lengths must fall; else the sequences are sorted here, and the results come back in order.
    Raises RuntimeError for lengths below 1, beyond t, not as many as sequences, or not sorted where they must be.
    """
    x = check_tensor("pack_padded_sequence", input)
    x = x.transpose(0, 1) if batch_first else x
    counts = _counts(lengths)
    if len(counts) != x.array.shape[1]:
        raise ShapeError(f"pack_padded_sequence: {len(counts)} lengths for a batch of {x.array.shape[1]} sequences")
    if counts.size == 0 or counts.min() <= 0 or counts.max() > x.array.shape[0]:
        raise RuntimeError(
            f"pack_padded_sequence: Length of all samples has to be greater than 0 and at most {x.array.shape[0]}, "
            f"the padded one, got {counts.tolist()}"
        )
    order = None
    if not enforce_sorted:
        order = np.argsort(-counts, kind="stable")
        x, counts = x[:, order], counts[order]
    elif (np.diff(counts) > 0).any():
        raise RuntimeError(
            f"pack_padded_sequence: `lengths` array must be sorted in decreasing order when `enforce_sorted` is True, "
            f"got {counts.tolist()}; give enforce_sorted=False"
        )
    sizes = (counts > np.arange(counts.max())[:, None]).sum(1)
    back = None if order is None else plain(np.argsort(order))
    return PackedSequence(x[_places(sizes)], plain(sizes), None if order is None else plain(order), back)


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """A list of sequences (l_i, ...), packed; see pack_padded_sequence."""
    lengths = [len(x) for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded tensor (t, n, ...), or (n, t, ...) with batch_first, and the lengths (n,): pack_padded_sequence back.

    total_length: pad to this length instead of the longest.  Raises ValueError if a sequence is longer.
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"pad_packed_sequence: takes a PackedSequence, not {type(sequence).__name__}")
    sizes = sequence.batch_sizes.array
    longest = len(sizes) if total_length is None else total_length
    if longest < len(sizes):
        raise ValueError(
            f"pad_packed_sequence: Expected total_length to be at least the length of the longest sequence in input, "
            f"but got total_length={total_length} and max sequence length being {len(sizes)}"
        )
    # The padding is one more entry behind all others, to which every empty place points.
    source = np.full((longest, int(sizes[0])), len(sequence.data.array))
    source[_places(sizes)] = np.arange(len(sequence.data.array))
    lengths = lengths_of(sizes)
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices.array
        source, lengths = source[:, back], lengths[back]
    filler = plain(np.full((1, *sequence.data.array.shape[1:]), padding_value, sequence.data.array.dtype))
    return cat([sequence.data, filler])[source.T if batch_first else source], plain(lengths.astype(np.int64))


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The list of sequences: pack_sequence back."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)


_NAMES = (
    "PackedSequence pack_padded_sequence pack_sequence pad_packed_sequence pad_sequence unpack_sequence unpad_sequence"
)
__getattr__ = refusal(__name__, _NAMES.split())
