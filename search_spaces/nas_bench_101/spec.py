"""Specs of `nas-bench-101`: a cell as a graph of labelled vertices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx as nx

OPERATIONS = ("conv3x3", "conv1x1", "maxpool3x3")


@dataclass(frozen=True)
class Cell:
    """Decided cell: a directed acyclic graph whose vertices all are on a path from input to output.

    Vertex 0 is the input, the last vertex the output.

    Attributes:
        operations: Operations of the vertices between the two, from vertex 1 on.
        edges: All (source, target), with source < target, sorted.
    """

    operations: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]

    def graph(self) -> nx.DiGraph:
        """The cell as a diagram whose nodes are the vertices."""
        import networkx as nx

        last = len(self.operations) + 1
        diagram = nx.DiGraph()
        diagram.add_node(0, op="input")
        diagram.add_nodes_from((vertex, {"op": name}) for vertex, name in enumerate(self.operations, 1))
        diagram.add_node(last, op="output", join="concat")
        diagram.add_edges_from(self.edges)
        return diagram
