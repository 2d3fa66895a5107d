"""Multi-head attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.creation import empty, zeros
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.functions.common import plain
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn import init
from tinygrad_edu.nn.functional.attention import additive_mask, attention_weights
from tinygrad_edu.nn.linear import Linear
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.parameter import Parameter
from tinygrad_edu.ops.movement import cat
from tinygrad_edu.tensor import Tensor


class AttentionError(ShapeError, AssertionError):
    """Shapes that do not fit, where PyTorch raises AssertionError."""


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear under the name that PyTorch prints for the output of its attention."""


class MultiheadAttention(Module):
    """Several attentions side by side, each in a part of the features (Vaswani et al., 2017, section 3.2.2).

    query (l, n, e), key (s, n, kdim), value (s, n, vdim), or the batch first with batch_first, or without the batch
    -> output like query, and weights (n, l, s), (l, s) without a batch
        head_h = softmax(q_h k_hᵀ / √d) v_h        q, k, v = query W_qᵀ, key W_kᵀ, value W_vᵀ, cut into heads of d = e/h
        output = (head_1, ..., head_h) W_outᵀ
    `in_proj_weight` (3e, e) holds W_q, W_k and W_v one below the other, or `q_proj_weight`, `k_proj_weight` and
    `v_proj_weight` do if kdim or vdim differ from e; they start Xavier-uniform, the biases at 0.
    dropout: of weights, in training.  add_bias_kv, add_zero_attn: one key and value more, learned or 0.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} "
                f"instead"
            )
        if embed_dim % num_heads:
            raise AssertionError(f"embed_dim must be divisible by num_heads, got {embed_dim} and {num_heads}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        options = {"device": device, "dtype": dtype}
        shapes: dict[str, tuple[int, ...] | None] = {
            "q_proj_weight": (embed_dim, embed_dim),
            "k_proj_weight": (embed_dim, self.kdim),
            "v_proj_weight": (embed_dim, self.vdim),
            "in_proj_weight": None,
            "in_proj_bias": (3 * embed_dim,) if bias else None,
        }
        if self._qkv_same_embed_dim:
            shapes |= dict.fromkeys(("q_proj_weight", "k_proj_weight", "v_proj_weight"))
            shapes["in_proj_weight"] = (3 * embed_dim, embed_dim)
        for name, shape in shapes.items():
            self.register_parameter(name, None if shape is None else Parameter(empty(shape, **options)))
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, device, dtype)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, Parameter(empty((1, 1, embed_dim), **options)) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            weight = getattr(self, name)
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The output, and the weights if need_weights, as the mean over the heads unless average_attn_weights=False.

        key_padding_mask (n, s), attn_mask (l, s) or (n · heads, l, s): True where a key must not be looked at, or
        numbers to add to the scores.  is_causal says that attn_mask is the causal one, which must be given.
        """
        if is_causal and attn_mask is None:
            raise RuntimeError(
                "MultiheadAttention: Need attn_mask if specifying the is_causal hint. Make it with "
                "nn.Transformer.generate_square_subsequent_mask"
            )
        unbatched = self._check_dims(query, key, value, key_padding_mask, attn_mask)
        batch = 1 if not unbatched and not self.batch_first else 0
        rows = {id(x): x for x in (query, key, value)}  # the same tensor once, so that it is projected once
        rows = {k: x.unsqueeze(0) if unbatched else x.transpose(0, 1) if batch else x for k, x in rows.items()}
        q, k, v = self._projected(*(rows[id(x)] for x in (query, key, value)))
        n, length, sources = q.array.shape[0], q.array.shape[1], k.array.shape[1]
        mask = self._mask(key_padding_mask, attn_mask, n, length, sources, q.array.dtype)
        k, v = self._with_extras(k, self.bias_k), self._with_extras(v, self.bias_v)
        if mask is not None:  # whatever was added may be looked at
            added = k.array.shape[1] - sources
            mask = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, added)]) if added else mask
        q, k, v = (x.reshape((n, -1, self.num_heads, self.head_dim)).transpose(1, 2) for x in (q, k, v))
        drop = self.dropout if self.training else 0.0
        scores = (q * self.head_dim**-0.5) @ k.mT
        weights = attention_weights("MultiheadAttention", scores, None if mask is None else plain(mask), drop)
        heads = (weights @ v).transpose(1, 2).reshape((n, length, self.embed_dim))
        output = F.linear(heads, self.out_proj.weight, self.out_proj.bias)
        output = output.squeeze(0) if unbatched else output.transpose(0, 1) if batch else output
        if not need_weights:
            return output, None
        shown = weights.mean(1) if average_attn_weights else weights
        return output, shown.squeeze(0) if unbatched else shown

    def _projected(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v (n, ..., e): one product if they are the same tensor and share one weight."""
        e = self.embed_dim
        biases = (None, None, None) if self.in_proj_bias is None else self.in_proj_bias.split(e)
        if not self._qkv_same_embed_dim:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        elif q is k is v:
            return F.linear(q, self.in_proj_weight, self.in_proj_bias).split(e, -1)
        else:
            weights = self.in_proj_weight.split(e)
        made = [F.linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True)]
        return made[0], made[1], made[2]

    def _with_extras(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Keys or values (n, s, e) and what add_bias_kv and add_zero_attn put behind them."""
        n = x.array.shape[0]
        extras = [] if bias is None else [bias.expand((n, 1, self.embed_dim))]
        if self.add_zero_attn:
            extras.append(zeros((n, 1, self.embed_dim), dtype=x.dtype))
        return cat([x, *extras], dim=1) if extras else x

    def _mask(self, padding: Any, mask: Any, n: int, length: int, sources: int, dtype: Any) -> Any:
        """Both masks as numbers to add to the scores (n, heads, l, s); None without any."""
        name = "MultiheadAttention"
        total = additive_mask(name, "attn_mask", mask, dtype)
        if total is not None:
            if total.ndim == 2 and total.shape != (length, sources):
                raise ShapeError(
                    f"{name}: The shape of the 2D attn_mask is {total.shape}, but should be {(length, sources)}."
                )
            if total.ndim == 3:
                wanted = (n * self.num_heads, length, sources)
                if total.shape != wanted:
                    raise ShapeError(f"{name}: The shape of the 3D attn_mask is {total.shape}, but should be {wanted}.")
                total = total.reshape(n, self.num_heads, length, sources)
        hidden = additive_mask(name, "key_padding_mask", padding, dtype)
        if hidden is None:
            return total
        if hidden.reshape(-1, hidden.shape[-1]).shape != (n, sources):
            raise ShapeError(f"{name}: Expected key_padding_mask.shape (n, s) = {(n, sources)}, but got {hidden.shape}")
        hidden = hidden.reshape(n, 1, 1, sources)
        return hidden if total is None else total + hidden

    def _check_dims(self, query: Tensor, key: Tensor, value: Tensor, padding: Any, mask: Any) -> bool:
        """True for input without a batch.  Raises AttentionError for dims that do not fit."""
        name, shapes = "MultiheadAttention", f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise AttentionError(
                f"{name}: query, key and value should be unbatched 2D or batched 3D tensors alike, but received "
                f"{shapes}"
            )
        if padding is not None and padding.ndim != query.ndim - 1:
            raise AttentionError(
                f"{name}: For {query.ndim}-D query, expected key_padding_mask to be None or {query.ndim - 1}-D but "
                f"found {padding.ndim}-D tensor instead"
            )
        if mask is not None and mask.ndim not in (2, 3):
            raise AttentionError(f"{name}: expected attn_mask to be None, 2-D or 3-D but found {mask.ndim}-D instead")
        sizes = (query.array.shape[-1], key.array.shape[-1], value.array.shape[-1])
        if sizes != (self.embed_dim, self.kdim, self.vdim):
            raise AttentionError(
                f"{name}: was expecting embedding dimensions of {(self.embed_dim, self.kdim, self.vdim)} for query, "
                f"key and value, but got {sizes}"
            )
        place = 0 if self.batch_first else 1
        batches = {x.array.shape[place] for x in (query, key, value)} if query.ndim == 3 else set()
        places = {x.array.shape[0 if query.ndim == 2 else 1 - place] for x in (key, value)}
        if len(batches) > 1 or len(places) > 1:
            raise AttentionError(
                f"{name}: {shapes}: key's sequence and batch dims do not match value's, or query's batch; the batch is "
                f"dim {place} (batch_first={self.batch_first})"
            )
        return query.ndim == 2
