"""What the ops of linear algebra and of sliding windows may be called with."""

from __future__ import annotations

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.testing.choosers import Chooser, distinct, shape_of, values
from tinygrad_edu.testing.domains import Inputs, inputs_for


def _batch(choose: Chooser) -> tuple[int, ...]:
    return choose.choice([(), (), (2,), (0,)])


def _regular(choose: Chooser, positive: bool = False) -> Array:
    """Well-conditioned square matrices: twice the unit matrix and a little more; symmetric on demand."""
    n = choose.integer(1, 4)
    noise = values(choose, (*_batch(choose), n, n), (-0.3, 0.3))
    if positive:
        noise = (noise + np.swapaxes(noise, -1, -2)) / 2
    return np.asarray(noise + 2.0 * np.eye(n))


@inputs_for(ops.linalg.inv, ops.linalg.det, ops.linalg.logabsdet)
def _square(choose: Chooser) -> Inputs:
    return [_regular(choose)], {}


@inputs_for(ops.linalg.solve)
def _system(choose: Chooser) -> Inputs:
    x = _regular(choose)
    return [x, values(choose, (*x.shape[:-1], choose.integer(0, 3)))], {}


@inputs_for(ops.linalg.cholesky)
def _positive(choose: Chooser) -> Inputs:
    return [_regular(choose, positive=True)], {}


@inputs_for(ops.linalg.eigh_values, ops.linalg.eigh_vectors)
def _with_gaps(choose: Chooser) -> Inputs:
    """Symmetric, with eigenvalues near 1, 2, 3, ...: where two meet, eigenvectors have no derivative."""
    x = _regular(choose, positive=True)
    n = x.shape[-1]
    return [np.asarray((x - 2.0 * np.eye(n)) * 0.3 + np.diag(np.arange(1.0, n + 1)))], {}


@inputs_for(ops.linalg.pinv)
def _full_rank(choose: Chooser) -> Inputs:
    n, m = choose.integer(1, 4), choose.integer(1, 4)
    noise = values(choose, (*choose.choice([(), (2,)]), n, m), (-0.2, 0.2))
    return [np.asarray(noise + 2.0 * np.eye(n, m))], {}


@inputs_for(ops.reductions.cumprod)
def _cumprod(choose: Chooser) -> Inputs:
    x = values(choose, shape_of(choose, min_dims=1), (-2.0, 2.0)).copy()
    if x.size and choose.integer(0, 2) == 0:
        x.flat[0] = 0.0  # the derivative of a product with a zero in it
    return [x], {"dim": choose.integer(-x.ndim, x.ndim - 1)}


def _windows(choose: Chooser) -> tuple[Array, dict[str, int]]:
    x = distinct(choose, shape_of(choose, min_dims=1, min_side=1))
    dim = choose.integer(-x.ndim, x.ndim - 1)
    return x, {"dimension": dim, "size": choose.integer(1, x.shape[dim]), "step": choose.integer(1, 3)}


@inputs_for(ops.windows.sliding_windows)
def _sliding(choose: Chooser) -> Inputs:
    x, options = _windows(choose)
    return [x], options


@inputs_for(ops.windows.fold_windows)
def _fold(choose: Chooser) -> Inputs:
    x, options = _windows(choose)
    shape = ops.windows.sliding_windows.forward(x, **options).shape
    return [values(choose, shape)], {"shape": x.shape, "dimension": options["dimension"], "step": options["step"]}
