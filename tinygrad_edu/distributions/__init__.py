"""Probability distributions: draws, log-probabilities and divergences, with gradients to their parameters."""

from __future__ import annotations

from tinygrad_edu import missing
from tinygrad_edu.distributions import constraints
from tinygrad_edu.distributions.bernoulli import Bernoulli
from tinygrad_edu.distributions.categorical import Categorical
from tinygrad_edu.distributions.distribution import Distribution
from tinygrad_edu.distributions.independent import Independent
from tinygrad_edu.distributions.kl import kl_divergence, register_kl
from tinygrad_edu.distributions.normal import Normal
from tinygrad_edu.distributions.uniform import Uniform

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Independent",
    "Normal",
    "Uniform",
    "constraints",
    "kl_divergence",
    "register_kl",
]

__getattr__ = missing.refusal(__name__, __all__)
