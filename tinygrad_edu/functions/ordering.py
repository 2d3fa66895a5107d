"""Order statistics and running extremes: medians, quantiles, cumulative maxima, distinct values, histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import dtypes, ops
from tinygrad_edu.errors import DTypeError, ShapeError
from tinygrad_edu.functions import return_types
from tinygrad_edu.functions.common import check_tensor, numpy_names, plain
from tinygrad_edu.functions.indexing import getitem
from tinygrad_edu.functions.reductions import sort
from tinygrad_edu.ops.basic import where
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.ops.shapes import one_dim
from tinygrad_edu.tensor import Tensor

gather = ops.indexing.gather


def _axis(name: str, x: Tensor, dim: int) -> int:
    """`dim` from the front; a reduction over nothing has no result."""
    axis = one_dim(name, dim, x.array.ndim)
    if x.array.ndim and x.array.shape[axis] == 0:
        raise IndexError(f"{name}: expected reduction dim {axis} of {tuple(x.shape)} to have non-zero size")
    return axis


def _picked(kind: type[return_types.Result], x: Tensor, places: Array, axis: int, keepdim: bool) -> return_types.Result:
    """The entries at places (size 1 along the axis) and the places themselves."""
    indices = plain(np.ascontiguousarray(places).astype(np.int64))
    values = gather(x, indices, dim=axis)
    return kind((values, indices) if keepdim else (values.squeeze(axis), indices.squeeze(axis)))


def _alone(kind: type[return_types.Result], x: Tensor) -> return_types.Result:
    return kind((x.clone(), plain(np.int64(0))))


@numpy_names
def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> return_types.Result:
    """The k-th smallest entry along `dim`, k counted from 1, and its place."""
    axis = _axis("kthvalue", check_tensor("kthvalue", x), dim)
    n = x.array.shape[axis] if x.array.ndim else 1
    if not 1 <= k <= n:
        raise RuntimeError(f"kthvalue: selected number k out of range for dimension {dim}: k={k}, size {n}")
    if x.array.ndim == 0:
        return _alone(return_types.kthvalue, x)
    order = np.argsort(x.array, axis=axis, kind="stable")
    return _picked(return_types.kthvalue, x, np.take(order, [k - 1], axis), axis, keepdim)


def _middle(array: Array, axis: int, skip_nan: bool) -> Array:
    """The places of the lower medians; a NaN, which sorts last, is the median unless it is skipped."""
    order = np.argsort(array, axis=axis, kind="stable")
    missing = np.isnan(array).sum(axis, keepdims=True) if array.dtype.kind == "f" else np.zeros((), np.int64)
    numbers = array.shape[axis] - missing
    place = (np.maximum(numbers, 1) - 1) // 2
    if not skip_nan:
        place = np.where(missing > 0, numbers, place)
    shape = tuple(1 if i == axis else n for i, n in enumerate(array.shape))
    return np.take_along_axis(order, np.broadcast_to(place, shape), axis)


def _median(name: str, x: Tensor, dim: int | None, keepdim: bool) -> Any:
    kind = getattr(return_types, name)
    if dim is None:
        if check_tensor(name, x).array.size == 0:
            return plain(np.full((), np.nan, x.array.dtype))
        flat = x.reshape(-1)
        return _picked(kind, flat, _middle(flat.array, 0, name == "nanmedian"), 0, False).values
    axis = _axis(name, x, dim)
    if x.array.ndim == 0:
        return _alone(kind, x)
    return _picked(kind, x, _middle(x.array, axis, name == "nanmedian"), axis, keepdim)


@numpy_names
def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """median(x): the middle entry, the lower of two.  median(x, dim): values and indices along dim.  NaN if any is."""
    return _median("median", x, dim, keepdim)


@numpy_names
def nanmedian(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """As `median`, over the entries that are not NaN."""
    return _median("nanmedian", x, dim, keepdim)


@numpy_names
def mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> return_types.Result:
    """The commonest entry along `dim` (the smallest of several), and the last place where it stands."""
    axis = _axis("mode", check_tensor("mode", x), dim)
    if x.array.ndim == 0:
        return _alone(return_types.mode, x)

    def last_of_commonest(line: Array) -> int:
        values, counts = np.unique(line, return_counts=True)
        return int(np.flatnonzero(line == values[counts.argmax()])[-1])

    places = np.expand_dims(np.apply_along_axis(last_of_commonest, axis, x.array), axis)
    return _picked(return_types.mode, x, places, axis, keepdim)


@numpy_names
def msort(x: Tensor) -> Tensor:
    """The entries in order along the first dim."""
    values: Tensor = sort(x, dim=0).values
    return values


def _quantile(name: str, x: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, counts: Any) -> Tensor:
    """Order statistics at q (n − 1) along dim, interpolated; counts(x) is n for each line."""
    x = check_tensor(name, x)
    if not x.is_floating_point():
        raise DTypeError(f"{name}: input tensor must be either float or double dtype, got {x.dtype!r}")
    fractions = np.asarray(q.array if isinstance(q, Tensor) else q, np.float64)
    if fractions.ndim > 1:
        raise ShapeError(f"{name}: q must be a scalar or 1-D tensor, got {fractions.shape}")
    if ((fractions < 0) | (fractions > 1)).any():
        raise RuntimeError(f"{name}: q values must be in the range [0, 1], got {fractions.tolist()}")
    if interpolation not in ("linear", "lower", "higher", "nearest", "midpoint"):
        raise RuntimeError(
            f"{name}: interpolation must be one of linear, lower, higher, midpoint or nearest, got {interpolation!r}"
        )
    if x.array.size == 0:
        raise RuntimeError(f"{name}: input tensor must be non-empty, got {tuple(x.shape)}")
    ndim, flat = x.array.ndim, dim is None
    if flat:
        x, axis = x.reshape(-1), 0
    else:
        axis = one_dim(name, dim, ndim)
        x = x.reshape(1) if ndim == 0 else x
    ordered = sort(x, dim=axis).values
    place = fractions.reshape((-1,) + (1,) * x.array.ndim) * (np.maximum(counts(x.array, axis), 1) - 1)
    if interpolation == "nearest":
        place = np.rint(place)
    elif interpolation == "lower":
        place = np.floor(place)
    elif interpolation == "higher":
        place = np.ceil(place)
    low, high = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
    share = np.where(high > low, 0.5, 0.0) if interpolation == "midpoint" else place - low
    shape = tuple(1 if i == axis else n for i, n in enumerate(x.array.shape))
    parts = []
    for k in range(len(place)):
        below = gather(ordered, plain(np.array(np.broadcast_to(low[k], shape))), dim=axis)
        above = gather(ordered, plain(np.array(np.broadcast_to(high[k], shape))), dim=axis)
        weight = plain(np.array(np.broadcast_to(share[k], shape), x.array.dtype))
        value = below + where(weight == 0, 0.0, weight * (above - below))
        if flat and keepdim:
            value = value.reshape((1,) * ndim)
        parts.append(value if keepdim and ndim else value.squeeze(axis) if not (flat and keepdim) else value)
    return ops.movement.cat([p.unsqueeze(0) for p in parts], dim=0) if fractions.ndim else parts[0]


@numpy_names
def quantile(
    x: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The q-quantiles along `dim` (None: of all entries); with a 1-D q, its dim comes first.  NaN if any entry is."""
    found = _quantile("quantile", x, q, dim, keepdim, interpolation, lambda a, axis: np.int64(a.shape[axis]))
    missing = np.isnan(x.array)
    if missing.any():
        axis = None if dim is None or x.array.ndim == 0 else one_dim("quantile", dim, x.array.ndim)
        found = where(plain(np.asarray(missing.any(axis, keepdims=keepdim))), float("nan"), found)
    return found


@numpy_names
def nanquantile(
    x: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """As `quantile`, over the entries that are not NaN."""
    return _quantile(
        "nanquantile", x, q, dim, keepdim, interpolation, lambda a, axis: (~np.isnan(a)).sum(axis, keepdims=True)
    )


def _running(kind: type[return_types.Result], x: Tensor, dim: int, ufunc: np.ufunc) -> return_types.Result:
    name = kind.__name__
    axis = one_dim(name, dim, check_tensor(name, x).array.ndim)
    if x.array.ndim == 0:
        return _alone(kind, x)
    array = x.array.astype(np.uint8) if x.array.dtype == bool else x.array
    extreme = ufunc.accumulate(array, axis)
    steps = np.arange(array.shape[axis]).reshape((-1,) + (1,) * (array.ndim - axis - 1))
    # where a new extreme (or a NaN, which stays) is attained; of equals the last
    attained = np.where((array == extreme) | np.isnan(array), steps, 0)
    indices = plain(np.maximum.accumulate(attained, axis))
    return kind((gather(x, indices, dim=axis), indices))


@numpy_names
def cummax(x: Tensor, dim: int) -> return_types.Result:
    """The largest entry so far along `dim`, and the place of its last appearance."""
    return _running(return_types.cummax, x, dim, np.maximum)


@numpy_names
def cummin(x: Tensor, dim: int) -> return_types.Result:
    """The smallest entry so far along `dim`, and the place of its last appearance."""
    return _running(return_types.cummin, x, dim, np.minimum)


@numpy_names
def aminmax(x: Tensor, *, dim: int | None = None, keepdim: bool = False) -> return_types.Result:
    """The smallest and the largest entry over `dim` (None: over all)."""
    low, high = ops.reductions.amin, ops.reductions.amax
    return return_types.aminmax((low(x, dim=dim, keepdim=keepdim), high(x, dim=dim, keepdim=keepdim)))


@numpy_names
def unique(
    x: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The distinct entries (or slices along `dim`), in order; on request their places in x, and their counts."""
    array = check_tensor("unique", x).array
    axis = None if dim is None else one_dim("unique", dim, array.ndim)
    values, inverse, counts = np.unique(array, return_inverse=True, return_counts=True, axis=axis)
    inverse = inverse.reshape(array.shape) if axis is None else inverse.reshape(-1)
    return _as_asked(values, (return_inverse, inverse), (return_counts, counts))


def _as_asked(values: Array, *extras: tuple[bool, Array]) -> Any:
    asked = [plain(extra.astype(np.int64)) for wanted, extra in extras if wanted]
    return (plain(values), *asked) if asked else plain(values)


@numpy_names
def unique_consecutive(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The entries (or slices along `dim`) that differ from the one before; on request their places and run lengths."""
    array = check_tensor("unique_consecutive", x).array
    lines = array.reshape(-1) if dim is None else np.moveaxis(array, one_dim("unique_consecutive", dim, array.ndim), 0)
    starts = np.ones(len(lines), bool)
    starts[1:] = (lines[1:] != lines[:-1]).reshape(max(len(lines) - 1, 0), -1).any(1)
    inverse = np.cumsum(starts) - 1
    counts = np.diff(np.append(np.flatnonzero(starts), len(lines)))
    values = lines[starts] if dim is None else np.moveaxis(lines[starts], 0, dim)
    inverse = inverse.reshape(array.shape) if dim is None else inverse
    return _as_asked(np.ascontiguousarray(values), (return_inverse, inverse), (return_counts, counts))


@numpy_names
def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... appears in a 1-D tensor of integers >= 0; or the sum of their weights."""
    array = check_tensor("bincount", x).array
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array.size and array.min() < 0):
        raise RuntimeError(
            f"bincount: only supports 1-d non-negative integral inputs, got {x.dtype!r} of shape {array.shape}"
        )
    if weights is None:
        return plain(np.bincount(array, minlength=minlength).astype(np.int64))
    if weights.array.shape != array.shape:
        raise ShapeError(f"bincount: weights {weights.array.shape} and input {array.shape} must have the same shape")
    counts = np.bincount(array, weights.array.astype(np.float64), minlength)
    return plain(counts.astype(np.float32 if weights.dtype is dtypes.float32 else np.float64))


def _bins(name: str, array: Array, bins: int, low: float, high: float) -> tuple[float, float]:
    if array.dtype.kind != "f":
        raise DTypeError(f"{name}: needs a floating-point tensor, got {array.dtype}; convert with .float()")
    if bins <= 0:
        raise RuntimeError(f"{name}: bins must be > 0, but got {bins}")
    if low == high == 0 and array.size:
        low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise RuntimeError(f"{name}: the range [{low}, {high}] must be finite, and max must be larger than min")
    return (low - 1.0, high + 1.0) if low == high else (low, high)


@numpy_names
def histc(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many entries fall into each of `bins` equal parts of [min, max] (0, 0: of the range of the entries)."""
    array = check_tensor("histc", x).array
    counts = np.histogram(array, bins, _bins("histc", array, bins, min, max))[0]
    return plain(counts.astype(array.dtype))


@numpy_names
def histogram(
    x: Tensor,
    bins: Any,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> return_types.Result:
    """Counts (or sums of weights) of the entries between bin edges: a number of bins, or a 1-D tensor of edges."""
    array = check_tensor("histogram", x).array
    if isinstance(bins, Tensor):
        edges = bins.array
    else:
        low, high = _bins("histogram", array, bins, *(range or (0, 0)))
        edges = np.linspace(low, high, bins + 1)
    weights = None if weight is None else weight.array.reshape(-1)
    counts = np.histogram(array.reshape(-1), edges, weights=weights, density=density)[0]
    return return_types.histogram((plain(counts.astype(array.dtype)), plain(edges.astype(array.dtype))))


def _side(name: str, right: bool, side: str | None) -> str:
    if side not in (None, "left", "right"):
        raise RuntimeError(f"{name}: side can only be 'left' or 'right' but got {side!r}")
    if side == "left" and right:
        raise RuntimeError(f"{name}: side and right can't be set to opposites, got side of left while right was True")
    return "right" if right or side == "right" else "left"


@numpy_names
def searchsorted(
    sorted_sequence: Tensor,
    values: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where values would stand in the sorted last dim: the first place (right=True: behind the last) of its equals."""
    edges = check_tensor("searchsorted", sorted_sequence, "sorted_sequence").array
    if sorter is not None:
        edges = np.take_along_axis(edges, sorter.array, -1)
    wanted = values.array if isinstance(values, Tensor) else np.asarray(values)
    which: Any = _side("searchsorted", right, side)
    if edges.ndim <= 1:
        found = np.asarray(np.searchsorted(edges, wanted, which))
    elif wanted.shape[:-1] != edges.shape[:-1]:
        raise ShapeError(
            f"searchsorted: boundaries {edges.shape} and values {wanted.shape} must agree in all dims but the last"
        )
    else:
        found = np.empty(wanted.shape, np.int64)
        for place in np.ndindex(edges.shape[:-1]):
            found[place] = np.searchsorted(edges[place], wanted[place], which)
    return plain(found.astype(np.int32 if out_int32 else np.int64))


@numpy_names
def bucketize(x: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket between sorted boundaries that each entry falls into."""
    if boundaries.array.ndim != 1:
        raise ShapeError(f"bucketize: boundaries tensor must be 1 dimension, but got {boundaries.array.shape}")
    return searchsorted(boundaries, x, out_int32=out_int32, right=right)


@numpy_names
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """True where an element is one of `test_elements`."""
    a, b = (v.array if isinstance(v, Tensor) else np.asarray(v) for v in (elements, test_elements))
    return plain(np.isin(a, b, assume_unique=assume_unique, invert=invert))


@numpy_names
def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of the non-zero entries: (n, ndim), or with as_tuple one 1-D tensor for each dim."""
    array = check_tensor("nonzero", x).array
    places = np.nonzero(array if array.ndim or not as_tuple else array.reshape(1)) if array.ndim or as_tuple else ()
    if as_tuple:
        return tuple(plain(p.astype(np.int64)) for p in places)
    if array.ndim == 0:
        return plain(np.zeros((int(bool(array)), 0), np.int64))
    return plain(np.stack(places, 1).astype(np.int64))


@numpy_names
def argwhere(x: Tensor) -> Tensor:
    """The places of the non-zero entries, one row each: (n, ndim)."""
    made: Tensor = nonzero(x)
    return made


@numpy_names
def diff(x: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
    """The n-th differences of neighbours along `dim`."""
    if n < 0:
        raise RuntimeError(f"diff: order must be non-negative but got {n}")
    if check_tensor("diff", x).array.ndim == 0:
        raise ShapeError("diff: expects input to be at least one-dimensional")
    axis = one_dim("diff", dim, x.array.ndim)
    parts = [part for part in (prepend, x, append) if part is not None]
    x = ops.movement.cat(parts, dim=axis) if len(parts) > 1 else x
    before = (slice(None),) * axis
    for _ in range(n):
        low, high = getitem(x, (*before, slice(None, -1))), getitem(x, (*before, slice(1, None)))
        x = plain(high.array ^ low.array) if x.array.dtype == bool else high - low
    return x
