"""Floating-point operations of one forward, by formula: a multiplication and an addition are two."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_edu.autograd.node import Node
from tinygrad_edu.ops.matrix import parse_einsum

FORMULA = (
    "2 per multiply-add of products and convolutions, 1 per entry for what else computes, 0 for what only moves data"
)

MOVES = """
    reshape permute transpose expand squeeze unsqueeze diagonal diagonal_scatter flip roll cat constant_pad tril
    triu index gather index_put index_scatter scatter view_put alias clone cast fill where sliding_windows
    max_pool2d_gather max_unpool2d
""".split()  # noqa: SIM905
PER_ENTRY = {"batch_norm": 7, "layer_norm": 7, "softmax": 5, "log_softmax": 5, "cross_entropy": 5}


def flops(node: Node) -> int:
    """The work of one recorded op, from its shapes.

    matmul (…, n, k) @ (…, k, m): 2·n·k·m per product.  linear: that and one addition per entry of the result.
    conv2d: 2·c/groups·kh·kw per entry of the result.  A recurrent layer: 2·|W| per step and sample.
    A reduction or a pooling: one per entry that goes in.  BatchNorm and LayerNorm: 7 per entry, softmax: 5.
    A ReLU fused into a layer: one more per entry.
    """
    op = node.op
    assert op is not None
    name, size = op.name, math.prod(node.shape)
    shapes: list[tuple[int, ...]] = [np.shape(s) if not hasattr(s, "shape") else tuple(s.shape) for s in node.inputs]
    if name in MOVES or name.endswith(".result"):
        return 0
    if name == "matmul":
        return 2 * size * (shapes[0][-1] if shapes[0] else 1)
    if name in ("linear", "linear_relu"):
        bias = node.inputs[2] is not None
        return size * (2 * shapes[1][-1] + bias + (name == "linear_relu"))
    if name in ("conv2d", "conv2d_bias", "conv2d_relu"):
        bias = len(shapes) > 2 and node.inputs[2] is not None
        return size * (2 * math.prod(shapes[1][1:]) + bias + (name == "conv2d_relu"))
    if name == "conv2d_transpose":
        return math.prod(shapes[0]) * 2 * math.prod(shapes[1][1:])
    if name == "contract":
        return _einsum(node, shapes)
    if name in ("rnn", "lstm", "gru"):
        steps, samples = shapes[0][0], shapes[0][1]
        weight = shapes[op.inputs.index("weight")]
        return steps * samples * (2 * math.prod(weight) + 4 * weight[0])
    if name in PER_ENTRY:
        return PER_ENTRY[name] * math.prod(shapes[0])
    if op.elementwise:
        return size
    return max(size, *(math.prod(s) for s in shapes)) if shapes else size


def _einsum(node: Node, shapes: Sequence[tuple[int, ...]]) -> int:
    """Two for each choice of all subscripts, as a loop over them would take."""
    terms, _ = parse_einsum(str(node.params["equation"]), list(shapes))
    sizes = {c: n for term, shape in zip(terms, shapes, strict=True) for c, n in zip(term, shape, strict=True)}
    return 2 * math.prod(sizes.values())
