"""Helpers around training: `utils.data` feeds batches, `utils.dlpack` shares memory with other libraries."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.utils import data, dlpack

__all__ = ["data", "dlpack"]

_INSTEAD = {
    "tensorboard": "keep a list of numbers per epoch and draw it with visualize.curves",
    "checkpoint": "nothing is recomputed here; all values that backward needs are kept",
    "model_zoo": "there are no pretrained models; save and load your own with save and load",
}


def __getattr__(name: str) -> Any:
    instead = f" ({_INSTEAD[name]})" if name in _INSTEAD else ""
    raise AttributeError(
        f"module 'tinygrad_edu.utils' has no attribute {name!r}{instead}; it offers: {', '.join(__all__)}"
    )
