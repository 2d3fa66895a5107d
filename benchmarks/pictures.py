"""How long a picture takes: `python -m benchmarks.pictures` times graphs of 100 to 100,000 ops, step by step.

Three kinds of graph: a chain of repeats (y·w, tanh), rows of residual blocks, and a chain without any pattern. Columns:
seconds to read the recorded graph, to choose what is drawn and write the DOT text, and for `dot` to make an SVG; then
how many nodes are left to draw.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_edu as torch
import visualize
from tinygrad_edu import nn
from tinygrad_edu.autograd.graph import graph_of

SIZES = (100, 1_000, 10_000, 100_000)


class Block(nn.Module):
    """x + b(relu(a(x))): six operations."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        """One block."""
        return x + self.b(self.a(x).relu())


def repeats(size: int) -> Any:
    """A recurrent chain with a shared weight."""
    y, w = torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)
    for _ in range(size // 2):
        y = (y * w).tanh()
    return y.sum()


def blocks(size: int) -> Any:
    """A row of residual blocks, each with weights of its own."""
    return nn.Sequential(*[Block() for _ in range(size // 6)])(torch.ones(1, 4)).sum()


def without_pattern(size: int) -> Any:
    """A chain of three ops in random order: nothing repeats, nothing can be closed."""
    y, rng = torch.ones(2, requires_grad=True), np.random.default_rng(0)
    for kind in rng.integers(3, size=size):
        y = (y.sin, y.cos, y.tanh)[kind]()
    return y.sum()


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and the result."""
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def main(arguments: list[str] | None = None) -> list[tuple[str, int, float, float, float, int]]:
    """Print the table; return its rows: kind, ops, seconds to read, to write DOT, to lay out, nodes drawn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="operations (default: %(default)s)")
    kinds = {make.__name__: make for make in (repeats, blocks, without_pattern)}
    parser.add_argument("--graphs", choices=kinds, nargs="+", default=list(kinds), help="which (default: all)")
    options = parser.parse_args(arguments)
    rows = []
    print(f"{'graph':16} {'ops':>8} {'read s':>8} {'DOT s':>8} {'svg s':>8} {'nodes':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for make in (kinds[name] for name in options.graphs):
            for size in options.sizes:
                loss = make(size)
                read, record = timed(lambda loss=loss: graph_of(loss))
                write, drawing = timed(lambda record=record: visualize.graph(record))
                svg, _ = timed(lambda drawing=drawing: drawing.render(Path(folder, "graph.svg")))
                rows.append((make.__name__, size, read, write, svg, drawing.shown))
                print(f"{make.__name__:16} {size:8,} {read:8.2f} {write:8.2f} {svg:8.2f} {drawing.shown:6}", flush=True)
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
