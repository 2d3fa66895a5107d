"""The random generators that a fit draws from: where they are, and their states for a checkpoint.

Python's `random`, NumPy's global one, the default generator, and every `Generator`, ours or NumPy's, that hangs as an
attribute in a loader, its samplers, its data set and transforms, or in a module of the model.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from threading import Thread
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tinygrad_edu.errors import DataError
from tinygrad_edu.nn.module import Module
from tinygrad_edu.random import Generator, default_generator
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor

States = dict[str, Any]
DEEPEST = 6  # attributes of attributes: a loader's data set, a subset of a subset, its list of transforms
LONGEST = 64  # a longer list is data
LEAVES = (Tensor, np.ndarray, np.generic, type, str, bytes, int, float, ModuleType, Module, Thread)


def generators_of(model: Module, **loaders: Any) -> dict[str, Any]:
    """The default generator and those in the model and the loaders, each once, by the path that leads to it."""
    found: dict[str, Any] = {"default": default_generator}
    seen = {id(default_generator), id(default_generator.numpy)}
    waiting = [(name, value, 0) for name, value in loaders.items()]
    for name, module in model.named_modules():
        waiting += [
            (f"model.{name}.{key}", value, DEEPEST)
            for key, value in vars(module).items()
            if isinstance(value, (Generator, np.random.Generator))
        ]
    while waiting:  # breadth first: the shortest path names a generator that several lead to
        path, value, depth = waiting.pop(0)
        if value is None or isinstance(value, LEAVES) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (Generator, np.random.Generator)):
            found[path] = value
            seen.add(id(getattr(value, "numpy", value)))
        elif depth < DEEPEST:
            waiting += [(f"{path}.{name}", child, depth + 1) for name, child in _children(value).items()]
    return found


def _children(value: Any) -> dict[str, Any]:
    if isinstance(value, (Mapping, list, tuple)):
        if len(value) > LONGEST:
            return {}
        return {str(k): v for k, v in (value.items() if isinstance(value, Mapping) else enumerate(value))}
    if isinstance(value, partial):
        return {"func": value.func, "args": value.args, **value.keywords}
    if isinstance(value, MethodType):
        return {"self": value.__self__}
    if isinstance(value, FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        return {name: _content(cell) for name, cell in cells}
    return dict(getattr(value, "__dict__", {}))


def _content(cell: Any) -> Any:
    """What a closure's cell holds; None for a name that is not bound yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def get_states(generators: Mapping[str, Any]) -> States:
    """The state of each generator, and of Python's and NumPy's global ones, as what `save` can store."""
    version, words, gauss = random.getstate()
    states: States = {
        "python": {"version": version, "state": wrap(np.array(words, np.int64)), "gauss": gauss},
        "numpy": _plain(np.random.get_state(legacy=False)),
    }
    for name, generator in generators.items():
        if isinstance(generator, Generator):
            states[name] = wrap(generator.get_state())
        else:
            states[name] = _plain(generator.bit_generator.state)
    return states


def set_states(generators: Mapping[str, Any], states: States) -> None:
    """Put each generator back.  Raises DataError when there are others now than then."""
    here, there = set(generators), set(states) - {"python", "numpy"}
    if here != there:
        raise DataError(
            f"Trainer: the checkpoint has the states of the random generators {sorted(there)}, but this fit draws from "
            f"{sorted(here)}; give loaders and model the generators they had"
        )
    python = states["python"]
    random.setstate((python["version"], tuple(python["state"].array.tolist()), python["gauss"]))
    np.random.set_state(_arrays(states["numpy"]))
    for name, generator in generators.items():
        if isinstance(generator, Generator):
            generator.set_state(states[name].array)
        else:
            generator.bit_generator.state = _arrays(states[name])


def _plain(state: Any) -> Any:
    """NumPy's state with its arrays as tensors of 64-bit words."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    if isinstance(state, np.ndarray):
        return {"words": wrap(state.astype(np.uint64).view(np.int64)), "dtype": state.dtype.name}
    return state


def _arrays(state: Any) -> Any:
    if not isinstance(state, dict):
        return state
    if set(state) == {"words", "dtype"}:
        return state["words"].array.view(np.uint64).astype(state["dtype"])
    return {key: _arrays(value) for key, value in state.items()}
