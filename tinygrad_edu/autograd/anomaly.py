"""Where did the first NaN or infinity come from?  `detect_anomaly` names the op, the line and the entry that made it.

    with autograd.detect_anomaly():
        loss = model(x)        an op whose result has a NaN or infinity raises here
        loss.backward()        an op whose gradient has one raises here, with the line of its forward

Each op is looked at on its own, so the first one that raises is the one that made the value.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from tinygrad_edu.autograd.modes import mode
from tinygrad_edu.autograd.node import Constant, Node
from tinygrad_edu.errors import AnomalyError
from tinygrad_edu.ops.registry import Op

Place = tuple[int, ...]


class set_detect_anomaly:
    """Switch the search for NaN and infinity on or off in this thread, at once; as a context manager, restore it.

    check_nan=False keeps the line of every op for error messages but checks no value.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        if not isinstance(mode, bool) or not isinstance(check_nan, bool):
            raise TypeError("set_detect_anomaly: mode and check_nan must be bool")
        self._before = _state()
        _switch(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        _switch(*self._before)


class detect_anomaly:
    """`with detect_anomaly():` finds the op and the line that make the first NaN or infinity, forward or backward.

    Raises AnomalyError, a RuntimeError.  Every value is read once more, so switch it on to search, not to train.
    """

    def __init__(self, check_nan: bool = True) -> None:
        if not isinstance(check_nan, bool):
            raise TypeError("detect_anomaly: check_nan must be bool")
        self._check_nan = check_nan
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._before.append(_state())
        _switch(True, self._check_nan)

    def __exit__(self, *error: object) -> None:
        _switch(*self._before.pop())


def is_anomaly_enabled() -> bool:
    """True while anomalies are looked for in this thread."""
    return mode.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """True if values are checked, and not only lines kept."""
    return mode.check_nan


def _state() -> tuple[bool, bool]:
    return mode.anomaly, mode.check_nan


def _switch(enabled: bool, check_nan: bool) -> None:
    mode.anomaly, mode.check_nan = enabled, check_nan
    mode.traced = mode.keep or enabled or mode.profile


def user_line() -> str:
    """file:line of the innermost caller outside this package."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        # a frame without a name is a rule that the registry generated
        if not frame.f_globals.get("__name__", "tinygrad_edu").startswith("tinygrad_edu"):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def trace(node: Node, out: Any) -> None:
    """Keep the user's line with a node that was just recorded, check the value it made, and stamp the time it took."""
    if mode.profile:
        node.seconds = perf_counter() - mode.since
    node.location = user_line()
    if mode.anomaly and mode.check_nan:
        check_forward(node, out)
    if mode.profile:
        mode.since = perf_counter()


def bad_place(values: Any) -> tuple[Place, str] | None:
    """The first entry that is NaN, else the first that is infinite, and the word for it; None if all are finite."""
    array = np.asarray(values)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return None
    for word, found in (("nan", np.isnan(array)), ("inf", np.isinf(array))):
        if found.any():
            return tuple(int(i) for i in np.unravel_index(int(found.argmax()), array.shape)), word
    return None


def check_forward(node: Node, out: Any) -> None:
    """Raise AnomalyError if the result of an op has a NaN, or an infinity that no input and no parameter had."""
    found = bad_place(out)
    if found is None:
        return
    op = node.op
    assert op is not None
    place, word = found
    arrays = _input_values(node)
    for name, array in zip(_input_names(op, len(arrays)), arrays, strict=True):
        inside = bad_place(array) if isinstance(array, (np.ndarray, np.generic, float)) else None
        if inside is None:
            continue
        if word == "inf":
            return  # it was put there on purpose, as in a mask, or raised where it was made
        if inside[1] == "nan":
            raise AnomalyError(
                f"{op}: returned nan values in its forward{_at(node)}, because its input {name} already had one at "
                f"entry {inside[0]}: it is in the data, or was made by an op that is not recorded (under no_grad, or "
                f"of tensors that do not require grad)"
            )
    numbers = [v for v in node.params.values() if isinstance(v, (np.ndarray, np.generic, float))]
    if word == "inf" and any(bad_place(v) for v in numbers):
        return
    raise AnomalyError(
        f"{op}: returned {word} values in its forward{_at(node)}: the result, of shape {np.shape(out)}, is "
        f"{float(np.asarray(out)[place])} at entry {place}" + _values(op, arrays, np.shape(out), place)
    )


def check_backward(node: Node, i: int, share: Any, grad: Any) -> None:
    """Raise AnomalyError if the gradient that an op computed for its i-th input has a NaN or an infinity."""
    parts = getattr(share, "parts", (share,))
    found = next((f for f in (bad_place(_array(p)) for p in parts if p is not None) if f is not None), None)
    if found is None:
        return
    op = node.op
    assert op is not None
    place, word = found
    name = f"{op.title}Backward" + ("0" if type(op) is Op else "")
    above = [bad_place(_array(p)) for p in getattr(grad, "parts", (grad,)) if p is not None]
    came = next((f for f in above if f is not None), None)
    values = _values(op, _input_values(node), np.shape(_array(share)) if len(parts) == 1 else (), place)
    template = op.gradients.get(op.inputs[0 if op.variadic else i], "")
    known = {n: n for n in (*op.inputs, *op.params)} | {"grad": "grad", "out": "out"}
    rule = f"; the rule is d{op.inputs[0 if op.variadic else i]} = {template.format(**known)}" if template else ""
    raise AnomalyError(
        f"Function '{name}' returned {word} values in its {i}th output. {op} ran{_at(node)}; the gradient of its input "
        f"{_input_names(op, len(node.inputs))[i]} is {word} at entry {place}"
        + values
        + rule
        + (
            f". The incoming gradient already had {came[1]} at entry {came[0]}"
            if came is not None
            else ". The incoming gradient was finite, so the derivative itself has no finite value here: keep the "
            "input away from this point (clamp, or add an eps), or choose a stable form of the op"
        )
    )


def _array(x: Any) -> Any:
    return np.asarray(getattr(x, "array", x))


def _input_values(node: Node) -> list[Any]:
    """What the op computed from, as far as it is still alive; a number stands for itself."""
    return [source.value() if isinstance(source, (Node, Constant)) else source for source in node.inputs]


def _input_names(op: Op, count: int) -> list[str]:
    return [f"{op.inputs[0]}[{i}]" for i in range(count)] if op.variadic else list(op.inputs)[:count]


def _values(op: Op, arrays: Sequence[Any], shape: Place, place: Place) -> str:
    """The entries of an elementwise op's inputs behind one entry of its result."""
    if not op.elementwise:
        return ""
    texts = []
    for name, array in zip(op.inputs, arrays, strict=False):
        if isinstance(array, (np.ndarray, np.generic, float, int)) and np.ndim(array) <= len(shape):
            try:
                texts.append(f"{name} = {np.broadcast_to(array, shape)[place]}")
            except ValueError:
                continue  # summed over: many entries stand behind this one
    return f", where {', '.join(texts)}" if texts else ""


def _at(node: Node) -> str:
    if not node.location:
        return " outside of anomaly detection, so its line is not known (switch it on before the forward)"
    file, _, line = node.location.rpartition(":")
    text = linecache.getline(file, int(line)).strip()
    return f" at {node.location}" + (f" (`{text}`)" if text else "")
