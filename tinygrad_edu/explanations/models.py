"""`summary`: what each layer of a model takes in and gives out, and what it costs."""

from __future__ import annotations

import copy
import itertools
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_edu import dtypes
from tinygrad_edu.autograd.modes import enable_grad
from tinygrad_edu.autograd.node import FREED, Node
from tinygrad_edu.autograd.versions import clock, owner
from tinygrad_edu.explanations.flops import FORMULA, flops
from tinygrad_edu.explanations.state import unchanged
from tinygrad_edu.explanations.tape import behind
from tinygrad_edu.explanations.text import WIDTH, grid, grid_html, number, size_text
from tinygrad_edu.nn.module import Module
from tinygrad_edu.recording import live_node, wrap
from tinygrad_edu.tensor import Tensor

COLUMNS = ("layer", "in", "out", "parameters", "output", "kept", "FLOPs", "‖∇‖")
NUMBERS = (3, 4, 5, 6, 7)
SHOWN_SHAPES = 2  # of several inputs or outputs


@dataclass
class Layer:
    """One call of one module: a row of the table."""

    name: str
    kind: str
    level: int
    module: Any
    start: int
    end: int = 0
    inputs: list[tuple[int, ...]] = field(default_factory=list)
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    output_bytes: int = 0  # of the output's own memory; a view of the input has none
    own_activations: int = 0  # output_bytes of a layer without layers inside
    kept_bytes: int = 0  # kept for backward by this layer and those inside
    flops: int = 0
    parameters: int = 0  # counted in this row: neither in a row inside it nor in an earlier one
    trainable: int = 0
    shared: bool = False  # its parameters were counted in an earlier row
    gradient: float | None = None
    children: list[Layer] = field(default_factory=list)
    before: list[Any] = field(default_factory=list, repr=False)  # the memory of the inputs, while the layer runs


class Summary:
    """What `summary` found: `layers` in order of the calls, and totals; prints as a table, also in a notebook."""

    def __init__(
        self, title: str, layers: Sequence[Layer], depth: int, verbose: int, totals: Mapping[str, int]
    ) -> None:
        self.title, self.layers, self.depth, self._verbose = title, list(layers), depth, verbose
        self.total_params = totals["parameters"]
        self.trainable_params = totals["trainable"]
        self.total_flops = totals["flops"]
        self.input_bytes = totals["input"]
        self.param_bytes = totals["parameter bytes"]
        self.activation_bytes = totals["activations"]
        self.kept_bytes = totals["kept"]

    def rows(self) -> list[tuple[str, ...]]:
        """The table as text, down to `depth`."""
        rows = []
        for layer in self.layers:
            if layer.level <= self.depth:
                rows.append(_row(layer))
                if self._verbose == 2:
                    rows += [
                        ("  " * (layer.level + 1) + name, "", _shape(p.shape), f"{p.numel():,}", "", "", "", _norm(p))
                        for name, p in layer.module._parameters.items()
                        if p is not None and not layer.shared
                    ]
        return rows

    def totals(self) -> list[str]:
        """The lines below the table."""
        frozen = self.total_params - self.trainable_params
        return [
            f"parameters   {self.total_params:,} ({self.trainable_params:,} trainable, {frozen:,} frozen), "
            f"{size_text(self.param_bytes)}",
            f"memory       input {size_text(self.input_bytes)}, outputs of layers {size_text(self.activation_bytes)}, "
            f"kept for backward {size_text(self.kept_bytes)}",
            f"FLOPs        {self.total_flops:,} in one forward: {FORMULA}",
        ]

    def __str__(self) -> str:
        below = [textwrap.fill(line, WIDTH, subsequent_indent=" " * 13) for line in self.totals()]
        return "\n".join((self.title, grid(COLUMNS, self.rows(), NUMBERS), *below))

    def __repr__(self) -> str:
        return f"<Summary of {self.title}: {self.total_params:,} parameters>"

    def _repr_html_(self) -> str:
        import html

        lines = "<br>".join(html.escape(line) for line in self.totals())
        return f"<p><b>{html.escape(self.title)}</b></p>{grid_html(COLUMNS, self.rows(), NUMBERS)}<p>{lines}</p>"


def _row(layer: Layer) -> tuple[str, ...]:
    name = layer.name if layer.name == layer.kind else f"{layer.name} ({layer.kind})"
    parameters = "shared" if layer.shared else f"{layer.parameters:,}" if layer.parameters else "-"
    return (
        "  " * layer.level + name,
        _shapes(layer.inputs),
        _shapes(layer.outputs),
        parameters,
        size_text(layer.output_bytes) if layer.output_bytes else "-",
        size_text(layer.kept_bytes) if layer.kept_bytes else "-",
        _counted(layer.flops) if layer.flops else "-",
        "-" if layer.gradient is None else number(layer.gradient),
    )


def _counted(count: int) -> str:
    """12,345,678 as 12.3 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
    return str(count)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) if len(shape) else "scalar"


def _shapes(shapes: Sequence[Sequence[int]]) -> str:
    runs = [(shape, len(list(same))) for shape, same in itertools.groupby(map(_shape, shapes))]
    shown = ", ".join(shape if count == 1 else f"{count} of {shape}" for shape, count in runs[:SHOWN_SHAPES])
    return shown + (", …" if len(runs) > SHOWN_SHAPES else "")


def _norm(*parameters: Any) -> str:
    found = gradient_norm(parameters)
    return "-" if found is None else number(found)


def gradient_norm(parameters: Sequence[Any]) -> float | None:
    """√Σ‖∇‖² over the parameters that have a gradient; None if none has."""
    grads = [p.grad.array for p in parameters if p.grad is not None]
    return float(np.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in grads))) if grads else None


def summary(
    model: Module,
    input_size: Sequence[Any] | None = None,
    input_data: Any = None,
    *,
    dtypes: Sequence[Any] | None = None,
    depth: int = 3,
    mode: str = "same",
    verbose: int | None = None,
    **kwargs: Any,
) -> Summary:
    """A table of the layers of `model`: shapes, parameters, memory, FLOPs and the norm of the gradients.

    input_size: the shape of the input, batch included, or a list of shapes for several inputs; random numbers of that
    shape are fed in (zeros for integer dtypes).  input_data: the input itself: a tensor, a tuple or list of positional
    arguments, or a dict of named ones.  dtypes: of the inputs of input_size (default: float).  kwargs: for forward.
    depth: how many levels of layers are shown (0: the model alone).  mode: "train", "eval", or "same" as it is now.
    verbose: 0 prints nothing, 1 the table (the default outside of notebooks), 2 the parameters of each layer too.

    output: bytes of the result, none if it is a view.  kept: bytes that stay alive until backward, without parameters,
    each counted where it was kept first.  FLOPs: see the last line of the table.  ‖∇‖: "-" before backward.
    A copy of the model is run, so nothing of the model changes, nor does the random generator.
    Raises TypeError and ValueError for wrong arguments, RuntimeError naming the layer where the forward failed.
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: expected a Module, got {type(model).__name__}")
    if mode not in ("same", "train", "eval"):
        raise ValueError(f"summary: mode is {mode!r}; choose 'same', 'train' or 'eval'")
    if verbose not in (None, 0, 1, 2):
        raise ValueError(f"summary: verbose is {verbose!r}; choose 0, 1 or 2")
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise ValueError(f"summary: depth must be an integer >= 0, got {depth!r}")
    args, named = _inputs(input_size, input_data, dtypes)
    named |= kwargs
    run = _Run(model, mode)
    output = run.forward(args, named)
    _measure_kept(run, output)
    if all(p.requires_grad for p in model.parameters()) and any(True for _ in model.parameters()):
        _measure_work(run, run, output)
    else:  # what needs no gradient is not recorded: a second run, where everything needs one, counts the work
        second = _Run(model, mode, record_all=True)
        _measure_work(run, second, second.forward(args, named))
    originals = dict(zip(run.model.modules(), model.modules(), strict=True))
    totals = _count(run, originals, depth)
    totals["input"] = sum(x.array.nbytes for x in _tensors((args, named)))
    title = f"{type(model).__name__}, {'training' if run.model.training else 'evaluation'}"
    found = Summary(title, run.layers, depth, verbose or 0, totals)
    if verbose in (1, 2) or (verbose is None and not _in_notebook()):
        print(found)
    return found


def _in_notebook() -> bool:
    """A notebook shows the result of the cell by itself."""
    import sys

    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def _inputs(size: Any, data: Any, kinds: Any) -> tuple[list[Any], dict[str, Any]]:
    """What to call the model with."""
    if data is not None:
        if size is not None or kinds is not None:
            raise ValueError("summary: give input_size (with dtypes), or input_data, not both")
        if isinstance(data, Mapping):
            return [], dict(data)
        return (list(data), {}) if isinstance(data, (list, tuple)) else ([data], {})
    if size is None:
        raise ValueError("summary: give input_size=(batch, ...), or input_data=x")
    whole = all(isinstance(n, (int, np.integer)) for n in size)
    sizes = [tuple(size)] if whole else [tuple(s) for s in size]
    wanted = [dtypes.get_default_dtype()] * len(sizes) if kinds is None else list(kinds)
    if len(wanted) != len(sizes):
        raise ValueError(f"summary: {len(sizes)} inputs but {len(wanted)} dtypes; give one for each")
    rng = np.random.default_rng(0)
    made = []
    for shape, kind in zip(sizes, wanted, strict=True):
        if any(n < 0 for n in shape):
            raise ValueError(f"summary: input_size has a negative size: {shape}")
        target = kind.dtype
        array = rng.random(shape).astype(target) if target.kind == "f" else np.zeros(shape, target)
        made.append(wrap(np.asarray(array)))
    return made, {}


def _tensors(value: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for v in value.values() for t in _tensors(v)]
    return [t for v in value for t in _tensors(v)] if isinstance(value, (tuple, list)) else []


def _recorded(value: Any) -> Any:
    """The same inputs, floating-point tensors as results of an op that requires grad."""
    if isinstance(value, Tensor):
        return value.detach().requires_grad_().clone() if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {k: _recorded(v) for k, v in value.items()}
    return type(value)(_recorded(v) for v in value) if type(value) in (tuple, list) else value


class _Run:
    """One forward of a copy of the model, watched by hooks.  record_all: everything in it requires grad."""

    def __init__(self, model: Module, mode: str, record_all: bool = False) -> None:
        self.model = copy.deepcopy(model)
        if mode != "same":
            self.model.train(mode == "train")
        self.record_all = record_all
        for p in self.model.parameters() if record_all else ():
            p.requires_grad_()
        self.layers: list[Layer] = []
        self.open: list[Layer] = []
        self.names = {module: name.rpartition(".")[2] for name, module in self.model.named_modules() if name}

    def forward(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        for module in self.model.modules():
            module.register_forward_pre_hook(self._enter, prepend=True, with_kwargs=True)
            module.register_forward_hook(self._leave)
        if self.record_all:
            args, kwargs = _recorded(list(args)), _recorded(dict(kwargs))
        try:
            with unchanged(), enable_grad():
                return self.model(*args, **kwargs)
        except Exception as error:
            path = ".".join(layer.name for layer in self.open[1:])
            layer = self.open[-1] if self.open else None
            place = f"in {path or type(self.model).__name__} ({layer.kind}), " if layer else ""
            shapes = f"for inputs of shape {_shapes(layer.inputs)}" if layer else ""
            raise RuntimeError(f"summary: the forward failed {place}{shapes}: {error}") from error

    def _enter(self, module: Module, args: Any, kwargs: Any) -> None:
        kind = type(module).__name__
        layer = Layer(self.names.get(module, kind), kind, len(self.open), module, next(clock))
        layer.inputs = [tuple(t.shape) for t in _tensors((args, kwargs))]
        layer.before = [owner(t.array) for t in _tensors((args, kwargs))]
        if self.open:
            self.open[-1].children.append(layer)
        self.layers.append(layer)
        self.open.append(layer)

    def _leave(self, module: Module, args: Any, output: Any) -> None:
        layer = self.open.pop()
        layer.end = next(clock)
        results = _tensors(output)
        layer.outputs = [tuple(t.shape) for t in results]
        before = {id(a) for a in layer.before}
        layer.before = []
        owners = {id(owner(t.array)): t.array.nbytes for t in results if id(owner(t.array)) not in before}
        layer.output_bytes = sum(owners.values())
        if not layer.children:
            layer.own_activations = layer.output_bytes


def _recorded_ops(output: Any) -> list[Node]:
    nodes = [node for node in map(live_node, _tensors(output)) if node is not None]
    return [node for node in behind(nodes) if isinstance(node, Node) and node.op is not None]


def _measure_work(run: _Run, ran: _Run, output: Any) -> None:
    """FLOPs of each layer of `run`, from what was recorded while the same layer of `ran` was called."""
    for node in _recorded_ops(output):
        work = flops(node)
        for layer, there in zip(run.layers, ran.layers, strict=True):
            if there.start < node.position < there.end:
                layer.flops += work


def _measure_kept(run: _Run, output: Any) -> None:
    """Bytes that each layer keeps for backward, counted where they were kept first."""
    own = {id(owner(t.array)) for t in (*run.model.parameters(), *run.model.buffers())}
    seen: set[int] = set()
    for node in _recorded_ops(output):
        kept = 0
        for array in _kept_arrays(node):
            root = owner(array)
            if id(root) not in own and id(root) not in seen:
                seen.add(id(root))
                kept += root.nbytes
        for layer in run.layers:
            if layer.start < node.position < layer.end:
                layer.kept_bytes += kept


def _kept_arrays(node: Node) -> list[Any]:
    if node.saved is FREED:
        return []
    flat: list[Any] = []
    for value in node.saved:
        flat += value if isinstance(value, tuple) else [value]
    arrays = [getattr(v, "array", v) for v in flat]
    return [a for a in arrays if isinstance(a, np.ndarray) and a.ndim]


def _count(run: _Run, originals: Mapping[Any, Any], depth: int) -> dict[str, int]:
    """Parameters of each row, each counted once, and the totals."""
    counted: set[Any] = set()
    calls: set[Any] = set()
    for layer in run.layers:
        module = originals[layer.module]
        inside = [c for c in layer.children if c.level <= depth]
        below = {p for child in inside for p in originals[child.module].parameters()}
        mine = [p for p in module.parameters() if p not in below]
        fresh = [p for p in mine if p not in counted]
        layer.shared = layer.module in calls and bool(mine)
        layer.parameters = sum(p.numel() for p in fresh)
        layer.trainable = sum(p.numel() for p in fresh if p.requires_grad)
        layer.gradient = gradient_norm(list(module.parameters()))
        if layer.level <= depth:
            counted.update(fresh)
            calls.add(layer.module)
        layer.module = module
    everything = list(originals[run.model].parameters())
    return {
        "parameters": sum(p.numel() for p in everything),
        "trainable": sum(p.numel() for p in everything if p.requires_grad),
        "parameter bytes": sum(p.array.nbytes for p in everything),
        "flops": run.layers[0].flops,
        "activations": sum(layer.own_activations for layer in run.layers),
        "kept": run.layers[0].kept_bytes,
    }
