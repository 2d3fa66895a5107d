"""Parameter and Buffer: tensors that a Module registers when they are assigned to an attribute."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.functions.common import check_tensor
from tinygrad_edu.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a Module learns: assigned to an attribute, it appears in `parameters()`.

    It shares memory with the tensor it is made from and starts a history of its own.
    Raises TypeError for data that is no tensor, DTypeError for an integer one that requires grad.
    """

    _is_param = True  # pictures ask for it, since the engine does not know this class

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        self.array = Tensor([]).array if data is None else check_tensor("Parameter", data).array
        self.grad = None
        self.node = None
        self.view_of = None
        if isinstance(data, Tensor) and data.name:
            self.name = data.name
        if requires_grad:
            self.requires_grad_()

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (type(self), self.numpy(force=True).copy(), self.requires_grad, self.name)


class Buffer(Tensor):
    """A tensor that belongs to a Module's state but is not learned; `persistent=False` keeps it out of state_dict.

    It shares memory with the tensor it is made from.
    """

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        self.array = Tensor([]).array if data is None else check_tensor("Buffer", data).array
        self.grad = None
        self.node = None
        self.view_of = None
        self.persistent = persistent


def _rebuild(cls: type[Tensor], array: Any, requires_grad: bool, name: str | None) -> Tensor:
    """A pickled parameter: its entries, whether it learns, and the name that pictures print."""
    made = object.__new__(cls)
    made.array, made.grad, made.node, made.view_of = array, None, None, None
    if name:
        made.name = name
    return made.requires_grad_(requires_grad)
