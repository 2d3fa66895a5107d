"""Gradient flow: how large the gradient of each layer is, beside its weights, while a model trains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .canvas import SUFFIXES, PathLike, as_array, bare, finish, heading, label_ends, new_figure, panel_title, scale_bar
from .files import output_path
from .numbers import counted
from .palette import Palette, palette_named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = 7  # layers that lines can tell apart; more are rows of a heat map
SNAPSHOTS = 64  # distributions kept of each parameter; when there are more, every second one goes
MOST_BINS = 60
KINDS = ("lines", "heatmap")


@dataclass
class Snapshot:
    """The distribution of the numbers in one array: how many fall between neighbouring edges."""

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]

    @classmethod
    def of(cls, x: NDArray[Any]) -> Snapshot:
        """The histogram of the finite numbers in `x`."""
        finite = x[np.isfinite(x)].astype(np.float64)
        reach = float(np.abs(finite).max()) if finite.size else 0.0
        bins = min(MOST_BINS, max(5, round(2 * finite.size ** (1 / 3))))  # Rice's rule: few numbers, few bins
        counts, edges = np.histogram(finite, bins, (-reach, reach) if reach > 0 else (-1.0, 1.0))
        return cls(counts, edges)


@dataclass
class Layer:
    """What was recorded of one layer: its own parameters and, for each step, the norms over all of them."""

    name: str
    parameters: dict[str, Any]
    gradient: list[float] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)


class GradientFlow:
    """Records ‖∇W‖ and ‖W‖ of every layer of a model, and the distributions behind them, step by step.

        flow = visualize.GradientFlow(model)
        for images, labels in loader:
            ...
            loss.backward()
            optimizer.step()
            flow.step()
        visualize.gradient_flow(flow, "flow.png")
        visualize.histograms(flow, "histograms.png", of="gradient")

    Hooks on the parameters measure when backward has added to `.grad`, so `step()` may stand anywhere after
    `backward()` in the iteration, and several backward calls before it count as the sum they are in `.grad`.
    A layer is a module with parameters of its own; a layer that got no gradient in a step has NaN there.
    `close()`, or leaving a `with` block, takes the hooks off; what was recorded stays.
    Errors: TypeError for what is no module, ValueError for a module without a parameter that requires grad.
    """

    def __init__(self, model: Any) -> None:
        if not callable(getattr(model, "named_modules", None)):
            raise TypeError(f"visualize.GradientFlow: got {type(model).__name__}; pass the model, an nn.Module")
        self.layers: list[Layer] = []
        self.stride = 1  # steps between snapshots
        self.snapshot_steps: list[int] = []
        self.weights: dict[str, list[Snapshot]] = {}
        self.gradients: dict[str, list[Snapshot]] = {}
        self._norms: dict[str, tuple[float, float]] = {}
        self._shots: dict[str, tuple[Snapshot, Snapshot]] = {}
        self._handles: list[Any] = []
        self._count = 0
        for name, module in model.named_modules():
            own = {k: p for k, p in module.named_parameters(recurse=False) if p.requires_grad}
            if own:
                full = {f"{name}.{k}" if name else k: p for k, p in own.items()}
                self.layers.append(Layer(name or type(module).__name__, full))
                for key, parameter in full.items():
                    self.weights[key], self.gradients[key] = [], []
                    self._handles.append(parameter.register_post_accumulate_grad_hook(self._measure(key)))
        if not self.layers:
            raise ValueError("visualize.GradientFlow: no parameter of this model requires grad")

    def _measure(self, key: str) -> Any:
        def measure(parameter: Any) -> None:
            weight, gradient = as_array(parameter), as_array(parameter.grad)
            self._norms[key] = (_norm(gradient), _norm(weight))
            if self._count % self.stride == 0:
                self._shots[key] = (Snapshot.of(weight), Snapshot.of(gradient))

        return measure

    def step(self) -> None:
        """Close one iteration: what backward has measured since the last one becomes the next entry of each layer.

        Errors: RuntimeError if there was no backward since.
        """
        if not self._norms:
            raise RuntimeError(
                "visualize.GradientFlow.step: no gradient since the last step; call it once per iteration, after "
                "backward()" + ("" if self._handles else " (this recorder is closed)")
            )
        for layer in self.layers:
            norms = [self._norms[key] for key in layer.parameters if key in self._norms]
            layer.gradient.append(math.hypot(*(g for g, _ in norms)) if norms else math.nan)
            layer.weight.append(math.hypot(*(w for _, w in norms)) if norms else math.nan)
        if self._shots:
            self.snapshot_steps.append(self._count + 1)
            empty = Snapshot.of(np.empty(0))
            for key in self.weights:
                weight, gradient = self._shots.get(key, (empty, empty))
                self.weights[key].append(weight)
                self.gradients[key].append(gradient)
        self._norms, self._shots = {}, {}
        self._count += 1
        if len(self.snapshot_steps) > SNAPSHOTS:
            self._thin_out()

    def _thin_out(self) -> None:
        self.stride *= 2
        lists: list[list[Any]] = [self.snapshot_steps, *self.weights.values(), *self.gradients.values()]
        for kept in lists:
            del kept[1::2]

    @property
    def ratios(self) -> dict[str, NDArray[np.float64]]:
        """‖∇W‖ / ‖W‖ of each layer by step; NaN without gradient, and where all weights are zero."""
        found = {}
        for layer in self.layers:
            gradient, weight = np.asarray(layer.gradient), np.asarray(layer.weight)
            found[layer.name] = np.divide(gradient, weight, out=np.full(gradient.shape, math.nan), where=weight != 0)
        return found

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Take the hooks off the parameters."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def __enter__(self) -> GradientFlow:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<GradientFlow of {counted(len(self.layers), 'layer')}, {counted(self._count, 'step')}>"


def gradient_flow(
    flow: GradientFlow,
    path: PathLike | None = None,
    title: str | None = None,
    theme: str = "light",
    kind: str | None = None,
) -> Figure:
    """‖∇W‖ / ‖W‖ of every layer over the steps of training, on a log scale, from the first layer to the last.

    Lines that fan out downwards towards the first layers are vanishing gradients; upwards, exploding ones.
    kind: "lines", "heatmap" (a row per layer), or None: lines up to 7 layers.
    Errors: TypeError for what is no GradientFlow, ValueError for one without steps, another kind, theme or suffix.
    """
    palette = palette_named(theme)
    if not isinstance(flow, GradientFlow):
        raise TypeError(
            f"visualize.gradient_flow: got {type(flow).__name__}; record with flow = visualize.GradientFlow(model) and "
            "flow.step() in each iteration, then pass the flow"
        )
    if kind not in (None, *KINDS):
        raise ValueError(f"visualize.gradient_flow: kind is {kind!r}; choose 'lines', 'heatmap' or None")
    if not len(flow):
        raise ValueError("visualize.gradient_flow: nothing recorded yet; call flow.step() in each iteration")
    if path is not None:
        output_path(path, SUFFIXES, "visualize.gradient_flow")
    ratios = flow.ratios
    lines = kind == "lines" or (kind is None and len(ratios) <= LINES)
    height = max(3.9, 0.3 * len(ratios)) if lines else 1.5 + 0.27 * len(ratios)
    figure = new_figure(7.6, height, palette)
    ax = figure.subplots()
    (_lines if lines else _heatmap)(ax, ratios, palette)
    ax.set_xlabel("step", color=palette.muted)
    panel_title(ax, "gradient beside weights: ‖∇W‖ / ‖W‖ of each layer", palette, 11)
    if title:
        heading(figure, title, 14, palette)
    return finish(figure, path, "visualize.gradient_flow")


def _lines(ax: Axes, ratios: dict[str, NDArray[np.float64]], palette: Palette) -> None:
    steps = np.arange(1, len(next(iter(ratios.values()))) + 1)
    ends: list[tuple[float, str, str]] = []
    for k, (name, values) in enumerate(ratios.items()):
        color, marker, dash = palette.look(k)
        shown = np.where(values > 0, values, math.nan)
        look: dict[str, Any] = {"color": color, "linestyle": dash, "marker": marker}
        ax.plot(steps, shown, linewidth=1.4, markersize=4, markevery=max(1, len(steps) // 10), **look)
        level = _median_of_end(shown)
        ends.append((level, f"{name}  {_said(values)}", color))
    ax.set_yscale("log")
    ax.grid(axis="y", color=palette.grid, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.set_xlim((0.5, 1.5) if len(steps) == 1 else (1 - 0.02 * len(steps), len(steps) * 1.02))
    bare(ax, palette)
    label_ends(ax, ends)


def _heatmap(ax: Axes, ratios: dict[str, NDArray[np.float64]], palette: Palette) -> None:
    from matplotlib.colors import LogNorm

    table = np.stack(list(ratios.values()))
    shown = np.ma.masked_invalid(np.where(table > 0, table, math.nan))
    low, high = (float(shown.min()), float(shown.max())) if shown.count() else (0.1, 1.0)
    low, high = (low, high) if high > low else (low / 2, high * 2)
    extent = (0.5, table.shape[1] + 0.5, len(table) - 0.5, -0.5)
    norm = LogNorm(low * (low / high) ** 0.12, high)  # the least is still a colour: blank means no gradient
    image = ax.imshow(shown, cmap=palette.amounts(), norm=norm, aspect="auto", extent=extent, interpolation="nearest")
    ax.set_yticks(range(len(ratios)), list(ratios), fontsize=8.5)
    bare(ax, palette)
    figure: Any = ax.figure
    scale_bar(figure, image, ax, palette)


def _median_of_end(values: NDArray[np.float64]) -> float:
    """The height of a noisy line's end: the median of its last tenth."""
    tail = values[-max(1, len(values) // 10) :]
    tail = tail[np.isfinite(tail)]
    return float(np.median(tail)) if tail.size else math.nan


def _said(values: NDArray[np.float64]) -> str:
    last = float(values[-1])
    if math.isfinite(last):
        return f"{last:.2g}".replace("-", "−") if last else "exactly 0"
    return "Inf" if math.isinf(last) else "none" if np.isnan(values).all() else "none now"


def _norm(x: NDArray[Any]) -> float:
    return float(np.linalg.norm(x.astype(np.float64).reshape(-1)))


def evenly(count: int, most: int) -> Sequence[int]:
    """At most `most` of the places 0 ... count - 1, evenly spread, the first and the last among them."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))
