"""`gradcheck` and `gradgradcheck`: are the gradients of a function what finite differences say?

    J[i, j] = ∂yⱼ/∂xᵢ      numerical: (y(x + eps eᵢ) − y(x − eps eᵢ)) / 2 eps      analytical: backward, one row per yⱼ

They pass where |analytical − numerical| <= atol + rtol · |numerical|, entry by entry.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd.functional import grad
from tinygrad_edu.autograd.modes import enable_grad, no_grad
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """Gradients that are not what finite differences say."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the gradients of func(*inputs) with central differences at every entry; True if they agree.

    inputs: a tensor or a sequence; those that require grad are checked, and should be float64.
    raise_exception: False returns False instead of raising.  nondet_tol: how far two runs of backward may differ.
    check_undefined_grad: outputs that nothing uses must count as outputs with gradient 0.
    Raises GradcheckError with both Jacobians, NotImplementedError for forward mode, batched gradients, fast_mode.
    """
    _refuse(
        "gradcheck",
        check_batched_grad=check_batched_grad,
        check_batched_forward_grad=check_batched_forward_grad,
        check_forward_ad=check_forward_ad,
        fast_mode=fast_mode,
        masked=bool(masked),
    )
    if not check_backward_ad:
        raise ValueError("gradcheck: Expected at least one of check_forward_ad or check_backward_ad to be True")
    listed = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    check = _Check(func, listed, eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes)
    try:
        check.run()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Check the gradients of the gradients of func(*inputs), with respect to the inputs and to grad_outputs.

    grad_outputs: where the incoming gradients are taken; random ones if left out.  The rest as in `gradcheck`.
    """
    _refuse("gradgradcheck", check_fwd_over_rev=check_fwd_over_rev)
    if not check_rev_over_rev:
        raise ValueError("gradgradcheck: Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    listed = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    places = [i for i, x in enumerate(listed) if isinstance(x, Tensor) and x.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        outputs = [y for y in _outputs(func, listed) if y.requires_grad]
        weights = [_random_like(rng, y.array, gen_non_contig_grad_outputs) for y in outputs]
    else:
        given = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
        weights = [wrap(v.array.copy()).requires_grad_() for v in given]

    def first(*args: Any) -> tuple[Tensor, ...]:
        xs, vs = list(args[: len(listed)]), args[len(listed) :]
        with enable_grad():  # finite differences are taken where nothing is recorded
            outputs = [y for y in _outputs(func, xs) if y.requires_grad]
            found = grad(outputs, [xs[i] for i in places], list(vs), create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        first,
        [*listed, *weights],
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
        masked=masked,
    )


def _refuse(name: str, **options: bool) -> None:
    for option, value in options.items():
        if value:
            raise NotImplementedError(
                f"{name}: {option}=True is not supported; leave it out: every entry is checked by reverse mode"
            )


def _random_like(rng: np.random.Generator, array: Array, spread: bool) -> Tensor:
    """A random leaf of the shape of `array`; `spread` leaves gaps between its entries in memory."""
    values = np.asarray(rng.uniform(-1.0, 1.0, array.shape), array.dtype)
    if spread and array.ndim:
        wide = np.repeat(values, 2, axis=-1)
        values = wide[..., ::2]
    return wrap(values).requires_grad_()


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    """The results of func that can have a gradient."""
    made = func(*inputs)
    listed = list(made) if isinstance(made, (tuple, list)) else [made]
    for y in listed:
        if not isinstance(y, Tensor):
            raise TypeError(f"gradcheck: the function must return a tensor or several, not {type(y).__name__}")
    return [y for y in listed if y.is_floating_point()]


class _Check:
    def __init__(
        self,
        func: Callable[..., Any],
        inputs: list[Any],
        eps: float,
        atol: float,
        rtol: float,
        nondet_tol: float,
        undefined: bool,
        dtypes: bool,
    ) -> None:
        self.func, self.inputs, self.eps, self.atol, self.rtol = func, inputs, eps, atol, rtol
        self.nondet_tol, self.undefined, self.dtypes = nondet_tol, undefined, dtypes
        self.places = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        if not self.places:
            raise ValueError(
                "gradcheck expects at least one input tensor to require gradient, but none of them have "
                "requires_grad=True."
            )
        for i in self.places:
            self._check_input(i)

    def _check_input(self, i: int) -> None:
        array = self.inputs[i].array
        if array.dtype != np.float64:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                f"will likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=4,
            )
        if any(step == 0 and n > 1 for step, n in zip(array.strides, array.shape, strict=True)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                f"non-overlapping to be able to compute the numerical gradients correctly. You should call "
                f".contiguous on the input before passing it to gradcheck."
            )

    def run(self) -> None:
        """Raise GradcheckError for the first disagreement."""
        with enable_grad():
            outputs = _outputs(self.func, self.inputs)
        numerical = self._numerical(len(outputs))
        for k, y in enumerate(outputs):
            self._check_output(k, y, numerical[k])
        if self.undefined:
            self._check_undefined([y for y in outputs if y.requires_grad])

    def _numerical(self, count: int) -> list[list[Array]]:
        """Central differences, [output][input], each (entries of the input, entries of the output)."""
        columns: list[list[list[Array]]] = [[[] for _ in self.places] for _ in range(count)]
        for column, i in enumerate(self.places):
            array = self.inputs[i].array
            for place in np.ndindex(array.shape):
                before = array[place]
                try:
                    array[place] = before + self.eps
                    above = self._values()
                    array[place] = before - self.eps
                    below = self._values()
                finally:
                    array[place] = before
                for k in range(count):
                    columns[k][column].append((above[k] - below[k]) / (2 * self.eps))
        return [[np.array(rows) if rows else np.zeros((0, 0)) for rows in of_output] for of_output in columns]

    def _values(self) -> list[Array]:
        with no_grad():
            return [y.array.astype(np.float64).ravel() for y in _outputs(self.func, self.inputs)]

    def _check_output(self, k: int, y: Tensor, numerical: list[Array]) -> None:
        if not y.requires_grad:
            for i, expected in zip(self.places, numerical, strict=True):
                if not np.allclose(expected, 0.0, rtol=self.rtol, atol=self.atol):
                    raise GradcheckError(
                        f"Numerical gradient for function expected to be zero: output {k} does not require grad, but "
                        f"changes with input {i}"
                    )
            return
        analytical = self._analytical(y)
        again = self._analytical(y)
        for i, ours, other, expected in zip(self.places, analytical, again, numerical, strict=True):
            expected = expected.reshape(ours.shape)
            if not np.allclose(ours, expected, rtol=self.rtol, atol=self.atol, equal_nan=True):
                raise GradcheckError(
                    f"Jacobian mismatch for output {k} with respect to input {i},\n"
                    f"numerical:{wrap(expected)!r}\nanalytical:{wrap(ours)!r}\n" + _worst(ours, expected)
                )
            if ours.size and not float(np.abs(ours - other).max()) <= self.nondet_tol:
                raise GradcheckError(
                    f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                    f"gives different values, although analytical gradient matches numerical gradient. The tolerance "
                    f"for nondeterminism was {self.nondet_tol}. (output {k}, input {i})"
                )

    def _analytical(self, y: Tensor) -> list[Array]:
        """Backward for every entry of the output: (entries of the input, entries of the output) for each input."""
        points = [self.inputs[i] for i in self.places]
        found = [np.zeros((x.array.size, y.array.size)) for x in points]
        for j in range(y.array.size):
            seed = np.zeros_like(y.array)
            seed.flat[j] = 1
            shares = grad(y, points, wrap(seed), retain_graph=True, allow_unused=True)
            for x, jacobian, share in zip(points, found, shares, strict=True):
                if share is None:
                    continue
                if self.dtypes and share.array.dtype != x.array.dtype:
                    raise GradcheckError(f"Gradient has dtype {share.dtype!r}, expected {x.dtype!r}")
                jacobian[:, j] = share.array.ravel()
        return found

    def _check_undefined(self, outputs: list[Tensor]) -> None:
        """A gradient that never came must count as 0."""
        points = [self.inputs[i] for i in self.places]
        rng = np.random.default_rng(0)
        for k, y in enumerate(outputs):
            if len(outputs) == 1:
                return
            v = wrap(np.asarray(rng.standard_normal(y.array.shape), y.array.dtype))
            alone = grad(y, points, v, retain_graph=True, allow_unused=True)
            seeds = [v if i == k else wrap(np.zeros_like(other.array)) for i, other in enumerate(outputs)]
            filled = grad(outputs, points, seeds, retain_graph=True, allow_unused=True)
            for i, x, a, b in zip(self.places, points, alone, filled, strict=True):
                left, right = (np.zeros_like(x.array) if g is None else g.array for g in (a, b))
                if not np.allclose(left, right, rtol=self.rtol, atol=self.atol, equal_nan=True):
                    raise GradcheckError(
                        f"Expected backward function to handle undefined output grads: with only the gradient of "
                        f"output {k}, input {i} gets another gradient than with zeros for the other outputs. A "
                        f"Function with ctx.set_materialize_grads(False) must treat None as 0"
                    )


def _worst(analytical: Array, numerical: Array) -> str:
    apart = np.abs(analytical - numerical)
    row, column = (int(i) for i in np.unravel_index(int(np.nan_to_num(apart, nan=np.inf).argmax()), apart.shape))
    return (
        f"furthest apart at entry {row} of the input (flattened) and entry {column} of the output: numerical "
        f"{numerical[row, column]:.9g}, analytical {analytical[row, column]:.9g}"
    )
