"""The Bernoulli distribution."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

from tinygrad_edu.autograd.modes import enable_grad, no_grad
from tinygrad_edu.creation import tensor
from tinygrad_edu.distributions import constraints
from tinygrad_edu.distributions.distribution import Distribution, Shape, broadcast_all
from tinygrad_edu.distributions.probabilities import check_one_given, clamp_probs
from tinygrad_edu.functions.choosing import where
from tinygrad_edu.functions.drawing import bernoulli
from tinygrad_edu.nn.functional import binary_cross_entropy_with_logits
from tinygrad_edu.ops.pointwise import log, log1p, sigmoid
from tinygrad_edu.tensor import Size, Tensor


class Bernoulli(Distribution):
    """1 with probability p, 0 with probability 1 − p.

    probs: p, in [0, 1]; or logits: log(p / (1 − p)); a number or a tensor. Draws are of their dtype.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(
        self,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        check_one_given("Bernoulli", probs, logits)
        if probs is not None:
            (self.probs,) = broadcast_all(probs)
        else:
            (self.logits,) = broadcast_all(logits)
        super().__init__(self.param_shape, validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Bernoulli | None = None) -> Bernoulli:
        """The same distribution with its batch dims expanded to batch_shape, as views."""
        return self._expanded(("probs", "logits"), batch_shape, _instance)

    @cached_property
    def probs(self) -> Any:
        """σ(logits)."""
        with enable_grad():  # what is kept must have its gradient later, too
            return sigmoid(self.logits)

    @cached_property
    def logits(self) -> Any:
        """log(p / (1 − p)), with p kept off 0 and 1."""
        with enable_grad():
            p = clamp_probs(self.probs)
            return log(p) - log1p(-p)

    @property
    def param_shape(self) -> Size:
        """The shape of probs or logits."""
        return Size((self.probs if "probs" in vars(self) else self.logits).shape)

    @property
    def mean(self) -> Tensor:
        """p."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """1 for p > ½, 0 for p < ½, NaN for p = ½."""
        likelier = (self.probs > 0.5).to(self.probs.dtype)
        return where(self.probs == 0.5, math.nan, likelier)

    @property
    def variance(self) -> Tensor:
        """p (1 − p)."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws of 0 and 1, without gradient; sample_shape + batch_shape."""
        with no_grad():
            return bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        """x log p + (1 − x) log(1 − p), from the logits; sample_shape + batch_shape."""
        self._check_value(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        """−p log p − (1 − p) log(1 − p); batch_shape."""
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 and 1 along a new first dim; (2,) + batch_shape, or (2, 1, …, 1) without expand."""
        values: Any = tensor([0, 1], dtype=self.probs.dtype).reshape((2,) + (1,) * len(self._batch_shape))
        return values.expand((2, *self._batch_shape)) if expand else values
