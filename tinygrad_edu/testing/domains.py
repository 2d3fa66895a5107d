"""What each op may be called with.  Elementwise ops need nothing here; every other op has a sampler, found by name.

An op with neither fails the property test by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.ops.registry import Array, Op
from tinygrad_edu.testing.choosers import Chooser, an_index, broadcast_shapes_of, distinct, shape_of, values

Inputs = tuple[list[Array], dict[str, Any]]
Sampler = Callable[[Chooser], Inputs]

_samplers: dict[str, Sampler] = {}


def inputs_for(*declared: Op) -> Callable[[Sampler], Sampler]:
    """Declare how the inputs and parameters of these ops are drawn."""

    def register(sampler: Sampler) -> Sampler:
        for op in declared:
            _samplers[op.name] = sampler
        return sampler

    return register


def draw_inputs(op: Op, choose: Chooser) -> Inputs:
    """Inputs and parameters of `op`.  Raises LookupError, naming the op, when it declares no domain."""
    if op.name in _samplers:
        arrays, params = _samplers[op.name](choose)
    elif op.elementwise:
        shapes = broadcast_shapes_of(choose, len(op.inputs))
        arrays = [
            choose.generator().random(shape) < 0.5 if name == "condition" else values(choose, shape, _domain(op, name))
            for name, shape in zip(op.inputs, shapes, strict=True)
        ]
        params = _PARAMS[op.name](choose) if op.name in _PARAMS else {}
    else:
        raise LookupError(
            f"op {op.name!r} declares no domain: make it elementwise, or register a sampler with "
            f"@testing.inputs_for({op.name})"
        )
    arrays = [np.asarray(array) for array in arrays]  # a 0-d draw may be a NumPy scalar
    for array in arrays:
        array.flags.writeable = False
    return arrays, params


def _domain(op: Op, name: str) -> Any:
    return op.domain.get(name, (-3.0, 3.0))


_PARAMS: dict[str, Callable[[Chooser], dict[str, Any]]] = {
    "power": lambda choose: {"exponent": choose.choice([0, 1, 2, 3, -1, 0.5, -2.5])},
    "clamp": lambda choose: choose.choice([{"min": -1.01}, {"max": 0.99}, {"min": -0.501, "max": 1.502}]),
    "cast": lambda choose: {"dtype": np.float64, "source": np.float64},
    "fill": lambda choose: {"value": 2.5},
    "digamma_derivative": lambda choose: {"n": choose.integer(0, 2)},
}

m = ops.movement


def _matrix(choose: Chooser, **sides: Any) -> Array:
    return values(choose, shape_of(choose, min_dims=2, **sides))


def _some_dims(choose: Chooser, ndim: int) -> Any:
    """None, one dim, or several, counted from either end."""
    kind = choose.integer(0, 2)
    if kind == 0 or ndim == 0:
        return None
    first = choose.integer(-ndim, ndim - 1)
    if kind == 1:
        return first
    return tuple(sorted({first % ndim, choose.integer(0, ndim - 1)}))


@inputs_for(ops.reductions.sum)
def _sum(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose))
    return [x], {"dim": _some_dims(choose, x.ndim), "keepdim": choose.choice([False, True])}


@inputs_for(ops.reductions.mean)
def _mean(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_side=1))
    return [x], {"dim": _some_dims(choose, x.ndim), "keepdim": choose.choice([False, True])}


@inputs_for(ops.reductions.amax, ops.reductions.amin)
def _extreme(choose: Chooser) -> Inputs:
    x = distinct(choose, shape_of(choose, min_side=1))
    return [x], {"dim": _some_dims(choose, x.ndim), "keepdim": choose.choice([False, True])}


@inputs_for(ops.reductions.prod)
def _prod(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, max_side=3), (-2.0, 2.0)).copy()
    if x.size and choose.integer(0, 2) == 0:
        x.flat[0] = 0.0  # the derivative of a product with a zero in it
    dim = choose.choice([None, *range(-x.ndim, x.ndim)])
    return [x], {"dim": dim, "keepdim": choose.choice([False, True])}


@inputs_for(ops.reductions.cumsum)
def _cumsum(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=1))
    return [x], {"dim": choose.integer(-x.ndim, x.ndim - 1)}


@inputs_for(ops.matrix.matmul)
def _matmul(choose: Chooser) -> Inputs:
    n, k, m_ = (choose.integer(0, 4) for _ in range(3))
    batch = broadcast_shapes_of(choose, 2)
    return [values(choose, (*batch[0], n, k)), values(choose, (*batch[1], k, m_))], {}


@inputs_for(ops.matrix.contract)
def _contract(choose: Chooser) -> Inputs:
    equation = choose.choice(
        ["ij,jk->ik", "bij,bjk->bik", "i,j->ij", "ij->j", "ij,ij->", "ijk->ki", "i,ij,j->", "...i,...i->..."]
    )
    sizes = {c: choose.integer(1, 3) for c in "bijk"}
    terms = equation.split("->")[0].split(",")
    batch = (2,) * choose.integer(0, 1)
    shapes = [(batch if "..." in t else ()) + tuple(sizes[c] for c in t if c != ".") for t in terms]
    return [values(choose, shape) for shape in shapes], {"equation": equation}


@inputs_for(m.reshape)
def _reshape(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_side=1))
    return [x], {"shape": choose.choice([(-1,), x.shape, x.shape[::-1], (1, -1), (*x.shape, 1)])}


@inputs_for(m.permute)
def _permute(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose))
    return [x], {"dims": tuple(int(d) - x.ndim * choose.integer(0, 1) for d in choose.generator().permutation(x.ndim))}


@inputs_for(m.transpose)
def _transpose(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=1))
    return [x], {"dim0": choose.integer(-x.ndim, x.ndim - 1), "dim1": choose.integer(-x.ndim, x.ndim - 1)}


@inputs_for(m.expand)
def _expand(choose: Chooser) -> Inputs:
    full = shape_of(choose)
    own = tuple(1 if choose.integer(0, 1) else n for n in full)
    return [values(choose, own)], {"shape": (*(2,) * choose.integer(0, 1), *full)}


@inputs_for(m.sum_to)
def _sum_to(choose: Chooser) -> Inputs:
    full = shape_of(choose)
    cut = choose.integer(0, len(full))
    return [values(choose, full)], {"shape": tuple(1 if choose.integer(0, 1) else n for n in full[cut:])}


@inputs_for(m.squeeze)
def _squeeze(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, max_side=2))
    return [x], {"dim": _some_dims(choose, x.ndim)}


@inputs_for(m.unsqueeze)
def _unsqueeze(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose))
    return [x], {"dim": choose.integer(-x.ndim - 1, x.ndim)}


@inputs_for(m.diagonal)
def _diagonal(choose: Chooser) -> Inputs:
    x = _matrix(choose)
    first = choose.integer(0, x.ndim - 1)
    return [x], {"offset": choose.integer(-2, 2), "dim1": first, "dim2": (first + 1) % x.ndim}


@inputs_for(m.diagonal_scatter)
def _diagonal_scatter(choose: Chooser) -> Inputs:
    shape, offset = (choose.integer(1, 4), choose.integer(1, 4)), choose.integer(-2, 2)
    return [values(choose, np.zeros(shape).diagonal(offset).shape)], {"shape": shape, "offset": offset}


@inputs_for(m.flip)
def _flip(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=1))
    return [x], {"dims": (choose.integer(-x.ndim, x.ndim - 1),)}


@inputs_for(m.roll)
def _roll(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=1))
    shift = choose.integer(-5, 5)
    return [x], choose.choice([{"shifts": shift, "dims": None}, {"shifts": (shift, 1), "dims": (0, x.ndim - 1)}])


@inputs_for(m.cat)
def _cat(choose: Chooser) -> Inputs:
    shape = list(shape_of(choose, min_dims=1))
    dim = choose.integer(-len(shape), len(shape) - 1)
    parts = []
    for _ in range(choose.integer(1, 3)):
        shape[dim] = choose.integer(0, 3)
        parts.append(values(choose, shape))
    return parts, {"dim": dim}


@inputs_for(m.constant_pad)
def _pad(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_side=2))
    padding = tuple((choose.integer(-1, 2), choose.integer(-1, 2)) for _ in range(x.ndim))
    return [x], {"padding": padding, "value": 1.5}


@inputs_for(m.tril, m.triu)
def _triangle(choose: Chooser) -> Inputs:
    return [_matrix(choose)], {"diagonal": choose.integer(-2, 2)}


@inputs_for(ops.indexing.index)
def _index(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=2, min_side=2))
    return [x], {"index": an_index(choose, x.shape)}


@inputs_for(ops.indexing.index_scatter)
def _index_scatter(choose: Chooser) -> Inputs:
    shape = shape_of(choose, min_dims=2, min_side=2)
    index = an_index(choose, shape)
    return [values(choose, np.zeros(shape)[index].shape)], {"shape": shape, "index": index}


@inputs_for(ops.indexing.index_put)
def _index_put(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=2, min_side=2))
    # distinct places: with repeated ones the last write wins, and the gradient of the lost writes is not defined
    rows = choose.generator().permutation(x.shape[0])[:2]
    index = choose.choice([(1,), (Ellipsis, slice(0, 2)), (rows,), (choose.generator().random(x.shape) < 0.5,)])
    part = x[index].shape
    return [x, values(choose, choose.choice([part, (), (1, *part), part[-1:]]))], {"index": index}


@inputs_for(ops.indexing.view_put)
def _view_put(choose: Chooser) -> Inputs:
    x = values(choose, (3, 4))
    steps = choose.choice(
        [
            ((m.transpose, {"dim0": 0, "dim1": 1}),),
            ((m.reshape, {"shape": (-1,)}), (ops.indexing.index, {"index": (slice(2, 9),)})),
            ((m.diagonal, {"offset": 1}),),
        ]
    )
    return [x, values(choose, ops.indexing.follow(x, steps).shape)], {"steps": steps}


def _places(choose: Chooser, shape: tuple[int, ...], dim: int, unique: bool) -> Array:
    n = shape[dim]
    rng = choose.generator()
    if unique:
        return np.argsort(rng.random(shape), axis=dim)[tuple(slice(max(k - 1, 1)) for k in shape)]
    sides = [choose.integer(1, k) for k in shape]
    sides[dim] = choose.integer(1, n + 2)
    return rng.integers(0, n, sides)


@inputs_for(ops.indexing.gather)
def _gather(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=1, min_side=1))
    dim = choose.integer(0, x.ndim - 1)
    return [x, _places(choose, x.shape, dim, unique=False)], {"dim": dim}


@inputs_for(ops.indexing.scatter_add)
def _scatter_add(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=1, min_side=1))
    dim = choose.integer(0, x.ndim - 1)
    index = _places(choose, x.shape, dim, unique=False)
    return [x, index, values(choose, tuple(n + choose.integer(0, 1) for n in index.shape))], {"dim": dim}


@inputs_for(ops.indexing.scatter)
def _scatter(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=1, min_side=1))
    dim = choose.integer(0, x.ndim - 1)
    index = _places(choose, x.shape, dim, unique=True)
    return [x, index, values(choose, choose.choice([index.shape, ()]))], {"dim": dim}
