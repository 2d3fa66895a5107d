"""How `save` takes an object apart into tensors and a tree of plain data, and `load` puts it together again.

The tree is JSON.  None, true, false, whole and finite numbers, texts and lists stand for themselves; whatever JSON has
no word for is an object with one key, its kind:

    {"tensor": name}    {"parameter": name} with requires_grad    {"tuple": [...]}    {"dict": [[key, value], ...]}
    {"float": "nan"}    {"dtype": "float32"}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.errors import DataError, DTypeError
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.recording import wrap
from tinygrad_edu.tensor import Tensor

DEEPEST = 100  # levels of nesting; Python's own limit on recursion is reached at several times this
LONGEST = 4000  # digits of an integer; Python refuses to read longer ones


class Packed(NamedTuple):
    """An object taken apart."""

    tree: Any
    arrays: dict[str, Array]


def pack(obj: Any) -> Packed:
    """Take an object apart; TypeError, naming the place, for what cannot be stored."""
    arrays: dict[str, Array] = {}
    return Packed(_packed(obj, (), arrays), arrays)


def _place(path: tuple[Any, ...]) -> str:
    return "obj" + "".join(f"[{key!r}]" for key in path)


def _packed(x: Any, path: tuple[Any, ...], arrays: dict[str, Array]) -> Any:
    if len(path) > DEEPEST:
        raise ValueError(f"save: {_place(path[:3])}... is nested more than {DEEPEST} deep; does it contain itself?")
    if isinstance(x, Tensor):
        return _packed_tensor(x, path, arrays)
    if isinstance(x, np.generic):
        x = x.item()
    if x is None or type(x) in (bool, str):
        return x
    if type(x) is int:
        if x.bit_length() > 3 * LONGEST:
            raise ValueError(f"save: {_place(path)} is an integer of more than {LONGEST} digits")
        return x
    if type(x) is float:
        return x if np.isfinite(x) else {"float": repr(x)}
    if isinstance(x, dtypes.dtype):
        return {"dtype": x.name}
    if isinstance(x, Mapping):
        return {"dict": [[_packed_key(k, path), _packed(v, (*path, k), arrays)] for k, v in x.items()]}
    if isinstance(x, list):
        return [_packed(v, (*path, i), arrays) for i, v in enumerate(x)]
    if isinstance(x, tuple) and not hasattr(x, "_fields"):
        return {"tuple": [_packed(v, (*path, i), arrays) for i, v in enumerate(x)]}
    raise TypeError(f"save: {_place(path)} is a {type(x).__name__}, which cannot be stored; {_remedy(x)}")


def _remedy(x: Any) -> str:
    if hasattr(x, "state_dict"):
        return "save what it knows instead, save(model.state_dict(), ...), and use load_state_dict after loading"
    if isinstance(x, np.ndarray):
        return "make it a tensor with from_numpy"
    if isinstance(x, tuple):
        return "turn it into a dict with ._asdict()"
    if isinstance(x, (set, frozenset)):
        return "turn it into a list with sorted"
    if isinstance(x, int):
        return "turn it into an int"
    return "files hold tensors, numbers, text, None, and dicts, lists and tuples of them"


def _packed_key(key: Any, path: tuple[Any, ...]) -> Any:
    if isinstance(key, (np.generic, Tensor)):
        raise TypeError(f"save: {_place(path)} has a key of type {type(key).__name__}; use a Python number or a str")
    return _packed(key, (*path, key), {})


def _packed_tensor(x: Tensor, path: tuple[Any, ...], arrays: dict[str, Array]) -> Any:
    name = ".".join(str(key) for key in path) or "tensor"
    name = name.encode("utf-8", "backslashreplace").decode("utf-8")  # a file's texts are valid UTF-8
    unique, k = name, 2
    while unique in arrays or unique == "__metadata__":
        unique, k = f"{name}#{k}", k + 1
    arrays[unique] = np.asarray(x.array, order="C")
    return {"parameter" if x.requires_grad else "tensor": unique}


# -- and back ---------------------------------------------------------------------------------------------------------


def unpack(text: str, arrays: Mapping[str, Array], name: str) -> Any:
    """Put the object together; DataError for a tree that `pack` would not make."""
    left = dict(arrays)
    try:
        made = _unpacked(json.loads(text, parse_constant=_no_constant), left, 0)
    except (ValueError, TypeError, KeyError, RecursionError, DTypeError) as error:
        raise DataError(f"load: {name} has a tree that is not as save writes it ({error})") from None
    if left:
        raise DataError(f"load: {name} has tensors that its tree does not name: {', '.join(sorted(left))}")
    return made


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _unpacked(x: Any, left: dict[str, Array], depth: int) -> Any:
    if depth > DEEPEST + 1:
        raise ValueError(f"nested more than {DEEPEST} deep")
    if isinstance(x, list):
        return [_unpacked(v, left, depth + 1) for v in x]
    if not isinstance(x, dict):
        return x
    if len(x) != 1:
        raise ValueError(f"an object with the keys {list(x)}")
    ((kind, value),) = x.items()
    if kind not in KINDS:
        raise ValueError(f"an object of the unknown kind {kind!r}")
    return KINDS[kind](value, left, depth + 1)


def _tensor(value: Any, left: dict[str, Array], depth: int) -> Tensor:
    return wrap(left.pop(value))


def _parameter(value: Any, left: dict[str, Array], depth: int) -> Tensor:
    return _tensor(value, left, depth).requires_grad_()


def _tuple(value: Any, left: dict[str, Array], depth: int) -> tuple[Any, ...]:
    return tuple(_unpacked(v, left, depth) for v in value)


def _dict(value: Any, left: dict[str, Array], depth: int) -> dict[Any, Any]:
    return {_unpacked(k, left, depth): _unpacked(v, left, depth) for k, v in value}


def _float(value: Any, left: dict[str, Array], depth: int) -> float:
    if value not in ("nan", "inf", "-inf"):
        raise ValueError(f"the number {value!r}")
    return float(value)


def _dtype(value: Any, left: dict[str, Array], depth: int) -> dtypes.dtype:
    return dtypes.of(value)


KINDS: dict[str, Callable[[Any, dict[str, Array], int], Any]] = {
    "tensor": _tensor,
    "parameter": _parameter,
    "tuple": _tuple,
    "dict": _dict,
    "float": _float,
    "dtype": _dtype,
}
