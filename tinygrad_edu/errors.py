"""The errors a user can meet, each a subclass of the type PyTorch raises in the same place."""

from __future__ import annotations


class ShapeError(RuntimeError):
    """Shapes that do not fit an op or a layer."""


class DTypeError(RuntimeError):
    """An element type that an op does not take."""


class LabelError(IndexError):
    """A class label or an index outside its range."""


class GraphError(RuntimeError):
    """A backward pass that cannot run: freed graph, changed value, non-scalar root."""


class AnomalyError(RuntimeError):
    """A NaN or an infinity, found by `detect_anomaly`."""


class DataError(RuntimeError):
    """A data file that is missing, truncated or corrupt."""


class GraphvizNotFound(RuntimeError):
    """No Graphviz renderer on this machine."""


class LinAlgError(RuntimeError):
    """A matrix that has no inverse or factorisation."""
