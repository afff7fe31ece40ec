"""The space `nas-bench-101`: a cell of up to seven vertices, in the skeleton of the networks of NAS-Bench-101."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.architecture import Architecture
from nas.bounds import LARGEST_WIDTH, check_number
from nas.errors import SpaceError, nearest, shown
from nas.space import Choose, replay
from nas.task import TaskShape

from ..input_checks import check_images
from .spec import OPERATIONS, Cell

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn


@dataclass(frozen=True)
class NasBench101:
    """Cells of NAS-Bench-101: at most 7 vertices and 9 edges, 3 operations; 423,624 different cells.

    Ying et al. (arXiv 1902.09635, sections 2.1 and 2.2). The skeleton is a 3×3 convolution; three stacks of cells with
    `width`, 2 · `width` and 4 · `width` channels; a 2×2 max pool between stacks; a spatial mean and a linear head. The
    published networks have a width of 128 and 3 cells a stack; the defaults are small enough to be meta-trained.
    Vertices on no path from input to output are left out, as in the paper. Cells without a path, or with too many edges
    after that, are rejected.

    Attributes:
        max_vertices: Largest number of vertices of a cell, input and output included.
        max_edges: Largest number of edges of a cell.
        width: Channels of the first stack.
        cells: Number of cells in a stack.
    """

    max_vertices: int = 7
    max_edges: int = 9
    width: int = 16
    cells: int = 1
    name = "nas-bench-101"

    def __post_init__(self) -> None:
        check_number(self.name, "max_vertices", self.max_vertices, 2, 32)
        check_number(self.name, "max_edges", self.max_edges, 1, 32 * 31 // 2)
        # A cell's channels are divided among the vertices that lead to its output.
        check_number(self.name, "width", self.width, max(1, self.max_vertices - 2), LARGEST_WIDTH)
        check_number(self.name, "cells", self.cells, 1, 100)

    def decide(self, choose: Choose) -> Cell:
        """An operation for each inner vertex, and for each pair of vertices whether there is an edge."""
        last = self.max_vertices - 1
        operations = [choose(f"vertex{vertex}", OPERATIONS) for vertex in range(1, last)]
        edges = [edge for edge in _pairs(last) if choose(f"edge{edge[0]}-{edge[1]}", (False, True))]
        cell = _pruned(operations, edges)
        if cell is None:
            choose.reject("no path leads from the cell's input to its output")
        if len(cell.edges) > self.max_edges:
            choose.reject(f"the cell has more than {self.max_edges} edges")
        return cell

    def build(self, spec: Cell, task: TaskShape) -> nn.Module:
        """The network.

        Raises:
            SpaceError: The task's inputs are not images, or too small to be halved twice.
        """
        from .network import Network

        check_images(self.name, task, halvings=2)
        return Network(spec, self.width, self.cells, task)

    def graph(self, spec: Cell) -> nx.DiGraph:
        """The cell as a diagram. The paper takes two cells for the same exactly if their graphs are isomorphic."""
        return spec.graph()

    def from_matrix(self, matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> Architecture:
        """The architecture of a cell that is written as in the published table.

        Args:
            matrix: Adjacency matrix (vertices, vertices), upper triangular, of 0 and 1; rows are sources.
            operations: Operations of all vertices. 'conv3x3-bn-relu' may be written for 'conv3x3'; those of the input
                and the output are ignored.

        Raises:
            SpaceError: The matrix or the operations have another form.
            Rejected: The space does not allow the cell.
        """
        self._check(matrix, operations)
        # The output is the last of max_vertices in the space's own numbering; vertices between have no edges.
        output, own_output = len(matrix) - 1, self.max_vertices - 1
        names = dict(enumerate([name.removesuffix("-bn-relu") for name in operations]))
        picks = {f"vertex{v}": OPERATIONS.index(names[v]) if v < output else 0 for v in range(1, own_output)}
        edges = {(a, own_output if b == output else b) for a, b in _pairs(output) if matrix[a][b]}
        picks |= {f"edge{a}-{b}": int((a, b) in edges) for a, b in _pairs(own_output)}
        architecture = Architecture(self.name, picks)
        replay(self, architecture)
        return architecture

    def _check(self, matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> None:
        size = len(matrix)
        if not 2 <= size <= self.max_vertices:
            raise SpaceError(f"a cell of {size} vertices; nas-bench-101 has 2 to {self.max_vertices}")
        if len(operations) != size:
            raise SpaceError(f"{len(operations)} operations for {size} vertices; give one each, also for the two ends")
        for source, row in enumerate(matrix):
            allowed = [(0, 1) if target > source else (0,) for target in range(size)]
            if len(row) != size or any(value not in values for value, values in zip(row, allowed, strict=True)):
                raise SpaceError(
                    f"row {source} of the matrix is {shown(list(row))}; it must be {size} times 0 or 1, "
                    "with 1 only right of the diagonal: sort the vertices so that data flows to later ones"
                )
        for name in operations[1:-1]:
            if name.removesuffix("-bn-relu") not in OPERATIONS:
                raise SpaceError(f"operation {shown(name)} is not known: {nearest(name, OPERATIONS)}")


def unique_cells(max_vertices: int = 7, max_edges: int = 9) -> Iterator[Cell]:
    """One of each set of isomorphic cells: 91 up to 4 vertices, 2,532 up to 5, 64,542 up to 6, 423,624 up to 7.

    Of isomorphic graphs without operations only the first is given operations, since the others would give duplicates.
    """
    from nas.space.graph import canonical  # imports networkx

    for last in range(1, max_vertices):
        graph_keys, cell_keys = set(), set()
        for edges in _edge_sets(last, max_edges):
            key = canonical(Cell(OPERATIONS[:1] * (last - 1), edges).graph())
            if key in graph_keys:
                continue
            graph_keys.add(key)
            for operations in itertools.product(OPERATIONS, repeat=last - 1):
                cell = Cell(operations, edges)
                key = canonical(cell.graph())
                if key not in cell_keys:
                    cell_keys.add(key)
                    yield cell


def _pairs(last: int) -> Iterator[tuple[int, int]]:
    return itertools.combinations(range(last + 1), 2)


def _edge_sets(last: int, max_edges: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """All sets of edges by which every vertex except the first has a source, and every one except the last a target."""
    for sources in itertools.product(*(range(1, 2**target) for target in range(1, last + 1))):
        with_target = 0
        for mask in sources:
            with_target |= mask
        if with_target == 2**last - 1 and sum(mask.bit_count() for mask in sources) <= max_edges:
            edges = [(a, b) for b, mask in enumerate(sources, 1) for a in range(b) if mask >> a & 1]
            yield tuple(sorted(edges))


def _pruned(operations: Sequence[str], edges: Sequence[tuple[int, int]]) -> Cell | None:
    """The vertices on a path from the first to the last, renumbered, as a cell; None if there is no path."""
    last = len(operations) + 1
    reached, needed = {0}, {last}
    for source, target in edges:  # edges are sorted by source, so that all edges into a source came before
        if source in reached:
            reached.add(target)
    for source, target in reversed(edges):
        if target in needed:
            needed.add(source)
    if last not in reached:
        return None
    kept = sorted(reached & needed)
    number = {vertex: i for i, vertex in enumerate(kept)}
    return Cell(
        tuple(operations[vertex - 1] for vertex in kept[1:-1]),
        tuple((number[source], number[target]) for source, target in edges if source in number and target in number),
    )
