"""Products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import kernels
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.ops.movement import expand, mT, unsqueeze
from tinygrad_edu.ops.registry import Array, op


def inner_sizes_differ(name: str, x: tuple[int, ...], y: tuple[int, ...]) -> str:
    """The words of the commonest mistake, with the likely fix."""
    hint = " Did you mean y.mT?" if x[-1] == y[-1] else " Did you mean x.mT?" if x[-2] == y[-2] else ""
    return (
        f"{name}: x is {x} and y is {y}; x's last dim ({x[-1]}) must equal y's second-last ({y[-2]}).{hint} "
        f"(mat1 and mat2 shapes cannot be multiplied)"
    )


@op(
    symbol="@",
    formula="{x} {y}",
    gradients={"x": "{grad} {y}ᵀ", "y": "{x}ᵀ {grad}"},
    precedence=2.5,
    types="same",
    title="MatMul",
    method=False,
)
def matmul(x: Array, y: Array) -> Array:
    """Matrix product over the last two dims, broadcast over the others.

    x (..., n, k), y (..., k, m) -> out (..., n, m)
    Raises ShapeError when the inner sizes differ.
    Source: Giles (2008), Collected matrix derivative results for algorithmic differentiation.
    """
    if x.ndim < 2 or y.ndim < 2:
        raise ShapeError(f"matmul: needs matrices, got {x.shape} and {y.shape}; unsqueeze a vector into a matrix")
    if x.shape[-1] != y.shape[-2]:
        raise ShapeError(inner_sizes_differ("matmul", x.shape, y.shape))
    if x.ndim > 2 or y.ndim > 2:
        try:
            np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        except ValueError:
            raise ShapeError(
                f"matmul: x is {x.shape} and y is {y.shape}; their leading dims {x.shape[:-2]} and {y.shape[:-2]} do "
                f"not broadcast: sizes must be equal or 1"
            ) from None
    return kernels.matmul(x, y)


def _product_with_turned(grad: Any, y: Any) -> Any:
    """grad yᵀ; of arrays without a detour through the ops, since this runs in every small step."""
    if isinstance(grad, np.ndarray):
        return kernels.matmul(grad, y.swapaxes(-1, -2))
    return matmul(grad, mT(y))


def _turned_with_product(x: Any, grad: Any) -> Any:
    """xᵀ grad."""
    if isinstance(grad, np.ndarray):
        return kernels.matmul(x.swapaxes(-1, -2), grad)
    return matmul(mT(x), grad)


matmul.backward(
    x=lambda grad, y: _product_with_turned(grad, y),
    y=lambda grad, x: _turned_with_product(x, grad),
)


def parse_einsum(equation: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """The subscripts of each operand and of the result, `...` spelled out with capital letters."""
    spec = equation.replace(" ", "")
    left, arrow, right = spec.partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise RuntimeError(f"einsum: {equation!r} names {len(terms)} operands, but {len(shapes)} were given")
    filled, batch = [], ""
    for term, shape in zip(terms, shapes, strict=True):
        extra = len(shape) - len(term.replace("...", ""))
        if extra < 0 or ("..." not in term and extra):
            raise ShapeError(f"einsum: {term!r} of {equation!r} does not have the {len(shape)} dims of {shape}")
        names = "".join(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in spec)[:extra][::-1]
        batch = max(batch, names, key=len)
        filled.append(term.replace("...", names))
    letters = "".join(filled)
    if arrow:
        result = right.replace("...", batch)
    else:
        result = batch + "".join(sorted(c for c in set(letters) - set(batch) if letters.count(c) == 1))
    if not letters.isascii() or any(not c.isalpha() for c in letters):
        raise RuntimeError(f"einsum: invalid subscript in {equation!r}; subscripts are letters, and `...`")
    for c in result:
        if c not in letters or result.count(c) > 1:
            raise RuntimeError(f"einsum: output subscript {c!r} of {equation!r} must appear once, and in an operand")
    sizes: dict[str, int] = {}
    for term, shape in zip(filled, shapes, strict=True):
        for c, n in zip(term, shape, strict=True):
            if sizes.setdefault(c, n) != n and 1 not in (n, sizes[c]):
                raise ShapeError(f"einsum: subscript {c!r} of {equation!r} has sizes {sizes[c]} and {n}")
            sizes[c] = max(sizes[c], n)
    return filled, result


@op(
    symbol="einsum",
    formula="einsum({equation})",
    gradients={"operands": "einsum of {grad} and the others"},
    types="same",
    method=False,
)
def contract(*operands: Array, equation: str) -> Array:
    """Sum of products by Einstein's convention; no subscript may repeat within one operand."""
    terms, result = parse_einsum(equation, [x.shape for x in operands])
    return np.asarray(np.einsum(f"{','.join(terms)}->{result}", *operands, optimize=len(operands) > 1))


def _operand_gradient(grad: Any, i: int, operands: Any, equation: str) -> Any:
    """Swap the operand and the result; subscripts found nowhere else were summed, so their gradient repeats."""
    terms, result = parse_einsum(equation, [x.shape for x in operands])
    mine = terms[i]
    others = [(t, x) for j, (t, x) in enumerate(zip(terms, operands, strict=True)) if j != i]
    available = result + "".join(t for t, _ in others)
    reachable = "".join(c for c in mine if c in available)
    spec = ",".join([result, *(t for t, _ in others)]) + "->" + reachable
    out = contract((grad, *(x for _, x in others)), equation=spec)
    for place, c in enumerate(mine):
        if c not in available:
            out = unsqueeze(out, dim=place)
    # a size of 1 may have been broadcast; the walk sums that back
    return out if len(reachable) == len(mine) else expand(out, shape=_grown(out.shape, operands[i].shape))


def _grown(shape: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n if m == 1 else m for n, m in zip(shape, target, strict=True))


contract.backward(operands=lambda grad, i, operands, equation: _operand_gradient(grad, i, operands, equation))
