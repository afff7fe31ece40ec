"""Specs of `few-shot-cell`: the operations of a cell's edges, and the stack of cells."""

from __future__ import annotations

from dataclasses import dataclass

OPERATIONS = ("none", "skip", "conv1", "conv3", "sep3", "dil3", "avg_pool", "max_pool")


@dataclass(frozen=True)
class CellStack:
    """Decided architecture.

    Attributes:
        cell: One operation for each edge of `dense_cell.EDGES`. A node adds up its edges; node 0 is the cell's input.
        width: Channels of all cells.
        num_cells: Number of cells.
        reductions: Indices of the cells that a 2×2 max pool follows, which halves height and width.
    """

    cell: tuple[str, ...]
    width: int
    num_cells: int
    reductions: tuple[int, ...]
