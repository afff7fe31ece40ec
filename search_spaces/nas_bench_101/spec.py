"""Specs of NAS-Bench-101: a cell of at most seven labelled vertices."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx

OPERATIONS = ("conv3x3", "conv1x1", "maxpool3x3")


@dataclass(frozen=True)
class Cell:
    """A directed acyclic graph in which every vertex is on a path from vertex 0, the input, to the last, the output.

    operations  of the vertices between the two, from vertex 1
    edges       (source, target) with source < target, sorted
    """

    operations: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]

    def graph(self) -> nx.DiGraph:
        last = len(self.operations) + 1
        diagram = nx.DiGraph()
        diagram.add_node(0, op="input")
        diagram.add_nodes_from((vertex, {"op": name}) for vertex, name in enumerate(self.operations, 1))
        diagram.add_node(last, op="output", join="concat")
        diagram.add_edges_from(self.edges)
        return diagram
