"""What pictures and explanations read of a recorded graph: frozen records, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    kept_bytes: int = 0  # what backward keeps alive because of this vertex: its result, or arrays made on the way to it
    seconds: float | None = None  # forward, if recorded under `autograd.profile()`
    backward_seconds: float | None = None
    order: int = 0  # 1 for an op that backward(create_graph=True) recorded, 2 for one of its own backward, ...
    origin: str = ""  # the vertex whose backward rule recorded this one


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
    places: Mapping[int, str] = field(
        default_factory=dict, repr=False, compare=False
    )  # position -> vertex drawn for it
