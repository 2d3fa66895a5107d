"""The graph of one run of a forward pass, for pictures: with the names of the derivation, and what is wrong where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinygrad_edu.autograd.graph import Graph, graph_of, vertex_of
from tinygrad_edu.tensor import Tensor

__all__ = ["Recorded"]


@dataclass(frozen=True)
class Recorded:
    """The tensors of one run, recorded with their values."""

    tensors: Mapping[str, Tensor]
    output: str
    parameters: tuple[str, ...] = ()

    def graph(self) -> Graph:
        """The recorded graph as plain data."""
        named = {self.tensors[key].name or key: self.tensors[key] for key in self.parameters}
        return graph_of(self.tensors[self.output], params=named)  # the other leaves are inputs, by their own names

    def vertices(self, graph: Graph) -> dict[str, str]:
        """The vertex that shows each named value."""
        found = {key: vertex_of(graph, tensor) for key, tensor in self.tensors.items()}
        return {key: vertex for key, vertex in found.items() if vertex}
