"""Recording, backward, grad modes and the graph as plain data.

The engine (node, modes, engine) is below `Tensor`; what is above it (grad, graph, Function, gradcheck) is loaded on
first use, so that imports keep pointing one way.
"""

from __future__ import annotations

from typing import Any

from tinygrad_edu.autograd.modes import (
    composite,
    enable_grad,
    fused,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    keep_values,
    no_grad,
    scope,
    set_grad_enabled,
)

_ABOVE = {
    "grad": "functional",
    "backward": "functional",
    "Graph": "records",
    "Vertex": "records",
    "Edge": "records",
    "graph_of": "graph",
}

__all__ = [
    "composite",
    "enable_grad",
    "fused",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "keep_values",
    "no_grad",
    "scope",
    "set_grad_enabled",
    *_ABOVE,
]


def __getattr__(name: str) -> Any:
    if name not in _ABOVE:
        raise AttributeError(f"module 'tinygrad_edu.autograd' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"tinygrad_edu.autograd.{_ABOVE[name]}"), name)
