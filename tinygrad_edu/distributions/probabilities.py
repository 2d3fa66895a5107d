"""What distributions given by probs or by logits share."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.functions.legacy import finfo
from tinygrad_edu.tensor import Tensor


def check_one_given(name: str, probs: Any, logits: Any) -> None:
    """Raise ValueError unless exactly one of the two is given."""
    if (probs is None) == (logits is None):
        raise ValueError(f"{name}: Either `probs` or `logits` must be specified, but not both.")


def clamp_probs(probs: Any) -> Tensor:
    """Probabilities in [eps, 1 − eps], where their logs are finite; eps is the dtype's."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)
