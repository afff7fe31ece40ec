"""Summary of a table: kinds of columns, and which may be a label, a group or features."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from .csv_files import UNNAMED
from .tables import Table, read_table

LABELS: Final = ("label", "class", "target", "y", "labels", "category", "species", "diagnosis")
GROUPS: Final = ("group", "subject", "patient", "machine", "site", "user", "person", "id", "batch", "device", "unit")
_COUNTED: Final = 20  # Values that are counted in a summary.


@dataclass(frozen=True)
class ColumnSummary:
    """One column.

    Attributes:
        name: Its name, or its number as text.
        kind: 'numbers', 'texts', or 'arrays' where each row has several values.
        shape: Shape of a row's value; () for one value.
        distinct: Number of distinct values; 0 for arrays.
        missing: Rows without a value.
        counts: The most frequent values with their rows; empty for arrays.
    """

    name: str
    kind: Literal["numbers", "texts", "arrays"]
    shape: tuple[int, ...]
    distinct: int
    missing: int
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class TableSummary:
    """A table.

    Attributes:
        path: The file.
        rows: Number of rows.
        header: Whether the file names its columns.
        columns: Its columns in order.
        label: The column that is most likely the label; None where none is.
        group: The column that is most likely the group; None where none is.
    """

    path: Path
    rows: int
    header: bool
    columns: tuple[ColumnSummary, ...]
    label: str | None
    group: str | None

    @property
    def features(self) -> tuple[str, ...]:
        """The other columns that are numbers or arrays."""
        used = {self.label, self.group}
        kinds = ("numbers", "arrays")
        return tuple(c.name for c in self.columns if c.kind in kinds and c.name not in used and UNNAMED not in c.name)


def summarise(path: Path | str) -> TableSummary:
    """Summary of a file that `read_table` reads.

    The label is a column with a name in LABELS, the first of them that there is; else the only column of texts; else,
    in a table without names, the last column of whole numbers with at most one distinct value in four rows. A group has
    a name in GROUPS, alone or as a word of it.

    Raises:
        DataError: As `read_table`.
    """
    table = read_table(path)
    columns = tuple(_summary(table, name) for name in table.columns)
    single = [c for c in columns if c.kind != "arrays" and c.distinct > 1]
    group = next((c.name for c in single if _has_word(c.name, GROUPS) and 2 * c.distinct <= len(table)), None)
    named = sorted((c.name for c in single if c.name.lower() in LABELS), key=lambda name: LABELS.index(name.lower()))
    texts = [c.name for c in single if c.kind == "texts" and c.name != group]
    whole = (
        [] if table.header else [c.name for c in single[-1:] if 4 * c.distinct <= len(table) and _is_whole(table, c)]
    )
    label = next(iter(named or (texts if len(texts) == 1 else whole)), None)
    return TableSummary(table.path, len(table), table.header, columns, label, group)


def _summary(table: Table, name: str) -> ColumnSummary:
    column = table.columns[name]
    if column.ndim > 1:
        return ColumnSummary(name, "arrays", column.shape[1:], 0, 0, ())
    texts = table.texts(name)
    counts = Counter(texts)
    missing = counts.pop("", 0)
    kind: Literal["numbers", "texts"] = "numbers" if table.is_numeric(name) else "texts"
    return ColumnSummary(name, kind, (), len(counts), missing, tuple(counts.most_common(_COUNTED)))


def _has_word(name: str, words: tuple[str, ...]) -> bool:
    parts = name.lower().replace("-", "_").replace(" ", "_").split("_")
    return any(part.removesuffix("s") in words for part in parts)


def _is_whole(table: Table, column: ColumnSummary) -> bool:
    if column.kind != "numbers":
        return False
    numbers = table.numbers(column.name)
    return bool((np.floor(numbers) == numbers).all())
