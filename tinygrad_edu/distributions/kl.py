"""Kullback-Leibler divergences in closed form."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

from tinygrad_edu.creation import full_like
from tinygrad_edu.distributions.bernoulli import Bernoulli
from tinygrad_edu.distributions.categorical import Categorical
from tinygrad_edu.distributions.distribution import Distribution, sum_rightmost
from tinygrad_edu.distributions.independent import Independent
from tinygrad_edu.distributions.normal import Normal
from tinygrad_edu.distributions.uniform import Uniform
from tinygrad_edu.functions.choosing import where
from tinygrad_edu.nn.functional import softplus
from tinygrad_edu.ops.pointwise import log
from tinygrad_edu.tensor import Tensor

Divergence = Callable[[Any, Any], Tensor]
_DIVERGENCES: dict[tuple[type, type], Divergence] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Divergence], Divergence]:
    """Decorator: kl_divergence(p, q) of these types and their subclasses is this function of p and q.

    Raises TypeError for what is no subclass of Distribution.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"register_kl: Expected {name} to be a Distribution subclass but got {kind}")

    def register(function: Divergence) -> Divergence:
        _DIVERGENCES[type_p, type_q] = function
        return function

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p ‖ q) = Σ or ∫ p(x) log(p(x) / q(x)), how far q is from p; batch_shape.

    Raises NotImplementedError for a pair of types without a formula.
    """
    parents_p, parents_q = type(p).__mro__, type(q).__mro__
    by_p = [pair for pair in product(parents_p, parents_q) if pair in _DIVERGENCES]
    by_q = [(a, b) for b, a in product(parents_q, parents_p) if (a, b) in _DIVERGENCES]
    if not by_p:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}; register one "
            f"with @register_kl, or average p.log_prob(x) - q.log_prob(x) over x = p.sample((n,))"
        )
    if _DIVERGENCES[by_p[0]] is not _DIVERGENCES[by_q[0]]:
        warnings.warn(
            f"Ambiguous kl_divergence({type(p).__name__}, {type(q).__name__}). Please "
            f"register_kl({by_p[0][0].__name__}, {by_q[0][1].__name__})",
            RuntimeWarning,
            stacklevel=2,
        )
    return _DIVERGENCES[by_p[0]](p, q)


@register_kl(Normal, Normal)
def _normal_normal(p: Normal, q: Normal) -> Tensor:
    """½ (σₚ²/σ_q² + (μₚ − μ_q)²/σ_q² − 1 − log(σₚ²/σ_q²))."""
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - log(ratio))


@register_kl(Categorical, Categorical)
def _categorical_categorical(p: Categorical, q: Categorical) -> Tensor:
    """Σ pᵢ (log pᵢ − log qᵢ); 0 where pᵢ is 0, else ∞ where qᵢ is 0."""
    terms = where(q.probs == 0, math.inf, p.probs * (p.logits - q.logits))
    return where(p.probs == 0, 0.0, terms).sum(-1)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli_bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    """p log(p/q) + (1 − p) log((1 − p)/(1 − q)), where −log σ(z) is softplus(−z)."""
    ones = where(q.probs == 0, math.inf, p.probs * (softplus(-q.logits) - softplus(-p.logits)))
    zeros = where(q.probs == 1, math.inf, (1 - p.probs) * (softplus(q.logits) - softplus(p.logits)))
    return where(p.probs == 0, 0.0, ones) + where(p.probs == 1, 0.0, zeros)


@register_kl(Uniform, Uniform)
def _uniform_uniform(p: Uniform, q: Uniform) -> Tensor:
    """log of the ratio of the widths; ∞ where p reaches beyond q."""
    beyond = (q.low > p.low) | (q.high < p.high)
    return where(beyond, math.inf, log((q.high - q.low) / (p.high - p.low)))


@register_kl(Uniform, Normal)
def _uniform_normal(p: Uniform, q: Normal) -> Tensor:
    """−log(width) + log(σ √(2π)) + (width²/12 + (middle − μ)²) / (2σ²)."""
    width, middle = p.high - p.low, (p.high + p.low) / 2
    spread = width**2 / 12 + (middle - q.loc) ** 2
    return log(q.scale * math.sqrt(2 * math.pi) / width) + 0.5 * spread / q.scale**2


@register_kl(Normal, Uniform)
def _normal_uniform(p: Normal, q: Uniform) -> Tensor:
    """∞: a normal distribution reaches beyond every interval."""
    return full_like(p.loc + q.low, math.inf)


@register_kl(Independent, Independent)
def _independent_independent(p: Independent, q: Independent) -> Tensor:
    """The sum over the dims of the event."""
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            f"kl_divergence: both Independent must reinterpret as many dims, got {p.reinterpreted_batch_ndims} and "
            f"{q.reinterpreted_batch_ndims}"
        )
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
