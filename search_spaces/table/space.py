"""Spaces of the form `table:FILE.csv`: the architectures of a table, for searches that only look scores up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import ConfigError, DataError, SpaceError, nearest
from nas.space import Choose
from nas.space.tables import read_table, stamp
from nas.task import TaskShape

if TYPE_CHECKING:
    from torch import nn

Row = tuple[str, ...]
DENSE = 0.05
"""Fraction of all combinations that must be rows for rejection sampling to be quick enough."""


@dataclass(frozen=True)
class TableSpace:
    """Rows of a .csv or .npz file, identified by some of its columns.

    Each of these columns is a choice among the texts in it. Combinations that are not a row are rejected. If fewer than
    one combination in 20 is a row, a choice offers only what some row has after the choices before it, so that nothing
    is rejected. There are no networks: the evaluator is `tabular`.

    Attributes:
        path: File of the table.
        choices: Names of the columns that identify an architecture.
    """

    path: Path
    choices: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.choices or len(set(self.choices)) < len(self.choices):
            raise ConfigError(f"choices are {list(self.choices)}; name the columns that tell architectures apart, once")

    @property
    def name(self) -> str:
        return f"table:{self.path.stem}"

    def decide(self, choose: Choose) -> Row:
        """The chosen row's texts.

        Raises:
            DataError: The file cannot be read or lacks a column.
        """
        table = _read(self.path, stamp(self.path), self.choices)
        row: Row = ()
        for name, options in zip(self.choices, table.options, strict=True):
            row += (choose(name, options if table.continuations is None else table.continuations[row]),)
        if row not in table.rows:
            choose.reject("the table has no such row")
        return row

    def build(self, spec: Row, task: TaskShape) -> nn.Module:
        """Refuse, because a table has no networks.

        Raises:
            SpaceError: Always.
        """
        raise SpaceError(f"space {self.name!r} is a table without networks; search it with the evaluator 'tabular'")


def of_file(path: str) -> Callable[..., TableSpace]:
    """The constructor of the space of a file, whose one option is `choices`."""

    def make(*, choices: tuple[str, ...] = ()) -> TableSpace:
        return TableSpace(Path(path), choices)

    make.__doc__ = TableSpace.__doc__
    return make


@dataclass(frozen=True, eq=False)
class _Rows:
    """Columns of a table.

    Attributes:
        options: Options of each choice, in the order of the table.
        rows: All rows.
        continuations: Options of the next choice by the texts chosen so far; None where rejection is quick enough.
    """

    options: tuple[Row, ...]
    rows: frozenset[Row]
    continuations: Mapping[Row, Row] | None


@lru_cache(maxsize=4)
def _read(path: Path, file_stamp: tuple[int, int], choices: Row) -> _Rows:
    table = read_table(path, file_stamp)
    for name in choices:
        if name not in table.columns:
            raise DataError(f"{path} has no column {name!r}: {nearest(name, table.columns)}")
    columns = [[str(cell) for cell in table.columns[name].tolist()] for name in choices]
    options = tuple(tuple(dict.fromkeys(column)) for column in columns)
    rows = dict.fromkeys(zip(*columns, strict=True))
    sparse = len(rows) < DENSE * math.prod(map(len, options))
    return _Rows(options, frozenset(rows), _continuations(rows) if sparse else None)


def _continuations(rows: Iterable[Row]) -> dict[Row, Row]:
    texts_after: dict[Row, dict[str, None]] = {}
    for row in rows:
        for column, text in enumerate(row):
            texts_after.setdefault(row[:column], {})[text] = None
    return {prefix: tuple(texts) for prefix, texts in texts_after.items()}
