"""Random numbers: one default generator that `manual_seed` sets, and generators of your own.

A `Generator` has PyTorch's methods around a NumPy `Generator` (PCG64), reachable as `.numpy`. The same seed gives the
same numbers on every machine, but other numbers than PyTorch's, which draws from a Mersenne twister.

Drawing changes the generator's state and takes no lock: let one thread draw from a generator at a time. Code that
runs in the workers of a `DataLoader` makes its own from `get_worker_info().seed`.
"""

from __future__ import annotations

import operator
import secrets
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygrad_edu.device import CPU, check_device, device

__all__ = ["Generator", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]

_DEFAULT_SEED = 67280421310721  # the seed of a new torch.Generator()
_MAGIC = b"PCG64\x01"
_STATE_BYTES = len(_MAGIC) + 8 + 16 + 16 + 1 + 4


def _as_seed(value: Any) -> int:
    """The seed as an unsigned 64-bit number; a negative one wraps around, as in PyTorch: -1 -> 2**64 - 1."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"manual_seed: the seed must be an integer, got {value!r} ({type(value).__name__})")
    number = operator.index(value)
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"manual_seed: the seed must lie in [-2**63, 2**64 - 1], got {number}")
    return number % 2**64


class Generator:
    """A source of random numbers with a state of its own; `.numpy` is the NumPy generator that draws them.

    Raises RuntimeError for a device other than the CPU.
    """

    def __init__(self, device: str | device | None = "cpu") -> None:
        check_device(device)
        self.numpy = np.random.Generator(np.random.PCG64())
        self.manual_seed(_DEFAULT_SEED)

    @property
    def device(self) -> device:
        """Always the CPU."""
        return CPU

    def manual_seed(self, seed: int) -> Generator:
        """Start the sequence that belongs to `seed` and return self.

        Raises TypeError when the seed is no integer, ValueError outside [-2**63, 2**64 - 1].
        """
        number = _as_seed(seed)
        # Written into the existing bit generator, so that everyone who holds `.numpy` sees the new seed.
        self.numpy.bit_generator.state = np.random.PCG64(number).state
        self._seed = number
        return self

    def seed(self) -> int:
        """Seed from the operating system's randomness and return that seed."""
        self.manual_seed(secrets.randbits(64))
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the sequence started from."""
        return self._seed

    def get_state(self) -> npt.NDArray[np.uint8]:
        """The state as a fresh uint8 array (51,), for `set_state`."""
        state: Any = self.numpy.bit_generator.state
        packed = b"".join(
            (
                _MAGIC,
                self._seed.to_bytes(8, "little"),
                int(state["state"]["state"]).to_bytes(16, "little"),
                int(state["state"]["inc"]).to_bytes(16, "little"),
                int(state["has_uint32"]).to_bytes(1, "little"),
                int(state["uinteger"]).to_bytes(4, "little"),
            )
        )
        return np.frombuffer(packed, np.uint8).copy()

    def set_state(self, new_state: Any) -> None:
        """Continue from a state of `get_state`: a uint8 array or tensor, or bytes.

        Raises TypeError for another type, RuntimeError when it is no state of a Generator.
        """
        if isinstance(new_state, (bytes, bytearray, memoryview)):
            packed = bytes(new_state)
        else:
            array = np.asarray(new_state)
            if array.dtype != np.uint8:
                raise TypeError(f"set_state: the state must be uint8 or bytes, got {array.dtype}")
            packed = array.tobytes()
        if len(packed) != _STATE_BYTES or not packed.startswith(_MAGIC):
            raise RuntimeError(
                f"set_state: got {len(packed)} bytes that are no state of this Generator ({_STATE_BYTES} bytes that "
                f"start with {_MAGIC!r}); pass what get_state() returned"
            )
        fields, start = [], len(_MAGIC)
        for size in (8, 16, 16, 1, 4):
            fields.append(int.from_bytes(packed[start : start + size], "little"))
            start += size
        seed, state, increment, has_uint32, uinteger = fields
        self.numpy.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": state, "inc": increment},
            "has_uint32": has_uint32,
            "uinteger": uinteger,
        }
        self._seed = seed

    def __repr__(self) -> str:
        return f"Generator(device='cpu', initial_seed={self._seed})"


default_generator = Generator()
default_generator.seed()  # as in PyTorch: unseeded runs differ


def manual_seed(seed: int) -> Generator:
    """Seed the default generator and return it. Raises as `Generator.manual_seed`."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system's randomness and return that seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> npt.NDArray[np.uint8]:
    """The default generator's state as a uint8 array."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Put the default generator back to a state of `get_rng_state`. Raises as `Generator.set_state`."""
    default_generator.set_state(new_state)
