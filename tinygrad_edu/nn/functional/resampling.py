"""Images and sequences of another size: interpolation, and channels traded for places."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import plain
from tinygrad_edu.functions.shaping import index_select
from tinygrad_edu.nn.functional.checks import floating
from tinygrad_edu.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.tensor import Tensor

# Which number of dims each mode takes; None: any.
_DIMS = {"nearest": None, "nearest-exact": None, "area": None, "linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """x resized to `size`, or by `scale_factor`, along every dim after the channels.

    x (n, c, l), (n, c, h, w) or (n, c, d, h, w) -> y (n, c, ...)
    mode: "nearest", "nearest-exact", "linear" (3-D), "bilinear", "bicubic" (4-D), "trilinear" (5-D) or "area".
    align_corners: the corner entries stay in the corners (linear and cubic modes).
    recompute_scale_factor: use out/in as the scale instead of scale_factor.
    """
    x = floating("interpolate", input)
    _check_mode(x, mode, align_corners, antialias)
    sizes, scales = _sizes(x, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        if x.ndim == 5:
            raise NotImplementedError("interpolate: mode 'area' of 5-D input is not supported; use 'trilinear'")
        return adaptive_avg_pool1d(x, sizes) if x.ndim == 3 else adaptive_avg_pool2d(x, sizes)
    for k, (wanted, scale) in enumerate(zip(sizes, scales, strict=True)):
        dim, n = 2 + k, x.array.shape[2 + k]
        if mode.startswith("nearest"):
            x = _nearest(x, dim, wanted, scale, 0.5 if mode == "nearest-exact" else 0.0)
        else:
            weights = _cubic if mode == "bicubic" else _linear
            matrix = plain(weights(n, wanted, scale, bool(align_corners), x.array.dtype))
            x = (x.transpose(dim, -1) @ matrix.T).transpose(dim, -1)
    return x


def _check_mode(x: Tensor, mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode not in _DIMS:
        raise NotImplementedError(f"interpolate: mode {mode!r} is not supported; use one of {', '.join(_DIMS)}")
    if x.ndim not in (3, 4, 5):
        raise NotImplementedError(
            f"interpolate: Input Error: Only 3D, 4D and 5D input Tensors supported, (n, c, ...), got {tuple(x.shape)}"
        )
    if _DIMS[mode] not in (None, x.ndim):
        raise NotImplementedError(f"interpolate: Got {x.ndim}D input, but {mode} mode needs {_DIMS[mode]}D input")
    if align_corners is not None and _DIMS[mode] is None:
        raise ValueError(
            "interpolate: align_corners option can only be set with the interpolating modes: linear | bilinear | "
            "bicubic | trilinear"
        )
    if antialias:
        raise NotImplementedError("interpolate: antialias=True is not supported; use mode='area' to shrink an image")


def _sizes(x: Tensor, size: Any, scale_factor: Any, recompute: bool | None) -> tuple[list[int], list[float]]:
    """The size of each dim, and how far apart in the input neighbours of the output lie."""
    old = x.array.shape[2:]
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: only one of size or scale_factor should be defined, and one must be")
    given = size if scale_factor is None else scale_factor
    each = list(given) if isinstance(given, (tuple, list)) else [given] * len(old)
    if len(each) != len(old):
        raise ValueError(
            f"interpolate: Input and output must have the same number of spatial dimensions, but got input with "
            f"spatial dimensions of {list(old)} and {'size' if scale_factor is None else 'scale_factor'} {each}"
        )
    if size is not None and recompute:
        raise ValueError("interpolate: recompute_scale_factor is not meaningful with an explicit size.")
    sizes = [int(e) for e in each] if size is not None else [math.floor(n * f) for n, f in zip(old, each, strict=True)]
    if min((*sizes, *old)) < 1:
        raise ShapeError(
            f"interpolate: Input and output sizes should be greater than 0, but got input {tuple(old)} and output "
            f"{tuple(sizes)}"
        )
    if scale_factor is not None and not recompute:
        return sizes, [1.0 / f for f in each]
    return sizes, [n / o for n, o in zip(old, sizes, strict=True)]


def _nearest(x: Tensor, dim: int, wanted: int, scale: float, shift: float) -> Tensor:
    """Each entry of the output copies the one of the input that its place falls on."""
    n = x.array.shape[dim]
    if wanted % n == 0 and scale == n / wanted:  # every entry repeats: a view, whose gradient is a plain sum
        shape = x.array.shape
        spread = x.unsqueeze(dim + 1).expand((*shape[: dim + 1], wanted // n, *shape[dim + 1 :]))
        return spread.reshape((*shape[:dim], wanted, *shape[dim + 1 :]))
    # in float32, as PyTorch does, so that places on an edge fall to the same side
    places = (np.arange(wanted, dtype=np.float32) + np.float32(shift)) * np.float32(scale)
    return index_select(x, dim, plain(np.minimum(places.astype(np.int64), n - 1)))


def _places(n: int, wanted: int, scale: float, align_corners: bool) -> Array:
    """The place in the input of each entry of the output."""
    if align_corners:
        return np.arange(wanted) * ((n - 1) / (wanted - 1) if wanted > 1 else 0.0)
    return (np.arange(wanted) + 0.5) * scale - 0.5


def _linear(n: int, wanted: int, scale: float, align_corners: bool, dtype: Any) -> Array:
    """The matrix (wanted, n) of linear interpolation: each row mixes the two neighbours of a place."""
    places = np.maximum(_places(n, wanted, scale, align_corners), 0.0)
    left = np.minimum(places.astype(np.int64), n - 1)
    right, share = np.minimum(left + 1, n - 1), places - left
    matrix, rows = np.zeros((wanted, n)), np.arange(wanted)
    np.add.at(matrix, (rows, left), 1 - share)
    np.add.at(matrix, (rows, right), share)
    return matrix.astype(dtype)


def _cubic(n: int, wanted: int, scale: float, align_corners: bool, dtype: Any) -> Array:
    """The matrix (wanted, n) of cubic convolution over four neighbours (Keys, 1981), with a = −3/4."""
    places = _places(n, wanted, scale, align_corners)
    first = np.floor(places).astype(np.int64)
    share = places - first
    a = -0.75
    matrix, rows = np.zeros((wanted, n)), np.arange(wanted)
    for k in range(-1, 3):
        d = np.abs(share - k)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        np.add.at(matrix, (rows, np.clip(first + k, 0, n - 1)), np.where(d <= 1, near, far))
    return matrix.astype(dtype)


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """`interpolate`, under its old name."""
    warnings.warn("upsample is deprecated. Use interpolate instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels to places: x (..., c·r², h, w) -> y (..., c, h·r, w·r) (Shi et al., 2016)."""
    x, r = _image("pixel_shuffle", input), upscale_factor
    *lead, channels, h, w = x.array.shape
    if r < 1 or channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle: expects its input's 'channel' dimension to be divisible by the square of upscale_factor "
            f"{r}, but got input with {channels} channels {tuple(x.shape)}"
        )
    x = x.reshape((-1, channels // (r * r), r, r, h, w)).permute(0, 1, 4, 2, 5, 3)
    return x.reshape((*lead, channels // (r * r), h * r, w * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Places to channels, the inverse of `pixel_shuffle`: x (..., c, h·r, w·r) -> y (..., c·r², h, w)."""
    x, r = _image("pixel_unshuffle", input), downscale_factor
    *lead, channels, h, w = x.array.shape
    if r < 1 or h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle: expects height and width to be divisible by downscale_factor {r}, but got input "
            f"{tuple(x.shape)}"
        )
    x = x.reshape((-1, channels, h // r, r, w // r, r)).permute(0, 1, 3, 5, 2, 4)
    return x.reshape((*lead, channels * r * r, h // r, w // r))


def _image(name: str, x: Any) -> Tensor:
    x = floating(name, x)
    if x.ndim < 3:
        raise ShapeError(f"{name}: expects input to have at least 3 dimensions, (..., c, h, w), got {tuple(x.shape)}")
    return x


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels of different groups side by side: (n, g·k, ...) read as (g, k), transposed (Zhang et al., 2018)."""
    x = floating("channel_shuffle", input)
    if x.ndim < 3:
        raise ShapeError(f"channel_shuffle: expects input with > 2 dims, (n, c, ...), got {tuple(x.shape)}")
    n, channels, *rest = x.array.shape
    if groups < 1 or channels % groups:
        raise ShapeError(f"channel_shuffle: number of channels must be divisible by groups: {channels} and {groups}")
    return x.reshape((n, groups, channels // groups, *rest)).transpose(1, 2).reshape(x.array.shape)
