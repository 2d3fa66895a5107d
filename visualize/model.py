"""Running a model for a picture, so that it is afterwards what it was before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import as_tensor, float32
from tinygrad_edu.autograd.modes import no_grad


def evaluated(model: Any, x: NDArray[Any], batch: int = 4096) -> NDArray[Any]:
    """model(x) as an array: in evaluation mode, without a graph, `batch` rows at a time; the modes are put back.

    Floating-point `x` takes the dtype of the model's first parameter (float32 without one).
    """
    modules = list(model.modules()) if callable(getattr(model, "modules", None)) else []
    training = [module.training for module in modules]
    parameter = next(iter(model.parameters()), None) if modules else None
    dtype = float32 if parameter is None else parameter.dtype
    inputs = as_tensor(np.ascontiguousarray(x))
    if x.dtype.kind == "f":
        inputs = inputs.to(dtype)
    try:
        if modules:
            model.eval()
        with no_grad():
            parts = [model(inputs[k : k + batch]) for k in range(0, len(x), batch)]
    finally:
        for module, mode in zip(modules, training, strict=True):
            module.training = mode
    return np.concatenate([np.asarray(part.detach() if hasattr(part, "detach") else part) for part in parts])
