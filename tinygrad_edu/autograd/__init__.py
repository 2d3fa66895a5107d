"""Recording, backward, grad modes and the graph as plain data.

The engine (node, modes, engine) is below `Tensor`; what is above it (grad, graph, Function, gradcheck) is loaded on
first use, so that imports keep pointing one way.
"""

from __future__ import annotations

from typing import Any

from tinygrad_edu import missing
from tinygrad_edu.autograd.anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from tinygrad_edu.autograd.modes import (
    composite,
    enable_grad,
    fused,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    keep_values,
    no_grad,
    profile,
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
    "Function": "function",
    "FunctionCtx": "function",
    "GradcheckError": "checks",
    "gradcheck": "checks",
    "gradgradcheck": "checks",
}
_MODULES = ("function", "functional", "graph")

__all__ = [
    "composite",
    "detect_anomaly",
    "enable_grad",
    "fused",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "keep_values",
    "no_grad",
    "profile",
    "scope",
    "set_detect_anomaly",
    "set_grad_enabled",
    "Variable",
    *_ABOVE,
    *_MODULES,
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"tinygrad_edu.autograd.{name}")
    if name == "Variable":
        return import_module("tinygrad_edu.functions.legacy").Variable
    if name not in _ABOVE:
        raise AttributeError(missing.message(__name__, name, () if name.startswith("_") else __all__))
    return getattr(import_module(f"tinygrad_edu.autograd.{_ABOVE[name]}"), name)
