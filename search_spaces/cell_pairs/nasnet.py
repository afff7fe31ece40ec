"""The space `nasnet`: a normal and a reduction cell of five blocks, each of two operations added or concatenated."""

from __future__ import annotations

from dataclasses import dataclass

from nas.space import Choose

from .space import PairSpace
from .spec import NUM_INPUTS, Block, Cell, CellPair, Join

OPERATIONS = (
    "skip_connect",
    "conv_3x1_1x3",
    "conv_7x1_1x7",
    "dil_conv_3x3",
    "avg_pool_3x3",
    "max_pool_3x3",
    "max_pool_5x5",
    "max_pool_7x7",
    "conv_1x1",
    "conv_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
)
JOINS: tuple[Join, ...] = ("add", "concat")
NUM_BLOCKS = 5


@dataclass(frozen=True)
class NasNet(PairSpace):
    """Normal and reduction cells of NASNet: 5 blocks, each of two of 13 operations, added or concatenated.

    Zoph et al. (arXiv 1707.07012, section 3). The two earlier states of a block may be the same; the output
    concatenates the blocks that no other block reads. The paper gives no count. Radosavovic et al. (arXiv 1905.13214,
    table 1) count prod_k (k + 1)² · 13² = 71,465,842 · 10^9 cells that only add; with the choice of joins there are
    2^5 times as many, and the number of pairs is the square of that. A concatenation is projected to the cell's width
    by a 1×1 convolution, and dilated convolutions are depthwise, as in DARTS. Unlike in the paper, the stack has few
    cells and begins with a stride of 2.
    """

    name = "nasnet"

    def decide(self, choose: Choose) -> CellPair:
        """For both cells and each block, two earlier states, the operation on each, and how they are joined."""
        return CellPair(_cell(choose, "normal"), _cell(choose, "reduction"))


def _cell(choose: Choose, name: str) -> Cell:
    blocks = []
    for number in range(NUM_BLOCKS):
        block, states = f"{name}.block{number}", range(NUM_INPUTS + number)
        inputs = choose(f"{block}.input0", states), choose(f"{block}.input1", states)
        operations = choose(f"{block}.op0", OPERATIONS), choose(f"{block}.op1", OPERATIONS)
        blocks.append(Block(inputs, operations, choose(f"{block}.join", JOINS)))
    read = {state for block in blocks for state in block.inputs}
    output = (state for state in range(NUM_INPUTS, NUM_INPUTS + NUM_BLOCKS) if state not in read)
    return Cell(tuple(blocks), tuple(output))
