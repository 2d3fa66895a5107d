"""Helpers around training: `utils.data` feeds batches."""

from __future__ import annotations

from tinygrad_edu.utils import data

__all__ = ["data"]
