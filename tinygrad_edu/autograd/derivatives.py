"""`autograd.functional`: Jacobians, Hessians and their products with vectors, of functions of tensors.

    f: x (n) -> y (m)      J[i, j] = ∂yᵢ/∂xⱼ      jacobian (m, n)   vjp  vᵀJ (n)   jvp  J v (m)
    f: x (n) -> y ()       H[i, j] = ∂²y/∂xᵢ∂xⱼ   hessian  (n, n)   vhp  vᵀH (n)   hvp  H v (n)

A function may take and return several tensors, as tuples: the results are then tuples in the same order, with one
more level for a matrix.  A shape in place of n or m makes J of shape (*m, *n).

create_graph: record, so that the results can be differentiated further.  strict: raise, instead of giving zeros, when
an output does not depend on an input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.autograd.functional import grad
from tinygrad_edu.autograd.modes import enable_grad
from tinygrad_edu.errors import GraphError, ShapeError
from tinygrad_edu.functions.shaping import stack
from tinygrad_edu.ops.basic import alias
from tinygrad_edu.recording import apply, wrap
from tinygrad_edu.tensor import Tensor

Tensors = tuple[Tensor, ...]


def _tuple(name: str, what: str, x: Any) -> tuple[bool, Tensors]:
    """(was it a tuple, the tensors in it)."""
    several = isinstance(x, (tuple, list))
    listed = tuple(x) if several else (x,)
    for i, value in enumerate(listed):
        if not isinstance(value, Tensor):
            which = f"The value at index {i} of the {what}" if several else f"The {what}"
            raise TypeError(
                f"{which} given to {name} must be a Tensor, or a tuple of Tensors, but it has type "
                f"{type(value).__name__}"
            )
    return several, listed


def _fresh(inputs: Tensors, create_graph: bool) -> Tensors:
    """Inputs to differentiate at: of their own, or, under create_graph, still connected to the given ones."""
    return tuple(
        apply(alias, (x,), {}) if create_graph and x.requires_grad else wrap(x.array).requires_grad_() for x in inputs
    )


def _run(name: str, func: Callable[..., Any], inputs: Any, create_graph: bool) -> tuple[bool, Tensors, bool, Tensors]:
    several_in, given = _tuple(name, "inputs", inputs)
    for i, x in enumerate(given):
        if not x.is_floating_point():
            raise GraphError(f"{name}: input {i} is {x.dtype!r}; only floating point can be differentiated")
    points = _fresh(given, create_graph)
    several_out, outputs = _tuple(name, "outputs", func(*points))
    return several_in, points, several_out, outputs


def _vector(name: str, v: Any, like: Tensors, what: str) -> Tensors:
    """The given vector, checked against the tensors it is multiplied with; ones for a single number."""
    if v is None:
        if len(like) == 1 and like[0].numel() == 1:
            return (wrap(np.ones_like(like[0].array)),)
        raise GraphError(
            f"{name}: The vector v can only be None if the {what} is a single one-element Tensor; give v with the "
            f"shape of the {what}"
        )
    _, vectors = _tuple(name, "v", v)
    if len(vectors) != len(like):
        raise GraphError(f"{name}: v has invalid length: should be {len(like)} but got {len(vectors)}")
    for i, (a, b) in enumerate(zip(vectors, like, strict=True)):
        if a.array.shape != b.array.shape:
            raise ShapeError(f"{name}: Entry {i} in v has invalid size: should be {b.shape} but got {a.shape}")
    return vectors


def _connected(name: str, outputs: Tensors, strict: bool) -> list[int]:
    """The places of the outputs that depend on some input."""
    found = [i for i, y in enumerate(outputs) if y.requires_grad]
    if strict and len(found) < len(outputs):
        missing = next(i for i in range(len(outputs)) if i not in found)
        raise GraphError(
            f"Output {missing} of the user-provided function does not require gradients. The outputs must be computed "
            f"in a differentiable manner from the input when running in strict mode ({name})."
        )
    return found


def _gradients(
    name: str,
    outputs: Sequence[Tensor],
    points: Tensors,
    vectors: Sequence[Tensor] | None,
    *,
    record: bool,
    strict: bool,
    retain: bool = True,
) -> Tensors:
    """Gradients of the outputs at the points, zeros for a point they do not depend on (strict: an error)."""
    found: Sequence[Any] = [None] * len(points)
    if outputs:
        found = grad(
            list(outputs), list(points), vectors, retain_graph=retain or record, create_graph=record, allow_unused=True
        )
    for i, g in enumerate(found):
        if strict and g is None:
            raise GraphError(
                f"The output of the user-provided function is independent of input {i}. This is not allowed in strict "
                f"mode ({name})."
            )
        if strict and record and not g.requires_grad:
            raise GraphError(
                f"The derivative of the user-provided function is independent of input {i}. This is not allowed in "
                f"strict mode when create_graph=True ({name})."
            )
    return tuple(wrap(np.zeros_like(x.array)) if g is None else g for g, x in zip(found, points, strict=True))


def _plain(tensors: Tensors, create_graph: bool) -> Tensors:
    return tensors if create_graph else tuple(x.detach() for x in tensors)


def _as_given(several: bool, tensors: Sequence[Any]) -> Any:
    return tuple(tensors) if several else tensors[0]


def _no_vectorize(name: str, vectorize: bool) -> None:
    if vectorize:
        raise NotImplementedError(f"{name}: vectorize=True is not supported; vectorize=False gives the same result")


def _no_forward_mode(name: str, strategy: str, argument: str) -> None:
    if strategy != "reverse-mode":
        raise NotImplementedError(f"{name}: {argument}={strategy!r} is not supported; use 'reverse-mode'")


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of every entry of every output by every entry of every input, one backward per output entry.

    inputs: x (*n), or a tuple -> (*m, *n); a tuple for several inputs, of tuples for several outputs.
    Raises GraphError, and NotImplementedError for vectorize=True and for forward mode.
    """
    _no_vectorize("jacobian", vectorize)
    _no_forward_mode("jacobian", strategy, "strategy")
    with enable_grad():
        several_in, points, several_out, outputs = _run("jacobian", func, inputs, create_graph)
        _connected("jacobian", outputs, strict)
        blocks = [_jacobian_of(y, points, create_graph, strict) for y in outputs]
    return _as_given(several_out, [_as_given(several_in, row) for row in blocks])


def _jacobian_of(y: Tensor, points: Tensors, create_graph: bool, strict: bool) -> list[Tensor]:
    rows: list[Tensors] = []
    for place in np.ndindex(y.array.shape):
        if not y.requires_grad:
            break
        seed = np.zeros_like(y.array)
        seed[place] = 1
        rows.append(_gradients("jacobian", [y], points, [wrap(seed)], record=create_graph, strict=strict))
    blocks = []
    for i, x in enumerate(points):
        shape = (*y.array.shape, *x.array.shape)
        if not rows:
            blocks.append(wrap(np.zeros(shape, x.array.dtype)))
        elif create_graph:
            blocks.append(stack([row[i] for row in rows]).reshape(shape))
        else:
            blocks.append(wrap(np.stack([row[i].array for row in rows]).reshape(shape)))
    return blocks


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function with one number as result.

    inputs: x (*n), or a tuple -> (*n, *n), or a tuple of tuples, H[i][j] for inputs i and j.
    """
    _no_vectorize("hessian", vectorize)
    _no_forward_mode("hessian", outer_jacobian_strategy, "outer_jacobian_strategy")
    several, given = _tuple("hessian", "inputs", inputs)

    def first(*xs: Tensor) -> Tensors:
        out = _scalar("hessian", func(*xs))
        _connected("hessian", (out,), strict)
        outputs = [out] if out.requires_grad else []
        return _gradients("hessian", outputs, xs, None, record=True, strict=strict)

    rows = jacobian(first, given, create_graph, strict)
    return tuple(tuple(row) for row in rows) if several else rows[0][0]


def _scalar(name: str, output: Any) -> Tensor:
    several, outputs = _tuple(name, "outputs", output)
    if several or outputs[0].numel() != 1:
        got = f"{len(outputs)} tensors" if several else f"shape {tuple(outputs[0].shape)}"
        raise GraphError(f"{name}: The function should return a single Tensor with one entry, not {got}")
    return outputs[0].reshape(())


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(the outputs, vᵀJ): v has the shape of the outputs, vᵀJ that of the inputs."""
    with enable_grad():
        several_in, points, several_out, outputs = _run("vjp", func, inputs, create_graph)
        vectors = _vector("vjp", v, outputs, "output of the function")
        used = _connected("vjp", outputs, strict)
        shares = _gradients(
            "vjp",
            [outputs[i] for i in used],
            points,
            [vectors[i] for i in used],
            record=create_graph,
            strict=strict,
            retain=False,
        )
    return _as_given(several_out, _plain(outputs, create_graph)), _as_given(several_in, shares)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(the outputs, J v), by two backward passes: Jᵀu is linear in u, and the gradient of vᵀ(Jᵀu) by u is J v."""
    with enable_grad():
        _, points, several_out, outputs = _run("jvp", func, inputs, create_graph)
        vectors = _vector("jvp", v, points, "input of the function")
        used = _connected("jvp", outputs, strict)
        u = tuple(wrap(np.zeros_like(y.array)).requires_grad_() for y in outputs)
        products: list[Tensor] = [wrap(np.zeros_like(y.array)) for y in outputs]
        if used:
            linear = _gradients(
                "jvp", [outputs[i] for i in used], points, [u[i] for i in used], record=True, strict=strict
            )
            through = [k for k, g in enumerate(linear) if g.requires_grad]
            found = _gradients(
                "jvp", [linear[k] for k in through], u, [vectors[k] for k in through], record=create_graph, strict=False
            )
            products = list(found)
    return _as_given(several_out, _plain(outputs, create_graph)), _as_given(several_out, products)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(the output, vᵀH) of a function with one number as result: the gradient of vᵀ(gradient)."""
    with enable_grad():
        several, points, out, vectors, first = _first_derivative("vhp", func, inputs, v, create_graph, strict)
        used = [i for i, g in enumerate(first) if g.requires_grad]
        shares = _gradients(
            "vhp", [first[i] for i in used], points, [vectors[i] for i in used], record=create_graph, strict=strict
        )
    return _plain((out,), create_graph)[0], _as_given(several, shares)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(the output, H v) of a function with one number as result; `vhp` is faster and equal where H is symmetric."""
    with enable_grad():
        several, points, out, vectors, first = _first_derivative("hvp", func, inputs, v, create_graph, strict)
        used = [i for i, g in enumerate(first) if g.requires_grad]
        u = tuple(wrap(np.zeros_like(x.array)).requires_grad_() for x in points)
        linear = _gradients("hvp", [first[i] for i in used], points, [u[i] for i in used], record=True, strict=strict)
        through = [k for k, g in enumerate(linear) if g.requires_grad]
        shares = _gradients(
            "hvp", [linear[k] for k in through], u, [vectors[k] for k in through], record=create_graph, strict=False
        )
    return _plain((out,), create_graph)[0], _as_given(several, shares)


def _first_derivative(
    name: str, func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool
) -> tuple[bool, Tensors, Tensor, Tensors, Tensors]:
    several, points, several_out, outputs = _run(name, func, inputs, create_graph)
    out = _scalar(name, outputs if several_out else outputs[0])
    vectors = _vector(name, v, points, "input of the function")
    used = _connected(name, (out,), strict)
    first = _gradients(name, [out] if used else [], points, None, record=True, strict=strict)
    return several, points, out, vectors, first
