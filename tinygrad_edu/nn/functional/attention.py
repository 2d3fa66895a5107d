"""Attention: each query takes a weighted mean of values, weighted by how well their keys match it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.autograd.modes import composite, mode
from tinygrad_edu.errors import DTypeError, ShapeError
from tinygrad_edu.functions.common import plain
from tinygrad_edu.functions.reductions import softmax
from tinygrad_edu.nn.functional.checks import floating
from tinygrad_edu.nn.functional.dropout import dropout
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.tensor import Tensor


@composite("attention")
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Weighted means of values (Vaswani et al., 2017, section 3.2.1).

    query (..., l, e), key (..., s, e), value (..., s, v) -> (..., l, v)
        softmax(q kᵀ · scale + mask) v        scale: default 1/√e
    attn_mask, broadcast to (..., l, s): booleans, False where a query must not look, or numbers to add.
    is_causal: query i looks at keys 0 to i only.  dropout_p drops weights, always: pass 0 in evaluation.
    enable_gqa: several heads of query share a head of key and value, in the third-last dim.
    A query that may look nowhere gets 0.  Raises ShapeError when the sizes do not fit.
    """
    name = "scaled_dot_product_attention"
    q, k, v = floating(name, query), floating(name, key), floating(name, value)
    if is_causal and attn_mask is not None:
        raise RuntimeError(f"{name}: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        k, v = _shared_heads(q, k), _shared_heads(q, v)
    _check_sizes(name, q, k, v)
    if is_causal:
        attn_mask = plain(np.tri(q.array.shape[-2], k.array.shape[-2], dtype=bool))
    scores = (q * (1 / math.sqrt(q.array.shape[-1]) if scale is None else scale)) @ k.mT
    return attention_weights(name, scores, attn_mask, dropout_p) @ v


def attention_weights(name: str, scores: Tensor, mask: Tensor | None, dropout_p: float = 0.0) -> Tensor:
    """softmax of the scores (..., l, s) over the keys, after masking and before dropout; 0 where all is masked."""
    blind = None
    if mask is not None:
        scores, blind = _masked(name, scores, mask)
    weights = softmax(scores, -1)
    if blind is not None:
        weights = weights.masked_fill(plain(blind), 0.0)
    if mode.grad:
        weights.name = "attention"
    return dropout(weights, dropout_p) if dropout_p else weights


def _masked(name: str, scores: Tensor, mask: Tensor) -> tuple[Tensor, Array | None]:
    """The scores with −∞ where a query must not look; and which queries may look nowhere, whose scores become 0."""
    try:
        fits = np.broadcast_shapes(mask.array.shape, scores.array.shape) == scores.array.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{name}: attn_mask {tuple(mask.shape)} does not broadcast to the scores (..., queries, keys), "
            f"{tuple(scores.shape)}"
        )
    boolean = mask.array.dtype == np.bool_
    if not boolean and mask.array.dtype != scores.array.dtype:
        raise DTypeError(f"{name}: attn_mask is {mask.dtype!r}; it must be bool or match the query's {scores.dtype!r}")
    hidden: Array = np.asarray(~mask.array if boolean else mask.array == -np.inf)
    blind: Array = np.asarray(hidden.all(-1, keepdims=True))
    if boolean:
        scores = scores.masked_fill(plain(hidden & ~blind), float("-inf"))
    else:
        scores = scores + mask
    if not blind.any():
        return scores, None
    return ops.basic.where(plain(blind), 0.0, scores), blind


def _check_sizes(name: str, q: Tensor, k: Tensor, v: Tensor) -> None:
    shapes = f"query {tuple(q.shape)}, key {tuple(k.shape)} and value {tuple(v.shape)}"
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ShapeError(f"{name}: Expected query, key, and value to all be at least 2 dimensional, but got {shapes}")
    if not q.array.dtype == k.array.dtype == v.array.dtype:
        raise DTypeError(
            f"{name}: Expected query, key, and value to have the same dtype, but got {q.dtype!r}, {k.dtype!r} and "
            f"{v.dtype!r}"
        )
    if q.array.shape[-1] != k.array.shape[-1] or k.array.shape[-2] != v.array.shape[-2]:
        raise ShapeError(
            f"{name}: {shapes} do not fit: query and key must have the same last dim, key and value the same number "
            f"of places (second-last dim)"
        )


def _shared_heads(q: Tensor, x: Tensor) -> Tensor:
    """Each head of x repeated for the heads of q that share it."""
    if q.ndim < 3 or x.ndim < 3 or not x.array.shape[-3] or q.array.shape[-3] % x.array.shape[-3]:
        raise ShapeError(
            f"scaled_dot_product_attention: with enable_gqa the heads (third-last dim) of key and value must divide "
            f"those of query, but got {tuple(q.shape)} and {tuple(x.shape)}"
        )
    *lead, heads, places, size = x.array.shape
    times = q.array.shape[-3] // heads
    spread = x.unsqueeze(-3).expand((*lead, heads, times, places, size))
    return spread.reshape((*lead, heads * times, places, size))


def additive_mask(name: str, what: str, mask: Any, dtype: Any) -> Array | None:
    """A mask as numbers to add to scores: −∞ where a boolean one is True (which here means: do not look)."""
    if mask is None:
        return None
    array: Array = mask.array if isinstance(mask, Tensor) else np.asarray(mask)
    if array.dtype == np.bool_:
        return np.where(array, -np.inf, 0.0).astype(dtype)
    if array.dtype.kind != "f":
        raise DTypeError(f"{name}: only bool and floating types of {what} are supported, got {array.dtype}")
    return array.astype(dtype, copy=False)
