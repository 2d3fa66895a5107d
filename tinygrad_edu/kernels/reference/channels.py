"""Biases of the channels of x (n, c, ...), their gradient, and the sum of gradients."""

from __future__ import annotations

import numpy as np

from ..quiet import Array, quiet
from .elementwise import add


def add_channel_bias(x: Array, bias: Array, relu: bool, out: Array | None) -> Array:
    """x + bias[c] in channel c, and then relu where asked for, into out (which may be x) or a fresh array."""
    along = bias.reshape(-1, *(1 for _ in range(2, x.ndim)))
    y = add(x, along) if out is None else quiet.run(np.add, x, along, out=out)
    if relu:
        quiet.run(np.maximum, y, np.zeros((), x.dtype), out=y)
    return y


def finish_channels(x: Array, bias: Array | None, positive: bool) -> Array:
    """x + bias[c] in channel c, and then relu if `positive`, in place; either is left out where it is not asked for."""
    if bias is None:
        return quiet.run(np.maximum, x, np.zeros((), x.dtype), out=x) if positive else x
    return add_channel_bias(x, bias, positive, x)


def accumulate(out: Array, x: Array) -> None:
    """out += x."""
    quiet.run(np.add, out, x, out=out)
