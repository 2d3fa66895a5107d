"""The uniform distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tinygrad_edu.distributions import constraints
from tinygrad_edu.distributions.distribution import Distribution, Shape, broadcast_all
from tinygrad_edu.functions.drawing import rand
from tinygrad_edu.ops.pointwise import log
from tinygrad_edu.tensor import Tensor


class Uniform(Distribution):
    """Every number of [low, high) alike, with the density 1 / (high − low).

    low, high: numbers or tensors that broadcast; low < high.
    """

    has_rsample = True

    def __init__(self, low: Tensor | float, high: Tensor | float, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Uniform | None = None) -> Uniform:
        """The same distribution with its batch dims expanded to batch_shape, as views."""
        return self._expanded(("low", "high"), batch_shape, _instance)

    @property
    def arg_constraints(self) -> Mapping[str, constraints.Constraint]:
        """low < high, said of each."""
        return {"low": constraints.less_than(self.high), "high": constraints.greater_than(self.low)}

    @property
    def support(self) -> constraints.Constraint:
        """[low, high]."""
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        """(high + low) / 2."""
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        """NaN: no value is likelier than another."""
        return math.nan * self.high

    @property
    def stddev(self) -> Tensor:
        """(high − low) / √12."""
        return (self.high - self.low) / math.sqrt(12)

    @property
    def variance(self) -> Tensor:
        """(high − low)² / 12."""
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """low + u (high − low) with u drawn from [0, 1), so that gradients reach low and high."""
        u = rand(size=self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Any) -> Tensor:
        """−log(high − low) inside [low, high), −∞ outside."""
        self._check_value(value)
        inside = ((self.low <= value) & (self.high > value)).to(self.low.dtype)
        return log(inside) - log(self.high - self.low)

    def cdf(self, value: Any) -> Tensor:
        """(x − low) / (high − low), between 0 and 1."""
        self._check_value(value)
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Any) -> Tensor:
        """low + value (high − low)."""
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        """log(high − low)."""
        return log(self.high - self.low)
