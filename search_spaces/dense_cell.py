"""Edges of a densely connected cell, as in NAS-Bench-201 (arXiv 2001.00326, figure 1)."""

from __future__ import annotations

NUM_NODES = 4
"""Nodes of the cell; node 0 is its input, the last one its output."""
EDGES = tuple((source, target) for target in range(1, NUM_NODES) for source in range(target))
"""All (source, target) with source < target, in the order of a cell's operations."""


def live_edges(operations: dict[tuple[int, int], str], last: int) -> list[tuple[int, int]]:
    """The edges on a path from node 0 to node `last`, in an order in which they can be computed."""
    reached, needed = {0}, {last}
    for source, target in sorted(operations, key=lambda edge: edge[1]):
        if source in reached:
            reached.add(target)
    for source, target in sorted(operations, key=lambda edge: -edge[0]):
        if target in needed:
            needed.add(source)
    live = [edge for edge in operations if edge[0] in reached and edge[1] in needed]
    return sorted(live, key=lambda edge: (edge[1], edge[0]))


def connected(cell: tuple[str, ...]) -> bool:
    """Whether a path of operations other than 'none' leads from node 0 to the last; one operation for each edge."""
    reached = {0}
    for (source, target), operation in zip(EDGES, cell, strict=True):
        if operation != "none" and source in reached:
            reached.add(target)
    return NUM_NODES - 1 in reached
