"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_edu.autograd.modes import no_grad
from tinygrad_edu.distributions import constraints
from tinygrad_edu.distributions.distribution import Distribution, Shape, broadcast_all
from tinygrad_edu.functions.drawing import normal, randn
from tinygrad_edu.ops.pointwise import erf, log
from tinygrad_edu.ops.special import erfinv
from tinygrad_edu.tensor import Tensor


class Normal(Distribution):
    """N(loc, scale²), with the density exp(−((x − loc) / scale)² / 2) / (scale √(2π)).

    loc, scale: numbers or tensors that broadcast; scale > 0.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Normal | None = None) -> Normal:
        """The same distribution with its batch dims expanded to batch_shape, as views."""
        return self._expanded(("loc", "scale"), batch_shape, _instance)

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """scale."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """scale²."""
        return self.scale**2

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws without gradient; sample_shape + batch_shape."""
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return normal(self.loc.expand(shape), self.scale.expand(shape))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """loc + scale · ε with ε drawn from N(0, 1), so that gradients reach loc and scale."""
        noise = randn(size=self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + noise * self.scale

    def log_prob(self, value: Any) -> Tensor:
        """−(x − loc)² / (2 scale²) − log scale − ½ log 2π; sample_shape + batch_shape."""
        self._check_value(value)
        return -((value - self.loc) ** 2) / (2 * self.scale**2) - log(self.scale) - 0.5 * math.log(2 * math.pi)

    def cdf(self, value: Any) -> Tensor:
        """½ (1 + erf((x − loc) / (scale √2)))."""
        self._check_value(value)
        return 0.5 * (1 + erf((value - self.loc) / (self.scale * math.sqrt(2))))

    def icdf(self, value: Any) -> Tensor:
        """loc + scale √2 erf⁻¹(2 value − 1)."""
        return self.loc + self.scale * erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        """½ + ½ log 2π + log scale."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + log(self.scale)
