"""Base class of `darts` and `nasnet`: a stack of a normal and a reduction cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nas.bounds import LARGEST_WIDTH, check_number
from nas.task import TaskShape

from ..input_checks import check_images
from .spec import NUM_INPUTS, SKIP, Cell, CellPair, Stack

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn


@dataclass(frozen=True)
class PairSpace:
    """Stack of cells: normal cells, then for each reduction a reduction cell and as many normal cells again.

    Attributes:
        width: Channels of an operation before the first reduction cell; each reduction cell doubles them.
        normal_cells: Number of normal cells before, between and after the reduction cells.
        reductions: Number of reduction cells.
    """

    width: int = 8
    normal_cells: int = 1
    reductions: int = 1
    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_number(self.name, "width", self.width, 2, LARGEST_WIDTH)
        check_number(self.name, "normal_cells", self.normal_cells, 1, 100)
        check_number(self.name, "reductions", self.reductions, 1, 16)

    def build(self, spec: CellPair, task: TaskShape) -> nn.Module:
        """The network.

        Raises:
            SpaceError: The task's inputs are not images, or too small to be halved so often.
        """
        from .network import PairNetwork

        check_images(self.name, task, halvings=1 + self.reductions)
        return PairNetwork(spec, self.stack(spec), task)

    def stack(self, pair: CellPair) -> Stack:
        """The stack of a pair's network, with the cells that have an effect."""
        normal = (False,) * self.normal_cells
        reductions = normal + ((True, *normal) * self.reductions)
        live = {len(reductions) - 1}
        for index in range(len(reductions) - 1, -1, -1):
            cell = pair.reduction if reductions[index] else pair.normal
            if index in live:
                live |= {index - 2 + state for state in range(NUM_INPUTS) if cell.reads(state)}
        return Stack(self.width, reductions, frozenset(index for index in live if index >= 0))

    def graph(self, spec: CellPair) -> nx.DiGraph:
        """Both cells as two components of one diagram; a cell without an effect on the output is left out.

        The identity on an input of the reduction cell has a stride and weights, so it is drawn as a factorized
        reduction.
        """
        import networkx as nx

        stack = self.stack(spec)
        kinds = {stack.reductions[index] for index in stack.live}
        diagram = nx.DiGraph()
        if False in kinds:
            _add_cell(diagram, spec.normal, "normal")
        if True in kinds:
            _add_cell(diagram, spec.reduction, "reduction")
        return diagram


def _add_cell(diagram: nx.DiGraph, cell: Cell, name: str) -> None:
    states = [f"{name} k-2", f"{name} k-1"]
    for state, node in enumerate(states):
        if cell.reads(state):
            diagram.add_node(node, op=f"input:{node}")
    for number, block in enumerate(cell.blocks):
        joined = f"{name} block {number}"
        diagram.add_node(joined, op="concat" if block.join == "concat" else "add")
        for side, (source, operation) in enumerate(zip(block.inputs, block.operations, strict=True)):
            node = f"{joined}.{side}"
            diagram.add_node(node, op=_label(operation, strided=name == "reduction" and source < NUM_INPUTS))
            diagram.add_edge(states[source], node)
            diagram.add_edge(node, joined)
        states.append(joined)
    diagram.add_node(f"{name} output", op=f"output:{name}", join="concat")
    for state in cell.output:
        diagram.add_edge(states[state], f"{name} output")


def _label(operation: str, *, strided: bool) -> str:
    if operation != SKIP:
        return operation
    return "factorized_reduce" if strided else "skip"
