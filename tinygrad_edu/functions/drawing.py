"""Random tensors: draws from the common distributions, new ones and in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.device import check_device
from tinygrad_edu.errors import DTypeError
from tinygrad_edu.functions.common import check_tensor, new_sizes, numpy_names
from tinygrad_edu.functions.pointwise import fill_
from tinygrad_edu.random import Generator, default_generator
from tinygrad_edu.recording import check_writable, rebind, wrap
from tinygrad_edu.tensor import Tensor


def _source(generator: Generator | None) -> np.random.Generator:
    return (default_generator if generator is None else generator).numpy


def _drawn(values: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    chosen = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    return wrap(np.asarray(values).astype(chosen.dtype)).requires_grad_(requires_grad)


def rand(
    *shape: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Draws from the uniform distribution on [0, 1): rand(2, 3), rand((2, 3)) or rand(size=(2, 3))."""
    wanted = new_sizes("rand", shape, size)
    chosen = dtypes.get_default_dtype() if dtype is None else dtypes.of(dtype)
    if not chosen.is_floating_point:
        raise DTypeError(f"rand: needs a floating-point dtype, got {chosen!r}; use randint")
    # drawn in the wanted precision: rounding a double down to float32 could give 1.0
    kind = np.float32 if chosen is dtypes.float32 else np.float64
    return _drawn(_source(generator).random(wanted, dtype=kind), chosen, device, requires_grad)


def randn(
    *shape: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Draws from the standard normal distribution."""
    if dtype is not None and not dtypes.of(dtype).is_floating_point:
        raise DTypeError(f"randn: needs a floating-point dtype, got {dtype!r}; use randint")
    values = _source(generator).standard_normal(new_sizes("randn", shape, size))
    return _drawn(values, dtype, device, requires_grad)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Draws from N(mean, std²): numbers with a size, or tensors of means and deviations."""
    m, s = (v.array if isinstance(v, Tensor) else v for v in (mean, std))
    if np.any(np.asarray(s) < 0):
        raise RuntimeError(f"normal: expects all elements of std >= 0.0, but found {np.min(s)}")
    if size is None:
        if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
            raise TypeError("normal: numbers need a size: normal(mean, std, size=(2, 3))")
        shape: tuple[int, ...] = np.broadcast_shapes(np.shape(m), np.shape(s))
        if dtype is None:
            dtype = next(v.dtype for v in (mean, std) if isinstance(v, Tensor))
    else:
        shape = new_sizes("normal", (), size)
    draws = _source(generator).standard_normal(shape)
    return _drawn(draws * s + m, dtype, device, requires_grad)


def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers drawn uniformly from [low, high): randint(high, size) or randint(low, high, size); int64."""
    if size is None:
        low, high, size = 0, low, high
    elif low is None or high is None:
        low, high = 0, high if low is None else low
    if high is None or size is None:
        raise TypeError("randint: call it as randint(high, size) or randint(low, high, size)")
    if isinstance(size, int):
        raise TypeError(f"randint: size must be a tuple of ints, not int; write randint({low}, {high}, ({size},))")
    if low >= high:
        raise RuntimeError(f"randint: expects 'from' to be less than 'to', but got from={low} >= to={high}")
    values = _source(generator).integers(int(low), int(high), new_sizes("randint", (), size))
    return _drawn(values, dtypes.int64 if dtype is None else dtype, device, requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The integers 0 to n − 1 in random order, int64."""
    new_sizes("randperm", (n,), None)
    places = _source(generator).permutation(n)
    return _drawn(places, dtypes.int64 if dtype is None else dtype, device, requires_grad)


@numpy_names
def multinomial(
    x: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Places drawn in proportion to each row's weights: (k,) -> (num_samples,), (n, k) -> (n, num_samples)."""
    if x.array.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: prob_dist must be 1 or 2 dim, got {x.array.shape}")
    if not x.is_floating_point():
        raise DTypeError(f"multinomial: only supports floating-point dtypes for input, got: {x.dtype!r}")
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: cannot sample n_sample <= 0 samples, got {num_samples}")
    weights = np.atleast_2d(x.detach().array).astype(np.float64)
    if (weights < 0).any() or not np.isfinite(weights).all() or (weights.sum(1) <= 0).any():
        raise RuntimeError("multinomial: weights must be finite, >= 0, and sum to more than 0 in each row")
    if not replacement and ((weights > 0).sum(1) < num_samples).any():
        raise RuntimeError(
            f"multinomial: cannot draw {num_samples} without replacement from a row with fewer non-zero weights"
        )
    source = _source(generator)
    rows = [source.choice(w.size, num_samples, replace=replacement, p=w / w.sum()) for w in weights]
    out = np.asarray(rows, np.int64)
    return wrap(out[0] if x.array.ndim == 1 else out)


def _probabilities(name: str, p: Any) -> Any:
    values = np.asarray(p.array if isinstance(p, Tensor) else p, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise RuntimeError(f"{name}: expected p in the range [0, 1], but got {values.tolist()}")
    return values


@numpy_names
def bernoulli(x: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """Zeros and ones, where each entry of x (or p) is the probability of a one."""
    if not check_tensor("bernoulli", x).is_floating_point() and p is None:
        raise DTypeError(f"bernoulli: needs floating-point probabilities, got {x.dtype!r}; convert with .float()")
    chances = _probabilities("bernoulli", x if p is None else p)
    return _drawn(_source(generator).random(x.array.shape) < chances, x.dtype, None, False)


@numpy_names
def poisson(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Draws from the Poisson distribution, where each entry of x is a rate."""
    if not check_tensor("poisson", x).is_floating_point() or (x.array < 0).any():
        raise RuntimeError(f"poisson: rates must be floating-point numbers >= 0, got {x.dtype!r}")
    return _drawn(_source(generator).poisson(x.array.astype(np.float64)), x.dtype, None, False)


@numpy_names
def rand_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform draws in the shape and dtype of x."""
    kind = check_tensor("rand_like", x).dtype if dtype is None else dtype
    return rand(size=x.array.shape, dtype=kind, device=device, requires_grad=requires_grad)


@numpy_names
def randn_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal draws in the shape and dtype of x."""
    kind = check_tensor("randn_like", x).dtype if dtype is None else dtype
    return randn(size=x.array.shape, dtype=kind, device=device, requires_grad=requires_grad)


@numpy_names
def randint_like(
    x: Tensor, low: int, high: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Integers from [low, high) (or [0, low)) in the shape and dtype of x."""
    kind = check_tensor("randint_like", x).dtype if dtype is None else dtype
    return randint(low, high, x.array.shape, dtype=kind, device=device, requires_grad=requires_grad)


# -- in place ---------------------------------------------------------------------------------------------------------


def _write(x: Tensor, name: str, values: Any, floats_only: bool = True) -> Tensor:
    check_writable(x, name)
    if floats_only and not x.is_floating_point():
        raise DTypeError(f"{name}_: needs a floating-point tensor, got {x.dtype!r}; use random_ for integers")
    np.copyto(x.array, values, casting="unsafe")
    node = None
    if mode.grad and x.requires_grad:
        node = fill_(wrap(x.array.copy()), 0).node
    rebind(x, node)
    return x


def normal_(x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with draws from N(mean, std²), in place."""
    if std < 0:
        raise RuntimeError(f"normal_: expects std >= 0.0, but found std {std}")
    return _write(x, "normal", _source(generator).standard_normal(x.array.shape) * std + mean)


def uniform_(x: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None, **ends: Any) -> Tensor:
    """Fill with draws from the uniform distribution on [a, b), in place; PyTorch calls the ends `from` and `to`."""
    a, b = ends.pop("from", a), ends.pop("to", b)
    if ends:
        raise TypeError(f"uniform_: unexpected arguments {sorted(ends)}; it takes from, to and generator")
    if a > b:
        raise RuntimeError(f"uniform_: expects to return a [from, to) range, but found from={a} > to={b}")
    return _write(x, "uniform", _source(generator).random(x.array.shape) * (b - a) + a)


def bernoulli_(x: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with zeros and ones, in place; p, a number or a tensor, is the probability of a one."""
    ones = _source(generator).random(x.array.shape) < _probabilities("bernoulli_", p)
    return _write(x, "bernoulli", ones, floats_only=False)


def exponential_(x: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with draws from the exponential distribution of rate lambd, in place."""
    if lambd <= 0:
        raise RuntimeError(f"exponential_: expects lambda > 0.0, but found lambda={lambd}")
    return _write(x, "exponential", _source(generator).standard_exponential(x.array.shape) / lambd)


def geometric_(x: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with draws from the geometric distribution: the number of trials up to the first success, in place."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_: expects p to be in (0, 1), but got p={p}")
    return _write(x, "geometric", _source(generator).geometric(p, x.array.shape), floats_only=False)


def log_normal_(x: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with exp of draws from N(mean, std²), in place."""
    if std <= 0:
        raise RuntimeError(f"log_normal_: expects std > 0.0, but found std={std}")
    return _write(x, "log_normal", np.exp(_source(generator).standard_normal(x.array.shape) * std + mean))


def cauchy_(x: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with draws from the Cauchy distribution, in place."""
    if sigma <= 0:
        raise RuntimeError(f"cauchy_: expects sigma > 0.0, but found sigma={sigma}")
    return _write(x, "cauchy", _source(generator).standard_cauchy(x.array.shape) * sigma + median)


def _most(kind: dtypes.dtype) -> int:
    """One above the largest integer up to which a dtype holds all integers."""
    if kind.is_floating_point:
        return int(2 ** (np.finfo(kind.dtype).nmant + 1)) + 1
    return 2 if kind is dtypes.bool_ else int(np.iinfo(kind.dtype).max)


def random_(
    x: Tensor, low: int = 0, high: int | None = None, *, generator: Generator | None = None, **ends: Any
) -> Tensor:
    """Fill with integers from [low, high), in place: random_(high), random_(low, high), or all the dtype can hold."""
    low, high = ends.pop("from", low), ends.pop("to", high)
    if ends:
        raise TypeError(f"random_: unexpected arguments {sorted(ends)}; it takes from, to and generator")
    if high is None:
        low, high = 0, low or _most(x.dtype)
    if low >= high:
        raise RuntimeError(f"random_: expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _write(x, "random", _source(generator).integers(low, high, x.array.shape), floats_only=False)
