"""Functions that run before and after a module's forward and backward, and can change what goes in and comes out."""

from __future__ import annotations

import itertools
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from tinygrad_edu.gradient import RemovableHandle
from tinygrad_edu.nn.backward_hooks import Watch


class Registered(NamedTuple):
    """A hook and how it wants to be called."""

    hook: Callable[..., Any]
    with_kwargs: bool
    always_call: bool


Hook = Callable[..., Any]
Hooks = OrderedDict[int, Registered]

_keys = itertools.count()


def add_hook(
    hooks: Hooks, hook: Hook, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Register a hook, before the others if `prepend`."""
    key = next(_keys)
    hooks[key] = Registered(hook, with_kwargs, always_call)
    if prepend:
        hooks.move_to_end(key, last=False)
    return RemovableHandle(hooks, key)


def call_watched(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The module's forward with all its hooks around it."""
    ran: set[int] = set()
    try:
        args, kwargs = _run_pre_hooks(module, args, kwargs)
        backward = None
        if module._backward_hooks or module._backward_pre_hooks:
            backward = Watch(module, len(args))
            args = backward.enter(args)
        output = module.forward(*args, **kwargs)
        for key, entry in list(module._forward_hooks.items()):
            ran.add(key)
            result = _call(entry, module, args, kwargs, output)
            output = output if result is None else result
        return output if backward is None else backward.leave(output)
    except Exception:
        for key, entry in list(module._forward_hooks.items()):
            if entry.always_call and key not in ran:
                _call_after_error(entry, module, args, kwargs)
        raise


def _call(entry: Registered, module: Any, args: Any, kwargs: Any, output: Any) -> Any:
    if entry.with_kwargs:
        return entry.hook(module, args, kwargs, output)
    return entry.hook(module, args, output)


def _call_after_error(entry: Registered, module: Any, args: Any, kwargs: Any) -> None:
    """A hook that runs although forward failed; its own error must not hide that of forward."""
    try:
        _call(entry, module, args, kwargs, None)
    except Exception as error:
        warnings.warn(
            f"module forward hook with ``always_call=True`` raised an exception that was silenced as another error was "
            f"raised in forward: {error}",
            stacklevel=3,
        )


def _run_pre_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The arguments of forward after every pre-hook has seen, and perhaps replaced, them."""
    for hook, with_kwargs, _ in list(module._forward_pre_hooks.values()):
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
