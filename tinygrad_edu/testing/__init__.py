"""Checking gradients: by central differences, for any function and for every registered op, to any order.

    check_gradients(lambda x, w: (x @ w).tanh().sum(), [x, w], order=2)

`strategies` (which needs Hypothesis) draws tensors, shapes and the inputs of every op for property tests.
"""

from __future__ import annotations

from typing import Any

from tinygrad_edu.testing import layer_domains as _layer_domains  # noqa: F401  registers samplers
from tinygrad_edu.testing import matrix_domains as _matrix_domains  # noqa: F401
from tinygrad_edu.testing.choosers import Chooser, RandomChooser
from tinygrad_edu.testing.domains import draw_inputs, inputs_for
from tinygrad_edu.testing.gradients import GradientCheck, GradientError, assert_close, check_gradients
from tinygrad_edu.testing.table import OpCheck, check_ops, format_checks

_FROM_HYPOTHESIS = ("arrays", "tensors", "shapes", "broadcastable_shapes", "inputs_of")

__all__ = [
    "Chooser",
    "GradientCheck",
    "GradientError",
    "OpCheck",
    "RandomChooser",
    "assert_close",
    "check_gradients",
    "check_ops",
    "draw_inputs",
    "format_checks",
    "inputs_for",
    *_FROM_HYPOTHESIS,
]


def __getattr__(name: str) -> Any:
    if name not in _FROM_HYPOTHESIS:
        raise AttributeError(f"module 'tinygrad_edu.testing' has no attribute {name!r}")
    try:
        from tinygrad_edu.testing import strategies
    except ImportError as error:
        raise ImportError(f"testing.{name} needs Hypothesis: pip install 'tinygrad_edu[testing]'") from error
    return getattr(strategies, name)
