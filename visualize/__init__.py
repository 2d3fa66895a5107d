"""Pictures of what the engine did: graphs with numbers and gradients, learning curves, filters, confusions, mistakes.

Reads the frozen records of `tinygrad_edu.autograd.graph` and plain arrays; the engine never imports this package.
"""

from __future__ import annotations

from .activations import activations
from .animate import animate
from .boundary import decision_boundary
from .difference import Change, Difference, diff
from .flow import GradientFlow, gradient_flow
from .graph import Drawing, graph
from .histograms import histograms
from .history import curves
from .page import Page, page
from .plots import confusion, filters, mistakes
from .report import Report, report

__all__ = [
    "Change",
    "Difference",
    "Drawing",
    "GradientFlow",
    "Page",
    "Report",
    "activations",
    "animate",
    "confusion",
    "curves",
    "decision_boundary",
    "diff",
    "filters",
    "gradient_flow",
    "graph",
    "histograms",
    "mistakes",
    "page",
    "report",
]
