"""Loops: several elementwise steps as the source text of one kernel, and its launch.

    mul, add, relu of float32 (1000, 64), with a row of 64 as the second factor

    for r in prange(len(o0)):
        for j in range(o0.shape[1]):
            o0[r, j] = np.maximum(a0[r, j] * a1[j] + a2[r, j], F(0))

The text is kept in a file of the user's cache folder, named after what it says, so that Numba's own cache finds what it
compiled from it in an earlier process.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import math
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_edu.compile.steps import Step, Value
from tinygrad_edu.kernels import memory
from tinygrad_edu.ops.registry import Array
from tinygrad_edu.version import __version__

PARALLEL = 32_768  # entries from which on a loop runs on all threads

# What each op is in a kernel, in terms of its inputs; {one} and {zero} have the dtype of the loop. Left out is what
# LLVM cannot vectorise (sin, pow, ...): NumPy is quicker there.
EXPRESSIONS = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "{0} / {1}", "neg": "-{0}",
    "abs": "abs({0})", "square": "{0} * {0}", "reciprocal": "{one} / {0}", "sqrt": "math.sqrt({0})",
    "rsqrt": "{one} / math.sqrt({0})", "exp": "exp({0})", "log": "log({0})", "tanh": "tanh({0})", "erf": "erf({0})",
    # log(1 + x), less what rounding 1 + x has added; a call of the C library would keep LLVM from vectorising
    "log1p": "log({one} + {0}) - ((({one} + {0}) - {one}) - {0}) / ({one} + {0})"
    " if {one} + {0} > {zero} and {0} < F(np.inf) else log({one} + {0})",
    "sigmoid": "{one} / ({one} + exp(-{0}))", "relu": "np.maximum({0}, {zero})",
    "relu_gate": "{zero} if {1} <= {zero} else {0}", "maximum": "np.maximum({0}, {1})",
    "minimum": "np.minimum({0}, {1})", "floor": "np.floor({0})", "ceil": "np.ceil({0})", "sign": "np.sign({0})",
    "where": "{1} if {0} else {2}", "clone": "{0}", "alias": "{0}", "expand": "{0}",
    "eq": "{0} == {1}", "ne": "{0} != {1}", "lt": "{0} < {1}", "le": "{0} <= {1}", "gt": "{0} > {1}",
    "ge": "{0} >= {1}", "and": "{0} and {1}", "or": "{0} or {1}", "xor": "{0} != {1}", "not": "not {0}",
}  # fmt: skip
# Those that take longer to compute than to read.
COSTLY = frozenset("exp log tanh erf log1p sigmoid div reciprocal rsqrt".split())  # noqa: SIM905
BOOLEANS = frozenset("and or xor not".split())  # noqa: SIM905

HEAD = '''"""{words}: made by tinygrad_edu.compile {version}."""

import math

import numpy as np
from numba import prange

from tinygrad_edu.kernels.compiled.jit import jit
from tinygrad_edu.kernels.compiled.vector_math import erf, exp, log, tanh

F = np.{dtype}


@jit(fastmath=frozenset({{"contract"}}), parallel={parallel})
def fused({arguments}):
'''


def _number(value: float) -> str:
    return (
        f"F({value!r})"
        if math.isfinite(value)
        else f"F(np.{'nan' if value != value else 'inf'} * {math.copysign(1, value)})"
    )


def expression(step: Step) -> str | None:
    """The scalar expression of a step, with {0}, {1}, ... for its inputs; None if it has none."""
    name, params = step.op.name, step.params
    if name == "power":
        return {1.0: "{0}", 2.0: "{0} * {0}", 3.0: "{0} * {0} * {0}"}.get(float(params["exponent"]))
    if name == "fill":
        return _number(float(params["value"]))
    if name == "clamp":
        text = "{0}"
        if params["min"] is not None:
            text = f"np.maximum({text}, {_number(float(params['min']))})"
        return text if params["max"] is None else f"np.minimum({text}, {_number(float(params['max']))})"
    if name == "round" and params["decimals"] == 0:
        return "np.rint({0})"
    return EXPRESSIONS.get(name)


def kind_of(step: Step) -> str | None:
    """The dtype of the loop that a step can be part of, by name; "bool" if any will do, None if it fits in none."""
    if len(step.outs) != 1 or expression(step) is None or not step.outs[0].array.size:
        return None
    arrays = [step.outs[0].array, *(v.array for v in step.inputs if v is not None)]
    kinds = {a.dtype for a in arrays} - {np.dtype(bool)}
    if any(v is None for v in step.inputs) or len(kinds) > 1:
        return None
    if not kinds:
        return "bool" if step.op.name in BOOLEANS else None
    kind = kinds.pop()
    if step.op.name in BOOLEANS or (step.op.name == "clone" and arrays[0].dtype == bool):
        return None
    return kind.name if kind.name in ("float32", "float64") else None  # no dtype: that would equal None, for float64


def collapsed(
    shape: tuple[int, ...], shapes: Sequence[tuple[int, ...]]
) -> tuple[tuple[int, ...], list[tuple[bool, ...]]]:
    """The fewest dims that tell apart which operand repeats where: (their sizes, for each operand which it has)."""
    padded = [(1,) * (len(shape) - len(s)) + s for s in shapes]
    dims: list[int] = []
    marks: list[tuple[bool, ...]] = []
    for d, n in enumerate(shape):
        if n == 1:
            continue
        has = tuple(s[d] != 1 for s in padded)
        if marks and marks[-1] == has:
            dims[-1] *= n
        else:
            dims.append(n)
            marks.append(has)
    if not dims:
        return (1,), [(True,) for _ in shapes]
    return tuple(dims), [tuple(mark[k] for mark in marks) for k in range(len(shapes))]


class Loop:
    """Steps of one shape and dtype as one kernel: arrays in, arrays out."""

    def __init__(self, steps: Sequence[Step], kind: str, wanted: Sequence[Value]) -> None:
        self.steps, self.outs = list(steps), list(wanted)
        self.names = [step.op.name for step in steps]
        self.shape = wanted[0].shape
        inside = {step.outs[0] for step in steps}
        reads = [v for step in steps for v in step.inputs if v is not None and v not in inside]
        self.inputs = [v for v in dict.fromkeys(reads) if not _is_literal(v)]
        self.dims, has = collapsed(self.shape, [v.shape for v in self.inputs])
        self.has = dict(zip(self.inputs, has, strict=True))
        self.parallel = wanted[0].array.size >= PARALLEL
        self.text = self._source(np.dtype(kind))
        self._kernel: Any = None

    def _source(self, kind: Any) -> str:
        last = len(self.dims) - 1
        named = {
            v: _number(float(v.array)) for step in self.steps for v in step.inputs if v is not None and _is_literal(v)
        }
        before, row, lines = [], [], []
        flat = last == 0
        for k, v in enumerate(self.inputs):
            has = self.has[v]
            if not any(has) or v.array.size == 1:
                before.append(f"s{k} = a{k}[0]")
                named[v] = f"s{k}"
            elif flat:
                named[v] = f"a{k}[j]"
            elif not has[last]:
                row.append(f"s{k} = a{k}[{self._place(has)}]")
                named[v] = f"s{k}"
            elif any(has[:last]):
                row.append(f"l{k} = a{k}[{self._place(has)}]")
                named[v] = f"l{k}[j]"
            else:
                named[v] = f"a{k}[j]"
        for n, step in enumerate(self.steps):
            text = expression(step)
            assert text is not None
            operands = [named[v] for v in step.inputs if v is not None]
            lines.append(f"t{n} = {text.format(*operands, one='F(1)', zero='F(0)')}")
            named[step.outs[0]] = f"t{n}"
        for k, v in enumerate(self.outs):
            lines.append(f"o{k}[j] = {named[v]}" if flat else f"p{k}[j] = {named[v]}")
        arguments = ", ".join([*(f"a{k}" for k in range(len(self.inputs))), *(f"o{k}" for k in range(len(self.outs)))])
        words = ", ".join(self.names)
        head = HEAD.format(
            words=words, version=__version__, dtype=kind.name, parallel=self.parallel, arguments=arguments
        )
        body = [f"    {line}" for line in before]
        if flat:
            body += ["    for j in prange(o0.size):", *(f"        {line}" for line in lines)]
        else:
            row += [f"p{k} = o{k}[r]" for k in range(len(self.outs))]
            body += ["    for r in prange(len(o0)):", *(f"        {line}" for line in row)]
            body += ["        for j in range(p0.size):", *(f"            {line}" for line in lines)]
        return head + "\n".join(body) + "\n"

    def _place(self, has: Sequence[bool]) -> str:
        """The row of an operand that belongs to row r of the result, from the outer dims that it has."""
        outer = self.dims[:-1]
        terms, stride = [], 1
        for d in range(len(outer) - 1, -1, -1):
            if has[d]:
                below = math.prod(outer[d + 1 :])
                index = "r" if below == 1 else f"r // {below}"
                index = f"{index} % {outer[d]}" if d else index
                terms.append(index if stride == 1 else f"({index}) * {stride}")
                stride *= outer[d]
        return "r" if all(has[:-1]) else " + ".join(reversed(terms))

    def __call__(self, *arrays: Array) -> list[Array]:
        """Run the kernel."""
        kernel = self._kernel or self._prepare()
        given = [_readonly(x, shape, dtype) for x, (shape, dtype) in zip(arrays, self._given, strict=True)]
        outs = [memory.empty(self.shape, dtype) for dtype in self._kinds]
        kernel(*given, *[out.reshape(self._flat) for out in outs])
        return outs

    def _prepare(self) -> Callable[..., None]:
        n = self.dims[-1]
        self._flat = (n,) if len(self.dims) == 1 else (-1, n)
        self._kinds = [v.array.dtype for v in self.outs]
        self._given: list[tuple[Any, Any]] = []
        for v in self.inputs:
            has = self.has[v]
            rows = len(self.dims) > 1 and has[-1] and any(has[:-1]) and v.array.size > 1
            self._given.append(((-1, n) if rows else (-1,), v.array.dtype))
        self._kernel = load(self.text).fused
        return self._kernel


def _is_literal(v: Value) -> bool:
    """A number, which stands in the kernel's text."""
    return v.made_by == "constant" and v.array.size == 1 and v.array.dtype.kind == "f" and v.shape == ()


def _readonly(x: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    view = x.reshape(shape) if x.flags.c_contiguous and x.flags.aligned else np.array(x, order="C").reshape(shape)
    if view is x:
        view = x.view()
    view.flags.writeable = False  # Numba compiles once more for arrays that differ in that alone
    return view


_loaded: dict[str, Any] = {}
_unnamed = itertools.count()


def folder() -> Path:
    """Where the texts of kernels are kept: TINYGRAD_EDU_COMPILE_DIR, or a folder of the user's cache."""
    chosen = os.environ.get("TINYGRAD_EDU_COMPILE_DIR")
    if chosen:
        return Path(chosen)
    import platformdirs  # only here: most programs never compile

    return Path(platformdirs.user_cache_dir("tinygrad_edu")) / "compile"


def load(text: str) -> Any:
    """The module with this text, imported from its file, once per process."""
    if text not in _loaded:
        from tinygrad_edu.kernels.compiled import inner, jit, vector_math  # Numba: at the first kernel, never before

        digest = hashlib.sha256(text.encode())
        for helper in (jit, inner, vector_math):  # Numba's cache sees no change in these
            digest.update(Path(str(helper.__file__)).read_bytes())
        _loaded[text] = _imported(f"tinygrad_edu_fused_{digest.hexdigest()[:24]}", text)
    return _loaded[text]


def _imported(name: str, text: str) -> Any:
    path = folder() / f"{name}.py"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            fresh = path.with_suffix(f".{os.getpid()}.{next(_unnamed)}")
            fresh.write_text(text, encoding="utf-8")
            os.replace(fresh, path)
    except OSError as error:
        warnings.warn(
            f"compile: kernels cannot be kept in {path.parent} ({error}), and are compiled anew in each process; "
            f"set TINYGRAD_EDU_COMPILE_DIR to a folder that can be written to",
            RuntimeWarning,
            stacklevel=2,
        )
        import tempfile

        path = Path(tempfile.mkdtemp(prefix="tinygrad_edu-")) / f"{name}.py"
        path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where Numba's cache looks for it
    spec.loader.exec_module(module)
    return module
