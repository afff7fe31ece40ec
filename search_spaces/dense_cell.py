"""Edges of a densely connected cell, as in NAS-Bench-201: which nodes exist, and which edges matter."""

from __future__ import annotations

NUM_NODES = 4
EDGES = tuple((source, target) for target in range(1, NUM_NODES) for source in range(target))


def live(operations: dict[tuple[int, int], str], last: int) -> list[tuple[int, int]]:
    """The edges on a path from node 0 to node `last`, in the order in which they can be computed."""
    forward, backward = {0}, {last}
    for source, target in sorted(operations, key=lambda edge: edge[1]):
        if source in forward:
            forward.add(target)
    for source, target in sorted(operations, key=lambda edge: -edge[0]):
        if target in backward:
            backward.add(source)
    live = [edge for edge in operations if edge[0] in forward and edge[1] in backward]
    return sorted(live, key=lambda edge: (edge[1], edge[0]))


def connected(cell: tuple[str, ...]) -> bool:
    """Whether a path of operations other than 'none' leads from node 0 to the last."""
    reached = {0}
    for (source, target), operation in zip(EDGES, cell, strict=True):
        if operation != "none" and source in reached:
            reached.add(target)
    return NUM_NODES - 1 in reached
