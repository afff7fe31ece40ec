"""Specs of the few-shot cell: operations on the edges of a cell, and the stack of cells."""

from __future__ import annotations

from dataclasses import dataclass

OPERATIONS = ("none", "skip", "conv1", "conv3", "sep3", "dil3", "avg_pool", "max_pool")


@dataclass(frozen=True)
class CellStack:
    """A decided architecture.

    cell        one operation for each edge of `EDGES`; a node sums its edges, node 0 is the cell's input
    width       channels everywhere
    num_cells   how often the cell is stacked
    reductions  the cells (by index) whose output is halved in height and width by a 2×2 max pool
    """

    cell: tuple[str, ...]
    width: int
    num_cells: int
    reductions: tuple[int, ...]
