"""Specs of the DARTS and NASNet spaces: a normal and a reduction cell of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Join = Literal["add", "concat"]
SKIP = "skip_connect"
NUM_INPUTS = 2


@dataclass(frozen=True)
class Block:
    """Two operations on two states of a cell, joined.

    States are numbered: 0 is the output of the last cell but one, 1 that of the last cell, 2 and on are the blocks.
    """

    inputs: tuple[int, int]
    operations: tuple[str, str]
    join: Join = "add"


@dataclass(frozen=True)
class Cell:
    """Blocks in the order in which they can be computed, and those (by state) whose concatenation is the output."""

    blocks: tuple[Block, ...]
    output: tuple[int, ...]

    def reads(self, state: int) -> bool:
        """Whether any block has this state as an input."""
        return any(state in block.inputs for block in self.blocks)


@dataclass(frozen=True)
class CellPair:
    """A decided architecture: a cell that keeps height and width, and one that halves them. Strides of 2 are in the
    operations of the reduction cell on states 0 and 1."""

    normal: Cell
    reduction: Cell


@dataclass(frozen=True)
class Stack:
    """The cells of a network, from the first to the last.

    Attributes:
        width: Channels of an operation before the first reduction cell; each reduction cell doubles them.
        reductions: For each cell whether it is a reduction cell.
        live: The cells that the last one depends on, by index: a cell need not read both of its inputs.
    """

    width: int
    reductions: tuple[bool, ...]
    live: frozenset[int]
