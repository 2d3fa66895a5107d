"""What the functions check before an op runs, so that the message names the layer, the shapes and the fix."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from tinygrad_edu.errors import DTypeError, ShapeError
from tinygrad_edu.functions.common import check_tensor
from tinygrad_edu.tensor import Tensor

Pair = tuple[int, int]


class SizeError(ShapeError, ValueError):
    """Shapes that do not fit, where PyTorch raises ValueError."""


class PaddingIndexError(ValueError, AssertionError):
    """A padding_idx outside the table, where PyTorch raises AssertionError."""


def floating(name: str, x: Any) -> Tensor:
    """x, which must be a floating-point tensor."""
    x = check_tensor(name, x)
    if x.array.dtype.kind != "f":
        raise DTypeError(f"{name}: the input is {x.dtype!r} but must be floating point; convert it with .float()")
    return x


def same_dtype(name: str, x: Tensor, other: Tensor, what: str = "weight") -> None:
    """Raise DTypeError unless both have the same floating dtype."""
    if x.array.dtype != other.array.dtype:
        fix = f"convert the input with .to({other.dtype!r})"
        raise DTypeError(
            f"{name}: the input is {x.dtype!r} but {what} is {other.dtype!r}; {fix} (input and weight must have the "
            f"same dtype)"
        )


def pair(name: str, value: Any, what: str) -> Pair:
    """A size for height and width: one number for both, or two."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(sizes) == 1:
        sizes *= 2
    if len(sizes) == 2 and all(isinstance(n, Integral) and not isinstance(n, bool) for n in sizes):
        return int(sizes[0]), int(sizes[1])
    raise TypeError(f"{name}: {what} must be an int or two ints, got {value!r}")


def single(name: str, value: Any, what: str) -> int:
    """A size for the one dim of a sequence: a number, or a tuple of one."""
    number = value[0] if isinstance(value, (tuple, list)) and len(value) == 1 else value
    if not isinstance(number, Integral) or isinstance(number, bool):
        raise TypeError(f"{name}: {what} must be an int, got {value!r}")
    return int(number)


def as_images(name: str, x: Any) -> Tensor:
    """Sequences (n, c, l) or (c, l) as images of height 1."""
    x = floating(name, x)
    if x.array.ndim not in (2, 3):
        raise ShapeError(
            f"{name}: expected 2D (unbatched) or 3D (batched) input, (n, c, l) or (c, l), but got input of size "
            f"{tuple(x.shape)}"
        )
    return x.unsqueeze(-2)


def batched(name: str, x: Any, dims: str = "(n, c, h, w) or (c, h, w)") -> tuple[Tensor, bool]:
    """Images as (n, c, h, w), and whether they came without a batch."""
    x = floating(name, x)
    if x.array.ndim == 3:
        return x.unsqueeze(0), False
    if x.array.ndim != 4:
        raise ShapeError(
            f"{name}: expected 3D (unbatched) or 4D (batched) input, {dims}, but got input of size {tuple(x.shape)}"
        )
    return x, True


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean, the sum, or the loss itself."""
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def check_reduction(name: str, reduction: str, extra: tuple[str, ...] = ()) -> None:
    """Raise ValueError for a reduction that does not exist."""
    if reduction not in ("none", "mean", "sum", *extra):
        allowed = ", ".join(repr(r) for r in ("none", "mean", "sum", *extra))
        raise ValueError(f"{name}: {reduction} is not a valid value for reduction; use one of {allowed}")
