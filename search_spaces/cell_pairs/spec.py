"""Specs of `darts` and `nasnet`: a normal and a reduction cell of blocks, and the stack of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Join = Literal["add", "concat"]
SKIP = "skip_connect"
NUM_INPUTS = 2
"""Inputs of a cell: the outputs of the two cells before it."""


@dataclass(frozen=True)
class Block:
    """Two operations on two states of a cell, joined.

    Attributes:
        inputs: The two states. State 0 is the output of the cell before the previous one, 1 that of the previous cell;
            from 2 on they are the cell's blocks.
        operations: The operation on each of the two states.
        join: Whether the results are added, or concatenated and projected.
    """

    inputs: tuple[int, int]
    operations: tuple[str, str]
    join: Join = "add"


@dataclass(frozen=True)
class Cell:
    """Cell of blocks.

    Attributes:
        blocks: Blocks in an order in which they can be computed.
        output: States whose concatenation is the output.
    """

    blocks: tuple[Block, ...]
    output: tuple[int, ...]

    def reads(self, state: int) -> bool:
        """Whether any block has this state as an input."""
        return any(state in block.inputs for block in self.blocks)


@dataclass(frozen=True)
class CellPair:
    """Decided architecture.

    Attributes:
        normal: Cell that keeps height and width.
        reduction: Cell that halves them: its operations on states 0 and 1 have a stride of 2.
    """

    normal: Cell
    reduction: Cell


@dataclass(frozen=True)
class Stack:
    """Stack of a network's cells.

    Attributes:
        width: Channels of an operation before the first reduction cell; each reduction cell doubles them.
        reductions: For each cell whether it is a reduction cell.
        live: Indices of the cells that the output depends on; the others are not built. A cell need not read both of
            its inputs, so that some may have no effect.
    """

    width: int
    reductions: tuple[bool, ...]
    live: frozenset[int]
