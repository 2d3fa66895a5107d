"""Pictures of what the engine did: graphs with numbers and gradients, learning curves, filters, confusions, mistakes.

Reads the frozen records of `tinygrad_edu.autograd.graph` and plain arrays; the engine never imports this package.
"""

from __future__ import annotations

from .graph import Drawing, graph
from .history import curves
from .plots import confusion, filters, mistakes

__all__ = ["Drawing", "confusion", "curves", "filters", "graph", "mistakes"]
