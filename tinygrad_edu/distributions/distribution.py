"""Distribution: shapes, checks and the methods that every distribution has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from tinygrad_edu import dtypes
from tinygrad_edu.autograd.modes import no_grad
from tinygrad_edu.creation import tensor
from tinygrad_edu.distributions.constraints import Constraint
from tinygrad_edu.functions.layout import broadcast_tensors
from tinygrad_edu.ops.pointwise import exp
from tinygrad_edu.tensor import Size, Tensor

D = TypeVar("D", bound="Distribution")
Shape = Sequence[int]


class Distribution:
    """A batch of distributions of the same kind.

    batch_shape: one distribution for each of its entries; event_shape: the shape of one draw from one of them.
    `sample(sample_shape)` has the shape sample_shape + batch_shape + event_shape; `log_prob` of it, sample_shape +
    batch_shape. validate_args=False leaves out the checks of parameters and values.
    Raises ValueError for a parameter or a value outside its constraint.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    def __init__(self, batch_shape: Shape = (), event_shape: Shape = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Switch the checks of parameters and values on or off where validate_args is not given."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: needs True or False, got {value!r}")
        Distribution._validate_args = value

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if name not in vars(self) and isinstance(getattr(type(self), name, None), cached_property):
                continue  # computed from another parameter
            value = getattr(self, name)
            if not bool(constraint.check(value).all()):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    def _check_value(self, value: Any) -> None:
        """Raise ValueError unless value is a tensor of a fitting shape within the support."""
        if not self._validate_args:
            return
        name = type(self).__name__
        if not isinstance(value, Tensor):
            raise ValueError(f"{name}: the value argument to log_prob must be a Tensor, got {type(value).__name__}")
        shape, expected = Size(value.shape), self._batch_shape + self._event_shape
        if shape[len(shape) - len(self._event_shape) :] != self._event_shape:
            raise ValueError(
                f"{name}: The right-most size of value must match event_shape: {shape} vs {self._event_shape}."
            )
        for i, j in zip(reversed(shape), reversed(expected), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    f"{name}: Value is not broadcastable with batch_shape+event_shape: {shape} vs {expected}."
                )
        if not bool(self.support.check(value).all()):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(shape)}) to be within the support "
                f"({self.support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def _lacks(self, method: str, instead: str = "") -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} has no {method}{instead}")

    # -- shapes -------------------------------------------------------------------------------------------------------

    @property
    def batch_shape(self) -> Size:
        """The shape over which parameters are batched."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw from one distribution."""
        return self._event_shape

    def expand(self: D, batch_shape: Shape, _instance: D | None = None) -> D:
        """The same distribution with its batch dims expanded to batch_shape, as views."""
        raise self._lacks("expand")

    def _expanded(self: D, names: Sequence[str], batch_shape: Shape, _instance: D | None, extra: Shape = ()) -> D:
        """A copy whose parameters, as far as they are set, are expanded to batch_shape + extra."""
        new = type(self).__new__(type(self)) if _instance is None else _instance
        for name, value in vars(self).items():
            new.__dict__[name] = value.expand((*batch_shape, *extra)) if name in names else value
        new._batch_shape = Size(batch_shape)
        return new

    def _extended_shape(self, sample_shape: Shape = ()) -> Size:
        return Size(sample_shape) + self._batch_shape + self._event_shape

    # -- what each distribution defines -------------------------------------------------------------------------------

    @property
    def arg_constraints(self) -> Mapping[str, Constraint]:
        """The constraint of each parameter, by name."""
        raise self._lacks("arg_constraints", "; define them, {} for none, or pass validate_args=False")

    @property
    def support(self) -> Constraint:
        """The constraint that holds for every draw."""
        raise self._lacks("support", "; define it, or pass validate_args=False")

    @property
    def mean(self) -> Tensor:
        """The mean; batch_shape + event_shape."""
        raise self._lacks("mean")

    @property
    def mode(self) -> Tensor:
        """The likeliest value; batch_shape + event_shape."""
        raise self._lacks("mode")

    @property
    def variance(self) -> Tensor:
        """The variance; batch_shape + event_shape."""
        raise self._lacks("variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation, √variance; batch_shape + event_shape."""
        variance: Any = self.variance
        return variance.sqrt()

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws without gradient; sample_shape + batch_shape + event_shape."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws that carry gradients to the parameters; sample_shape + batch_shape + event_shape."""
        raise self._lacks(
            "rsample", ": its draws have no gradient; use sample, and log_prob times the reward (the score function)"
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of the probability, or of the density, at value; sample_shape + batch_shape."""
        raise self._lacks("log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a draw ≤ value; sample_shape + batch_shape."""
        raise self._lacks("cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile: the x with cdf(x) = value."""
        raise self._lacks("icdf")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution along a new first dim; (k,) + batch_shape, or (k, 1, …, 1)."""
        raise self._lacks("enumerate_support")

    def entropy(self) -> Tensor:
        """The mean of −log_prob; batch_shape."""
        raise self._lacks("entropy")

    def perplexity(self) -> Tensor:
        """exp(entropy); batch_shape."""
        return exp(self.entropy())

    def __repr__(self) -> str:
        values = {name: vars(self)[name] for name in self.arg_constraints if name in vars(self)}
        parts = [f"{name}: {value if value.numel() == 1 else value.shape}" for name, value in values.items()]
        return f"{type(self).__name__}({', '.join(parts)})"


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Numbers and tensors as tensors of one shape; a number takes the dtype of the first tensor.

    Raises ValueError for anything else.
    """
    for value in values:
        if not isinstance(value, (Tensor, int, float)):
            raise ValueError(f"Input arguments must all be numbers or Tensors, got {type(value).__name__}")
    given = [value for value in values if isinstance(value, Tensor)]
    dtype = given[0].dtype if given else dtypes.get_default_dtype()
    return broadcast_tensors(*(v if isinstance(v, Tensor) else tensor(v, dtype=dtype) for v in values))


def sum_rightmost(value: Any, count: int) -> Tensor:
    """The sum over the last `count` dims."""
    return value.reshape((*value.shape[: value.dim() - count], -1)).sum(-1) if count else value
