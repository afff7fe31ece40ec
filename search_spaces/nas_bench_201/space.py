"""The space `nas-bench-201`: a cell of six edges, in the skeleton of the networks of NAS-Bench-201."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.architecture import Architecture
from nas.bounds import LARGEST_WIDTH, check_number
from nas.space import Choose, replay
from nas.task import TaskShape

from ..dense_cell import EDGES, NUM_NODES, connected
from ..input_checks import check_images
from .spec import OPERATIONS, Cell, from_text, to_text

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn

CHOICES = tuple(f"edge{source}-{target}" for source, target in EDGES)
NODES = ("input", *(f"node{i}" for i in range(1, NUM_NODES - 1)), "output")


@dataclass(frozen=True)
class NasBench201:
    """Cells of NAS-Bench-201: 4 nodes, one of 5 operations on each of 6 edges; 5⁶ = 15,625 cells.

    Dong & Yang (arXiv 2001.00326, section 2.1 and figure 1). The skeleton is a 3×3 convolution; three stages of cells
    with `width`, 2 · `width` and 4 · `width` channels; a residual block of stride 2 between stages; a spatial mean and
    a linear head. The published networks have a width of 16 and 5 cells a stage; the defaults are small enough to be
    meta-trained. Odd sides are halved and rounded up; the paper has none.

    Attributes:
        width: Channels of the first stage.
        cells: Number of cells in a stage.
        published: Whether all 15,625 cells are in the space, each with the weights of all its operations, as in the
            published tables. Otherwise the 15,284 with a path from input to output are, without the operations that
            have no effect.
    """

    width: int = 8
    cells: int = 1
    published: bool = False
    name = "nas-bench-201"

    def __post_init__(self) -> None:
        check_number(self.name, "width", self.width, 1, LARGEST_WIDTH)
        check_number(self.name, "cells", self.cells, 1, 100)

    def decide(self, choose: Choose) -> Cell:
        """An operation for each edge."""
        cell = tuple([choose(name, OPERATIONS) for name in CHOICES])
        if not self.published and not connected(cell):
            choose.reject("no path leads from the cell's input to its output")
        return cell

    def build(self, spec: Cell, task: TaskShape) -> nn.Module:
        """The network.

        Raises:
            SpaceError: The task's inputs are not images, or too small to be halved twice.
        """
        from .network import Network

        check_images(self.name, task, halvings=2)
        operations = {edge: name for edge, name in zip(EDGES, spec, strict=True) if name != "none"}
        return Network(operations, self.width, self.cells, task, prune=not self.published)

    def graph(self, spec: Cell) -> nx.DiGraph:
        """The cell as a diagram with its operations on the edges."""
        import networkx as nx

        diagram = nx.DiGraph()
        for name in NODES:
            diagram.add_node(name, op=name if name in ("input", "output") else "sum")
        for (source, target), operation in zip(EDGES, spec, strict=True):
            diagram.add_edge(NODES[source], NODES[target], op="skip" if operation == "skip_connect" else operation)
        return diagram

    def to_text(self, architecture: Architecture) -> str:
        """The cell as the published tables write it, such as
        `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|`."""
        return to_text(replay(self, architecture))

    def from_text(self, text: str) -> Architecture:
        """The architecture of a cell that is written as in the published tables.

        Raises:
            SpaceError: The text has another form, or an operation is not known.
            Rejected: The space does not allow the cell.
        """
        picks = {name: OPERATIONS.index(operation) for name, operation in zip(CHOICES, from_text(text), strict=True)}
        architecture = Architecture(self.name, picks)
        replay(self, architecture)
        return architecture
