"""The primitive operations, each defined in one place: forward, backward rules, symbol, formula, domain.

`registry` maps every name to its `Op`.  An op called on arrays computes; called on tensors it records.
"""

from tinygrad_edu.ops import (
    arithmetic,
    basic,
    convolution,
    fused,
    indexing,
    linalg,
    matrix,
    movement,
    pointwise,
    pooling,
    recurrent,
    reductions,
    special,
    windows,
)
from tinygrad_edu.ops.registry import Op, differentiable_ops, op, registry

__all__ = [
    "Op",
    "arithmetic",
    "basic",
    "convolution",
    "differentiable_ops",
    "fused",
    "indexing",
    "linalg",
    "matrix",
    "movement",
    "op",
    "pointwise",
    "pooling",
    "recurrent",
    "reductions",
    "registry",
    "special",
    "windows",
]
