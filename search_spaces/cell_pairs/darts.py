"""The space `darts`: a normal and a reduction cell, each node with two operations on two earlier states."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from nas.space import Choose

from .space import PairSpace
from .spec import NUM_INPUTS, Block, Cell, CellPair

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
NUM_NODES = 4


@dataclass(frozen=True)
class Darts(PairSpace):
    """Normal and reduction cells of DARTS: 4 nodes, each the sum of two of 7 operations on earlier states.

    Liu et al. (arXiv 1806.09055, section 2.1). The two states of a node differ; the output concatenates all nodes.
    Appendix C counts (prod_k (k + 1) k / 2 · 7²)² = 1,037,664,180² ≈ 10^18 pairs of cells, which is also the number
    here. Unlike in the paper, the stack has fewer than 20 cells and begins with a stride of 2, and a ReLU comes before
    the head's spatial mean, as in NASNet.
    """

    name = "darts"

    def decide(self, choose: Choose) -> CellPair:
        """For both cells and each node, two different earlier states and the operation on each."""
        return CellPair(_cell(choose, "normal"), _cell(choose, "reduction"))


def _cell(choose: Choose, name: str) -> Cell:
    blocks = []
    for node in range(NUM_NODES):
        pairs = list(itertools.combinations(range(NUM_INPUTS + node), 2))
        inputs = choose(f"{name}.node{node}.inputs", pairs)
        first = choose(f"{name}.node{node}.op0", OPERATIONS)
        second = choose(f"{name}.node{node}.op1", OPERATIONS)
        blocks.append(Block(inputs, (first, second)))
    return Cell(tuple(blocks), tuple(range(NUM_INPUTS, NUM_INPUTS + NUM_NODES)))
