"""Helpers over the parameters of a model, and over sequences of different lengths."""

from __future__ import annotations

from tinygrad_edu import missing
from tinygrad_edu.nn.utils import rnn
from tinygrad_edu.nn.utils.clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from tinygrad_edu.nn.utils.vectors import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "rnn",
    "vector_to_parameters",
]

__getattr__ = missing.refusal(__name__, __all__)
