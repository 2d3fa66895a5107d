"""What pictures and explanations read of a recorded graph: frozen records, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad_edu.ops.registry import Array


@dataclass(frozen=True)
class Vertex:
    """One op and its output, or a leaf."""

    id: str
    role: str  # "input", "parameter", "constant", "op", "output"
    op: str  # registry name; "" for leaves
    title: str
    symbol: str
    name: str
    formula: str
    shape: tuple[int, ...]
    dtype: str
    value: Array | None
    grad: Array | None
    grad_state: str  # "computed", "pending", "none", "not kept"
    saved: bool  # kept for backward
    paths: int  # consumers that send a gradient
    scope: str
    detached: bool
    location: str
    position: int
    details: dict[str, str]


@dataclass(frozen=True)
class Edge:
    """Data flowing from source to target, and perhaps a gradient back."""

    source: str
    target: str
    input: str
    shape: tuple[int, ...]
    gradient: bool
    label: str
    detached: bool


@dataclass(frozen=True)
class Scope:
    """One call of a module or of a composite function."""

    id: str
    name: str
    kind: str
    detail: str
    parent: str
    is_loss: bool
    parameters: int


@dataclass(frozen=True)
class Graph:
    """Vertices in execution order with leaves before their first use, edges, and scopes with parents first."""

    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    scopes: tuple[Scope, ...]
    outputs: tuple[str, ...]
    parameters: int
