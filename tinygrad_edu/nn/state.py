"""Saving a module's state and putting it back: the two directions of state_dict, and what did not fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_edu.autograd import versions
from tinygrad_edu.nn.parameter import Parameter
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_edu.nn.module import Module


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` did not find, and what it did not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def own_state(module: Module) -> dict[str, Tensor]:
    """The parameters and persistent buffers that belong to the module itself, by their own names."""
    state: dict[str, Tensor] = {name: p for name, p in module._parameters.items() if p is not None}
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers:
            state[name] = buffer
    return state


def save(module: Module, destination: OrderedDict[str, Any], prefix: str, keep_vars: bool) -> None:
    """Write the state of a module and its children into `destination`; the tensors share memory with the model."""
    for name, tensor in own_state(module).items():
        destination[prefix + name] = tensor if keep_vars else tensor.detach()
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)


def load(module: Module, state: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """Copy `state` into a module (`assign`: take its tensors instead).

    Every key is looked at before anything is written: a state that does not fit leaves the model as it was.
    Raises RuntimeError naming the missing and unexpected keys (if strict) and every size that differs.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state)}.")
    targets = {prefix + name: (owner, name) for prefix, owner in _prefixed(module) for name in own_state(owner)}
    missing = [key for key in targets if key not in state]
    unexpected = [key for key in state if key not in targets]
    errors = []
    if strict and unexpected:
        errors.append("Unexpected key(s) in state_dict: " + ", ".join(f'"{key}"' for key in unexpected) + ". ")
    if strict and missing:
        errors.insert(0, "Missing key(s) in state_dict: " + ", ".join(f'"{key}"' for key in missing) + ". ")
    values = {}
    for key, (owner, name) in targets.items():
        if key not in state:
            continue
        value = state[key]
        if not isinstance(value, (Tensor, np.ndarray)):
            errors.append(
                f'While copying the parameter named "{key}", expected a Tensor or an array from checkpoint but '
                f"received {type(value).__name__}"
            )
            continue
        values[key] = value.array if isinstance(value, Tensor) else value
        here, there = own_state(owner)[name].array.shape, values[key].shape
        if here != there:
            errors.append(
                f"size mismatch for {key}: copying a param with shape {list(there)} from checkpoint, the shape in "
                f"current model is {list(here)}."
            )
    if errors:
        raise RuntimeError(f"Error(s) in loading state_dict for {module._get_name()}:\n\t" + "\n\t".join(errors))
    for key, array in values.items():
        owner, name = targets[key]
        (_assign if assign else _copy)(owner, name, state[key], array)
    return IncompatibleKeys(missing, unexpected)


def _prefixed(module: Module) -> list[tuple[str, Module]]:
    """Every module below and its key prefix; a shared module once for each of its places, as in state_dict."""
    found: list[tuple[str, Module]] = []
    waiting = [("", module)]
    while waiting:
        prefix, current = waiting.pop()
        found.append((prefix, current))
        children = [(f"{prefix}{name}.", child) for name, child in current._modules.items() if child is not None]
        waiting.extend(reversed(children))
    return found


def _copy(owner: Module, name: str, value: Any, array: Any) -> None:
    target = own_state(owner)[name].array
    np.copyto(target, array, casting="unsafe")
    versions.bump(target)


def _assign(owner: Module, name: str, value: Any, array: Any) -> None:
    """The given tensor itself becomes the module's: its memory and its dtype."""
    tensor: Tensor = value if isinstance(value, Tensor) else wrap(array)
    if name in owner._parameters:
        before = owner._parameters[name]
        if not isinstance(tensor, Parameter):
            tensor = Parameter(tensor, requires_grad=before is not None and before.requires_grad)
        owner._parameters[name] = tensor
    else:
        owner._buffers[name] = tensor
    owner.__dict__.pop("_picture", None)
