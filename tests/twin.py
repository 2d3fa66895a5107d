"""Runs the same lines of code once with tinygrad_edu and once with PyTorch, and compares all that can be seen."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_edu


def _draw(seed: int, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


# The names that a case may use.  Floats require grad; every run gets fresh copies.
ARRAYS = {
    "x": _draw(1, (3, 4)),
    "y": _draw(2, (3, 4)),
    "w": _draw(3, (2, 3, 4)),
    "v": _draw(4, (4,)),
    "s": _draw(5, ()),
    "sq": _draw(6, (3, 3)),
    "bat": _draw(7, (2, 4, 3)),
    "pos": _draw(8, (3, 4), 0.3, 3.0),
    "unit": _draw(9, (3, 4), -0.8, 0.8),
    "d": _draw(10, (3, 4)).astype(np.float64),
    "ties": np.array([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]], np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "special": np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5], np.float32),
    "img": _draw(11, (2, 3, 5, 6)),
    "i": np.array([[1, -2, 3], [4, 5, -6]], np.int64),
    "i32": np.array([[1, 2, 3], [4, 5, 6]], np.int32),
    "u8": np.array([[1, 2, 3], [250, 5, 6]], np.uint8),
    "b": np.array([[True, False, True], [False, False, True]]),
    "m": np.arange(12).reshape(3, 4) % 3 == 0,
    "rows": np.array([2, 0, 2], np.int64),
    "places": np.array([[0, 1, 2, 0], [2, 2, 1, 0]], np.int64),
}


def environment(library: Any) -> dict[str, Any]:
    """Fresh tensors of `library` under the names of ARRAYS."""
    names: dict[str, Any] = {"torch": library, "np": np, "inf": float("inf"), "nan": float("nan")}
    for name, array in ARRAYS.items():
        names[name] = library.tensor(array.copy())
        if array.dtype.kind == "f":
            names[name].requires_grad_()
    return names


def evaluate(library: Any, code: str, names: dict[str, Any]) -> Any:
    """The value of the last statement of `code`; None if it is no expression."""
    body = ast.parse(code).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "<case>", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "<case>", "eval"), names)


def cases(name: str) -> list[str]:
    """The cases of torch_cases/<name>.txt."""
    lines = (Path(__file__).parent / "torch_cases" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line.replace("\\n", "\n") for line in lines if line and not line.startswith("#")]


def _tensors(value: Any, library: Any) -> list[Any]:
    if isinstance(value, library.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for part in value for t in _tensors(part, library)]
    return []


def describe(value: Any, library: Any) -> Any:
    """A value in plain terms: dtype, shape and entries of tensors, the rest as it is."""
    if isinstance(value, library.Tensor):
        kind = repr(value.dtype).split(".")[-1]
        return (kind, tuple(value.shape), value.requires_grad, np.array(value.detach().numpy()))
    if isinstance(value, library.dtype):
        return repr(value).split(".")[-1]
    if isinstance(value, library.Size):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        return [describe(part, library) for part in value]
    return value


def assert_same(ours: Any, theirs: Any, where: str, rtol: float = 2e-5, atol: float = 2e-6) -> None:
    """Raise AssertionError at the first difference between two descriptions."""
    assert type(ours) is type(theirs), f"{where}: {ours!r} against PyTorch's {theirs!r}"
    if isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs), f"{where}: {len(ours)} parts against PyTorch's {len(theirs)}"
        for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(a, b, f"{where}[{k}]", rtol, atol)
    elif isinstance(ours, np.ndarray):
        assert ours.shape == theirs.shape, f"{where}: shape {ours.shape} against PyTorch's {theirs.shape}"
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=where)
    elif isinstance(ours, float):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=where)
    else:
        assert ours == theirs, f"{where}: {ours!r} against PyTorch's {theirs!r}"


def gradients(value: Any, names: dict[str, Any], library: Any) -> dict[str, Any]:
    """The gradient of every named leaf under fixed weights of every result that requires grad."""
    results = [t for t in _tensors(value, library) if t.requires_grad]
    total = None
    for k, t in enumerate(results):
        weights = np.random.default_rng(100 + k).uniform(-1, 1, tuple(t.shape))
        part = (t * library.tensor(weights).to(t.dtype)).sum().to(library.float64)
        total = part if total is None else total + part
    if total is not None:
        try:
            total.backward()
        except NotImplementedError:  # PyTorch has no derivative of floor_divide and a few others
            return {}
        except RuntimeError as error:
            if "is not implemented" not in str(error):
                raise
            return {}
    return {
        name: None if names[name].grad is None else describe(names[name].grad, library)
        for name, array in ARRAYS.items()
        if array.dtype.kind == "f" and isinstance(names[name], library.Tensor) and names[name].is_leaf
    }


def run(library: Any, code: str, backward: bool = True) -> tuple[Any, Any, Any]:
    """Description, gradients, and None; or None, None, and the error."""
    names = environment(library)
    try:
        value = evaluate(library, code, names)
        described = describe(value, library)
        return described, gradients(value, names, library) if backward else {}, None
    except Exception as error:
        return None, None, error


def builtin_type(error: BaseException) -> type[BaseException]:
    """The built-in class of an error: ShapeError is a RuntimeError."""
    found = next(c for c in type(error).__mro__ if getattr(builtins, c.__name__, None) is c)
    # "not implemented for this dtype" is a NotImplementedError in some of PyTorch's functions, a RuntimeError in others
    return RuntimeError if found is NotImplementedError else found


def assert_twins(code: str, torch: Any, backward: bool = True, rtol: float = 2e-5, atol: float = 2e-6) -> None:
    """Both libraries give the same value and gradients, or an error of the same built-in type."""
    theirs, their_grads, their_error = run(torch, code, backward)
    ours, our_grads, our_error = run(tinygrad_edu, code, backward)
    if their_error is not None or our_error is not None:
        assert our_error is not None, f"{code}: PyTorch raises {type(their_error).__name__}: {their_error}"
        if their_error is None:
            raise our_error
        assert builtin_type(our_error) is builtin_type(their_error), (
            f"{code}: {type(our_error).__name__}: {our_error}, but PyTorch raises "
            f"{type(their_error).__name__}: {their_error}"
        )
        return
    assert_same(ours, theirs, code, rtol, atol)
    for name in their_grads:
        assert_same(our_grads[name], their_grads[name], f"{code}: {name}.grad", rtol, atol)
