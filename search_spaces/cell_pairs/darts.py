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
    """The discrete cells of DARTS (Liu et al., arXiv 1806.09055, section 2.1): 4 nodes, each the sum of two of 7
    operations on two different earlier states; all nodes together are the output.

    Appendix C counts (prod_k (k + 1) k / 2 · 7²)² = 1,037,664,180² ≈ 10^18 pairs of cells, which is what is decided
    here. The stack is smaller than the paper's 20 cells and begins with a stride of 2; before the head's spatial mean
    comes a ReLU, as in NASNet.
    """

    name = "darts"

    def decide(self, choose: Choose) -> CellPair:
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
