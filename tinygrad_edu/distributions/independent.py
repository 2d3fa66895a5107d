"""Independent: batch dims read as dims of one event."""

from __future__ import annotations

from collections.abc import Mapping

from tinygrad_edu.distributions import constraints
from tinygrad_edu.distributions.distribution import Distribution, Shape, sum_rightmost
from tinygrad_edu.tensor import Tensor


class Independent(Distribution):
    """A distribution whose last reinterpreted_batch_ndims batch dims belong to the event: log_prob sums over them.

    Independent(Normal(loc (..., n), scale), 1) is the normal distribution of vectors (n,) with independent entries.
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        batch = base_distribution.batch_shape
        if not 0 <= reinterpreted_batch_ndims <= len(batch):
            raise ValueError(
                f"Independent: Expected 0 <= reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                f"{reinterpreted_batch_ndims} vs {len(batch)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        kept = len(batch) - reinterpreted_batch_ndims
        super().__init__(batch[:kept], batch[kept:] + base_distribution.event_shape, validate_args)

    def expand(self, batch_shape: Shape, _instance: Independent | None = None) -> Independent:
        """The same distribution with its batch dims expanded to batch_shape, as views."""
        new = self._expanded((), batch_shape, _instance)
        new.base_dist = self.base_dist.expand((*batch_shape, *self.event_shape[: self.reinterpreted_batch_ndims]))
        return new

    @property
    def arg_constraints(self) -> Mapping[str, constraints.Constraint]:
        """None: the base distribution has checked its own."""
        return {}

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether the base distribution has rsample."""
        return self.base_dist.has_rsample

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """Whether the base distribution has enumerate_support, and no dim is reinterpreted."""
        return self.reinterpreted_batch_ndims == 0 and self.base_dist.has_enumerate_support

    @property
    def support(self) -> constraints.Constraint:
        """The base distribution's, for all entries of the event."""
        return constraints.independent(self.base_dist.support, self.reinterpreted_batch_ndims)

    @property
    def mean(self) -> Tensor:
        """The base distribution's mean."""
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        """The base distribution's mode."""
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        """The base distribution's variance, entry by entry."""
        return self.base_dist.variance

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws without gradient; sample_shape + batch_shape + event_shape."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws that carry gradients; sample_shape + batch_shape + event_shape."""
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum of the base distribution's log_prob over the reinterpreted dims; sample_shape + batch_shape."""
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        """The sum of the base distribution's entropy over the reinterpreted dims; batch_shape."""
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The base distribution's, if no dim is reinterpreted; else NotImplementedError."""
        if self.reinterpreted_batch_ndims > 0:
            raise self._lacks("enumerate_support", " over several dims; use itertools.product over base_dist's values")
        return self.base_dist.enumerate_support(expand=expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"
