"""Sequences of different lengths as one tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import check_tensor
from tinygrad_edu.functions.shaping import stack
from tinygrad_edu.nn.functional.shape import pad
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
    counts = [int(n) for n in np.asarray(lengths.array if isinstance(lengths, Tensor) else lengths).ravel()]
    if len(counts) != rows.array.shape[0]:
        raise ShapeError(f"unpad_sequence: {len(counts)} lengths for {rows.array.shape[0]} sequences")
    return [rows[i, :n] for i, n in enumerate(counts)]


_INSTEAD = (
    "pad them with pad_sequence, run the RNN on the padded tensor, and take each sequence's outputs up to its length "
    "with unpad_sequence"
)


def pack_padded_sequence(input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> Any:
    """Raises NotImplementedError: packed sequences are not supported."""
    raise NotImplementedError(f"pack_padded_sequence: packed sequences are not supported; {_INSTEAD}")


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> Any:
    """Raises NotImplementedError: packed sequences are not supported."""
    raise NotImplementedError(f"pack_sequence: packed sequences are not supported; {_INSTEAD}")


def pad_packed_sequence(
    sequence: Any, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> Any:
    """Raises NotImplementedError: packed sequences are not supported."""
    raise NotImplementedError(f"pad_packed_sequence: packed sequences are not supported; {_INSTEAD}")
