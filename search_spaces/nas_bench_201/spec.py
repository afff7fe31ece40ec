"""Specs of `nas-bench-201`: the operations of a cell's six edges, and their text form in the published tables."""

from __future__ import annotations

import re

from nas.errors import SpaceError, nearest, shown

Cell = tuple[str, ...]
"""Decided cell: one operation for each edge of `dense_cell.EDGES`. A node adds up its edges; node 0 is the input."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
TEXT = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
"""Text of a cell: for each node after the input its edges, as OPERATION~SOURCE."""


def to_text(cell: Cell) -> str:
    """The cell as the published tables write it."""
    return TEXT.format(*cell)


def from_text(text: str) -> Cell:
    """The cell that a text of the published tables stands for.

    Raises:
        SpaceError: The text has another form, or an operation is not known.
    """
    match = re.fullmatch(re.escape(TEXT).replace(re.escape("{}"), "([^|~+]*)"), text)
    if match is None:
        raise SpaceError(f"{shown(text)} is no cell of nas-bench-201; write {TEXT} with an operation in each {{}}")
    for operation in match.groups():
        if operation not in OPERATIONS:
            raise SpaceError(f"operation {shown(operation)} is not known: {nearest(operation, OPERATIONS)}")
    return match.groups()
