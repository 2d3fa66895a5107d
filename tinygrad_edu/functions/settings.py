"""Settings that code written for PyTorch asks for, where there is one device and every result is deterministic."""

from __future__ import annotations

from typing import Any

from tinygrad_edu import dtypes
from tinygrad_edu.device import CPU, check_device, device
from tinygrad_edu.functions.common import array_of


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The dtype of an operation on two tensors or numbers."""
    return dtypes.result_type(array_of(tensor1), array_of(tensor2))


def get_default_device() -> device:
    """The CPU."""
    return CPU


def set_default_device(device: Any) -> None:
    """Accepts the CPU.  Raises RuntimeError for another device."""
    check_device(device)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepts True: all algorithms are deterministic.  Raises NotImplementedError for False, which cannot be had."""
    if not mode:
        raise NotImplementedError("use_deterministic_algorithms: False is not supported; all are deterministic")


def are_deterministic_algorithms_enabled() -> bool:
    """True: the same inputs give the same results."""
    return True
