"""The space `few-shot-cell`: a stack of one searched cell, sized for few-shot images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.bounds import LARGEST_WIDTH, check_numbers
from nas.errors import SpaceError
from nas.space import Choose
from nas.task import TaskShape

from ..dense_cell import EDGES, NUM_NODES, connected
from ..input_checks import check_images
from .spec import OPERATIONS, CellStack

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn


@dataclass(frozen=True)
class FewShotCell:
    """Stacks of a 4-node cell for few-shot images: 8 operations an edge, width, depth and places of max pooling.

    The cell is NAS-Bench-201's (Dong & Yang, arXiv 2001.00326, figure 1) with three more operations: separable,
    dilated and max-pooled 3×3. A convolution is convolution, normalisation, ReLU. A 3×3 convolution of stride 2 comes
    before the cells; average pooling to 3×3 and a linear head come after them. Cells without a path from input to
    output are rejected, which leaves 260,687 of 8⁶; with the default options these are 19,812,212 architectures.

    Attributes:
        widths: Options for the number of channels.
        depths: Options for the number of cells.
    """

    widths: tuple[int, ...] = (8, 16, 24, 32)
    depths: tuple[int, ...] = (2, 3, 4)
    name = "few-shot-cell"

    def __post_init__(self) -> None:
        check_numbers(self.name, "widths", self.widths, 1, LARGEST_WIDTH)
        check_numbers(self.name, "depths", self.depths, 1, 100)

    def decide(self, choose: Choose) -> CellStack:
        """An operation for each edge, the width, the number of cells, and the one or two cells followed by a pool."""
        cell = tuple(choose(f"edge{source}-{target}", OPERATIONS) for source, target in EDGES)
        if not connected(cell):
            choose.reject("no path leads from the cell's input to its output")
        width = choose("width", self.widths)
        num_cells = choose("cells", self.depths)
        reductions = choose.subset("reduce", range(num_cells), min=1, max=min(2, num_cells))
        return CellStack(cell, width, num_cells, tuple(reductions))

    def build(self, spec: CellStack, task: TaskShape) -> nn.Module:
        """The network.

        Raises:
            SpaceError: The task's inputs are not images, or too small to be halved so often.
        """
        from .network import CellNetwork

        check_images(self.name, task)
        smallest = 2 ** (1 + len(spec.reductions)) - 1  # the stem rounds up, the pools down
        if min(task.input_shape[1:]) < smallest:
            raise SpaceError(
                f"images of {task.input_shape[1:]} cannot be halved to 1×1; need at least {smallest} pixels"
            )
        return CellNetwork(spec, EDGES, task)

    def graph(self, spec: CellStack) -> nx.DiGraph:
        """The cell as a diagram of operations and sums; the graph's attributes are the rest of the spec."""
        import networkx as nx

        diagram = nx.DiGraph(width=spec.width, num_cells=spec.num_cells, reductions=spec.reductions)
        diagram.add_node("input", op="input")
        for target in range(1, NUM_NODES):
            diagram.add_node(f"node{target}", op="output" if target == NUM_NODES - 1 else "sum")
        for (source, target), operation in zip(EDGES, spec.cell, strict=True):
            if operation != "none":
                edge = f"{source}-{target}"
                diagram.add_node(edge, op=operation)
                diagram.add_edge("input" if source == 0 else f"node{source}", edge)
                diagram.add_edge(edge, f"node{target}")
        return diagram
