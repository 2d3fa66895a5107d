"""Run a model to look at it, and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_edu.random import get_rng_state, set_rng_state


@contextmanager
def unchanged(model: Any = None) -> Iterator[None]:
    """Afterwards buffers (running statistics), training flags and the random generator are what they were before."""
    state = get_rng_state()
    modules = list(model.modules()) if model is not None else []
    flags = [(module, module.training) for module in modules]
    buffers = [
        (module, name, tensor, tensor.array.copy())
        for module in modules
        for name, tensor in module._buffers.items()
        if tensor is not None
    ]
    try:
        yield
    finally:
        set_rng_state(state)
        for module, training in flags:
            module.training = training
        for module, name, tensor, array in buffers:
            module._buffers[name] = tensor
            if not np.array_equal(tensor.array, array, equal_nan=array.dtype.kind == "f"):
                tensor.array[...] = array
