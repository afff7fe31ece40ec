"""The space `nas-bench-201`: a cell of six edges, in the skeleton of the networks of NAS-Bench-201."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from nas.architecture import Architecture
from nas.bounds import LARGEST_WIDTH, check_number
from nas.errors import SpaceError, nearest, shown
from nas.space import Choose, replay
from nas.task import TaskShape

from ..dense_cell import EDGES, NUM_NODES, connected
from ..images import check_images

if TYPE_CHECKING:
    from torch import nn

Cell = tuple[str, ...]
"""One operation for each edge of `EDGES`; a node sums its edges, node 0 is the cell's input, the last its output."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CHOICES = tuple(f"edge{source}-{target}" for source, target in EDGES)
NODES = ("input", *(f"node{i}" for i in range(1, NUM_NODES - 1)), "output")
TEXT = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"


@dataclass(frozen=True)
class NasBench201:
    """A cell of 4 nodes whose every pair is joined by one of 5 operations: 5⁶ = 15,625 cells.

    Dong & Yang, arXiv 2001.00326. The skeleton: a 3×3 convolution; three stages of cells with `width`, 2 · `width` and
    4 · `width` channels; a residual block of stride 2 between stages; a spatial mean and a linear head. The published
    networks have a width of 16 and 5 cells a stage; the defaults are small enough to be meta-trained. Sides that are
    odd are halved upwards (the paper's are even).

    width      channels of the first stage
    cells      cells a stage
    published  all 15,625 cells, each with the weights of all its operations, as in the published tables. Otherwise
               cells whose input does not reach their output are rejected, and what has no effect is left out
    """

    width: int = 8
    cells: int = 1
    published: bool = False
    name = "nas-bench-201"

    def __post_init__(self) -> None:
        check_number(self.name, "width", self.width, 1, LARGEST_WIDTH)
        check_number(self.name, "cells", self.cells, 1, 100)

    def decide(self, choose: Choose) -> Cell:
        cell = tuple([choose(name, OPERATIONS) for name in CHOICES])
        if not self.published and not connected(cell):
            choose.reject("no path leads from the cell's input to its output")
        return cell

    def build(self, spec: Cell, task: TaskShape) -> nn.Module:
        """The network; raises SpaceError where the task's inputs are not images that can be halved twice."""
        from .network import Network

        check_images(self.name, task, halvings=2)
        operations = {edge: name for edge, name in zip(EDGES, spec, strict=True) if name != "none"}
        return Network(operations, self.width, self.cells, task, prune=not self.published)

    def graph(self, spec: Cell) -> nx.DiGraph:
        """The cell as a diagram with its operations on the edges."""
        diagram = nx.DiGraph()
        for name in NODES:
            diagram.add_node(name, op=name if name in ("input", "output") else "sum")
        for (source, target), operation in zip(EDGES, spec, strict=True):
            diagram.add_edge(NODES[source], NODES[target], op="skip" if operation == "skip_connect" else operation)
        return diagram

    def to_text(self, architecture: Architecture) -> str:
        """The cell as the published tables write it, such as
        '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|'."""
        return TEXT.format(*replay(self, architecture))

    def from_text(self, text: str) -> Architecture:
        """The architecture of a cell that is written as in the tables.

        Raises SpaceError for another form or an unknown operation; Rejected for a cell that this space does not allow.
        """
        found = re.fullmatch(re.escape(TEXT).replace(re.escape("{}"), "([^|~+]*)"), text)
        if found is None:
            raise SpaceError(f"{shown(text)} is no cell of nas-bench-201; write {TEXT} with an operation in each {{}}")
        for operation in found.groups():
            if operation not in OPERATIONS:
                raise SpaceError(f"operation {shown(operation)} is not known: {nearest(operation, OPERATIONS)}")
        picks = {name: OPERATIONS.index(op) for name, op in zip(CHOICES, found.groups(), strict=True)}
        architecture = Architecture(self.name, picks)
        replay(self, architecture)
        return architecture
