"""Functions that run before and after a module's forward, and can change what goes in and comes out."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tinygrad_edu.tensor import RemovableHandle

Hook = Callable[..., Any]
Hooks = OrderedDict[int, tuple[Hook, bool]]

_keys = itertools.count()


def add_hook(hooks: Hooks, hook: Hook, prepend: bool, with_kwargs: bool) -> RemovableHandle:
    """Register a hook, before the others if `prepend`."""
    key = next(_keys)
    hooks[key] = (hook, with_kwargs)
    if prepend:
        hooks.move_to_end(key, last=False)
    return RemovableHandle(hooks, key)


def run_pre_hooks(module: Any, hooks: Hooks, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The arguments of forward after every pre-hook has seen, and perhaps replaced, them."""
    for hook, with_kwargs in list(hooks.values()):
        if with_kwargs:
            result = hook(module, args, kwargs)
            if result is None:
                continue
            if not (isinstance(result, tuple) and len(result) == 2):
                raise RuntimeError(
                    f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {result!r:.80}"
                )
            args, kwargs = result
        else:
            result = hook(module, args)
            if result is not None:
                args = result if isinstance(result, tuple) else (result,)
    return args, kwargs


def run_hooks(module: Any, hooks: Hooks, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """The output of forward after every hook has seen, and perhaps replaced, it."""
    for hook, with_kwargs in list(hooks.values()):
        result = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        if result is not None:
            output = result
    return output
