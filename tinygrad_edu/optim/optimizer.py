"""Optimizer: parameter groups, state per parameter, and their saving; each subclass writes one step."""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from tinygrad_edu import kernels
from tinygrad_edu.autograd import versions
from tinygrad_edu.autograd.modes import enable_grad, no_grad
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn.module import clear_gradients
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor

Params = Iterable[Any]
Group = dict[str, Any]
Line = tuple[tuple[Any, ...], dict[str, Any]]


class Optimizer:
    """Changes parameters along their gradients; a subclass defines `_update` for one parameter.

    Ours name a kernel instead, by `_kernel`, `_options` and `_line`: it takes all parameters of a group at once.

    params: tensors, (name, tensor) pairs, or dicts {"params": ..., option: value} for groups with options of their own.
    defaults: the options of a group that does not set them.
    Raises TypeError for what is no tensor, ValueError for an empty list, a non-leaf, or a parameter in two groups.
    """

    _kernel = ""  # of `kernels.step_each`
    _opt_called = False  # whether step() ran: a schedule warns when it is stepped first

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in cls.__dict__:  # an optimiser with a step of its own
            cls.step = _noting_the_call(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                f"params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__name__}; pass [tensor]"
            )
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._tables: defaultdict[int, kernels.Table] = defaultdict(kernels.Table)  # by the number of the group
        if not isinstance(params, Iterable):
            hint = "; pass model.parameters()" if hasattr(params, "parameters") else ""
            raise TypeError(
                f"optimizer: params must be an iterable of Tensors or dicts, but got {type(params).__name__}{hint}"
            )
        groups = params if isinstance(params, (dict, set)) else list(params)
        if len(groups) == 0:
            raise ValueError("optimizer got an empty parameter list; an exhausted generator is empty too")
        if isinstance(groups, dict):
            groups = [groups]
        elif isinstance(groups, set) or not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own; options not given take the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = dict(param_group)
        if "params" not in group:
            raise KeyError(f"param_group: the key 'params' is missing, its keys are {list(group)}")
        params = group["params"]
        if isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in "
                "sets will change between runs. Please use a list instead."
            )
        given = [params] if isinstance(params, Tensor) else list(params)
        names = [p[0] for p in given if isinstance(p, tuple)]
        if names:
            if len(names) != len(given):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            group["param_names"] = names
        group["params"] = [p[1] if isinstance(p, tuple) else p for p in given]
        self._check_params(group["params"])
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        self._check(group)
        self.param_groups.append(group)

    def _check_params(self, params: list[Any]) -> None:
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(
                    "can't optimize a non-leaf Tensor: it is the result of an operation; optimise what it is made from"
                )
        if len({id(p) for p in params}) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error",
                stacklevel=5,
            )
        taken = {id(p) for group in self.param_groups for p in group["params"]}
        if not taken.isdisjoint(id(p) for p in params):
            raise ValueError("some parameters appear in more than one parameter group")

    def _check(self, group: Group) -> None:
        """Raise ValueError for an option out of range; every subclass adds its own."""
        for name, words in (("lr", "learning rate"), ("weight_decay", "weight_decay value")):
            if name in group and not isinstance(group[name], (int, float, np.number, Tensor)):
                raise TypeError(
                    f"Invalid {words}: {group[name]!r}; it must be a number, not {type(group[name]).__name__}"
                )
            if name in group and not float(group[name]) >= 0.0:
                raise ValueError(f"Invalid {words}: {group[name]}; it must be >= 0")

    # -- a step -------------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; returns closure(), which computes loss and gradients first."""
        self._opt_called = True
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for number, group in enumerate(self.param_groups):
                params, grads = [], []
                for p in group["params"]:
                    grad = p.grad
                    if grad is not None:
                        params.append(p)
                        grads.append(self._gradient(p.array, grad.array))
                if type(self)._update is Optimizer._update and self._kernel:
                    self._update_together(params, grads, group, self._tables[number])
                else:
                    for p, array in zip(params, grads, strict=True):
                        self._update(p, array, self.state[p], group)
                        versions.bump(p.array)
        return loss

    def _gradient(self, param: Array, grad: Array) -> Array:
        """The gradient as an array of the parameter's dtype; the kernels take any layout."""
        if grad.shape != param.shape:
            raise ShapeError(
                f"{type(self).__name__}: a parameter of shape {param.shape} has a gradient of shape {grad.shape}"
            )
        return grad if grad.dtype == param.dtype else grad.astype(param.dtype)

    def _update_together(self, params: list[Tensor], grads: list[Array], group: Group, table: kernels.Table) -> None:
        """Change all parameters in place with one call of the kernel."""
        lines, marks = [], []
        for p in params:
            state, mark = self._line(p, self.state[p], group)
            lines.append((p.array, *state))
            marks.append(mark)
        kernels.step_each(self._kernel, table, lines, grads, marks, **self._options(group))
        for p in params:
            versions.bump(p.array)

    def _options(self, group: Group) -> dict[str, Any]:
        """The kernel's arguments that all parameters of a group share."""
        raise NotImplementedError(f"{type(self).__name__} defines no _options")

    def _line(self, p: Tensor, state: dict[str, Any], group: Group) -> Line:
        """The arrays of a parameter's state, made where they are missing, and the arguments that are its own."""
        raise NotImplementedError(f"{type(self).__name__} defines no _line")

    def _update(self, p: Tensor, grad: Array, state: dict[str, Any], group: Group) -> None:
        """Change one parameter in place."""
        raise NotImplementedError(f"{type(self).__name__} defines no _update")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or set them to 0)."""
        for group in self.param_groups:
            clear_gradients(group["params"], set_to_none)

    # -- saving -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": per parameter, by number; "param_groups": options, with numbers for parameters}, as PyTorch's."""
        numbers: dict[int, int] = {}
        for p in chain.from_iterable(group["params"] for group in self.param_groups):
            numbers.setdefault(id(p), len(numbers))
        groups = [
            {**{k: v for k, v in group.items() if k != "params"}, "params": [numbers[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {numbers[id(p)]: dict(kept) for p, kept in self.state.items() if kept}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state; its tensors are copied, with the dtype of their parameter.

        Raises KeyError for what is no state of an optimiser, ValueError when the groups do not match in number or size.
        """
        for key in ("param_groups", "state"):
            if key not in state_dict:
                raise KeyError(
                    f"optimizer.load_state_dict: {key!r} is missing in the state dict, whose keys are "
                    f"{list(state_dict)}; pass what optimizer.state_dict() returned"
                )
        saved, groups = state_dict["param_groups"], self.param_groups
        if len(saved) != len(groups):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: {len(saved)}, not {len(groups)}"
            )
        for theirs, ours in zip(saved, groups, strict=True):
            if len(theirs["params"]) != len(ours["params"]):
                raise ValueError(
                    f"loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                    f"{len(theirs['params'])} parameters, not {len(ours['params'])}"
                )
        owners = {
            number: p
            for theirs, ours in zip(saved, groups, strict=True)
            for number, p in zip(theirs["params"], ours["params"], strict=True)
        }
        self.state = defaultdict(dict)
        for number, state in state_dict["state"].items():
            if number in owners:
                p = owners[number]
                self.state[p] = {key: _copied(key, value, p) for key, value in state.items()}
        self.param_groups = [
            {**{k: deepcopy(v) for k, v in theirs.items() if k != "params"}, "params": ours["params"]}
            for theirs, ours in zip(saved, groups, strict=True)
        ]
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"


def _noting_the_call(step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(step)
    def noting(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        return step(self, *args, **kwargs)

    return noting


def _copied(key: str, value: Any, p: Tensor) -> Any:
    """A saved state tensor as a fresh one; counts of steps keep their dtype."""
    if not isinstance(value, (Tensor, np.ndarray)):
        return deepcopy(value)
    array = value.array if isinstance(value, Tensor) else value
    converts = key != "step" and array.dtype.kind == "f"
    return wrap(np.array(array, dtype=p.array.dtype if converts else array.dtype))


def zeros_state(p: Tensor, value: float = 0.0) -> Tensor:
    """A tensor like the parameter, to accumulate in."""
    return wrap(np.full(p.array.shape, value, p.array.dtype))


def count_step(state: dict[str, Any]) -> int:
    """The number of this step, from 1; kept as a float32 tensor, as PyTorch keeps it."""
    if "step" not in state:
        state["step"] = wrap(np.zeros((), np.float32))
    step = state["step"]
    if not isinstance(step, Tensor):  # a plain number in an older saved state
        step = state["step"] = wrap(np.asarray(step, np.float32))
    step.array += 1
    return int(step.array)
