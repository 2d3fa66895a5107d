"""Module: what all layers and models are made from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from tinygrad_edu.autograd import versions
from tinygrad_edu.autograd.modes import Scope, mode
from tinygrad_edu.gradient import RemovableHandle
from tinygrad_edu.nn import state
from tinygrad_edu.nn.casting import Casting
from tinygrad_edu.nn.hooks import Hook, Hooks, add_hook, call_watched
from tinygrad_edu.nn.parameter import Buffer, Parameter
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor

Self = TypeVar("Self", bound="Module")


class Module(Casting):
    """A part of a model: it holds parameters, buffers and other modules, and computes in `forward`.

        class Net(Module):
            def __init__(self):
                super().__init__()
                self.hidden, self.out = Linear(784, 100), Linear(100, 10)

            def forward(self, x):
                return self.out(relu(self.hidden(x)))

    What is assigned to an attribute is registered: a Parameter, a Buffer or a Module.
    """

    training: bool
    _non_persistent_buffers: set[str]
    _forward_hooks: Hooks
    _forward_pre_hooks: Hooks
    _backward_hooks: Hooks
    _backward_pre_hooks: Hooks

    _draws_box = True  # losses leave the box to the function they call
    _scope_name = ""  # the name under the parent, for pictures

    def __init__(self) -> None:
        for name, value in (
            ("training", True),
            ("_parameters", {}),
            ("_buffers", {}),
            ("_modules", {}),
            ("_non_persistent_buffers", set()),
            ("_forward_hooks", OrderedDict()),
            ("_forward_pre_hooks", OrderedDict()),
            ("_backward_hooks", OrderedDict()),
            ("_backward_pre_hooks", OrderedDict()),
        ):
            object.__setattr__(self, name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; every subclass defines its own."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before = mode.scope
        if mode.grad and self._draws_box:
            name, kind, detail = self.__dict__.get("_picture") or self._make_picture()
            mode.scope = Scope(name, kind, detail, before, False, self._size())
        try:
            if self.watched:
                return call_watched(self, args, kwargs)
            return self.forward(*args, **kwargs)
        finally:
            mode.scope = before

    @property
    def watched(self) -> bool:
        """True if a hook sees what goes in or comes out."""
        own = self.__dict__
        return bool(
            self._forward_hooks or own["_forward_pre_hooks"] or own["_backward_hooks"] or own["_backward_pre_hooks"]
        )

    # -- pictures -----------------------------------------------------------------------------------------------------

    def picture_detail(self) -> str:
        """What a picture prints beside the module's name."""
        return self._get_name()

    def _make_picture(self) -> tuple[str, str, str]:
        kind = self._get_name()
        picture = (self._scope_name or kind, kind, self.picture_detail())
        self.__dict__["_picture"] = picture
        return picture

    def _size(self) -> int:
        """The number of entries of the module's own parameters."""
        total = 0
        for p in self._parameters.values():
            if p is not None:
                total += p.array.size
        return total

    def _called(self, name: str) -> None:
        """Remember the name under the parent."""
        self.__dict__["_scope_name"] = name
        self.__dict__.pop("_picture", None)

    # -- registration -------------------------------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name.

        Raises KeyError for a bad or taken name, TypeError for what is no Parameter, ValueError for a non-leaf.
        """
        self._check_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                f"(nn.Parameter or None required); wrap it: nn.Parameter(tensor)"
            )
        if param is not None and not param.is_leaf:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly; "
                f"to compute one from others, do so in forward()"
            )
        self._parameters[name] = param
        if param is not None and param.name is None:
            param.name = name

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the state but not learned; `persistent=False` keeps it out of state_dict."""
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (Tensor or None required)"
            )
        self._buffers[name] = tensor
        (self._non_persistent_buffers.discard if persistent else self._non_persistent_buffers.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under a name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._check_name("module", name, self._modules)
        self._modules[name] = module
        if module is not None:
            module._called(name)

    register_module = add_module

    def _check_name(self, what: str, name: Any, table: Mapping[str, Any]) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call; call super().__init__() first")
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{what} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        if hasattr(self, name) and name not in table:
            raise KeyError(f"attribute '{name}' already exists")

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        own.pop("_picture", None)  # what a picture prints may depend on any attribute
        registered = "_parameters" in own
        if isinstance(value, (Parameter, Module)):
            if not registered:
                what = "parameters" if isinstance(value, Parameter) else "module"
                raise AttributeError(
                    f"cannot assign {what} before Module.__init__() call; call super().__init__() first"
                )
            home = self._parameters if isinstance(value, Parameter) else self._modules
            for table in (own, self._parameters, self._buffers, self._modules):
                if table is not home:  # at home the new one takes the old one's place in the order
                    table.pop(name, None)
            self._non_persistent_buffers.discard(name)
            if isinstance(value, Parameter):
                self.register_parameter(name, value)
            else:
                self.add_module(name, value)
        elif registered and name in self._parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as parameter '{name}' (nn.Parameter or None expected); "
                    f"wrap it: nn.Parameter(tensor), or change the entries under no_grad: .copy_(tensor)"
                )
            self._parameters[name] = None
        elif registered and name in self._modules:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as child module '{name}' (nn.Module or None expected)"
                )
            self._modules[name] = None
        elif registered and name in self._buffers:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as buffer '{name}' (nn.Buffer, Tensor or None expected)"
                )
            self._buffers[name] = value
        elif isinstance(value, Buffer):
            own.pop(name, None)
            self.register_buffer(name, value, value.persistent)
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(table)
            if found is not None and name in found:
                return found[name]
        if name in ("_parameters", "_modules", "_forward_hooks"):
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute '{name}': call super().__init__() in its __init__"
            )
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        self.__dict__.pop("_picture", None)
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                self._non_persistent_buffers.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*object.__dir__(self), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[0].isdigit())

    # -- what it does to all of them ----------------------------------------------------------------------------------

    def train(self: Self, mode: bool = True) -> Self:
        """Switch to training behaviour (dropout, batch statistics), here and below."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Switch to evaluation behaviour, here and below."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Start or stop learning every parameter."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of every parameter (or set them to 0)."""
        clear_gradients(self.parameters(), set_to_none)

    def apply(self: Self, fn: Callable[[Module], None]) -> Self:
        """Call fn on every module below, then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # -- state and hooks ----------------------------------------------------------------------------------------------

    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name; they share memory with the model."""
        out: OrderedDict[str, Any] = OrderedDict() if destination is None else destination
        state.save(self, out, prefix, keep_vars)
        return out

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> state.IncompatibleKeys:
        """Copy a state into the model; `assign` takes the tensors themselves.

        Raises RuntimeError for missing or unexpected keys (if strict) and for sizes that differ; then nothing changes.
        """
        return state.load(self, state_dict, strict, assign)

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call hook(module, args) before forward; what it returns replaces the arguments."""
        return add_hook(self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call hook(module, args, output) after forward; what it returns replaces the output.

        with_kwargs: hook(module, args, kwargs, output).  always_call: even if forward raises, with output None.
        """
        return add_hook(self._forward_hooks, hook, prepend, with_kwargs, always_call)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call hook(module, grad_input, grad_output) when the gradients of the module's inputs are computed.

        Both are tuples with one entry for each positional argument and output: its gradient, or None for what is no
        tensor or requires no grad.  What the hook returns replaces grad_input.
        """
        return add_hook(self._backward_hooks, hook, prepend)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call hook(module, grad_output) before backward through the module; what it returns replaces grad_output."""
        return add_hook(self._backward_pre_hooks, hook, prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Raises NotImplementedError: PyTorch deprecated it, since it sees only the last op of a module."""
        raise NotImplementedError("register_backward_hook is not supported; use register_full_backward_hook")

    # -- printing -----------------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What the repr prints between the parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [f"({name}): {indented(repr(child))}" for name, child in self._modules.items()]
        if not children:
            return f"{self._get_name()}({indented(extra)})" if "\n" not in extra else _block(self, extra.split("\n"))
        return _block(self, (extra.split("\n") if extra else []) + children)


def _block(module: Module, lines: list[str]) -> str:
    return f"{module._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


def indented(text: str) -> str:
    """The text with every line but the first moved in by two."""
    return text.replace("\n", "\n  ")


def clear_gradients(tensors: Any, set_to_none: bool) -> None:
    """Forget gradients, or set them to 0 in place."""
    for tensor in tensors:
        grad = tensor.grad
        if grad is None:
            continue
        if set_to_none:
            tensor.grad = None
        elif grad.array.flags.writeable:
            tensor.grad = grad.detach_()
            grad.array.fill(0)
            versions.bump(grad.array)
        else:
            tensor.grad = wrap(np.zeros_like(grad.array))
