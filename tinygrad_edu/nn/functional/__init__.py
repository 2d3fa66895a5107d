"""The layers as functions, with PyTorch's signatures: `import tinygrad_edu.nn.functional as F`."""

from __future__ import annotations

from tinygrad_edu.nn.functional.activation import (
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    tanh,
)
from tinygrad_edu.nn.functional.classification import cross_entropy, nll_loss
from tinygrad_edu.nn.functional.layers import bilinear, conv1d, conv2d, embedding, linear
from tinygrad_edu.nn.functional.normalization import batch_norm, dropout, dropout2d, layer_norm
from tinygrad_edu.nn.functional.pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from tinygrad_edu.nn.functional.regression import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from tinygrad_edu.nn.functional.shape import cosine_similarity, normalize, one_hot, pad

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "elu",
    "embedding",
    "gelu",
    "hardtanh",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softmin",
    "softplus",
    "tanh",
]
