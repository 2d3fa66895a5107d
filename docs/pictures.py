"""The picture of every op: a tiny real run, drawn."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import tinygrad_edu as torch
import visualize
from tinygrad_edu.ops.registry import Op
from tinygrad_edu.testing import RandomChooser, draw_inputs
from visualize import render
from visualize.page_svg import FILLS, LINES

SEEDS = 60  # draws to choose the tiniest example from


def example(op: Op) -> tuple[list[Any], dict[str, Any]]:
    """Arrays and parameters that the op's property test may draw: nothing empty, as few numbers as there are."""
    best: tuple[float, list[Any], dict[str, Any]] | None = None
    for seed in range(SEEDS):
        arrays, params = draw_inputs(op, RandomChooser(seed))
        sizes = [a.size for a in arrays]
        if min(sizes) == 0:
            continue
        # two to four numbers are printed in full; single numbers hide what broadcasts and what is summed
        cost = sum(abs(n - 3) for n in sizes) + 10 * (max(sizes) == 1)
        if best is None or cost < best[0]:
            best = (cost, arrays, params)
    assert best is not None, f"{op.name}: every drawn input is empty"
    return best[1], best[2]


def drawing(op: Op) -> visualize.Drawing | None:
    """One call of the op and its backward, drawn; None for an op without a gradient."""
    arrays, params = example(op)
    tensors = []
    for k, array in enumerate(arrays):
        tensor = torch.tensor(array.copy(), requires_grad=array.dtype.kind == "f")
        tensor.name = f"{op.inputs[0]}{k}" if op.variadic else op.inputs[k]
        tensors.append(tensor)
    out: Any = op(tensors, **params) if op.variadic else op(*tensors, **params)
    out = out[0] if isinstance(out, (tuple, list)) else out
    if not out.requires_grad:
        return None
    out.name = "out"
    upstream = np.resize([1.0, -2.0, 0.5, 3.0], out.shape)
    out.backward(torch.tensor(upstream))
    return visualize.graph(out, title=op.name, subtitle="a real call, and its backward", direction="LR", labels=True)


def themed(svg: str) -> str:
    """The SVG of Graphviz with the light colours as CSS variables, so that it follows the theme of the page."""
    svg = svg[svg.index("<svg") :]
    paper = re.search(r'<polygon fill="[^"]*" stroke="[^"]*" points="([^"]*)"/>', svg)
    assert paper is not None, "Graphviz draws the paper first"
    points = np.array([pair.split(",") for pair in paper[1].split()], float)
    width, height = np.ptp(points, axis=0)
    left, top = points.min(axis=0)
    # From the paper itself: the viewBox that Graphviz 2.43 writes is too small wherever dpi is not 72.
    size = f'width="{1.25 * width:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    body = svg[svg.index("<g ") :].replace(paper[0], "", 1)
    body = re.sub(r'transform="[^"]*"', f'transform="translate({-left:g} {-top:g})"', body, count=1)
    body = re.sub(r'xlink:title="[^"]*"', "", body)
    for attribute, names in (("fill", FILLS), ("stroke", LINES)):
        for color, name in names.items():
            body = re.sub(rf'{attribute}="{color}"', f'{attribute}="var(--{name})"', body, flags=re.IGNORECASE)
    return head + body


def pictures(ops: Iterable[Op]) -> dict[str, str]:
    """Name of the op -> its picture as SVG in the colours of the page; ops without a gradient are left out.

    Errors: GraphvizNotFound without a renderer.
    """
    found = {op.name: made for op in ops if (made := drawing(op)) is not None}
    renderer = next(iter(render.renderers()), None)
    if renderer is None:
        raise torch.errors.GraphvizNotFound(f"no Graphviz to draw the ops with; install it: {render.install_command()}")

    def svg(item: tuple[str, visualize.Drawing]) -> tuple[str, str]:
        name, made = item
        text = render.run(made.source, "svg", expect="value", renderer=renderer).decode("utf-8")
        return name, themed(text)

    with ThreadPoolExecutor(2) as pool:  # Graphviz runs in processes of its own
        return dict(pool.map(svg, found.items()))
