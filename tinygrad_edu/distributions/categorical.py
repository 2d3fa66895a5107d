"""The categorical distribution."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

from tinygrad_edu.autograd.modes import enable_grad, no_grad
from tinygrad_edu.creation import arange, full
from tinygrad_edu.distributions import constraints
from tinygrad_edu.distributions.distribution import Distribution, Shape
from tinygrad_edu.distributions.probabilities import check_one_given, clamp_probs
from tinygrad_edu.functions.drawing import multinomial
from tinygrad_edu.functions.layout import broadcast_tensors
from tinygrad_edu.functions.legacy import finfo
from tinygrad_edu.functions.reductions import logsumexp, softmax
from tinygrad_edu.ops.pointwise import log
from tinygrad_edu.tensor import Size, Tensor


class Categorical(Distribution):
    """One of k classes, i with the probability pᵢ.

    probs (..., k): pᵢ up to a factor, ≥ 0; or logits (..., k): log pᵢ up to a constant. Draws are int64, (...).
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        check_one_given("Categorical", probs, logits)
        name, given = ("probs", probs) if logits is None else ("logits", logits)
        if not isinstance(given, Tensor):
            raise TypeError(f"Categorical: `{name}` must be a Tensor, got {type(given).__name__}; use tensor(...)")
        if given.ndim < 1:
            raise ValueError(f"Categorical: `{name}` parameter must be at least one-dimensional.")
        if name == "probs":
            self.probs = given / given.sum(-1, keepdim=True)
        else:
            self.logits = given - logsumexp(given, -1, keepdim=True)
        self._num_events = int(given.shape[-1])
        super().__init__(given.shape[:-1], validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Categorical | None = None) -> Categorical:
        """The same distribution with its batch dims expanded to batch_shape, as views."""
        return self._expanded(("probs", "logits"), batch_shape, _instance, extra=(self._num_events,))

    @cached_property
    def probs(self) -> Any:
        """softmax(logits); batch_shape + (k,)."""
        with enable_grad():  # what is kept must have its gradient later, too
            return softmax(self.logits, -1)

    @cached_property
    def logits(self) -> Any:
        """log pᵢ, with pᵢ kept off 0 and 1; batch_shape + (k,)."""
        with enable_grad():
            return log(clamp_probs(self.probs))

    @property
    def param_shape(self) -> Size:
        """The shape of probs and logits."""
        return Size((*self._batch_shape, self._num_events))

    @property
    def support(self) -> constraints.Constraint:
        """The classes 0 to k − 1."""
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Tensor:
        """NaN: classes have no mean."""
        return full(self._extended_shape(), math.nan, dtype=self.probs.dtype)

    @property
    def mode(self) -> Tensor:
        """The likeliest class; batch_shape."""
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Tensor:
        """NaN: classes have no variance."""
        return full(self._extended_shape(), math.nan, dtype=self.probs.dtype)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Classes drawn in proportion to probs, int64; sample_shape + batch_shape."""
        with no_grad():
            rows: Any = self.probs.reshape((-1, self._num_events))
            draws: Any = multinomial(rows, Size(sample_shape).numel(), True)
            return draws.T.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        """logits at the class; sample_shape + batch_shape."""
        self._check_value(value)
        classes, logits = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        chosen: Any = logits.gather(-1, classes[..., :1])
        return chosen.squeeze(-1)

    def entropy(self) -> Tensor:
        """−Σ pᵢ log pᵢ; batch_shape."""
        finite = self.logits.clamp(min=finfo(self.logits.dtype).min)  # 0 · log 0 is 0
        return -(finite * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The classes along a new first dim; (k,) + batch_shape, or (k, 1, …, 1) without expand."""
        values: Any = arange(self._num_events).reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((self._num_events, *self._batch_shape)) if expand else values
