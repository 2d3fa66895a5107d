"""Helpers around training: `utils.data` feeds batches, `utils.dlpack` shares memory with other libraries."""

from __future__ import annotations

from tinygrad_edu import missing
from tinygrad_edu.utils import data, dlpack

__all__ = ["data", "dlpack"]

__getattr__ = missing.refusal(__name__, __all__)
