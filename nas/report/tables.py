"""Table of texts on the report's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Table of texts.

    Attributes:
        heads: One text a column; without any text there is no head.
        rows: One text a column each.
        num_numbers: Number of right-aligned columns, which are the last.
        num_strong: Number of bold rows, which are the first.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    num_numbers: int = 0
    num_strong: int = 0

    @property
    def num_texts(self) -> int:
        """Number of left-aligned columns, which are the first."""
        return len(self.heads) - self.num_numbers
