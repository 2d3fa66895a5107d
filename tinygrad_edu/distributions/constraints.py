"""Which values a parameter or a sample may have; `check` says it for each event."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.tensor import Tensor

__all__ = [
    "Constraint",
    "boolean",
    "greater_than",
    "independent",
    "integer_interval",
    "interval",
    "less_than",
    "positive",
    "real",
    "real_vector",
    "simplex",
    "unit_interval",
]


class Constraint:
    """A set of allowed values; is_discrete: they can be counted; event_dim: how many last dims one value has."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        """True for each allowed event of value: a bool tensor of its shape without the last event_dim dims."""
        raise NotImplementedError(f"{type(self).__name__} defines no check")

    def __repr__(self) -> str:
        bounds = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({bounds})"


class Real(Constraint):
    """Every number, infinities too, but NaN."""

    def check(self, value: Any) -> Tensor:
        """value is not NaN."""
        return value == value


class Boolean(Constraint):
    """0 and 1."""

    is_discrete = True

    def check(self, value: Any) -> Tensor:
        """value is 0 or 1."""
        return (value == 0) | (value == 1)


class Simplex(Constraint):
    """Probabilities along the last dim: entries ≥ 0 whose sum is 1."""

    event_dim = 1

    def check(self, value: Any) -> Tensor:
        """Each row of value is ≥ 0 and sums to 1, up to rounding."""
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class GreaterThan(Constraint):
    """Numbers > lower_bound."""

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Any) -> Tensor:
        """value > lower_bound."""
        return value > self.lower_bound


class LessThan(Constraint):
    """Numbers < upper_bound."""

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Any) -> Tensor:
        """value < upper_bound."""
        return value < self.upper_bound


class Interval(Constraint):
    """Numbers in [lower_bound, upper_bound]."""

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Any) -> Tensor:
        """lower_bound ≤ value ≤ upper_bound."""
        return (value >= self.lower_bound) & (value <= self.upper_bound)


class IntegerInterval(Interval):
    """Whole numbers in [lower_bound, upper_bound]."""

    is_discrete = True

    def check(self, value: Any) -> Tensor:
        """value is whole, and lower_bound ≤ value ≤ upper_bound."""
        return (value % 1 == 0) & super().check(value)


class IndependentConstraint(Constraint):
    """A constraint that must hold for all entries of the last reinterpreted_batch_ndims dims together."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Whether the values of the base constraint can be counted."""
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """The event dims of the base constraint, and the reinterpreted ones."""
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Any) -> Tensor:
        """The base constraint holds for every entry of the event.  Raises ValueError for too few dims."""
        valid: Any = self.base_constraint.check(value)
        if valid.dim() < self.reinterpreted_batch_ndims:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        return valid.reshape((*valid.shape[: valid.dim() - self.reinterpreted_batch_ndims], -1)).all(-1)


boolean = Boolean()
real = Real()
simplex = Simplex()
positive = GreaterThan(0.0)
unit_interval = Interval(0.0, 1.0)
greater_than, less_than, interval, integer_interval = GreaterThan, LessThan, Interval, IntegerInterval
independent = IndependentConstraint
real_vector = independent(real, 1)
