"""What a layer makes of one input: its channels as images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .canvas import SUFFIXES, PathLike, as_array, finish, framed, heading, new_figure, scale_bar
from .files import output_path
from .model import evaluated
from .numbers import counted
from .palette import palette_named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 64  # channels


def activations(
    model: Any,
    x: Any,
    path: PathLike | None = None,
    layer: str | None = None,
    title: str | None = None,
    theme: str = "light",
    limit: int = MOST,
) -> Figure:
    """The channels that `layer` makes of one image, each as a picture, beside the image itself.

    x (c, h, w), or (n, c, h, w) of which the first is shown; the layer's output is (n, channels, h', w').
    The model runs once, in evaluation mode and without a graph, and is left as it was: no running statistics move.
    layer  a name from model.named_modules(); None: the first convolution
    limit  the first so many channels
    Errors: TypeError for what is no module, ValueError for an unknown layer, an input of other dims, and a layer
    without channels of images or that did not run.
    """
    palette = palette_named(theme)
    modules = dict(model.named_modules()) if callable(getattr(model, "named_modules", None)) else None
    if modules is None:
        raise TypeError(f"visualize.activations: got {type(model).__name__}; pass the model, an nn.Module")
    name = _first_convolution(modules) if layer is None else layer
    if name not in modules:
        near = ", ".join(map(repr, filter(None, modules)))
        raise ValueError(f"visualize.activations: no layer {name!r}; there are {near}")
    image = as_array(x)
    if image.ndim not in (3, 4) or 0 in image.shape:
        raise ValueError(f"visualize.activations: x is {image.shape}; it must be (c, h, w) or (n, c, h, w), not empty")
    if limit < 1:
        raise ValueError(f"visualize.activations: limit is {limit}; it must be at least 1")
    if path is not None:
        output_path(path, SUFFIXES, "visualize.activations")
    image = image[:1] if image.ndim == 4 else image[None]
    channels = _output_of(model, modules[name], name, image)
    total, channels = len(channels), channels[:limit]
    columns = min(len(channels), max(4, math.ceil(math.sqrt(len(channels) * 1.6))))
    rows = math.ceil(len(channels) / columns)
    figure = new_figure(2.6 + 0.85 * columns, max(2.2, 0.7 + 0.85 * rows), palette)
    parts: Any = figure.subfigures(1, 2, width_ratios=(1.7, 0.9 + 0.85 * columns))
    left, right = parts
    for part in parts:
        part.set_facecolor(palette.paper)
    source = left.subplots()
    _show_input(source, image[0])
    framed(source, palette)
    source.set_title("input", fontsize=9.5, color=palette.text)
    axes = right.subplots(rows, columns, squeeze=False).reshape(-1)
    signed = bool((channels < 0).any())
    top = float(np.abs(channels[np.isfinite(channels)]).max(initial=0.0)) or 1.0
    shades = palette.signs() if signed else palette.amounts()
    for k, ax in enumerate(axes):
        if k >= len(channels):
            ax.set_axis_off()
            continue
        shown = ax.imshow(channels[k], cmap=shades, vmin=-top if signed else 0.0, vmax=top, interpolation="nearest")
        framed(ax, palette)
        ax.set_title(str(k), fontsize=7.5, color=palette.muted, pad=2)
    scale_bar(right, shown, axes, palette)
    first = f", first {len(channels)} of {total}" if len(channels) < total else ""
    kind = type(modules[name]).__name__
    size = " × ".join(map(str, channels.shape[1:]))
    heading(figure, title or f"{name or kind} ({kind}): {counted(total, 'channel')} {size}{first}", 11, palette)
    return finish(figure, path, "visualize.activations")


def _first_convolution(modules: dict[str, Any]) -> str:
    for name, module in modules.items():
        if len(getattr(getattr(module, "weight", None), "shape", ())) == 4:
            return name
    raise ValueError("visualize.activations: the model has no 2-D convolution; name a layer: layer='...'")


def _output_of(model: Any, module: Any, name: str, image: NDArray[Any]) -> NDArray[np.float64]:
    """(channels, h, w) of what the layer returned for the image, in a run that leaves no trace."""
    outputs: list[Any] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        evaluated(model, image)
    finally:
        handle.remove()
    if not outputs:
        raise ValueError(f"visualize.activations: layer {name!r} did not run for this input")
    found = as_array(outputs[0]) if hasattr(outputs[0], "shape") else None
    if found is None or found.ndim != 4:
        what = type(outputs[0]).__name__ if found is None else f"{found.shape}"
        raise ValueError(f"visualize.activations: layer {name!r} returns {what}; it must be (n, channels, h, w)")
    return found[0].astype(np.float64)


def _show_input(ax: Any, image: NDArray[Any]) -> None:
    if len(image) == 3:
        low, high = float(image.min()), float(image.max())
        ax.imshow((image.transpose(1, 2, 0) - low) / ((high - low) or 1.0), interpolation="nearest")
    else:
        ax.imshow(image.mean(axis=0), cmap="gray", interpolation="nearest")
