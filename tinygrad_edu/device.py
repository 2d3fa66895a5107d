"""There is one device, the CPU; these names exist so that code written for PyTorch runs."""

from __future__ import annotations

from typing import Any


class device:
    """`device("cpu")`; any other device is an error that says so."""

    __slots__ = ("index", "type")

    def __init__(self, type: Any, index: int | None = None) -> None:
        kind, _, place = str(type).partition(":")
        if kind != "cpu":
            raise RuntimeError(
                f"device: {str(type)!r} is not available: tinygrad_edu runs on the CPU only; use device('cpu'), or "
                f"'cuda' if cuda.is_available() else 'cpu', which is False here"
            )
        self.type: str = kind
        self.index = int(place) if place else index

    def __repr__(self) -> str:
        return f"device(type='{self.type}')" if self.index is None else f"device(type='cpu', index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and self.type == other.type

    def __hash__(self) -> int:
        return hash(self.type)


CPU = device("cpu")


def check_device(spec: Any) -> None:
    """Raise RuntimeError unless `spec` is None or the CPU."""
    if spec is not None and spec is not CPU:
        device(spec)


class _Without(type):
    """The class of `cuda` and `accelerator`: what they lack is an error that says why."""

    def __getattr__(cls, name: str) -> Any:
        raise AttributeError(
            f"{cls.__name__} has no attribute {name!r}: tinygrad_edu runs on the CPU only; ask for it under "
            f"`if {cls.__name__}.is_available()`, which is False here"
        )


class cuda(metaclass=_Without):
    """PyTorch's `torch.cuda`, of which only the question is answered."""

    @staticmethod
    def is_available() -> bool:
        """False."""
        return False

    @staticmethod
    def device_count() -> int:
        """0."""
        return 0

    @staticmethod
    def manual_seed_all(seed: int) -> None:
        """Nothing to seed."""

    manual_seed = manual_seed_all

    @staticmethod
    def empty_cache() -> None:
        """Nothing to empty."""


class accelerator(metaclass=_Without):
    """PyTorch's `torch.accelerator`: there is none."""

    @staticmethod
    def is_available() -> bool:
        """False."""
        return False

    @staticmethod
    def device_count() -> int:
        """0."""
        return 0

    @staticmethod
    def current_accelerator(check_available: bool = False) -> None:
        """None."""


class backends:
    """PyTorch's `torch.backends`: what there is not, and settings of cuDNN that have nothing to act on."""

    class mps:
        """Apple's GPU."""

        @staticmethod
        def is_available() -> bool:
            """False."""
            return False

        is_built = is_available

    class cudnn:
        """Settings of NVIDIA's library; results are deterministic here whatever they say."""

        deterministic = True
        benchmark = False
        enabled = False

        @staticmethod
        def is_available() -> bool:
            """False."""
            return False
